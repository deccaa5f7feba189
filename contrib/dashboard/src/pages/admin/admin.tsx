/*
 * admin.tsx - for those who run the product.
 */
import type { JSX } from 'preact'
import type { Overview } from '../../api/types.ts'
import { t } from '../../i18n/index.ts'
import type { Resource } from '../../state/resource.ts'
import { isAdmin, overview } from '../../state/session.ts'
import { FaultNote } from '../../ui/fault.tsx'
import { Icon } from '../../ui/icons.tsx'
import { Shell } from '../../ui/shell.tsx'
import { Tabs } from '../../ui/tabs.tsx'
import { Shimmers } from '../../ui/widget.tsx'
import { AdminKeysTab } from './keys.tsx'
import { LimitsTab } from './limits.tsx'
import { LogTab } from './log.tsx'
import { PlansTab } from './plans.tsx'
import { StatusTab } from './status.tsx'
import { UsersTab } from './users.tsx'

/* Until the daemon has said who this is, nothing is asked that it refuses. */
function Content({ session }: { session: Resource<Overview> }): JSX.Element {
  if (isAdmin.value) {
    return (
      <Tabs
        label={t('admin.title')}
        tabs={[
          { id: 'status', label: t('admin.status'), content: () => <StatusTab /> },
          { id: 'users', label: t('users.title'), content: () => <UsersTab /> },
          { id: 'keys', label: t('admin.keys'), content: () => <AdminKeysTab /> },
          { id: 'plans', label: t('plans.title'), content: () => <PlansTab /> },
          { id: 'limits', label: t('limits.title'), content: () => <LimitsTab /> },
          { id: 'log', label: t('log.title'), content: () => <LogTab /> }
        ]}
      />
    )
  }
  if (overview.value !== null) return <div class="card"><div class="fault"><Icon name="warn" /><p role="alert">{t('admin.forbidden')}</p></div></div>
  if (session.fault !== null) return <div class="card"><FaultNote fault={session.fault} onRetry={session.reload} /></div>
  return <div class="card" aria-busy="true"><Shimmers size="row" count={6} /></div>
}

export function AdminPage({ session }: { session: Resource<Overview> }): JSX.Element {
  return <Shell at="admin" title={t('admin.title')}><Content session={session} /></Shell>
}
