/*
 * charge.c - see charge.h.
 */
#include "config.h" /* _GNU_SOURCE */

#include "chaos/charge.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/sql.h"
#include "lib/world.h"

#define KEYS 24

struct counts { /* shared by all clients */
	_Atomic uint64_t answered[KEYS];
	_Atomic uint64_t recorded, unanswered, refused, busy, away;
	_Atomic int first_refusal;
	char refusal[600];
	_Atomic uint32_t stop;
};

static struct charge_opts opt;
static struct counts *counts;
static struct daemon *daemon_;
static pid_t pids[CHARGE_CLIENTS];
static unsigned runs;

static const char *key_text(unsigned i)
{
	static char text[64];

	snprintf(text, sizeof(text), "chaos_key_number_%03u", i);
	return text;
}

static void note_refusal(const struct reply *a)
{
	atomic_fetch_add(&counts->refused, 1);
	if (atomic_exchange(&counts->first_refusal, 1) == 0)
		snprintf(counts->refusal, sizeof(counts->refusal), "%.400s%s",
			 a->head, a->body != NULL ? a->body : "");
}

/* One charge at the gate; no answer is no answer, there is no repeating. */
static void charge_gate(struct client *c, struct reply *a, unsigned key)
{
	client_get(c, "/api/gate", key_text(key), a);
	if (a->status == 200)
		atomic_fetch_add(&counts->answered[key], 1);
	else if (a->status == 0)
		atomic_fetch_add(&counts->unanswered, 1);
	else if (a->status == 503 && (opt.strict || opt.busy_is_fair))
		atomic_fetch_add(&counts->away, 1);
	else
		note_refusal(a);
}

/* One charge, repeated under one name until it is answered: counts once. */
static void charge_record(struct client *c, struct reply *a, unsigned key,
			  const char *name)
{
	char head[96], body[128];

	/* the name again: each row tells whose it is */
	snprintf(body, sizeof(body), "{\"credits\":1,\"model\":\"%s\"}", name);
	snprintf(head, sizeof(head), "Idempotency-Key: %s\r\n", name);
	do {
		client_call(c, "/api/usage/record", key_text(key), body, head,
			    a);
		if (a->status == 0) {
			atomic_fetch_add(&counts->unanswered, 1);
			test_sleep_ms(1);
		} else if (a->status == 503) {
			atomic_fetch_add(&counts->busy, 1);
			test_sleep_ms(20);
		}
	} while (a->status == 0 || a->status == 503);
	if (a->status == 200) {
		atomic_fetch_add(&counts->recorded, 1);
		atomic_fetch_add(&counts->answered[key], 1);
	} else {
		note_refusal(a);
	}
}

static void client_main(unsigned number)
{
	struct client *c = client_new(daemon_->port);
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned long i;
	char name[64];

	/* no name twice, though all were stopped and started */
	for (i = number + runs * 1000000ul; atomic_load(&counts->stop) == 0;
	     i++) {
		if (number % 2 == 0) {
			charge_gate(c, a, (unsigned)(i % KEYS));
			if (opt.pause_ms > 0)
				test_sleep_ms(opt.pause_ms);
		} else {
			snprintf(name, sizeof(name), "c%u-%lu", number, i);
			charge_record(c, a, (unsigned)(i % KEYS), name);
			test_sleep_ms(3); /* records are kept for 24 h */
		}
		if (a->status != 200)
			test_sleep_ms(1);
	}
	client_free(&c);
	reply_deinit(a);
	tl_free(a);
	_exit(0);
}

void charge_prepare(struct daemon *d, const struct charge_opts *o)
{
	unsigned i;

	opt = *o;
	daemon_ = d;
	sql_exec(d->conninfo,
		 "INSERT INTO plans (name, daily_credit_limit, price_cents) "
		 "VALUES ('Chaos', 2000000000, 0)");
	for (i = 0; i < KEYS; i++)
		sql_exec(d->conninfo,
			 "WITH u AS (INSERT INTO users (email, plan_id) SELECT "
			 "'chaos%u@test', plan_id FROM plans WHERE name = "
			 "'Chaos' RETURNING user_id) INSERT INTO api_keys "
			 "(user_id, key_prefix, key_hash, label) SELECT "
			 "user_id, 'chaos', encode(sha256('%s'), 'hex'), '%u' "
			 "FROM u",
			 i, key_text(i), i);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		world_die("no memory for the counts");
}

