-- Outgoing webhooks; the rules are in the migration.
--
-- With a user_id the statements of owners reach only what is theirs.

-- name: webhook_insert :one
-- Makes an endpoint: outcome 'made', 'no_user' or 'too_many'.
SELECT outcome AS "outcome!", webhook_id
  FROM tallyd.webhook_insert(:actor, :user_id, :max, :url, :description,
	:events, :enabled, :ordered, :rate_per_minute?, :concurrency?,
	:secret);

-- name: webhook_own :many
-- A user's endpoints, oldest first.
SELECT e.webhook_id, e.url, e.description, e.events, e.enabled, e.ordered,
       e.rate_per_minute, e.concurrency, e.disabled_reason, e.disabled_at,
       e.failing_since,
       CASE WHEN e.previous_until > now() THEN e.previous_until END
	AS "previous_until?", e.created_at, e.updated_at
  FROM webhook_endpoints e
 WHERE e.user_id = :user_id
 ORDER BY e.created_at, e.webhook_id
 LIMIT 1000;

-- name: webhook_one :one row=webhook_own
-- One endpoint.
SELECT e.webhook_id, e.url, e.description, e.events, e.enabled, e.ordered,
       e.rate_per_minute, e.concurrency, e.disabled_reason, e.disabled_at,
       e.failing_since,
       CASE WHEN e.previous_until > now() THEN e.previous_until END
	AS "previous_until?", e.created_at, e.updated_at
  FROM webhook_endpoints e
 WHERE e.webhook_id = :webhook_id
   AND (:user_id?::uuid IS NULL OR e.user_id = :user_id?::uuid);

-- name: webhook_search :many
-- All endpoints, newest first, behind a place; those only whose owner's e-mail,
-- description or URL has the text, whose case does not matter.
SELECT e.webhook_id, e.user_id, u.email, e.url, e.description, e.events,
       e.enabled, e.ordered, e.disabled_reason, e.failing_since, e.created_at,
       (SELECT count(*) FROM tallyd.webhook_delivery d
	 WHERE d.webhook_id = e.webhook_id
	   AND d.state IN ('waiting', 'pending')) AS "unfinished!"
  FROM webhook_endpoints e JOIN users u ON u.user_id = e.user_id
 WHERE (e.created_at, e.webhook_id) < (:before::timestamptz, :before_id::uuid)
   AND (:text::text = '' OR position(lower(:text::text) IN lower(u.email)) > 0
	OR position(lower(:text::text) IN lower(e.description)) > 0
	OR position(lower(:text::text) IN lower(e.url)) > 0)
 ORDER BY e.created_at DESC, e.webhook_id DESC
 LIMIT :max::int8;

-- name: webhook_change :one
-- Changes what is given; no row when there is none.  Enabling forgets why it
-- was disabled.  A limit of 0 is none.
WITH done AS (
	UPDATE webhook_endpoints e
	   SET url = coalesce(:url?::text, e.url),
	       description = coalesce(:description?::text, e.description),
	       events = CASE WHEN :has_events::boolean THEN :events::text[]
			ELSE e.events END,
	       enabled = coalesce(:enabled?::boolean, e.enabled),
	       ordered = coalesce(:ordered?::boolean, e.ordered),
	       rate_per_minute = nullif(coalesce(:rate_per_minute?::int,
			e.rate_per_minute), 0),
	       concurrency = nullif(coalesce(:concurrency?::int,
			e.concurrency), 0),
	       disabled_reason = CASE WHEN :enabled?::boolean IS NULL
			THEN e.disabled_reason END,
	       disabled_at = CASE WHEN :enabled?::boolean IS NULL
			THEN e.disabled_at
			WHEN NOT :enabled?::boolean THEN now() END,
	       failing_since = CASE WHEN :enabled?::boolean THEN NULL
			ELSE e.failing_since END
	 WHERE e.webhook_id = :webhook_id AND e.user_id = :user_id
	RETURNING e.webhook_id, e.url
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor, 'webhook.update', done.webhook_id::text, done.url
	  FROM done
)
SELECT webhook_id FROM done;

-- name: webhook_delete :one
-- Removes an endpoint with all that was sent to it; no row when there is none.
WITH done AS (
	DELETE FROM webhook_endpoints e
	 WHERE e.webhook_id = :webhook_id AND e.user_id = :user_id
	RETURNING e.webhook_id, e.url
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor, 'webhook.delete', done.webhook_id::text, done.url
	  FROM done
)
SELECT webhook_id FROM done;

-- name: webhook_rotate :one
-- A new secret; the one before signs too for so many seconds.  No row when
-- there is no such endpoint.
WITH done AS (
	UPDATE webhook_endpoints e
	   SET previous_secret = CASE WHEN :overlap_s::int > 0 THEN e.secret END,
	       previous_until = CASE WHEN :overlap_s::int > 0 THEN now() +
			:overlap_s::int * INTERVAL '1 second' END,
	       secret = :secret
	 WHERE e.webhook_id = :webhook_id AND e.user_id = :user_id
	RETURNING e.webhook_id, e.previous_until
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor, 'webhook.rotate', done.webhook_id::text,
	       'overlap ' || :overlap_s::int || ' s' FROM done
)
SELECT webhook_id, previous_until FROM done;

