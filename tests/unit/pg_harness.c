/*
 * pg_harness.c - server, loop and pool for the tests of src/pg/.
 */
#include "unit/pg_harness.h"

#include <stdlib.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"

struct pgtest *server;
struct event_base *base;
struct pg_pool *pool;

static unsigned n_running; /* of harness_spawn */

void harness_start(void)
{
	server = pgtest_start();
}

void harness_stop(void)
{
	pgtest_stop(&server);
}

void harness_setup(void)
{
	struct tl_err err;

	pgtest_resume(server);
	log_set_level(LOG_LV_ERROR);
	base = event_base_new();
	ck_assert_int_eq(co_init(base, 1000, &err), TL_OK);
}

void harness_pool(uint32_t size, uint32_t queue_max)
{
	struct pg_pool_opts o = { .way.conninfo = pgtest_conninfo(server),
				  .application_name = "pool under test",
				  .size = size,
				  .queue_max = queue_max,
				  .statement_timeout_ms = 30000 };

	pool = pg_pool_new(&o);
}

/* In the order of a graceful stop. */
void harness_teardown(void)
{
	ck_assert_uint_eq(n_running, 0);
	co_cancel_all("end of test");
	harness_until(co_live() == 0);
	pg_pool_free(&pool);
	ck_assert_uint_lt(co_stack_high_water(), 32768);
	co_deinit();
	event_base_free(base);
}

void harness_turn(void)
{
	const struct timeval tick = { .tv_usec = 5000 };

	event_base_loopexit(base, &tick);
	event_base_loop(base, EVLOOP_ONCE);
}

struct job {
	co_fn fn;
	void *arg;
};

static void run_job(void *arg)
{
	struct job job = *(struct job *)arg;

	free(arg);
	n_running++;
	job.fn(job.arg);
	n_running--;
}

void harness_spawn(co_fn fn, void *arg, uint64_t timeout_ms)
{
	struct job *job = malloc(sizeof(*job));
	struct tl_err err;

	*job = (struct job){ fn, arg };
	ck_assert_int_eq(co_spawn(run_job, job,
				  timeout_ms == CO_NO_DEADLINE
					  ? CO_NO_DEADLINE
					  : tl_mono_ms() + timeout_ms,
				  &err),
			 TL_OK);
}

void harness_run(co_fn fn, void *arg)
{
	harness_spawn(fn, arg, 30000);
	harness_until(n_running == 0);
}

int harness_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
