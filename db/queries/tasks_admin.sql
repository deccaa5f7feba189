-- What an operator asks of the task bus.

-- name: task_page :many
-- Tasks that are not finished, newest first, of a queue and a name, if given.
SELECT t.task_id, t.state, t.name, t.queue, t.tenant, t.attempt, t.failures,
       -t.rank AS "priority!", t.cancel_wanted, t.run_at, t.created_at
  FROM tallyd.task t
 WHERE (:queue?::text IS NULL OR t.queue = :queue?)
   AND (:name?::text IS NULL OR t.name = :name?)
 ORDER BY t.task_id DESC
 LIMIT :max::int8;

-- name: task_dead_page :many
-- Tasks that ended without success, newest first.
SELECT d.task_id, d.outcome, d.name, d.queue, d.tenant, d.attempts,
       d.ended_at, d.error
  FROM tallyd.task_dead d
 WHERE (:queue?::text IS NULL OR d.queue = :queue?)
   AND (:name?::text IS NULL OR d.name = :name?)
 ORDER BY d.task_id DESC
 LIMIT :max::int8;

-- name: task_find :one
-- One task, be it finished without success or not finished at all.
SELECT t.task_id, t.state, t.name, t.queue, t.tenant, t.attempt, t.failures,
       t.losses, -t.rank AS "priority!", t.payload, t.singleton_key,
       t.event_id, t.retry_limit, t.retry_delay_ms, t.retry_backoff,
       t.timeout_ms, t.run_at, t.created_at
  FROM tallyd.task t
 WHERE t.task_id = :task_id;

-- name: task_dead_find :one
-- The same of one that ended without success.
SELECT d.task_id, d.outcome, d.name, d.queue, d.tenant, d.attempts,
       d.priority, d.payload, d.singleton_key, d.event_id, d.retry_limit,
       d.retry_delay_ms, d.retry_backoff, d.timeout_ms, d.created_at,
       d.ended_at, d.error
  FROM tallyd.task_dead d
 WHERE d.task_id = :task_id
 ORDER BY d.ended_at DESC
 LIMIT 1;

-- name: task_attempts :many
-- How its attempts ended, oldest first.
SELECT a.attempt, a.outcome, a.name, a.started_at, a.ended_at, a.error
  FROM tallyd.task_attempt a
 WHERE a.task_id = :task_id
 ORDER BY a.attempt
 LIMIT 1000;

-- name: task_cancel :one
-- 'cancelled', 'cancelling', or null for no such task.
SELECT tallyd.task_cancel(:task_id, :actor) AS outcome;

-- name: task_retry :one
-- 'sent', 'due', 'active', 'suppressed', or null for no such task.
SELECT tallyd.task_retry(:task_id, :payload?, :actor) AS outcome;

-- name: queue_page :many
-- Queues that are set up, have tasks or belong to a definition.
SELECT n.queue AS "queue!", coalesce(c.ready, 0) AS "ready!",
       coalesce(c.delayed, 0) AS "delayed!",
       coalesce(c.active, 0) AS "active!", coalesce(c.parked, 0) AS "parked!",
       q.paused_at AS "paused_at?", q.concurrency AS "concurrency?",
       q.rate_count AS "rate_count?", q.rate_window_ms AS "rate_window_ms?",
       q.tenant_concurrency AS "tenant_concurrency?",
       q.tenant_rate_count AS "tenant_rate_count?",
       q.tenant_rate_window_ms AS "tenant_rate_window_ms?"
  FROM (SELECT k.queue FROM tallyd.task_queue k
	 UNION SELECT d.queue FROM tallyd.task_definition d
	 UNION SELECT DISTINCT t.queue FROM tallyd.task t) n
  LEFT JOIN (SELECT t.queue, count(*) FILTER (WHERE t.state = 0) AS ready,
		count(*) FILTER (WHERE t.state = 1) AS delayed,
		count(*) FILTER (WHERE t.state = 2) AS active,
		count(*) FILTER (WHERE t.state = 3) AS parked
	  FROM tallyd.task t GROUP BY t.queue) c ON c.queue = n.queue
  LEFT JOIN tallyd.task_queue q ON q.queue = n.queue
 ORDER BY n.queue
 LIMIT 1000;

-- name: queue_pause :one
-- Holds a queue, or lets it go.
SELECT tallyd.queue_pause(:queue, :pause, :actor)::text AS done;

-- name: queue_set :one
-- Limits of a queue; null: as it was, 0: none.
SELECT tallyd.queue_set(:queue, :concurrency?, :rate?, :rate_window_ms?,
	:tenant_concurrency?, :tenant_rate?, :tenant_rate_window_ms?,
	:actor)::text AS done;
