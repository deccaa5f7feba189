/*
 * explain.tsx - why a request was let in or refused, in the daemon's words.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { call } from '../../api/client.ts'
import type { Explanation } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { utcTime } from '../../lib/format.ts'
import { cleanToken } from '../../lib/token.ts'
import { useAction } from '../../state/resource.ts'
import { Button, Field } from '../../ui/controls.tsx'
import { FaultNote } from '../../ui/fault.tsx'
import { Card } from '../../ui/widget.tsx'

function Answer({ of }: { of: Explanation }): JSX.Element {
  return (
    <div class={`explanation ${of.code === 'ok' ? 'explanation-good' : 'explanation-bad'}`} aria-live="polite">
      <p class="muted">{utcTime(of.time)} · HTTP {of.status}</p>
      <ul aria-label={t('explain.answer')}>
        {of.lines.map((line, i) => <li key={i}>{line}</li>)}
      </ul>
    </div>
  )
}

/** By a button, for a request that is shown. */
export function Explain({ requestId }: { requestId: string }): JSX.Element {
  const [answer, setAnswer] = useState<Explanation | null>(null)
  const ask = useAction(async (id: string) => {
    setAnswer(null)
    setAnswer(await call('get', '/api/explain/{request_id}', { path: { request_id: id } }))
  })
  return (
    <div class="explain">
      {answer === null && <Button icon="info" busy={ask.busy} onClick={() => void ask.run(requestId)}>{t('explain.submit')}</Button>}
      {ask.fault !== null && <FaultNote fault={ask.fault} />}
      {answer !== null && <Answer of={answer} />}
    </div>
  )
}

/** For a request whose id was pasted. */
export function ExplainCard(): JSX.Element {
  const [id, setId] = useState('')
  const [answer, setAnswer] = useState<Explanation | null>(null)
  const ask = useAction(async () => {
    setAnswer(null)
    setAnswer(await call('get', '/api/explain/{request_id}', { path: { request_id: cleanToken(id) } }))
  })
  const submit = (e: SubmitEvent) => {
    e.preventDefault()
    void ask.run()
  }
  return (
    <Card title={t('explain.title')}>
      <p class="muted">{t('explain.words')}</p>
      <form class="form-line" onSubmit={submit}>
        <Field label={t('explain.id')} value={id} onInput={setId} required mono />
        <Button submit kind="primary" busy={ask.busy}>{t('explain.submit')}</Button>
      </form>
      {ask.fault !== null && <FaultNote fault={ask.fault} />}
      {answer !== null && <Answer of={answer} />}
    </Card>
  )
}
