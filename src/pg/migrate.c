/*
 * migrate.c - moving a schema up and down, one transaction a file.
 */
#include "pg/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/mem.h"
#include "base/str.h"
#include "pg/migrate_files.h"
#include "pg/pg_direct.h"
#include "pg/pg_fail.h"
#include "pg/pg_target.h"

/* Any number will do that nobody else takes: "tallyd" in ASCII. */
#define LOCK_SQL   "SELECT pg_advisory_lock(127961779698020)"
#define EXISTS_SQL "SELECT to_regclass('tallyd.schema_migration') IS NOT NULL"
#define LIST_SQL                                                               \
	"SELECT number, name, up_sha256,"                                      \
	" (extract(epoch FROM applied_at) * 1000000)::bigint"                  \
	" FROM tallyd.schema_migration ORDER BY number"
static const char make_sql[] =
	"CREATE SCHEMA IF NOT EXISTS tallyd;"
	"CREATE TABLE IF NOT EXISTS tallyd.schema_migration ("
	" number int PRIMARY KEY, name text NOT NULL,"
	" up_sha256 text NOT NULL,"
	" applied_at timestamptz NOT NULL DEFAULT now())";

struct applied {
	uint32_t number;
	char name[64];
	char up_sha256[MIGRATE_SHA256_TEXT];
	int64_t at_us;
};
struct run { /* one call of this file's public functions */
	PGconn *pq;
	struct migrate_files files;
	struct applied *applied; /* by number */
	uint32_t n_applied;
};

static enum tl_status open_pq(const char *conninfo, PGconn **pq_r,
			      struct tl_err *err)
{
	enum tl_status st =
		pg_direct_open(conninfo, "tallyd migrate", pq_r, err);

	if (st != TL_OK)
		return st;
	/* A role of the name tallyd would make the tables in the schema of
	 * that name otherwise. */
	PQclear(PQexec(*pq_r, "SET search_path TO public"));
	return TL_OK;
}

/* One statement of ours; *res_r may be NULL when nobody wants the rows. */
static enum tl_status ask(PGconn *pq, const char *sql, PGresult **res_r,
			  struct tl_err *err)
{
	PGresult *res = PQexec(pq, sql);
	ExecStatusType got = PQresultStatus(res);
	enum tl_status st = TL_OK;

	if (got != PGRES_COMMAND_OK && got != PGRES_TUPLES_OK)
		st = pg_fail(res, "migrate", err);
	if (st == TL_OK && res_r != NULL)
		*res_r = res;
	else
		PQclear(res);
	return st;
}

/* ---- files ---- */
static enum tl_status fail_in_file(const PGresult *res, const char *path,
				   const char *sql, unsigned statement,
				   struct tl_err *err)
{
	const char *at = PQresultErrorField(res, PG_DIAG_STATEMENT_POSITION);
	struct tl_err inner;
	enum tl_status st;
	char where[300];

	/* The server gives a place for what it reads, none for what it runs. */
	if (at != NULL)
		snprintf(where, sizeof(where), "%.280s:%u", path,
			 migrate_files_line(sql, strtoul(at, NULL, 10)));
	else
		snprintf(where, sizeof(where), "%.260s: statement %u", path,
			 statement);
	st = pg_fail(res, "", &inner);
	return tl_err_set(err, st, "%s%s", where, inner.text);
}

/* All statements of the text; the first error ends it. */
static enum tl_status run_text(PGconn *pq, const char *path, const char *sql,
			       struct tl_err *err)
{
	enum tl_status st = TL_OK;
	unsigned statement = 1;
	PGresult *res;

	if (!PQsendQuery(pq, sql))
		return pg_words(err, TL_UNAVAILABLE, path, PQerrorMessage(pq));
	for (; (res = PQgetResult(pq)) != NULL; statement++) {
		ExecStatusType got = PQresultStatus(res);

		if (got == PGRES_COPY_IN || got == PGRES_COPY_OUT) {
			PQclear(res); /* would wait for data for ever */
			return tl_err_set(err, TL_INVALID,
					  "%s: COPY from or to the client",
					  path);
		}
		if (st == TL_OK && got != PGRES_COMMAND_OK &&
		    got != PGRES_TUPLES_OK && got != PGRES_EMPTY_QUERY)
			st = fail_in_file(res, path, sql, statement, err);
		PQclear(res);
	}
	if (st == TL_OK && PQtransactionStatus(pq) != PQTRANS_INTRANS)
		st = tl_err_set(err, TL_INVALID,
				"%s: ends the transaction it runs in", path);
	return st;
}

/* The file and, in the same transaction, what is noted about it. */
static enum tl_status run_file(PGconn *pq, const char *path, const char *note,
			       struct tl_err *err)
{
	char *sql;
	enum tl_status st = migrate_files_read(path, &sql, err);

