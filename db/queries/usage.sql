-- Usage as its owner sees it: sums by day, rows of the request log.
--
-- Days and moments are parameters, by the clock of the request.

-- name: usage_days :one
-- A user's sums of each day that has a row, over all keys; and, of the same
-- snapshot, what the caller needs to add what is on its way (shm/books.h):
-- the last batch of (:node, :epoch) that was applied, and the digests of the
-- keys that are active or were so since then.
SELECT coalesce((SELECT n.last_seq FROM tallyd.flush_node n
		  WHERE n.node_id = :node AND n.epoch = :epoch), 0)
		AS "last_seq!",
       ARRAY(SELECT decode(k.key_hash, 'hex') FROM api_keys k
	      WHERE k.user_id = :user_id
		AND (k.status = 'active' OR k.revoked_at > :since))
		AS "digests!",
       coalesce(array_agg(d.date), '{}') AS "days!",
       coalesce(array_agg(d.credits), '{}') AS "credits!",
       coalesce(array_agg(d.requests), '{}') AS "requests!",
       coalesce(array_agg(d.costs), '{}') AS "costs!"
  FROM (SELECT u.date, sum(u.credits_used)::int8 AS credits,
	       sum(u.request_count)::int8 AS requests,
	       sum(u.cost_micro_usd)::int8 AS costs
	  FROM daily_usage u
	 WHERE u.user_id = :user_id AND u.date BETWEEN :first AND :last
	 GROUP BY u.date) d;

-- name: usage_requests :many
-- Rows of the request log of a user since then, newest first, behind the
-- place (:before, :before_id).
SELECT r.request_log_id, r.model, r.prompt_tokens, r.completion_tokens,
       r.credits, r.cost_micro_usd, r.created_at, r.date
  FROM request_logs r
 WHERE r.user_id = :user_id
   AND r.created_at >= :since AND r.created_at <= :before
   AND (r.created_at < :before OR r.request_log_id > :before_id)
 ORDER BY r.created_at DESC, r.request_log_id
OFFSET :skip::int8 LIMIT :max::int8;

-- name: usage_models :many
-- Sums by model since then, the dearest first, then by name.
SELECT r.model, sum(r.cost_micro_usd)::int8 AS "cost_micro_usd!",
       count(*) AS "requests!", sum(r.prompt_tokens)::int8 AS "prompt_tokens!",
       sum(r.completion_tokens)::int8 AS "completion_tokens!"
  FROM request_logs r
 WHERE r.user_id = :user_id AND r.created_at >= :since
 GROUP BY r.model
 ORDER BY 2 DESC, r.model COLLATE "C"
 LIMIT :max::int8;

-- name: usage_hours :many
-- Requests by hour of the day, UTC, in [:since, :until).
SELECT extract(hour FROM r.created_at AT TIME ZONE 'UTC')::int4 AS "hour!",
       count(*) AS "requests!"
  FROM request_logs r
 WHERE r.user_id = :user_id
   AND r.created_at >= :since AND r.created_at < :until
 GROUP BY 1;

-- name: usage_tokens :one
-- Tokens since then, and the hour of the day with most requests, the earlier
-- of equals.
WITH hours AS (
	SELECT extract(hour FROM r.created_at AT TIME ZONE 'UTC')::int4
			AS hour,
	       count(*) AS requests, sum(r.prompt_tokens)::int8 AS prompt,
	       sum(r.completion_tokens)::int8 AS completion
	  FROM request_logs r
	 WHERE r.user_id = :user_id AND r.created_at >= :since
	 GROUP BY 1
)
SELECT coalesce(sum(h.prompt), 0)::int8 AS "prompt_tokens!",
       coalesce(sum(h.completion), 0)::int8 AS "completion_tokens!",
       (SELECT p.hour FROM hours p ORDER BY p.requests DESC, p.hour LIMIT 1)
		AS "peak_hour?"
  FROM hours h;

-- name: usage_totals :one
-- All users: how many there are, active keys, what all active users may use
-- in a day, what the database holds of :day as of the last batch of (:node,
-- :epoch).  Reads whole tables: not for every request.
SELECT coalesce((SELECT n.last_seq FROM tallyd.flush_node n
		  WHERE n.node_id = :node AND n.epoch = :epoch), 0)
		AS "last_seq!",
       (SELECT count(*) FROM users) AS "users!",
       (SELECT count(*) FROM api_keys WHERE status = 'active')
		AS "active_keys!",
       (SELECT coalesce(sum(p.daily_credit_limit::int8 * n.n), 0)::int8
	  FROM (SELECT u.plan_id, count(*) AS n FROM users u
		 WHERE u.status = 'active' GROUP BY u.plan_id) n
	  JOIN plans p ON p.plan_id = n.plan_id) AS "daily_limit!",
       coalesce(sum(d.credits_used), 0)::int8 AS "credits!",
       coalesce(sum(d.request_count), 0)::int8 AS "requests!"
  FROM daily_usage d
 WHERE d.date = :day;

-- name: usage_all_days :one
-- The sums of all users of each day that has a row, and the last batch of
-- (:node, :epoch) in them.  For people at a terminal, not for requests.
SELECT coalesce((SELECT n.last_seq FROM tallyd.flush_node n
		  WHERE n.node_id = :node AND n.epoch = :epoch), 0)
		AS "last_seq!",
       coalesce(array_agg(d.date), '{}') AS "days!",
       coalesce(array_agg(d.credits), '{}') AS "credits!",
       coalesce(array_agg(d.requests), '{}') AS "requests!",
       coalesce(array_agg(d.costs), '{}') AS "costs!"
  FROM (SELECT u.date, sum(u.credits_used)::int8 AS credits,
	       sum(u.request_count)::int8 AS requests,
	       sum(u.cost_micro_usd)::int8 AS costs
	  FROM daily_usage u
	 WHERE u.date BETWEEN :first AND :last
	 GROUP BY u.date) d;
