/*
 * events.ts - GET /api/events for as long as somebody looks.
 *
 * Read with fetch, because EventSource sends no Authorization header.  A
 * stream that ends is opened again, later each time, from the last id on; one
 * that cannot be had is said to be lost, so that the caller polls meanwhile.
 */
import { Fault, faultOfReply, networkFault } from './fault.ts'
import { SseParser, type ServerEvent } from './sse.ts'

const BACKOFF_MS = [1000, 2000, 5000, 10000, 30000]
/* The server's heartbeat is shorter unless its operator wished otherwise: then
 * the line is dead.  Each time that was assumed, it is twice as long. */
const SILENCE_MS = 60000, SILENCE_MAX_MS = 2 * 3600 * 1000

export interface EventHandlers {
  token(): string | null
  onEvent(event: ServerEvent): void
  onOpen(): void
  /** The stream is away for now. */
  onLost(): void
  /** The key is no longer good. */
  onRejected(): void
}

export class EventStream {
  readonly #handlers: EventHandlers
  #stop: AbortController | null = null
  #lastId: string | null = null
  #failures = 0
  #wishMs = 0
  #silenceMs = SILENCE_MS
  #timer = 0

  constructor(handlers: EventHandlers) {
    this.#handlers = handlers
  }

  start(): void {
    if (this.#stop === null) void this.#run()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#stop?.abort()
    this.#stop = null
  }

  async #run(): Promise<void> {
    const stop = new AbortController()
    this.#stop = stop
    const fault = await this.#read(stop).catch((e: unknown) => networkFault(e))
    if (this.#stop !== stop) return // stopped, perhaps started anew
    if (fault?.kind === 'unauthorized') {
      this.#stop = null
      this.#handlers.onRejected()
      return
    }
    this.#handlers.onLost()
    const step = BACKOFF_MS[Math.min(this.#failures++, BACKOFF_MS.length - 1)]!
    const wait = Math.max(step, this.#wishMs, (fault?.retryAfterS ?? 0) * 1000)
    // Not all pages that lost one worker come back in the same instant.
    this.#timer = window.setTimeout(() => void this.#run(), wait * (0.75 + Math.random() / 2))
  }

  /** Null: the server ended it in order. */
  async #read(stop: AbortController): Promise<Fault | null> {
    const token = this.#handlers.token()
    if (token === null) return null
    const headers: Record<string, string> = { Accept: 'text/event-stream', Authorization: `Bearer ${token}` }
    if (this.#lastId !== null) headers['Last-Event-ID'] = this.#lastId
    const reply = await fetch('/api/events', { headers, signal: stop.signal, cache: 'no-store', credentials: 'omit' })
    if (!reply.ok || reply.body === null) return faultOfReply(reply.status, reply.headers, await reply.text())
    this.#handlers.onOpen()
    return this.#follow(reply.body.getReader(), stop)
  }

  async #follow(reader: ReadableStreamDefaultReader<Uint8Array>, stop: AbortController): Promise<null> {
    const parser = new SseParser(), decoder = new TextDecoder()
    let silence = 0
    const heard = () => {
      clearTimeout(silence)
      silence = window.setTimeout(() => {
        this.#silenceMs = Math.min(2 * this.#silenceMs, SILENCE_MAX_MS)
        void reader.cancel().catch(() => {})
      }, this.#silenceMs)
    }
    try {
      for (;;) {
        heard()
        const { done, value } = await reader.read()
        if (done || stop.signal.aborted) return null
        for (const event of parser.feed(decoder.decode(value, { stream: true }))) {
          this.#failures = 0
          this.#lastId = event.id ?? this.#lastId
          this.#handlers.onEvent(event)
        }
        this.#wishMs = parser.retryMs ?? this.#wishMs
      }
    } finally {
      clearTimeout(silence)
    }
  }
}
