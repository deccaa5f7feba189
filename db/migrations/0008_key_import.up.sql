-- Keys that come in bulk: tallyctl key import.

-- Nothing that a segment holds hangs on a key that was not there, so new ones
-- need no re-reading.  The note is for the key that was asked for, found
-- unknown, and made then; for a crowd of them it would be a million rows which
-- every daemon reads, to gain the few seconds for which it remembers an
-- unknown key.  The importer waits for those.
CREATE OR REPLACE FUNCTION tallyd.change_note_keys() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' AND (SELECT count(*) FROM (
		SELECT FROM changed LIMIT 1001) t) > 1000 THEN
		RETURN NULL;
	END IF;
	INSERT INTO tallyd.change_log (kind, key_hash, user_id)
		SELECT 'key', decode(c.key_hash, 'hex'), c.user_id
		  FROM changed c;
	IF FOUND THEN
		NOTIFY tallyd_change;
	END IF;
	RETURN NULL;
END $$;
-- The same holds for their owners.
CREATE OR REPLACE FUNCTION tallyd.change_note_users() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'INSERT' AND (SELECT count(*) FROM (
		SELECT FROM changed LIMIT 1001) t) > 1000 THEN
		RETURN NULL;
	END IF;
	INSERT INTO tallyd.change_log (kind, user_id)
		SELECT 'user', c.user_id FROM changed c;
	IF FOUND THEN
		NOTIFY tallyd_change;
	END IF;
	RETURN NULL;
END $$;

-- One piece of an import; the caller's transaction makes all pieces one.
-- p_emails are the owners of this piece, each once; p_owners says which one
-- (from 1) a key has.  Empty text, 0 and for p_daily_limits -1 mean none.
-- A key that its owner has already is held, so that an import can be done
-- again; one of somebody else is bad.  SQLSTATE TL003: no such plan.
-- p_key_ids rise from row to row: random ones would touch all pages of two
-- more indexes, and log each of them again after every checkpoint.
CREATE FUNCTION tallyd.key_import(
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
