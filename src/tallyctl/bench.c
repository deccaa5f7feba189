#include "config.h"

#include "tallyctl/bench.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "decide/decide.h"
#include "shm/entries.h"
#include "shm/policy.h"

#define TEXT_BYTES  40
#define TEXT_LEN    38
#define POOL_MAX    (1u << 18) /* keys drawn before the clock runs */
#define BATCHES_MAX (1u << 17)
#define READS       10000 /* between two looks at the clock */
#define PLENTY      2000000000u

struct bench {
	struct shm *shm;
	uint32_t keys;
	uint64_t rng;
	char (*pool)[TEXT_BYTES]; /* random keys, drawn in advance */
	uint32_t n_pool;
};

static uint32_t draw(struct bench *b)
{
	b->rng ^= b->rng << 13;
	b->rng ^= b->rng >> 7;
	b->rng ^= b->rng << 17;
	return (uint32_t)(b->rng >> 11) % b->keys;
}

static void key_text(uint32_t n, char dst[TEXT_BYTES])
{
	(void)snprintf(dst, TEXT_BYTES, "bench_%032" PRIx32, n);
}

/* ---- the segment ---- */

static void key_row(uint32_t n, struct tally_key_row *row_r)
{
	char text[TEXT_BYTES];

	memset(row_r, 0, sizeof(*row_r));
	key_text(n, text);
	tally_key_digest((struct tl_str){ text, TEXT_LEN }, &row_r->digest);
	memcpy(row_r->key_id.b, &n, sizeof(n));
	row_r->daily_credit_limit = -1;
	memcpy(row_r->user.user_id.b, &n, sizeof(n));
	row_r->user.user_id.b[15] = 1; /* never all zero */
	row_r->user.plan_id.b[0] = 1;
}

static enum tl_status fill(struct bench *b, struct tl_err *err)
{
	struct tally_plan_row plan = { .name = TL_STR("bench"),
				       .daily_credit_limit = 1LL << 40 };
	struct tally_key_row row;
	enum tl_status st;
	bool missing;

	plan.plan_id.b[0] = 1;
	st = shm_policy_set(b->shm, NULL, 0, &plan, 1, err);
	for (uint32_t i = 0; st == TL_OK && i < b->keys; i++) {
		key_row(i, &row);
		st = shm_key_take_in(b->shm, &row, shm_change_gen(b->shm),
				     &missing, err);
	}
	return st;
}

static enum tl_status make_segment(struct bench *b, struct tl_err *err)
{
	const struct shm_sizes z = { .max_keys = b->keys,
				     .max_users = b->keys,
				     .max_addresses = 65536,
				     .max_windows = 65536,
				     .decision_ring = 65536,
				     .idempotency = 65536,
				     .window_ms = 60000 };
	enum shm_found found;
	char instance[32];
	enum tl_status st;

	(void)snprintf(instance, sizeof(instance), "bench-%d", (int)getpid());
	shm_remove(instance); /* of one with our pid that was killed */
	st = shm_open_master(instance, &z, &b->shm, &found, err);
	shm_remove(instance); /* the mapping stays, for our children too */
	if (st != TL_OK)
		return st;
	shm_slot_take(b->shm, 1, "bench", 0, 1);
	return fill(b, err);
}

enum tl_status bench_new(uint32_t keys, struct bench **b_r, struct tl_err *err)
{
	struct bench *b = tl_alloc(sizeof(*b));
	enum tl_status st;

	b->keys = keys;
	b->rng = 88172645463325252ULL;
	b->n_pool = POOL_MAX;
	st = make_segment(b, err);
	if (st == TL_OK) {
		b->pool = tl_alloc_array(b->n_pool, sizeof(*b->pool));
		*b_r = b;
	} else {
		bench_free(&b);
	}
	return st;
}

void bench_free(struct bench **bp)
{
	struct bench *b = *bp;

	if (b == NULL)
		return;
	shm_close(&b->shm);
	tl_free(b->pool);
	tl_freep(bp);
}

