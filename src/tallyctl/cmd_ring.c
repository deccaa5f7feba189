/*
 * cmd_ring.c - explain and tail: the decision ring, read without a lock.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "ctl/decision.h"
#include "shm/ring.h"
#include "store/q_keys.h"
#include "tallyctl/db.h"
#include "tallyctl/filter.h"
#include "tallyctl/tallyctl.h"

#define POLL_MS       50
#define ATTACH_MS     1000 /* how often a new segment is looked for */
#define UNFINISHED_MS 1000 /* a record that long half written: writer died */

enum exit_status cmd_explain(struct tallyctl *t)
{
	struct tl_str id = ctl_text(t->args, "request_id");
	struct shm_decision d;
	struct shm *shm = NULL;
	enum exit_status ex;
	struct tl_buf words;
	bool found;

	ex = segment_open(t, &shm);
	if (ex != EXIT_OK)
		return ex;
	found = shm_ring_find(shm, id, &d);
	if (!found)
		ex = complain(EXIT_NOT_FOUND,
			      "no decision on request '%.*s' among the last "
			      "%" PRIu32 "; shm.decision_ring sets how many "
			      "are kept",
			      (int)id.len, id.ptr, shm->n_ring);
	shm_close(&shm);
	if (!found)
		return ex;
	if (t->json) {
		print_json(decision_doc(&d, t->arena));
		return EXIT_OK;
	}
	tl_buf_init(&words);
	decision_line(&d, &words);
	(void)puts(words.ptr);
	tl_buf_deinit(&words);
	return EXIT_OK;
}

/* ---- tail ---- */

struct tail {
	struct tallyctl *t;
	struct filter filter;
	struct shm *shm;
	uint64_t next;     /* position to read */
	uint64_t stuck_ms; /* how long `next` was not whole */
};

static void show(struct tail *tail, const struct shm_decision *d)
{
	struct tl_arena a;
	struct tl_buf line;

	if (tail->t->json) {
		tl_arena_init(&a);
		print_json(decision_doc(d, &a));
		tl_arena_deinit(&a);
		return;
	}
	tl_buf_init(&line);
	decision_line(d, &line);
	(void)puts(line.ptr);
	(void)fflush(stdout);
	tl_buf_deinit(&line);
}

static uint64_t oldest(const struct shm *shm)
{
	uint64_t next = shm_ring_next(shm);

	return next > shm->n_ring ? next - shm->n_ring : 0;
}

/* Where the newest `last` that match begin. */
static uint64_t find_start(struct tail *tail, uint64_t last)
{
	uint64_t low = oldest(tail->shm), pos = shm_ring_next(tail->shm);
	uint64_t start = pos;
	struct shm_decision d;

	while (last > 0 && pos-- > low) {
		if (shm_ring_read(tail->shm, pos, &d) &&
		    filter_match(&tail->filter, &d)) {
			start = pos;
			last--;
		}
	}
	return start;
}

/* Shows what is whole; stops at a record that is still being written. */
static void drain(struct tail *tail)
{
	uint64_t end = shm_ring_next(tail->shm);
	struct shm_decision d;

	while (tail->next < end) {
		uint64_t low = oldest(tail->shm);

		if (tail->next < low) {
			(void)complain(EXIT_OK,
				       "%" PRIu64 " decisions were "
				       "overwritten before they were read",
				       low - tail->next);
			tail->next = low;
			continue;
		}
		if (shm_ring_read(tail->shm, tail->next, &d)) {
			if (filter_match(&tail->filter, &d))
				show(tail, &d);
		} else if (tail->next >= oldest(tail->shm) &&
			   tail->stuck_ms < UNFINISHED_MS) {
			return;
		}
		tail->next++;
		tail->stuck_ms = 0;
	}
}

/* After a start that made another segment: go on in that one. */
static void attach_again(struct tail *tail)
{
	uint64_t epoch = tail->shm->head->k.epoch;

	if (!segment_reopen(tail->t, &tail->shm))
		return; /* none at the moment; look again later */
	/* one of other sizes goes on where the old one ended */
	if (tail->shm->head->k.epoch != epoch)
		tail->next = 0;
	tail->stuck_ms = 0;
}

static void follow(struct tail *tail)
{
	static const struct timespec pause = { 0, POLL_MS * 1000000L };
	uint64_t since_attach_ms = 0;

	for (;;) {
		uint64_t before = tail->next;

		drain(tail);
		(void)nanosleep(&pause, NULL);
		if (tail->next == before &&
		    tail->next < shm_ring_next(tail->shm))
			tail->stuck_ms += POLL_MS;
		since_attach_ms += POLL_MS;
		if (since_attach_ms >= ATTACH_MS) {
			since_attach_ms = 0;
			attach_again(tail);
		}
	}
}

/* ---- key=codexible_0123456789: the ring holds ids only ---- */

static enum tl_status look_up_keys(struct pg *pg, void *arg, struct tl_err *err)
{
	struct tail *tail = arg;
	struct filter *f = &tail->filter;
	const struct q_key_find_by_prefix_params p = {
		.prefix = f->key_prefix,
		.max = FILTER_KEYS_MAX,
	};
	struct q_key_list_row *rows;
	enum tl_status st;
	uint32_t n;

	st = q_key_find_by_prefix(pg, &p, tail->t->arena, &rows, &n, err);
	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; i < n; i++)
		f->keys[i] = rows[i].key_id;
	f->n_keys = n;
	return TL_OK;
}

static enum exit_status resolve_keys(struct tail *tail)
{
	struct tl_str prefix = tail->filter.key_prefix;
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;

	ex = db_run(tail->t, look_up_keys, tail, &st, &err);
	if (ex != EXIT_OK)
		return ex;
	if (st != TL_OK)
		return complain(EXIT_FAILED, "look up keys '%.*s': %s",
				(int)prefix.len, prefix.ptr, err.text);
	if (tail->filter.n_keys == 0)
		return complain(EXIT_NOT_FOUND, "no key is shown as '%.*s'",
				(int)prefix.len, prefix.ptr);
	return EXIT_OK;
}

static enum exit_status read_filter(struct tail *tail)
{
	const struct doc *words = doc_get(tail->t->args, "filter");
	struct tl_err err;

	for (uint32_t i = 0; words != NULL && i < words->n; i++) {
		if (filter_add(&tail->filter, words->items[i]->str, &err) !=
		    TL_OK)
			return complain(EXIT_USAGE, "%s", err.text);
	}
	return filter_wants_keys(&tail->filter) ? resolve_keys(tail) : EXIT_OK;
}

enum exit_status cmd_tail(struct tallyctl *t)
{
	int64_t last = ctl_number(t->args, "last", 0);
	struct tail tail = { .t = t };
	enum exit_status ex;

	ex = read_filter(&tail);
	if (ex == EXIT_OK)
		ex = segment_open(t, &tail.shm);
	if (ex != EXIT_OK)
		return ex;
	tail.next = find_start(&tail, (uint64_t)last);
	if (ctl_flag(t->args, "once"))
		drain(&tail);
	else
		follow(&tail); /* until a signal ends us */
	shm_close(&tail.shm);
	return EXIT_OK;
}
