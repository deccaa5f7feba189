/*
 * q_webhooks.c - generated from db/queries/webhooks.sql: make queries, do not edit.
 */
#include "store/q_webhooks.h"

/* clang-format off */

#include <stddef.h>

#include "pg/pg.h"

static const uint32_t webhook_insert_oids[] = { 25, 2950, 23, 25, 25, 1009, 16, 16, 23, 23, 17 };
static const struct pg_column webhook_insert_columns[] = {
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_insert_row, outcome) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_insert_row, webhook_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_insert_row, webhook_id_null) },
};
static const struct pg_statement webhook_insert_statement = {
	.name = "webhook_insert",
	.sql =
		"SELECT outcome AS \"outcome!\", webhook_id\n"
		"  FROM tallyd.webhook_insert($1, $2, $3, $4, $5,\n"
		"\t$6, $7, $8, $9, $10,\n"
		"\t$11)",
	.param_oids = webhook_insert_oids,
	.n_params = 11,
	.columns = webhook_insert_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_webhook_insert_row),
};

enum tl_status q_webhook_insert(struct pg *pg,
		const struct q_webhook_insert_params *p,
		struct tl_arena *arena, struct q_webhook_insert_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->actor },
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_INT4, .i4 = p->max },
		{ .type = PG_TEXT, .str = p->url },
		{ .type = PG_TEXT, .str = p->description },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->events },
		{ .type = PG_BOOL, .boolean = p->enabled },
		{ .type = PG_BOOL, .boolean = p->ordered },
		{ .type = PG_INT4, .null = p->rate_per_minute == NULL },
		{ .type = PG_INT4, .null = p->concurrency == NULL },
		{ .type = PG_BYTEA, .str = p->secret },
	};

	if (p->rate_per_minute != NULL)
		params[8].i4 = *p->rate_per_minute;
	if (p->concurrency != NULL)
		params[9].i4 = *p->concurrency;
	return pg_one(pg, &webhook_insert_statement, params, arena, row_r, err);
}

static const uint32_t webhook_own_oids[] = { 2950 };
static const struct pg_column webhook_own_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_own_row, webhook_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_own_row, url) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_own_row, description) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_webhook_own_row, events) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_own_row, enabled) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_own_row, ordered) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_own_row, rate_per_minute),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, rate_per_minute_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_own_row, concurrency),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, concurrency_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_own_row, disabled_reason),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, disabled_reason_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, disabled_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, disabled_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, failing_since_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, failing_since_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, previous_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, previous_until_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, updated_at_us) },
};
static const struct pg_statement webhook_own_statement = {
	.name = "webhook_own",
	.sql =
		"SELECT e.webhook_id, e.url, e.description, e.events, e.enabled, e.ordered,\n"
		"       e.rate_per_minute, e.concurrency, e.disabled_reason, e.disabled_at,\n"
		"       e.failing_since,\n"
		"       CASE WHEN e.previous_until > now() THEN e.previous_until END\n"
		"\tAS \"previous_until?\", e.created_at, e.updated_at\n"
		"  FROM webhook_endpoints e\n"
		" WHERE e.user_id = $1\n"
		" ORDER BY e.created_at, e.webhook_id\n"
		" LIMIT 1000",
	.param_oids = webhook_own_oids,
	.n_params = 1,
	.columns = webhook_own_columns,
	.n_columns = 14,
	.row_bytes = sizeof(struct q_webhook_own_row),
};

enum tl_status q_webhook_own(struct pg *pg,
		struct tl_uuid user_id,
		struct tl_arena *arena,
		struct q_webhook_own_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = user_id },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &webhook_own_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t webhook_one_oids[] = { 2950, 2950 };
