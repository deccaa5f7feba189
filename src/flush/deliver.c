/*
 * The way of usage out of the segment: scan, batch, database or spool.
 *
 * One rule keeps the order: while the spool holds anything, new batches go
 * to its end, never around it.  Two more keep each batch from being lost or
 * doubled, whenever this process is killed (rows 6 to 11 of the design's
 * table of crash points):
 *
 *  - A batch is confirmed (flushed := snapshot, slot free) only after the
 *    database said applied or duplicate, or the spool's sync returned.
 *  - Whatever is sealed or spooled is sent with the number it got when it was
 *    sealed, by whoever comes after us, before anything newer.
 *
 * Killed ...                     found by the next flusher, and done with it
 *  while filling (6)             slot FILLING: discarded by shm_batch_sealed;
 *                                the full scan at start finds the usage again
 *  sealed, not sent (7)          slot SEALED: sent, applied
 *  sent, no answer (8, 10)       slot SEALED: sent; applied or duplicate
 *  answered, not confirmed (9)   slot SEALED: sent; duplicate, then confirmed
 *                                (storing the snapshots twice is harmless)
 *  spooled, not confirmed (11)   slot SEALED, and the record: spool not empty,
 *                                so the slot goes to the spool, which has its
 *                                number already and says well; confirmed, and
 *                                then delivered once.  Or the record was
 *                                delivered first and its file is gone: the
 *                                slot is sent, duplicate
 *  sent, no answer, then spooled the record is a duplicate when replayed
 *  replayed, file not removed    sent once more: duplicate, removed
 *
 * A batch whose call ran out of time may still be running in the server.  It
 * holds the row of our epoch, so the next call waits there and then sees a
 * duplicate.
 */
#include "flush/flush_internal.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "shm/metrics.h"

#define FULL_SCAN_MS   60000
#define SPOOL_RETRY_MS 1000
#define BUSY_SLOTS_MS  5
#define CONNECT_MS      5000
#define CONNECT_LOOK_MS 10

static bool spool_empty(const struct flush *f)
{
	struct spool_stat st;

	spool_stat(f->spool, f->database_id, &st);
	return st.records == 0;
}

/* Do new batches go to the spool? */
static bool spooling(const struct flush *f)
{
	if (!node_database_known(f))
		return false;
	if (!spool_empty(f))
		return true;
	/* what the spool can not take (a batch above its limit, a full disk)
	 * must not wait for it once the database is back */
	if (f->spool_failed && level_reachable(f))
		return false;
	return f->level > 0 || (f->draining && !level_reachable(f));
}

/*
 * The last fifth of the spool is for usage alone, and so is all of one that
 * is too small for a batch with rows of the request log.
 */
static bool logs_stay(const struct flush *f)
{
	uint64_t max = (uint64_t)f->o.conf->metering.spool_max_mib << 20;

	return f->level >= 2 || (f->level == 1 && max / 5 < SPOOL_BODY_MAX);
}

static bool any_sealed(struct flush *f)
{
	struct shm_batch *held[SHM_BATCHES];

	return shm_batch_sealed(f->shm, held) > 0;
}

static bool spool_stuck(const struct flush *f)
{
	return f->spool_failed && tl_mono_ms() < f->spool_retry_mono_ms;
}

/* ---- scans ---- */

static void scan_begin(struct flush *f)
{
	uint64_t now = tl_mono_ms();
	bool full = f->full_due || f->draining;

	if (now >= f->full_mono_ms + FULL_SCAN_MS)
		full = true;
	if (atomic_exchange(&f->shm->head->full_scan_wanted, 0) != 0)
		full = true;
	if (full)
		f->full_mono_ms = now;
	f->full_due = false;
	f->drain_scan = f->draining;
	f->scan_mono_ms = now;
	f->scan_due_mono_ms = CO_STEP_NEVER;
	f->scan_gen = shm_scan_begin(f->shm, &f->scan, full);
	f->scan.no_logs = logs_stay(f);
	if (f->first_gen == 0)
		f->first_gen = f->scan_gen;
	f->scanning = true;
}

/*
 * A flush that takes longer than its interval would follow itself without a
 * pause; it gets as much rest as work, up to the longest interval allowed.
 */
static uint64_t stretched(const struct flush *f, uint64_t took_ms)
{
	uint64_t ms = f->o.conf->metering.flush_interval_ms;

	if (2 * took_ms > ms)
		ms = 2 * took_ms;
	if (ms > f->o.conf->metering.flush_interval_max_ms)
		ms = f->o.conf->metering.flush_interval_max_ms;
	if (ms < f->o.conf->metering.flush_interval_ms)
		ms = f->o.conf->metering.flush_interval_ms;
	return ms;
}

