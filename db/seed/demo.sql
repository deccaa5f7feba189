-- Demo users, keys and usage of today.  The keys are public knowledge
-- (codexible_demo_pro_2026, ..._business_2026, ..._starter_2026): never in a
-- migration, only when database.seed_demo says so.
--
-- May run again: what is there stays as it is, nothing is added twice.  The
-- usage of a later day is not seeded again for users who have any.

INSERT INTO users (user_id, email, name, plan_id) VALUES
	('b0000000-0000-0000-0000-000000000001', 'demo@codexible.me',
	 'Demo User', 'a0000000-0000-0000-0000-000000000002'),
	('b0000000-0000-0000-0000-000000000002', 'team@codexible.me',
	 'Team User', 'a0000000-0000-0000-0000-000000000003'),
	('b0000000-0000-0000-0000-000000000003', 'starter@codexible.me',
	 'Starter User', 'a0000000-0000-0000-0000-000000000001')
ON CONFLICT DO NOTHING;

INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash, label)
SELECT k.key_id, k.user_id, 'codexible_demo', k.key_hash, k.label
  FROM (VALUES
	('c0000000-0000-0000-0000-000000000001'::uuid,
	 'b0000000-0000-0000-0000-000000000001'::uuid,
	 'ed349398756ede88d21aab27821a5c0b98ac4057f0ce34b1c2ccfb74b1bd858f',
	 'Demo Pro Key'),
	('c0000000-0000-0000-0000-000000000002',
	 'b0000000-0000-0000-0000-000000000002',
	 '8866f48cb87eb6f27f83046cf6dc5f4ded50ef062fc51c57986c5766467fc067',
	 'Demo Business Key'),
	('c0000000-0000-0000-0000-000000000003',
	 'b0000000-0000-0000-0000-000000000003',
	 '12871ac7f15eed707b2ed3c22a3c14bb9e37405b2c495ec32cf5c08e78e7b6e7',
	 'Demo Starter Key'))
	AS k (key_id, user_id, key_hash, label)
 WHERE EXISTS (SELECT FROM users u WHERE u.user_id = k.user_id)
ON CONFLICT DO NOTHING;

INSERT INTO daily_usage (user_id, key_id, date, credits_used, request_count)
SELECT k.user_id, k.key_id, (now() AT TIME ZONE 'UTC')::date, s.credits,
       s.requests
  FROM (VALUES
	('c0000000-0000-0000-0000-000000000001'::uuid, 142, 89),
	('c0000000-0000-0000-0000-000000000002', 310, 156),
	('c0000000-0000-0000-0000-000000000003', 23, 12))
	AS s (key_id, credits, requests)
  JOIN api_keys k ON k.key_id = s.key_id
 WHERE NOT EXISTS (SELECT FROM daily_usage d WHERE d.key_id = s.key_id)
ON CONFLICT DO NOTHING;
