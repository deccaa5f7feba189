#include "shm/reqlog.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "shm/metrics.h"
#include "shm/pause.h"

#define LAP_BITS    30
#define SPAWN_BITS  22
#define LAP_MASK    ((1U << LAP_BITS) - 1)
#define SPAWN_MASK  ((1U << SPAWN_BITS) - 1)
#define WAIT_TRIES  100 /* for a writer that lives; 10 ms */
#define WAIT_NS     100000
#define TIME_MAX_US 253402300800000000LL /* year 10000 */

/* ---- words, see layout.h ---- */

static inline uint64_t word_make(uint32_t lap, uint32_t slots,
				 enum shm_log_kind kind, uint64_t identity)
{
	return (uint64_t)lap << 34 | (uint64_t)slots << 31 |
	       (uint64_t)kind << 29 | (identity >> 48 & 0x7f) << SPAWN_BITS |
	       (identity & SPAWN_MASK);
}

static inline uint32_t word_lap(uint64_t w)
{
	return (uint32_t)(w >> 34);
}

static inline uint32_t word_slots(uint64_t w)
{
	return (uint32_t)(w >> 31) & 7;
}

static inline enum shm_log_kind word_kind(uint64_t w)
{
	return (enum shm_log_kind)(w >> 29 & 3);
}

_Static_assert(SHM_SLOTS <= 128, "the owner's slot has 7 bits");

static bool owner_alive(const struct shm *s, uint64_t w)
{
	uint64_t slot = w >> SPAWN_BITS & 0x7f, identity;

	if (slot >= SHM_SLOTS)
		return false;
	identity = atomic_load(&s->slots[slot].identity);
	return ((identity ^ w) & SPAWN_MASK) == 0 &&
	       shm_identity_alive(s, identity);
}

static inline struct shm_log_slot *slot_at(const struct shm *s, uint64_t pos)
{
	return &s->logs[pos & (s->n_logs - 1)];
}

static inline uint32_t lap_of(const struct shm *s, uint64_t pos)
{
	return (uint32_t)(pos >> s->log_shift) & LAP_MASK;
}

static inline uint64_t free_word(const struct shm *s, uint64_t pos)
{
	return word_make(lap_of(s, pos), 0, SHM_L_FREE, 0);
}

/* A row's first slot of this lap, claimed or ready. */
static inline bool is_taken(const struct shm *s, uint64_t pos, uint64_t w)
{
	return word_lap(w) == lap_of(s, pos) && word_slots(w) >= 1 &&
	       word_slots(w) <= SHM_LOG_SLOTS &&
	       (word_kind(w) == SHM_L_CLAIMED || word_kind(w) == SHM_L_READY);
}

/* ---- writers ---- */

static void advance(struct shm *s, uint64_t from, uint64_t to)
{
	/* fails when another one has done it */
	atomic_compare_exchange_strong(&s->head->log_next, &from, to);
}

/*
 * The claim is the CAS of the word, which names its owner; log_next follows,
 * and whoever finds it behind (its owner was killed in between) moves it.
 * Of a row of several slots only the first word is set: nobody looks at the
 * others, since log_next passes over them.
 */
static bool claim(struct shm *s, uint32_t slots, uint64_t *pos_r,
		  uint64_t *word_r)
{
	uint64_t pos = atomic_load(&s->head->log_next), last, next, w;

	for (;;) {
		w = atomic_load(&slot_at(s, pos)->word);
		if (w == free_word(s, pos)) {
			/* slots come free in order: the last says it for all */
			last = pos + slots - 1;
			if (atomic_load(&slot_at(s, last)->word) ==
			    free_word(s, last)) {
				*word_r = word_make(lap_of(s, pos), slots,
						    SHM_L_CLAIMED, s->identity);
				if (atomic_compare_exchange_strong(
					    &slot_at(s, pos)->word, &w,
					    *word_r))
					break;
			}
		} else if (is_taken(s, pos, w)) {
			advance(s, pos, pos + word_slots(w));
		}
		next = atomic_load(&s->head->log_next);
		if (next == pos && !is_taken(s, pos, w))
			return false; /* of the last lap still */
		pos = next;
	}
	SHM_PAUSE("reqlog.claimed");
	advance(s, pos, pos + slots);
	*pos_r = pos;
	return true;
}

bool shm_reqlog_append(struct shm *s, const struct shm_log_row *row,
		       struct tl_str model)
{
	uint8_t image[SHM_LOG_SLOTS * SHM_LOG_BODY];
	uint32_t bytes = shm_log_bytes((uint32_t)model.len), at, n;
	uint16_t len = (uint16_t)model.len;
	struct shm_log_slot *slot;
	uint64_t pos, word;