uint64_t bench_bytes(const struct bench *b)
{
	return b->shm->total_bytes;
}

/* ---- what one thing takes ---- */

double bench_sha256_ns(const struct bench *b, uint32_t ms)
{
	uint64_t t0 = tl_mono_ns(), now = t0, n = 0;
	struct tally_digest d;
	char text[TEXT_BYTES];

	(void)b;
	key_text(7, text);
	while (now - t0 < ms * TL_NS_PER_MS) {
		for (int i = 0; i < READS; i++)
			tally_key_digest((struct tl_str){ text, TEXT_LEN }, &d);
		n += READS;
		now = tl_mono_ns();
	}
	return (double)(now - t0) / (double)n;
}

double bench_cold_read_ns(const struct bench *b, uint32_t ms)
{
	struct bench walk = *b; /* for its random numbers */
	uint64_t t0 = tl_mono_ns(), now = t0, n = 0;
	volatile uint32_t last; /* somebody must want to know */
	uint32_t at = 0;

	while (now - t0 < ms * TL_NS_PER_MS) {
		for (int i = 0; i < READS; i++)
			at = (draw(&walk) + b->shm->keys[at].key_id[8]) %
			     b->keys;
		n += READS;
		now = tl_mono_ns();
	}
	last = at;
	(void)last;
	return (double)(now - t0) / (double)n;
}

/* As a worker at the gate, without HTTP. */
static bool decide_batch(struct decide *d, char (*text)[TEXT_BYTES])
{
	struct decide_out out;
	bool good = true;

	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		uint64_t now = tl_mono_ns();
		const struct decide_in in = {
			.flags = DECIDE_RATE | DECIDE_CHARGE |
				 DECIDE_401_COUNTS | DECIDE_ADDRESS_KNOWN,
			.key = { text[i], TEXT_LEN },
			.cost = 1,
			.mono_ns = now,
		};

		decide(d, &in, &out);
		good = good && out.code == DECIDE_OK;
		decide_record(d, &out, DECIDE_D_GATE, &in.client,
			      TL_STR("0123456789abcdef"), NULL, 200, now, now);
	}
	return good;
}

static struct decide decider(const struct bench *b)
{
	return (struct decide){ .shm = b->shm,
				.rules = { .limits_enabled = true,
					   .quota_enabled = true,
					   .metering_enabled = true,
					   .key_count = PLENTY,
					   .address_count = 20,
					   .window_ms = 60000 } };
}

static void draw_pool(struct bench *b, bool hot)
{
	for (uint32_t i = 0; i < b->n_pool; i++)
		key_text(hot ? b->keys / 2 : draw(b), b->pool[i]);
}

static enum tl_status refused(struct tl_err *err)
{
	return tl_err_set(err, TL_BROKEN,
			  "a decision of the bench was refused; please report "
			  "this");
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

enum tl_status bench_decision_ns(struct bench *b, bool hot, uint32_t ms,
				 double *ns_r, struct tl_err *err)
{
	uint64_t *took = tl_alloc_array(BATCHES_MAX, sizeof(*took));
	struct decide d = decider(b);
	uint64_t start, t0, t1;
	uint32_t n = 0, at = 0;
	bool good = true;

	draw_pool(b, hot);
	start = t1 = tl_mono_ns();
	while (good && n < BATCHES_MAX && t1 - start < ms * TL_NS_PER_MS) {
		t0 = tl_mono_ns();
		good = decide_batch(&d, b->pool + at);
		t1 = tl_mono_ns();
		took[n++] = t1 - t0;
		at = (at + BENCH_BATCH) % b->n_pool;
	}
	if (good) {
		qsort(took, n, sizeof(*took), by_value);
		*ns_r = (double)took[n / 2] / BENCH_BATCH;
	}
	tl_free(took);
	return good ? TL_OK : refused(err);
}

/* ---- several processes ---- */

struct racer { /* a line each: nobody waits for another's count */
	_Alignas(64) uint64_t decisions, ns;
};
struct race {
	_Alignas(64) _Atomic uint32_t ready, go, stop;
	struct racer racers[SHM_SLOTS];
};

static void nap(uint32_t ms)
{
	const struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000L };