static const struct pg_column webhook_one_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_own_row, webhook_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_own_row, url) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_own_row, description) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_webhook_own_row, events) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_own_row, enabled) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_own_row, ordered) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_own_row, rate_per_minute),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, rate_per_minute_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_own_row, concurrency),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, concurrency_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_own_row, disabled_reason),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, disabled_reason_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, disabled_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, disabled_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, failing_since_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, failing_since_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, previous_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_own_row, previous_until_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_own_row, updated_at_us) },
};
static const struct pg_statement webhook_one_statement = {
	.name = "webhook_one",
	.sql =
		"SELECT e.webhook_id, e.url, e.description, e.events, e.enabled, e.ordered,\n"
		"       e.rate_per_minute, e.concurrency, e.disabled_reason, e.disabled_at,\n"
		"       e.failing_since,\n"
		"       CASE WHEN e.previous_until > now() THEN e.previous_until END\n"
		"\tAS \"previous_until?\", e.created_at, e.updated_at\n"
		"  FROM webhook_endpoints e\n"
		" WHERE e.webhook_id = $1\n"
		"   AND ($2::uuid IS NULL OR e.user_id = $2::uuid)",
	.param_oids = webhook_one_oids,
	.n_params = 2,
	.columns = webhook_one_columns,
	.n_columns = 14,
	.row_bytes = sizeof(struct q_webhook_own_row),
};

enum tl_status q_webhook_one(struct pg *pg,
		const struct q_webhook_one_params *p,
		struct tl_arena *arena, struct q_webhook_own_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->webhook_id },
		{ .type = PG_UUID, .null = p->user_id == NULL },
	};

	if (p->user_id != NULL)
		params[1].uuid = *p->user_id;
	return pg_one(pg, &webhook_one_statement, params, arena, row_r, err);
}

static const uint32_t webhook_search_oids[] = { 1184, 2950, 25, 20 };
static const struct pg_column webhook_search_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_search_row, webhook_id) },
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_search_row, user_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_search_row, email) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_search_row, url) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_search_row, description) },
	{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT),
	  .offset = offsetof(struct q_webhook_search_row, events) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_search_row, enabled) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_search_row, ordered) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_search_row, disabled_reason),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_search_row, disabled_reason_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_search_row, failing_since_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_search_row, failing_since_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_search_row, created_at_us) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_webhook_search_row, unfinished) },
};
static const struct pg_statement webhook_search_statement = {
	.name = "webhook_search",
	.sql =
		"SELECT e.webhook_id, e.user_id, u.email, e.url, e.description, e.events,\n"
		"       e.enabled, e.ordered, e.disabled_reason, e.failing_since, e.created_at,\n"
		"       (SELECT count(*) FROM tallyd.webhook_delivery d\n"
		"\t WHERE d.webhook_id = e.webhook_id\n"
		"\t   AND d.state IN ('waiting', 'pending')) AS \"unfinished!\"\n"
		"  FROM webhook_endpoints e JOIN users u ON u.user_id = e.user_id\n"
		" WHERE (e.created_at, e.webhook_id) < ($1::timestamptz, $2::uuid)\n"
		"   AND ($3::text = '' OR position(lower($3::text) IN lower(u.email)) > 0\n"
		"\tOR position(lower($3::text) IN lower(e.description)) > 0\n"
		"\tOR position(lower($3::text) IN lower(e.url)) > 0)\n"
		" ORDER BY e.created_at DESC, e.webhook_id DESC\n"
		" LIMIT $4::int8",
	.param_oids = webhook_search_oids,
	.n_params = 4,
	.columns = webhook_search_columns,
	.n_columns = 12,
	.row_bytes = sizeof(struct q_webhook_search_row),
};

enum tl_status q_webhook_search(struct pg *pg,
		const struct q_webhook_search_params *p,
		struct tl_arena *arena,
		struct q_webhook_search_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_UUID, .uuid = p->before_id },
		{ .type = PG_TEXT, .str = p->text },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &webhook_search_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t webhook_change_oids[] = { 25, 25, 16, 1009, 16, 16, 23, 23, 2950, 2950, 1043 };