static void scan_end(struct flush *f)
{
	uint64_t now = tl_mono_ms();
	uint64_t next;

	f->scanning = false;
	atomic_store(&f->shm->head->last_scan_mono_ms, now);
	f->interval_ms = stretched(f, now - f->scan_mono_ms);
	next = f->scan_mono_ms + f->interval_ms;
	/* no rest that would cost rows of the request log */
	if (!f->scan.no_logs && shm_reqlog_half_full(f->shm))
		next = now;
	if (next < f->scan_due_mono_ms)
		f->scan_due_mono_ms = next;
	f->spooled_gen = f->scan_gen;
	if (spool_empty(f) || f->o.conf->metering.strict_accepts == CONF_DISK)
		level_commit(f, f->scan_gen);
}

void deliver_now(struct flush *f, uint64_t gather_ms)
{
	uint64_t due = tl_mono_ms() + gather_ms;

	if (due < f->scan_due_mono_ms)
		f->scan_due_mono_ms = due;
	co_step_at(&f->deliver, f->scan_due_mono_ms);
}

/* ---- one batch ---- */

static struct shm_batch *next_batch(struct flush *f)
{
	struct shm_batch *held[SHM_BATCHES];

	if (shm_batch_sealed(f->shm, held) > 0)
		return held[0]; /* of a predecessor, or not delivered yet */
	return f->scanning ? shm_batch_fill(f->shm, &f->scan) : NULL;
}

static enum tl_status to_spool(struct flush *f, struct shm_batch *b)
{
	bool before = f->spool_failed;
	struct tl_err err;
	enum tl_status st;

	st = spool_append(f->spool, f->database_id, b, &err);
	f->spool_failed = st != TL_OK;
	if (st == TL_OK) {
		shm_count(f->shm, SHM_C_SPOOL_RECORDS, 1);
		return TL_OK;
	}
	f->spool_retry_mono_ms = tl_mono_ms() + SPOOL_RETRY_MS;
	if (st == TL_BROKEN) /* a record that was confirmed is not there */
		flush_fail(f, "%s", err.text);
	else if (!before)
		log_error("batch %" PRIu64 " could not be spooled: %s; usage "
			  "stays in the segment, trying again each %u ms",
			  b->seq, err.text, SPOOL_RETRY_MS);
	return st;
}

/* What the database says that no other try can change. */
static void refused(struct flush *f, enum tl_status st,
		    const struct tl_err *err)
{
	if (st == TL_CONFLICT || st == TL_DENIED)
		flush_fail(f, "%s", err->text);
}

static enum tl_status to_database(struct flush *f, struct shm_batch *b)
{
	const struct apply_batch a = { .node = f->node,
				       .epoch = b->epoch,
				       .seq = b->seq,
				       .records = b->records,
				       .idems = b->idems,
				       .logs = b->logs,
				       .n_records = b->n_records,
				       .n_idems = b->n_idems,
				       .n_logs = b->n_logs,
				       .log_bytes = b->log_bytes };
	uint64_t from = tl_mono_ms();
	struct tl_err err;
	enum tl_status st;
	bool duplicate;

	st = apply_send(f, &a, &duplicate, &err);
	if (st != TL_OK) {
		refused(f, st, &err);
		level_failure(f, from, &err);
		return st;
	}
	level_success(f);
	f->spool_failed = false; /* it is empty, see spooling() */
	atomic_store(&f->shm->head->last_commit_mono_ms, tl_mono_ms());
	if (duplicate)
		log_info("batch %" PRIu64 " was in the database already",
			 b->seq);
	return TL_OK;
}

/* Gives when to come back. */
static uint64_t deliver_one(struct flush *f)
{
	struct shm_batch *b = next_batch(f);
	enum tl_status st;

	if (b == NULL) {
		if (f->scanning && f->scan.done)
			scan_end(f);
		else if (f->scanning)
			return tl_mono_ms() + BUSY_SLOTS_MS;
		return CO_STEP_NOW;
	}
	if (!shm_batch_whole(f->shm, b)) {
		flush_fail(f, "batch %" PRIu64 " changed after it was sealed",
			   b->seq);
		return CO_STEP_NEVER;
	}
	st = spooling(f) ? to_spool(f, b) : to_database(f, b);
	if (st == TL_OK)
		shm_batch_confirm(f->shm, b);
	return CO_STEP_NOW;
}

/* ---- replay ---- */

/*
 * An older epoch that can not be delivered must not stop the present one; its
 * files stay where they are.  With our own nothing newer may overtake it.
 */
static void replay_stopped(struct flush *f, uint64_t epoch,
			   const struct tl_err *err)
{
	if (epoch == f->shm->head->k.epoch) {
		flush_fail(f, "%s", err->text);
		return;
	}
	log_error("the spool of epoch %016" PRIx64 " is not delivered: %s; "
		  "its files are left in place",
		  epoch, err->text);
	spool_set_aside(f->spool, epoch);
}