void charge_warm_up(void)
{
	struct client *c = client_new(daemon_->port);
	struct reply *a = tl_alloc(sizeof(*a));
	unsigned i;

	for (i = 0; i < KEYS; i++) {
		client_get(c, "/api/gate?cost=0", key_text(i), a);
		if (a->status != 200)
			world_die("key %u is not let in: %d", i, a->status);
	}
	client_free(&c);
	reply_deinit(a);
	tl_free(a);
}

void charge_start(void)
{
	unsigned i;

	sql_close();
	fflush(NULL);
	atomic_store(&counts->stop, 0);
	runs++;
	for (i = 0; i < CHARGE_CLIENTS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			client_main(i);
		}
	}
}

void charge_stop(void)
{
	unsigned i;

	atomic_store(&counts->stop, 1);
	for (i = 0; i < CHARGE_CLIENTS; i++)
		waitpid(pids[i], NULL, 0);
}

struct charge_sums charge_sums(void)
{
	struct charge_sums s = { .recorded = atomic_load(&counts->recorded),
				 .unanswered = atomic_load(&counts->unanswered),
				 .refused = atomic_load(&counts->refused),
				 .busy = atomic_load(&counts->busy),
				 .away = atomic_load(&counts->away) };
	unsigned i;

	for (i = 0; i < KEYS; i++)
		s.answered += atomic_load(&counts->answered[i]);
	return s;
}

static int64_t in_database(unsigned key)
{
	return sql_num(daemon_->conninfo,
		       "SELECT coalesce(sum(credits_used), 0) FROM "
		       "daily_usage JOIN api_keys USING (key_id) WHERE "
		       "label = '%u' AND key_prefix = 'chaos'",
		       key);
}

int64_t charge_difference(void)
{
	int64_t sum = 0;
	unsigned i;

	for (i = 0; i < KEYS; i++)
		sum += in_database(i);
	return sum - (int64_t)charge_sums().answered;
}

bool charge_balanced(uint64_t allowed)
{
	struct charge_sums s = charge_sums();
	int64_t one, more = charge_difference();
	bool good = true;
	unsigned i;

	for (i = 0; i < KEYS; i++) {
		one = in_database(i);
		if ((uint64_t)one < counts->answered[i]) {
			printf("key %u: %lu answered, only %ld in the "
			       "database\n",
			       i, (unsigned long)counts->answered[i],
			       (long)one);
			good = false;
		}
	}
	if (s.refused > 0) {
		printf("first refusal:\n%s\n", counts->refusal);
		good = false;
	}
	return good && s.answered > 0 && more >= 0 && (uint64_t)more <= allowed;
}

bool charge_compare(uint64_t allowed)
{
	struct charge_sums s = charge_sums();
	int64_t more = charge_difference();

	printf("charges answered      %lu\n"
	       "requests unanswered   %lu\n"
	       "503 to a repetition   %lu\n"
	       "503 at the gate       %lu\n"
	       "known keys refused    %lu\n"
	       "sum in the database   %ld\n"
	       "more than answered    %ld (allowed %lu)\n",
	       (unsigned long)s.answered, (unsigned long)s.unanswered,
	       (unsigned long)s.busy, (unsigned long)s.away,
	       (unsigned long)s.refused, (long)s.answered + (long)more,
	       (long)more, (unsigned long)allowed);
	return charge_balanced(allowed);
}

/*
 * A kill between charge and row leaves a charge whose name is free again, so
 * the repetition is charged and has the row: doubled names would be rows that
 * were written twice, missing ones rows that were lost.  A worker that dies
 * after the row and before the answer leaves a row more than answers; the
 * name of that one is free as well (it was not done), hence up to a double a
 * kill, which a row written twice by the flusher would exceed at once.
 */
bool charge_compare_rows(uint64_t allowed)
{
	int64_t n = sql_num(daemon_->conninfo,
			    "SELECT count(*) FROM request_logs WHERE model "
			    "LIKE 'c_-%%'");
	int64_t names = sql_num(daemon_->conninfo,
				"SELECT count(DISTINCT model) FROM "
				"request_logs WHERE model LIKE 'c_-%%'");
	int64_t answered = (int64_t)charge_sums().recorded;

	printf("records answered      %ld\n"
	       "rows of request_logs  %ld, of %ld names\n",
	       (long)answered, (long)n, (long)names);
	return answered > 0 && names >= answered &&
	       n - names <= (int64_t)allowed &&
	       n <= answered + (int64_t)allowed;
}
