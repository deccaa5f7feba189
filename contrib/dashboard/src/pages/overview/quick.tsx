/*
 * quick.tsx - what people copy into their own program.
 */
import type { JSX } from 'preact'
import { t } from '../../i18n/index.ts'
import { curlLine, envLines, jsonSettings } from '../../lib/token.ts'
import { token } from '../../state/session.ts'
import { CopyButton } from '../../ui/controls.tsx'
import { Icon } from '../../ui/icons.tsx'
import { Card } from '../../ui/widget.tsx'

export function QuickActions(): JSX.Element {
  const own = (make: (origin: string, key: string) => string) => () => make(location.origin, token.value ?? '')
  return (
    <Card title={t('quick.title')} area="quick">
      <div class="quick">
        <CopyButton text={own(envLines)} label={t('quick.env')} icon="terminal" />
        <CopyButton text={own(jsonSettings)} label={t('quick.json')} icon="braces" />
        <CopyButton text={own(curlLine)} label={t('quick.curl')} icon="code" />
        <a class="button button-plain" href="/docs"><Icon name="book" />{t('quick.docs')}</a>
        <a class="button button-plain" href="/docs/api"><Icon name="info" />{t('quick.api')}</a>
      </div>
    </Card>
  )
}