static void replay_done(struct flush *f, uint64_t epoch, uint64_t gen)
{
	spool_drop(f->spool);
	level_success(f);
	atomic_store(&f->shm->head->last_commit_mono_ms, tl_mono_ms());
	if (f->o.conf->metering.strict_accepts != CONF_DATABASE)
		return;
	/* Only scans of ours: one that a predecessor began and did not end
	 * may have left usage that nobody has sealed yet. */
	if (spool_empty(f))
		level_commit(f, f->spooled_gen);
	else if (epoch == f->shm->head->k.epoch && gen > f->first_gen)
		level_commit(f, gen - 1);
}

static void replay_one(struct flush *f)
{
	uint64_t from = tl_mono_ms(), epoch = 0, gen;
	struct apply_batch a;
	struct spool_view v;
	struct tl_err err;
	enum tl_status st;
	bool duplicate;

	st = spool_peek(f->spool, f->database_id, &v, &epoch, &err);
	if (st == TL_NOT_FOUND)
		return;
	if (st == TL_BROKEN) {
		replay_stopped(f, epoch, &err);
		return;
	}
	if (st != TL_OK) { /* the disk, not the database */
		log_error("the spool can not be read: %s", err.text);
		f->retry_mono_ms = tl_mono_ms() + SPOOL_RETRY_MS;
		return;
	}
	epoch = v.rec->epoch;
	gen = v.rec->scan_gen;
	a = (struct apply_batch){ .node = v.rec->node,
				  .epoch = epoch,
				  .seq = v.rec->seq,
				  .replay = epoch != f->shm->head->k.epoch,
				  .records = v.records,
				  .idems = v.idems,
				  .logs = v.logs,
				  .n_records = v.rec->n_records,
				  .n_idems = v.rec->n_idems,
				  .n_logs = v.rec->n_logs,
				  .log_bytes = v.rec->log_bytes };
	st = apply_send(f, &a, &duplicate, &err);
	if (st == TL_OK)
		replay_done(f, epoch, gen);
	else if (st == TL_CONFLICT || (st == TL_DENIED && !a.replay))
		replay_stopped(f, epoch, &err);
	else
		level_failure(f, from, &err); /* also another database: the
					       * next visit tells */
}

/* ---- the step ---- */

static void drain_end(struct flush *f)
{
	uint64_t total[SHM_METRICS], keys;
	uint64_t rows = shm_reqlog_pending(f->shm);
	bool clean;

	shm_pending(f->shm, total, &keys);
	if (rows > 0)
		log_warn("%" PRIu64 " rows of the request log stay in the "
			 "segment for the next start",
			 rows);
	clean = keys == 0 && !any_sealed(f);
	if (!clean)
		log_error("usage of %" PRIu64 " keys stays in the segment: "
			  "neither the database nor the spool took it",
			  keys);
	flush_stop(f);
	f->drained(f->drained_arg, clean);
}

/* One that was started for the drain is just connecting: its usage need not
 * take the way over the disk, and wait there for the next start. */
static bool connecting(const struct flush *f)
{
	return !f->ever_healthy &&
	       tl_mono_ms() < f->begun_mono_ms + CONNECT_MS;
}

/* A scan that began after the drain was asked for has found nothing more. */
static bool drain_over(struct flush *f)
{
	return f->drain_scan && !f->scanning && !any_sealed(f);
}

static bool work_due(struct flush *f)
{
	return f->scanning || tl_mono_ms() >= f->scan_due_mono_ms ||
	       any_sealed(f);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t visit(struct flush *f)
{
	uint64_t from = tl_mono_ms();
	struct tl_err err;

	if (node_visit(f, &err) == TL_OK) {
		level_success(f);
		co_step_at(&f->load, CO_STEP_NOW);
	} else if (!f->dead) {
		level_failure(f, from, &err);
	}
	return CO_STEP_NOW;
}

uint64_t deliver_step(void *arg)
{
	struct flush *f = arg;
	uint64_t from = tl_mono_ms(), next;
	bool up;

	level_update(f);
	up = level_reachable(f);
	if (f->draining && drain_over(f)) {
		drain_end(f);
		return CO_STEP_NEVER;
	}
	if (up && !f->home)
		return visit(f);
	if (f->draining && connecting(f))
		return tl_mono_ms() + CONNECT_LOOK_MS;
	if (work_due(f) && (spooling(f) ? !spool_stuck(f) : up)) {
		/* What is sealed is pending until it is confirmed: a scan that
		 * begins before would find it a second time. */
		if (!f->scanning && !any_sealed(f) &&
		    tl_mono_ms() >= f->scan_due_mono_ms)
			scan_begin(f);
		return deliver_one(f);
	}
	if (up && !spool_empty(f)) {
		replay_one(f);
		return CO_STEP_NOW;
	}
	if (f->draining && !up) {
		drain_end(f);
		return CO_STEP_NEVER;
	}
	/* A scan that is due and can not be made waits for the database, or for
	 * the spool: at once again would be a busy loop. */
	next = level_next_mono_ms();
	return f->scan_due_mono_ms > from ? earlier(f->scan_due_mono_ms, next)
					  : next;
}
