#include "config.h"

#include "flush_harness.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef TALLY_SANITIZERS
#include <sanitizer/lsan_interface.h>
#endif

#include <event2/event.h>

#include <libpq-fe.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "flush/flush.h"
#include "loop/co.h"
#include "pg/migrate.h"
#include "tally/key.h"

#define MASTER_SLOT  0
#define TEST_SLOT    1
#define FLUSHER_SLOT 2
#define WRITER_SLOT  3
#define MAX_WRITERS  8
#define KEYS         64

struct pgtest *server;
struct shm *seg;
struct conf conf;
char state_dir[64];
uint32_t n_keys;

struct total {
	_Atomic uint64_t added[SHM_METRICS];
};
/* [0] is the test itself, then the writers; shared. */
static struct total *totals;
static _Atomic uint32_t *stop_writers;
static char instance[32];
static pid_t flusher, writers[MAX_WRITERS];
static uint32_t n_writers;
static int ready_pipe[2], wake_fd, commit_fd;
static uint64_t spawns;
static char no_text[] = "";

void harness_sleep_ms(unsigned ms)
{
	usleep(ms * 1000);
}

/* ---- database ---- */

void sql_run(const char *fmt, ...)
{
	char text[2000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pgtest_sql(server, text);
}

struct pg_conn *sql_hold(const char *sql)
{
	PGconn *conn = PQconnectdb(pgtest_conninfo(server));

	PQclear(PQexec(conn, "BEGIN"));
	PQclear(PQexec(conn, sql));
	ck_assert_msg(PQtransactionStatus(conn) == PQTRANS_INTRANS, "%s",
		      PQerrorMessage(conn));
	return conn;
}

void sql_release(struct pg_conn *held)
{
	PQclear(PQexec(held, "COMMIT"));
	PQfinish(held);
}

int64_t sql_int(const char *fmt, ...)
{
	char text[2000], *value;
	int64_t n;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	value = pgtest_value(server, text);
	n = value != NULL ? strtoll(value, NULL, 10) : 0;
	tl_free(value);
	return n;
}

void harness_database(uint32_t keys)
{
	struct tl_err err;
	uint32_t n;

	n_keys = keys;
	sql_run("DROP SCHEMA IF EXISTS tallyd CASCADE;"
		"DROP SCHEMA public CASCADE; CREATE SCHEMA public");
	ck_assert_msg(migrate_up(pgtest_conninfo(server), TEST_MIGRATIONS,
				 UINT32_MAX, &n, &err) == TL_OK,
		      "%s", err.text);
	sql_run("DELETE FROM plans;"
		"INSERT INTO plans (name, daily_credit_limit, price_cents)"
		" VALUES ('test', 1000000000, 0);"
		"INSERT INTO users (email, plan_id)"
		" SELECT 'u' || i || '@test', plan_id"
		" FROM plans, generate_series(0, %u) i;"
		"INSERT INTO api_keys (user_id, key_prefix, key_hash, label)"
		" SELECT u.user_id, 'key', encode(sha256(convert_to("
		"'key-' || substr(split_part(email, '@', 1), 2), 'UTF8')),"
		" 'hex'), 'key-' || substr(split_part(email, '@', 1), 2)"
		" FROM users u;"
		"INSERT INTO daily_usage (user_id, key_id, date, credits_used)"
		" SELECT user_id, key_id, (now() AT TIME ZONE 'UTC')::date, %d"
		" FROM api_keys;"
		"ANALYZE",
		keys - 1, BASE_CREDITS);
}

static uint64_t sum_added(enum shm_metric m)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i <= MAX_WRITERS; i++)
		sum += atomic_load(&totals[i].added[m]);
	return sum;
}

