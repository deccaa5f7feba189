/*
 * q_profile.c - generated from db/queries/profile.sql: make queries, do not edit.
 */
#include "store/q_profile.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t profile_load_oids[] = { 2950 };
static const struct pg_column profile_load_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_profile_load_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_profile_load_row, name),
	  .nullable = true,
	  .null_offset = offsetof(struct q_profile_load_row, name_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_profile_load_row, plan) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_profile_load_row, status) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_profile_load_row, key_prefix) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_profile_load_row, label) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_profile_load_row, created_at_us) },
};
static const struct pg_statement profile_load_statement = {
	.name = "profile_load",
	.sql =
		"SELECT u.email, u.name, p.name AS plan, u.status, k.key_prefix, k.label,\n"
		"       k.created_at\n"
		"  FROM api_keys k JOIN users u ON u.user_id = k.user_id\n"
		"  JOIN plans p ON p.plan_id = u.plan_id\n"
		" WHERE k.key_id = $1",
	.param_oids = profile_load_oids,
	.n_params = 1,
	.columns = profile_load_columns,
	.n_columns = 7,
	.row_bytes = sizeof(struct q_profile_load_row),
};

enum tl_status q_profile_load(struct pg *pg,
		struct tl_uuid key_id,
		struct tl_arena *arena, struct q_profile_load_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = key_id },
	};

	return pg_one(pg, &profile_load_statement, params, arena, row_r, err);
}
