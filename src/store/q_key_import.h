/*
 * q_key_import.h - generated from db/queries/key_import.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_KEY_IMPORT_H
#define TALLY_STORE_Q_KEY_IMPORT_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "pg/pg.h"

struct pg;
struct tl_arena;

/*
 * Keys by their hashes, from another product; the rules are in the migration.
 */

struct q_key_import_params {
	const struct tl_str *plan; /* may be NULL */
	struct pg_array emails; /* of struct tl_str */
	struct pg_array owners; /* of int32_t */
	struct pg_array lines; /* of int32_t */
	struct pg_array key_ids; /* of struct tl_uuid */
	struct pg_array digests; /* of struct tl_str */
	struct pg_array prefixes; /* of struct tl_str */
	struct pg_array labels; /* of struct tl_str */
	struct pg_array created_us; /* of int64_t */
	struct pg_array expires_us; /* of int64_t */
	struct pg_array scopes; /* of struct tl_str */
	struct pg_array allowed_ips; /* of struct tl_str */
	struct pg_array rate_limits; /* of int32_t */
	struct pg_array daily_limits; /* of int32_t */
	struct pg_array metadata; /* of struct tl_str */
	struct pg_array statuses; /* of struct tl_str */
};
struct q_key_import_row {
	int32_t made;
	int32_t held;
	int32_t users_made;
	struct pg_array bad_lines; /* of int32_t */
	struct pg_array bad_whys; /* of struct tl_str */
};
/*
 * One piece of an import.  Arrays but :emails have equal length.
 * SQLSTATE TL003: there is no such plan.
 */
enum tl_status q_key_import(struct pg *pg,
		const struct q_key_import_params *p,
		struct tl_arena *arena, struct q_key_import_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

/*
 * Leaves the audit row of an import, in its transaction.
 */
enum tl_status q_key_import_note(struct pg *pg,
		struct tl_str details,
		uint64_t *affected_r, struct tl_err *err) TL_MUST_CHECK;

#endif
