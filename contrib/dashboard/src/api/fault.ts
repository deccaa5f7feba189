/*
 * fault.ts - why a call failed, as pages tell it apart.
 */
export type FaultKind =
  | 'network' // no answer at all
  | 'server' // 5xx
  | 'unauthorized'
  | 'forbidden'
  | 'rate' // 429 rate_limited: soon again
  | 'quota' // 429 quota_exceeded: tomorrow again
  | 'refused' // any other 4xx: the message says why
  | 'aborted' // the session ended meanwhile, nobody needs to know

export class Fault extends Error {
  readonly kind: FaultKind
  readonly status: number
  readonly retryAfterS: number

  constructor(kind: FaultKind, message: string, status = 0, retryAfterS = 0) {
    super(message)
    this.kind = kind
    this.status = status
    this.retryAfterS = retryAfterS
  }
}

export function networkFault(e: unknown): Fault {
  if (e instanceof Fault) return e
  if (e instanceof DOMException && e.name === 'AbortError') return new Fault('aborted', '')
  return new Fault('network', e instanceof Error ? e.message : String(e))
}

interface ErrorBody { error?: { code?: unknown, message?: unknown } }

function parsed(text: string): ErrorBody {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === 'object' && body !== null ? body as ErrorBody : {}
  } catch {
    return {} // a proxy in between answers in HTML
  }
}

function kindOf(status: number, code: unknown): FaultKind {
  if (status === 401) return 'unauthorized'
  if (status === 403) return 'forbidden'
  if (status === 429) return code === 'quota_exceeded' ? 'quota' : 'rate'
  return status >= 500 ? 'server' : 'refused'
}

export function faultOfReply(status: number, headers: { get(name: string): string | null }, text: string): Fault {
  const { error } = parsed(text)
  const message = typeof error?.message === 'string' ? error.message : `HTTP ${status}`
  const after = Number(headers.get('Retry-After'))
  return new Fault(kindOf(status, error?.code), message, status,
    Number.isFinite(after) && after > 0 ? Math.ceil(after) : 1)
}