	if (s->n_logs == 0)
		return true;
	tl_assert(model.len >= 1 && model.len <= SHM_MODEL_MAX);
	if (!claim(s, (bytes + SHM_LOG_BODY - 1) / SHM_LOG_BODY, &pos, &word)) {
		shm_count(s, SHM_C_LOG_DROPPED, 1);
		return false;
	}
	memset(image + bytes - 8, 0, 8); /* the padding */
	memcpy(image, row, sizeof(*row));
	memcpy(image + offsetof(struct shm_log_row, model_len), &len, 2);
	memcpy(image + sizeof(*row), model.ptr, model.len);
	slot = slot_at(s, pos);
	for (at = 0; at < bytes; at += n) {
		n = bytes - at < SHM_LOG_BODY ? bytes - at : SHM_LOG_BODY;
		memcpy(slot_at(s, pos++)->body, image + at, n);
	}
	SHM_PAUSE("reqlog.written");
	/* nobody else stores here while the owner lives */
	atomic_store_explicit(&slot->word,
			      word ^ word_make(0, 0, SHM_L_CLAIMED, 0) ^
				      word_make(0, 0, SHM_L_READY, 0),
			      memory_order_release);
	shm_count(s, SHM_C_LOG_ROWS, 1);
	return true;
}

/* ---- reading rows ---- */

/* Would the database take it?  One bad row would stop all batches for ever. */
static bool row_ok(const struct shm_log_row *r)
{
	size_t points;

	return r->model_len >= 1 && r->model_len <= SHM_MODEL_MAX &&
	       r->prompt_tokens <= INT32_MAX &&
	       r->completion_tokens <= INT32_MAX && r->credits <= INT32_MAX &&
	       r->cost_micro_usd <= INT64_MAX && r->day <= 2932896 &&
	       r->created_us > 0 && r->created_us < TIME_MAX_US &&
	       tl_utf8_valid(shm_log_model(r), &points) && points <= 100 &&
	       memchr(r + 1, 0, r->model_len) == NULL;
}

const struct shm_log_row *shm_log_next(const void *logs, uint32_t bytes,
				       uint32_t *at)
{
	const struct shm_log_row *r =
		(const void *)((const uint8_t *)logs + *at);

	if (bytes < sizeof(*r) || *at > bytes - sizeof(*r) ||
	    r->model_len > SHM_MODEL_MAX ||
	    shm_log_bytes(r->model_len) > bytes - *at || !row_ok(r))
		return NULL;
	*at += shm_log_bytes(r->model_len);
	return r;
}

/* Copies the row of `slots` slots to the end of b; 0 bytes: it is damaged. */
static uint32_t copy_row(const struct shm *s, uint64_t pos, uint32_t slots,
			 struct shm_batch *b)
{
	uint8_t *dst = b->logs + b->log_bytes;
	struct shm_log_row row;
	uint32_t bytes, at, n;

	memcpy(&row, slot_at(s, pos)->body, sizeof(row));
	bytes = shm_log_bytes(row.model_len);
	if (bytes > slots * SHM_LOG_BODY)
		return 0;
	for (at = 0; at < bytes; at += n) {
		n = bytes - at < SHM_LOG_BODY ? bytes - at : SHM_LOG_BODY;
		memcpy(dst + at, slot_at(s, pos++)->body, n);
	}
	return row_ok((const void *)dst) ? bytes : 0;
}

/* Its writer needs some hundred nanoseconds more, unless it is dead. */
static uint64_t settled(const struct shm *s, uint64_t pos, bool alone)
{
	uint64_t w = atomic_load(&slot_at(s, pos)->word);
	int i;

	for (i = 0; !alone && i < WAIT_TRIES && is_taken(s, pos, w) &&
		    word_kind(w) == SHM_L_CLAIMED && owner_alive(s, w);
	     i++) {
		nanosleep(&(struct timespec){ 0, WAIT_NS }, NULL);
		w = atomic_load(&slot_at(s, pos)->word);
	}
	return w;
}

static bool has_room(const struct shm_batch *b)
{
	return b->n_logs < SHM_BATCH_LOGS &&
	       b->log_bytes + shm_log_bytes(SHM_MODEL_MAX) <=
		       SHM_BATCH_LOG_BYTES;
}

/*
 * A flusher that died in shm_reqlog_release has given slots back and not
 * moved log_done: they are of the next lap.
 */
static uint64_t skip_released(const struct shm *s, uint64_t from)
{
	uint64_t next = atomic_load(&s->head->log_next), pos = from;

	while (pos < next && pos < from + s->n_logs &&
	       word_lap(atomic_load(&slot_at(s, pos)->word)) ==
		       lap_of(s, pos + s->n_logs))
		pos++;
	return pos;
}

/* The first row there; what is free though log_next has passed it is the rest
 * of a row that was half given back. */