static const struct pg_column webhook_change_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_change_row, webhook_id) },
};
static const struct pg_statement webhook_change_statement = {
	.name = "webhook_change",
	.sql =
		"WITH done AS (\n"
		"\tUPDATE webhook_endpoints e\n"
		"\t   SET url = coalesce($1::text, e.url),\n"
		"\t       description = coalesce($2::text, e.description),\n"
		"\t       events = CASE WHEN $3::boolean THEN $4::text[]\n"
		"\t\t\tELSE e.events END,\n"
		"\t       enabled = coalesce($5::boolean, e.enabled),\n"
		"\t       ordered = coalesce($6::boolean, e.ordered),\n"
		"\t       rate_per_minute = nullif(coalesce($7::int,\n"
		"\t\t\te.rate_per_minute), 0),\n"
		"\t       concurrency = nullif(coalesce($8::int,\n"
		"\t\t\te.concurrency), 0),\n"
		"\t       disabled_reason = CASE WHEN $5::boolean IS NULL\n"
		"\t\t\tTHEN e.disabled_reason END,\n"
		"\t       disabled_at = CASE WHEN $5::boolean IS NULL\n"
		"\t\t\tTHEN e.disabled_at\n"
		"\t\t\tWHEN NOT $5::boolean THEN now() END,\n"
		"\t       failing_since = CASE WHEN $5::boolean THEN NULL\n"
		"\t\t\tELSE e.failing_since END\n"
		"\t WHERE e.webhook_id = $9 AND e.user_id = $10\n"
		"\tRETURNING e.webhook_id, e.url\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $11, 'webhook.update', done.webhook_id::text, done.url\n"
		"\t  FROM done\n"
		")\n"
		"SELECT webhook_id FROM done",
	.param_oids = webhook_change_oids,
	.n_params = 11,
	.columns = webhook_change_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_webhook_change_row),
};

enum tl_status q_webhook_change(struct pg *pg,
		const struct q_webhook_change_params *p,
		struct tl_arena *arena, struct q_webhook_change_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .null = p->url == NULL },
		{ .type = PG_TEXT, .null = p->description == NULL },
		{ .type = PG_BOOL, .boolean = p->has_events },
		{ .type = (enum pg_type)(PG_ARRAY | PG_TEXT), .array = p->events },
		{ .type = PG_BOOL, .null = p->enabled == NULL },
		{ .type = PG_BOOL, .null = p->ordered == NULL },
		{ .type = PG_INT4, .null = p->rate_per_minute == NULL },
		{ .type = PG_INT4, .null = p->concurrency == NULL },
		{ .type = PG_UUID, .uuid = p->webhook_id },
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TEXT, .str = p->actor },
	};

	if (p->url != NULL)
		params[0].str = *p->url;
	if (p->description != NULL)
		params[1].str = *p->description;
	if (p->enabled != NULL)
		params[4].boolean = *p->enabled;
	if (p->ordered != NULL)
		params[5].boolean = *p->ordered;
	if (p->rate_per_minute != NULL)
		params[6].i4 = *p->rate_per_minute;
	if (p->concurrency != NULL)
		params[7].i4 = *p->concurrency;
	return pg_one(pg, &webhook_change_statement, params, arena, row_r, err);
}

static const uint32_t webhook_delete_oids[] = { 2950, 2950, 1043 };
static const struct pg_column webhook_delete_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_delete_row, webhook_id) },
};
static const struct pg_statement webhook_delete_statement = {
	.name = "webhook_delete",
	.sql =
		"WITH done AS (\n"
		"\tDELETE FROM webhook_endpoints e\n"
		"\t WHERE e.webhook_id = $1 AND e.user_id = $2\n"
		"\tRETURNING e.webhook_id, e.url\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $3, 'webhook.delete', done.webhook_id::text, done.url\n"
		"\t  FROM done\n"
		")\n"
		"SELECT webhook_id FROM done",
	.param_oids = webhook_delete_oids,
	.n_params = 3,
	.columns = webhook_delete_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_webhook_delete_row),
};

enum tl_status q_webhook_delete(struct pg *pg,
		const struct q_webhook_delete_params *p,
		struct tl_arena *arena, struct q_webhook_delete_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->webhook_id },
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &webhook_delete_statement, params, arena, row_r, err);
}

static const uint32_t webhook_rotate_oids[] = { 23, 17, 2950, 2950, 1043 };
static const struct pg_column webhook_rotate_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_rotate_row, webhook_id) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_rotate_row, previous_until_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_rotate_row, previous_until_null) },
};
static const struct pg_statement webhook_rotate_statement = {
	.name = "webhook_rotate",
	.sql =
		"WITH done AS (\n"
		"\tUPDATE webhook_endpoints e\n"
		"\t   SET previous_secret = CASE WHEN $1::int > 0 THEN e.secret END,\n"
		"\t       previous_until = CASE WHEN $1::int > 0 THEN now() +\n"
		"\t\t\t$1::int * INTERVAL '1 second' END,\n"
		"\t       secret = $2\n"
		"\t WHERE e.webhook_id = $3 AND e.user_id = $4\n"
		"\tRETURNING e.webhook_id, e.previous_until\n"
		"), noted AS (\n"
		"\tINSERT INTO audit_log (actor, action, target, details)\n"
		"\tSELECT $5, 'webhook.rotate', done.webhook_id::text,\n"
		"\t       'overlap ' || $1::int || ' s' FROM done\n"
		")\n"
		"SELECT webhook_id, previous_until FROM done",
	.param_oids = webhook_rotate_oids,
	.n_params = 5,
	.columns = webhook_rotate_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_webhook_rotate_row),
};

