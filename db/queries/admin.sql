-- What an admin sees and changes of users, and the audit log.
--
-- Every change writes its audit_log row in the same statement.

-- name: user_page :many
-- Users whose e-mail or name holds :q, without regard to case, newest first,
-- those behind the place (before_at, before_id) only.  key_count: active keys.
SELECT u.user_id, u.email, u.name, u.status, p.name AS plan, u.created_at,
       (SELECT count(*) FROM api_keys k
	 WHERE k.user_id = u.user_id AND k.status = 'active') AS "key_count!"
  FROM (SELECT w.* FROM users w
	 WHERE (w.created_at, w.user_id) < (:before_at, :before_id)
	   AND (position(lower(:q::text) IN lower(w.email)) > 0
		OR position(lower(:q::text) IN lower(w.name)) > 0)
	 ORDER BY w.created_at DESC, w.user_id DESC
	OFFSET :offset::int8
	 LIMIT :max::int8) u
  JOIN plans p ON p.plan_id = u.plan_id
 ORDER BY u.created_at DESC, u.user_id DESC;

-- name: user_show :one
-- A user by e-mail, without regard to case.  key_count: active keys.
SELECT u.user_id, u.email, u.name, u.status, p.name AS plan,
       p.daily_credit_limit, u.created_at, u.updated_at,
       (SELECT count(*) FROM api_keys k
	 WHERE k.user_id = u.user_id AND k.status = 'active') AS "key_count!"
  FROM users u JOIN plans p ON p.plan_id = u.plan_id
 WHERE lower(u.email) = lower(:email::text);

-- name: user_change :one
-- Status, plan and name of a user, each only where given; an empty name means
-- none.  outcome: 'changed', 'no_user', 'no_plan'; the last two change nothing.
WITH plan AS (
	SELECT p.plan_id, p.name FROM plans p WHERE p.name = :plan?::text
), old AS (
	SELECT u.user_id, u.status, u.name, p.name AS plan
	  FROM users u JOIN plans p ON p.plan_id = u.plan_id
	 WHERE u.user_id = :user_id
	   FOR NO KEY UPDATE OF u
), changed AS (
	UPDATE users u
	   SET status = coalesce(:status?::text, u.status),
	       plan_id = coalesce((SELECT p.plan_id FROM plan p), u.plan_id),
	       name = CASE WHEN :name?::text IS NULL THEN u.name
			   ELSE nullif(:name?::text, '') END
	  FROM old
	 WHERE u.user_id = old.user_id
	   AND (:plan?::text IS NULL OR EXISTS (SELECT FROM plan))
	RETURNING u.user_id, u.status, u.name
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'user.update', c.user_id::text,
	       concat_ws(', ',
		'status ' || old.status || ' to ' || :status?::text,
		'plan ' || old.plan || ' to ' || :plan?::text,
		CASE WHEN :name?::text IS NOT NULL
		     THEN 'name ''' || coalesce(old.name, '') || ''' to '''
			|| coalesce(c.name, '') || '''' END)
	  FROM changed c JOIN old ON old.user_id = c.user_id
)
SELECT CASE WHEN EXISTS (SELECT FROM changed) THEN 'changed'
	    WHEN EXISTS (SELECT FROM old) THEN 'no_plan'
	    ELSE 'no_user' END AS "outcome!";

-- name: audit_page :many
-- The newest entries before that one that hold :q in any of their texts,
-- without regard to case.
SELECT a.id, a.ts, a.actor, a.action, a.target, a.details
  FROM audit_log a
 WHERE a.id < :before::int8
   AND position(lower(:q::text) IN lower(concat_ws(' ', a.actor, a.action,
	a.target, a.details))) > 0
 ORDER BY a.id DESC
 LIMIT :max::int8;

-- name: audit_trim :exec
-- Forgets the oldest entries up to the first that is not older than that, at
-- most :max of them.
DELETE FROM audit_log
 WHERE id = ANY (ARRAY(
	SELECT a.id FROM audit_log a
	 WHERE a.id < coalesce((SELECT b.id FROM audit_log b
				 WHERE b.ts >= :before::timestamptz
				 ORDER BY b.id
				 LIMIT 1), 9223372036854775807)
	 ORDER BY a.id
	 LIMIT :max::int8));
