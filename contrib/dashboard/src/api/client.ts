/*
 * client.ts - calls of the API, typed by its own description.
 *
 * schema.d.ts is made of the daemon's route tables at build time: a path, a
 * parameter or a member that is no more is a type error here or at the caller.
 */
import type { paths } from './schema'
import { Fault, faultOfReply, networkFault } from './fault.ts'

export type Method = 'get' | 'post' | 'patch' | 'delete'

type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>
type Member<T, K extends string> = T extends { [k in K]: infer V } ? V : never
type Json<T> = T extends { content: { 'application/json': infer J } } ? J : never
type Replies<O> = Member<O, 'responses'>

export type Reply<P extends keyof paths, M extends Method> =
  Json<Member<Replies<Operation<P, M>>, '200'>> | Json<Member<Replies<Operation<P, M>>, '201'>>

type Parameters<O, Where extends 'query' | 'path'> =
  O extends { parameters: infer A }
    ? Where extends keyof A ? A[Where] : undefined
    : undefined
type Body<O> =
  O extends { requestBody?: infer B } ? Json<NonNullable<B>> : never
type Optional<K extends string, T> =
  [NonNullable<T>] extends [never] ? { [k in K]?: undefined }
    : undefined extends T ? { [k in K]?: T } : { [k in K]: T }

export type Input<P extends keyof paths, M extends Method> =
  Optional<'query', Parameters<Operation<P, M>, 'query'>>
  & Optional<'path', Parameters<Operation<P, M>, 'path'>>
  & { body?: Body<Operation<P, M>> }

/** Paths that have the method at all. */
export type PathsOf<M extends Method> = {
  [P in keyof paths]: [NonNullable<paths[P][M]>] extends [never] ? never : P
}[keyof paths]

/** What the client asks of the session; set once by state/session.ts. */
export interface Caller {
  token(): string | null
  /** Aborts what is under way when the session ends. */
  signal(): AbortSignal | undefined
  /** Every outcome passes here once, before its caller sees it. */
  outcome(fault: Fault | null, token: string | null): void
}

let caller: Caller = { token: () => null, signal: () => undefined, outcome: () => {} }

export function setCaller(c: Caller): void {
  caller = c
}

export interface Page<T> {
  data: T
  /** From the Link header: the cursor of the next page of a list. */
  next: string | null
}

export function addressOf(path: string, input: { path?: unknown, query?: unknown }): string {
  const ids = (input.path ?? {}) as Record<string, string>
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(ids[name] ?? ''))
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries((input.query ?? {}) as Record<string, unknown>)) {
    if (value !== undefined && value !== null && value !== '') query.set(name, String(value))
  }
  const text = query.toString()
  return text === '' ? filled : `${filled}?${text}`
}

export function nextCursor(link: string | null): string | null {
  const next = link?.split(',').find(part => /rel="?next"?/.test(part))
  const address = next?.match(/<([^>]*)>/)?.[1]
  return address === undefined ? null : new URL(address, 'http://localhost').searchParams.get('cursor')
}

async function exchange(method: string, address: string, body: unknown, token: string | null): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (token !== null) headers.Authorization = `Bearer ${token}`
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  try {
    return await fetch(address, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      signal: caller.signal() ?? null
    })
  } catch (e) {
    throw networkFault(e)
  }
}

async function exchangeJson<T>(method: string, address: string, body: unknown, token: string | null): Promise<Page<T>> {
  try {
    const reply = await exchange(method, address, body, token)
    const text = await reply.text().catch((e: unknown) => { throw networkFault(e) })
    if (!reply.ok) throw faultOfReply(reply.status, reply.headers, text)
    caller.outcome(null, token)
    return { data: JSON.parse(text) as T, next: nextCursor(reply.headers.get('Link')) }
  } catch (e) {
    const fault = e instanceof Fault ? e : networkFault(e)
    caller.outcome(fault, token)
    throw fault
  }
}

/** With the session's key; the cursor of the next page beside the reply. */
export function callPage<M extends Method, P extends PathsOf<M>>(
  method: M, path: P, input: Input<P, M> = {} as Input<P, M>
): Promise<Page<Reply<P, M>>> {
  return exchangeJson(method.toUpperCase(), addressOf(path, input), input.body, caller.token())
}

/** With the session's key. */
export async function call<M extends Method, P extends PathsOf<M>>(
  method: M, path: P, input: Input<P, M> = {} as Input<P, M>
): Promise<Reply<P, M>> {
  return (await callPage(method, path, input)).data
}

/** Without a key, whoever is logged in. */
export async function callOpen<M extends Method, P extends PathsOf<M>>(
  method: M, path: P, input: Input<P, M> = {} as Input<P, M>
): Promise<Reply<P, M>> {
  return (await exchangeJson<Reply<P, M>>(method.toUpperCase(), addressOf(path, input), input.body, null)).data
}
