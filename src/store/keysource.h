/*
 * keysource.h - keys and users as the segment takes them, from the database.
 *
 * All results live in the arena.  Usage in them is what the database holds
 * for `day` (days since 1970-01-01); it moves on with every flush, so it is
 * right for an entry that is made from it only while no batch of that entry
 * is on its way.
 * Runs in: worker, flusher.  Suspends: yes, all but the *_convert ones.
 */
#ifndef TALLY_STORE_KEYSOURCE_H
#define TALLY_STORE_KEYSOURCE_H

#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "tally/keyrow.h"

struct pg;
struct q_key_load_row;
struct q_user_load_many_row;

/* TL_NOT_FOUND: nobody has such a key. */
enum tl_status store_key_load(struct pg *pg, const struct tally_digest *digest,
			      int32_t day, struct tl_arena *arena,
			      struct tally_key_row *row_r,
			      struct tl_err *err) TL_MUST_CHECK;
/* Unknown digests are left out; the order is not kept. */
enum tl_status store_key_load_many(struct pg *pg,
				   const struct tally_digest *digests,
				   uint32_t n_digests, int32_t day,
				   struct tl_arena *arena,
				   struct tally_key_row **rows_r, uint32_t *n_r,
				   struct tl_err *err) TL_MUST_CHECK;
/*
 * A page of the keys with usage on day.  *after says where it starts (all
 * zeros first) and is moved on.  About max rows, for the keys of a user come
 * together; fewer than max: the last page.
 */
enum tl_status store_key_load_today(struct pg *pg, int32_t day,
				    struct tl_uuid *after, uint32_t max,
				    struct tl_arena *arena,
				    struct tally_key_row **rows_r,
				    uint32_t *n_r,
				    struct tl_err *err) TL_MUST_CHECK;
/* Unknown ids are left out; the order is not kept. */
enum tl_status
store_user_load_many(struct pg *pg, const struct tl_uuid *user_ids,
		     uint32_t n_user_ids, int32_t day, struct tl_arena *arena,
		     struct tally_user_row **rows_r, uint32_t *n_r,
		     struct tl_err *err) TL_MUST_CHECK;

/* All of them.  More than STORE_POLICY_MAX is TL_FULL. */
#define STORE_POLICY_MAX 65536
enum tl_status store_plans(struct pg *pg, struct tl_arena *arena,
			   struct tally_plan_row **rows_r, uint32_t *n_r,
			   struct tl_err *err) TL_MUST_CHECK;
enum tl_status store_limits(struct pg *pg, struct tl_arena *arena,
			    struct tally_limit_row **rows_r, uint32_t *n_r,
			    struct tl_err *err) TL_MUST_CHECK;

/* One of them; TL_NOT_FOUND. */
enum tl_status store_plan_load(struct pg *pg, const struct tl_uuid *plan_id,
			       struct tl_arena *arena,
			       struct tally_plan_row *row_r,
			       struct tl_err *err) TL_MUST_CHECK;
enum tl_status store_limit_load(struct pg *pg, const struct tl_uuid *limit_id,
				struct tl_arena *arena,
				struct tally_limit_row *row_r,
				struct tl_err *err) TL_MUST_CHECK;

/* TL_BROKEN: the row breaks a rule that the schema should have kept. */
enum tl_status store_key_convert(const struct q_key_load_row *q, int32_t day,
				 struct tl_arena *arena,
				 struct tally_key_row *row_r,
				 struct tl_err *err) TL_MUST_CHECK;
enum tl_status store_user_convert(const struct q_user_load_many_row *q,
				  int32_t day, struct tl_arena *arena,
				  struct tally_user_row *row_r,
				  struct tl_err *err) TL_MUST_CHECK;

#endif
