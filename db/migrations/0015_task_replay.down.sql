DROP FUNCTION tallyd.task_replay;

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
		 ORDER BY d.ended_at DESC LIMIT 1),
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
	RETURN CASE WHEN FOUND THEN 'suppressed' END;
END $$;

DROP INDEX tallyd.task_dead_queue_idx;
DROP INDEX tallyd.task_attempt_ended_at_idx;
DROP INDEX tallyd.task_attempt_failed_idx;
