-- Users.

-- name: user_insert :one
-- Makes a user on the plan of that name; no row when there is no such plan,
-- TL_CONFLICT (users_email_key) when the e-mail is taken.  Audited.
WITH made AS (
	INSERT INTO users (email, name, plan_id)
	SELECT :email::text, :name?::text, p.plan_id
	  FROM plans p WHERE p.name = :plan::text
	RETURNING user_id, plan_id, email
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'user.create', m.user_id::text,
	       m.email || ', plan ' || :plan::text
	  FROM made m
)
SELECT user_id AS "user_id!", plan_id AS "plan_id!" FROM made;

-- name: user_find_by_email :one
-- E-mail without regard to case.
SELECT user_id, email, name, plan_id, status, created_at
  FROM users
 WHERE lower(email) = lower(:email);

-- name: user_by_id :one row=user_find_by_email
-- One user.
SELECT user_id, email, name, plan_id, status, created_at
  FROM users
 WHERE user_id = :user_id;

-- name: user_load_many :many
-- What the segment holds of these users, usage as of :day; unknown ids give
-- no row.
SELECT u.user_id, u.plan_id, u.status = 'suspended' AS "suspended!",
       d.credits AS "base_credits!", d.requests AS "base_requests!",
       ARRAY(SELECT uuid_send(o.limit_id) || int4send(o.count)
	       FROM limit_overrides o WHERE o.user_id = u.user_id)
		AS "overrides!"
  FROM unnest(:user_ids::uuid[]) AS w (user_id)
  JOIN users u ON u.user_id = w.user_id
 CROSS JOIN LATERAL (
	SELECT coalesce(sum(credits_used), 0)::int8 AS credits,
	       coalesce(sum(request_count), 0)::int8 AS requests
	  FROM daily_usage
	 WHERE user_id = u.user_id AND date = :day) d
 LIMIT :max::int8;
