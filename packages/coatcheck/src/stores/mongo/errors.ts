import { CoatcheckError } from '../../core/errors.ts'

/** By the server's code (https://www.mongodb.com/docs/manual/reference/error-codes/), or by the name or code of the driver's error. */
const REMEDY: Readonly<Record<string, string>> = {
  18: 'refused the user or the password. Look at the URL that the client was made with, and at its authSource.',
  8000: 'refused the user or the password. Look at the URL that the client was made with.',
  13: 'denies this user a right. It needs the role readWrite on the database.',
  73: 'takes no database or collection of this name.',
  50: 'gave up after the time limit.',
  64: 'wrote on the primary, but no majority of the set has it: a failover may undo it. It is tried again.',
  79: 'knows no majority here: look at the members of the set.',
  100: 'has fewer members that hold data than a majority takes: look at the members of the set.',
  91: 'is shutting down.',
  11600: 'is shutting down.',
  189: 'has just lost its primary; a new one is being elected.',
  11602: 'has just lost its primary; a new one is being elected.',
  10107: 'takes no writes here: this is no primary. Give the client the set (replicaSet=…) instead of one member of it.',
  13435: 'answers no reads here: this is no primary. Give the client the set (replicaSet=…) instead of one member of it.',
  13436: 'is starting or recovering. It is asked again by the next request.',
  14031: 'has no disk space left.',
  MongoOperationTimeoutError: 'did not answer in time. Look at the server’s load, and at what stands between.',
  MongoNetworkError: 'lost the connection. The client connects anew by itself.',
  MongoNetworkTimeoutError: 'did not answer in time. The client connects anew by itself.',
  MongoPoolClearedError: 'lost its connections. The client connects anew by itself.',
  MongoTopologyClosedError: 'was never reached by this client, or the client is closed. Call client.connect() again.',
  MongoNotConnectedError: 'cannot be asked: the client is closed. Close it after the last request.',
  // Our own limit, which counts while a client makes its first connection too.
  ETIMEDOUT: 'did not answer in time. Look at host, port and replicaSet in the client’s URL, and whether the server runs.',
  MongoServerSelectionError:
    'has no server that the client may ask. Look at host, port and replicaSet in its URL, and whether the set has a primary.',
}

/** What a document above MongoDB's limit meets: the driver's own buffer, the server's check, or its cache. */
const TOO_LARGE = new Set(['ERR_OUT_OF_RANGE', '10334', '17419', '17420', '388'])
/** An index of our name with other keys or options. */
const FOREIGN = new Set(['85', '86'])

/** The driver's error as ours. Its own text, which may show what was written, stays in the cause. */
export function mongoFailure(operation: string, cause: unknown): CoatcheckError {
  const [code, name] = namesOf(cause)
  const failed = `The session store’s ${operation} failed: MongoDB`
  if (TOO_LARGE.has(code))
    return new CoatcheckError('SESSION_TOO_LARGE', `${failed} keeps no document above 16 MiB. Lower maxDataBytes.`, { cause })
  if (FOREIGN.has(code))
    return new CoatcheckError(
      'FOREIGN_RECORD',
      `${failed} has another index of the same name there. Give Coatcheck a collection of its own.`,
      { cause },
    )
  const remedy = REMEDY[code] ?? REMEDY[name] ?? REMEDY[wordOf(cause)] ?? `failed with ${code || name}; the cause says more.`
  return new CoatcheckError('STORE_UNAVAILABLE', `${failed} ${remedy}`, { cause, retryAfter: 1 })
}

/** For a member that answers, and may not be asked. */
export function notPrimary(operation: string): CoatcheckError {
  const message = `The session store’s ${operation} failed: MongoDB ${REMEDY[10107]}`
  return new CoatcheckError('STORE_UNAVAILABLE', message, { retryAfter: 1 })
}

function wordOf(error: unknown): string {
  return error instanceof Error ? (/^ETIMEDOUT/.exec(error.message)?.[0] ?? '') : ''
}

function namesOf(error: unknown): readonly [code: string, name: string] {
  if (!(error instanceof Error)) return ['', 'an unknown error']
  return ['code' in error && error.code !== undefined ? String(error.code) : '', error.name]
}
