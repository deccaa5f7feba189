-- The flush: usage batches are applied exactly once.
--
-- A segment numbers its batches 1, 2, 3 ... within its epoch.  flush_apply
-- moves last_seq and the usage in one transaction, so a batch that is sent
-- again changes nothing, whoever died in between.

-- One row for each node and epoch, for ever (one a machine start): it is
-- what makes a spool that turns up late harmless.
--
-- Fencing: a node id belongs to one segment.  flush_node_open of a new epoch
-- replaces all others of its node; a live batch of a replaced epoch is
-- refused (TL002), which tells that two hosts run under one node id.  The
-- sums could not go wrong: sequences of different epochs never mix.  For the
-- same reason what a replaced epoch has left in its spool is always welcome:
-- such calls say replay = true and may come before or after the open of the
-- new epoch.
CREATE TABLE tallyd.flush_node (
	node_id TEXT NOT NULL,
	epoch BIGINT NOT NULL,
	last_seq BIGINT NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
	replaced_by BIGINT, -- the epoch that came after
	opened_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	applied_at TIMESTAMPTZ,
	PRIMARY KEY (node_id, epoch)
) WITH (fillfactor = 50);

-- Answers of POST /api/usage/record by Idempotency-Key, for 24 h.  No foreign
-- key: a record of a deleted key is harmless and goes with its time.
CREATE TABLE tallyd.idempotency_record (
	key_id UUID NOT NULL,
	idem_key TEXT NOT NULL,
	body_hash BYTEA NOT NULL,
	day DATE NOT NULL,
	credits BIGINT NOT NULL, -- charged
	cost_micro_usd BIGINT NOT NULL,
	used BIGINT NOT NULL, -- the usage that was answered
	daily_limit BIGINT NOT NULL,
	requests BIGINT NOT NULL,
	at TIMESTAMPTZ NOT NULL,
	PRIMARY KEY (key_id, idem_key)
);
CREATE INDEX idempotency_record_at_idx ON tallyd.idempotency_record (at);

-- Usage whose user or key was deleted before it arrived.
CREATE TABLE tallyd.usage_orphan (
	usage_orphan_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	node_id TEXT NOT NULL,
	epoch BIGINT NOT NULL,
	seq BIGINT NOT NULL,
	user_id UUID NOT NULL,
	key_id UUID NOT NULL,
	date DATE NOT NULL,
	credits_used BIGINT NOT NULL,
	request_count BIGINT NOT NULL,
	cost_micro_usd BIGINT NOT NULL,
	at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Takes (node, epoch) for a live segment; gives the number of its last batch
-- that was applied.  TL002: another epoch has replaced this one.
CREATE FUNCTION tallyd.flush_node_open(p_node TEXT, p_epoch BIGINT)
RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
	row tallyd.flush_node;
BEGIN
	-- Two that open at once: one after the other.
	PERFORM pg_advisory_xact_lock(
		hashtextextended('tallyd.flush_node ' || p_node, 0));
	INSERT INTO tallyd.flush_node (node_id, epoch)
		VALUES (p_node, p_epoch) ON CONFLICT DO NOTHING;
	IF FOUND THEN
		UPDATE tallyd.flush_node SET replaced_by = p_epoch
		 WHERE node_id = p_node AND epoch <> p_epoch
		   AND replaced_by IS NULL;
		RETURN 0;
	END IF;
	SELECT * INTO row FROM tallyd.flush_node
	 WHERE node_id = p_node AND epoch = p_epoch;
	IF row.replaced_by IS NOT NULL THEN
		RAISE EXCEPTION 'node ''%'' epoch % was replaced by epoch %',
			p_node, p_epoch, row.replaced_by
			USING ERRCODE = 'TL002';
	END IF;
	RETURN row.last_seq;
END $$;

-- The records of a batch that met no row in daily_usage.  Who is still there
-- is locked until we commit: users first, as a DELETE of one does, so that we
-- wait for it or it for us.  What belongs to nobody any more goes to the
-- orphans: no foreign key ever blocks a batch.
CREATE FUNCTION tallyd.flush_insert(p_node TEXT, p_epoch BIGINT, p_seq BIGINT,
	p_user_ids UUID[], p_key_ids UUID[], p_days DATE[],
	p_credits BIGINT[], p_requests BIGINT[], p_costs BIGINT[])
RETURNS VOID LANGUAGE plpgsql
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
	gone_users UUID[];
	gone_keys UUID[];
BEGIN
	gone_users := ARRAY(
		SELECT unnest(p_user_ids)
		EXCEPT
		SELECT t.user_id FROM (SELECT u.user_id FROM public.users u
			 WHERE u.user_id = ANY (p_user_ids)
			 ORDER BY u.user_id FOR KEY SHARE) t);
	gone_keys := ARRAY(
		SELECT unnest(p_key_ids)
		EXCEPT
		SELECT t.key_id FROM (SELECT k.key_id FROM public.api_keys k
			 WHERE k.key_id = ANY (p_key_ids)
			 ORDER BY k.key_id FOR KEY SHARE) t);

	-- Another node may have been faster with the same row.
	INSERT INTO public.daily_usage AS d (user_id, key_id, date,
		credits_used, request_count, cost_micro_usd)
	SELECT r.* FROM unnest(p_user_ids, p_key_ids, p_days, p_credits,
			p_requests, p_costs)
		AS r (user_id, key_id, day, credits, requests, cost)
	 WHERE r.user_id <> ALL (gone_users) AND r.key_id <> ALL (gone_keys)
	 ORDER BY r.key_id, r.day, r.user_id
	ON CONFLICT (user_id, key_id, date) DO UPDATE
	   SET credits_used = d.credits_used + EXCLUDED.credits_used,
	       request_count = d.request_count + EXCLUDED.request_count,
	       cost_micro_usd = d.cost_micro_usd + EXCLUDED.cost_micro_usd,
	       updated_at = now();

	INSERT INTO tallyd.usage_orphan (node_id, epoch, seq, user_id, key_id,
		date, credits_used, request_count, cost_micro_usd)
	SELECT p_node, p_epoch, p_seq, r.*
	  FROM unnest(p_user_ids, p_key_ids, p_days, p_credits, p_requests,
			p_costs)
		AS r (user_id, key_id, day, credits, requests, cost)
	 WHERE r.user_id = ANY (gone_users) OR r.key_id = ANY (gone_keys);
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