void check_sums(void)
{
	/* what a slow database has sent to the spool comes a little later */
	until(sql_int("SELECT sum(request_count) FROM daily_usage") >=
	      (int64_t)sum_added(SHM_REQUESTS));
	ck_assert_int_eq(sql_int("SELECT sum(credits_used) FROM daily_usage"),
			 (int64_t)(sum_added(SHM_CREDITS) +
				   (uint64_t)n_keys * BASE_CREDITS));
	ck_assert_int_eq(sql_int("SELECT sum(request_count) FROM daily_usage"),
			 (int64_t)sum_added(SHM_REQUESTS));
	ck_assert_int_eq(sql_int("SELECT sum(cost_micro_usd) FROM daily_usage"),
			 (int64_t)sum_added(SHM_COST));
	ck_assert_int_eq(sql_int("SELECT count(*) FROM tallyd.usage_orphan"),
			 0);
	/* and each row of request_logs, once */
	until(sql_int("SELECT count(*) FROM request_logs") ==
	      (int64_t)sum_added(SHM_REQUESTS));
	ck_assert_int_eq(
		sql_int("SELECT coalesce(sum(credits), 0) FROM request_logs"),
		(int64_t)sum_added(SHM_CREDITS));
	ck_assert_int_eq(sql_int("SELECT coalesce(sum(cost_micro_usd), 0) FROM "
				 "request_logs"),
			 (int64_t)sum_added(SHM_COST));
}

uint64_t pending_keys(void)
{
	uint64_t total[SHM_METRICS], keys;

	shm_pending(seg, total, &keys);
	return keys;
}

/* ---- segment ---- */

void harness_segment(void)
{
	struct shm_sizes z = { .max_keys = n_keys + n_keys / 10 + 100,
			       .max_users = n_keys + n_keys / 10 + 100,
			       .max_addresses = 1024,
			       .max_windows = 1024,
			       .decision_ring = 1024,
			       .idempotency = 1024,
			       .request_log = 262144,
			       .window_ms = 60000 };
	enum shm_found found;
	struct tl_err err;

	if (seg != NULL)
		shm_close(&seg);
	shm_remove(instance);
	ck_assert_msg(shm_open_master(instance, &z, &seg, &found, &err) ==
			      TL_OK,
		      "%s", err.text);
	shm_slot_take(seg, TEST_SLOT, "test", 0, ++spawns);
	shm_slot_set_state(seg, SHM_SLOT_READY);
}

uint32_t index_of(const char *key_name)
{
	struct tally_digest d;

	tally_key_digest(tl_str_c(key_name), &d);
	return shm_key_find(seg, &d);
}

/* ---- the flusher ---- */

static void on_ready(void *arg)
{
	(void)arg;
	if (write(ready_pipe[1], "r", 1) != 1)
		_exit(9);
}

static void on_failed(void *arg, const char *why)
{
	(void)arg;
	(void)why;
	_exit(EXIT_FAILED);
}

static int drained_as = -1;

static void on_drained(void *arg, bool clean)
{
	drained_as = clean ? EXIT_CLEAN : EXIT_LEFT;
	event_base_loopbreak(arg);
}

static void on_term(evutil_socket_t fd, short events, void *arg)
{
	(void)fd;
	(void)events;
	flush_drain(arg, on_drained, co_base());
}

/* The process ends by _exit, which would skip the look of the sanitizer. */
static bool leaks(void)
{
#ifdef TALLY_SANITIZERS
	return __lsan_do_recoverable_leak_check() != 0;
#else
	return false;
#endif
}

static _Noreturn void flusher_main(void)
{
	struct event_base *base = event_base_new();
	struct flush_opts o = { .base = base,
				.conf = &conf,
				.shm = seg,
				.conninfo = pgtest_conninfo(server),
				.wake_eventfd = wake_fd,
				.commit_eventfds = &commit_fd,
				.n_commit_eventfds = 1,
				.ready = on_ready,
				.failed = on_failed };
	char *log = tl_asprintf("%s/log", state_dir);
	struct event *term;
	struct flush *f;
	struct tl_err err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (log_open(log, &err) != TL_OK || co_init(base, 64, &err) != TL_OK)
		_exit(8);
	log_set_process("flusher", 0);
	shm_slot_take(seg, FLUSHER_SLOT, "flusher", 0, ++spawns);
	shm_slot_set_state(seg, SHM_SLOT_READY);
	if (flush_new(&o, &f, &err) != TL_OK) {
		log_error("%s", err.text);
		_exit(7);
	}
	term = evsignal_new(base, SIGTERM, on_term, f);
	evsignal_add(term, NULL);
	event_base_dispatch(base);
	co_cancel_all("stop");
	while (co_live() > 0)
		event_base_loop(base, EVLOOP_ONCE);
	flush_free(&f);
	co_deinit();
	event_free(term);
	event_base_free(base);
	tl_free(log);
	_exit(leaks() ? EXIT_LEAKS : drained_as);
}