enum tl_status q_webhook_rotate(struct pg *pg,
		const struct q_webhook_rotate_params *p,
		struct tl_arena *arena, struct q_webhook_rotate_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = p->overlap_s },
		{ .type = PG_BYTEA, .str = p->secret },
		{ .type = PG_UUID, .uuid = p->webhook_id },
		{ .type = PG_UUID, .uuid = p->user_id },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &webhook_rotate_statement, params, arena, row_r, err);
}

static const uint32_t webhook_test_oids[] = { 25, 2950, 2950 };
static const struct pg_column webhook_test_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_test_row, delivery_id),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_test_row, delivery_id_null) },
};
static const struct pg_statement webhook_test_statement = {
	.name = "webhook_test",
	.sql =
		"SELECT tallyd.webhook_test($1, $2, $3) AS \"delivery_id?\"",
	.param_oids = webhook_test_oids,
	.n_params = 3,
	.columns = webhook_test_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_webhook_test_row),
};

enum tl_status q_webhook_test(struct pg *pg,
		const struct q_webhook_test_params *p,
		struct tl_arena *arena, struct q_webhook_test_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->actor },
		{ .type = PG_UUID, .uuid = p->webhook_id },
		{ .type = PG_UUID, .null = p->user_id == NULL },
	};

	if (p->user_id != NULL)
		params[2].uuid = *p->user_id;
	return pg_one(pg, &webhook_test_statement, params, arena, row_r, err);
}

static const uint32_t webhook_replay_oids[] = { 25, 2950, 2950, 1184, 23 };
static const struct pg_column webhook_replay_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_replay_row, replayed) },
};
static const struct pg_statement webhook_replay_statement = {
	.name = "webhook_replay",
	.sql =
		"SELECT tallyd.webhook_replay($1, $2, $3, $4, $5)\n"
		"\tAS \"replayed!\"",
	.param_oids = webhook_replay_oids,
	.n_params = 5,
	.columns = webhook_replay_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_webhook_replay_row),
};

enum tl_status q_webhook_replay(struct pg *pg,
		const struct q_webhook_replay_params *p,
		struct tl_arena *arena, struct q_webhook_replay_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_TEXT, .str = p->actor },
		{ .type = PG_UUID, .uuid = p->webhook_id },
		{ .type = PG_UUID, .null = p->delivery_id == NULL },
		{ .type = PG_TIMESTAMPTZ, .null = p->since_us == NULL },
		{ .type = PG_INT4, .i4 = p->max },
	};

	if (p->delivery_id != NULL)
		params[2].uuid = *p->delivery_id;
	if (p->since_us != NULL)
		params[3].i8 = *p->since_us;
	return pg_one(pg, &webhook_replay_statement, params, arena, row_r, err);
}

