/*
 * q_cron.h - generated from db/queries/cron.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_CRON_H
#define TALLY_STORE_Q_CRON_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * Cron: what was changed about jobs, and their runs; the rules are in the
 * migration.  Whoever changes something tells the scheduler that leads.
 */

struct q_cron_changes_row {
	struct tl_str job;
	struct tl_str schedule;
	bool schedule_null;
	struct tl_str time_zone;
	bool time_zone_null;
	bool paused;
	int64_t decided_until_us;
};
/*
 * What was changed about jobs, and up to where their slots are decided.
 */
enum tl_status q_cron_changes(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_cron_changes_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_meet_params {
	int64_t now_us;
	struct pg_array jobs; /* of struct tl_str */
	struct pg_array at_once; /* of struct tl_str */
};
/*
 * Jobs that this database sees for the first time: their slots begin now, and
 * some of them have a first run at once.
 */
enum tl_status q_cron_meet(struct pg *pg,
		const struct q_cron_meet_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_cron_change_params {
	struct tl_str job;
	bool set_schedule;
	const struct tl_str *schedule; /* may be NULL */
	bool set_zone;
	const struct tl_str *time_zone; /* may be NULL */
	const bool *paused; /* may be NULL */
	int64_t now_us;
	struct tl_str actor;
};
struct q_cron_change_row {
	struct tl_str job;
	struct tl_str told;
	bool told_null;
};
/*
 * Changes what is given (its set_ is true; NULL: as tallyd defines it).
 * Slots that were due before are not made up for under another schedule, nor
 * those of a pause.
 */
enum tl_status q_cron_change(struct pg *pg,
		const struct q_cron_change_params *p,
		struct tl_arena *arena, struct q_cron_change_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_claim_params {
	struct tl_str job;
	int64_t slot_us;
	struct tl_str node;
};
struct q_cron_claim_row {
	int64_t run_id;
};
/*
 * Takes a slot; no row when it was taken before.
 */
enum tl_status q_cron_claim(struct pg *pg,
		const struct q_cron_claim_params *p,
		struct tl_arena *arena, struct q_cron_claim_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_pass_params {
	int64_t slot_us;
	struct tl_str job;
	struct tl_str node;
	struct tl_str outcome;
	struct tl_str detail;
};
/*
 * A slot that is not run: 'skipped' or 'missed', and why.
 */
enum tl_status q_cron_pass(struct pg *pg,
		const struct q_cron_pass_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_cron_asked_row {
	int64_t run_id;
	struct tl_str job;
	int64_t slot_us;
};
/*
 * Runs that were asked for and not begun.
 */
enum tl_status q_cron_asked(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_cron_asked_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_begin_params {
	struct tl_str node;
	int64_t run_id;
};
/*
 * Begins a run that was asked for; 0 rows when somebody else has.
 */
enum tl_status q_cron_begin(struct pg *pg,
		const struct q_cron_begin_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_cron_finish_params {
	struct tl_str outcome;
	struct tl_str detail;
	int64_t run_id;
};
/*
 * How a run of ours ended: 'done', 'failed', 'skipped'; 0 rows when another
 * scheduler has taken us for dead.
 */
enum tl_status q_cron_finish(struct pg *pg,
		const struct q_cron_finish_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_cron_lost_params {
	struct pg_array mine; /* of int64_t */
	int64_t max;
};
struct q_cron_lost_row {
	struct tl_str job;
};
/*
 * The one that leads says which runs are its own; whatever else runs here is a
 * dead one's.  Their jobs.
 */
enum tl_status q_cron_lost(struct pg *pg,
		const struct q_cron_lost_params *p,
		struct tl_arena *arena,
		struct q_cron_lost_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_ask_params {
	struct tl_str job;
	int64_t now_us;
	struct tl_str actor;
};
struct q_cron_ask_row {
	int64_t run_id;
	bool run_id_null;
	int64_t slot_us;
	bool slot_null;
	struct tl_str told;
	bool told_null;
};
/*
 * Asks for a run at once.  run_id NULL: one is asked for or going on already.
 */
enum tl_status q_cron_ask(struct pg *pg,
		const struct q_cron_ask_params *p,
		struct tl_arena *arena, struct q_cron_ask_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_run_find_row {
	int64_t run_id;
	struct tl_str job;
	int64_t slot_us;
	struct tl_str asked_by;
	bool asked_by_null;
	struct tl_str node;
	bool node_null;
	int64_t started_at_us;
	bool started_at_null;
	int64_t finished_at_us;
	bool finished_at_null;
	struct tl_str outcome;
	struct tl_str detail;
	bool detail_null;
};
/*
 * One run.
 */
enum tl_status q_cron_run_find(struct pg *pg,
		int64_t run_id,
		struct tl_arena *arena, struct q_cron_run_find_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_history_params {
	const struct tl_str *job; /* may be NULL */
	const int64_t *before; /* may be NULL */
	int64_t max;
};
/*
 * Runs of one job or of all, newest first, older than :before when given.
 */
enum tl_status q_cron_history(struct pg *pg,
		const struct q_cron_history_params *p,
		struct tl_arena *arena,
		struct q_cron_run_find_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * The newest run of each job.
 */
enum tl_status q_cron_last(struct pg *pg,
		int64_t max,
		struct tl_arena *arena,
		struct q_cron_run_find_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_cron_trim_params {
	int64_t before_us;
	int64_t max;
};
/*
 * Forgets runs of slots before then, at most :max of them.
 */
enum tl_status q_cron_trim(struct pg *pg,
		const struct q_cron_trim_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

#endif
