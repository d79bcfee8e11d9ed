import type { Duplex } from 'node:stream'

/**
 * The part of node's two kinds of response (HTTP/1.1, and HTTP/2's compatible one) that is called or held here. The
 * arguments are unknown because they are the handler's: they are handed on as they came.
 */
export interface NodeResponse {
  statusCode: number
  statusMessage: string
  sendDate: boolean
  readonly headersSent: boolean
  readonly writableEnded: boolean
  readonly writableHighWaterMark: number
  getHeader(name: string): number | string | readonly string[] | undefined
  getHeaderNames(): string[]
  hasHeader(name: string): boolean
  setHeader(name: string, value: string | readonly string[]): unknown
  removeHeader(name: string): void
  writeHead(status: number, reason?: unknown, headers?: unknown): unknown
  /** Missing in the types of HTTP/2's, not in itself. */
  flushHeaders?(): void
  write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean
  end(chunk?: unknown, encoding?: unknown, callback?: unknown): unknown
  destroy(error?: Error): unknown
  emit(event: string): boolean
  /** Missing from some that only look like node's. */
  readonly req?: { readonly method?: string | undefined; readonly socket?: Duplex }
  /** HTTP/2's only. */
  readonly stream?: Duplex
}

/** True for HTTP/2's response: its status has no words, and its stream stands for its socket. */
export function isHttp2(response: NodeResponse): boolean {
  return response.stream !== undefined
}