static uint64_t first_row(const struct shm *s, uint64_t from)
{
	uint64_t next = atomic_load(&s->head->log_next);
	uint64_t pos = skip_released(s, from);

	while (pos > from && pos < next && pos < from + s->n_logs &&
	       atomic_load(&slot_at(s, pos)->word) == free_word(s, pos))
		pos++;
	return pos;
}

bool shm_reqlog_fill(const struct shm *s, uint64_t from, bool alone,
		     struct shm_batch *b)
{
	uint64_t pos, end, w;
	uint32_t bytes;

	b->n_logs = b->log_bytes = b->n_logs_lost = 0;
	b->log_end = from;
	if (s->n_logs == 0)
		return true;
	pos = first_row(s, from);
	end = pos + s->n_logs;
	if (alone && end > atomic_load(&s->head->log_next))
		end = atomic_load(&s->head->log_next);
	while (pos < end && has_room(b)) {
		w = settled(s, pos, alone);
		if (!is_taken(s, pos, w)) {
			if (!alone)
				end = pos;
			else
				pos++;
			continue;
		}
		if (word_kind(w) == SHM_L_CLAIMED && !alone &&
		    owner_alive(s, w)) {
			end = pos;
			continue;
		}
		bytes = word_kind(w) == SHM_L_READY
				? copy_row(s, pos, word_slots(w), b)
				: 0;
		b->n_logs += bytes > 0;
		b->n_logs_lost += bytes == 0;
		b->log_bytes += bytes;
		pos += word_slots(w);
	}
	b->log_end = pos;
	return pos >= end;
}

/*
 * May be cut short and done again: a slot that was given back is of the next
 * lap, and may be somebody's by now.
 */
void shm_reqlog_release(struct shm *s, uint64_t end, uint32_t lost)
{
	uint64_t pos = atomic_load(&s->head->log_done), next;

	if (pos >= end)
		return;
	/* before a slot is free: its claimer may have died before it moved
	 * log_next, which must not stay behind */
	next = atomic_load(&s->head->log_next);
	while (next < end &&
	       !atomic_compare_exchange_weak(&s->head->log_next, &next, end))
		;
	for (; pos < end; pos++) {
		if (word_lap(atomic_load(&slot_at(s, pos)->word)) !=
		    lap_of(s, pos))
			continue;
		SHM_PAUSE("reqlog.release");
		atomic_store_explicit(&slot_at(s, pos)->word,
				      free_word(s, pos + s->n_logs),
				      memory_order_release);
	}
	shm_count(s, SHM_C_LOG_DROPPED, lost);
	SHM_PAUSE("reqlog.released");
	atomic_store(&s->head->log_done, end);
}

uint64_t shm_reqlog_pending(const struct shm *s)
{
	uint64_t pos = atomic_load(&s->head->log_done), rows = 0, w;
	uint64_t next = atomic_load(&s->head->log_next);
	uint64_t end = pos + s->n_logs < next ? pos + s->n_logs : next;

	while (pos < end) {
		w = atomic_load(&slot_at(s, pos)->word);
		if (!is_taken(s, pos, w)) {
			pos++;
			continue;
		}
		rows += word_kind(w) == SHM_L_READY;
		pos += word_slots(w);
	}
	return rows;
}

/* ---- master ---- */

enum tl_status shm_reqlog_verify(struct shm *s, struct tl_err *err)
{
	uint64_t next = atomic_load(&s->head->log_next), pos, end, w;

	if (s->n_logs == 0)
		return TL_OK;
	pos = first_row(s, atomic_load(&s->head->log_done));
	/* the rest of a half given back row is not free for the next lap */
	end = skip_released(s, atomic_load(&s->head->log_done)) + s->n_logs;
	while (pos < end &&
	       (w = atomic_load(&slot_at(s, pos)->word)) != free_word(s, pos)) {
		if (!is_taken(s, pos, w))
			return tl_err_set(err, TL_BROKEN,
					  "slot %llu of the request log is "
					  "damaged",
					  (unsigned long long)pos);
		pos += word_slots(w);
	}
	if (next > pos || next + SHM_LOG_SLOTS < pos)
		return tl_err_set(err, TL_BROKEN,
				  "the request log ends at %llu, not %llu",
				  (unsigned long long)pos,
				  (unsigned long long)next);
	atomic_store(&s->head->log_next, pos);
	return TL_OK;
}

void shm_reqlog_copy(struct shm *from, struct shm *to)
{
	uint64_t pos = atomic_load(&from->head->log_done);
	struct shm_batch *b = tl_alloc(sizeof(*b));
	const struct shm_log_row *r;
	bool all;
	uint32_t at;

	do {
		all = shm_reqlog_fill(from, pos, true, b);
		for (at = 0; (r = shm_log_next(b->logs, b->log_bytes, &at));)
			(void)shm_reqlog_append(to, r, shm_log_model(r));
		pos = b->log_end;
	} while (!all);
	tl_free(b);
}
