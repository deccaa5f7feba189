#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * Two protocols of the segment as small state machines, every interleaving of
 * their steps explored.  A kill is a process that is never run again, so it
 * needs no step of its own: what must hold is asked in every state.
 *
 * These are models of src/shm/window.c (check, add, look again) and of
 * src/shm/janitor.c with entry_keep() (retire against use).  Each also has a
 * variant with one step left out that must fail, or the model proves nothing.
 */

/* ---- exploring ---- */

#define STATE_BYTES 40
#define TABLE_SIZE  (1U << 19)

struct explorer {
	/* Steps of process p from a state; calls found() for each result. */
	void (*step)(struct explorer *e, const uint8_t *state, int p);
	bool (*holds)(const uint8_t *state);
	int processes;
	uint8_t (*seen)[STATE_BYTES]; /* open hash table; byte 0: in use */
	uint8_t (*todo)[STATE_BYTES];
	uint32_t n_seen, n_todo;
	bool broken;
};

static uint32_t hash(const uint8_t *s)
{
	uint64_t h = 0xcbf29ce484222325ULL;
	int i;

	for (i = 0; i < STATE_BYTES; i++)
		h = (h ^ s[i]) * 0x100000001b3ULL;
	return (uint32_t)(h ^ h >> 32) % TABLE_SIZE;
}

static void found(struct explorer *e, const uint8_t *state)
{
	uint32_t at = hash(state);

	while (e->seen[at][0] != 0) {
		if (memcmp(e->seen[at], state, STATE_BYTES) == 0)
			return;
		at = (at + 1) % TABLE_SIZE;
	}
	ck_assert_uint_lt(e->n_seen, TABLE_SIZE / 4 * 3);
	memcpy(e->seen[at], state, STATE_BYTES);
	memcpy(e->todo[e->n_todo++], state, STATE_BYTES);
	e->n_seen++;
	if (!e->holds(state))
		e->broken = true;
}

/* False: some state breaks the rule. */
static bool explore(struct explorer *e, const uint8_t *first)
{
	uint8_t state[STATE_BYTES];
	int p;

	e->seen = calloc(TABLE_SIZE, STATE_BYTES);
	e->todo = calloc(TABLE_SIZE, STATE_BYTES);
	found(e, first);
	while (e->n_todo > 0 && !e->broken) {
		memcpy(state, e->todo[--e->n_todo], STATE_BYTES);
		for (p = 0; p < e->processes; p++)
			e->step(e, state, p);
	}
	free(e->seen);
	free(e->todo);
	return !e->broken;
}

/* ---- the sliding window: B = 2 buckets, N = B + 2 = 4 cells ---- */

#define SPAN  2
#define CELLS 4
#define PROCS 3
#define CLOCK 7 /* last bucket; the first is 3, so that epoch 0 is past */

enum { READ_CLOCK, SUM, ADD, AGAIN, TAKE_BACK, IN, OUT };
enum { WHOLE, NO_SECOND_LOOK, NO_RESTART };
static int variant, limit;

struct window_state {
	uint8_t used, clock;
	struct {
		uint8_t epoch, count;
	} cell[CELLS];
	struct {
		uint8_t pc, k, i, sum, mine, after;
	} p[PROCS];
};
_Static_assert(sizeof(struct window_state) <= STATE_BYTES, "room for a state");

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(((struct window_state *)0)->p[0]));
}

static void window_found(struct explorer *e, struct window_state *w)
{
	uint8_t state[STATE_BYTES] = { 0 };

	/* which of the alike processes stands where does not matter */
	qsort(w->p, PROCS, sizeof(w->p[0]), by_bytes);
	memcpy(state, w, sizeof(*w));
	found(e, state);
}

/* One cell of a sum; each is a step of its own. */
static void look(struct window_state *w, int p, bool again)
{
	uint8_t i = w->p[p].i++, k = w->p[p].k;

	if (again && i == k % CELLS) {
		if (w->cell[i].epoch != k) {
			w->p[p].pc = TAKE_BACK;
			w->p[p].after = READ_CLOCK;
		}
	} else if (w->cell[i].epoch >= k + 2 && variant != NO_RESTART) {
		w->p[p].pc = again ? TAKE_BACK : READ_CLOCK;
		w->p[p].after = READ_CLOCK;
	} else if (w->cell[i].epoch >= k - SPAN) {
		w->p[p].sum = (uint8_t)(w->p[p].sum + w->cell[i].count);
	}
}

