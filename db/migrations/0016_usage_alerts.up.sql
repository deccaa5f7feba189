-- What is told of usage: the first refusal of a day, too; and users of whom
-- nothing is to be told cost a batch next to nothing.

-- Of that day nothing is to be told before the user's keys, so many, have used
-- `due` credits together; null: all was told.  day null: that is not known.
ALTER TABLE tallyd.usage_watch ADD COLUMN day DATE, ADD COLUMN keys INT,
	ADD COLUMN due BIGINT;

-- Another plan, or another limit of it, and `due` is another one.
CREATE FUNCTION tallyd.usage_watch_forget() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	IF TG_TABLE_NAME = 'users' THEN
		UPDATE tallyd.usage_watch w SET day = NULL
		 WHERE w.user_id = NEW.user_id;
		RETURN NULL;
	END IF;
	PERFORM FROM tallyd.usage_watch w
		JOIN public.users u ON u.user_id = w.user_id
	  WHERE u.plan_id = NEW.plan_id
	  ORDER BY w.user_id FOR NO KEY UPDATE OF w;
	UPDATE tallyd.usage_watch w SET day = NULL
	  FROM public.users u
	 WHERE u.user_id = w.user_id AND u.plan_id = NEW.plan_id;
	RETURN NULL;
END $$;
CREATE TRIGGER users_usage_watch AFTER UPDATE OF plan_id ON users
	FOR EACH ROW WHEN (OLD.plan_id <> NEW.plan_id)
	EXECUTE FUNCTION tallyd.usage_watch_forget();
CREATE TRIGGER plans_usage_watch AFTER UPDATE OF daily_credit_limit ON plans
	FOR EACH ROW WHEN (OLD.daily_credit_limit <> NEW.daily_credit_limit)
	EXECUTE FUNCTION tallyd.usage_watch_forget();

-- Tells each threshold that these days of watched users have reached and that
-- was not told yet.
CREATE OR REPLACE FUNCTION tallyd.usage_alerts(p_user_ids UUID[], p_days DATE[])
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
	a RECORD;
BEGIN
	FOR a IN
		SELECT b.user_id, b.day, s.used, p.daily_credit_limit AS quota,
		       t.percent
		  FROM (SELECT DISTINCT r.user_id, r.day
			  FROM unnest(p_user_ids, p_days)
				AS r (user_id, day)) b
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

-- Notes how many keys these users have used on that day and which threshold
-- comes next.  The last step: from here on their rows are locked, which a
-- change of their endpoints waits for; whoever changes a plan meanwhile waits
-- likewise and has the last word.
CREATE FUNCTION tallyd.usage_note(p_user_ids UUID[], p_days DATE[])
RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM tallyd.usage_watch w WHERE w.user_id = ANY (p_user_ids)
		ORDER BY w.user_id FOR NO KEY UPDATE;
	UPDATE tallyd.usage_watch w
	   SET day = b.day, keys = s.keys,
	       due = (SELECT min((p.daily_credit_limit::int8 * t.percent + 99)
				/ 100)
			FROM (VALUES (50), (80), (90), (100)) t (percent)
		       WHERE p.daily_credit_limit > 0 AND NOT EXISTS (
			SELECT FROM tallyd.usage_alert x
			 WHERE x.user_id = b.user_id AND x.day = b.day
			   AND x.percent = t.percent))
	  FROM (SELECT r.user_id, max(r.day) AS day
		  FROM unnest(p_user_ids, p_days) AS r (user_id, day)
		 GROUP BY r.user_id) b
	  JOIN public.users u ON u.user_id = b.user_id
	  JOIN public.plans p ON p.plan_id = u.plan_id
	 CROSS JOIN LATERAL (SELECT count(*) AS keys
		  FROM public.daily_usage d
		 WHERE d.user_id = b.user_id AND d.date = b.day) s
	 WHERE w.user_id = b.user_id
	   AND (w.day IS NULL OR w.day <= b.day);
END $$;

-- Behind a batch's usage and in its transaction: whom of these rows is there
-- anything to tell (null: of nobody)?  Nearly always nobody, and the rows of a user with one key
-- say so themselves.  Batches of several hosts take turns from here to their
-- end, so that of two that each bring a part the second sees the whole.  What
-- is older than a week is history.
CREATE FUNCTION tallyd.usage_look(p_user_ids UUID[], p_days DATE[],
	p_credits BIGINT[], OUT user_ids UUID[], OUT days DATE[])
LANGUAGE plpgsql
SET jit = off
AS $$
DECLARE
	today DATE := (now() AT TIME ZONE 'UTC')::date;
BEGIN
	IF p_user_ids IS NULL THEN
		RETURN;
	END IF;
	PERFORM pg_advisory_xact_lock(
		hashtextextended('tallyd.usage_watch', 0));
	SELECT array_agg(r.user_id), array_agg(r.day) INTO user_ids, days
	  FROM unnest(p_user_ids, p_days, p_credits)
		AS r (user_id, day, credits)
	  JOIN tallyd.usage_watch w ON w.user_id = r.user_id
	 WHERE CASE WHEN w.day IS DISTINCT FROM r.day OR r.credits IS NULL
		THEN r.day > today - 7
		WHEN w.keys <= 1 THEN r.credits >= w.due
		ELSE (SELECT sum(d.credits_used) FROM public.daily_usage d
		       WHERE d.user_id = r.user_id AND d.date = r.day) >= w.due
		END;
