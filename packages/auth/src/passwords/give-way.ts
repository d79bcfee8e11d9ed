import { readlinkSync } from 'node:fs'
import { constants, getPriority, setPriority } from 'node:os'

const { PRIORITY_BELOW_NORMAL, PRIORITY_LOW } = constants.priority

/**
 * Lets the process's other threads go first where cores are scarce: a request that is woken then takes the core from a
 * hash at once, instead of waiting for the end of its time slice. A tenth of a busy core remains, so that a server under
 * full load still signs people in.
 *
 * On Linux a priority belongs to a thread (setpriority(2), "C library/kernel differences"), and anybody may lower one's
 * own. Elsewhere it is the whole process's, and nothing is done.
 */
export function giveWay(): void {
  const thread = ownThread()
  if (thread === undefined) return
  try {
    // Below whatever the process was started with.
    setPriority(thread, Math.min(getPriority(thread) + PRIORITY_BELOW_NORMAL, PRIORITY_LOW))
  } catch {
    // Not allowed in some sandbox: hashes are as right as ever, and other requests wait a little longer.
  }
}

/** The kernel's number of this thread; undefined where it cannot be known for sure. */
function ownThread(): number | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const [, ofProcess, thread] = /^(\d+)\/task\/(\d+)$/.exec(readlinkSync('/proc/thread-self')) ?? []
    // Another namespace's /proc counts otherwise: there the number may be somebody else's.
    return Number(ofProcess) === process.pid ? Number(thread) : undefined
  } catch {
    return undefined
  }
}
