-- The functions as they were.
DROP TRIGGER users_usage_watch ON users;
DROP TRIGGER plans_usage_watch ON plans;
DROP FUNCTION tallyd.usage_watch_forget();
DROP FUNCTION tallyd.flush_apply(TEXT, BIGINT, BIGINT, BOOLEAN, UUID[], UUID[], DATE[],
	BIGINT[], BIGINT[], BIGINT[], BIGINT[], UUID[], TEXT[], BYTEA[], DATE[],
	BIGINT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[], DATE, UUID[], UUID[],
	TEXT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[], DATE[],
	UUID[], DATE[]);
DROP FUNCTION tallyd.flush_usage(TEXT, BIGINT, BIGINT, BOOLEAN, UUID[], UUID[], DATE[],
	BIGINT[], BIGINT[], BIGINT[], BIGINT[], UUID[], TEXT[], BYTEA[], DATE[],
	BIGINT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[]);
DROP FUNCTION tallyd.quota_alerts(UUID[], DATE[]);
DROP FUNCTION tallyd.usage_look(UUID[], DATE[], BIGINT[]);
DROP FUNCTION tallyd.usage_note(UUID[], DATE[]);
ALTER TABLE tallyd.usage_watch DROP COLUMN day, DROP COLUMN keys,
	DROP COLUMN due;

-- Behind a batch's usage and in its transaction: tells each threshold that
-- the day of a watched user has reached and that was not told yet.  Their rows
-- are locked before their sums are taken, so two hosts that each bring a part
-- see the whole one after the other.  What is older than a week is history.
CREATE OR REPLACE FUNCTION tallyd.usage_alerts(p_user_ids UUID[], p_days DATE[])
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
	today DATE := (now() AT TIME ZONE 'UTC')::date;
	watched UUID[];
	a RECORD;
BEGIN
	PERFORM FROM tallyd.usage_watch LIMIT 1;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	watched := ARRAY(SELECT w.user_id FROM tallyd.usage_watch w
		 WHERE w.user_id = ANY (p_user_ids)
		 ORDER BY w.user_id FOR NO KEY UPDATE);
	IF watched = '{}' THEN
		RETURN;
	END IF;
	FOR a IN
		SELECT b.user_id, b.day, s.used, p.daily_credit_limit AS quota,
		       t.percent
		  FROM (SELECT DISTINCT r.user_id, r.day
			  FROM unnest(p_user_ids, p_days) AS r (user_id, day)
			 WHERE r.user_id = ANY (watched)
			   AND r.day > today - 7) b
		  JOIN public.users u ON u.user_id = b.user_id
		  JOIN public.plans p ON p.plan_id = u.plan_id
		 CROSS JOIN LATERAL (SELECT sum(d.credits_used)::int8 AS used
			  FROM public.daily_usage d
			 WHERE d.user_id = b.user_id AND d.date = b.day) s
		 CROSS JOIN (VALUES (50), (80), (90), (100)) t (percent)
		 WHERE p.daily_credit_limit > 0
		   AND s.used * 100 >= p.daily_credit_limit::int8 * t.percent
		   AND NOT EXISTS (SELECT FROM tallyd.usage_alert x
			WHERE x.user_id = b.user_id AND x.day = b.day
			  AND x.percent = t.percent)
		 ORDER BY b.user_id, b.day, t.percent
	LOOP
		INSERT INTO tallyd.usage_alert (user_id, day, percent)
		VALUES (a.user_id, a.day, a.percent) ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND;
		PERFORM tallyd.user_event(a.user_id, 'usage.threshold',
			jsonb_build_object('date', a.day,
				'threshold_percent', a.percent,
				'credits_used', a.used,
				'daily_credit_limit', a.quota),
			a.user_id::text);
	END LOOP;
END $$;

