-- The functions as they were.
-- Makes a key unless its owner has p_max_active active ones already.
--
-- A function, because the count must be taken after the lock on the owner is
-- held: a single statement would count in the snapshot it started with and
-- two callers could both find room.
CREATE OR REPLACE FUNCTION tallyd.key_insert(
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
CREATE OR REPLACE FUNCTION tallyd.key_rotate(
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

-- As the flush_apply before, and the batch's rows of request_logs in the same
-- transaction.  logs_added: 0 for a duplicate.
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
END $$;

DROP FUNCTION tallyd.key_event(TEXT, UUID, JSONB);
DROP FUNCTION tallyd.keys_expiring(INT);
DROP FUNCTION tallyd.usage_alerts(UUID[], DATE[]);
DROP FUNCTION tallyd.webhook_replay(TEXT, UUID, UUID, TIMESTAMPTZ, INT);
DROP FUNCTION tallyd.webhook_test(TEXT, UUID, UUID);
DROP FUNCTION tallyd.webhook_insert(TEXT, UUID, INT, TEXT, TEXT, TEXT[], BOOLEAN,
	BOOLEAN, INT, INT, BYTEA);
DROP FUNCTION tallyd.webhook_sweep(INT);
DROP FUNCTION tallyd.webhook_attempted(UUID, INT, TEXT, BIGINT, BOOLEAN, INT,
	BIGINT, INT, INT, TEXT, TEXT, JSONB, JSONB);
DROP FUNCTION tallyd.webhook_end(UUID, TEXT);
DROP FUNCTION tallyd.webhook_disable(UUID, TEXT);
DROP FUNCTION tallyd.webhook_next(UUID, TEXT);
DROP FUNCTION tallyd.user_event(UUID, TEXT, JSONB, TEXT);
DROP FUNCTION tallyd.webhook_message_id();
DROP FUNCTION tallyd.webhook_add(UUID, TEXT, TEXT, JSONB, TEXT);
DROP FUNCTION tallyd.webhook_busy(UUID, TEXT);
DROP FUNCTION tallyd.webhook_task(UUID, UUID);
DROP FUNCTION tallyd.wire_time(TIMESTAMPTZ);
DELETE FROM tallyd.task_queue WHERE queue = 'webhook';
DELETE FROM tallyd.task WHERE name = 'webhook.deliver';
DROP INDEX api_keys_expires_at_idx;
DROP TABLE tallyd.key_alert;
DROP TABLE tallyd.usage_alert;
DROP TABLE tallyd.usage_watch;
DROP TABLE tallyd.webhook_attempt;
DROP TABLE tallyd.webhook_delivery;
DROP TABLE webhook_endpoints;
DROP FUNCTION tallyd.usage_watch_keep();
