/*
 * shm.h - the segment: make, attach, check, slots of processes, clock.
 *
 * The master makes or attaches it before the first fork; children inherit
 * the mapping.  tallyctl maps it read-only.  Nothing here allocates, logs or
 * does system calls on the path of a decision.
 * Runs in: all processes.  Suspends: no.
 */
#ifndef TALLY_SHM_SHM_H
#define TALLY_SHM_SHM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/str.h"
#include "shm/layout.h"

struct shm_sizes {
	uint32_t max_keys, max_users, max_addresses, max_windows;
	uint32_t decision_ring, idempotency;
	uint32_t request_log; /* slots, a power of two; 0: no rows */
	uint32_t window_ms;
};

/* Borrowed views of the mapped regions; one per process. */
struct shm {
	struct shm_head *head;
	struct shm_slot *slots;
	struct shm_metrics *metrics;
	struct shm_policy *policies;
	struct shm_stripe *stripes;
	struct shm_bucket *key_dir, *user_dir, *extras_dir;
	struct shm_key *keys;
	struct shm_user *users;
	struct shm_extras *extras;
	struct shm_negative *negative;
	struct shm_window *addresses, *windows;
	_Atomic uint64_t *dirty;
	struct shm_batch *batches;
	struct shm_decision *ring;
	struct shm_idem *idems;
	struct shm_log_slot *logs;
	struct shm_task_places *places; /* by slot */
	uint32_t n_keys, n_users, n_extras, n_negative, n_addresses;
	uint32_t n_windows, n_ring, n_idems, n_dirty_words;
	uint32_t n_logs, log_shift; /* n_logs is 1 << log_shift, or 0 */
	uint64_t total_bytes;
	bool read_only;
	/* of this process, set by shm_slot_take */
	uint32_t slot;
	uint64_t identity;
	struct shm_metrics *my_metrics;
};

uint64_t shm_bytes_needed(const struct shm_sizes *z);
void shm_name(const char *instance, char dst[64]); /* "/tallyd.x.v5" */
/* What another release has left: the layout and name of its segment, the
 * newest if there are several; 0: none. */
uint32_t shm_other(const char *instance, char dst[64]);

enum shm_found {
	SHM_FOUND_NONE,	 /* made fresh */
	SHM_FOUND_CLEAN, /* the last master stopped in order */
	SHM_FOUND_READY, /* it died; slots must be dead, then verified */
	SHM_FOUND_RESIZE, /* whole, but made for other sizes or another
			   * limits.window_ms: shm_resize it */
	SHM_FOUND_OTHER, /* not usable: kept aside under `<name>.kept` and made
			  * fresh; err says why though the status is TL_OK */
};
/*
 * For the master.  Attaches what is whole (magic, layout, checksum, boot),
 * takes over what a release with another layout left, or makes a fresh one.
 * TL_BUSY: processes of that release still live; try again.  TL_FULL: /dev/shm too small, says bytes and cure.
 */
enum tl_status shm_open_master(const char *instance, const struct shm_sizes *z,
			       struct shm **shm_r, enum shm_found *found_r,
			       struct tl_err *err) TL_MUST_CHECK;
/*
 * In an upgrade: the segment of that other layout becomes this one's, and one
 * that lay there already is set aside.  Any failure is told again, with its
 * words, by shm_open_master, but TL_BUSY: processes of it live.
 */
enum tl_status shm_take_over(const char *instance, uint32_t layout,
			     struct tl_err *err) TL_MUST_CHECK;
/* The segment as it is, while processes work on it; never makes one. */
enum tl_status shm_attach(const char *instance, struct shm **shm_r,
			  struct tl_err *err) TL_MUST_CHECK;
/* Are processes of its slots still alive (pid and start time)? */
bool shm_slots_alive(const struct shm *s, uint64_t *pid_r);
/* READY found: checks all, rebuilds the free lists, frees dead INITs. */
enum tl_status shm_verify(struct shm *s, struct tl_err *err) TL_MUST_CHECK;
/*
 * Growth or shrinking, with no process running: copies all live state into a
 * segment of the new sizes and takes its place, same epoch and sequence,
 * next generation.  TL_FULL: more live keys than the new size holds.
 */
enum tl_status shm_resize(const char *instance, const struct shm_sizes *z,
			  struct shm **shm, struct tl_err *err) TL_MUST_CHECK;
