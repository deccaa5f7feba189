-- The plans that come with tallyd.
INSERT INTO plans (plan_id, name, daily_credit_limit, price_cents, features)
VALUES
	('a0000000-0000-0000-0000-000000000001', 'Starter', 75, 1000,
	 '{"support": "community", "rate_limit": 50}'),
	('a0000000-0000-0000-0000-000000000002', 'Pro', 250, 3000,
	 '{"support": "email", "rate_limit": 100}'),
	('a0000000-0000-0000-0000-000000000003', 'Business', 500, 5000,
	 '{"support": "priority", "rate_limit": 200}')
ON CONFLICT (plan_id) DO NOTHING; -- the way down leaves those in use