	if (st != TL_OK)
		return st;
	st = ask(pq, "BEGIN", NULL, err);
	if (st == TL_OK)
		st = run_text(pq, path, sql, err);
	if (st == TL_OK && note != NULL)
		st = ask(pq, note, NULL, err);
	if (st == TL_OK)
		st = ask(pq, "COMMIT", NULL, err);
	if (st != TL_OK)
		(void)!ask(pq, "ROLLBACK", NULL, NULL);
	tl_free(sql);
	return st;
}

/* ---- what stands in the database ---- */
static enum tl_status read_applied(struct run *r, struct tl_err *err)
{
	PGresult *res = NULL;
	bool exists;
	enum tl_status st = ask(r->pq, EXISTS_SQL, &res, err);

	if (st != TL_OK)
		return st;
	exists = PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	if (!exists)
		return TL_OK;
	st = ask(r->pq, LIST_SQL, &res, err);
	if (st != TL_OK)
		return st;
	r->n_applied = (uint32_t)PQntuples(res);
	r->applied = tl_alloc_array(r->n_applied + 1, sizeof(*r->applied));
	for (int i = 0; i < PQntuples(res); i++) {
		struct applied *a = &r->applied[i];

		a->number = (uint32_t)strtoul(PQgetvalue(res, i, 0), NULL, 10);
		snprintf(a->name, sizeof(a->name), "%s", PQgetvalue(res, i, 1));
		snprintf(a->up_sha256, sizeof(a->up_sha256), "%s",
			 PQgetvalue(res, i, 2));
		a->at_us = strtoll(PQgetvalue(res, i, 3), NULL, 10);
	}
	PQclear(res);
	return TL_OK;
}

static const struct applied *find_applied(const struct run *r, uint32_t number)
{
	for (uint32_t i = 0; i < r->n_applied; i++)
		if (r->applied[i].number == number)
			return &r->applied[i];
	return NULL;
}

static bool changed(const struct migrate_file *f, const struct applied *a)
{
	return a != NULL && strcmp(f->up_sha256, a->up_sha256) != 0;
}

static void run_close(struct run *r)
{
	PQfinish(r->pq); /* and with it the advisory lock */
	migrate_files_deinit(&r->files);
	tl_free(r->applied);
}

static enum tl_status run_open(struct run *r, const char *conninfo,
			       const char *dir, bool lock, struct tl_err *err)
{
	enum tl_status st;

	*r = (struct run){ .pq = NULL };
	st = migrate_files_init(&r->files, dir, err);
	if (st != TL_OK)
		return st;
	st = open_pq(conninfo, &r->pq, err);
	if (st == TL_OK && lock)
		st = ask(r->pq, LOCK_SQL, NULL, err);
	if (st == TL_OK)
		st = read_applied(r, err);
	if (st != TL_OK)
		run_close(r);
	return st;
}

/* ---- up ---- */
/*
 * What is applied and has no file here is left alone: the release before works
 * on the schema of the one after.  A file below the highest applied number was
 * added behind our back, and what came later never saw it.
 */
static enum tl_status check_up(const struct run *r, struct tl_err *err)
{
	uint32_t top =
		r->n_applied > 0 ? r->applied[r->n_applied - 1].number : 0;

	for (uint32_t i = 0; i < r->files.n; i++) {
		const struct migrate_file *f = &r->files.files[i];
		const struct applied *a = find_applied(r, f->number);

		if (changed(f, a))
			return tl_err_set(err, TL_CONFLICT,
					  "%s/%04u_%s.up.sql changed after it "
					  "was applied: add a new migration "
					  "instead",
					  r->files.dir, f->number, f->name);
		if (a == NULL && f->number < top)
			return tl_err_set(err, TL_CONFLICT,
					  "%s/%04u_%s.up.sql is not applied "
					  "but %04u is: give it a higher "
					  "number",
					  r->files.dir, f->number, f->name,
					  top);
	}
	return TL_OK;
}

static enum tl_status apply(struct run *r, const struct migrate_file *f,
			    struct tl_err *err)
{
	char *path = migrate_files_path(&r->files, f, "up");
	/* Both are of characters that need no quoting. */
	char *note = tl_asprintf("INSERT INTO tallyd.schema_migration"
				 " (number, name, up_sha256)"
				 " VALUES (%u, '%s', '%s')",
				 f->number, f->name, f->up_sha256);
	enum tl_status st = run_file(r->pq, path, note, err);

	tl_free(note);
	tl_free(path);
	return st;
}

enum tl_status migrate_up(const char *conninfo, const char *dir, uint32_t to,
			  uint32_t *n_r, struct tl_err *err)
{
	struct run r;
	uint32_t n = 0;
	enum tl_status st = run_open(&r, conninfo, dir, true, err);

	if (st != TL_OK)
		return st;
	st = check_up(&r, err);
	if (st == TL_OK)
		st = ask(r.pq, make_sql, NULL, err);
	for (uint32_t i = 0; st == TL_OK && i < r.files.n; i++) {
		const struct migrate_file *f = &r.files.files[i];

		if (f->number > to || find_applied(&r, f->number) != NULL)
			continue;
		st = apply(&r, f, err);
		n++;
	}
	run_close(&r);
	if (st == TL_OK)
		*n_r = n;
	return st;
}

