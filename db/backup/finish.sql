-- tallyctl restore: the rows are there.  What had not reached the database
-- when they were copied is added, foreign keys and triggers come back.
INSERT INTO public.daily_usage AS d (user_id, key_id, date, credits_used,
	request_count, cost_micro_usd)
SELECT t.user_id, t.key_id, t.date, sum(t.credits), sum(t.requests),
       sum(t.cost)
  FROM pg_temp.tail_usage t
  JOIN public.users u ON u.user_id = t.user_id
  JOIN public.api_keys k ON k.key_id = t.key_id
 WHERE (t.credits, t.requests, t.cost) <> (0, 0, 0)
 GROUP BY t.user_id, t.key_id, t.date
ON CONFLICT (user_id, key_id, date) DO UPDATE
   SET credits_used = d.credits_used + EXCLUDED.credits_used,
       request_count = d.request_count + EXCLUDED.request_count,
       cost_micro_usd = d.cost_micro_usd + EXCLUDED.cost_micro_usd,
       updated_at = now();
INSERT INTO tallyd.usage_orphan (node_id, epoch, seq, user_id, key_id, date,
	credits_used, request_count, cost_micro_usd)
SELECT 'restore', 0, 0, t.user_id, t.key_id, t.date, t.credits, t.requests,
       t.cost
  FROM pg_temp.tail_usage t
 WHERE (t.credits, t.requests, t.cost) <> (0, 0, 0)
   AND (NOT EXISTS (SELECT FROM public.users u WHERE u.user_id = t.user_id)
	OR NOT EXISTS (SELECT FROM public.api_keys k
		WHERE k.key_id = t.key_id));
UPDATE public.api_keys k
   SET last_used_at = greatest(k.last_used_at, t.used)
  FROM (SELECT key_id, 'epoch'::timestamptz
		+ max(last_used_ms) * INTERVAL '1 millisecond' AS used
	  FROM pg_temp.tail_usage WHERE last_used_ms > 0
	 GROUP BY key_id) t
 WHERE k.key_id = t.key_id;
-- The first answer stands.
INSERT INTO tallyd.idempotency_record (key_id, idem_key, body_hash, day,
	credits, cost_micro_usd, used, daily_limit, requests, at)
SELECT key_id, idem_key, body_hash, day, credits, cost, used, daily_limit,
       requests, 'epoch'::timestamptz + at_ms * INTERVAL '1 millisecond'
  FROM pg_temp.tail_answer
 ORDER BY at_ms
ON CONFLICT DO NOTHING;

SELECT tallyd.request_logs_ensure(w.day)
  FROM (SELECT DISTINCT date_trunc('week', ('epoch'::timestamptz
		+ at_us * INTERVAL '1 microsecond') AT TIME ZONE 'UTC')::date
		AS day
	  FROM pg_temp.tail_log) w;
INSERT INTO public.request_logs (user_id, key_id, model, prompt_tokens,
	completion_tokens, credits, cost_micro_usd, created_at, date)
SELECT t.user_id, t.key_id, t.model, t.prompt, t.completion, t.credits,
       t.cost, 'epoch'::timestamptz + t.at_us * INTERVAL '1 microsecond',
       t.date
  FROM pg_temp.tail_log t
  JOIN public.users u ON u.user_id = t.user_id
  JOIN public.api_keys k ON k.key_id = t.key_id;

-- This is another database than the one that was copied: they count on side
-- by side from here, or the old one is gone.  A segment or a spool of the old
-- one must never deliver to this one, so it gets a name of its own.
UPDATE tallyd.instance
   SET database_id = gen_random_uuid(), changes_trimmed_xid = '0';

DO $$
DECLARE
	r RECORD;
BEGIN
	FOR r IN SELECT * FROM pg_temp.restore_constraint LOOP
		EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s',
			r.on_table, r.name, r.definition);
	END LOOP;
	FOR r IN SELECT * FROM pg_temp.restore_table LOOP
		EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', r.name);
	END LOOP;
END $$;
INSERT INTO public.audit_log (actor, action, details)
VALUES ('tallyctl', 'database.restore', 'from a backup');
COMMIT;
ANALYZE;
SELECT database_id FROM tallyd.instance;