static void window_process(struct window_state *w, int p)
{
	uint8_t own = w->p[p].k % CELLS;

	switch (w->p[p].pc) {
	case READ_CLOCK:
		w->p[p].k = w->clock;
		w->p[p].i = w->p[p].sum = 0;
		w->p[p].pc = SUM;
		break;
	case SUM:
		look(w, p, false);
		if (w->p[p].pc == SUM && w->p[p].i == CELLS)
			w->p[p].pc = w->p[p].sum + 1 > limit ? OUT : ADD;
		break;
	case ADD:
		if (w->cell[own].epoch > w->p[p].k) {
			w->p[p].pc = READ_CLOCK;
			break;
		}
		if (w->cell[own].epoch < w->p[p].k)
			w->cell[own].count = 0;
		w->cell[own].epoch = w->p[p].k;
		w->p[p].mine = ++w->cell[own].count;
		w->p[p].sum = w->p[p].mine;
		w->p[p].i = 0;
		w->p[p].pc = variant == NO_SECOND_LOOK ? IN : AGAIN;
		break;
	case AGAIN:
		look(w, p, true);
		if (w->p[p].pc == AGAIN && w->p[p].i == CELLS) {
			w->p[p].pc = w->p[p].sum > limit ? TAKE_BACK : IN;
			w->p[p].after = OUT;
		}
		break;
	case TAKE_BACK:
		if (w->cell[own].epoch == w->p[p].k && w->cell[own].count > 0)
			w->cell[own].count--;
		w->p[p].pc = w->p[p].after;
		break;
	}
}

static void window_step(struct explorer *e, const uint8_t *state, int p)
{
	struct window_state w;

	memcpy(&w, state, sizeof(w));
	if (p == PROCS) {
		if (w.clock < CLOCK) {
			w.clock++;
			window_found(e, &w);
		}
		return;
	}
	if (w.p[p].pc == IN || w.p[p].pc == OUT)
		return;
	window_process(&w, p);
	if (w.p[p].pc == IN) /* what is left over must not split states */
		w.p[p].i = w.p[p].sum = w.p[p].mine = w.p[p].after = 0;
	window_found(e, &w);
}

/* In any SPAN + 1 neighbouring buckets at most `limit` were admitted. */
static bool window_holds(const uint8_t *state)
{
	struct window_state w;
	int first, p, n;

	memcpy(&w, state, sizeof(w));
	for (first = 3; first <= CLOCK; first++) {
		for (n = 0, p = 0; p < PROCS; p++)
			n += w.p[p].pc == IN && w.p[p].k >= first &&
			     w.p[p].k <= first + SPAN;
		if (n > limit)
			return false;
	}
	return true;
}

static bool window_is_exact(int with, int of_limit, uint32_t *states_r)
{
	struct explorer e = { .step = window_step,
			      .holds = window_holds,
			      .processes = PROCS + 1 };
	struct window_state w = { .used = 1, .clock = 3 };
	uint8_t first[STATE_BYTES] = { 0 };
	bool ok;

	variant = with;
	limit = of_limit;
	memcpy(first, &w, sizeof(w));
	ok = explore(&e, first);
	*states_r = e.n_seen;
	return ok;
}

START_TEST(the_window_admits_at_most_its_limit)
{
	uint32_t states;

	ck_assert(window_is_exact(WHOLE, _i, &states));
	ck_assert_uint_gt(states, 10000);
}
END_TEST

START_TEST(the_window_needs_each_of_its_steps)
{
	uint32_t states;

	ck_assert(!window_is_exact(NO_SECOND_LOOK, _i, &states));
	/* with more, this takes more processes than are modelled */
	if (limit == 1)
		ck_assert(!window_is_exact(NO_RESTART, 1, &states));
}
END_TEST

/* ---- an entry that dies and is wanted ---- */

enum { FREE, LIVE, DYING, RETIRED };
enum { J_IDLE, J_MARK, J_LOOK, J_RETIRE, J_UNLIST, J_RAISE, J_FREE, J_DONE };
enum { W_ENTER, W_FIND, W_TOUCH, W_STATE, W_USE, W_INSERT, W_LEAVE, W_DONE };
enum { HANDSHAKE, NOT_FOUND_WHEN_DYING, NO_LAST_LOOK, FREE_AT_ONCE };

struct entry_state {
	uint8_t used;
	uint8_t state[2], listed[2]; /* entry 0 first, 1 is its successor */
	uint8_t touched, epoch;
	uint8_t j_pc, j_epoch;
	struct {
		uint8_t pc, at, epoch; /* epoch 9: idle */
	} w[2];
	uint8_t lost; /* used a freed one, or one that will not be found */
};

static void entry_found(struct explorer *e, const struct entry_state *s)
{
	uint8_t state[STATE_BYTES] = { 0 };

	memcpy(state, s, sizeof(*s));
	found(e, state);
}

static bool passed(const struct entry_state *s)
{
	return s->w[0].epoch >= s->j_epoch && s->w[1].epoch >= s->j_epoch;
}

