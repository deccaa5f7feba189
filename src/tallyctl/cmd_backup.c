/*
 * cmd_backup.c - backup: database and what has not reached it, in one file.
 *
 * A snapshot of the database and the tail of segment and spool that belongs to
 * it (freeze.h); then the tables are copied from the snapshot.
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "shm/reqlog.h"
#include "tallyctl/archive.h"
#include "tallyctl/backup.h"
#include "tallyctl/db.h"
#include "tallyctl/freeze.h"
#include "tallyctl/private_pg.h"

#define ASK_MS 2000

struct backup {
	struct tallyctl *t;
	const char *path;
	struct freeze at; /* database, and what it does not hold */
	struct archive_writer *out;
	struct doc *contents;
	uint64_t rows, tail_rows, tail_credits, tail_requests;
	uint64_t bytes;
	struct tl_buf answers, logs; /* of the tail, rows of COPY */
	uint64_t n_answers, n_logs;
};

enum tl_status backup_file(struct tallyctl *t, struct bulk *b, const char *name,
			   struct bulk_rows *rows_r, struct tl_err *err)
{
	return freeze_file(t, b, "backup", name, rows_r, err);
}

enum exit_status backup_complain(enum tl_status st, const struct tl_err *err)
{
	if (st == TL_UNAVAILABLE)
		return complain(EXIT_DATABASE,
				"the database is not available: %s", err->text);
	return complain(EXIT_FAILED, "%s", err->text);
}

/* ---- the parts ---- */

static enum tl_status sink(void *arg, const void *p, size_t len,
			   struct tl_err *err)
{
	return archive_add(arg, p, len, err);
}

/* Rows are of the snapshot, but a table may be emptied or changed under it. */
static enum tl_status lock_tables(struct backup *b,
				  const struct bulk_rows *tables,
				  struct tl_err *err)
{
	enum tl_status st;
	struct tl_buf sql;

	if (tables->n == 0)
		return TL_OK;
	tl_buf_init(&sql);
	tl_buf_adds(&sql, "LOCK TABLE");
	for (uint32_t i = 0; i < tables->n; i++)
		tl_buf_addf(&sql, "%s %s", i > 0 ? "," : "",
			    tables->values[(size_t)i * 2].ptr);
	tl_buf_adds(&sql, " IN ACCESS SHARE MODE");
	st = bulk_run(b->at.snapshot, sql.ptr, "lock the tables", err);
	tl_buf_deinit(&sql);
	return st;
}

static enum tl_status copy_tables(struct backup *b, struct tl_err *err)
{
	struct bulk_rows tables;
	uint64_t rows = 0;
	enum tl_status st;

	st = backup_file(b->t, b->at.snapshot, "tables", &tables, err);
	if (st == TL_OK)
		st = lock_tables(b, &tables, err);
	for (uint32_t i = 0; st == TL_OK && i < tables.n; i++) {
		const struct tl_str *v = &tables.values[(size_t)i * 2];
		char *what = tl_arena_printf(b->t->arena, "%s (%s)", v[0].ptr,
					     v[1].ptr);
		/* COPY of a partitioned table gives none of its rows. */
		char *from = tl_arena_printf(b->t->arena, "(SELECT %s FROM %s)",
					     v[1].ptr, v[0].ptr);

		st = archive_begin(
			b->out,
			tl_arena_printf(b->t->arena, BACKUP_TABLE "%s", what),
			err);
		if (st == TL_OK)
			st = bulk_copy_out(b->at.snapshot, from, sink, b->out,
					   &rows, err);
		if (st == TL_OK)
			st = archive_end(b->out, rows, err);
		b->rows += rows;
	}
	return st;
}

static void add_uuid(struct tl_buf *row, const uint8_t id[16])
{
	char text[TL_UUID_TEXT];
	struct tl_uuid u;

	memcpy(u.b, id, sizeof(u.b));
	tl_uuid_format(&u, text);
	tl_buf_adds(row, text);
	tl_buf_addc(row, '\t');
}

static void add_day(struct tl_buf *row, uint32_t day)
{
	char text[11];

	tl_day_format((int32_t)day, text);
	tl_buf_adds(row, text);
	tl_buf_addc(row, '\t');
}

static enum tl_status put_usage(void *arg, const struct tail_usage *u,
				struct tl_err *err)
{
	struct backup *b = arg;
	enum tl_status st;
	struct tl_buf row;

	tl_buf_init(&row);
	add_uuid(&row, u->user_id);
	add_uuid(&row, u->key_id);
	add_day(&row, u->day);
	tl_buf_addf(&row,
		    "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n",
		    u->delta[SHM_CREDITS], u->delta[SHM_REQUESTS],
		    u->delta[SHM_COST], u->last_used_ms);
	st = archive_add(b->out, row.ptr, row.len, err);
	tl_buf_deinit(&row);
	b->tail_rows++;
	b->tail_credits += u->delta[SHM_CREDITS];
	b->tail_requests += u->delta[SHM_REQUESTS];
	return st;
}