-- Applies one batch: 'applied', or 'duplicate' when it was there already.
-- TL001: a batch before this one is missing.  TL002: see flush_node.
--
-- Arrays of one group have equal length.  Records of the same user, key and
-- day are added up; one of zeros only carries its last_used_us.  Times are
-- Unix microseconds, 0 for none.
--
-- Nearly all records meet a row of their day, so an UPDATE goes first; what
-- found none (the first flush of a day, deleted users and keys) takes the
-- dearer way of locking its parents.  Both halves visit rows in the order of
-- their ids, so that two nodes cannot deadlock: the settings below leave
-- nested loops over a sorted list as the only plan.  Somebody who deletes
-- users while their keys are in use can still meet us crosswise; the server
-- then ends one of the two, and a batch is simply sent again.
CREATE FUNCTION tallyd.flush_apply(
	p_node TEXT, p_epoch BIGINT, p_seq BIGINT, p_replay BOOLEAN,
	p_user_ids UUID[], p_key_ids UUID[], p_days DATE[],
	p_credits BIGINT[], p_requests BIGINT[], p_costs BIGINT[],
	p_last_used_us BIGINT[],
	p_idem_key_ids UUID[], p_idem_keys TEXT[], p_idem_body_hashes BYTEA[],
	p_idem_days DATE[], p_idem_credits BIGINT[], p_idem_costs BIGINT[],
	p_idem_used BIGINT[], p_idem_limits BIGINT[],
	p_idem_requests BIGINT[], p_idem_at_us BIGINT[])
RETURNS TEXT LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
	unix_zero CONSTANT TIMESTAMPTZ := '1970-01-01 00:00:00+00';
	one_us CONSTANT INTERVAL := '1 microsecond';
	node tallyd.flush_node;
	n_updated BIGINT;
