-- The task bus; the rules are in the migration.

-- name: task_insert :one
-- Sends one task, in the caller's transaction when there is one.  No row: its
-- singleton key is taken.
INSERT INTO tallyd.task (state, rank, name, queue, tenant, payload,
	singleton_key, run_at, retry_limit, retry_delay_ms, retry_backoff,
	timeout_ms)
VALUES (CASE WHEN :delay_ms::int8 > 0 THEN 1 ELSE 0 END, :rank, :name, :queue,
	:tenant, :payload, :singleton_key?, clock_timestamp()
	+ :delay_ms::int8 * INTERVAL '1 millisecond', :retry_limit,
	:retry_delay_ms, :retry_backoff, :timeout_ms)
ON CONFLICT (queue, singleton_key) WHERE singleton_key IS NOT NULL DO NOTHING
RETURNING task_id;

-- name: event_insert :one
-- Tells an event, and makes one task for each of its handlers.
SELECT e.event_id AS "event_id!", e.tasks AS "tasks!"
  FROM tallyd.event_insert(:event, :payload, :names, :queues, :retry_limits,
	:retry_delays_ms, :retry_backoffs, :timeouts_ms) AS e;

-- name: task_register :one
-- What this runner can do; how many names.
SELECT tallyd.task_register(:names, :queues, :events, :retry_limits,
	:retry_delays_ms, :retry_backoffs, :timeouts_ms) AS "names!";

-- name: task_claim :many
-- The next tasks of these names, at most :max.
SELECT c.task_id AS "task_id!", c.attempt AS "attempt!",
       c.failures AS "failures!", c.name AS "name!", c.queue AS "queue!",
       c.tenant AS "tenant!", c.payload AS "payload!", c.event_id,
       c.retry_limit AS "retry_limit!", c.retry_delay_ms AS "retry_delay_ms!",
       c.retry_backoff AS "retry_backoff!", c.timeout_ms AS "timeout_ms!",
       c.created_at AS "created_at!", c.run_at AS "run_at!",
       c.trace
  FROM tallyd.task_claim(:epoch, :spawn, :names, :max, :queues, :wants,
	:tenant_wants, :turns, :full_queues, :full_tenants) AS c;

-- name: task_look :one
-- Makes ready what is due; how many, and when the next one is.
SELECT l.promoted AS "promoted!", l.next_ms FROM tallyd.task_look(:max, :names) AS l;

-- name: task_finish :one
-- How attempts ended; how many of them still counted.
SELECT tallyd.task_finish(:epoch, :spawn, :ids, :attempts, :actions, :outcomes,
	:delays_ms, :started_us, :ended_us, :errors, :audit_all)
	AS "accepted!";

-- name: task_mine :many
-- What this runner holds as the database knows it.
SELECT t.task_id, t.attempt, t.cancel_wanted
  FROM tallyd.task t
 WHERE t.state = 2 AND t.owner_epoch = :epoch AND t.owner_spawn = :spawn
 LIMIT 10000;

-- name: task_owned :many
-- The processes of this segment that hold tasks.
SELECT DISTINCT t.owner_spawn AS "owner_spawn!"
  FROM tallyd.task t
 WHERE t.state = 2 AND t.owner_epoch = :epoch
 LIMIT 1000;

-- name: task_release :one
-- The claims of a process that died; how many.
SELECT tallyd.task_lose(array_agg(t.task_id), array_agg(t.attempt), :limit,
	'its runner died') AS "released?"
  FROM (SELECT t.task_id, t.attempt FROM tallyd.task t
	 WHERE t.state = 2 AND t.owner_epoch = :epoch
	   AND t.owner_spawn = :spawn
	 ORDER BY t.task_id FOR UPDATE) t;

-- name: task_expire :one
-- The claims of whole hosts that are gone: those whose lease is over, and
-- those of earlier segments of this node; how many.
SELECT tallyd.task_lose(array_agg(t.task_id), array_agg(t.attempt), :limit,
	'its host is gone') AS "released?"
  FROM (SELECT t.task_id, t.attempt FROM tallyd.task t
	 WHERE t.state = 2
	   AND (t.owner_epoch < :epoch OR t.owner_epoch > :epoch)
	   AND (t.lease_until < clock_timestamp()
		OR EXISTS (SELECT FROM tallyd.flush_node n
			WHERE n.node_id = :node AND n.epoch = t.owner_epoch))
	 LIMIT 1000 FOR UPDATE SKIP LOCKED) t;

-- name: task_weeks_keep :one
-- This week's and the next one's partition of a table, and the oldest that
-- ends before :since dropped: 'dropped', 'done', 'busy'.
SELECT tallyd.weeks_keep(:table, :since) AS "outcome!";

-- name: task_queues :many
-- Queues that somebody has set up.
SELECT queue, paused_at, concurrency, rate_count, rate_window_ms,
       tenant_concurrency, tenant_rate_count, tenant_rate_window_ms
  FROM tallyd.task_queue
 ORDER BY queue
 LIMIT 1000;

-- name: task_selftest_begin :exec
-- The attempt of a test's task begins.
INSERT INTO tallyd.task_selftest (task_id, attempt, pid)
VALUES (:task_id, :attempt, :pid);

-- name: task_selftest_end :exec
-- And ends.
UPDATE tallyd.task_selftest SET ended_at = clock_timestamp()
 WHERE task_id = :task_id AND attempt = :attempt;

-- name: task_depth :one
-- How many tasks are ready and how many wait for their time; counts no
-- further than :max.
SELECT (SELECT count(*) FROM (SELECT FROM tallyd.task t
		WHERE t.state = 0 LIMIT :max::int8) r) AS "ready!",
       (SELECT count(*) FROM (SELECT FROM tallyd.task t
		WHERE t.state = 1 LIMIT :max::int8) w) AS "delayed!";
