/*
 * resource.ts - data of one widget: loading, shown, failed; alone.
 *
 * What is shown stays shown while it is loaded anew or when that fails.  After
 * rate_limited it is asked for once more, when the count-down has ended.
 */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { Fault, networkFault } from '../api/fault.ts'
import { limitedUntilMs, retryTick } from './session.ts'

export interface Resource<T> {
  data: T | undefined
  fault: Fault | null
  loading: boolean
  reload(): void
  update(change: (data: T) => T): void
}

interface State<T> { data?: T, fault: Fault | null, loading: boolean }

/** `deps` say what is asked for: data of other deps are not shown for these. */
export function useResource<T>(load: () => Promise<T>, deps: readonly unknown[], keepOld = false): Resource<T> {
  const [state, setState] = useState<State<T>>({ fault: null, loading: true })
  const turn = useRef(0)
  const retried = useRef(false)
  const current = useRef(load)
  current.current = load

  const run = useCallback(async () => {
    const mine = ++turn.current
    setState(s => ({ ...s, loading: true }))
    try {
      const data = await current.current()
      if (mine !== turn.current) return
      retried.current = false
      setState({ data, fault: null, loading: false })
    } catch (e) {
      if (mine !== turn.current) return
      const fault = networkFault(e)
      setState(s => ({ ...s, fault: fault.kind === 'aborted' ? null : fault, loading: false }))
    }
  }, [])

  useEffect(() => {
    retried.current = false
    if (!keepOld) setState({ fault: null, loading: true })
    void run()
    return () => { turn.current++ }
  }, deps)

  const kind = state.fault?.kind
  const tick = retryTick.value
  const tickSeen = useRef(tick)
  useEffect(() => {
    if (tickSeen.current === tick) return
    tickSeen.current = tick
    if (kind === 'rate') {
      if (retried.current) return
      retried.current = true
    }
    if (kind !== undefined) void run()
  }, [tick, kind])

  const reload = useCallback(() => {
    retried.current = false
    if (Date.now() >= limitedUntilMs.value) void run()
  }, [])
  const update = useCallback((change: (data: T) => T) => {
    setState(s => s.data === undefined ? s : { ...s, data: change(s.data) })
  }, [])
  return { data: state.data, fault: state.fault, loading: state.loading, reload, update }
}

export interface Action<A extends unknown[]> {
  run(...args: A): Promise<boolean>
  busy: boolean
  fault: Fault | null
  clear(): void
}

/** A change by a button: busy while it runs, and once more after rate_limited. */
export function useAction<A extends unknown[]>(act: (...args: A) => Promise<void>): Action<A> {
  const [busy, setBusy] = useState(false)
  const [fault, setFault] = useState<Fault | null>(null)
  const again = useRef<A | null>(null)
  const alive = useRef(true)
  useEffect(() => () => { alive.current = false }, [])

  const attempt = async (args: A, mayRetry: boolean): Promise<boolean> => {
    setBusy(true)
    setFault(null)
    again.current = null
    try {
      await act(...args)
      return true
    } catch (e) {
      const f = networkFault(e)
      if (!alive.current) return false
      if (f.kind === 'rate' && mayRetry) again.current = args
      setFault(f.kind === 'aborted' ? null : f)
      return false
    } finally {
      if (alive.current) setBusy(false)
    }
  }

  const tick = retryTick.value
  useEffect(() => {
    if (again.current !== null) void attempt(again.current, false)
  }, [tick])
  return {
    run: (...args) => attempt(args, true),
    busy,
    fault,
    clear: () => { again.current = null; setFault(null) }
  }
}