void flusher_start(void)
{
	if (ready_pipe[0] > 0) {
		close(ready_pipe[0]);
		close(ready_pipe[1]);
	}
	ck_assert_int_eq(pipe(ready_pipe), 0);
	spawns++;
	flusher = fork();
	ck_assert_int_ge(flusher, 0);
	if (flusher == 0)
		flusher_main();
}

void flusher_ready(void)
{
	struct pollfd p = { .fd = ready_pipe[0], .events = POLLIN };
	char c;

	ck_assert_msg(poll(&p, 1, 30000) == 1, "the flusher is not ready");
	ck_assert_int_eq(read(ready_pipe[0], &c, 1), 1);
}

int flusher_wait(void)
{
	int status;

	ck_assert_int_eq(waitpid(flusher, &status, 0), flusher);
	flusher = 0;
	shm_slot_reap(seg, FLUSHER_SLOT);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void flusher_kill(void)
{
	kill(flusher, SIGKILL);
	ck_assert_int_eq(flusher_wait(), -SIGKILL);
}

int flusher_stop(void)
{
	kill(flusher, SIGTERM);
	return flusher_wait();
}

/* Its log so far; the caller's. */
static char *read_log(void)
{
	char *path = tl_asprintf("%s/log", state_dir);
	char *data = tl_alloc(1 << 20);
	FILE *f = fopen(path, "r");

	if (f != NULL) {
		data[fread(data, 1, (1 << 20) - 1, f)] = '\0';
		fclose(f);
	}
	tl_free(path);
	return data;
}

static uint64_t flusher_runnable_ns(void)
{
	uint64_t ran = 0, waited = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)flusher);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
		ran = waited = 0;
	fclose(f);
	return ran + waited;
}

int flusher_busy_percent(unsigned ms)
{
	uint64_t from = tl_mono_ns(), before = flusher_runnable_ns();

	harness_sleep_ms(ms);
	return (int)((flusher_runnable_ns() - before) * 100 /
		     (tl_mono_ns() - from));
}

bool flusher_said(const char *words)
{
	char *data = read_log();
	bool said = strstr(data, words) != NULL;

	tl_free(data);
	return said;
}

void harness_show_log(void)
{
	char *data = read_log();

	fputs(data, stderr);
	tl_free(data);
}

void flusher_wake(void)
{
	eventfd_write(wake_fd, 1);
}

bool commit_wait(unsigned timeout_ms)
{
	struct pollfd p = { .fd = commit_fd, .events = POLLIN };
	eventfd_t n;

	return poll(&p, 1, (int)timeout_ms) == 1 &&
	       eventfd_read(commit_fd, &n) == 0;
}

/* ---- writers ---- */

static void add(struct total *t, uint32_t key, const uint64_t delta[])
{
	const struct shm_key *k = &seg->keys[key];
	uint64_t now = tl_mono_ns();
	struct shm_log_row row = { .created_us = shm_wall_us(seg, now),
				   .day = shm_day(seg, now),
				   .credits = (uint32_t)delta[SHM_CREDITS],
				   .cost_micro_usd = delta[SHM_COST] };

	if (shm_usage_add(seg, key, row.day, delta, SHM_COUNT_MAX,
			  shm_wall_ms(seg, now)) != TL_OK)
		_exit(5);
	memcpy(row.key_id, k->key_id, sizeof(row.key_id));
	memcpy(row.user_id, seg->users[atomic_load(&k->user)].user_id,
	       sizeof(row.user_id));
	/* a full ring would drop it, and here each row is counted: wait for
	 * the flusher, which may just have been killed */
	for (int i = 0; !shm_reqlog_append(seg, &row, TL_STR("a model")); i++) {
		if (i == 30000)
			_exit(6);
		(void)usleep(1000);
	}
	for (int m = 0; m < SHM_METRICS; m++)
		atomic_fetch_add(&t->added[m], delta[m]);
}

