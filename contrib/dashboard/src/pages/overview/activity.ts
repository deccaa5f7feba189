/*
 * activity.ts - requests from the log and those that were told live, as one
 * list.  Pure.
 *
 * The log has what was recorded with model and tokens; live ones are known by
 * their decision only, and those of other doors never come to the log.
 */
import type { LiveRequest, RequestLog } from '../../api/types.ts'
import { mergeRecent } from '../../lib/usage.ts'

export interface LiveEntry { id: string, created_at: string, request: LiveRequest }
export interface LogEntry { id: string, created_at: string, log: RequestLog }
export type Entry = LiveEntry | LogEntry

const LIVE_MAX = 100

export function keptLive(list: readonly LiveEntry[]): LiveEntry[] {
  return list.slice(0, LIVE_MAX)
}

/* A recorded request is shown from its event until the log has it. */
function notYetLogged(entry: LiveEntry, newestLogged: string): boolean {
  const { door, code } = entry.request
  return door !== 'record' || code !== 'ok' || entry.created_at > newestLogged
}

export function entries(logs: readonly RequestLog[], live: readonly LiveEntry[], most: number): Entry[] {
  const logged: LogEntry[] = logs.map(log => ({ id: log.id, created_at: log.created_at, log }))
  const newest = logged[0]?.created_at ?? ''
  return mergeRecent<Entry>(live.filter(e => notYetLogged(e, newest)), logged, most)
}
