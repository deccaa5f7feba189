/*
 * events.c - kills what it can while users use up their credits and are told
 * of it, then counts what they were told.
 *
 *	events [--users N] [--credits N] [--kills N] [--seconds S] [--seed N]
 *	       [--kill-postgres N]
 *
 * Clients charge two keys of each user until its day's credits are used up and
 * go on after that; an endpoint of each user is called at a receiver that fails
 * at random.  Meanwhile flushers, workers, runners, schedulers and the master
 * are killed at random, PostgreSQL --kill-postgres times.  At the end:
 *
 *	each threshold that the usage of a day has reached was told exactly
 *	once, and so was the first refusal
 *	each of these has arrived, under its own message id
 *
 * A kill between two steps of a charge may leave one credit that nobody has
 * used, so the last threshold is what the database's sum says.
 * Exit status 0 when all of it held, 1 when not.
 */
#include "config.h"

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/sql.h"
#include "lib/world.h"
#include "receiver.h"

#define CLIENTS 4
#define END_MS  120000

static struct {
	unsigned users, credits, kills, seconds, seed, postgres_kills;
} opt = { 24, 100, 10, 4, 1, 0 };

/* Shared by all clients; a refusal count for each user follows. */
struct counts {
	_Atomic uint64_t charged, refused, unanswered, other;
	_Atomic uint32_t stop;
	_Atomic uint32_t of_user[];
};

static struct counts *counts;
static struct receiver *rec;
static struct pgtest *pg;
static struct daemon *d;
static pid_t clients[CLIENTS];

static const struct victim {
	const char *kind;
	int share; /* of a hundred; the rest is the master's */
} victims[] = {
	{ "flusher", 40 },
	{ "worker", 20 },
	{ "runner", 20 },
	{ "scheduler", 8 },
};
#define VICTIMS (sizeof(victims) / sizeof(victims[0]))
static unsigned killed[VICTIMS], killed_masters, killed_servers;

/* ---- the load ---- */

static const char *key_text(unsigned user, unsigned key)
{
	static char text[64];

	snprintf(text, sizeof(text), "events_key_of_user_%04u_%u", user, key);
	return text;
}

static void charge(struct client *c, struct reply *a, unsigned user,
		   unsigned key)
{
	client_get(c, "/api/gate", key_text(user, key), a);
	if (a->status == 200) {
		atomic_fetch_add(&counts->charged, 1);
	} else if (a->status == 429) {
		atomic_fetch_add(&counts->refused, 1);
		atomic_fetch_add(&counts->of_user[user], 1);
	} else if (a->status == 0) {
		atomic_fetch_add(&counts->unanswered, 1);
		test_sleep_ms(1);
	} else {
		atomic_fetch_add(&counts->other, 1);
	}
}

/* Users of its own, one after the other, so that they get there one after the
 * other too; refused ones once in a while. */
static void client_main(unsigned number)
{
	uint64_t begin = test_mono_ns(), span = opt.seconds * 1000000000ull;
	uint64_t sum = 0, all = (uint64_t)opt.credits * opt.users / CLIENTS;
	struct client *c = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned user = number;

	for (unsigned i = 0; atomic_load(&counts->stop) == 0; i++) {
		/* the last one is done when the kills are nearly over */
		while (sum * span > (test_mono_ns() - begin) * all * 5 / 4 &&
		       atomic_load(&counts->stop) == 0)
			test_sleep_ms(1);
		if (atomic_load(&counts->of_user[user]) > 2 &&
		    user + CLIENTS < opt.users)
			user += CLIENTS;
		charge(c, a,
		       i % 16 == 0 ? number + i / 16 % (user / CLIENTS + 1) *
						      CLIENTS
				   : user,
		       i % 2);
		sum++;
	}
	client_free(&c);
	reply_deinit(a);
	tl_free(a);
	_exit(0);
}

static unsigned users_refused(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < opt.users; i++)
		n += atomic_load(&counts->of_user[i]) > 0;
	return n;
}

/* ---- the kills ---- */

static unsigned kills_done(void)
{
	unsigned n = killed_masters + killed_servers;

	for (size_t i = 0; i < VICTIMS; i++)
		n += killed[i];
	return n;
}

static void kill_server(void)
{
	sql_close();
	pgtest_kill9(pg);
	test_sleep_ms(100);
	pgtest_resume(pg);
	killed_servers++;
}

/* Whom it is to be next; VICTIMS: the master. */
static size_t choose(void)
{
	int dice = rand() % 100;
	size_t i;

	for (i = 0; i < VICTIMS && dice >= victims[i].share; i++)
		dice -= victims[i].share;
	return i;
}

/* The same one until it has come off: a child has to be there, and all but one
 * in eight have lived a second, or they come back later and later. */
