-- Keys: what the segment loads, and what people do with them.
--
-- The three key_load* statements give the same columns, those of struct
-- tally_key_row; keysource.c converts them.  Usage is as of :day, of this key
-- and of its user over all keys, revoked ones included.  An override travels
-- as 20 bytes, limit_id and count in network order: one array in place of two.

-- name: key_load :one
-- One key by its digest.
SELECT decode(k.key_hash, 'hex') AS "digest!", k.key_id,
       k.status = 'revoked' AS "revoked!", k.expires_at, k.grace_until,
       k.rate_limit, k.daily_credit_limit,
       coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)
	       FROM limit_overrides o WHERE o.key_id = k.key_id)
		AS "overrides!",
       d.own AS "base_credits!",
       u.user_id, u.plan_id, u.status = 'suspended' AS "suspended!",
       d.credits AS "user_base_credits!", d.requests AS "user_base_requests!",
       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)
	       FROM limit_overrides o WHERE o.user_id = u.user_id)
		AS "user_overrides!"
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(d.credits_used) FILTER (WHERE d.key_id = k.key_id),
			0)::int8 AS own,
	       coalesce(sum(d.credits_used), 0)::int8 AS credits,
	       coalesce(sum(d.request_count), 0)::int8 AS requests
	  FROM daily_usage d
	 WHERE d.user_id = u.user_id AND d.date = :day) d
 WHERE k.key_hash = encode(:digest, 'hex');

-- name: key_load_many :many row=key_load
-- Keys by their digests; unknown ones give no row.
SELECT decode(k.key_hash, 'hex') AS "digest!", k.key_id,
       k.status = 'revoked' AS "revoked!", k.expires_at, k.grace_until,
       k.rate_limit, k.daily_credit_limit,
       coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)
	       FROM limit_overrides o WHERE o.key_id = k.key_id)
		AS "overrides!",
       d.own AS "base_credits!",
       u.user_id, u.plan_id, u.status = 'suspended' AS "suspended!",
       d.credits AS "user_base_credits!", d.requests AS "user_base_requests!",
       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)
	       FROM limit_overrides o WHERE o.user_id = u.user_id)
		AS "user_overrides!"
  FROM unnest(:digests::bytea[]) AS w (digest)
  JOIN api_keys k ON k.key_hash = encode(w.digest, 'hex')
  JOIN users u ON u.user_id = k.user_id
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(d.credits_used) FILTER (WHERE d.key_id = k.key_id),
			0)::int8 AS own,
	       coalesce(sum(d.credits_used), 0)::int8 AS credits,
	       coalesce(sum(d.request_count), 0)::int8 AS requests
	  FROM daily_usage d
	 WHERE d.user_id = u.user_id AND d.date = :day) d
 LIMIT :max::int8;

-- name: key_load_today :many row=key_load
-- Keys with usage on :day, in order of user_id, after :after_user_id: about
-- :max of them, for a user is never cut in two (that way one pass over the
-- day gives the sums of users and keys alike).
SELECT decode(k.key_hash, 'hex') AS "digest!", k.key_id,
       k.status = 'revoked' AS "revoked!", k.expires_at, k.grace_until,
       k.rate_limit, k.daily_credit_limit,
       coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)
	       FROM limit_overrides o WHERE o.key_id = k.key_id)
		AS "overrides!",
       w.own AS "base_credits!",
       u.user_id, u.plan_id, u.status = 'suspended' AS "suspended!",
       w.credits::int8 AS "user_base_credits!", w.requests::int8 AS "user_base_requests!",
       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)
	       FROM limit_overrides o WHERE o.user_id = u.user_id)
		AS "user_overrides!"
  FROM (SELECT t.user_id, t.key_id, t.credits_used AS own,
	       sum(t.credits_used) OVER mine AS credits,
	       sum(t.request_count) OVER mine AS requests
	  FROM daily_usage t
	 WHERE t.date = :day AND t.user_id > :after_user_id
	   AND t.user_id <= (SELECT z.user_id
		  FROM (SELECT p.user_id FROM daily_usage p
			 WHERE p.date = :day AND p.user_id > :after_user_id
			 ORDER BY p.user_id
			 LIMIT :max::int8) z
		 ORDER BY z.user_id DESC
		 LIMIT 1)
	WINDOW mine AS (PARTITION BY t.user_id)) w
  JOIN api_keys k ON k.key_id = w.key_id AND (k.user_id = w.user_id) IS TRUE
  JOIN users u ON u.user_id = w.user_id
 ORDER BY w.user_id;

-- name: key_insert :one
-- Makes a key unless its owner has :max_active active ones: outcome 'made',
-- 'no_user' or 'too_many'; key_id and created_at with the first only.
SELECT outcome AS "outcome!", key_id, created_at
  FROM tallyd.key_insert(:actor, :user_id, :digest, :prefix, :label,
	:max_active, :expires_at?, :scopes, :allowed_ips, :rate_limit?,
	:daily_credit_limit?, :metadata?);

