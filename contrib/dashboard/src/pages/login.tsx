/*
 * login.tsx - one field: the key.
 */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { callOpen } from '../api/client.ts'
import { t } from '../i18n/index.ts'
import { cleanToken } from '../lib/token.ts'
import { useAction } from '../state/resource.ts'
import { go } from '../state/router.ts'
import { endedByServer, keepToken } from '../state/session.ts'
import { Button, Field } from '../ui/controls.tsx'
import { faultWords } from '../ui/fault.tsx'
import { Logo } from '../ui/icons.tsx'
import { Shell } from '../ui/shell.tsx'

/* The daemon's words for a decided answer, in the reader's language. */
function refusalWords(message: string | null): string {
  switch (message) {
    case 'Token is required': return t('login.required')
    case 'Account is suspended': return t('login.suspended')
    case 'Invalid token': return t('login.invalid')
    default: return message ?? t('login.invalid')
  }
}

export function LoginPage(): JSX.Element {
  const [key, setKey] = useState('')
  const [refusal, setRefusal] = useState<string | null | undefined>(undefined)

  const logIn = useAction(async () => {
    const secret = cleanToken(key)
    setRefusal(undefined)
    const answer = await callOpen('post', '/api/auth/validate', { body: { token: secret } })
    if (!answer.valid) {
      setRefusal(answer.message)
      return
    }
    keepToken(secret)
    go(answer.role === 'admin' ? 'admin' : 'overview')
  })
  const error = logIn.fault !== null ? faultWords(logIn.fault)
    : refusal !== undefined ? refusalWords(refusal)
      : null
  const submit = (e: SubmitEvent) => {
    e.preventDefault()
    endedByServer.value = false
    void logIn.run()
  }
  return (
    <Shell at="login" title={t('login.title')}>
      <form class="card login" onSubmit={submit} noValidate>
        <div class="login-mark"><Logo /></div>
        <p class="muted">{t('login.words')}</p>
        {endedByServer.value && <p class="note note-warn" role="alert">{t('login.ended')}</p>}
        <Field label={t('login.key')} type="password" value={key} onInput={setKey} error={error} mono autoFocus placeholder="codexible_…" />
        <Button submit kind="primary" busy={logIn.busy}>{logIn.busy ? t('login.busy') : t('login.submit')}</Button>
        <p class="hint">{t('login.kept')}</p>
        <p class="hint"><a href="/docs">{t('login.docs')}</a></p>
      </form>
    </Shell>
  )
}