BEGIN
	IF p_replay THEN
		-- It may never have had a connection to open itself.
		INSERT INTO tallyd.flush_node (node_id, epoch)
			VALUES (p_node, p_epoch) ON CONFLICT DO NOTHING;
	END IF;
	UPDATE tallyd.flush_node SET last_seq = p_seq, applied_at = now()
	 WHERE node_id = p_node AND epoch = p_epoch AND last_seq = p_seq - 1
	   AND (replaced_by IS NULL OR p_replay);
	IF NOT FOUND THEN
		SELECT * INTO node FROM tallyd.flush_node
		 WHERE node_id = p_node AND epoch = p_epoch;
		IF node.last_seq >= p_seq THEN
			RETURN 'duplicate';
		ELSIF node.replaced_by IS NOT NULL AND NOT p_replay THEN
			RAISE EXCEPTION
				'node ''%'' epoch % was replaced by epoch %',
				p_node, p_epoch, node.replaced_by
				USING ERRCODE = 'TL002';
		END IF;
		RAISE EXCEPTION 'gap: node ''%'' epoch % batch %, last was %',
			p_node, p_epoch, p_seq,
			coalesce(node.last_seq::text, 'none')
			USING ERRCODE = 'TL001';
	END IF;

	UPDATE public.api_keys k
	   SET last_used_at = greatest(k.last_used_at,
			unix_zero + b.used_us * one_us)
	  FROM (SELECT r.key_id, max(r.used_us) AS used_us
		  FROM unnest(p_key_ids, p_last_used_us)
			AS r (key_id, used_us)
		 WHERE r.used_us > 0
		 GROUP BY r.key_id
		 ORDER BY r.key_id) b
	 WHERE k.key_id = b.key_id;

	UPDATE public.daily_usage d
	   SET credits_used = d.credits_used + b.credits,
	       request_count = d.request_count + b.requests,
	       cost_micro_usd = d.cost_micro_usd + b.cost,
	       updated_at = now()
	  FROM (SELECT r.user_id, r.key_id, r.day,
			sum(r.credits)::int8 AS credits,
			sum(r.requests)::int8 AS requests,
			sum(r.cost)::int8 AS cost
		  FROM unnest(p_user_ids, p_key_ids, p_days, p_credits,
				p_requests, p_costs) AS r (user_id, key_id,
				day, credits, requests, cost)
		 WHERE (r.credits, r.requests, r.cost) <> (0, 0, 0)
		 GROUP BY r.key_id, r.day, r.user_id
		 ORDER BY r.key_id, r.day, r.user_id) b
	 WHERE d.key_id = b.key_id AND d.date = b.day
	   -- Not for the index on (user_id, date): an owner may have many keys.
	   AND (d.user_id = b.user_id) IS TRUE;
	GET DIAGNOSTICS n_updated = ROW_COUNT;

	-- A record has found its row when the row's newest version is ours.
	-- That the row exists would not do: it may be another node's, made
	-- after the UPDATE looked.
	IF n_updated < (SELECT count(*)
			  FROM unnest(p_credits, p_requests, p_costs)
				AS r (credits, requests, cost)
			 WHERE (r.credits, r.requests, r.cost) <> (0, 0, 0))
	THEN
		PERFORM tallyd.flush_insert(p_node, p_epoch, p_seq,
			array_agg(m.user_id), array_agg(m.key_id),
			array_agg(m.day), array_agg(m.credits),
			array_agg(m.requests), array_agg(m.cost))
		  FROM (SELECT r.user_id, r.key_id, r.day,
				sum(r.credits)::int8 AS credits,
				sum(r.requests)::int8 AS requests,
				sum(r.cost)::int8 AS cost
			  FROM unnest(p_user_ids, p_key_ids, p_days,
					p_credits, p_requests, p_costs)
				AS r (user_id, key_id, day, credits,
					requests, cost)
			 WHERE (r.credits, r.requests, r.cost) <> (0, 0, 0)
			   AND NOT EXISTS (
				SELECT FROM public.daily_usage d
				 WHERE d.key_id = r.key_id AND d.date = r.day
				   AND (d.user_id = r.user_id) IS TRUE
				   AND d.xmin = pg_current_xact_id()::xid)
			 GROUP BY r.key_id, r.day, r.user_id) m
		HAVING count(*) > 0;
	END IF;

	-- A record that is there and younger than 24 h has been answered: the
	-- first answer stands.
	INSERT INTO tallyd.idempotency_record AS i (key_id, idem_key,
		body_hash, day, credits, cost_micro_usd, used, daily_limit,
		requests, at)
	SELECT DISTINCT ON (r.key_id, r.idem_key) r.key_id, r.idem_key,
		r.body_hash, r.day, r.credits, r.cost, r.used, r.daily_limit,
		r.requests, unix_zero + r.at_us * one_us
	  FROM unnest(p_idem_key_ids, p_idem_keys, p_idem_body_hashes,
			p_idem_days, p_idem_credits, p_idem_costs, p_idem_used,
			p_idem_limits, p_idem_requests, p_idem_at_us)
		AS r (key_id, idem_key, body_hash, day, credits, cost, used,
			daily_limit, requests, at_us)
	 ORDER BY r.key_id, r.idem_key, r.at_us
	ON CONFLICT (key_id, idem_key) DO UPDATE
	   SET body_hash = EXCLUDED.body_hash, day = EXCLUDED.day,
	       credits = EXCLUDED.credits,
	       cost_micro_usd = EXCLUDED.cost_micro_usd,
	       used = EXCLUDED.used, daily_limit = EXCLUDED.daily_limit,
	       requests = EXCLUDED.requests, at = EXCLUDED.at
	 WHERE i.at <= EXCLUDED.at - INTERVAL '24 hours';

	RETURN 'applied';
END $$;

