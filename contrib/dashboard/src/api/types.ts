/*
 * types.ts - short names of what the API answers.
 */
import type { Reply } from './client.ts'
import type { components } from './schema'

export type Overview = Reply<'/api/dashboard/overview', 'get'>
export type Usage = Overview['usage']
export type History = Reply<'/api/usage/history', 'get'>
export type ModelCost = Reply<'/api/usage/models', 'get'>[number]
export type RequestLog = Reply<'/api/usage/detailed', 'get'>[number]
export type HourCount = Reply<'/api/usage/hourly', 'get'>[number]
export type Insights = Reply<'/api/usage/insights', 'get'>
export type Key = Reply<'/api/keys', 'get'>[number]
export type NewKey = Reply<'/api/keys', 'post'>
export type AdminStatus = Reply<'/api/admin/status', 'get'>
export type AdminUser = Reply<'/api/admin/users', 'get'>[number]
export type AdminKey = Reply<'/api/admin/tokens', 'get'>[number]
export type Plan = Reply<'/api/admin/plans', 'get'>[number]
export type Limit = Reply<'/api/admin/limits', 'get'>[number]
export type AuditEntry = Reply<'/api/admin/logs', 'get'>['logs'][number]
export type Doctor = Reply<'/api/admin/doctor', 'get'>
export type Explanation = Reply<'/api/explain/{request_id}', 'get'>
type Events = components['schemas']['Events']
export type LiveRequest = NonNullable<Events['request']>
