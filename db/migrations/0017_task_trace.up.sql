-- On whose behalf a task is done: traceparent and, behind a blank, tracestate
-- of W3C Trace Context, as the transaction that sent it has them in the
-- setting tallyd.trace.  The daemon sets that; other programs may:
--	SELECT set_config('tallyd.trace', '00-...-...-01', true);
ALTER TABLE tallyd.task ADD COLUMN trace TEXT;
ALTER TABLE tallyd.task ALTER COLUMN trace
	SET DEFAULT nullif(current_setting('tallyd.trace', true), '');