/* ---- down ---- */
static enum tl_status revert(struct run *r, const struct applied *a,
			     struct tl_err *err)
{
	const struct migrate_file *f = migrate_files_find(&r->files, a->number);
	char *path, *note;
	enum tl_status st;

	if (f == NULL)
		return tl_err_set(err, TL_NOT_FOUND,
				  "no files for migration %04u_%s in '%s'",
				  a->number, a->name, r->files.dir);
	path = migrate_files_path(&r->files, f, "down");
	note = tl_asprintf("DELETE FROM tallyd.schema_migration"
			   " WHERE number = %u",
			   a->number);
	st = run_file(r->pq, path, note, err);
	tl_free(note);
	tl_free(path);
	return st;
}

/* The schema goes only when nothing else lives there. */
static enum tl_status remove_own_table(PGconn *pq, struct tl_err *err)
{
	PGresult *res = NULL;
	bool empty;
	enum tl_status st;

	st = ask(pq, "DROP TABLE IF EXISTS tallyd.schema_migration", NULL, err);
	if (st == TL_OK)
		st = ask(pq,
			 "SELECT NOT EXISTS (SELECT FROM pg_class WHERE"
			 " relnamespace = n.oid) AND NOT EXISTS (SELECT FROM"
			 " pg_proc WHERE pronamespace = n.oid) AND NOT EXISTS"
			 " (SELECT FROM pg_type WHERE typnamespace = n.oid)"
			 " FROM pg_namespace n WHERE nspname = 'tallyd'",
			 &res, err);
	if (st != TL_OK)
		return st;
	empty = PQntuples(res) == 1 && PQgetvalue(res, 0, 0)[0] == 't';
	PQclear(res);
	return empty ? ask(pq, "DROP SCHEMA tallyd", NULL, err) : TL_OK;
}

enum tl_status migrate_down(const char *conninfo, const char *dir, uint32_t to,
			    uint32_t *n_r, struct tl_err *err)
{
	struct run r;
	uint32_t n = 0;
	enum tl_status st = run_open(&r, conninfo, dir, true, err);

	if (st != TL_OK)
		return st;
	for (uint32_t i = r.n_applied; st == TL_OK && i-- > 0;) {
		if (r.applied[i].number <= to)
			break;
		st = revert(&r, &r.applied[i], err);
		n++;
	}
	if (st == TL_OK && to == 0)
		st = remove_own_table(r.pq, err);
	run_close(&r);
	if (st == TL_OK)
		*n_r = n;
	return st;
}

/* ---- looking ---- */
static void add_step(struct migrate_list *list, uint32_t number,
		     const char *name, const struct applied *a, bool is_changed)
{
	struct migrate_step *step = &list->steps[list->n++];

	step->number = number;
	snprintf(step->name, sizeof(step->name), "%s", name);
	step->applied = a != NULL;
	step->changed = is_changed;
	step->applied_at_us = a != NULL ? a->at_us : 0;
}

/* Files and rows in one order; what has no file here is listed as well. */
enum tl_status migrate_status(const char *conninfo, const char *dir,
			      struct migrate_list *list_r, struct tl_err *err)
{
	struct migrate_list list = { .n = 0 };
	uint32_t i = 0, j = 0;
	struct run r;
	enum tl_status st = run_open(&r, conninfo, dir, false, err);

	if (st != TL_OK)
		return st;
	list.steps = tl_alloc_array(r.files.n + r.n_applied + 1,
				    sizeof(*list.steps));
	while (i < r.files.n || j < r.n_applied) {
		const struct migrate_file *f =
			i < r.files.n ? &r.files.files[i] : NULL;
		const struct applied *a =
			j < r.n_applied ? &r.applied[j] : NULL;

		if (f != NULL && a != NULL && f->number == a->number) {
			add_step(&list, f->number, f->name, a, changed(f, a));
			i++;
			j++;
		} else if (a == NULL || (f != NULL && f->number < a->number)) {
			add_step(&list, f->number, f->name, NULL, false);
			i++;
		} else {
			add_step(&list, a->number, a->name, a, false);
			j++;
		}
	}
	run_close(&r);
	*list_r = list;
	return TL_OK;
}

void migrate_list_deinit(struct migrate_list *l)
{
	tl_freep(&l->steps);
	l->n = 0;
}

enum tl_status migrate_check(const char *conninfo, const char *dir,
			     bool *current_r, struct tl_err *err)
{
	struct run r;
	bool current = true;
	enum tl_status st = run_open(&r, conninfo, dir, false, err);

	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; i < r.files.n; i++)
		current = current &&
			  find_applied(&r, r.files.files[i].number) != NULL;
	run_close(&r);
	*current_r = current;
	return TL_OK;
}

enum tl_status migrate_run_file(const char *conninfo, const char *path,
				struct tl_err *err)
{
	PGconn *pq;
	enum tl_status st = open_pq(conninfo, &pq, err);

	if (st != TL_OK)
		return st;
	st = run_file(pq, path, NULL, err);
	PQfinish(pq);
	return st;
}
