-- Dead letters sent again by the many, and what lists of tasks look for.

-- Which attempts failed lately; most leave no row in it.
CREATE INDEX task_attempt_failed_idx ON tallyd.task_attempt (ended_at)
	WHERE outcome IN ('failed', 'expired', 'lost');
-- How many ended since then: rows lie in the order of their end, so that a
-- few words for each stretch of pages say where to look.
CREATE INDEX task_attempt_ended_at_idx ON tallyd.task_attempt
	USING brin (ended_at) WITH (autosummarize = on);
CREATE INDEX task_dead_queue_idx ON tallyd.task_dead (queue, task_id);

-- Who sends a dead letter again locks its row first, so that two who do it at a
-- time, one of them with many others, never send it twice.
--
-- A task that ended without success is sent once more, under its own number,
-- with this payload (null: its own); one that waits for its time is due now.
-- 'sent', 'due', 'active' (nothing to do), 'suppressed' (its singleton key is
-- taken); null: no such task.
CREATE OR REPLACE FUNCTION tallyd.task_retry(p_id BIGINT, p_payload JSONB DEFAULT NULL,
	p_actor TEXT DEFAULT 'sql')
RETURNS TEXT LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
	found_state SMALLINT;
	n INT;
BEGIN
	IF jsonb_typeof(p_payload) <> 'object' THEN
		RAISE EXCEPTION 'the payload must be an object'
			USING ERRCODE = 'TL020';
	END IF;
	SELECT t.state INTO found_state FROM tallyd.task t
	 WHERE t.task_id = p_id FOR UPDATE;
	IF found_state = 2 THEN
		RETURN 'active';
	END IF;
	IF found_state IS NOT NULL THEN
		UPDATE tallyd.task
		   SET state = CASE state WHEN 1 THEN 0 ELSE state END,
		       run_at = clock_timestamp(),
		       payload = coalesce(p_payload, payload)
		 WHERE task_id = p_id;
		PERFORM tallyd.task_retried(p_id, p_payload, p_actor);
		RETURN 'due';
	END IF;
	WITH last AS (
		SELECT d.* FROM tallyd.task_dead d WHERE d.task_id = p_id
		 ORDER BY d.ended_at DESC LIMIT 1 FOR UPDATE),
	back AS (
		INSERT INTO tallyd.task (task_id, rank, attempt, name, queue,
			tenant, payload, event_id, retry_limit, retry_delay_ms,
			retry_backoff, timeout_ms, singleton_key, created_at)
		SELECT l.task_id, -l.priority, l.attempts, l.name, l.queue,
		       l.tenant, coalesce(p_payload, l.payload), l.event_id,
		       l.retry_limit, l.retry_delay_ms, l.retry_backoff,
		       l.timeout_ms, l.singleton_key, clock_timestamp()
		  FROM last l
		ON CONFLICT DO NOTHING
		RETURNING task_id)
	DELETE FROM tallyd.task_dead d USING back b
	 WHERE d.task_id = b.task_id;
	GET DIAGNOSTICS n = ROW_COUNT;
	IF n > 0 THEN
		PERFORM tallyd.task_retried(p_id, p_payload, p_actor);
		RETURN 'sent';
	END IF;
	PERFORM FROM tallyd.task_dead d WHERE d.task_id = p_id;
	IF FOUND THEN
		RETURN 'suppressed';
	END IF;
	PERFORM FROM tallyd.task t WHERE t.task_id = p_id;
	RETURN CASE WHEN FOUND THEN 'due' END; -- others were faster
END $$;

-- One batch of dead letters sent again, oldest first: those behind p_after
-- that ended since then with one of these outcomes, of a queue and a name
-- unless null.  looked: how many there were, less than p_max at the end;
-- sent: the rest of them have their singleton key taken; last_id: the next
-- batch's p_after.
CREATE FUNCTION tallyd.task_replay(p_queue TEXT, p_name TEXT,
	p_outcomes TEXT[], p_since TIMESTAMPTZ, p_after BIGINT, p_max INT,
	p_actor TEXT DEFAULT 'sql', OUT looked INT, OUT sent INT,
	OUT last_id BIGINT)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
	WITH pick AS (
		SELECT d.* FROM tallyd.task_dead d
		 WHERE d.task_id > p_after AND d.ended_at >= p_since
		   AND d.outcome = ANY (p_outcomes)
		   AND (p_queue IS NULL OR d.queue = p_queue)
		   AND (p_name IS NULL OR d.name = p_name)
		 ORDER BY d.task_id LIMIT p_max FOR UPDATE SKIP LOCKED),
	back AS (
		INSERT INTO tallyd.task (task_id, rank, attempt, name, queue,
			tenant, payload, event_id, retry_limit, retry_delay_ms,
			retry_backoff, timeout_ms, singleton_key, created_at)
		SELECT p.task_id, -p.priority, p.attempts, p.name, p.queue,
		       p.tenant, p.payload, p.event_id, p.retry_limit,
		       p.retry_delay_ms, p.retry_backoff, p.timeout_ms,
		       p.singleton_key, clock_timestamp()
		  FROM pick p
		 ORDER BY p.task_id
		ON CONFLICT DO NOTHING
		RETURNING task_id),
	gone AS (
		DELETE FROM tallyd.task_dead d USING back b
		 WHERE d.task_id = b.task_id)
	SELECT (SELECT count(*) FROM pick), (SELECT count(*) FROM back),
	       coalesce((SELECT max(p.task_id) FROM pick p), p_after)
	  INTO looked, sent, last_id;
	IF sent > 0 THEN
		INSERT INTO public.audit_log (actor, action, target, details)
		VALUES (p_actor, 'task.replay', p_queue, concat_ws(', ',
			sent || ' tasks', 'name ' || p_name, 'ended since '
			|| to_char(p_since AT TIME ZONE 'UTC',
				'YYYY-MM-DD"T"HH24:MI:SS"Z"')));
		NOTIFY tallyd_task;
	END IF;
END $$;
