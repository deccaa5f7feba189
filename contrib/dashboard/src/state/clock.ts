/*
 * clock.ts - the time for what counts down or says "5 minutes ago".
 */
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'

export const nowMs = signal(Date.now())

let users = 0
let timer = 0

/** While a component that calls it is shown, nowMs moves every second. */
export function useSeconds(): number {
  useEffect(() => {
    if (users++ === 0) {
      nowMs.value = Date.now()
      timer = window.setInterval(() => { nowMs.value = Date.now() }, 1000)
    }
    return () => {
      if (--users === 0) clearInterval(timer)
    }
  }, [])
  return nowMs.value
}
