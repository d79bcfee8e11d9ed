/** What every subject keeps of a signed-in person: in its session, or in its token's claims. */
export function personalData(userId: string): { userId: string; role: string } {
  return { userId, role: 'member' }
}

/** For everybody's signatures and MACs. */
export const SECRET = 'bench-secret-bench-secret-bench-secret-bench'

/** A day, the default idle time of ours, as the lifetime for peers, so that expiry is judged on every request. */
export const LIFETIME_MS = 86_400_000
