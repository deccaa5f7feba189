-- Who calls: what replies show of a caller, beside what the segment knows.

-- name: profile_load :one
-- The key, its owner and the owner's plan.
SELECT u.email, u.name, p.name AS plan, u.status, k.key_prefix, k.label,
       k.created_at
  FROM api_keys k JOIN users u ON u.user_id = k.user_id
  JOIN plans p ON p.plan_id = u.plan_id
 WHERE k.key_id = :key_id;