-- name: key_rotate :one
-- A new secret in the place of an active key; no row when there is none.
-- With a user_id only when it is theirs.
SELECT key_id AS "key_id!", label AS "label!", old_digest AS "old_digest!",
       grace_until
  FROM tallyd.key_rotate(:actor, :key_id, :user_id?, :digest, :prefix,
	:grace_seconds)
 WHERE key_id IS NOT NULL;

-- name: key_rename :one
-- Another label for an active key; no row when there is none.  With a
-- user_id only when it is theirs.
WITH old AS (
	SELECT k.key_id, k.label FROM api_keys k
	 WHERE k.key_id = :key_id AND k.status = 'active'
	   AND (:user_id?::uuid IS NULL OR k.user_id = :user_id?::uuid)
	   FOR UPDATE
), done AS (
	UPDATE api_keys k SET label = :label
	  FROM old WHERE k.key_id = old.key_id
	RETURNING k.key_id
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor, 'token.update', old.key_id::text,
	       format('label %L, was %L', :label::text, old.label) FROM old
)
SELECT key_id FROM done;

-- name: key_revocable :one
-- The digest of a key that key_revoke would end.
SELECT decode(key_hash, 'hex') AS "digest!"
  FROM api_keys
 WHERE key_id = :key_id
   AND (:user_id?::uuid IS NULL OR user_id = :user_id?::uuid)
   AND (status = 'active' OR grace_until > now());

-- name: key_revoke :one
-- Ends an active key, or the grace of a rotated one, and tells so; no row for
-- any other.  With a user_id only when it is theirs.
WITH done AS (
	UPDATE api_keys
	   SET status = 'revoked', revoked_at = coalesce(revoked_at, now()),
	       grace_until = NULL
	 WHERE key_id = :key_id
	   AND (:user_id?::uuid IS NULL OR user_id = :user_id?::uuid)
	   AND (status = 'active' OR grace_until > now())
	RETURNING key_id, key_hash, user_id, key_prefix, label
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor, 'token.revoke', key_id::text,
	       key_prefix || ' ''' || label || '''' FROM done
), told AS (
	SELECT done.*, tallyd.user_event(user_id, 'key.revoked',
		jsonb_build_object('key_id', key_id, 'prefix', key_prefix,
			'label', label), key_id::text) AS deliveries
	  FROM done
)
SELECT decode(key_hash, 'hex') AS "digest!", user_id, key_prefix, label
  FROM told
 WHERE deliveries >= 0;

-- name: key_own :many
-- A user's active keys, newest first, behind the place (:before, :before_id).
SELECT k.key_id, k.key_prefix, k.label, k.status, k.created_at,
       k.last_used_at, k.expires_at,
       coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       k.rate_limit, k.daily_credit_limit, k.metadata,
       decode(k.key_hash, 'hex') AS "digest!"
  FROM api_keys k
 WHERE k.user_id = :user_id AND k.status = 'active'
   AND (k.created_at, k.key_id) < (:before::timestamptz, :before_id::uuid)
 ORDER BY k.created_at DESC, k.key_id DESC
 OFFSET :skip::int8 LIMIT :max::int8;

-- name: key_search :many
-- All keys, newest first, behind a place; those only whose owner's e-mail,
-- label or prefix has the text, whose case does not matter.
SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,
       k.created_at, k.last_used_at, k.revoked_at
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 WHERE (k.created_at, k.key_id) < (:before::timestamptz, :before_id::uuid)
   AND (:text::text = '' OR position(lower(:text::text) IN lower(u.email)) > 0
	OR position(lower(:text::text) IN lower(k.label)) > 0
	OR position(lower(:text::text) IN lower(k.key_prefix)) > 0)
 ORDER BY k.created_at DESC, k.key_id DESC
 OFFSET :skip::int8 LIMIT :max::int8;

-- name: key_list :many
-- All keys, newest first.
SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,
       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,
       k.grace_until, coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       k.rate_limit, k.daily_credit_limit, k.metadata
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 ORDER BY k.created_at DESC, k.key_id DESC
 LIMIT :max::int8;

-- name: key_list_by_user :many row=key_list
-- All keys of a user, newest first.
SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,
       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,
       k.grace_until, coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       k.rate_limit, k.daily_credit_limit, k.metadata
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 WHERE k.user_id = :user_id
 ORDER BY k.created_at DESC, k.key_id DESC
 LIMIT :max::int8;

-- name: key_find_by_prefix :many row=key_list
-- Keys shown under this prefix (demo keys share one), newest first.
SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,
       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,
       k.grace_until, coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       k.rate_limit, k.daily_credit_limit, k.metadata
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 WHERE k.key_prefix = :prefix
 ORDER BY k.created_at DESC, k.key_id DESC
 LIMIT :max::int8;

-- name: key_find_by_id :one row=key_list
-- One key.
SELECT k.key_id, k.user_id, u.email, k.key_prefix, k.label, k.status,
       k.created_at, k.last_used_at, k.revoked_at, k.expires_at,
       k.grace_until, coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       k.rate_limit, k.daily_credit_limit, k.metadata
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 WHERE k.key_id = :key_id;