	(void)nanosleep(&ts, NULL);
}

/* A child begins without page tables of the segment: not while it is timed. */
static void touch_pages(const struct shm *s)
{
	const volatile uint8_t *base = (const volatile uint8_t *)s->head;

	for (uint32_t i = 0; i < SHM_REGIONS; i++) {
		const struct shm_region *r = &s->head->k.regions[i];

		for (uint64_t at = 0; at < r->size_bytes; at += SHM_PAGE)
			(void)base[r->offset + at];
	}
}

/* In the child. */
static bool run_racer(struct bench *b, struct race *race, uint32_t i)
{
	struct decide d = decider(b);
	uint32_t at = 0;
	bool good = true;
	uint64_t t0;

	shm_slot_take(b->shm, 1 + i, "bench", i, 2 + i);
	d.worker = i;
	b->rng += (i + 1) * 0x9e3779b97f4a7c15ULL;
	draw_pool(b, false);
	touch_pages(b->shm);
	atomic_fetch_add(&race->ready, 1);
	while (atomic_load(&race->go) == 0)
		nap(1);
	t0 = tl_mono_ns();
	while (good &&
	       atomic_load_explicit(&race->stop, memory_order_relaxed) == 0) {
		good = decide_batch(&d, b->pool + at);
		race->racers[i].decisions += BENCH_BATCH;
		at = (at + BENCH_BATCH) % b->n_pool;
	}
	race->racers[i].ns = tl_mono_ns() - t0;
	return good;
}

static bool children_left(pid_t *pids, uint32_t n, bool *good)
{
	bool left = false;
	int status;

	for (uint32_t i = 0; i < n; i++) {
		if (pids[i] > 0 && waitpid(pids[i], &status, WNOHANG) != 0) {
			*good = *good && WIFEXITED(status) &&
				WEXITSTATUS(status) == 0;
			pids[i] = 0;
		}
		left = left || pids[i] > 0;
	}
	return left;
}

static enum tl_status start(struct bench *b, struct race *race, pid_t *pids,
			    uint32_t n, struct tl_err *err)
{
	pid_t parent = getpid();

	for (uint32_t i = 0; i < n; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			return tl_err_sys(err, "fork");
		if (pids[i] > 0)
			continue;
		/* not without us, not even if we are killed */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		_exit(run_racer(b, race, i) ? 0 : 1);
	}
	return TL_OK;
}

enum tl_status bench_rate(struct bench *b, uint32_t n, uint32_t ms,
			  double *per_second_r, struct tl_err *err)
{
	struct race *race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[SHM_SLOTS] = { 0 };
	bool good = true;
	enum tl_status st;
	double sum = 0;

	tl_assert(n > 0 && n < SHM_SLOTS - 2);
	if (race == MAP_FAILED)
		return tl_err_sys(err, "map a page");
	st = start(b, race, pids, n, err);
	while (st == TL_OK && good && atomic_load(&race->ready) < n) {
		nap(1);
		(void)children_left(pids, n, &good);
	}
	atomic_store(&race->go, 1);
	if (st == TL_OK && good)
		nap(ms);
	atomic_store(&race->stop, 1);
	while (children_left(pids, n, &good))
		nap(1);
	for (uint32_t i = 0; i < n && race->racers[i].ns > 0; i++)
		sum += (double)race->racers[i].decisions * 1e9 /
		       (double)race->racers[i].ns;
	(void)munmap(race, sizeof(*race));
	if (st == TL_OK && !good)
		st = refused(err);
	if (st == TL_OK)
		*per_second_r = sum;
	return st;
}

uint32_t bench_cpus(void)
{
	cpu_set_t set;
	int n = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > SHM_SLOTS - 3 ? SHM_SLOTS - 3 : (uint32_t)n;
}
