/*
 * q_profile.h - generated from db/queries/profile.sql: make queries, do not edit.
 *
 * Results and what they point to live in the arena.
 * Runs in: worker, flusher.  Suspends: yes, all.
 */
#ifndef TALLY_STORE_Q_PROFILE_H
#define TALLY_STORE_Q_PROFILE_H

/* clang-format off */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct pg;
struct tl_arena;

/*
 * Who calls: what replies show of a caller, beside what the segment knows.
 */

struct q_profile_load_row {
	struct tl_str email;
	struct tl_str name;
	bool name_null;
	struct tl_str plan;
	struct tl_str status;
	struct tl_str key_prefix;
	struct tl_str label;
	int64_t created_at_us;
};
/*
 * The key, its owner and the owner's plan.
 */
enum tl_status q_profile_load(struct pg *pg,
		struct tl_uuid key_id,
		struct tl_arena *arena, struct q_profile_load_row *row_r,
		struct tl_err *err) TL_MUST_CHECK;

#endif
