-- What holds for everybody: plans and named limits.

-- name: plan_list :many
-- All plans.  rate_limit is features.rate_limit, 0 when absent or no number.
SELECT plan_id, name, daily_credit_limit,
       CASE WHEN jsonb_typeof(features->'rate_limit') = 'number'
	    THEN least(greatest((features->'rate_limit')::numeric, 0),
		       2147483647)::int4
	    ELSE 0 END AS "rate_limit!"
  FROM plans
 ORDER BY plan_id
 LIMIT :max::int8;

-- name: plan_load :one row=plan_list
-- One of them.
SELECT plan_id, name, daily_credit_limit,
       CASE WHEN jsonb_typeof(features->'rate_limit') = 'number'
	    THEN least(greatest((features->'rate_limit')::numeric, 0),
		       2147483647)::int4
	    ELSE 0 END AS "rate_limit!"
  FROM plans
 WHERE plan_id = :plan_id;

-- name: limit_list :many
-- All named limits.
SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow
  FROM limits
 ORDER BY limit_id
 LIMIT :max::int8;

-- name: limit_load :one row=limit_list
-- One of them.
SELECT limit_id, name, count, window_ms, algorithm, burst, scope, shadow
  FROM limits
 WHERE limit_id = :limit_id;
