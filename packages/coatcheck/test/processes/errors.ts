import { CoatcheckError, type ErrorCode, isCoatcheckError } from '../../src/core/errors.ts'

/** An error on its way to another process; structured clones keep no code. */
export interface SentError {
  readonly code?: ErrorCode
  readonly message: string
}

export function sent(error: unknown): SentError {
  if (isCoatcheckError(error)) return { code: error.code, message: error.message }
  return { message: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}

export function received({ code, message }: SentError): Error {
  return code === undefined ? new Error(message) : new CoatcheckError(code, message)
}