static void kill_one(unsigned left)
{
	static size_t next = VICTIMS;
	static unsigned age_ms;

	if (opt.postgres_kills > killed_servers &&
	    (unsigned)rand() % left < opt.postgres_kills - killed_servers) {
		kill_server();
		return;
	}
	if (next < VICTIMS) {
		if (!daemon_kill_child(d, victims[next].kind, age_ms))
			return;
		killed[next]++;
	} else {
		daemon_stop(d, SIGKILL, 5000);
		daemon_spawn(d);
		killed_masters++;
	}
	next = choose();
	age_ms = rand() % 8 == 0 ? 0 : 1050;
	if (d->pid != 0 && waitpid(d->pid, NULL, WNOHANG) == d->pid) {
		d->pid = 0;
		world_die("the master ended by itself:\n%s", daemon_story(d));
	}
}

/* What waits for its next attempt is due now. */
static void hurry(void)
{
	(void)sql_try(d->conninfo, "SELECT tallyd.task_retry(task_id)"
				   "  FROM tallyd.task WHERE state = 1");
}

static void rampage(void)
{
	uint64_t begin = test_mono_ns(), span = opt.seconds * 1000000000ull;
	uint64_t past, hurried = 0;
	unsigned goal;

	while ((past = test_mono_ns() - begin) < span ||
	       kills_done() < opt.kills) {
		goal = (unsigned)((double)opt.kills * (double)past /
				  (double)span);
		if (kills_done() < goal && kills_done() < opt.kills)
			kill_one(opt.kills - kills_done());
		if (past - hurried > 1000000000ull) {
			hurry();
			hurried = past;
		}
		test_sleep_ms(5);
	}
}

/* ---- the world ---- */

static void make_users(void)
{
	sql_exec(d->conninfo,
		 "INSERT INTO plans (name, daily_credit_limit, price_cents)"
		 " VALUES ('Events', %u, 0);"
		 "INSERT INTO users (email, plan_id)"
		 " SELECT 'events' || n || '@test', plan_id"
		 "  FROM plans, generate_series(0, %u) n"
		 " WHERE name = 'Events';"
		 "INSERT INTO api_keys (user_id, key_prefix, key_hash, label)"
		 " SELECT user_id, 'events', encode(sha256(convert_to("
		 "  'events_key_of_user_' || lpad(n::text, 4, '0') || '_' || k,"
		 "  'UTF8')), 'hex'), n::text"
		 "  FROM generate_series(0, %u) n CROSS JOIN"
		 "  generate_series(0, 1) k"
		 "  JOIN users ON email = 'events' || n || '@test';"
		 "INSERT INTO webhook_endpoints"
		 " (user_id, url, events, ordered, secret)"
		 " SELECT user_id, 'http://127.0.0.1:%u/' || user_id,"
		 "  '{usage.threshold,quota.exceeded}',"
		 "  get_byte(uuid_send(user_id), 0) %% 3 = 0,"
		 "  decode(repeat('2a', 32), 'hex')"
		 "  FROM users WHERE email LIKE 'events%%'",
		 opt.credits, opt.users - 1, opt.users - 1, rec->port);
}

static void teardown(void)
{
	daemon_free(&d);
	pgtest_stop(&pg);
}

static void setup(void)
{
	size_t bytes = sizeof(*counts) + opt.users * sizeof(_Atomic uint32_t);
	char port[64];

	world_init();
	atexit(teardown);
	rec = receiver_start();
	atomic_store(&rec->fail_percent, 35);
	snprintf(port, sizeof(port), "egress.allowed_ports=%u", rec->port);
	pg = pgtest_start();
	d = daemon_start(pg,
			 DAEMON_SETTINGS("server.workers=2", "runner.count=2",
					 "egress.private_allow=127.0.0.0/8",
					 "egress.allow_http=yes", port,
					 "limits.key_count=100000000",
					 "metering.flush_interval_ms=50",
					 "log.access=no"));
	make_users();
	counts = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		world_die("no memory for the counts");
}

/* ---- the end ---- */

static int64_t underway(void)
{
	return sql_num(d->conninfo,
		       "SELECT count(*) FROM tallyd.webhook_delivery"
		       " WHERE state IN ('waiting', 'pending')");
}

static int64_t untold(void)
{
	return (int64_t)opt.users - sql_num(d->conninfo,
					    "SELECT count(DISTINCT user_id)"
					    "  FROM tallyd.usage_alert"
					    " WHERE percent = 0");
}

/* Users that the kills left behind are used up, then all arrives. */
static void finish(void)
{
	uint64_t end = test_mono_ns() + END_MS * 1000000ull;

	if (!daemon_wait_ready(d, 60000))
		world_die("not ready at the end:\n%s", daemon_story(d));
	while (users_refused() < opt.users && test_mono_ns() < end)
		test_sleep_ms(10);
	atomic_store(&counts->stop, 1);
	for (unsigned i = 0; i < CLIENTS; i++)
		waitpid(clients[i], NULL, 0);
	atomic_store(&rec->fail_percent, 0);
	while ((untold() > 0 || underway() > 0) && test_mono_ns() < end) {
		hurry();
		test_sleep_ms(50);
	}
}

/* The number that a question finds, which should be `want`. */
static bool is(const char *what, int64_t want, int64_t n)
{
	printf("%-52s %8lld %s\n", what, (long long)n,
	       n == want ? "good" : "WRONG");
	return n == want;
}

