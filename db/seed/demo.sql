-- Demo users, keys and a month of usage.  The keys are public knowledge
-- (codexible_demo_pro_2026, ..._business_2026, ..._starter_2026): never in a
-- migration, only when database.seed_demo says so.
--
-- May run again: what is there stays as it is, nothing is added twice.  Usage
-- is made for a key that has none at all, so a later day gets no second month.

-- They are there for two months: before the first of their usage.
INSERT INTO users (user_id, email, name, plan_id, created_at)
SELECT u.user_id, u.email, u.name, u.plan_id,
       date_trunc('day', now(), 'UTC') - INTERVAL '60 days'
  FROM (VALUES
	('b0000000-0000-0000-0000-000000000001'::uuid, 'demo@codexible.me',
	 'Demo User', 'a0000000-0000-0000-0000-000000000002'::uuid),
	('b0000000-0000-0000-0000-000000000002', 'team@codexible.me',
	 'Team User', 'a0000000-0000-0000-0000-000000000003'),
	('b0000000-0000-0000-0000-000000000003', 'starter@codexible.me',
	 'Starter User', 'a0000000-0000-0000-0000-000000000001'))
	AS u (user_id, email, name, plan_id)
ON CONFLICT DO NOTHING;

INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash, label,
	created_at)
SELECT k.key_id, k.user_id, 'codexible_demo', k.key_hash, k.label, u.created_at
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
  JOIN users u ON u.user_id = k.user_id
ON CONFLICT DO NOTHING;

-- Partitions of the request log, for a key that is to get a history.
SELECT count(tallyd.request_logs_ensure(w.day))
  FROM (SELECT min(d.day) AS day
	  FROM (SELECT (now() AT TIME ZONE 'UTC')::date - n AS day
		  FROM generate_series(0, 29) n) d
	 GROUP BY date_trunc('week', d.day)) w
 WHERE EXISTS (SELECT FROM api_keys k
		WHERE k.key_prefix = 'codexible_demo'
		  AND NOT EXISTS (SELECT FROM daily_usage u
				   WHERE u.key_id = k.key_id));

-- 30 days up to today.  All of it is made from SHA-256 of key, day and number,
-- so every demo looks the same: quiet weekends, slowly growing, office hours.
-- Today has exactly the figures of the documentation, and none of its requests
-- lies in the future.  A day's sums are those of its requests; costs follow the
-- default prices: 0.03 and 0.06 USD per 1000 tokens are 30 and 60 micro-USD
-- each.
WITH clock AS (
	SELECT (now() AT TIME ZONE 'UTC')::date AS today,
	       now() - date_trunc('day', now(), 'UTC') AS elapsed
), keys AS (
	SELECT k.key_id, k.user_id, s.credits, s.requests, s.most
	  FROM (VALUES
		('c0000000-0000-0000-0000-000000000001'::uuid, 142, 89, 250),
		('c0000000-0000-0000-0000-000000000002', 310, 156, 500),
		('c0000000-0000-0000-0000-000000000003', 23, 12, 75))
		AS s (key_id, credits, requests, most)
	  JOIN api_keys k ON k.key_id = s.key_id
	 WHERE NOT EXISTS (SELECT FROM daily_usage d
			    WHERE d.key_id = s.key_id)
), days AS (
	SELECT k.key_id, k.user_id, k.credits, k.most, c.today, c.elapsed,
	       k.requests AS usual, c.today - n AS day,
	       CASE n WHEN 0 THEN k.requests
	       ELSE greatest(1, k.requests
			* CASE extract(isodow FROM c.today - n)::int
			  WHEN 6 THEN 30 WHEN 7 THEN 20 ELSE 100 END
			* (75 + get_byte(sha256((k.key_id::text
				|| (c.today - n)::text)::bytea), 0) / 5)
			* (100 - n) / 1000000) END AS requests
	  FROM keys k, clock c, generate_series(0, 29) n
), requests AS MATERIALIZED (
	SELECT d.key_id, d.user_id, d.day, h.hash, i,
	       -- what is shared out over i requests less that over i - 1
	       i * t.credits / d.requests - (i - 1) * t.credits / d.requests
			AS credits,
	       ('{gpt-5-codex,gpt-5-codex,gpt-5-codex,gpt-5,gpt-5,'
		'gpt-5-mini,o4-mini,claude-sonnet-4-5}'::text[])
			[1 + get_byte(h.hash, 0) % 8] AS model,
	       200 + (get_byte(h.hash, 1) * 256 + get_byte(h.hash, 2)) % 6000
			AS prompt_tokens,
	       50 + (get_byte(h.hash, 3) * 256 + get_byte(h.hash, 4)) % 1800
			AS completion_tokens,
	       -- today's are pressed into the hours that have passed
	       (d.day::timestamp AT TIME ZONE 'UTC') + make_interval(
			hours => ('{0,6,7,8,8,8,9,9,9,10,10,10,11,11,12,13,13,'
				'14,14,14,15,15,15,16,16,17,17,18,19,20,21,'
				'22}'::int[])[1 + get_byte(h.hash, 5) % 32],
			secs => (get_byte(h.hash, 6) * 256
				+ get_byte(h.hash, 7)) % 3600)
		* CASE d.day WHEN d.today
		  THEN extract(epoch FROM d.elapsed) / 86400 ELSE 1 END
			AS created_at
	  FROM days d
	 CROSS JOIN LATERAL (SELECT least(d.most, (d.requests * d.credits
			+ d.usual / 2) / d.usual) AS credits) t
	 CROSS JOIN generate_series(1, d.requests) i
	 CROSS JOIN LATERAL (SELECT sha256((d.key_id::text || d.day::text
			|| i::text)::bytea) AS hash) h
), sums AS (
	INSERT INTO daily_usage (user_id, key_id, date, credits_used,
		request_count, cost_micro_usd)
	SELECT r.user_id, r.key_id, r.day, sum(r.credits), count(*),
	       sum(r.prompt_tokens * 30 + r.completion_tokens * 60)
	  FROM requests r
	 GROUP BY r.user_id, r.key_id, r.day
)
INSERT INTO request_logs (request_log_id, user_id, key_id, model,
	prompt_tokens, completion_tokens, credits, cost_micro_usd, created_at,
	date)
SELECT encode(substr(r.hash, 17), 'hex')::uuid, r.user_id, r.key_id, r.model,
       r.prompt_tokens, r.completion_tokens, r.credits,
       r.prompt_tokens * 30 + r.completion_tokens * 60, r.created_at, r.day
  FROM requests r
 ORDER BY r.created_at;
