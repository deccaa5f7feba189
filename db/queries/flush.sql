-- The flusher's way into the database; the rules are in the migration.

-- name: flush_node_open :one
-- Takes (node, epoch) for a live segment, replacing other epochs of the node;
-- the number of its last batch that was applied, 0 for a new one.
-- SQLSTATE TL002: another epoch has replaced this one.
SELECT tallyd.flush_node_open(:node, :epoch) AS "last_seq!";

-- name: flush_apply :one
-- Applies one batch: 'applied' or 'duplicate', and how many rows of
-- request_logs were added.  Arrays of a group have equal length.  replay:
-- from a spool, so a replaced epoch is welcome.  log_since: older rows are
-- skipped.  refused: users that had a request refused for want of credits, and
-- the days.
-- SQLSTATE TL001: a batch before is missing; TL002: epoch was replaced.
SELECT a.outcome AS "outcome!", a.logs_added AS "logs_added!"
  FROM tallyd.flush_apply(:node, :epoch, :seq, :replay,
	:user_ids, :key_ids, :days, :credits, :requests, :costs, :last_used_us,
	:idem_key_ids, :idem_keys, :idem_body_hashes, :idem_days,
	:idem_credits, :idem_costs, :idem_used, :idem_limits, :idem_requests,
	:idem_at_us, :log_since, :log_user_ids, :log_key_ids, :log_models,
	:log_prompt_tokens, :log_completion_tokens, :log_credits, :log_costs,
	:log_at_us, :log_days, :refused_user_ids, :refused_days) AS a;

-- name: request_logs_keep :one
-- Partitions of that day's week and the next, and the oldest that ends before
-- `since` dropped: 'dropped', 'done', 'busy' (try again later).
SELECT tallyd.request_logs_keep(:day, :since) AS "outcome!";

-- name: idempotency_find :one
-- The answer that was given under this key since then (the caller says 24 h
-- ago by its own clock).
SELECT body_hash, day, credits, cost_micro_usd, used, daily_limit, requests, at
  FROM tallyd.idempotency_record
 WHERE key_id = :key_id AND idem_key = :idem_key AND at > :since;

-- name: idempotency_recent :many
-- The newest answers since then, at most :max of them.
SELECT key_id, idem_key, body_hash, day, credits, cost_micro_usd, used,
       daily_limit, requests, at
  FROM tallyd.idempotency_record
 WHERE at > :since
 ORDER BY at DESC
 LIMIT :max::int8;

-- name: idempotency_trim :exec
-- Forgets answers from before then, at most :max of them.
DELETE FROM tallyd.idempotency_record
 WHERE ctid = ANY (ARRAY(SELECT i.ctid FROM tallyd.idempotency_record i
			  WHERE i.at <= :before
			  ORDER BY i.at
			  LIMIT :max::int8));