void add_usage(uint32_t key, uint64_t credits)
{
	add(&totals[0], key, (const uint64_t[]){ credits, 1, credits * 3 });
}

static _Noreturn void writer_main(uint32_t number, unsigned pause_us)
{
	uint32_t r = number * 7919 + 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shm_slot_take(seg, WRITER_SLOT + number, "worker", number, ++spawns);
	shm_slot_set_state(seg, SHM_SLOT_READY);
	while (atomic_load(stop_writers) == 0) {
		r = r * 1664525 + 1013904223;
		shm_enter(seg);
		add(&totals[number + 1], (r >> 8) % n_keys,
		    (const uint64_t[]){ r >> 28, 1, (r >> 20) & 1023 });
		shm_leave(seg);
		if (pause_us > 0)
			usleep(pause_us);
	}
	_exit(0);
}

void writers_start(uint32_t n, unsigned pause_us)
{
	atomic_store(stop_writers, 0);
	n_writers = n;
	for (uint32_t i = 0; i < n; i++) {
		writers[i] = fork();
		ck_assert_int_ge(writers[i], 0);
		if (writers[i] == 0)
			writer_main(i, pause_us);
	}
}

void writers_stop(void)
{
	int status;

	atomic_store(stop_writers, 1);
	for (uint32_t i = 0; i < n_writers; i++) {
		ck_assert_int_eq(waitpid(writers[i], &status, 0), writers[i]);
		ck_assert_int_eq(status, 0);
		shm_slot_reap(seg, WRITER_SLOT + i);
	}
	n_writers = 0;
}

/* ---- around each test ---- */

static int remove_one(const char *path, const struct stat *sb, int flag,
		      struct FTW *ftw)
{
	(void)sb;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void clear_state(void)
{
	nftw(state_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	ck_assert_int_eq(mkdir(state_dir, 0755), 0);
}

static void default_conf(void)
{
	memset(&conf, 0, sizeof(conf));
	conf.server.state_dir = state_dir;
	conf.database.hostaddr = conf.database.direct_url = no_text;
	conf.shm.idle_evict_s = 3600;
	conf.keys.refresh_seconds = 3600;
	conf.metering.flush_interval_ms = 20;
	conf.metering.flush_interval_max_ms = 1000;
	conf.metering.request_log_retention_days = 90;
	conf.metering.spool_max_mib = 64;
}

/*
 * Keys are loaded at start because they have usage of today.  A database made
 * just before midnight has none of them a moment later: wait it out.
 */
static void pass_midnight(void)
{
	const int64_t day_ms = TL_DAY_S * 1000LL;
	int64_t left_ms = day_ms - tl_wall_us() / 1000 % day_ms;

	if (left_ms < 30000)
		harness_sleep_ms((unsigned)left_ms + 10);
}

static void setup(void)
{
	default_conf();
	pass_midnight();
	pgtest_resume(server);
	clear_state();
	totals = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	stop_writers = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wake_fd = eventfd(0, EFD_NONBLOCK);
	commit_fd = eventfd(0, EFD_NONBLOCK);
	harness_database(KEYS);
	harness_segment();
}

static void teardown(void)
{
	if (flusher > 0)
		flusher_kill();
	shm_close(&seg);
}

TCase *harness_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	suite_add_tcase(s, tc);
	return tc;
}

int harness_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	snprintf(instance, sizeof(instance), "tfl%d", (int)getpid());
	snprintf(state_dir, sizeof(state_dir), "/tmp/test_flush.%d",
		 (int)getpid());
	mkdir(state_dir, 0755);
	server = pgtest_start();
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	pgtest_stop(&server);
	shm_remove(instance);
	nftw(state_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return failed != 0;
}