static const uint32_t webhook_deliveries_oids[] = { 23, 2950, 25, 1184, 2950, 20 };
static const struct pg_column webhook_deliveries_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_deliveries_row, delivery_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_deliveries_row, message_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_deliveries_row, event) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_deliveries_row, state) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_deliveries_row, attempts) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_deliveries_row, next_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_deliveries_row, next_at_null) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_deliveries_row, created_at_us) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_deliveries_row, ended_at_us),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_deliveries_row, ended_at_null) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_deliveries_row, body) },
	{ .type = PG_JSONB,
	  .offset = offsetof(struct q_webhook_deliveries_row, log) },
};
static const struct pg_statement webhook_deliveries_statement = {
	.name = "webhook_deliveries",
	.sql =
		"SELECT d.delivery_id, d.message_id, d.event, d.state, d.attempts, d.next_at,\n"
		"       d.created_at, d.ended_at, d.body,\n"
		"       coalesce((SELECT jsonb_agg(jsonb_build_object('attempt', a.attempt,\n"
		"\t\t'started_at', tallyd.wire_time(a.started_at),\n"
		"\t\t'duration_ms', a.duration_ms, 'status', a.status,\n"
		"\t\t'error_code', a.error_code, 'error', a.error,\n"
		"\t\t'request', a.request, 'response', a.response)\n"
		"\t\tORDER BY a.attempt)\n"
		"\t  FROM tallyd.webhook_attempt a\n"
		"\t WHERE a.delivery_id = d.delivery_id\n"
		"\t   AND a.attempt > d.attempts - $1::int), '[]')\n"
		"\tAS \"log!\"\n"
		"  FROM tallyd.webhook_delivery d\n"
		" WHERE d.webhook_id = $2\n"
		"   AND ($3::text = '' OR d.state = $3::text)\n"
		"   AND (d.created_at, d.delivery_id) < ($4::timestamptz, $5::uuid)\n"
		" ORDER BY d.created_at DESC, d.delivery_id DESC\n"
		" LIMIT $6::int8",
	.param_oids = webhook_deliveries_oids,
	.n_params = 6,
	.columns = webhook_deliveries_columns,
	.n_columns = 10,
	.row_bytes = sizeof(struct q_webhook_deliveries_row),
};

enum tl_status q_webhook_deliveries(struct pg *pg,
		const struct q_webhook_deliveries_params *p,
		struct tl_arena *arena,
		struct q_webhook_deliveries_row **rows_r, uint32_t *n_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = p->attempts_max },
		{ .type = PG_UUID, .uuid = p->webhook_id },
		{ .type = PG_TEXT, .str = p->state },
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_UUID, .uuid = p->before_id },
		{ .type = PG_INT8, .i8 = p->max },
	};
	enum tl_status st;
	void *rows;

	st = pg_many(pg, &webhook_deliveries_statement, params, arena, &rows, n_r, err);
	if (st == TL_OK)
		*rows_r = rows;
	return st;
}

static const uint32_t webhook_load_oids[] = { 2950 };
static const struct pg_column webhook_load_columns[] = {
	{ .type = PG_UUID,
	  .offset = offsetof(struct q_webhook_load_row, webhook_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_load_row, message_id) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_load_row, body) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_load_row, state) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_load_row, attempts) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_load_row, attempts_before) },
	{ .type = PG_TIMESTAMPTZ,
	  .offset = offsetof(struct q_webhook_load_row, created_at_us) },
	{ .type = PG_TEXT,
	  .offset = offsetof(struct q_webhook_load_row, url) },
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_load_row, enabled) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_load_row, rate_per_minute),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_load_row, rate_per_minute_null) },
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_load_row, concurrency),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_load_row, concurrency_null) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_webhook_load_row, secret) },
	{ .type = PG_BYTEA,
	  .offset = offsetof(struct q_webhook_load_row, previous_secret),
	  .nullable = true,
	  .null_offset = offsetof(struct q_webhook_load_row, previous_secret_null) },
};
static const struct pg_statement webhook_load_statement = {
	.name = "webhook_load",
	.sql =
		"SELECT d.webhook_id, d.message_id, d.body, d.state, d.attempts,\n"
		"       d.attempts_before, d.created_at, e.url, e.enabled, e.rate_per_minute, e.concurrency,\n"
		"       e.secret, CASE WHEN e.previous_until > now()\n"
		"\t\tTHEN e.previous_secret END AS \"previous_secret?\"\n"
		"  FROM tallyd.webhook_delivery d\n"
		"  JOIN webhook_endpoints e ON e.webhook_id = d.webhook_id\n"
		" WHERE d.delivery_id = $1",
	.param_oids = webhook_load_oids,
	.n_params = 1,
	.columns = webhook_load_columns,
	.n_columns = 13,
	.row_bytes = sizeof(struct q_webhook_load_row),
};

enum tl_status q_webhook_load(struct pg *pg,
		struct tl_uuid delivery_id,
		struct tl_arena *arena, struct q_webhook_load_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = delivery_id },
	};

	return pg_one(pg, &webhook_load_statement, params, arena, row_r, err);
}

