// A hashing thread: see hash-threads.ts.
import { parentPort } from 'node:worker_threads'
import { compute, type HashJob } from './compute.ts'
import { giveWay } from './give-way.ts'
import type { HashAnswer } from './hash-threads.ts'

giveWay()

parentPort?.on('message', ({ id, job }: { readonly id: number; readonly job: HashJob }) => {
  parentPort?.postMessage(answer(id, job))
})

function answer(id: number, job: HashJob): HashAnswer {
  try {
    return { id, result: compute(job) }
  } catch (error) {
    // Only its text: a native module's error cannot be posted.
    return { id, failed: error instanceof Error ? error.message : String(error) }
  }
}
