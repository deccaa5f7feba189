-- A plan that somebody has stays: no customer is lost by going back a step.
DELETE FROM plans p
 WHERE p.plan_id IN ('a0000000-0000-0000-0000-000000000001',
		     'a0000000-0000-0000-0000-000000000002',
		     'a0000000-0000-0000-0000-000000000003')
   AND NOT EXISTS (SELECT FROM users u WHERE u.plan_id = p.plan_id);