static const uint32_t webhook_skip_oids[] = { 2950 };
static const struct pg_column webhook_skip_columns[] = {
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_skip_row, ended) },
};
static const struct pg_statement webhook_skip_statement = {
	.name = "webhook_skip",
	.sql =
		"SELECT tallyd.webhook_end($1, 'skipped') AS \"ended!\"",
	.param_oids = webhook_skip_oids,
	.n_params = 1,
	.columns = webhook_skip_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_webhook_skip_row),
};

enum tl_status q_webhook_skip(struct pg *pg,
		struct tl_uuid delivery_id,
		struct tl_arena *arena, struct q_webhook_skip_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = delivery_id },
	};

	return pg_one(pg, &webhook_skip_statement, params, arena, row_r, err);
}

static const uint32_t webhook_attempted_oids[] = { 2950, 23, 25, 20, 16, 23, 20, 23, 23, 25, 25, 3802, 3802 };
static const struct pg_column webhook_attempted_columns[] = {
	{ .type = PG_BOOL,
	  .offset = offsetof(struct q_webhook_attempted_row, noted) },
};
static const struct pg_statement webhook_attempted_statement = {
	.name = "webhook_attempted",
	.sql =
		"SELECT tallyd.webhook_attempted($1, $2, $3, $4,\n"
		"\t$5, $6, $7, $8, $9,\n"
		"\t$10, $11, $12, $13) AS \"noted!\"",
	.param_oids = webhook_attempted_oids,
	.n_params = 13,
	.columns = webhook_attempted_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_webhook_attempted_row),
};

enum tl_status q_webhook_attempted(struct pg *pg,
		const struct q_webhook_attempted_params *p,
		struct tl_arena *arena, struct q_webhook_attempted_row *row_r,
		struct tl_err *err)
{
	struct pg_param params[] = {
		{ .type = PG_UUID, .uuid = p->delivery_id },
		{ .type = PG_INT4, .i4 = p->attempt },
		{ .type = PG_TEXT, .str = p->outcome },
		{ .type = PG_INT8, .i8 = p->next_ms },
		{ .type = PG_BOOL, .boolean = p->gone },
		{ .type = PG_INT4, .i4 = p->dead_after_s },
		{ .type = PG_INT8, .i8 = p->started_us },
		{ .type = PG_INT4, .i4 = p->duration_ms },
		{ .type = PG_INT4, .null = p->status == NULL },
		{ .type = PG_TEXT, .null = p->error_code == NULL },
		{ .type = PG_TEXT, .null = p->error == NULL },
		{ .type = PG_JSONB, .str = p->request },
		{ .type = PG_JSONB, .null = p->response == NULL },
	};

	if (p->status != NULL)
		params[8].i4 = *p->status;
	if (p->error_code != NULL)
		params[9].str = *p->error_code;
	if (p->error != NULL)
		params[10].str = *p->error;
	if (p->response != NULL)
		params[12].str = *p->response;
	return pg_one(pg, &webhook_attempted_statement, params, arena, row_r, err);
}

static const uint32_t webhook_sweep_oids[] = { 23 };
static const struct pg_column webhook_sweep_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_webhook_sweep_row, failed) },
};
static const struct pg_statement webhook_sweep_statement = {
	.name = "webhook_sweep",
	.sql =
		"SELECT tallyd.webhook_sweep($1) AS \"failed!\"",
	.param_oids = webhook_sweep_oids,
	.n_params = 1,
	.columns = webhook_sweep_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_webhook_sweep_row),
};

enum tl_status q_webhook_sweep(struct pg *pg,
		int32_t max,
		struct tl_arena *arena, struct q_webhook_sweep_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = max },
	};

	return pg_one(pg, &webhook_sweep_statement, params, arena, row_r, err);
}

static const uint32_t webhook_trim_oids[] = { 1184, 20 };
static const struct pg_statement webhook_trim_statement = {
	.name = "webhook_trim",
	.sql =
		"DELETE FROM tallyd.webhook_delivery\n"
		" WHERE ctid = ANY (ARRAY(SELECT d.ctid FROM tallyd.webhook_delivery d\n"
		"\t\t\t  WHERE d.created_at <= $1\n"
		"\t\t\t    AND d.state IN ('delivered', 'failed', 'skipped')\n"
		"\t\t\t  ORDER BY d.created_at\n"
		"\t\t\t  LIMIT $2::int8))",
	.param_oids = webhook_trim_oids,
	.n_params = 2,
};

