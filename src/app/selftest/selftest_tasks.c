/*
 * selftest_tasks.c - see selftest.h.
 */
#include "config.h"

#include "app/selftest/selftest.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "codec/shape.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "store/q_tasks.h"

#define HOUR_MS 3600000

struct work {
	bool note; /* a row in tallyd.task_selftest, begin and end */
	int64_t sleep_ms;
	int64_t spin_ms; /* without a wait: the loop stands still */
	int64_t fail;    /* that many attempts */
	bool hopeless;   /* fail for good */
	int64_t retry_after_ms;
};
/* clang-format off */
#define IN(kind_, member, max_, text)                                          \
	{ .name = #member, .kind = (kind_),                                    \
	  .offset = offsetof(struct work, member),                             \
	  .has_offset = SHAPE_NO_OFFSET, .max = (max_), .doc = text }
static const struct shape_field work_fields[] = {
	IN(SHAPE_BOOL, note, 0, "leave a row in tallyd.task_selftest"),
	IN(SHAPE_INT, sleep_ms, HOUR_MS, "wait for so long"),
	IN(SHAPE_INT, spin_ms, HOUR_MS, "hold up the runner for so long"),
	IN(SHAPE_INT, fail, 1000, "attempts that fail"),
	IN(SHAPE_BOOL, hopeless, 0, "fail for good"),
	IN(SHAPE_INT, retry_after_ms, HOUR_MS, "when to try again"),
	{ .name = NULL },
};
/* clang-format on */
static const struct shape work_shape = { .name = "SelftestWork",
					 .size_bytes = sizeof(struct work),
					 .fields = work_fields };

static enum tl_status nothing(struct task *t, struct tl_err *err)
{
	(void)t;
	(void)err;
	return TL_OK;
}

/* The loop does not turn; the processor is for others. */
static void stand_still(int64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000),
				 .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static enum tl_status note(struct task *t, bool end, struct tl_err *err)
{
	if (end)
		return q_task_selftest_end(
			t->pg,
			&(struct q_task_selftest_end_params){
				.task_id = t->task_id, .attempt = t->attempt },
			NULL, err);
	return q_task_selftest_begin(
		t->pg,
		&(struct q_task_selftest_begin_params){ .task_id = t->task_id,
							.attempt = t->attempt,
							.pid = getpid() },
		NULL, err);
}

static enum tl_status work(struct task *t, struct tl_err *err)
{
	const struct work *w = t->in;
	enum tl_status st = TL_OK;

	t->retry_after_ms = (uint64_t)w->retry_after_ms;
	t->hopeless = w->hopeless;
	if (w->note)
		st = note(t, false, err);
	if (st == TL_OK && w->sleep_ms > 0)
		st = co_sleep_ms((uint64_t)w->sleep_ms, err);
	stand_still(w->spin_ms);
	if (st == TL_OK && w->note)
		st = note(t, true, err);
	if (st == TL_OK && (w->hopeless || t->failures < w->fail))
		st = tl_err_set(err, TL_UNAVAILABLE, "told to fail");
	return st;
}

static enum tl_status happened(struct task *t, struct tl_err *err)
{
	enum tl_status st = note(t, false, err);

	return st == TL_OK ? note(t, true, err) : st;
}

#define QUEUE "selftest"

const struct event_def SELFTEST_EVENTS[] = {
	{ .name = "tallyd.selftest.happened",
	  .doc = "told by tests of the daemon" },
	{ .name = NULL },
};

const struct task_def SELFTEST_TASKS[] = {
	{ .name = "tallyd.selftest.nothing",
	  .queue = QUEUE,
	  .retry_limit = 3,
	  .retry_delay_ms = 100,
	  .timeout_ms = 10000,
	  .run = nothing,
	  .doc = "returns" },
	{ .name = "tallyd.selftest.work",
	  .queue = QUEUE,
	  .payload = &work_shape,
	  .retry_limit = 3,
	  .retry_delay_ms = 20,
	  .retry_backoff = true,
	  .timeout_ms = 60000,
	  .run = work,
	  .doc = "waits, blocks or fails as its payload says" },
	{ .name = "tallyd.selftest.happened",
	  .queue = QUEUE,
	  .event = "tallyd.selftest.happened",
	  .retry_limit = 3,
	  .retry_delay_ms = 100,
	  .timeout_ms = 10000,
	  .run = happened,
	  .doc = "leaves a row in tallyd.task_selftest" },
	{ .name = NULL },
};