static bool is_sql(const char *what, int64_t want, const char *sql)
{
	return is(what, want, sql_num(d->conninfo, "%s", sql));
}

static bool arrived(const char *message_id)
{
	for (unsigned i = 0; i < atomic_load(&rec->n); i++)
		if (atomic_load(&rec->calls[i].whole) &&
		    rec->calls[i].status == 200 &&
		    strcmp(rec->calls[i].id, message_id) == 0)
			return true;
	return false;
}

static int64_t missing(int64_t n)
{
	int64_t lost = 0;

	for (int64_t i = 0; i < n; i++)
		lost += !arrived(
			sql_str(d->conninfo,
				"SELECT message_id FROM tallyd.webhook_delivery"
				" ORDER BY seq LIMIT 1 OFFSET %lld",
				(long long)i));
	return lost;
}

/* user, day and percent of what was told; 0: a refusal. */
#define TOLD                                                                   \
	"SELECT e.user_id, (w.body::jsonb #>> '{data,date}')::date AS day,"    \
	" coalesce((w.body::jsonb #>> '{data,threshold_percent}')::int, 0)"    \
	"  AS percent"                                                         \
	"  FROM tallyd.webhook_delivery w"                                     \
	"  JOIN webhook_endpoints e USING (webhook_id)"
/* What had to be told of usage. */
#define DUE                                                                    \
	"SELECT u.user_id, u.date AS day, t.percent"                           \
	"  FROM (SELECT user_id, date, sum(credits_used) AS used"              \
	"   FROM daily_usage GROUP BY 1, 2) u"                                 \
	"  JOIN users USING (user_id) JOIN plans p USING (plan_id)"            \
	"  CROSS JOIN (VALUES (50), (80), (90), (100)) t (percent)"            \
	" WHERE p.name = 'Events'"                                             \
	"   AND u.used * 100 >= p.daily_credit_limit * t.percent"

static bool look(void)
{
	int64_t n = sql_num(d->conninfo,
			    "SELECT count(*) FROM tallyd.webhook_delivery");
	bool good = true;

	printf("events told: %lld, in %u calls\n", (long long)n,
	       atomic_load(&rec->n));
	good &= is("users that were refused nothing", 0,
		   (int64_t)opt.users - users_refused());
	good &= is("of them, not told so", 0, untold());
	good &= is_sql("thresholds reached and not told", 0,
		       "SELECT count(*) FROM (" DUE " EXCEPT " TOLD ") x");
	good &= is_sql("thresholds told and not reached", 0,
		       "SELECT count(*) FROM (SELECT * FROM (" TOLD ") t"
		       " WHERE percent > 0 EXCEPT " DUE ") x");
	good &= is_sql("events told twice", 0,
		       "SELECT count(*) FROM (SELECT FROM (" TOLD ") t"
		       " GROUP BY user_id, day, percent"
		       " HAVING count(*) > 1) x");
	good &= is_sql("deliveries that have not ended well", 0,
		       "SELECT count(*) FROM tallyd.webhook_delivery"
		       " WHERE state <> 'delivered'");
	good &= is("events that did not arrive", 0, missing(n));
	return good && n > 0;
}

static void parse_args(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "users", required_argument, NULL, 'u' },
		{ "credits", required_argument, NULL, 'c' },
		{ "kills", required_argument, NULL, 'k' },
		{ "seconds", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'r' },
		{ "kill-postgres", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned *const values[] = { &opt.users, &opt.credits,
				     &opt.kills, &opt.seconds,
				     &opt.seed,  &opt.postgres_kills };
	const char *names = "ucksrp", *at;
	int o;

	while ((o = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		at = strchr(names, o);
		if (at == NULL)
			exit(2);
		*values[at - names] = (unsigned)strtoul(optarg, NULL, 10);
	}
	if (opt.users < CLIENTS || opt.users > 9999)
		exit(2);
}

static void say_kills(void)
{
	printf("killed: ");
	for (size_t i = 0; i < VICTIMS; i++)
		printf("%u %ss, ", killed[i], victims[i].kind);
	printf("%u masters, %u times postgresql\n", killed_masters,
	       killed_servers);
	printf("requests: %llu charged, %llu refused, %llu without an answer, "
	       "%llu else\n",
	       (unsigned long long)counts->charged,
	       (unsigned long long)counts->refused,
	       (unsigned long long)counts->unanswered,
	       (unsigned long long)counts->other);
}

int main(int argc, char **argv)
{
	int status;
	bool good;

	parse_args(argc, argv);
	srand(opt.seed);
	setup();
	sql_close();
	fflush(NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = fork();
		if (clients[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			client_main(i);
		}
	}
	rampage();
	finish();
	say_kills();
	good = look();
	sql_close();
	status = daemon_stop(d, SIGTERM, 60000);
	printf("%s\n", good && status == 0 ? "PASS" : "FAIL");
	if (!good || status != 0)
		printf("log:\n%s\n", daemon_story(d));
	return good && status == 0 ? 0 : 1;
}