-- As the flush_apply before, and the batch's rows of request_logs and its alerts in
-- the same transaction.  logs_added: 0 for a duplicate.
--
-- Partitions that are missing (first start, a spool of long ago) are made
-- before anything else is locked; in between the flusher's housekeeping is
-- weeks ahead.
CREATE OR REPLACE FUNCTION tallyd.flush_apply(
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
	IF outcome = 'applied' THEN
		PERFORM tallyd.usage_alerts(p_user_ids, p_days);
	END IF;
END $$;

-- One piece of an import; the caller's transaction makes all pieces one.
-- p_emails are the owners of this piece, each once; p_owners says which one
-- (from 1) a key has.  Empty text, 0 and for p_daily_limits -1 mean none.
-- A key that its owner has already is held, so that an import can be done
-- again; one of somebody else is bad.  SQLSTATE TL003: no such plan.
-- p_key_ids rise from row to row: random ones would touch all pages of two
-- more indexes, and log each of them again after every checkpoint.
CREATE OR REPLACE FUNCTION tallyd.key_import(
	p_plan TEXT, -- NULL: owners must be there; else they are made on it
	p_emails TEXT[], p_owners INT[], p_lines INT[], p_key_ids UUID[],
	p_digests BYTEA[], p_prefixes TEXT[], p_labels TEXT[],
	p_created_us BIGINT[], p_expires_us BIGINT[], p_scopes TEXT[],
	p_allowed_ips TEXT[], p_rate_limits INT[], p_daily_limits INT[],
	p_metadata TEXT[], p_statuses TEXT[],
	OUT made INT, OUT held INT, OUT users_made INT,
	OUT bad_lines INT[], OUT bad_whys TEXT[])
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
	plan UUID;
	owner_ids UUID[];
BEGIN
	users_made := 0;
	held := 0;
	bad_lines := '{}';
	bad_whys := '{}';
	IF p_plan IS NOT NULL THEN
		SELECT p.plan_id INTO plan FROM public.plans p
		 WHERE p.name = p_plan;
		IF plan IS NULL THEN
			RAISE EXCEPTION 'there is no plan ''%''', p_plan
				USING ERRCODE = 'TL003';
		END IF;
		INSERT INTO public.users (email, plan_id)
		SELECT e.email, plan FROM unnest(p_emails) e (email)
		 WHERE NOT EXISTS (SELECT FROM public.users u
			 WHERE lower(u.email) = lower(e.email))
		ON CONFLICT DO NOTHING;
		GET DIAGNOSTICS users_made = ROW_COUNT;
	END IF;
	owner_ids := ARRAY(
		SELECT (SELECT u.user_id FROM public.users u
			 WHERE lower(u.email) = lower(e.email))
		  FROM unnest(p_emails) WITH ORDINALITY e (email, at)
		 ORDER BY e.at);

	INSERT INTO public.api_keys (key_id, user_id, key_prefix, key_hash,
		label, status, created_at, expires_at, scopes, allowed_ips,
		rate_limit, daily_credit_limit, metadata)
	SELECT r.key_id, owner_ids[r.owner], r.prefix,
	       encode(r.digest, 'hex'), r.label, r.status,
	       CASE WHEN r.created_us = 0 THEN now() ELSE
		'epoch'::timestamptz + r.created_us * INTERVAL '1 microsecond'
		END,
	       'epoch'::timestamptz + nullif(r.expires_us, 0)
		* INTERVAL '1 microsecond',
	       string_to_array(nullif(r.scopes, ''), ' '),
	       string_to_array(nullif(r.allowed_ips, ''), ' ')::cidr[],
	       nullif(r.rate_limit, 0), nullif(r.daily_limit, -1),
	       nullif(r.metadata, '')::jsonb
	  FROM unnest(p_key_ids, p_owners, p_digests, p_prefixes, p_labels,
		p_statuses, p_created_us, p_expires_us, p_scopes,
		p_allowed_ips, p_rate_limits, p_daily_limits, p_metadata)
		AS r (key_id, owner, digest, prefix, label, status,
		created_us, expires_us, scopes, allowed_ips, rate_limit,
		daily_limit, metadata)
	 WHERE owner_ids[r.owner] IS NOT NULL
	ON CONFLICT (key_hash) DO NOTHING;
	GET DIAGNOSTICS made = ROW_COUNT;
	IF made = cardinality(p_lines) THEN
		RETURN;
	END IF;

	-- The rows of this transaction are those just made: nothing comes
	-- twice, which the caller has seen to.
	SELECT count(*) FILTER (WHERE t.why = ''),
	       coalesce(array_agg(t.line ORDER BY t.line)
		FILTER (WHERE t.why <> ''), '{}'),
	       coalesce(array_agg(t.why ORDER BY t.line)
		FILTER (WHERE t.why <> ''), '{}')
	  INTO held, bad_lines, bad_whys
	  FROM (SELECT r.line, CASE
			WHEN owner_ids[r.owner] IS NULL THEN 'no_user'
			WHEN k.user_id = owner_ids[r.owner] THEN ''
			ELSE 'foreign' END AS why
		  FROM unnest(p_lines, p_owners, p_digests)
			AS r (line, owner, digest)
		  LEFT JOIN public.api_keys k
			ON k.key_hash = encode(r.digest, 'hex')
		 WHERE k.xmin IS DISTINCT FROM
			pg_current_xact_id()::xid) t;
END $$;

-- Notes attempt number p_attempt and what becomes of the delivery: outcome
-- 'delivered', 'failed', or 'again' in p_next_ms.  p_gone: the endpoint does
-- not want to be called again; one that has only failed for p_dead_after_s
-- is disabled as well.  False: somebody else made that attempt, nothing is
-- noted.
CREATE OR REPLACE FUNCTION tallyd.webhook_attempted(p_delivery_id UUID, p_attempt INT,
	p_outcome TEXT, p_next_ms BIGINT, p_gone BOOLEAN, p_dead_after_s INT,
	p_started_us BIGINT, p_duration_ms INT, p_status INT,
	p_error_code TEXT, p_error TEXT, p_request JSONB, p_response JSONB)
RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
	d tallyd.webhook_delivery;
	dead BOOLEAN;
BEGIN
	UPDATE tallyd.webhook_delivery w
	   SET attempts = p_attempt,
	       next_at = CASE p_outcome WHEN 'again' THEN clock_timestamp() +
			p_next_ms * INTERVAL '1 millisecond' END
	 WHERE w.delivery_id = p_delivery_id AND w.state = 'pending'
	   AND w.attempts = p_attempt - 1
	RETURNING w.* INTO d;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	INSERT INTO tallyd.webhook_attempt (delivery_id, attempt, started_at,
		duration_ms, status, error_code, error, request, response)
	VALUES (p_delivery_id, p_attempt, TIMESTAMPTZ '1970-01-01 00:00:00+00'
		+ p_started_us * INTERVAL '1 microsecond', p_duration_ms,
		p_status, p_error_code, p_error, p_request, p_response);
	IF p_outcome = 'delivered' THEN
		UPDATE public.webhook_endpoints e SET failing_since = NULL
		 WHERE e.webhook_id = d.webhook_id
		   AND e.failing_since IS NOT NULL;
	ELSE
		UPDATE public.webhook_endpoints e SET failing_since = now()
		 WHERE e.webhook_id = d.webhook_id AND e.failing_since IS NULL;
		SELECT e.failing_since < now() -
			p_dead_after_s * INTERVAL '1 second' INTO dead
		  FROM public.webhook_endpoints e
		 WHERE e.webhook_id = d.webhook_id;
		IF p_gone OR dead THEN
			PERFORM tallyd.webhook_disable(d.webhook_id,
				CASE WHEN p_gone THEN 'gone' ELSE 'failing' END);
		END IF;
	END IF;
	IF p_outcome <> 'again' THEN
		PERFORM tallyd.webhook_end(p_delivery_id, p_outcome);
	END IF;
	RETURN true;
END $$;