/* False: this process can not go on now. */
static bool janitor_process(struct entry_state *s)
{
	switch (s->j_pc) {
	case J_IDLE:
		if (s->state[0] != LIVE || s->touched)
			return false;
		s->j_pc = J_MARK;
		break;
	case J_MARK:
		if (s->state[0] != LIVE)
			return false;
		s->state[0] = DYING;
		s->j_pc = variant == NO_LAST_LOOK ? J_RETIRE : J_LOOK;
		break;
	case J_LOOK:
		s->j_pc = J_RETIRE;
		if (s->touched) {
			if (s->state[0] == DYING)
				s->state[0] = LIVE;
			s->j_pc = J_DONE;
		}
		break;
	case J_RETIRE:
		s->j_pc = s->state[0] == DYING ? J_UNLIST : J_DONE;
		if (s->state[0] == DYING)
			s->state[0] = RETIRED;
		break;
	case J_UNLIST:
		s->listed[0] = 0;
		s->j_pc = J_RAISE;
		break;
	case J_RAISE:
		s->j_epoch = ++s->epoch;
		s->j_pc = J_FREE;
		break;
	case J_FREE:
		if (!passed(s) && variant != FREE_AT_ONCE)
			return false;
		s->state[0] = FREE;
		s->j_pc = J_DONE;
		break;
	default:
		return false;
	}
	return true;
}

static bool findable(uint8_t st)
{
	return st == LIVE || (st == DYING && variant != NOT_FOUND_WHEN_DYING);
}

static void worker_find(struct entry_state *s, int p)
{
	int i;

	s->w[p].pc = W_INSERT;
	for (i = 0; i < 2; i++)
		if (s->listed[i] && findable(s->state[i])) {
			s->w[p].at = (uint8_t)i;
			s->w[p].pc = W_TOUCH;
			return;
		}
}

static bool worker_process(struct entry_state *s, int p)
{
	uint8_t at = s->w[p].at;

	switch (s->w[p].pc) {
	case W_ENTER:
		s->w[p].epoch = s->epoch;
		s->w[p].pc = W_FIND;
		break;
	case W_FIND:
		worker_find(s, p);
		break;
	case W_TOUCH:
		if (at == 0)
			s->touched = 1;
		s->w[p].pc = W_STATE;
		break;
	case W_STATE: /* entry_keep: a DYING one comes back */
		if (s->state[at] == DYING)
			s->state[at] = LIVE;
		s->w[p].pc = s->state[at] == LIVE ? W_USE : W_FIND;
		break;
	case W_USE: /* charged on this one: it must be the one to be found */
		if (s->state[at] == FREE || s->state[at] == RETIRED)
			s->lost = 1;
		s->w[p].pc = W_LEAVE;
		break;
	case W_INSERT: /* under the stripe: looks again */
		worker_find(s, p);
		if (s->w[p].pc != W_INSERT)
			break;
		s->state[1] = LIVE;
		s->listed[1] = 1;
		s->w[p].pc = W_FIND;
		break;
	case W_LEAVE:
		s->w[p].epoch = 9;
		s->w[p].pc = W_DONE;
		break;
	default:
		return false;
	}
	return true;
}

static void entry_step(struct explorer *e, const uint8_t *state, int p)
{
	struct entry_state s;

	memcpy(&s, state, sizeof(s));
	if (p == 2 ? janitor_process(&s) : worker_process(&s, p))
		entry_found(e, &s);
}

static bool entry_holds(const uint8_t *state)
{
	struct entry_state s;
	int p;

	memcpy(&s, state, sizeof(s));
	if (s.lost || (s.state[0] == LIVE && s.state[1] == LIVE))
		return false;
	for (p = 0; p < 2; p++) /* nobody holds what is free */
		if (s.w[p].pc > W_FIND && s.w[p].pc < W_INSERT &&
		    s.state[s.w[p].at] == FREE)
			return false;
	return true;
}

static bool entry_is_one(int with)
{
	struct explorer e = { .step = entry_step,
			      .holds = entry_holds,
			      .processes = 3 };
	struct entry_state s = { .used = 1,
				 .state = { LIVE, FREE },
				 .listed = { 1, 0 },
				 .epoch = 1,
				 .w = { { .epoch = 9 }, { .epoch = 9 } } };
	uint8_t first[STATE_BYTES] = { 0 };

	variant = with;
	memcpy(first, &s, sizeof(s));
	return explore(&e, first);
}

START_TEST(an_entry_is_never_two_and_never_freed_in_use)
{
	ck_assert(entry_is_one(HANDSHAKE));
}
END_TEST

START_TEST(the_handshake_needs_each_of_its_steps)
{
	ck_assert(!entry_is_one(NOT_FOUND_WHEN_DYING));
	ck_assert(!entry_is_one(NO_LAST_LOOK));
	ck_assert(!entry_is_one(FREE_AT_ONCE));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/model");
	TCase *tc = tcase_create("model");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, the_window_admits_at_most_its_limit, 1, 3);
	tcase_add_loop_test(tc, the_window_needs_each_of_its_steps, 1, 3);
	tcase_add_test(tc, an_entry_is_never_two_and_never_freed_in_use);
	tcase_add_test(tc, the_handshake_needs_each_of_its_steps);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
