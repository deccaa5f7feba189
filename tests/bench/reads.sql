-- What reads.sh measures on: psql -v users=N -v days=N; three keys for each
-- user, each used every day.
--
-- Rows are laid down day by day in no order of users, as years of flushes
-- would: a user's month lies on as many pages as it has rows.  Constraints and
-- indexes are taken off and put back, as they are, around the filling.

\set ON_ERROR_STOP on
SET synchronous_commit = off;
SET maintenance_work_mem = '1GB';

INSERT INTO plans (plan_id, name, daily_credit_limit, price_cents)
VALUES ('a0000000-0000-0000-0000-0000000000ff', 'Bench', 2000000000, 0);
INSERT INTO users (user_id, email, name, plan_id)
SELECT md5('user ' || i)::uuid, 'bench' || i || '@test', 'Bench ' || i,
       'a0000000-0000-0000-0000-0000000000ff'
  FROM generate_series(0, :users - 1) i;
-- no row of the change log for each
ALTER TABLE api_keys DISABLE TRIGGER USER;
INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash, label)
SELECT md5('key ' || i)::uuid, md5('user ' || i / 3)::uuid,
       'read_key_' || lpad(i::text, 6, '0'),
       encode(sha256(('read_key_' || lpad(i::text, 6, '0')
		|| '_0123456789abcdef')::bytea), 'hex'), 'Key ' || i % 3
  FROM generate_series(0, 3 * :users - 1) i;
ALTER TABLE api_keys ENABLE TRIGGER USER;

CREATE TEMP TABLE bare AS
SELECT 1 AS step, conname AS name,
       format('ALTER TABLE daily_usage ADD CONSTRAINT %I %s', conname,
		pg_get_constraintdef(oid)) AS again
  FROM pg_constraint
 WHERE conrelid = 'daily_usage'::regclass AND contype IN ('p', 'u', 'f')
UNION ALL
SELECT 2, indexname, indexdef
  FROM pg_indexes i
 WHERE tablename = 'daily_usage'
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = i.indexname);
SELECT format(CASE step WHEN 1 THEN 'ALTER TABLE daily_usage DROP CONSTRAINT %I'
	ELSE 'DROP INDEX %I' END, name) FROM bare ORDER BY step \gexec

SELECT set_config('bench.days', (:days)::text, false) \g /dev/null
DO $$
DECLARE
	today DATE := (now() AT TIME ZONE 'UTC')::date;
BEGIN
	CREATE TEMP TABLE bench_keys AS SELECT user_id, key_id FROM api_keys
		WHERE key_prefix LIKE 'read_key_%' ORDER BY key_id;
	FOR back IN REVERSE current_setting('bench.days')::int - 1 .. 0 LOOP
		INSERT INTO daily_usage (user_id, key_id, date, credits_used,
			request_count, cost_micro_usd)
		SELECT user_id, key_id, today - back, 3, 2, 75000
		  FROM bench_keys;
	END LOOP;
END $$;

SELECT again FROM bare ORDER BY step \gexec
VACUUM ANALYZE;
CHECKPOINT;
SELECT count(*) AS usage_rows,
       pg_size_pretty(pg_total_relation_size('daily_usage')) AS size
  FROM daily_usage;
