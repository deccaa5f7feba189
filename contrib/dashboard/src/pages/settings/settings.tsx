/*
 * settings.tsx - who one is, one's keys, how the pages look.
 */
import type { JSX } from 'preact'
import type { Overview } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import { integer } from '../../lib/format.ts'
import { chooseLang, chooseTheme, lang, themeChoice, type ThemeChoice } from '../../state/prefs.ts'
import type { Resource } from '../../state/resource.ts'
import { overview } from '../../state/session.ts'
import { Radios } from '../../ui/controls.tsx'
import { Fact, Facts } from '../../ui/facts.tsx'
import { LANGUAGES, Shell } from '../../ui/shell.tsx'
import { Tabs } from '../../ui/tabs.tsx'
import { Card, Shimmers, Widget } from '../../ui/widget.tsx'
import { KeysTab } from './keys.tsx'

function ProfileTab({ session }: { session: Resource<Overview> }): JSX.Element {
  const of = { ...session, data: overview.value ?? undefined }
  return (
    <Widget title={t('profile.title')} area="profile" of={of} placeholder={<Shimmers size="row" count={6} />}>
      {({ user, usage, key, role }) => (
        <Facts>
          <Fact term={t('profile.email')}>{user.email}</Fact>
          <Fact term={t('profile.name')}>{user.name ?? '—'}</Fact>
          <Fact term={t('profile.plan')}><span class="badge">{user.plan}</span> {t('plan.quota', { limit: integer(usage.daily_limit, lang.value) })}</Fact>
          <Fact term={t('profile.status')}>{t(user.status === 'active' ? 'status.active' : 'status.suspended')}</Fact>
          <Fact term={t('profile.role')}>{t(role === 'admin' ? 'profile.admin' : 'profile.user')}</Fact>
          <Fact term={t('profile.key')}>{key.label} <code>{key.prefix}...</code></Fact>
        </Facts>
      )}
    </Widget>
  )
}

function PreferencesTab(): JSX.Element {
  const themes: { value: ThemeChoice, label: string }[] = [
    { value: 'system', label: t('theme.system') }, { value: 'light', label: t('theme.light') }, { value: 'dark', label: t('theme.dark') }
  ]
  return (
    <Card title={t('preferences.title')}>
      <div class="form">
        <Radios legend={t('theme')} showLegend value={themeChoice.value} options={themes} onChange={chooseTheme} />
        <Radios legend={t('language.choose')} showLegend value={lang.value} options={LANGUAGES} onChange={chooseLang} />
        <p class="hint">{t('preferences.words')}</p>
      </div>
    </Card>
  )
}

export function SettingsPage({ session }: { session: Resource<Overview> }): JSX.Element {
  return (
    <Shell at="settings" title={t('settings.title')}>
      <Tabs
        label={t('settings.title')}
        tabs={[
          { id: 'profile', label: t('settings.profile'), content: () => <ProfileTab session={session} /> },
          { id: 'keys', label: t('settings.keys'), content: () => <KeysTab /> },
          { id: 'preferences', label: t('settings.preferences'), content: () => <PreferencesTab /> }
        ]}
      />
    </Shell>
  )
}
