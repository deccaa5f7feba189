-- Rows of request_logs travel in the batches of usage, see flush_apply.

-- Writes rows of one batch; how many.  Each goes to the week of its created_at,
-- whose partition is made when it is missing; rows from before p_since and
-- those whose user or key is gone are skipped: they would not stay.
CREATE FUNCTION tallyd.request_logs_add(p_since DATE,
	p_user_ids UUID[], p_key_ids UUID[], p_models TEXT[],
	p_prompt_tokens BIGINT[], p_completion_tokens BIGINT[],
	p_credits BIGINT[], p_costs BIGINT[], p_at_us BIGINT[], p_days DATE[])
RETURNS BIGINT LANGUAGE plpgsql
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
	unix_zero CONSTANT TIMESTAMPTZ := '1970-01-01 00:00:00+00';
	one_us CONSTANT INTERVAL := '1 microsecond';
	users UUID[] := ARRAY(SELECT DISTINCT unnest(p_user_ids));
	keys UUID[] := ARRAY(SELECT DISTINCT unnest(p_key_ids));
	gone_users UUID[];
	gone_keys UUID[];
	n BIGINT;
BEGIN
	-- Locked until we commit, users first, as in flush_insert: no foreign
	-- key ever blocks a batch.
	gone_users := ARRAY(SELECT unnest(users) EXCEPT
		SELECT t.user_id FROM (SELECT u.user_id FROM public.users u
			 WHERE u.user_id = ANY (users)
			 ORDER BY u.user_id FOR KEY SHARE) t);
	gone_keys := ARRAY(SELECT unnest(keys) EXCEPT
		SELECT t.key_id FROM (SELECT k.key_id FROM public.api_keys k
			 WHERE k.key_id = ANY (keys)
			 ORDER BY k.key_id FOR KEY SHARE) t);
	INSERT INTO public.request_logs (user_id, key_id, model, prompt_tokens,
		completion_tokens, credits, cost_micro_usd, created_at, date)
	SELECT r.user_id, r.key_id, r.model, r.prompt, r.completion, r.credits,
	       r.cost, unix_zero + r.at_us * one_us, r.day
	  FROM unnest(p_user_ids, p_key_ids, p_models, p_prompt_tokens,
			p_completion_tokens, p_credits, p_costs, p_at_us,
			p_days)
		AS r (user_id, key_id, model, prompt, completion, credits,
			cost, at_us, day)
	 WHERE r.user_id <> ALL (gone_users) AND r.key_id <> ALL (gone_keys)
	   AND unix_zero + r.at_us * one_us >= p_since::timestamp AT TIME ZONE 'UTC';
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;

-- As the flush_apply before, and the batch's rows of request_logs in the same
-- transaction.  logs_added: 0 for a duplicate.
--
-- Partitions that are missing (first start, a spool of long ago) are made
-- before anything else is locked; in between the flusher's housekeeping is
-- weeks ahead.
CREATE FUNCTION tallyd.flush_apply(
	p_node TEXT, p_epoch BIGINT, p_seq BIGINT, p_replay BOOLEAN,
	p_user_ids UUID[], p_key_ids UUID[], p_days DATE[],
	p_credits BIGINT[], p_requests BIGINT[], p_costs BIGINT[],
	p_last_used_us BIGINT[],
	p_idem_key_ids UUID[], p_idem_keys TEXT[], p_idem_body_hashes BYTEA[],
	p_idem_days DATE[], p_idem_credits BIGINT[], p_idem_costs BIGINT[],
	p_idem_used BIGINT[], p_idem_limits BIGINT[],
	p_idem_requests BIGINT[], p_idem_at_us BIGINT[],
	p_log_since DATE,
	p_log_user_ids UUID[], p_log_key_ids UUID[], p_log_models TEXT[],
	p_log_prompt_tokens BIGINT[], p_log_completion_tokens BIGINT[],
	p_log_credits BIGINT[], p_log_costs BIGINT[], p_log_at_us BIGINT[],
	p_log_days DATE[],
	OUT outcome TEXT, OUT logs_added BIGINT)
LANGUAGE plpgsql AS $$
DECLARE
	monday_us CONSTANT BIGINT := -3 * 86400000000; -- 29 December 1969
	week_us CONSTANT BIGINT := 7 * 86400000000;
BEGIN
	logs_added := 0;
	PERFORM tallyd.request_logs_ensure(w.monday)
	   FROM (SELECT DISTINCT DATE '1969-12-29' +
			7 * ((at_us - monday_us) / week_us)::int AS monday
		   FROM unnest(p_log_at_us) AS at_us) w
	  WHERE w.monday > p_log_since - 7;
	outcome := tallyd.flush_apply(p_node, p_epoch, p_seq, p_replay,
		p_user_ids, p_key_ids, p_days, p_credits, p_requests, p_costs,
		p_last_used_us, p_idem_key_ids, p_idem_keys,
		p_idem_body_hashes, p_idem_days, p_idem_credits, p_idem_costs,
		p_idem_used, p_idem_limits, p_idem_requests, p_idem_at_us);
	IF outcome = 'applied' AND cardinality(p_log_user_ids) > 0 THEN
		logs_added := tallyd.request_logs_add(p_log_since,
			p_log_user_ids, p_log_key_ids, p_log_models,
			p_log_prompt_tokens, p_log_completion_tokens,
			p_log_credits, p_log_costs, p_log_at_us, p_log_days);
	END IF;
END $$;

-- One round of housekeeping: the partitions of that day's week and of the
-- next are there, and the oldest of those that end before p_since is dropped.
-- 'dropped' (there may be more), 'done', or 'busy': somebody holds a table
-- that we need, or another host is at it.  Locks that others would have to
-- wait behind are not waited for longer than a moment.
CREATE FUNCTION tallyd.request_logs_keep(p_day DATE, p_since DATE)
RETURNS TEXT LANGUAGE plpgsql
SET lock_timeout = '200ms'
AS $$
DECLARE
	busy BOOLEAN := false;
	part TEXT;
BEGIN
	-- The lock of request_logs_ensure.
	IF NOT pg_try_advisory_xact_lock(hashtext('tallyd.request_logs_ensure'))
	THEN
		RETURN 'busy';
	END IF;
	BEGIN
		PERFORM tallyd.request_logs_ensure(p_day);
		PERFORM tallyd.request_logs_ensure(p_day + 7);
	EXCEPTION WHEN lock_not_available THEN
		busy := true;
	END;
	SELECT min(c.relname) INTO part
	  FROM pg_inherits i
	  JOIN pg_class c ON c.oid = i.inhrelid
	 WHERE i.inhparent = 'public.request_logs'::regclass
	   AND c.relname ~ '^request_logs_[0-9]{8}$'
	   AND to_date(right(c.relname, 8), 'YYYYMMDD') + 7 <= p_since;
	IF part IS NOT NULL AND NOT busy THEN
		BEGIN
			EXECUTE format('DROP TABLE public.%I', part);
			RETURN 'dropped';
		EXCEPTION WHEN lock_not_available THEN
			busy := true;
		END;
	END IF;
	RETURN CASE WHEN busy THEN 'busy' ELSE 'done' END;
END $$;
