import { mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { isCoatcheckError } from 'coatcheck'
import { createSessions } from 'coatcheck/express'
import { createApp } from './app.ts'
import { type MadeAccount, makeFirstAccounts } from './first-accounts.ts'
import { mailService } from './mail.ts'
import { keptSecret } from './session-secret.ts'
import { openSessionStore } from './session-store.ts'
import { type Settings, SettingsError, settingsFrom } from './settings.ts'
import { signInChecks } from './sign-in-checks.ts'
import { openTries } from './tries.ts'
import { Users } from './users.ts'

/** How long requests that are under way may take to end after a signal. */
const GRACE_MS = 5000

try {
  await start()
} catch (error) {
  // What the person who started the app can mend is said in a sentence, without a stack.
  if (!(error instanceof SettingsError) && !isCoatcheckError(error)) throw error
  console.error(`Cannot start: ${error.message}`)
  // Servers that were reached already would hold the process.
  process.exit(1)
}

async function start(): Promise<void> {
  const settings = settingsFrom(process.env)
  const { dataDir, host, port, production, trustProxy, freshFor, firstAccounts } = settings
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const secret = settings.secret ?? keptSecret(dataDir)
  const users = new Users(join(dataDir, 'users.db'))
  const kept = await openSessionStore(settings, join(dataDir, 'sessions.db'))
  console.log(`Sessions are kept in ${kept.place}.`)
  const sessions = createSessions({ store: kept.store, secret, production })
  const tries = await openTries(settings, join(dataDir, 'users.db'))
  const sendMail = mailService(production)
  const resetUrl = (token: string) => resetLink(settings, server, token)
  const auth = signInChecks({ users, sessions, limiter: tries.limiter, sendMail, resetUrl })
  announceAccounts(await makeFirstAccounts(users, auth, firstAccounts))
  const server = createServer(createApp({ users, sessions, auth, sendMail, production, trustProxy, freshFor })).listen(port, host)
  server.once('listening', () => console.log(`Coatcheck reference app: ${urlOf(server)}`))
  server.once('error', error => {
    console.error(`Cannot listen on ${host}:${port}: ${error.message}`)
    process.exit(1)
  })
  onSignal(async () => {
    await closed(server)
    await sessions.close()
    await kept.close()
    auth.close()
    await tries.close()
    users.close()
  })
}

function announceAccounts(made: readonly MadeAccount[]): void {
  if (made.length === 0) return
  console.log('First accounts, shown this once:')
  for (const { role, email, password } of made)
    console.log(`  ${role.padEnd(6)}  ${email}  ${password ?? '(the password you gave)'}`)
}

/** In production the address is configured, never taken from a request: a forged Host must not lead a reset link astray. */
function resetLink({ production, publicUrl }: Settings, server: Server, token: string): string {
  if (production && publicUrl === undefined) throw new Error('PUBLIC_URL is not set: without it no mail can hold a link.')
  return `${publicUrl ?? urlOf(server)}/reset?token=${token}`
}

function urlOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') return String(address)
  const local = ['127.0.0.1', '::1', '0.0.0.0', '::'].includes(address.address)
  return `http://${local ? 'localhost' : address.address}:${address.port}`
}

function onSignal(stop: () => Promise<void>): void {
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      // A second signal does not wait.
      if (stopping) process.exit(1)
      stopping = true
      void stop().then(() => process.exit(0))
    })
  }
}

/** Takes no more connections, and waits for the requests that are under way. */
function closed(server: Server): Promise<void> {
  return new Promise(resolve => {
    // A browser keeps its connection open after the last answer: nothing more will come on it.
    const sweep = setInterval(() => server.closeIdleConnections(), 50)
    server.close(() => {
      clearInterval(sweep)
      resolve()
    })
    setTimeout(() => server.closeAllConnections(), GRACE_MS).unref()
  })
}
