-- Keys: what the segment loads, and what people do with them.
--
-- The three key_load* statements give the same columns, those of struct
-- tally_key_row; keysource.c converts them.  Usage is as of :day, of this key
-- and of its user over all keys, revoked ones included.

-- name: key_load :one
-- One key by its digest.
SELECT decode(k.key_hash, 'hex') AS "digest!", k.key_id,
       k.status = 'revoked' AS "revoked!", k.expires_at, k.grace_until,
       k.rate_limit, k.daily_credit_limit,
       coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       ko.limit_ids AS "override_limit_ids!", ko.counts AS "override_counts!",
       kd.credits AS "base_credits!",
       u.user_id, u.plan_id, u.status = 'suspended' AS "suspended!",
       ud.credits AS "user_base_credits!", ud.requests AS "user_base_requests!",
       uo.limit_ids AS "user_override_limit_ids!",
       uo.counts AS "user_override_counts!"
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(credits_used), 0)::int8 AS credits
	  FROM daily_usage
	 WHERE key_id = k.key_id AND date = :day) kd
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(credits_used), 0)::int8 AS credits,
	       coalesce(sum(request_count), 0)::int8 AS requests
	  FROM daily_usage
	 WHERE user_id = u.user_id AND date = :day) ud
 CROSS JOIN LATERAL (
	SELECT coalesce(array_agg(limit_id ORDER BY limit_id), '{}') AS limit_ids,
	       coalesce(array_agg(count ORDER BY limit_id), '{}') AS counts
	  FROM limit_overrides WHERE key_id = k.key_id) ko
 CROSS JOIN LATERAL (
	SELECT coalesce(array_agg(limit_id ORDER BY limit_id), '{}') AS limit_ids,
	       coalesce(array_agg(count ORDER BY limit_id), '{}') AS counts
	  FROM limit_overrides WHERE user_id = u.user_id) uo
 WHERE k.key_hash = encode(:digest, 'hex');

-- name: key_load_many :many row=key_load
-- Keys by their digests; unknown ones give no row.
SELECT decode(k.key_hash, 'hex') AS "digest!", k.key_id,
       k.status = 'revoked' AS "revoked!", k.expires_at, k.grace_until,
       k.rate_limit, k.daily_credit_limit,
       coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       ko.limit_ids AS "override_limit_ids!", ko.counts AS "override_counts!",
       kd.credits AS "base_credits!",
       u.user_id, u.plan_id, u.status = 'suspended' AS "suspended!",
       ud.credits AS "user_base_credits!", ud.requests AS "user_base_requests!",
       uo.limit_ids AS "user_override_limit_ids!",
       uo.counts AS "user_override_counts!"
  FROM unnest(:digests::bytea[]) AS w (digest)
  JOIN api_keys k ON k.key_hash = encode(w.digest, 'hex')
  JOIN users u ON u.user_id = k.user_id
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(credits_used), 0)::int8 AS credits
	  FROM daily_usage
	 WHERE key_id = k.key_id AND date = :day) kd
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(credits_used), 0)::int8 AS credits,
	       coalesce(sum(request_count), 0)::int8 AS requests
	  FROM daily_usage
	 WHERE user_id = u.user_id AND date = :day) ud
 CROSS JOIN LATERAL (
	SELECT coalesce(array_agg(limit_id ORDER BY limit_id), '{}') AS limit_ids,
	       coalesce(array_agg(count ORDER BY limit_id), '{}') AS counts
	  FROM limit_overrides WHERE key_id = k.key_id) ko
 CROSS JOIN LATERAL (
	SELECT coalesce(array_agg(limit_id ORDER BY limit_id), '{}') AS limit_ids,
	       coalesce(array_agg(count ORDER BY limit_id), '{}') AS counts
	  FROM limit_overrides WHERE user_id = u.user_id) uo
 LIMIT :max::int8;

-- name: key_load_today :many row=key_load
-- Keys with usage on :day, in order of key_id, after :after_key_id.
SELECT decode(k.key_hash, 'hex') AS "digest!", k.key_id,
       k.status = 'revoked' AS "revoked!", k.expires_at, k.grace_until,
       k.rate_limit, k.daily_credit_limit,
       coalesce(k.scopes, '{}')::text[] AS "scopes!",
       coalesce(k.allowed_ips, '{}')::text[] AS "allowed_ips!",
       ko.limit_ids AS "override_limit_ids!", ko.counts AS "override_counts!",
       kd.credits AS "base_credits!",
       u.user_id, u.plan_id, u.status = 'suspended' AS "suspended!",
       ud.credits AS "user_base_credits!", ud.requests AS "user_base_requests!",
       uo.limit_ids AS "user_override_limit_ids!",
       uo.counts AS "user_override_counts!"
  FROM (SELECT DISTINCT t.key_id FROM daily_usage t
	 WHERE t.date = :day AND t.key_id > :after_key_id
	 ORDER BY t.key_id
	 LIMIT :max::int8) w
  JOIN api_keys k ON k.key_id = w.key_id
  JOIN users u ON u.user_id = k.user_id
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(credits_used), 0)::int8 AS credits
	  FROM daily_usage
	 WHERE key_id = k.key_id AND date = :day) kd
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(credits_used), 0)::int8 AS credits,
	       coalesce(sum(request_count), 0)::int8 AS requests
	  FROM daily_usage
	 WHERE user_id = u.user_id AND date = :day) ud
 CROSS JOIN LATERAL (
	SELECT coalesce(array_agg(limit_id ORDER BY limit_id), '{}') AS limit_ids,
	       coalesce(array_agg(count ORDER BY limit_id), '{}') AS counts
	  FROM limit_overrides WHERE key_id = k.key_id) ko
 CROSS JOIN LATERAL (
	SELECT coalesce(array_agg(limit_id ORDER BY limit_id), '{}') AS limit_ids,
	       coalesce(array_agg(count ORDER BY limit_id), '{}') AS counts
	  FROM limit_overrides WHERE user_id = u.user_id) uo
 ORDER BY k.key_id;

-- name: key_insert :one
-- Makes a key unless its owner has :max_active active ones: outcome 'made',
-- 'no_user' or 'too_many'; key_id and created_at with the first only.
SELECT outcome AS "outcome!", key_id, created_at
  FROM tallyd.key_insert(:user_id, :digest, :prefix, :label, :max_active,
	:expires_at?, :scopes, :allowed_ips, :rate_limit?,
	:daily_credit_limit?, :metadata?);

-- name: key_revoke :one
-- Ends an active key, or the grace of a rotated one; no row for any other.
-- With a user_id only when it is theirs.
UPDATE api_keys
   SET status = 'revoked', revoked_at = coalesce(revoked_at, now()),
       grace_until = NULL
 WHERE key_id = :key_id
   AND (:user_id?::uuid IS NULL OR user_id = :user_id?::uuid)
   AND (status = 'active' OR grace_until > now())
RETURNING decode(key_hash, 'hex') AS "digest!", user_id, key_prefix, label;

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
