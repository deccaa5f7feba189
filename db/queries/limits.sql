-- Named limits and their overrides as people see and change them.
--
-- What the segment takes of them is in policy.sql.  Every change writes its
-- audit_log row in the same statement.

-- name: limit_all :many
-- All limits, by name.
SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow,
       created_at
  FROM limits
 ORDER BY name;

-- name: limit_find :one row=limit_all
-- One by its name.
SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow,
       created_at
  FROM limits
 WHERE name = :name::text;

-- name: limit_insert :one
-- Makes a limit; no row when there are :max already, TL_CONFLICT
-- (limits_name_key) when the name is taken.
WITH made AS (
	INSERT INTO limits (name, count, window_ms, algorithm, burst, scope,
		shadow)
	SELECT :name::text, :count::int4, :window_ms::int4, :algorithm::text,
	       :burst::int4, :scope::text, :shadow::bool
	 WHERE (SELECT count(*) FROM limits) < :max::int8
	RETURNING *
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'limit.create', m.limit_id::text,
	       m.name || ': ' || m.count || ' in ' || m.window_ms || ' ms, '
		|| m.algorithm || CASE WHEN m.algorithm = 'gcra'
			THEN ', burst ' || m.burst ELSE '' END
		|| ', scope ' || m.scope
		|| CASE WHEN m.shadow THEN ', shadow' ELSE '' END
	  FROM made m
)
SELECT limit_id AS "limit_id!" FROM made;

-- name: limit_change :one
-- What is given of a limit.  burst belongs to gcra and is at least 1 there.
-- outcome: 'changed', 'no_limit', 'not_gcra' (a burst for a sliding limit);
-- the last two change nothing.
WITH old AS (
	SELECT l.*, coalesce(:algorithm?::text, l.algorithm) = 'gcra' AS gcra
	  FROM limits l WHERE l.limit_id = :limit_id
	   FOR NO KEY UPDATE
), changed AS (
	UPDATE limits l
	   SET count = coalesce(:count?::int4, l.count),
	       window_ms = coalesce(:window_ms?::int4, l.window_ms),
	       algorithm = coalesce(:algorithm?::text, l.algorithm),
	       burst = CASE WHEN old.gcra
			THEN greatest(coalesce(:burst?::int4, l.burst), 1)
			ELSE 0 END,
	       shadow = coalesce(:shadow?::bool, l.shadow)
	  FROM old
	 WHERE l.limit_id = old.limit_id
	   AND (:burst?::int4 IS NULL OR old.gcra)
	RETURNING l.*
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'limit.update', c.limit_id::text,
	       concat_ws(', ', c.name,
		'count ' || old.count || ' to ' || :count?::int4,
		'window_ms ' || old.window_ms || ' to ' || :window_ms?::int4,
		'algorithm ' || old.algorithm || ' to ' || :algorithm?::text,
		'burst ' || old.burst || ' to ' || :burst?::int4,
		'shadow ' || old.shadow || ' to ' || :shadow?::bool)
	  FROM changed c JOIN old ON old.limit_id = c.limit_id
)
SELECT CASE WHEN EXISTS (SELECT FROM changed) THEN 'changed'
	    WHEN EXISTS (SELECT FROM old) THEN 'not_gcra'
	    ELSE 'no_limit' END AS "outcome!";

-- name: limit_delete :one
-- Removes a limit with its overrides; no row when there is none.
WITH gone AS (
	DELETE FROM limits WHERE limit_id = :limit_id RETURNING *
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'limit.delete', g.limit_id::text,
	       g.name || ': ' || g.count || ' in ' || g.window_ms || ' ms'
	  FROM gone g
)
SELECT limit_id AS "limit_id!" FROM gone;

-- name: override_page :many
-- Overrides of a limit, newest first, those behind the place only.
SELECT o.limit_override_id, o.user_id,
       (SELECT u.email FROM users u WHERE u.user_id = o.user_id) AS email,
       o.key_id,
       (SELECT k.key_prefix FROM api_keys k WHERE k.key_id = o.key_id)
		AS key_prefix,
       o.count, o.created_at
  FROM limit_overrides o
 WHERE o.limit_id = :limit_id
   AND (o.created_at, o.limit_override_id) < (:before_at, :before_id)
 ORDER BY o.created_at DESC, o.limit_override_id DESC
 LIMIT :max::int8;

