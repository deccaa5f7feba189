DROP FUNCTION tallyd.key_rotate(TEXT, UUID, UUID, BYTEA, TEXT, INT);
DROP FUNCTION tallyd.key_insert(TEXT, UUID, BYTEA, TEXT, TEXT, INT,
	TIMESTAMPTZ, TEXT[], TEXT[], INT, INT, JSONB);
DROP INDEX api_keys_user_id_idx;
CREATE INDEX api_keys_user_id_idx ON api_keys (user_id);
ALTER DOMAIN tallyd.scope_list DROP CONSTRAINT scope_list_commas;
CREATE FUNCTION tallyd.key_insert(
	p_user_id UUID, p_digest BYTEA, p_prefix TEXT, p_label TEXT,
	p_max_active INT, p_expires_at TIMESTAMPTZ, p_scopes TEXT[],
	p_allowed_ips TEXT[], p_rate_limit INT, p_daily_credit_limit INT,
	p_metadata JSONB,
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
	outcome := 'made';
END $$;