END $$;

-- Tells the first refusal of a user's day, whichever hosts refused.
CREATE FUNCTION tallyd.quota_alerts(p_user_ids UUID[], p_days DATE[])
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
	today DATE := (now() AT TIME ZONE 'UTC')::date;
	a RECORD;
BEGIN
	IF cardinality(p_user_ids) = 0 THEN
		RETURN; -- the plan of what follows begins with all who watch
	END IF;
	FOR a IN
		SELECT DISTINCT r.user_id, r.day, p.daily_credit_limit AS quota,
		       (SELECT coalesce(sum(d.credits_used), 0)::int8
			  FROM public.daily_usage d
			 WHERE d.user_id = r.user_id AND d.date = r.day) AS used
		  FROM unnest(p_user_ids, p_days) AS r (user_id, day)
		  JOIN tallyd.usage_watch w ON w.user_id = r.user_id
		  JOIN public.users u ON u.user_id = r.user_id
		  JOIN public.plans p ON p.plan_id = u.plan_id
		 WHERE r.day > today - 7
		 ORDER BY r.user_id, r.day
	LOOP
		INSERT INTO tallyd.usage_alert (user_id, day, percent)
		VALUES (a.user_id, a.day, 0) ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND;
		PERFORM tallyd.user_event(a.user_id, 'quota.exceeded',
			jsonb_build_object('date', a.day,
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
--
-- look_*: null when nobody wants to be told of usage; else for each row that
-- was changed its user, its day and what the key has used of it, null when the
-- row is new.
CREATE FUNCTION tallyd.flush_usage(
	p_node TEXT, p_epoch BIGINT, p_seq BIGINT, p_replay BOOLEAN,
	p_user_ids UUID[], p_key_ids UUID[], p_days DATE[],
	p_credits BIGINT[], p_requests BIGINT[], p_costs BIGINT[],
	p_last_used_us BIGINT[],
	p_idem_key_ids UUID[], p_idem_keys TEXT[], p_idem_body_hashes BYTEA[],
	p_idem_days DATE[], p_idem_credits BIGINT[], p_idem_costs BIGINT[],
	p_idem_used BIGINT[], p_idem_limits BIGINT[],
	p_idem_requests BIGINT[], p_idem_at_us BIGINT[],
	OUT outcome TEXT,
	OUT look_users UUID[], OUT look_days DATE[], OUT look_credits BIGINT[])
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
	unix_zero CONSTANT TIMESTAMPTZ := '1970-01-01 00:00:00+00';
	one_us CONSTANT INTERVAL := '1 microsecond';
	node tallyd.flush_node;
	watching BOOLEAN := EXISTS (SELECT FROM tallyd.usage_watch);
	n_updated BIGINT;
	n_wanted BIGINT;
	m RECORD;
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
			outcome := 'duplicate';
			RETURN;
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

	WITH done AS (
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
		   AND (d.user_id = b.user_id) IS TRUE
		RETURNING d.user_id, d.date, d.credits_used)
	SELECT count(*),
	       array_agg(done.user_id) FILTER (WHERE watching),
	       array_agg(done.date) FILTER (WHERE watching),
	       array_agg(done.credits_used) FILTER (WHERE watching)
	  INTO n_updated, look_users, look_days, look_credits
	  FROM done;

	-- A record has found its row when the row's newest version is ours.
	-- That the row exists would not do: it may be another node's, made
	-- after the UPDATE looked.
	SELECT count(*) INTO n_wanted
	  FROM unnest(p_credits, p_requests, p_costs)
		AS r (credits, requests, cost)
	 WHERE (r.credits, r.requests, r.cost) <> (0, 0, 0);
	IF n_updated < n_wanted THEN
		SELECT array_agg(n.user_id) AS users, array_agg(n.key_id) AS keys,
		       array_agg(n.day) AS days, array_agg(n.credits) AS credits,
		       array_agg(n.requests) AS requests,
		       array_agg(n.cost) AS costs
		  INTO m
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
			 GROUP BY r.key_id, r.day, r.user_id) n;
		IF m.users IS NOT NULL THEN
			PERFORM tallyd.flush_insert(p_node, p_epoch, p_seq,
				m.users, m.keys, m.days, m.credits, m.requests,
				m.costs);
			look_users := look_users || m.users;
			look_days := look_days || m.days;
			look_credits := look_credits || array_fill(NULL::int8,
				ARRAY[cardinality(m.users)]);
		END IF;
	END IF;
	IF NOT watching THEN
		look_users := NULL;
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

	outcome := 'applied';
END $$;
DROP FUNCTION tallyd.flush_apply(TEXT, BIGINT, BIGINT, BOOLEAN, UUID[], UUID[], DATE[],
	BIGINT[], BIGINT[], BIGINT[], BIGINT[], UUID[], TEXT[], BYTEA[], DATE[],
	BIGINT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[], BIGINT[]);

-- One batch in one transaction: usage and answers (flush_usage tells the rules
-- and the outcome), its rows of request_logs, and what is to be told of it.
-- p_refused_*: users of whom a request was refused on that day for want of
-- credits.  logs_added: 0 for a duplicate.
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
	p_log_days DATE[], p_refused_user_ids UUID[], p_refused_days DATE[],
	OUT outcome TEXT, OUT logs_added BIGINT)