-- name: override_set :one
-- The count of one user or one key for a limit, made or changed.  outcome:
-- 'set', 'no_limit', 'no_subject', 'too_many' (the subject has :max already,
-- or the user :max_user of scope user); all but the first change nothing.
-- digest: of a key.
WITH lim AS (
	SELECT l.limit_id, l.name, l.scope FROM limits l
	 WHERE l.limit_id = :limit_id
	   FOR KEY SHARE
), subject AS (
	SELECT u.user_id, NULL::uuid AS key_id, NULL::bytea AS digest,
	       u.email AS shown
	  FROM users u WHERE u.user_id = :user_id?::uuid
	UNION ALL
	SELECT NULL, k.key_id, decode(k.key_hash, 'hex'), k.key_prefix
	  FROM api_keys k WHERE k.key_id = :key_id?::uuid
), room AS (
	SELECT count(*) < :max::int8
	       AND (lim.scope <> 'user' OR :user_id?::uuid IS NULL
		OR count(*) FILTER (WHERE l.scope = 'user') < :max_user::int8)
		AS yes
	  FROM lim
	  LEFT JOIN limit_overrides o ON o.limit_id <> lim.limit_id
	   AND (o.user_id = :user_id?::uuid OR o.key_id = :key_id?::uuid)
	  LEFT JOIN limits l ON l.limit_id = o.limit_id
	 GROUP BY lim.scope
), of_user AS (
	INSERT INTO limit_overrides (limit_id, user_id, count)
	SELECT lim.limit_id, s.user_id, :count::int4
	  FROM lim, subject s, room
	 WHERE room.yes AND s.user_id IS NOT NULL
	ON CONFLICT (user_id, limit_id) DO UPDATE SET count = EXCLUDED.count
	RETURNING limit_override_id
), of_key AS (
	INSERT INTO limit_overrides (limit_id, key_id, count)
	SELECT lim.limit_id, s.key_id, :count::int4
	  FROM lim, subject s, room
	 WHERE room.yes AND s.key_id IS NOT NULL
	ON CONFLICT (key_id, limit_id) DO UPDATE SET count = EXCLUDED.count
	RETURNING limit_override_id
), made AS (
	SELECT * FROM of_user UNION ALL SELECT * FROM of_key
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'limit.override', lim.limit_id::text,
	       lim.name || ': ' || :count::int4 || ' for ' || s.shown
		|| ' (' || coalesce(s.user_id, s.key_id) || ')'
	  FROM lim, subject s, made
)
SELECT CASE WHEN EXISTS (SELECT FROM made) THEN 'set'
	    WHEN NOT EXISTS (SELECT FROM lim) THEN 'no_limit'
	    WHEN NOT EXISTS (SELECT FROM subject) THEN 'no_subject'
	    ELSE 'too_many' END AS "outcome!",
       (SELECT limit_override_id FROM made) AS limit_override_id,
       (SELECT digest FROM subject) AS digest;

-- name: override_remove :one
-- Removes an override of a limit, by its id or by its subject; no row when
-- there is none.  digest: of a key.
WITH gone AS (
	DELETE FROM limit_overrides o
	 WHERE o.limit_id = :limit_id
	   AND o.limit_override_id = (SELECT w.limit_override_id
		  FROM limit_overrides w
		 WHERE w.limit_override_id = :limit_override_id?::uuid
		UNION ALL
		SELECT w.limit_override_id FROM limit_overrides w
		 WHERE w.user_id = :user_id?::uuid AND w.limit_id = :limit_id
		UNION ALL
		SELECT w.limit_override_id FROM limit_overrides w
		 WHERE w.key_id = :key_id?::uuid AND w.limit_id = :limit_id
		 LIMIT 1)
	RETURNING o.limit_id, o.user_id, o.key_id, o.count
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'limit.override', g.limit_id::text,
	       l.name || ': no longer ' || g.count || ' for '
		|| coalesce(u.email, k.key_prefix) || ' ('
		|| coalesce(g.user_id, g.key_id) || ')'
	  FROM gone g JOIN limits l ON l.limit_id = g.limit_id
	  LEFT JOIN users u ON u.user_id = g.user_id
	  LEFT JOIN api_keys k ON k.key_id = g.key_id
)
SELECT g.user_id, decode(k.key_hash, 'hex') AS digest
  FROM gone g LEFT JOIN api_keys k ON k.key_id = g.key_id;