-- name: webhook_test :one
-- Sends 'webhook.test'; its delivery, null when there is no such endpoint or
-- it is disabled.
SELECT tallyd.webhook_test(:actor, :webhook_id, :user_id?) AS "delivery_id?";

-- name: webhook_replay :one
-- Sends one delivery, or those since then that did not arrive, once more; how
-- many.
SELECT tallyd.webhook_replay(:actor, :webhook_id, :delivery_id?, :since?, :max)
	AS "replayed!";

-- name: webhook_deliveries :many
-- What was sent to an endpoint, newest first, behind a place, with all
-- attempts as they are on the wire.  In one state, or '' for all.
SELECT d.delivery_id, d.message_id, d.event, d.state, d.attempts, d.next_at,
       d.created_at, d.ended_at, d.body,
       coalesce((SELECT jsonb_agg(jsonb_build_object('attempt', a.attempt,
		'started_at', tallyd.wire_time(a.started_at),
		'duration_ms', a.duration_ms, 'status', a.status,
		'error_code', a.error_code, 'error', a.error,
		'request', a.request, 'response', a.response)
		ORDER BY a.attempt)
	  FROM tallyd.webhook_attempt a
	 WHERE a.delivery_id = d.delivery_id
	   AND a.attempt > d.attempts - :attempts_max::int), '[]')
	AS "log!"
  FROM tallyd.webhook_delivery d
 WHERE d.webhook_id = :webhook_id
   AND (:state::text = '' OR d.state = :state::text)
   AND (d.created_at, d.delivery_id) < (:before::timestamptz, :before_id::uuid)
 ORDER BY d.created_at DESC, d.delivery_id DESC
 LIMIT :max::int8;

-- name: webhook_load :one
-- What webhook.deliver needs of a delivery.
SELECT d.webhook_id, d.message_id, d.body, d.state, d.attempts,
       d.attempts_before, d.created_at, e.url, e.enabled, e.rate_per_minute, e.concurrency,
       e.secret, CASE WHEN e.previous_until > now()
		THEN e.previous_secret END AS "previous_secret?"
  FROM tallyd.webhook_delivery d
  JOIN webhook_endpoints e ON e.webhook_id = d.webhook_id
 WHERE d.delivery_id = :delivery_id;

-- name: webhook_skip :one
-- Ends a delivery whose endpoint is disabled.
SELECT tallyd.webhook_end(:delivery_id, 'skipped') AS "ended!";

-- name: webhook_attempted :one
-- Notes an attempt and what becomes of the delivery; see the migration.
SELECT tallyd.webhook_attempted(:delivery_id, :attempt, :outcome, :next_ms,
	:gone, :dead_after_s, :started_us, :duration_ms, :status?,
	:error_code?, :error?, :request, :response?) AS "noted!";

-- name: webhook_sweep :one
-- Deliveries whose task is gone have failed; how many.
SELECT tallyd.webhook_sweep(:max) AS "failed!";

-- name: webhook_trim :exec
-- Forgets ended deliveries from before then, at most :max of them.
DELETE FROM tallyd.webhook_delivery
 WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM tallyd.webhook_delivery d
			  WHERE d.created_at <= :before
			    AND d.state IN ('delivered', 'failed', 'skipped')
			  ORDER BY d.created_at
			  LIMIT :max::int8));

-- name: usage_alert_trim :exec
-- Forgets what was told of days before then, at most :max rows.
DELETE FROM tallyd.usage_alert
 WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM tallyd.usage_alert a
			  WHERE a.day < :before
			  LIMIT :max::int8));

-- name: keys_expiring :one
-- Tells of keys that expire soon, at most :max of them; how many.
SELECT tallyd.keys_expiring(:max) AS "told!";

-- name: webhook_hurry :one
-- Deliveries that wait for their time are due now, the oldest first, and the
-- runners are told; how many.  What somebody has in hand is left.
WITH pick AS (
	SELECT t.task_id FROM tallyd.task t
	 WHERE t.state = 1 AND t.name = 'webhook.deliver'
	 ORDER BY t.run_at LIMIT :max::int8 FOR UPDATE SKIP LOCKED
), due AS (
	UPDATE tallyd.task t SET state = 0, run_at = clock_timestamp()
	 WHERE t.task_id = ANY (ARRAY(SELECT p.task_id FROM pick p))
	RETURNING t.task_id
), told AS (
	INSERT INTO audit_log (actor, action, details)
	SELECT :actor::text, 'webhook.hurry', count(*) || ' tasks' FROM due
	HAVING count(*) > 0
	RETURNING pg_notify('tallyd_task', '')
)
SELECT count(*) AS "processed!", (SELECT count(*) FROM told) AS "told!"
  FROM due;
