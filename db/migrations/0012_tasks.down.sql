DROP FUNCTION tallyd.queue_set(TEXT, INT, INT, INT, INT, INT, INT, TEXT);
DROP FUNCTION tallyd.queue_pause(TEXT, BOOLEAN, TEXT);
DROP FUNCTION tallyd.task_retry(BIGINT, JSONB, TEXT);
DROP FUNCTION tallyd.task_retried(BIGINT, JSONB, TEXT);
DROP FUNCTION tallyd.task_cancel(BIGINT, TEXT);
DROP FUNCTION tallyd.task_lose(BIGINT[], INT[], INT, TEXT);
DROP FUNCTION tallyd.task_finish(BIGINT, BIGINT, BIGINT[], INT[], INT[],
	TEXT[], BIGINT[], BIGINT[], BIGINT[], TEXT[], BOOLEAN);
DROP FUNCTION tallyd.task_look(INT, TEXT[]);
DROP FUNCTION tallyd.task_claim(BIGINT, BIGINT, TEXT[], INT, TEXT[], INT[],
	INT[], TEXT[], TEXT[], TEXT[]);
DROP FUNCTION tallyd.task_register(TEXT[], TEXT[], TEXT[], INT[], INT[],
	BOOLEAN[], INT[]);
DROP FUNCTION tallyd.emit(TEXT, JSONB);
DROP FUNCTION tallyd.event_insert(TEXT, JSONB, TEXT[], TEXT[], INT[], INT[],
	BOOLEAN[], INT[]);
DROP FUNCTION tallyd.enqueue(TEXT, JSONB, JSONB);
DROP FUNCTION tallyd.task_notify();
DROP SEQUENCE tallyd.task_notified_ms;
DROP FUNCTION tallyd.weeks_keep(TEXT, DATE);
DROP FUNCTION tallyd.week_ensure(TEXT, DATE);
DROP TABLE tallyd.task_selftest;
DROP TABLE tallyd.event;
DROP TABLE tallyd.task_dead;
DROP TABLE tallyd.task_attempt;
DROP TABLE tallyd.task;
DROP TABLE tallyd.task_queue;
DROP TABLE tallyd.task_definition;
