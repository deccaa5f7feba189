-- What an operator asks of the task bus.

-- name: task_page :many
-- Tasks that are not finished, before that one, newest first; of a state, a
-- queue and a name, if given.
SELECT t.task_id AS "task_id!",
       (ARRAY['ready', 'delayed', 'active', 'parked'])[t.state + 1]
		AS "state!",
       t.name AS "name!", t.queue AS "queue!", t.tenant AS "tenant!",
       (-t.rank)::int4 AS "priority!", t.attempt AS "attempt!",
       t.cancel_wanted AS "cancelling!", t.created_at AS "created_at!",
       t.run_at AS "run_at?", NULL::timestamptz AS "ended_at?",
       NULL::text AS "error?"
  FROM tallyd.task t
 WHERE t.task_id < :before::int8
   AND (:state?::int2 IS NULL OR t.state = :state?)
   AND (:queue?::text IS NULL OR t.queue = :queue?)
   AND (:name?::text IS NULL OR t.name = :name?)
 ORDER BY t.task_id DESC
 LIMIT :max::int8;

-- name: task_dead_page :many row=task_page
-- The same of tasks that ended without success; their state is how.
SELECT d.task_id AS "task_id!", d.outcome AS "state!", d.name AS "name!",
       d.queue AS "queue!", d.tenant AS "tenant!",
       d.priority::int4 AS "priority!", d.attempts AS "attempt!",
       false AS "cancelling!", d.created_at AS "created_at!",
       NULL::timestamptz AS "run_at?", d.ended_at AS "ended_at?",
       d.error AS "error?"
  FROM tallyd.task_dead d
 WHERE d.task_id < :before::int8
   AND (:outcome?::text IS NULL OR d.outcome = :outcome?)
   AND (:queue?::text IS NULL OR d.queue = :queue?)
   AND (:name?::text IS NULL OR d.name = :name?)
 ORDER BY d.task_id DESC
 LIMIT :max::int8;

-- name: task_find :one
-- One task that is not finished.
SELECT t.task_id AS "task_id!",
       (ARRAY['ready', 'delayed', 'active', 'parked'])[t.state + 1]
		AS "state!",
       t.name AS "name!", t.queue AS "queue!", t.tenant AS "tenant!",
       (-t.rank)::int4 AS "priority!", t.attempt AS "attempt!",
       t.cancel_wanted AS "cancelling!", t.created_at AS "created_at!",
       t.run_at AS "run_at?", NULL::timestamptz AS "ended_at?",
       NULL::text AS "error?", t.failures::int4 AS "failures?",
       t.losses::int4 AS "losses?", t.payload AS "payload!",
       t.singleton_key AS "singleton_key?", t.event_id AS "event_id?",
       t.retry_limit AS "retry_limit!", t.retry_delay_ms AS "retry_delay_ms!",
       t.retry_backoff AS "retry_backoff!", t.timeout_ms AS "timeout_ms!"
  FROM tallyd.task t
 WHERE t.task_id = :task_id;

-- name: task_dead_find :one row=task_find
-- One that ended without success.
SELECT d.task_id AS "task_id!", d.outcome AS "state!", d.name AS "name!",
       d.queue AS "queue!", d.tenant AS "tenant!",
       d.priority::int4 AS "priority!", d.attempts AS "attempt!",
       false AS "cancelling!", d.created_at AS "created_at!",
       NULL::timestamptz AS "run_at?", d.ended_at AS "ended_at?",
       d.error AS "error?", NULL::int4 AS "failures?",
       NULL::int4 AS "losses?", d.payload AS "payload!",
       d.singleton_key AS "singleton_key?", d.event_id AS "event_id?",
       d.retry_limit AS "retry_limit!", d.retry_delay_ms AS "retry_delay_ms!",
       d.retry_backoff AS "retry_backoff!", d.timeout_ms AS "timeout_ms!"
  FROM tallyd.task_dead d
 WHERE d.task_id = :task_id
 ORDER BY d.ended_at DESC
 LIMIT 1;

-- name: task_attempts :many
-- How its attempts ended, oldest first.
SELECT a.attempt, a.outcome, a.name, a.queue, a.tenant, a.created_at,
       a.started_at, a.ended_at, a.error
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

-- name: task_replay :one
-- One batch of dead letters sent again, see the migration.
SELECT r.looked AS "looked!", r.sent AS "sent!", r.last_id AS "last_id!"
  FROM tallyd.task_replay(:queue?, :name?, :outcomes, :since, :after, :max,
	:actor) AS r;

-- name: task_stats :one
-- What is unfinished, and how attempts ended since then.
SELECT (SELECT count(*) FROM tallyd.task t WHERE t.state <> 2) AS "pending!",
       (SELECT count(*) FROM tallyd.task t WHERE t.state = 2) AS "active!",
       count(*) FILTER (WHERE a.outcome = 'completed') AS "completed!",
       count(*) FILTER (WHERE a.outcome IN ('failed', 'expired', 'lost'))
		AS "failed!",
       count(*) FILTER (WHERE a.outcome = 'cancelled') AS "cancelled!"
  FROM tallyd.task_attempt a
 WHERE a.ended_at >= :since;

-- name: task_failed :many
-- Attempts that failed since then, newest first, of a name if given.
SELECT a.task_id, a.name, a.queue, a.tenant, a.attempt, a.outcome,
       a.created_at, a.started_at, a.ended_at, a.error
  FROM tallyd.task_attempt a
 WHERE a.ended_at >= :since
   AND a.outcome IN ('failed', 'expired', 'lost')
   AND (:name?::text IS NULL OR a.name = :name?)
 ORDER BY a.ended_at DESC, a.task_id DESC
 LIMIT :max::int8;

-- name: queue_page :many
-- Queues that are set up, have tasks or belong to a definition; of one name
-- if given.  oldest_at: since when the oldest of those that are ready waits.
SELECT n.queue AS "queue!", coalesce(c.ready, 0) AS "ready!",
       coalesce(c.delayed, 0) AS "delayed!",
       coalesce(c.active, 0) AS "active!", coalesce(c.parked, 0) AS "parked!",
       coalesce(x.dead, 0) AS "dead!", c.oldest_at AS "oldest_at?",
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
		count(*) FILTER (WHERE t.state = 3) AS parked,
		min(t.run_at) FILTER (WHERE t.state = 0) AS oldest_at
	  FROM tallyd.task t GROUP BY t.queue) c ON c.queue = n.queue
  LEFT JOIN (SELECT d.queue, count(*) AS dead
	  FROM tallyd.task_dead d GROUP BY d.queue) x ON x.queue = n.queue
  LEFT JOIN tallyd.task_queue q ON q.queue = n.queue
 WHERE :queue?::text IS NULL OR n.queue = :queue?
 ORDER BY n.queue
 LIMIT 1000;

-- name: queue_ended :many
-- How many attempts ended in the last seconds, by queue.
SELECT a.queue, count(*) AS "ended!"
  FROM tallyd.task_attempt a
 WHERE a.ended_at >= now() - :seconds::int4 * INTERVAL '1 second'
 GROUP BY a.queue
 LIMIT 1000;

-- name: queue_pause :one
-- Holds a queue, or lets it go.
SELECT tallyd.queue_pause(:queue, :pause, :actor)::text AS done;

-- name: queue_set :one
-- Limits of a queue; null: as it was, 0: none.
SELECT tallyd.queue_set(:queue, :concurrency?, :rate?, :rate_window_ms?,
	:tenant_concurrency?, :tenant_rate?, :tenant_rate_window_ms?,
	:actor)::text AS done;
