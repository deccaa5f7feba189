/*
 * session.ts - the key that is logged in, and how its calls fare.
 *
 * The key is in sessionStorage: it ends with the tab, and no other tab, no
 * address and no cookie ever has it.
 */
import { computed, signal } from '@preact/signals'
import { setCaller } from '../api/client.ts'
import type { Fault } from '../api/fault.ts'
import type { Overview } from '../api/types.ts'
import { go } from './router.ts'

const TOKEN = 'codexible_token'

function stored(): string | null {
  try {
    return sessionStorage.getItem(TOKEN)
  } catch {
    return null
  }
}

export const token = signal<string | null>(stored())
/** Of the last overview; header and pages read it. */
export const overview = signal<Overview | null>(null)
export const isAdmin = computed(() => overview.value?.role === 'admin')
/** Why the login page is shown, if not by the owner's wish. */
export const endedByServer = signal(false)

/** No answer, or 5xx: the pages say so once, above everything. */
export const outage = signal<'network' | 'server' | null>(null)
/** Rate limited until then; 0: not. */
export const limitedUntilMs = signal(0)
export const quotaRefused = signal(false)
export const suspended = signal(false)
/** Counts "try again now": who failed, listens. */
export const retryTick = signal(0)

let calls = new AbortController()

export function keepToken(secret: string): void {
  token.value = secret
  endedByServer.value = false
  try {
    sessionStorage.setItem(TOKEN, secret)
  } catch { /* lasts as long as the page */ }
}

function forget(): void {
  token.value = null
  overview.value = null
  outage.value = null
  limitedUntilMs.value = 0
  quotaRefused.value = false
  suspended.value = false
  try {
    sessionStorage.removeItem(TOKEN)
  } catch { /* never was there */ }
  calls.abort()
  calls = new AbortController()
}

export function logOut(): void {
  forget()
  endedByServer.value = false
  go('login')
}

/** The server knows the key no more: not one call goes out with it again. */
export function endSession(): void {
  forget()
  endedByServer.value = true
  go('login', true)
}

function outcome(fault: Fault | null, used: string | null): void {
  // an answer to a key that was replaced meanwhile says nothing of the new one
  const authenticated = used !== null && used === token.value
  if (fault === null || !['network', 'server', 'aborted'].includes(fault.kind)) outage.value = null
  if (fault === null) {
    if (authenticated) suspended.value = false
    return
  }
  if (fault.kind === 'network' || fault.kind === 'server') outage.value = fault.kind
  if (fault.kind === 'rate') limitedUntilMs.value = Math.max(limitedUntilMs.value, Date.now() + fault.retryAfterS * 1000)
  if (!authenticated) return
  if (fault.kind === 'unauthorized') endSession()
  if (fault.kind === 'quota') quotaRefused.value = true
  if (fault.kind === 'forbidden' && /suspended/i.test(fault.message)) suspended.value = true
}

export function startSession(): void {
  setCaller({ token: () => token.value, signal: () => token.value === null ? undefined : calls.signal, outcome })
}

/** At the end of a count-down, or by the button of the banner. */
export function retryNow(): void {
  limitedUntilMs.value = 0
  retryTick.value++
}
