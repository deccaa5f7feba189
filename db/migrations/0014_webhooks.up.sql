-- Outgoing webhooks: who wants to be told what, what was told, and how it went.
--
-- tallyd.user_event tells an event of a user: one delivery for each endpoint
-- that wants it, with its task, in the transaction of what happened.

-- secret is kept as it is, because it must sign: whoever reads this table can
-- sign as we do.
CREATE TABLE webhook_endpoints (
	webhook_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
	url TEXT NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
	description VARCHAR(200) NOT NULL DEFAULT '',
	events TEXT[] NOT NULL -- names, or '*' for all
		CHECK (cardinality(events) BETWEEN 1 AND 32
			AND array_position(events, NULL) IS NULL),
	enabled BOOLEAN NOT NULL DEFAULT true,
	ordered BOOLEAN NOT NULL DEFAULT false,
	rate_per_minute INT CHECK (rate_per_minute > 0), -- null: no limit
	concurrency INT CHECK (concurrency > 0),
	secret BYTEA NOT NULL CHECK (octet_length(secret) BETWEEN 24 AND 64),
	-- The secret before, which signs too until then.
	previous_secret BYTEA,
	previous_until TIMESTAMPTZ,
	-- 'gone': it answered 410.  'failing': nothing but failures for days.
	-- Null: enabled, or its owner disabled it.
	disabled_reason TEXT CHECK (disabled_reason IN ('gone', 'failing')),
	disabled_at TIMESTAMPTZ,
	failing_since TIMESTAMPTZ, -- the first failure behind the last success
	created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX webhook_endpoints_user_id_idx
	ON webhook_endpoints (user_id, created_at, webhook_id);
CREATE INDEX webhook_endpoints_created_at_idx
	ON webhook_endpoints (created_at, webhook_id);
CREATE TRIGGER webhook_endpoints_updated_at BEFORE UPDATE ON webhook_endpoints
	FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)
	EXECUTE FUNCTION tallyd.set_updated_at();

-- One event for one endpoint.  body is kept as it was first sent: receivers
-- verify bytes.
--
-- state: 'waiting' behind an earlier one of its order key, 'pending' (it has a
-- task), then 'delivered', 'failed', or 'skipped': the endpoint was disabled.
CREATE TABLE tallyd.webhook_delivery (
	delivery_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
	seq BIGINT GENERATED ALWAYS AS IDENTITY,
	webhook_id UUID NOT NULL
		REFERENCES public.webhook_endpoints ON DELETE CASCADE,
	message_id TEXT NOT NULL, -- one for all endpoints of an event
	event TEXT NOT NULL,
	body TEXT NOT NULL,
	order_key TEXT, -- null: in no order
	state TEXT NOT NULL CHECK (state IN ('waiting', 'pending', 'delivered',
		'failed', 'skipped')),
	attempts INT NOT NULL DEFAULT 0,
	-- attempts before the last replay: the schedule begins anew with it
	attempts_before INT NOT NULL DEFAULT 0,
	task_id BIGINT, -- of the last time it was sent
	next_at TIMESTAMPTZ, -- of the next attempt, when one failed
	created_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
	ended_at TIMESTAMPTZ
) WITH (fillfactor = 80);
CREATE INDEX webhook_delivery_webhook_id_idx
	ON tallyd.webhook_delivery (webhook_id, created_at, delivery_id);
CREATE INDEX webhook_delivery_order_idx
	ON tallyd.webhook_delivery (webhook_id, order_key, seq)
	WHERE order_key IS NOT NULL AND state IN ('waiting', 'pending');
