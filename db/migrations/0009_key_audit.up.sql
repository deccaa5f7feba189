-- Keys: who made, rotated, renamed and revoked them; and how lists are walked.

-- X-Tally-Scopes parts them with commas, so none may hold one.
ALTER DOMAIN tallyd.scope_list
	ADD CONSTRAINT scope_list_commas
	CHECK (array_to_string(VALUE, '') !~ ',');

-- The user's own list and, over all users, the admin's: newest first.
DROP INDEX api_keys_user_id_idx;
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id, created_at, key_id);

DROP FUNCTION tallyd.key_insert(UUID, BYTEA, TEXT, TEXT, INT, TIMESTAMPTZ,
	TEXT[], TEXT[], INT, INT, JSONB);

-- Makes a key unless its owner has p_max_active active ones already.
--
-- A function, because the count must be taken after the lock on the owner is
-- held: a single statement would count in the snapshot it started with and
-- two callers could both find room.
CREATE FUNCTION tallyd.key_insert(
	p_actor TEXT, p_user_id UUID, p_digest BYTEA, p_prefix TEXT,
	p_label TEXT, p_max_active INT, p_expires_at TIMESTAMPTZ,
	p_scopes TEXT[], p_allowed_ips TEXT[], p_rate_limit INT,
	p_daily_credit_limit INT, p_metadata JSONB,
	OUT outcome TEXT, -- 'made', 'no_user', 'too_many'
	OUT key_id UUID, OUT created_at TIMESTAMPTZ)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM public.users u WHERE u.user_id = p_user_id
		FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		outcome := 'no_user';
		RETURN;
	END IF;
	IF (SELECT count(*) FROM public.api_keys k
	     WHERE k.user_id = p_user_id AND k.status = 'active') >= p_max_active
	THEN
		outcome := 'too_many';
		RETURN;
	END IF;
	INSERT INTO public.api_keys AS k (user_id, key_hash, key_prefix, label,
		expires_at, scopes, allowed_ips, rate_limit,
		daily_credit_limit, metadata)
	VALUES (p_user_id, encode(p_digest, 'hex'), p_prefix, p_label,
		p_expires_at, nullif(p_scopes, '{}'),
		nullif(p_allowed_ips, '{}')::cidr[], p_rate_limit,
		p_daily_credit_limit, p_metadata)
	RETURNING k.key_id, k.created_at INTO key_id, created_at;
	INSERT INTO public.audit_log (actor, action, target, details)
	VALUES (p_actor, 'token.create', key_id::text,
		p_prefix || ' ''' || p_label || '''');
	outcome := 'made';
END $$;

-- A new secret for an active key: the new key takes over all that the old one
-- was allowed, its overrides too; the old one is revoked, and accepted for
-- p_grace_seconds more.  All columns NULL: there is no such key (of that user,
-- when p_user_id is given).
CREATE FUNCTION tallyd.key_rotate(
	p_actor TEXT, p_key_id UUID, p_user_id UUID, p_digest BYTEA,
	p_prefix TEXT, p_grace_seconds INT,
	OUT key_id UUID, OUT label TEXT, OUT old_digest BYTEA,
	OUT grace_until TIMESTAMPTZ)
LANGUAGE plpgsql AS $$
DECLARE
	old public.api_keys;
BEGIN
	UPDATE public.api_keys k
	   SET status = 'revoked', revoked_at = now(),
	       grace_until = CASE WHEN p_grace_seconds > 0
		THEN now() + p_grace_seconds * INTERVAL '1 second' END
	 WHERE k.key_id = p_key_id AND k.status = 'active'
	   AND (p_user_id IS NULL OR k.user_id = p_user_id)
	RETURNING k.* INTO old;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	INSERT INTO public.api_keys AS k (user_id, key_hash, key_prefix, label,
		expires_at, scopes, allowed_ips, rate_limit,
		daily_credit_limit, metadata)
	VALUES (old.user_id, encode(p_digest, 'hex'), p_prefix, old.label,
		old.expires_at, old.scopes, old.allowed_ips, old.rate_limit,
		old.daily_credit_limit, old.metadata)
	RETURNING k.key_id INTO key_id;
	INSERT INTO public.limit_overrides (limit_id, key_id, count)
	SELECT o.limit_id, key_rotate.key_id, o.count
	  FROM public.limit_overrides o WHERE o.key_id = old.key_id;
	INSERT INTO public.audit_log (actor, action, target, details)
	VALUES (p_actor, 'token.rotate', old.key_id::text,
		format('%s, now %s, grace %s s', old.key_prefix, p_prefix,
		       p_grace_seconds));
	label := old.label;
	old_digest := decode(old.key_hash, 'hex');
	grace_until := old.grace_until;
END $$;
