/*
 * flush_harness.h - a flusher process, writers and a master's hand, for tests.
 *
 * The test plays the master: it makes the segment, forks the flusher (without
 * the daemon around it) and writers that add usage as workers do, kills and
 * reaps them.  Every process writes what it added into shared totals, so the
 * sum in the database can be compared to the unit.
 */
#ifndef TALLY_TESTS_FLUSH_HARNESS_H
#define TALLY_TESTS_FLUSH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <check.h>

#include "conf/conf.h"
#include "lib/pgtest.h"
#include "shm/entries.h"
#include "shm/metrics.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

#define EXIT_CLEAN   0 /* of the flusher: drained, nothing left */
#define EXIT_LEFT    3 /* drained, usage stays in the segment */
#define EXIT_FAILED  4 /* it said that it can not go on */
#define EXIT_LEAKS   10
#define BASE_CREDITS 10 /* what each key has in the database at the start */

extern struct pgtest *server;
extern struct shm *seg;
extern struct conf conf; /* set before flusher_start */
extern char state_dir[64];
extern uint32_t n_keys;

/* For srunner: cluster around all, fresh database and segment for each. */
int harness_main(Suite *s);
TCase *harness_case(Suite *s, const char *name);
void harness_database(uint32_t keys); /* fresh, with so many keys of today */
void harness_segment(void);           /* a fresh one in place of the old */

void flusher_start(void); /* does not wait */
void flusher_ready(void); /* waits until it said so */
void flusher_kill(void);  /* SIGKILL, then reaped as the master does */
int flusher_stop(void);   /* SIGTERM: drains; its exit code */
int flusher_wait(void);   /* for its own end; exit code */
bool flusher_said(const char *words); /* in its log of this test */
/* For so long: how much of the time it ran or waited for a processor, which
 * says "a busy loop" on a loaded machine as well; 0 where nobody counts. */
int flusher_busy_percent(unsigned ms);
void flusher_wake(void); /* the workers' eventfd */
/* Reads the worker's eventfd; false after that time. */
bool commit_wait(unsigned timeout_ms);

void writers_start(uint32_t n, unsigned pause_us);
void writers_stop(void);
/* As a worker: some usage on the key of that index. */
void add_usage(uint32_t key, uint64_t credits);
uint32_t index_of(const char *key_name); /* "key-7"; SHM_NONE: not held */

int64_t sql_int(const char *fmt, ...) TL_PRINTF(1, 2);
void sql_run(const char *fmt, ...) TL_PRINTF(1, 2);
/* Runs it in a transaction that stays open until the release
 * commits it. */
struct pg_conn *sql_hold(const char *sql);
void sql_release(struct pg_conn *held);
/* Everything that was added is in the database, once. */
void check_sums(void);
uint64_t pending_keys(void);

/* Until the condition holds; a minute and a half is a failure. */
#define until(cond)                                                            \
	do {                                                                   \
		unsigned until_i;                                              \
		for (until_i = 0; until_i < 9000 && !(cond); until_i++)        \
			harness_sleep_ms(10);                                  \
		if (until_i == 9000)                                           \
			harness_show_log();                                    \
		ck_assert_msg(cond, "waited in vain for: %s", #cond);          \
	} while (0)
void harness_sleep_ms(unsigned ms);
void harness_show_log(void); /* what the flushers said, to stderr */
#define head_word(word) atomic_load(&seg->head->word)
#endif
