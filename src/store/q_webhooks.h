/*
 * q_webhooks.h - generated from db/queries/webhooks.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_WEBHOOKS_H
#define TALLY_STORE_Q_WEBHOOKS_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * Outgoing webhooks; the rules are in the migration.
 *
 * With a user_id the statements of owners reach only what is theirs.
 */

struct q_webhook_insert_params {
	struct tl_str actor;
	struct tl_uuid user_id;
	int32_t max;
	struct tl_str url;
	struct tl_str description;
	struct pg_array events; /* of struct tl_str */
	bool enabled;
	bool ordered;
	const int32_t *rate_per_minute; /* may be NULL */
	const int32_t *concurrency; /* may be NULL */
	struct tl_str secret;
};
struct q_webhook_insert_row {
	struct tl_str outcome;
	struct tl_uuid webhook_id;
	bool webhook_id_null;
};
/*
 * Makes an endpoint: outcome 'made', 'no_user' or 'too_many'.
 */
enum tl_status q_webhook_insert(struct pg *pg,
		const struct q_webhook_insert_params *p,
		struct tl_arena *arena, struct q_webhook_insert_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_own_row {
	struct tl_uuid webhook_id;
	struct tl_str url;
	struct tl_str description;
	struct pg_array events; /* of struct tl_str */
	bool enabled;
	bool ordered;
	int32_t rate_per_minute;
	bool rate_per_minute_null;
	int32_t concurrency;
	bool concurrency_null;
	struct tl_str disabled_reason;
	bool disabled_reason_null;
	int64_t disabled_at_us;
	bool disabled_at_null;
	int64_t failing_since_us;
	bool failing_since_null;
	int64_t previous_until_us;
	bool previous_until_null;
	int64_t created_at_us;
	int64_t updated_at_us;
};
/*
 * A user's endpoints, oldest first.
 */
enum tl_status q_webhook_own(struct pg *pg,
		struct tl_uuid user_id,
		struct tl_arena *arena,
		struct q_webhook_own_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_one_params {
	struct tl_uuid webhook_id;
	const struct tl_uuid *user_id; /* may be NULL */
};
/*
 * One endpoint.
 */
enum tl_status q_webhook_one(struct pg *pg,
		const struct q_webhook_one_params *p,
		struct tl_arena *arena, struct q_webhook_own_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_search_params {
	int64_t before_us;
	struct tl_uuid before_id;
	struct tl_str text;
	int64_t max;
};
struct q_webhook_search_row {
	struct tl_uuid webhook_id;
	struct tl_uuid user_id;
	struct tl_str email;
	struct tl_str url;
	struct tl_str description;
	struct pg_array events; /* of struct tl_str */
	bool enabled;
	bool ordered;
	struct tl_str disabled_reason;
	bool disabled_reason_null;
	int64_t failing_since_us;
	bool failing_since_null;
	int64_t created_at_us;
	int64_t unfinished;
};
/*
 * All endpoints, newest first, behind a place; those only whose owner's e-mail,
 * description or URL has the text, whose case does not matter.
 */
enum tl_status q_webhook_search(struct pg *pg,
		const struct q_webhook_search_params *p,
		struct tl_arena *arena,
		struct q_webhook_search_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_change_params {
	const struct tl_str *url; /* may be NULL */
	const struct tl_str *description; /* may be NULL */
	bool has_events;
	struct pg_array events; /* of struct tl_str */
	const bool *enabled; /* may be NULL */
	const bool *ordered; /* may be NULL */
	const int32_t *rate_per_minute; /* may be NULL */
	const int32_t *concurrency; /* may be NULL */
	struct tl_uuid webhook_id;
	struct tl_uuid user_id;
	struct tl_str actor;
};
struct q_webhook_change_row {
	struct tl_uuid webhook_id;
};
/*
 * Changes what is given; no row when there is none.  Enabling forgets why it
 * was disabled.  A limit of 0 is none.
 */
enum tl_status q_webhook_change(struct pg *pg,
		const struct q_webhook_change_params *p,
		struct tl_arena *arena, struct q_webhook_change_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_delete_params {
	struct tl_uuid webhook_id;
	struct tl_uuid user_id;
	struct tl_str actor;
};
struct q_webhook_delete_row {
	struct tl_uuid webhook_id;
};
/*
 * Removes an endpoint with all that was sent to it; no row when there is none.
 */
enum tl_status q_webhook_delete(struct pg *pg,
		const struct q_webhook_delete_params *p,
		struct tl_arena *arena, struct q_webhook_delete_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_rotate_params {
	int32_t overlap_s;
	struct tl_str secret;
	struct tl_uuid webhook_id;
	struct tl_uuid user_id;
	struct tl_str actor;
};
struct q_webhook_rotate_row {
	struct tl_uuid webhook_id;
	int64_t previous_until_us;
	bool previous_until_null;
};
/*
 * A new secret; the one before signs too for so many seconds.  No row when
 * there is no such endpoint.
 */
enum tl_status q_webhook_rotate(struct pg *pg,
		const struct q_webhook_rotate_params *p,
		struct tl_arena *arena, struct q_webhook_rotate_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_test_params {
	struct tl_str actor;
	struct tl_uuid webhook_id;
	const struct tl_uuid *user_id; /* may be NULL */
};
struct q_webhook_test_row {
	struct tl_uuid delivery_id;
	bool delivery_id_null;
};
/*
 * Sends 'webhook.test'; its delivery, null when there is no such endpoint or
 * it is disabled.
 */
enum tl_status q_webhook_test(struct pg *pg,
		const struct q_webhook_test_params *p,
		struct tl_arena *arena, struct q_webhook_test_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_replay_params {
	struct tl_str actor;
	struct tl_uuid webhook_id;
	const struct tl_uuid *delivery_id; /* may be NULL */
	const int64_t *since_us; /* may be NULL */
	int32_t max;
};
struct q_webhook_replay_row {
	int32_t replayed;
};
/*
 * Sends one delivery, or those since then that did not arrive, once more; how
 * many.
 */
enum tl_status q_webhook_replay(struct pg *pg,
		const struct q_webhook_replay_params *p,
		struct tl_arena *arena, struct q_webhook_replay_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_deliveries_params {
	int32_t attempts_max;
	struct tl_uuid webhook_id;
	struct tl_str state;
	int64_t before_us;
	struct tl_uuid before_id;
	int64_t max;
};
struct q_webhook_deliveries_row {
	struct tl_uuid delivery_id;
	struct tl_str message_id;
	struct tl_str event;
	struct tl_str state;
	int32_t attempts;
	int64_t next_at_us;
	bool next_at_null;
	int64_t created_at_us;
	int64_t ended_at_us;
	bool ended_at_null;
	struct tl_str body;
	struct tl_str log;
};
/*
 * What was sent to an endpoint, newest first, behind a place, with all
 * attempts as they are on the wire.  In one state, or '' for all.
 */
enum tl_status q_webhook_deliveries(struct pg *pg,
		const struct q_webhook_deliveries_params *p,
		struct tl_arena *arena,
		struct q_webhook_deliveries_row **rows_r, uint32_t *n_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_load_row {
	struct tl_uuid webhook_id;
	struct tl_str message_id;
	struct tl_str body;
	struct tl_str state;
	int32_t attempts;
	int32_t attempts_before;
	int64_t created_at_us;
	struct tl_str url;
	bool enabled;
	int32_t rate_per_minute;
	bool rate_per_minute_null;
	int32_t concurrency;
	bool concurrency_null;
	struct tl_str secret;
	struct tl_str previous_secret;
	bool previous_secret_null;
};
/*
 * What webhook.deliver needs of a delivery.
 */
enum tl_status q_webhook_load(struct pg *pg,
		struct tl_uuid delivery_id,
		struct tl_arena *arena, struct q_webhook_load_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_skip_row {
	bool ended;
};
/*
 * Ends a delivery whose endpoint is disabled.
 */
enum tl_status q_webhook_skip(struct pg *pg,
		struct tl_uuid delivery_id,
		struct tl_arena *arena, struct q_webhook_skip_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_attempted_params {
	struct tl_uuid delivery_id;
	int32_t attempt;
	struct tl_str outcome;
	int64_t next_ms;
	bool gone;
	int32_t dead_after_s;
	int64_t started_us;
	int32_t duration_ms;
	const int32_t *status; /* may be NULL */
	const struct tl_str *error_code; /* may be NULL */
	const struct tl_str *error; /* may be NULL */
	struct tl_str request;
	const struct tl_str *response; /* may be NULL */
};
struct q_webhook_attempted_row {
	bool noted;
};
/*
 * Notes an attempt and what becomes of the delivery; see the migration.
 */
enum tl_status q_webhook_attempted(struct pg *pg,
		const struct q_webhook_attempted_params *p,
		struct tl_arena *arena, struct q_webhook_attempted_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_sweep_row {
	int32_t failed;
};
/*
 * Deliveries whose task is gone have failed; how many.
 */
enum tl_status q_webhook_sweep(struct pg *pg,
		int32_t max,
		struct tl_arena *arena, struct q_webhook_sweep_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_trim_params {
	int64_t before_us;
	int64_t max;
};
/*
 * Forgets ended deliveries from before then, at most :max of them.
 */
enum tl_status q_webhook_trim(struct pg *pg,
		const struct q_webhook_trim_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_usage_alert_trim_params {
	int32_t before_day;
	int64_t max;
};
/*
 * Forgets what was told of days before then, at most :max rows.
 */
enum tl_status q_usage_alert_trim(struct pg *pg,
		const struct q_usage_alert_trim_params *p,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

struct q_keys_expiring_row {
	int32_t told;
};
/*
 * Tells of keys that expire soon, at most :max of them; how many.
 */
enum tl_status q_keys_expiring(struct pg *pg,
		int32_t max,
		struct tl_arena *arena, struct q_keys_expiring_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

struct q_webhook_hurry_params {
	int64_t max;
	struct tl_str actor;
};
struct q_webhook_hurry_row {
	int64_t processed;
	int64_t told;
};
/*
 * Deliveries that wait for their time are due now, the oldest first, and the
 * runners are told; how many.  What somebody has in hand is left.
 */
enum tl_status q_webhook_hurry(struct pg *pg,
		const struct q_webhook_hurry_params *p,
		struct tl_arena *arena, struct q_webhook_hurry_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