enum tl_status q_webhook_trim(struct pg *pg,
		const struct q_webhook_trim_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_TIMESTAMPTZ, .i8 = p->before_us },
		{ .type = PG_INT8, .i8 = p->max },
	};

	return pg_exec(pg, &webhook_trim_statement, params, affected_r, err);
}

static const uint32_t usage_alert_trim_oids[] = { 1082, 20 };
static const struct pg_statement usage_alert_trim_statement = {
	.name = "usage_alert_trim",
	.sql =
		"DELETE FROM tallyd.usage_alert\n"
		" WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM tallyd.usage_alert a\n"
		"\t\t\t  WHERE a.day < $1\n"
		"\t\t\t  LIMIT $2::int8))",
	.param_oids = usage_alert_trim_oids,
	.n_params = 2,
};

enum tl_status q_usage_alert_trim(struct pg *pg,
		const struct q_usage_alert_trim_params *p,
		uint64_t *affected_r, struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_DATE, .i4 = p->before_day },
		{ .type = PG_INT8, .i8 = p->max },
	};

	return pg_exec(pg, &usage_alert_trim_statement, params, affected_r, err);
}

static const uint32_t keys_expiring_oids[] = { 23 };
static const struct pg_column keys_expiring_columns[] = {
	{ .type = PG_INT4,
	  .offset = offsetof(struct q_keys_expiring_row, told) },
};
static const struct pg_statement keys_expiring_statement = {
	.name = "keys_expiring",
	.sql =
		"SELECT tallyd.keys_expiring($1) AS \"told!\"",
	.param_oids = keys_expiring_oids,
	.n_params = 1,
	.columns = keys_expiring_columns,
	.n_columns = 1,
	.row_bytes = sizeof(struct q_keys_expiring_row),
};

enum tl_status q_keys_expiring(struct pg *pg,
		int32_t max,
		struct tl_arena *arena, struct q_keys_expiring_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT4, .i4 = max },
	};

	return pg_one(pg, &keys_expiring_statement, params, arena, row_r, err);
}

static const uint32_t webhook_hurry_oids[] = { 20, 25 };
static const struct pg_column webhook_hurry_columns[] = {
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_webhook_hurry_row, processed) },
	{ .type = PG_INT8,
	  .offset = offsetof(struct q_webhook_hurry_row, told) },
};
static const struct pg_statement webhook_hurry_statement = {
	.name = "webhook_hurry",
	.sql =
		"WITH pick AS (\n"
		"\tSELECT t.task_id FROM tallyd.task t\n"
		"\t WHERE t.state = 1 AND t.name = 'webhook.deliver'\n"
		"\t ORDER BY t.run_at LIMIT $1::int8 FOR UPDATE SKIP LOCKED\n"
		"), due AS (\n"
		"\tUPDATE tallyd.task t SET state = 0, run_at = clock_timestamp()\n"
		"\t WHERE t.task_id = ANY (ARRAY(SELECT p.task_id FROM pick p))\n"
		"\tRETURNING t.task_id\n"
		"), told AS (\n"
		"\tINSERT INTO audit_log (actor, action, details)\n"
		"\tSELECT $2::text, 'webhook.hurry', count(*) || ' tasks' FROM due\n"
		"\tHAVING count(*) > 0\n"
		"\tRETURNING pg_notify('tallyd_task', '')\n"
		")\n"
		"SELECT count(*) AS \"processed!\", (SELECT count(*) FROM told) AS \"told!\"\n"
		"  FROM due",
	.param_oids = webhook_hurry_oids,
	.n_params = 2,
	.columns = webhook_hurry_columns,
	.n_columns = 2,
	.row_bytes = sizeof(struct q_webhook_hurry_row),
};

enum tl_status q_webhook_hurry(struct pg *pg,
		const struct q_webhook_hurry_params *p,
		struct tl_arena *arena, struct q_webhook_hurry_row *row_r,
		struct tl_err *err)
{
	const struct pg_param params[] = {
		{ .type = PG_INT8, .i8 = p->max },
		{ .type = PG_TEXT, .str = p->actor },
	};

	return pg_one(pg, &webhook_hurry_statement, params, arena, row_r, err);
}