static enum tl_status put_answer(void *arg, const struct shm_idem_record *r,
				 struct tl_err *err)
{
	struct backup *b = arg;
	char hash[2 * sizeof(r->body_hash) + 1];

	(void)err;
	tl_hex(r->body_hash, sizeof(r->body_hash), hash);
	add_uuid(&b->answers, r->key_id);
	bulk_add_text(
		&b->answers,
		(struct tl_str){ r->name, strnlen(r->name, sizeof(r->name)) });
	tl_buf_addf(&b->answers, "\t\\\\x%s\t", hash);
	add_day(&b->answers, r->answer.day);
	tl_buf_addf(&b->answers,
		    "%" PRIu32 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
		    "\t%" PRIu64 "\t%" PRIu64 "\n",
		    r->answer.credits_charged, r->answer.cost_micro_usd,
		    r->answer.credits_used, r->answer.daily_limit,
		    r->answer.request_count, r->at_ms);
	b->n_answers++;
	return TL_OK;
}

static enum tl_status put_log(void *arg, const struct shm_log_row *r,
			      struct tl_err *err)
{
	struct backup *b = arg;

	(void)err;
	add_uuid(&b->logs, r->user_id);
	add_uuid(&b->logs, r->key_id);
	bulk_add_text(&b->logs, shm_log_model(r));
	tl_buf_addf(&b->logs,
		    "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64
		    "\t%" PRId64 "\t",
		    r->prompt_tokens, r->completion_tokens, r->credits,
		    r->cost_micro_usd, r->created_us);
	add_day(&b->logs, r->day);
	b->logs.ptr[b->logs.len - 1] = '\n';
	b->n_logs++;
	return TL_OK;
}

static enum tl_status put_text(struct backup *b, const char *name,
			       const struct tl_buf *rows, uint64_t n,
			       struct tl_err *err)
{
	enum tl_status st = archive_begin(b->out, name, err);

	if (st == TL_OK)
		st = archive_add(b->out, rows->ptr, rows->len, err);
	return st == TL_OK ? archive_end(b->out, n, err) : st;
}

static enum tl_status put_tail(struct backup *b, struct tl_err *err)
{
	const struct tail_sink to = {
		.arg = b, .usage = put_usage, .idem = put_answer, .log = put_log
	};
	enum tl_status st;

	st = archive_begin(b->out, BACKUP_USAGE, err);
	if (st == TL_OK)
		st = tail_read(b->at.tail, &to, err);
	if (st == TL_OK)
		st = archive_end(b->out, b->tail_rows, err);
	if (st == TL_OK)
		st = put_text(b, BACKUP_ANSWER, &b->answers, b->n_answers, err);
	return st == TL_OK ? put_text(b, BACKUP_LOG, &b->logs, b->n_logs, err)
			   : st;
}

/* ---- the contents ---- */

/* The rows of a file of SQL as an array of statements or objects. */
static enum tl_status put_rows(struct backup *b, const char *name,
			       const char *const *members, struct tl_err *err)
{
	struct tl_arena *a = b->t->arena;
	struct doc *list = doc_array(a);
	struct bulk_rows rows;
	enum tl_status st;

	st = backup_file(b->t, b->at.snapshot, name, &rows, err);
	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; i < rows.n; i++) {
		const struct tl_str *v = &rows.values[i * rows.n_columns];
		struct doc *o = doc_object(a);

		for (uint32_t k = 0; members != NULL && k < rows.n_columns; k++)
			doc_set(a, o, members[k], doc_str(a, v[k]));
		doc_push(a, list, members != NULL ? o : doc_str(a, v[0]));
	}
	doc_set(a, b->contents, name, list);
	return TL_OK;
}

static enum tl_status put_contents(struct backup *b, struct tl_err *err)
{
	static const char *const migration[] = { "number", "name", "sha256" };
	struct tl_arena *a = b->t->arena;
	struct doc *o = doc_object(a), *tail = doc_object(a);
	char host[256] = "";
	enum tl_status st;

	b->contents = o;
	(void)gethostname(host, sizeof(host) - 1);
	doc_set(a, o, "made_by",
		doc_str(a, TL_STR("tallyctl " PACKAGE_VERSION)));
	doc_set(a, o, "taken_at", doc_str(a, b->at.taken_at));
	doc_set(a, o, "host",
		doc_str(a, tl_str_c(tl_arena_strndup(a, host, strlen(host)))));
	doc_set(a, o, "server_version",
		doc_str(a, tl_str_c(b->at.server_version)));
	doc_set(a, o, "database_id", doc_uuid(a, &b->at.database_id));
	doc_set(a, tail, "credits", doc_int(a, (int64_t)b->tail_credits));
	doc_set(a, tail, "requests", doc_int(a, (int64_t)b->tail_requests));
	doc_set(a, tail, "segment", doc_bool(b->at.has_segment));
	doc_set(a, o, "tail", tail);
	st = put_rows(b, "migrations", migration, err);
	if (st == TL_OK)
		st = put_rows(b, "partitions", NULL, err);
	/* Last: they may be ahead of the rows, never behind. */
	return st == TL_OK ? put_rows(b, "sequences", NULL, err) : st;
}