LANGUAGE plpgsql AS $$
DECLARE
	monday_us CONSTANT BIGINT := -3 * 86400000000; -- 29 December 1969
	week_us CONSTANT BIGINT := 7 * 86400000000;
	u RECORD;
	l RECORD;
BEGIN
	logs_added := 0;
	PERFORM tallyd.request_logs_ensure(w.monday)
	   FROM (SELECT DISTINCT DATE '1969-12-29' +
			7 * ((at_us - monday_us) / week_us)::int AS monday
		   FROM unnest(p_log_at_us) AS at_us) w
	  WHERE w.monday > p_log_since - 7;
	u := tallyd.flush_usage(p_node, p_epoch, p_seq, p_replay,
		p_user_ids, p_key_ids, p_days, p_credits, p_requests, p_costs,
		p_last_used_us, p_idem_key_ids, p_idem_keys,
		p_idem_body_hashes, p_idem_days, p_idem_credits, p_idem_costs,
		p_idem_used, p_idem_limits, p_idem_requests, p_idem_at_us);
	outcome := u.outcome;
	IF outcome = 'applied' AND cardinality(p_log_user_ids) > 0 THEN
		logs_added := tallyd.request_logs_add(p_log_since,
			p_log_user_ids, p_log_key_ids, p_log_models,
			p_log_prompt_tokens, p_log_completion_tokens,
			p_log_credits, p_log_costs, p_log_at_us, p_log_days);
	END IF;
	IF outcome = 'applied' THEN
		l := tallyd.usage_look(u.look_users, u.look_days,
			u.look_credits);
		IF l.user_ids IS NOT NULL THEN
			PERFORM tallyd.usage_alerts(l.user_ids, l.days);
		END IF;
		PERFORM tallyd.quota_alerts(p_refused_user_ids, p_refused_days);
		IF l.user_ids IS NOT NULL THEN
			PERFORM tallyd.usage_note(l.user_ids, l.days);
		END IF;
	END IF;
END $$;

-- For the release before.
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
BEGIN
	SELECT a.outcome, a.logs_added INTO outcome, logs_added
	  FROM tallyd.flush_apply(
		p_node, p_epoch, p_seq, p_replay, p_user_ids, p_key_ids,
		p_days, p_credits, p_requests, p_costs, p_last_used_us,
		p_idem_key_ids, p_idem_keys, p_idem_body_hashes, p_idem_days,
		p_idem_credits, p_idem_costs, p_idem_used, p_idem_limits,
		p_idem_requests, p_idem_at_us, p_log_since, p_log_user_ids,
		p_log_key_ids, p_log_models, p_log_prompt_tokens,
		p_log_completion_tokens, p_log_credits, p_log_costs,
		p_log_at_us, p_log_days, '{}', '{}') a;
END $$;

-- One piece of an import; the caller's transaction makes all pieces one.
-- p_emails are the owners of this piece, each once; p_owners says which one
-- (from 1) a key has.  Empty text, 0 and for p_daily_limits -1 mean none.
-- A key that its owner has already is held, so that an import can be done
-- again; one of somebody else is bad.  SQLSTATE TL003: no such plan.
-- p_key_ids rise from row to row: random ones would touch all pages of two
-- more indexes, and log each of them again after every checkpoint.
-- key.created is told of those that work, to owners who want to hear of it.
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
	told UUID[];
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

	-- Whoever wants to hear of it, and nobody else costs anything.
	IF EXISTS (SELECT FROM tallyd.task_definition d
		    WHERE d.event = 'key.created') THEN
		told := owner_ids;
	ELSE
		told := ARRAY(SELECT DISTINCT e.user_id
			  FROM public.webhook_endpoints e
			 WHERE e.user_id = ANY (owner_ids) AND e.enabled
			   AND e.events && '{*,key.created}'::text[]);
	END IF;
	IF told <> '{}' THEN
		PERFORM tallyd.key_event('key.created', k.key_id, '{}')
		   FROM unnest(p_key_ids) AS r (key_id)
		   JOIN public.api_keys k ON k.key_id = r.key_id
		  WHERE k.status = 'active' AND k.user_id = ANY (told);
	END IF;
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
	-- Its endpoint first, as a DELETE of that does: else the two could wait
	-- for one another.
	PERFORM FROM public.webhook_endpoints e
		JOIN tallyd.webhook_delivery w ON w.webhook_id = e.webhook_id
	  WHERE w.delivery_id = p_delivery_id FOR KEY SHARE OF e;
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
