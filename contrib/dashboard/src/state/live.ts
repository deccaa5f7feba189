/*
 * live.ts - usage and requests as they happen; by polling where no stream can
 * be had.
 */
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { EventStream } from '../api/events.ts'
import type { ServerEvent } from '../api/sse.ts'
import type { LiveRequest, Usage } from '../api/types.ts'
import { endSession, suspended, token } from './session.ts'

export type LiveState = 'off' | 'live' | 'polling'
export const liveState = signal<LiveState>('off')

export const POLL_MS = 15000

export interface LiveHandlers {
  onUsage(usage: Usage): void
  onRequest(request: LiveRequest): void
  /** Each POLL_MS while there is no stream, and whenever events were missed. */
  onMissed(): void
}

function parsed<T>(event: ServerEvent): T | null {
  try {
    return JSON.parse(event.data) as T
  } catch {
    return null
  }
}

/* What a later release tells besides is passed over. */
function dispatch(event: ServerEvent, handlers: LiveHandlers): void {
  const data = parsed<unknown>(event)
  if (data === null) return
  switch (event.event) {
    case 'usage': return handlers.onUsage(data as Usage)
    case 'request': return handlers.onRequest(data as LiveRequest)
    case 'skipped':
    case 'reset': return handlers.onMissed()
    case 'bye': return farewell((data as { reason?: string }).reason)
  }
}

/* After any other farewell it is worth connecting again. */
function farewell(reason: string | undefined): void {
  if (reason === 'revoked' || reason === 'expired') endSession()
  if (reason === 'suspended') suspended.value = true
}

function follow(latest: { current: LiveHandlers }): () => void {
  let missed = false, losses = 0, timer = 0
  const rest = () => {
    clearInterval(timer)
    losses = 0
  }
  const stream = new EventStream({
    token: () => token.value,
    onEvent: event => dispatch(event, latest.current),
    onOpen() {
      rest()
      liveState.value = 'live'
      if (missed) latest.current.onMissed()
      missed = false
    },
    onLost() {
      liveState.value = 'polling'
      missed = true
      losses++
      if (losses === 1) timer = window.setInterval(() => latest.current.onMissed(), POLL_MS)
      // It ended and cannot be had again: whether the stream alone is away or
      // the server with it, a call tells now rather than at the next poll.
      if (losses === 2) latest.current.onMissed()
    },
    onRejected: endSession
  })
  const onVisibility = () => {
    if (document.visibilityState === 'visible') {
      stream.start()
    } else { // nobody looks: no stream, no polling
      stream.stop()
      rest()
      missed = true
      liveState.value = 'off'
    }
  }
  document.addEventListener('visibilitychange', onVisibility)
  onVisibility()
  return () => {
    document.removeEventListener('visibilitychange', onVisibility)
    stream.stop()
    clearInterval(timer)
    liveState.value = 'off'
  }
}

export function useLive(handlers: LiveHandlers): void {
  const latest = useRef(handlers)
  latest.current = handlers
  useEffect(() => follow(latest), [token.value])
}
