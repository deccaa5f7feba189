#include "config.h"

#include "integration/task_calls.h"

int64_t sent;

int64_t send_task(const char *payload, const char *options)
{
	sent = sql_num(db,
		       "SELECT tallyd.enqueue('" WORK
		       "', '{\"note\": true%s%s}', '{%s}')",
		       payload[0] != '\0' ? ", " : "", payload, options);
	return sent;
}

const char *outcomes(int64_t id)
{
	return sql_str(db,
		       "SELECT string_agg(outcome, ',' ORDER BY attempt)"
		       "  FROM tallyd.task_attempt WHERE task_id = %lld",
		       (long long)id);
}

int64_t unfinished(void)
{
	return sql_num(db, "SELECT count(*) FROM tallyd.task");
}

int64_t state_of(int64_t id)
{
	return sql_num(db,
		       "SELECT coalesce((SELECT state FROM tallyd.task"
		       " WHERE task_id = %lld), -1)",
		       (long long)id);
}

bool runs(int64_t id)
{
	return sql_num(db,
		       "SELECT count(*) FROM tallyd.task_selftest"
		       " WHERE task_id = %lld AND ended_at IS NULL",
		       (long long)id) > 0;
}

pid_t runner_of(int64_t id)
{
	return (pid_t)sql_num(db,
			      "SELECT pid FROM tallyd.task_selftest"
			      " WHERE task_id = %lld AND ended_at IS NULL",
			      (long long)id);
}

int64_t overlaps(void)
{
	return sql_num(db, "SELECT count(*) FROM tallyd.task_selftest a"
			   "  JOIN tallyd.task_selftest b"
			   "    ON b.task_id = a.task_id"
			   "   AND b.attempt > a.attempt"
			   "   AND b.began_at < a.ended_at");
}