static enum tl_status write_file(struct backup *b, struct tl_err *err)
{
	enum tl_status st;

	st = archive_create(b->path, b->t->arena, &b->out, err);
	if (st == TL_OK)
		st = copy_tables(b, err);
	if (st == TL_OK)
		st = put_tail(b, err);
	if (st == TL_OK)
		st = put_contents(b, err);
	if (st == TL_OK)
		st = archive_finish(b->out, b->contents, err);
	if (st == TL_OK)
		b->bytes = archive_bytes(b->out);
	archive_writer_free(&b->out);
	return st;
}

/* ---- the command ---- */

static enum exit_status report(struct backup *b)
{
	struct tl_arena *a = b->t->arena;
	struct doc *o = doc_object(a);
	bool piped = strcmp(b->path, "-") == 0;

	if (!b->t->json || piped) {
		(void)fprintf(piped ? stderr : stdout,
			      "%s: %" PRIu64 " rows, and %" PRIu64
			      " credits in %" PRIu64
			      " requests on their way to the database; "
			      "%" PRIu64 " bytes\n",
			      b->path, b->rows, b->tail_credits,
			      b->tail_requests, b->bytes);
		return EXIT_OK;
	}
	doc_set(a, o, "file", doc_str(a, tl_str_c(b->path)));
	doc_set(a, o, "taken_at", doc_str(a, b->at.taken_at));
	doc_set(a, o, "rows", doc_int(a, (int64_t)b->rows));
	doc_set(a, o, "tail_credits", doc_int(a, (int64_t)b->tail_credits));
	doc_set(a, o, "tail_requests", doc_int(a, (int64_t)b->tail_requests));
	doc_set(a, o, "bytes", doc_int(a, (int64_t)b->bytes));
	print_json(o);
	return EXIT_OK;
}

static enum exit_status backup_from(struct backup *b, const char *url)
{
	enum tl_status st;
	struct tl_err err;

	st = freeze_take(b->t, url, false, NULL, &b->at, &err);
	if (st == TL_OK)
		st = write_file(b, &err);
	freeze_end(&b->at);
	return st == TL_OK ? report(b) : backup_complain(st, &err);
}

/* The embedded database of a daemon that does not run. */
static enum exit_status backup_stopped(struct backup *b)
{
	struct private_pg *p = NULL;
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;
	int lock = -1;

	if (!private_pg_exists(b->t))
		return complain(EXIT_NOT_RUNNING,
				"no daemon runs and '%s' has no database; "
				"give its configuration by -c, or its state "
				"directory by -s",
				b->t->conf->server.state_dir);
	st = private_lock(b->t, &lock, &err);
	if (st == TL_OK)
		st = private_pg_start(b->t, &p, &err);
	ex = st == TL_OK ? backup_from(b, private_pg_url(p))
			 : backup_complain(st, &err);
	private_pg_stop(&p);
	if (lock >= 0)
		close(lock);
	return ex;
}

static enum exit_status verify(struct tallyctl *t, const char *path)
{
	struct archive a;
	enum tl_status st;
	struct tl_err err;
	uint64_t rows = 0;

	st = archive_open(path, t->arena, &a, &err);
	if (st != TL_OK)
		return complain(EXIT_FAILED, "%s", err.text);
	st = archive_verify(&a, &err);
	archive_close(&a);
	if (st != TL_OK)
		return complain(EXIT_FAILED, "'%s': %s", path, err.text);
	for (uint32_t i = 0; i < a.n_parts; i++)
		rows += a.parts[i].rows;
	if (t->json)
		print_json(a.contents);
	else
		(void)printf("%s is whole: %" PRIu32 " parts, %" PRIu64
			     " rows, taken %s\n",
			     path, a.n_parts, rows,
			     ctl_text(a.contents, "taken_at").ptr);
	return EXIT_OK;
}

enum exit_status cmd_backup(struct tallyctl *t)
{
	struct backup b = { .t = t, .path = ctl_text(t->args, "file").ptr };
	const struct doc *result;
	enum exit_status ex;
	struct tl_err err;
	const char *url;

	if (ctl_flag(t->args, "verify"))
		return verify(t, b.path);
	tl_buf_init(&b.answers);
	tl_buf_init(&b.logs);
	if (t->conf->database.url[0] == '\0' &&
	    daemon_ask(t, "database", ASK_MS, &result, &err) ==
		    TL_UNAVAILABLE) {
		ex = backup_stopped(&b);
	} else {
		ex = db_direct_url(t, &url);
		if (ex == EXIT_OK)
			ex = backup_from(&b, url);
	}
	tl_buf_deinit(&b.answers);
	tl_buf_deinit(&b.logs);
	return ex;
}