/* What was not handed over yet (pending usage, sealed batches' contents are
 * part of it since `flushed` did not move): for another segment's spool. */
typedef void (*shm_salvage_fn)(void *arg, const struct shm_record *records,
			       uint32_t n, uint64_t epoch);
void shm_salvage(const struct shm *s, shm_salvage_fn fn, void *arg);
/* Keeps the object as `<name>.kept` and makes a fresh one in its place. */
enum tl_status shm_make_fresh(const char *instance, const struct shm_sizes *z,
			      struct shm **shm_r, struct tl_err *err)
	TL_MUST_CHECK;
void shm_mark_clean(struct shm *s);
void shm_close(struct shm **s);
void shm_remove(const char *instance); /* unlinks the object */

/* For tallyctl: read-only, works when no daemon runs. */
enum tl_status shm_open_reader(const char *instance, struct shm **shm_r,
			       struct tl_err *err) TL_MUST_CHECK;

/* After fork: this process is slot `slot` from now on. */
void shm_slot_take(struct shm *s, uint32_t slot, const char *kind,
		   uint32_t number, uint64_t spawn);
void shm_slot_set_state(struct shm *s, enum shm_slot_state st);
void shm_slot_beat(struct shm *s); /* heartbeat, once a second */
/* Master, after waitpid: frees claims and epoch, asks a full scan. */
void shm_slot_reap(struct shm *s, uint32_t slot);
/* Worker, runner: constants, policies and foreign metrics become read-only. */
void shm_protect_child(struct shm *s);

/* Strict answers that wait for their commit: of this process, of all. */
static inline void shm_strict_wait(struct shm *s, int by)
{
	atomic_fetch_add(&s->slots[s->slot].strict_waiting, (uint64_t)by);
}
uint64_t shm_strict_waiting(const struct shm *s);

/* True when a process with this identity may still run. */
bool shm_identity_alive(const struct shm *s, uint64_t identity);

/* Bracket each use of entries: publishes the gc epoch / idle. */
static inline void shm_enter(struct shm *s)
{
	atomic_store(&s->slots[s->slot].gc_epoch,
		     atomic_load(&s->head->gc_epoch));
}
static inline void shm_leave(struct shm *s)
{
	atomic_store_explicit(&s->slots[s->slot].gc_epoch, SHM_EPOCH_IDLE,
			      memory_order_release);
}
/* Flusher: raises the epoch; true once every process has passed `epoch`. */
uint64_t shm_gc_raise(struct shm *s);
bool shm_gc_passed(const struct shm *s, uint64_t epoch);

/* ---- time ---- */
static inline int64_t shm_wall_us(const struct shm *s, uint64_t mono_ns)
{
	return (int64_t)(mono_ns / 1000) +
	       (int64_t)atomic_load_explicit(&s->head->wall_offset_us,
					     memory_order_relaxed);
}
static inline uint64_t shm_wall_ms(const struct shm *s, uint64_t mono_ns)
{
	return (uint64_t)(shm_wall_us(s, mono_ns) / 1000);
}
/* Day of that moment, never below one already seen; raises max_period. */
uint32_t shm_day(struct shm *s, uint64_t mono_ns);
/* Master, each second: steps < 2 s at once; larger ones only when `accept`. */
bool shm_clock_adjust(struct shm *s, bool accept, int64_t *step_us_r);
/* By how much the wall clock was set since the offset was taken. */
int64_t shm_clock_step_us(const struct shm *s);
/* Flusher: the database had that time at this moment. */
void shm_clock_told(struct shm *s, int64_t database_us, uint64_t mono_ns);
/* Has the database, asked of late, the time that our wall clock has now? */
bool shm_clock_agreed(const struct shm *s);

/* ---- tagged counts: period:20 | count:44 ---- */
#define SHM_COUNT_MAX ((1ULL << 44) - 1)
static inline uint64_t shm_tagged(uint32_t period, uint64_t count)
{
	return ((uint64_t)(period & 0xfffff) << 44) | (count & SHM_COUNT_MAX);
}
static inline uint32_t shm_period_of(uint64_t word)
{
	return (uint32_t)(word >> 44);
}
static inline uint64_t shm_count_of(uint64_t word) /* whatever the tag */
{
	return word & SHM_COUNT_MAX;
}
static inline uint64_t shm_count_in(uint64_t word, uint32_t period)
{
	return shm_period_of(word) == (period & 0xfffff) ? shm_count_of(word)
							 : 0;
}

#endif
