-- What POST /api/usage/record was told, row by row; the counters are the
-- truth for quotas and bills, this is for looking at.
--
-- One partition a week (Monday to Monday, UTC): old ones are dropped whole.
-- A month's question touches five or six of them.
CREATE TABLE request_logs (
	request_log_id UUID NOT NULL DEFAULT gen_random_uuid(),
	user_id UUID NOT NULL REFERENCES users ON DELETE CASCADE,
	key_id UUID NOT NULL REFERENCES api_keys ON DELETE CASCADE,
	model TEXT NOT NULL DEFAULT 'unknown'
		CHECK (char_length(model) BETWEEN 1 AND 100),
	prompt_tokens INT NOT NULL DEFAULT 0 CHECK (prompt_tokens >= 0),
	completion_tokens INT NOT NULL DEFAULT 0
		CHECK (completion_tokens >= 0),
	credits INT NOT NULL CHECK (credits >= 0),
	cost_micro_usd BIGINT NOT NULL DEFAULT 0 CHECK (cost_micro_usd >= 0),
	created_at TIMESTAMPTZ NOT NULL,
	date DATE NOT NULL, -- of the clock reading that gave created_at
	PRIMARY KEY (created_at, request_log_id)
) PARTITION BY RANGE (created_at);
CREATE INDEX request_logs_user_id_date_idx ON request_logs (user_id, date);
CREATE INDEX request_logs_key_id_date_idx ON request_logs (key_id, date);
CREATE INDEX request_logs_user_id_created_at_idx
	ON request_logs (user_id, created_at DESC, request_log_id);

-- Makes the partition of that day's week; true when it was not there.
CREATE FUNCTION tallyd.request_logs_ensure(p_day DATE) RETURNS BOOLEAN
LANGUAGE plpgsql AS $$
DECLARE
	monday DATE := p_day - (extract(isodow FROM p_day)::int - 1);
	part TEXT := 'request_logs_' || to_char(monday, 'YYYYMMDD');
BEGIN
	IF to_regclass('public.' || part) IS NOT NULL THEN
		RETURN false;
	END IF;
	PERFORM pg_advisory_xact_lock(hashtext('tallyd.request_logs_ensure'));
	IF to_regclass('public.' || part) IS NOT NULL THEN
		RETURN false;
	END IF;
	EXECUTE format('CREATE TABLE public.%I PARTITION OF public.request_logs'
		' FOR VALUES FROM (%L) TO (%L)', part,
		monday::text || ' 00:00:00+00', (monday + 7)::text || ' 00:00:00+00');
	RETURN true;
END $$;
