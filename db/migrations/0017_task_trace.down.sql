DROP FUNCTION tallyd.task_claim(BIGINT, BIGINT, TEXT[], INT, TEXT[], INT[],
	INT[], TEXT[], TEXT[], TEXT[]);
-- Claims up to p_max tasks of names that the runner knows.
--
-- Each open queue gets an equal share of p_max; within a queue the tasks of
-- highest priority go first, within a priority tenants take turns, those
-- behind p_turn first, and a tenant's tasks go by age.  p_queues: queues that
-- have limits or a turn; p_wants: how many tasks to take from each at most;
-- p_tenant_wants: from one tenant; p_turns: the tenant that was served last,
-- null for none.  p_full_queues, p_full_tenants: pairs to leave out.
--
-- Loops of small look-ups instead of one statement: each is a few steps down
-- one index, however many tasks wait behind.  A tenant is given as a range,
-- not by equality: the primary key would then give the same order, and the
-- planner would like to walk down all tasks by it.
CREATE FUNCTION tallyd.task_claim(p_epoch BIGINT, p_spawn BIGINT,
	p_names TEXT[], p_max INT, p_queues TEXT[], p_wants INT[],
	p_tenant_wants INT[], p_turns TEXT[], p_full_queues TEXT[],
	p_full_tenants TEXT[])
RETURNS TABLE (task_id BIGINT, attempt INT, failures SMALLINT, name TEXT,
	queue TEXT, tenant TEXT, payload JSONB, event_id BIGINT,
	retry_limit INT, retry_delay_ms INT, retry_backoff BOOLEAN,
	timeout_ms INT, created_at TIMESTAMPTZ, run_at TIMESTAMPTZ)
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	tenants_max CONSTANT INT := 64;
	v_open TEXT[] := '{}';
	v_queue TEXT := '';
	v_left INT := p_max;
	v_want INT;
	v_tenant_want INT;
	v_full TEXT[];
	v_turn TEXT;
	v_rank SMALLINT;
	v_tenant TEXT;
	v_tenants TEXT[];
	v_i INT;
	v_n INT;
BEGIN
	LOOP
		SELECT t.queue INTO v_queue FROM tallyd.task t
		 WHERE t.state = 0 AND t.queue > v_queue
		 ORDER BY t.queue LIMIT 1;
		EXIT WHEN NOT FOUND;
		v_open := v_open || v_queue;
	END LOOP;
	IF v_open = '{}' THEN
		RETURN;
	END IF;
	v_open := ARRAY(SELECT q FROM unnest(v_open) q
		 WHERE NOT EXISTS (SELECT FROM tallyd.task_queue k
			WHERE k.queue = q AND k.paused_at IS NOT NULL));
	FOR v_i IN 1 .. cardinality(v_open) LOOP
		v_queue := v_open[v_i];
		v_want := ceil(v_left::float8 / (cardinality(v_open) - v_i + 1));
		v_tenant_want := v_want;
		v_turn := NULL;
		v_n := array_position(p_queues, v_queue);
		IF v_n IS NOT NULL THEN
			v_want := least(v_want, p_wants[v_n]);
			v_tenant_want := p_tenant_wants[v_n];
			v_turn := p_turns[v_n];
		END IF;
		CONTINUE WHEN v_want <= 0;
		v_full := ARRAY(SELECT f.tenant
			FROM unnest(p_full_queues, p_full_tenants)
				AS f (queue, tenant)
			WHERE f.queue = v_queue);
		v_rank := NULL;
		v_tenants := '{}';
		-- The first priority with a tenant that is not full.
		WHILE v_tenants = '{}' LOOP
			SELECT t.rank INTO v_rank FROM tallyd.task t
			 WHERE t.state = 0 AND t.queue = v_queue
			   AND t.rank > coalesce(v_rank, -32768)
			 ORDER BY t.rank LIMIT 1;
			EXIT WHEN NOT FOUND;
			v_tenant := v_turn;
			WHILE cardinality(v_tenants) < tenants_max LOOP
				IF v_tenant IS NULL THEN
					v_tenant := '';
					PERFORM FROM tallyd.task t
					 WHERE t.state = 0 AND t.queue = v_queue
					   AND t.rank = v_rank AND t.tenant = ''
					 LIMIT 1;
					CONTINUE WHEN NOT FOUND;
				ELSE
					SELECT t.tenant INTO v_tenant
					  FROM tallyd.task t
					 WHERE t.state = 0 AND t.queue = v_queue
					   AND t.rank = v_rank
					   AND t.tenant > v_tenant
					 ORDER BY t.tenant LIMIT 1;
					IF NOT FOUND AND v_turn IS NULL THEN
						EXIT;
					ELSIF NOT FOUND THEN
						v_turn := NULL; -- from the top
						CONTINUE;
					END IF;
				END IF;
				EXIT WHEN v_tenant = ANY (v_tenants);
				IF v_tenant <> ALL (v_full) THEN
					v_tenants := v_tenants || v_tenant;
				END IF;
			END LOOP;
		END LOOP;
		CONTINUE WHEN v_tenants = '{}';
		v_tenant_want := least(v_tenant_want,
			ceil(v_want::float8 / cardinality(v_tenants)));
		RETURN QUERY
		UPDATE tallyd.task u
		   SET state = 2, attempt = u.attempt + 1,
		       owner_epoch = p_epoch, owner_spawn = p_spawn,
		       lease_until = clock_timestamp() +
				(u.timeout_ms + 60000) * INTERVAL '1 millisecond'
		  FROM (SELECT c.task_id FROM unnest(v_tenants) AS x (tenant)
			 CROSS JOIN LATERAL (SELECT t.task_id
				  FROM tallyd.task t
				 WHERE t.state = 0 AND t.queue = v_queue
				   AND t.rank = v_rank
				   AND t.tenant >= x.tenant
				   AND t.tenant <= x.tenant
				   AND t.name = ANY (p_names)
				 ORDER BY t.tenant, t.task_id
				 LIMIT v_tenant_want
				   FOR UPDATE SKIP LOCKED) c
			 LIMIT v_want) w
		 WHERE u.task_id = w.task_id
		RETURNING u.task_id, u.attempt, u.failures, u.name, u.queue,
			u.tenant, u.payload, u.event_id, u.retry_limit,
			u.retry_delay_ms, u.retry_backoff, u.timeout_ms,
			u.created_at, u.run_at;
		GET DIAGNOSTICS v_n = ROW_COUNT;
		v_left := v_left - v_n;
		EXIT WHEN v_left <= 0;
	END LOOP;
END $$;

ALTER TABLE tallyd.task DROP COLUMN trace;
