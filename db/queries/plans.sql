-- Plans as people see and change them.
--
-- What the segment takes of them is in policy.sql.  Every change writes its
-- audit_log row in the same statement.

-- name: plan_all :many
-- All plans, cheapest first.
SELECT plan_id, name, daily_credit_limit, price_cents, features, created_at
  FROM plans
 ORDER BY price_cents, name;

-- name: plan_find :one row=plan_all
-- One by its name.
SELECT plan_id, name, daily_credit_limit, price_cents, features, created_at
  FROM plans
 WHERE name = :name::text;

-- name: plan_insert :one
-- Makes a plan; no row when there are :max already, TL_CONFLICT
-- (plans_name_key) when the name is taken.
WITH made AS (
	INSERT INTO plans (name, daily_credit_limit, price_cents, features)
	SELECT :name::text, :daily_credit_limit::int4, :price_cents::int4,
	       :features::jsonb
	 WHERE (SELECT count(*) FROM plans) < :max::int8
	RETURNING plan_id, name, daily_credit_limit, price_cents, features
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'plan.create', m.plan_id::text,
	       m.name || ': daily_credit_limit ' || m.daily_credit_limit
		|| ', price_cents ' || m.price_cents
		|| ', features ' || left(m.features::text, 1000)
	  FROM made m
)
SELECT plan_id AS "plan_id!" FROM made;

-- name: plan_change :one
-- What is given of a plan, and the features: :features in place of all, then
-- those of :merge over them, then without those named in :drop.  No row when
-- there is no such plan; TL_CONFLICT (plans_name_key) when the name is taken.
WITH old AS (
	SELECT p.* FROM plans p WHERE p.plan_id = :plan_id
	   FOR NO KEY UPDATE
), changed AS (
	UPDATE plans p
	   SET name = coalesce(:name?::text, p.name),
	       daily_credit_limit = coalesce(:daily_credit_limit?::int4,
			p.daily_credit_limit),
	       price_cents = coalesce(:price_cents?::int4, p.price_cents),
	       features = (coalesce(:features?::jsonb, p.features)
			|| coalesce(:merge?::jsonb, '{}')) - :drop::text[]
	  FROM old
	 WHERE p.plan_id = old.plan_id
	RETURNING p.plan_id, p.name, p.daily_credit_limit, p.price_cents,
		p.features
), noted AS (
	INSERT INTO audit_log (actor, action, target, details)
	SELECT :actor::text, 'plan.update', c.plan_id::text,
	       concat_ws(', ', old.name,
		'name to ' || :name?::text,
		'daily_credit_limit ' || old.daily_credit_limit || ' to '
			|| :daily_credit_limit?::int4,
		'price_cents ' || old.price_cents || ' to '
			|| :price_cents?::int4,
		CASE WHEN c.features <> old.features
		     THEN 'features to ' || left(c.features::text, 1000) END)
	  FROM changed c JOIN old ON old.plan_id = c.plan_id
)
SELECT plan_id AS "plan_id!" FROM changed;
