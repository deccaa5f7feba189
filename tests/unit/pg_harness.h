/*
 * pg_harness.h - what the tests of src/pg/ share: a server, a loop, a pool.
 *
 * Runs in: tests.
 */
#ifndef TALLY_TESTS_PG_HARNESS_H
#define TALLY_TESTS_PG_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include <check.h>

#include "lib/pgtest.h"
#include "loop/co.h"
#include "pg/pg.h"

extern struct pgtest *server;   /* one for the program */
extern struct event_base *base; /* one for each test */
extern struct pg_pool *pool;    /* made by harness_pool */

void harness_start(void); /* unchecked fixture */
void harness_stop(void);
void harness_setup(void); /* checked fixture: loop, server, no pool */
void harness_teardown(void);
void harness_pool(uint32_t size, uint32_t queue_max);

void harness_spawn(co_fn fn, void *arg, uint64_t timeout_ms);
/* Runs the loop until the condition holds; a minute is a failure. */
#define harness_until(cond)                                                    \
	do {                                                                   \
		uint64_t end_ = tl_mono_ms() + 60000;                          \
		while (!(cond)) {                                              \
			ck_assert_uint_lt(tl_mono_ms(), end_);                 \
			harness_turn();                                        \
		}                                                              \
	} while (0)
void harness_turn(void); /* one pass, at most a few ms */
/* Spawns and waits for the end. */
void harness_run(co_fn fn, void *arg);
int harness_main(Suite *s);

/* A statement without parameters and columns. */
#define HARNESS_EXEC(id, text)                                                 \
	static const struct pg_statement id = { .name = #id, .sql = text }

#endif