CREATE INDEX webhook_delivery_pending_idx
	ON tallyd.webhook_delivery (task_id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_created_at_idx
	ON tallyd.webhook_delivery (created_at);

-- One exchange.  request and response are heads, the latter with the
-- beginning of a text.
CREATE TABLE tallyd.webhook_attempt (
	delivery_id UUID NOT NULL
		REFERENCES tallyd.webhook_delivery ON DELETE CASCADE,
	attempt INT NOT NULL,
	started_at TIMESTAMPTZ NOT NULL,
	duration_ms INT NOT NULL,
	status INT, -- null: no answer
	error_code TEXT, -- null: success
	error TEXT,
	request JSONB NOT NULL,
	response JSONB,
	PRIMARY KEY (delivery_id, attempt)
);

-- Users whose usage somebody wants to be told of: the flush looks here, and
-- the lock on a row makes flushes of several hosts take turns with its user.
CREATE TABLE tallyd.usage_watch (
	user_id UUID PRIMARY KEY REFERENCES public.users ON DELETE CASCADE
) WITH (fillfactor = 50);

-- What was told of a user's day, so that it is told once: percent of the
-- quota that were reached; 0: a request was refused.
CREATE TABLE tallyd.usage_alert (
	user_id UUID NOT NULL REFERENCES public.users ON DELETE CASCADE,
	day DATE NOT NULL,
	percent SMALLINT NOT NULL,
	at TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (user_id, day, percent)
);
CREATE INDEX usage_alert_day_idx ON tallyd.usage_alert (day);

-- What was told of a key that will expire: 7 and 1 days before.
CREATE TABLE tallyd.key_alert (
	key_id UUID NOT NULL REFERENCES public.api_keys ON DELETE CASCADE,
	days SMALLINT NOT NULL,
	at TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (key_id, days)
);
CREATE INDEX api_keys_expires_at_idx ON api_keys (expires_at)
	WHERE expires_at IS NOT NULL AND status = 'active';

CREATE FUNCTION tallyd.usage_watch_keep() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
	who UUID := coalesce(NEW.user_id, OLD.user_id);
BEGIN
	-- Changes of one user's endpoints one after another.
	PERFORM FROM public.users u WHERE u.user_id = who FOR NO KEY UPDATE;
	IF EXISTS (SELECT FROM public.webhook_endpoints e
		    WHERE e.user_id = who AND e.enabled AND e.events
			&& '{*,usage.threshold,quota.exceeded}'::text[]) THEN
		INSERT INTO tallyd.usage_watch VALUES (who)
			ON CONFLICT DO NOTHING;
	ELSE
		DELETE FROM tallyd.usage_watch w WHERE w.user_id = who;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER webhook_endpoints_usage_watch
	AFTER INSERT OR DELETE OR UPDATE OF events, enabled
	ON webhook_endpoints FOR EACH ROW
	EXECUTE FUNCTION tallyd.usage_watch_keep();

-- ---- telling ----------------------------------------------------------------

-- At most ten calls at a time to one endpoint, unless it wants fewer; and so
-- the slow ones leave room for the others.
INSERT INTO tallyd.task_queue (queue, tenant_concurrency)
	VALUES ('webhook', 10) ON CONFLICT DO NOTHING;

-- Times as they are on the wire.
CREATE FUNCTION tallyd.wire_time(p_at TIMESTAMPTZ) RETURNS TEXT
LANGUAGE sql STABLE AS $$
	SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- The task that carries out a delivery; webhook.deliver counts attempts by
-- itself, so the bus's limit is only there to end what can not end.
CREATE FUNCTION tallyd.webhook_task(p_delivery_id UUID, p_webhook_id UUID)
RETURNS BIGINT LANGUAGE sql AS $$
	SELECT tallyd.enqueue('webhook.deliver',
		jsonb_build_object('delivery_id', p_delivery_id),
		jsonb_build_object('queue', 'webhook', 'tenant', p_webhook_id,
			'retry_limit', 1000, 'retry_delay_ms', 5000,
			'retry_backoff', false, 'timeout_ms', 60000))
$$;

-- Is another delivery of that key under way?  The endpoint is locked until we
-- commit, so that nobody answers the same for the same key meanwhile.
CREATE FUNCTION tallyd.webhook_busy(p_webhook_id UUID, p_order_key TEXT)
RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
	IF p_order_key IS NULL THEN
		RETURN false;
	END IF;
	PERFORM FROM public.webhook_endpoints e
	 WHERE e.webhook_id = p_webhook_id FOR NO KEY UPDATE;
	RETURN EXISTS (SELECT FROM tallyd.webhook_delivery d
		WHERE d.webhook_id = p_webhook_id AND d.order_key = p_order_key
		  AND d.state IN ('waiting', 'pending'));
END $$;

CREATE FUNCTION tallyd.webhook_add(p_webhook_id UUID, p_message_id TEXT,
	p_event TEXT, p_data JSONB, p_order_key TEXT)
RETURNS UUID LANGUAGE plpgsql AS $$
DECLARE
	id UUID := gen_random_uuid();
	busy BOOLEAN := tallyd.webhook_busy(p_webhook_id, p_order_key);
BEGIN
	INSERT INTO tallyd.webhook_delivery (delivery_id, webhook_id,
		message_id, event, order_key, state, task_id, body)
	VALUES (id, p_webhook_id, p_message_id, p_event, p_order_key,
		CASE WHEN busy THEN 'waiting' ELSE 'pending' END,
		CASE WHEN NOT busy
		THEN tallyd.webhook_task(id, p_webhook_id) END,
		format('{"type": %s, "timestamp": "%s", "data": %s}',
			to_json(p_event), tallyd.wire_time(now()), p_data));
	RETURN id;
END $$;

CREATE FUNCTION tallyd.webhook_message_id() RETURNS TEXT
LANGUAGE sql VOLATILE AS $$
	SELECT 'msg_' || replace(gen_random_uuid()::text, '-', '')
$$;

-- Tells an event of a user to the bus and to the endpoints that want it; how
-- many these are.  Whom nobody listens to costs two look-ups.  Deliveries of
-- one order key go one after another to endpoints that want order.
CREATE FUNCTION tallyd.user_event(p_user_id UUID, p_event TEXT, p_data JSONB,
	p_order_key TEXT)
RETURNS INT LANGUAGE plpgsql AS $$
DECLARE
	message TEXT;
	e RECORD;
	n INT := 0;
BEGIN
	FOR e IN SELECT w.webhook_id, w.ordered FROM public.webhook_endpoints w
		  WHERE w.user_id = p_user_id AND w.enabled
		    AND w.events && ARRAY['*', p_event]
		  ORDER BY w.webhook_id
	LOOP
		message := coalesce(message, tallyd.webhook_message_id());
		PERFORM tallyd.webhook_add(e.webhook_id, message, p_event,
			p_data, CASE WHEN e.ordered THEN p_order_key END);
		n := n + 1;
	END LOOP;
	IF n > 0 OR EXISTS (SELECT FROM tallyd.task_definition d
			     WHERE d.event = p_event) THEN
		-- Runners make it weeks ahead, where there are any; a flush
		-- must not fail because there are none.
		PERFORM tallyd.week_ensure('event',
			(now() AT TIME ZONE 'UTC')::date);
		PERFORM tallyd.emit(p_event,
			jsonb_build_object('user_id', p_user_id) || p_data);
	END IF;
	RETURN n;
END $$;

-- The delivery of that key which waits behind one that has ended goes on.
CREATE FUNCTION tallyd.webhook_next(p_webhook_id UUID, p_order_key TEXT)
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
	id UUID;
BEGIN
	IF p_order_key IS NULL THEN
		RETURN;
	END IF;
	PERFORM FROM public.webhook_endpoints e
	 WHERE e.webhook_id = p_webhook_id FOR NO KEY UPDATE;
	SELECT d.delivery_id INTO id FROM tallyd.webhook_delivery d
	 WHERE d.webhook_id = p_webhook_id AND d.order_key = p_order_key
	   AND d.state = 'waiting'
	   AND NOT EXISTS (SELECT FROM tallyd.webhook_delivery p
		WHERE p.webhook_id = p_webhook_id
		  AND p.order_key = p_order_key AND p.state = 'pending')
	 ORDER BY d.seq LIMIT 1;
	UPDATE tallyd.webhook_delivery d
	   SET state = 'pending',
	       task_id = tallyd.webhook_task(id, p_webhook_id)
	 WHERE d.delivery_id = id;
END $$;

-- ---- how it went ------------------------------------------------------------

-- Disables an endpoint that was enabled and tells its user's others.
CREATE FUNCTION tallyd.webhook_disable(p_webhook_id UUID, p_reason TEXT)
RETURNS VOID LANGUAGE plpgsql AS $$
DECLARE
	e public.webhook_endpoints;
BEGIN
	UPDATE public.webhook_endpoints w
	   SET enabled = false, disabled_reason = p_reason, disabled_at = now()
	 WHERE w.webhook_id = p_webhook_id AND w.enabled
	RETURNING w.* INTO e;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	INSERT INTO public.audit_log (actor, action, target, details)
	VALUES ('tallyd', 'webhook.disable', p_webhook_id::text, p_reason);
	PERFORM tallyd.user_event(e.user_id, 'webhook.disabled',
		jsonb_build_object('webhook_id', e.webhook_id, 'url', e.url,
			'reason', p_reason), e.webhook_id::text);
END $$;

-- Ends a delivery that has not ended: its outcome is 'delivered', 'failed',
-- or 'skipped'.
CREATE FUNCTION tallyd.webhook_end(p_delivery_id UUID, p_outcome TEXT)
RETURNS BOOLEAN LANGUAGE plpgsql AS $$
DECLARE
	d tallyd.webhook_delivery;
BEGIN
	UPDATE tallyd.webhook_delivery w
	   SET state = p_outcome, ended_at = now(), next_at = NULL
	 WHERE w.delivery_id = p_delivery_id AND w.state = 'pending'
	RETURNING w.* INTO d;
	IF FOUND THEN
		PERFORM tallyd.webhook_next(d.webhook_id, d.order_key);
	END IF;
	RETURN d.delivery_id IS NOT NULL;
END $$;

-- Notes attempt number p_attempt and what becomes of the delivery: outcome
-- 'delivered', 'failed', or 'again' in p_next_ms.  p_gone: the endpoint does
-- not want to be called again; one that has only failed for p_dead_after_s
-- is disabled as well.  False: somebody else made that attempt, nothing is
-- noted.
CREATE FUNCTION tallyd.webhook_attempted(p_delivery_id UUID, p_attempt INT,
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

-- Deliveries whose task ended behind our back (an operator cancelled it, or
-- its runners died of it) have failed; how many.
CREATE FUNCTION tallyd.webhook_sweep(p_max INT) RETURNS INT
LANGUAGE sql AS $$
	SELECT count(*) FILTER (WHERE tallyd.webhook_end(d.delivery_id,
		'failed'))::int
	  FROM (SELECT w.delivery_id FROM tallyd.webhook_delivery w
		 WHERE w.state = 'pending'
		   AND NOT EXISTS (SELECT FROM tallyd.task t
			WHERE t.task_id = w.task_id)
		 LIMIT p_max) d
$$;

-- ---- owners and operators ---------------------------------------------------

-- Makes an endpoint unless its user has p_max: outcome 'made', 'no_user',
-- 'too_many'.  A function as key_insert is one: it counts behind its lock.
CREATE FUNCTION tallyd.webhook_insert(p_actor TEXT, p_user_id UUID, p_max INT,
	p_url TEXT, p_description TEXT, p_events TEXT[], p_enabled BOOLEAN,
	p_ordered BOOLEAN, p_rate_per_minute INT, p_concurrency INT,
	p_secret BYTEA, OUT outcome TEXT, OUT webhook_id UUID)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM public.users u WHERE u.user_id = p_user_id
		FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		outcome := 'no_user';
		RETURN;
	END IF;
	IF (SELECT count(*) FROM public.webhook_endpoints e
	     WHERE e.user_id = p_user_id) >= p_max THEN
		outcome := 'too_many';
		RETURN;
	END IF;
	INSERT INTO public.webhook_endpoints AS e (user_id, url, description,
		events, enabled, ordered, rate_per_minute, concurrency, secret)
	VALUES (p_user_id, p_url, p_description, p_events, p_enabled, p_ordered,
		p_rate_per_minute, p_concurrency, p_secret)
	RETURNING e.webhook_id INTO webhook_id;
	INSERT INTO public.audit_log (actor, action, target, details)
	VALUES (p_actor, 'webhook.create', webhook_id::text, p_url);
	outcome := 'made';
END $$;

-- An event of no meaning for one endpoint; its delivery.  Null: there is no
-- such enabled endpoint.
CREATE FUNCTION tallyd.webhook_test(p_actor TEXT, p_webhook_id UUID,
	p_user_id UUID)
RETURNS UUID LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM public.webhook_endpoints e
	 WHERE e.webhook_id = p_webhook_id AND e.enabled
	   AND (p_user_id IS NULL OR e.user_id = p_user_id);
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	INSERT INTO public.audit_log (actor, action, target, details)
	VALUES (p_actor, 'webhook.test', p_webhook_id::text, '');
	RETURN tallyd.webhook_add(p_webhook_id, tallyd.webhook_message_id(),
		'webhook.test', jsonb_build_object('webhook_id', p_webhook_id),
		NULL);
END $$;

-- Sends deliveries that failed or were skipped once more, under their own
-- message ids: one of them, or those made since then, oldest first, at most
-- p_max.  How many.
CREATE FUNCTION tallyd.webhook_replay(p_actor TEXT, p_webhook_id UUID,
	p_delivery_id UUID, p_since TIMESTAMPTZ, p_max INT)
RETURNS INT LANGUAGE plpgsql AS $$
DECLARE
	d tallyd.webhook_delivery;
	busy BOOLEAN;
	n INT := 0;
BEGIN
	FOR d IN SELECT * FROM tallyd.webhook_delivery w
		  WHERE w.webhook_id = p_webhook_id
		    AND (p_delivery_id IS NULL OR w.delivery_id = p_delivery_id)
		    AND w.created_at >= coalesce(p_since, '-infinity')
		    AND (w.state IN ('failed', 'skipped')
			 OR (p_delivery_id IS NOT NULL
			     AND w.state = 'delivered'))
		  ORDER BY w.created_at, w.delivery_id
		  LIMIT p_max FOR UPDATE
	LOOP
		busy := tallyd.webhook_busy(p_webhook_id, d.order_key);
		UPDATE tallyd.webhook_delivery w
		   SET state = CASE WHEN busy THEN 'waiting' ELSE 'pending' END,
		       attempts_before = w.attempts, ended_at = NULL,
		       next_at = NULL, task_id = CASE WHEN NOT busy THEN
			tallyd.webhook_task(w.delivery_id, p_webhook_id) END
		 WHERE w.delivery_id = d.delivery_id;
		n := n + 1;
	END LOOP;
	IF n > 0 THEN
		INSERT INTO public.audit_log (actor, action, target, details)
		VALUES (p_actor, 'webhook.replay', p_webhook_id::text,
			format('%s deliveries', n));
	END IF;
	RETURN n;
END $$;

-- ---- what is told -----------------------------------------------------------

-- Behind a batch's usage and in its transaction: tells each threshold that
-- the day of a watched user has reached and that was not told yet.  Their rows
-- are locked before their sums are taken, so two hosts that each bring a part
-- see the whole one after the other.  What is older than a week is history.
CREATE FUNCTION tallyd.usage_alerts(p_user_ids UUID[], p_days DATE[])
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

-- Tells of keys that expire within a week, and within a day; how many.  A key
-- that is made for less than a week is told of a day before only.
CREATE FUNCTION tallyd.keys_expiring(p_max INT) RETURNS INT
LANGUAGE plpgsql AS $$
DECLARE
	k RECORD;
	n INT := 0;
BEGIN
	FOR k IN
		SELECT a.key_id, a.user_id, a.key_prefix, a.label,
		       a.expires_at, t.days
		  FROM public.api_keys a
		 CROSS JOIN (VALUES (7), (1)) t (days)
		 WHERE a.status = 'active' AND a.expires_at > now()
		   AND a.expires_at <= now() + t.days * INTERVAL '1 day'
		   AND (t.days = 1 OR
			(a.expires_at > now() + INTERVAL '1 day' AND
			 a.expires_at > a.created_at + INTERVAL '7 days'))
		   AND NOT EXISTS (SELECT FROM tallyd.key_alert x
			WHERE x.key_id = a.key_id AND x.days = t.days)
		 ORDER BY a.key_id
		 LIMIT p_max
	LOOP
		INSERT INTO tallyd.key_alert (key_id, days)
		VALUES (k.key_id, k.days) ON CONFLICT DO NOTHING;
		CONTINUE WHEN NOT FOUND;
		n := n + 1;
		PERFORM tallyd.user_event(k.user_id, 'key.expiring',
			jsonb_build_object('key_id', k.key_id,
				'prefix', k.key_prefix, 'label', k.label,
				'expires_at', tallyd.wire_time(k.expires_at),
				'days', k.days), k.key_id::text);
	END LOOP;
	RETURN n;
END $$;

-- What is told of a key.
CREATE FUNCTION tallyd.key_event(p_event TEXT, p_key_id UUID, p_more JSONB)
RETURNS VOID LANGUAGE sql AS $$
	SELECT tallyd.user_event(k.user_id, p_event,
		jsonb_build_object('key_id', k.key_id, 'prefix', k.key_prefix,
			'label', k.label) || p_more, k.key_id::text)
	  FROM public.api_keys k WHERE k.key_id = p_key_id
$$;

-- As before, and they tell.
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
	PERFORM tallyd.key_event('key.created', key_id, '{}');
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
	PERFORM tallyd.key_event('key.rotated', key_id, jsonb_build_object(
		'replaces_key_id', old.key_id, 'grace_until',
		tallyd.wire_time(old.grace_until)));
	label := old.label;
	old_digest := decode(old.key_hash, 'hex');
	grace_until := old.grace_until;
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
