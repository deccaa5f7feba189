/*
 * sse.ts - the text form of server-sent events, as it comes in pieces.
 */
export interface ServerEvent {
  event: string
  data: string
  id: string | null
}

/** Feed it text as it arrives; each call gives the events that are whole. */
export class SseParser {
  #rest = ''
  #event = ''
  #data: string[] = []
  #id: string | null = null
  /** The server's wish, milliseconds, if it had one. */
  retryMs: number | null = null

  feed(text: string): ServerEvent[] {
    const events: ServerEvent[] = []
    // A CR at the end may be half of a line's end: it waits for the rest.
    const all = this.#rest + text
    const usable = all.endsWith('\r') ? all.slice(0, -1) : all
    const lines = usable.split(/\r\n|\n|\r/)
    this.#rest = (lines.pop() ?? '') + all.slice(usable.length)
    for (const line of lines) {
      if (line !== '') this.#field(line)
      else this.#dispatch(events)
    }
    return events
  }

  #field(line: string): void {
    const colon = line.indexOf(':')
    if (colon === 0) return // a comment: the heartbeat
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.#event = value
    else if (name === 'data') this.#data.push(value)
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value)
  }

  #dispatch(events: ServerEvent[]): void {
    if (this.#data.length > 0) {
      events.push({ event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id })
    }
    this.#event = ''
    this.#data = []
  }
}
