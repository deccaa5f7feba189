/*
 * docs.tsx - how to talk to the API, for those who open it the first time.
 */
import type { ComponentChildren, JSX } from 'preact'
import { callOpen, type Reply } from '../../api/client.ts'
import { docsEn } from '../../i18n/docs_en.ts'
import { docsVi } from '../../i18n/docs_vi.ts'
import { t } from '../../i18n/index.ts'
import { fill } from '../../i18n/table.ts'
import { lang } from '../../state/prefs.ts'
import { useResource } from '../../state/resource.ts'
import { CopyButton } from '../../ui/controls.tsx'
import { Icon } from '../../ui/icons.tsx'
import { Shell } from '../../ui/shell.tsx'
import { Table } from '../../ui/table.tsx'

type Key = keyof typeof docsEn
type DemoKey = Reply<'/docs/demo.json', 'get'>['demo_keys'][number]

function d(key: Key, values: Record<string, string> = {}): string {
  return fill((lang.value === 'vi' ? docsVi : docsEn)[key], values)
}

const ERRORS = [
  ['bad_request', 400], ['unauthorized', 401], ['forbidden', 403], ['not_found', 404],
  ['method_not_allowed', 405], ['conflict', 409], ['key_limit_reached', 409], ['payload_too_large', 413],
  ['unsupported_media_type', 415], ['rate_limited', 429], ['quota_exceeded', 429],
  ['internal_error', 500], ['service_unavailable', 503]
] as const
const LIMITS = ['key', 'address', 'credits'] as const
const SECTIONS = ['auth', 'doors', 'limits', 'errors'] as const

function Code({ children, label }: { children: string, label: string }): JSX.Element {
  return (
    <div class="code">
      <pre tabIndex={0} aria-label={label}>{children}</pre>
      <CopyButton bare text={children} label={t('copy.what', { what: label })} />
    </div>
  )
}

function Section({ id, children }: { id: (typeof SECTIONS)[number], children: ComponentChildren }): JSX.Element {
  return (
    <section id={id} class="card doc" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{d(id)}</h2>
      <p>{d(`${id}.words`)}</p>
      {children}
    </section>
  )
}

const curl = (method: string, path: string, body?: string) => [
  `curl -i${method === 'GET' ? '' : ` -X ${method}`} '${location.origin}${path}' \\`,
  `  -H 'Authorization: Bearer YOUR_KEY'${body === undefined ? '' : ' \\'}`,
  ...(body === undefined ? [] : [`  -H 'Content-Type: application/json' -d '${body}'`])
].join('\n')

/* Public keys of the demo data. */
function DemoKeys({ keys }: { keys: readonly DemoKey[] }): JSX.Element {
  return (
    <section class="card doc" aria-labelledby="demo-title">
      <h2 id="demo-title">{d('demo')}</h2>
      <p>{d('demo.words')}</p>
      <Table
        caption={d('demo')} rows={keys} keyOf={k => k.key}
        columns={[
          { label: d('demo.plan'), cell: k => <span class="badge">{k.plan}</span> },
          { label: d('demo.key'), cell: k => <span class="with-copy"><code>{k.key}</code><CopyButton bare text={k.key} label={d('demo.copy', { plan: k.plan })} /></span> }
        ]}
      />
    </section>
  )
}

function Doors(): JSX.Element {
  const doors = [
    ['gate', 'GET', '/api/gate', undefined],
    ['verify', 'POST', '/api/verify', '{"key":"KEY_OF_YOUR_CUSTOMER"}'],
    ['record', 'POST', '/api/usage/record', '{"model":"gpt-4o","prompt_tokens":1500,"completion_tokens":500}']
  ] as const
  return (
    <>
      {doors.map(([name, method, path, body]) => (
        <div key={name} class="door">
          <h3><code>{method} {path}</code></h3>
          <p>{d(`doors.${name}`)}</p>
          <Code label={`${method} ${path}`}>{curl(method, path, body)}</Code>
        </div>
      ))}
    </>
  )
}

function Sections(): JSX.Element {
  const error = '{"error":{"code":"quota_exceeded","message":"Daily credit limit reached (250/250)","status":429}}'
  return (
    <>
      <Section id="auth">
        <h3>{d('auth.example')}</h3>
        <Code label={d('auth.example')}>{curl('GET', '/api/usage/today')}</Code>
        <p class="muted">{d('auth.keep')}</p>
      </Section>
      <Section id="doors"><Doors /></Section>
      <Section id="limits">
        <Table
          caption={d('limits')} rows={LIMITS} keyOf={l => l}
          columns={[
            { label: d('limits.name'), cell: l => d(`limits.${l}`) },
            { label: d('limits.usual'), cell: l => d(`limits.${l}.value`) },
            { label: d('limits.counted'), cell: l => d(`limits.${l}.by`) }
          ]}
        />
        <p class="muted">{d('limits.headers')}</p>
      </Section>
      <Section id="errors">
        <Code label={d('errors')}>{error}</Code>
        <Table
          caption={d('errors')} rows={ERRORS} keyOf={([code]) => code}
          columns={[
            { label: d('errors.code'), cell: ([code]) => <code>{code}</code> },
            { label: d('errors.status'), right: true, cell: ([, status]) => status },
            { label: d('errors.when'), cell: ([code]) => d(`error.${code}`) }
          ]}
        />
      </Section>
    </>
  )
}

export function DocsPage(): JSX.Element {
  const demo = useResource(() => callOpen('get', '/docs/demo.json'), [])
  const keys = demo.data?.demo_keys ?? []
  return (
    <Shell at="docs" title={d('title')}>
      <div class="docs">
        <div class="docs-lead">
          <p>{d('lead')}</p>
          <div class="docs-links">
            <a class="button button-primary" href="/docs/api"><Icon name="code" />{d('api')}</a>
            <a class="button button-plain" href="/openapi.json"><Icon name="braces" />{d('openapi')}</a>
          </div>
        </div>
        {keys.length > 0 && <DemoKeys keys={keys} />}
        {!demo.loading && <Sections /> /* not before what stands above them is known */}
      </div>
    </Shell>
  )
}
