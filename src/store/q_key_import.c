/*
 * q_key_import.c - generated from db/queries/key_import.sql: make queries, do not edit.
 */
#include "store/q_key_import.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t key_import_oids[] = { 25, 1009, 1007, 1007, 2951, 1001, 1009, 1009, 1016, 1016, 1009, 1009, 1007, 1007, 1009, 1009 };
static const struct pg_column key_import_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_import_row, made) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_import_row, held) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_key_import_row, users_made) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_INT4),
	  .offset = offsetof(struct q_key_import_row, bad_lines) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_key_import_row, bad_whys) },
};
static const struct pg_statement key_import_statement = {
	.name = "key_import",
	.sql =
		"SELECT i.made AS \"made!\", i.held AS \"held!\", i.users_made AS \"users_made!\",\n"
		"       i.bad_lines AS \"bad_lines!\", i.bad_whys AS \"bad_whys!\"\n"
		"  FROM tallyd.key_import($1, $2, $3, $4, $5,\n"
		"\t$6, $7, $8, $9, $10, $11,\n"
		"\t$12, $13, $14, $15, $16) i",
	.param_oids = key_import_oids,
	.n_params = 16,
	.columns = key_import_columns,
	.n_columns = 5,
	.row_bytes = sizeof(struct q_key_import_row),
};

enum tl_status q_key_import(struct pg *pg,
		const struct q_key_import_params *p,
		struct tl_arena *arena, struct q_key_import_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->plan == NULL },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->emails },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->owners },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->lines },
		{ .type = (enum pg_type)(PG_ARRAY | PG_UUID), .array = p->key_ids },
		{ .type = (enum pg_type)(PG_ARRAY | PG_BYTEA), .array = p->digests },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->prefixes },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->labels },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->created_us },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT8), .array = p->expires_us },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->scopes },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->allowed_ips },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->rate_limits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_INT4), .array = p->daily_limits },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->metadata },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->statuses },
	};

	if (p->plan != NULL)
		params[0].str = *p->plan;
	return pg_one(pg, &key_import_statement, params, arena, row_r, err);
}

static const uint32_t key_import_note_oids[] = { 25 };
static const struct pg_statement key_import_note_statement = {
	.name = "key_import_note",
	.sql =
		"INSERT INTO audit_log (actor, action, details)\n"
		"VALUES ('tallyctl', 'token.import', $1::text)",
	.param_oids = key_import_note_oids,
	.n_params = 1,
};

enum tl_status q_key_import_note(struct pg *pg,
		struct tl_str details,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TEXT, .str = details },
	};

	return pg_exec(pg, &key_import_note_statement, params, affected_r, err);
}
