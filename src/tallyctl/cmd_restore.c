/*
 * cmd_restore.c - restore: a backup becomes the database of this state
 * directory, or the external one that database.url names.
 *
 * Checked before anything is touched: the file from end to end, that this
 * release has each of its migrations, that no daemon runs, that the database
 * is empty.  Then migrations make the schema that the backup had (a newer one
 * follows at the daemon's next start), and one transaction brings the rows,
 * adds what was on its way to the database, and gives the database a new
 * identity: it is another one from here on, and what an old segment or spool
 * still holds belongs to the old one.  Hence those go, or are put aside.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/paths.h"
#include "pg/migrate.h"
#include "pg/migrate_files.h"
#include "shm/usage.h"
#include "tallyctl/archive.h"
#include "tallyctl/backup.h"
#include "tallyctl/db.h"
#include "tallyctl/private_pg.h"

struct restore {
	struct tallyctl *t;
	struct archive a;
	const char *path;
	struct bulk *db;
	uint32_t schema; /* the highest migration of the backup */
	uint64_t rows;
	struct tl_str database_id;
	const char *aside; /* where the spool is now; NULL: none was */
	uint64_t dropped;  /* credits of the old segment */
};

/* ---- the file ---- */

static enum tl_status check_migration(struct restore *r,
				      const struct migrate_files *files,
				      const struct doc *m, struct tl_err *err)
{
	struct tl_str number = ctl_text(m, "number"),
		      sha = ctl_text(m, "sha256");
	const struct migrate_file *f;
	int64_t n;

	if (!tl_parse_i64(number, 1, INT32_MAX, &n))
		return tl_err_set(err, TL_BROKEN,
				  "a migration of the backup has no number");
	f = migrate_files_find(files, (uint32_t)n);
	if (f == NULL)
		return tl_err_set(err, TL_VERSION,
				  "the backup has schema migration %04u (%s), "
				  "which this release does not know; use the "
				  "release that made it, or a later one",
				  (unsigned)n, ctl_text(m, "name").ptr);
	if (!tl_str_eq(sha, tl_str_c(f->up_sha256)))
		return tl_err_set(err, TL_VERSION,
				  "schema migration %04u (%s) is not the one "
				  "that the backup was made with",
				  (unsigned)n, f->name);
	r->schema = (uint32_t)n > r->schema ? (uint32_t)n : r->schema;
	return TL_OK;
}

static char *migrations_dir(struct restore *r)
{
	return tl_arena_printf(r->t->arena, "%s/migrations", tl_datadir());
}

static enum tl_status check_schema(struct restore *r, struct tl_err *err)
{
	const struct doc *list = doc_get(r->a.contents, "migrations");
	struct migrate_files files;
	enum tl_status st;

	if (list == NULL || list->type != DOC_ARRAY || list->n == 0)
		return tl_err_set(err, TL_BROKEN,
				  "the backup names no schema migrations");
	st = migrate_files_init(&files, migrations_dir(r), err);
	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; st == TL_OK && i < list->n; i++)
		st = check_migration(r, &files, list->items[i], err);
	migrate_files_deinit(&files);
	return st;
}

static enum tl_status check_file(struct restore *r, struct tl_err *err)
{
	enum tl_status st = archive_verify(&r->a, err);

	if (st == TL_OK && (archive_find(&r->a, BACKUP_USAGE) == NULL ||
			    archive_find(&r->a, BACKUP_ANSWER) == NULL ||
			    archive_find(&r->a, BACKUP_LOG) == NULL))
		st = tl_err_set(err, TL_BROKEN, "its tail is missing");
	return st == TL_OK ? check_schema(r, err) : st;
}

/* ---- the target ---- */

/* The lock is ours, so no master lives; its workers may, for a moment. */
static enum tl_status check_processes(struct restore *r, struct tl_err *err)
{
	struct shm *s = NULL;
	uint64_t pid = 0;
	bool alive;

	if (shm_open_reader(r->t->conf->server.instance, &s, NULL) != TL_OK)
		return TL_OK;
	alive = shm_slots_alive(s, &pid);
	shm_close(&s);
	if (!alive)
		return TL_OK;
	return tl_err_set(err, TL_BUSY,
			  "process %" PRIu64 " of a daemon that ended still "
			  "runs; wait until it is gone",
			  pid);
}

static enum tl_status check_empty(struct restore *r, struct tl_err *err)
{
	struct bulk_rows rows;
	enum tl_status st;

	st = backup_file(r->t, r->db, "look", &rows, err);
	if (st != TL_OK)
		return st;
	if (rows.n != 1 || rows.n_columns != 2)
		return tl_err_set(err, TL_BROKEN, "no answer to a question");
	if (!tl_str_eq(rows.values[1], TL_STR("0")))
		return tl_err_set(err, TL_BUSY,
				  "a tallyd is connected to the database; stop "
				  "it first");
	if (rows.values[0].len == 0)
		return TL_OK;
	if (!ctl_flag(r->t->args, "clean"))
		return tl_err_set(err, TL_EXISTS,
				  "the database is not empty (table %s); with "
				  "--clean all that it holds is lost and the "
				  "backup takes its place",
				  rows.values[0].ptr);
	return backup_file(r->t, r->db, "clean", NULL, err);
}

/* ---- the rows ---- */

static enum tl_status run_all(struct restore *r, const char *member,
			      struct tl_err *err)
{
	const struct doc *list = doc_get(r->a.contents, member);
	enum tl_status st = TL_OK;

	for (uint32_t i = 0; st == TL_OK && list != NULL &&
			     list->type == DOC_ARRAY && i < list->n;
	     i++) {
		if (list->items[i]->type == DOC_STR)
			st = bulk_run(r->db, list->items[i]->str.ptr, member,
				      err);
	}
	return st;
}

static enum tl_status copy_part(struct restore *r,
				const struct archive_part *part,
				const char *what, struct tl_err *err)
{
	archive_seek(&r->a, part);
	return bulk_copy_in(r->db, what, archive_read, &r->a, err);
}

static enum tl_status copy_tables(struct restore *r, struct tl_err *err)
{
	const size_t skip = sizeof(BACKUP_TABLE) - 1;
	enum tl_status st = TL_OK;

	for (uint32_t i = 0; st == TL_OK && i < r->a.n_parts; i++) {
		const struct archive_part *part = &r->a.parts[i];

		if (strncmp(part->name, BACKUP_TABLE, skip) != 0)
			continue;
		st = copy_part(r, part, part->name + skip, err);
		r->rows += part->rows;
	}
	return st;
}

static enum tl_status load(struct restore *r, struct tl_err *err)
{
	struct bulk_rows rows = { 0 };
	enum tl_status st;

	st = backup_file(r->t, r->db, "begin", NULL, err);
	if (st == TL_OK)
		st = run_all(r, "partitions", err);
	if (st == TL_OK)
		st = copy_tables(r, err);
	if (st == TL_OK)
		st = run_all(r, "sequences", err);
	if (st == TL_OK)
		st = copy_part(r, archive_find(&r->a, BACKUP_USAGE),
			       "pg_temp.tail_usage", err);
	if (st == TL_OK)
		st = copy_part(r, archive_find(&r->a, BACKUP_ANSWER),
			       "pg_temp.tail_answer", err);
	if (st == TL_OK)
		st = copy_part(r, archive_find(&r->a, BACKUP_LOG),
			       "pg_temp.tail_log", err);
	if (st == TL_OK)
		st = backup_file(r->t, r->db, "finish", &rows, err);
	if (st == TL_OK && rows.n == 1)
		r->database_id = rows.values[0];
	return st;
}

/* ---- what belonged to the database before ---- */

static enum tl_status spool_aside(struct restore *r, struct tl_err *err)
{
	const char *dir = r->t->conf->server.state_dir;
	char *from = tl_arena_printf(r->t->arena, "%s/spool", dir);
	time_t now = time(NULL);
	char stamp[32];
	struct tm tm;
	char *to;

	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	to = tl_arena_printf(r->t->arena, "%s/spool.before-%s", dir, stamp);
	if (rmdir(from) == 0 || errno == ENOENT)
		return TL_OK; /* it held nothing */
	if (rename(from, to) < 0)
		return tl_err_sys(err, "rename '%s'", from);
	r->aside = to;
	return TL_OK;
}

static void drop_segment(struct restore *r)
{
	const char *instance = r->t->conf->server.instance;
	uint64_t total[SHM_METRICS], keys;
	struct shm *s = NULL;

	if (shm_open_reader(instance, &s, NULL) == TL_OK) {
		shm_pending(s, total, &keys);
		r->dropped = total[SHM_CREDITS];
	}
	shm_close(&s);
	shm_remove(instance);
}

static enum tl_status leave_old(struct restore *r, struct tl_err *err)
{
	drop_segment(r);
	(void)unlink(tl_arena_printf(r->t->arena, "%s/database_id",
				     r->t->conf->server.state_dir));
	return spool_aside(r, err);
}

/* ---- the command ---- */

static void report(struct restore *r)
{
	struct tl_arena *a = r->t->arena;
	struct doc *o = doc_object(a);

	if (r->t->json) {
		doc_set(a, o, "file", doc_str(a, tl_str_c(r->path)));
		doc_set(a, o, "rows", doc_int(a, (int64_t)r->rows));
		doc_set(a, o, "database_id", doc_str(a, r->database_id));
		doc_set(a, o, "spool_aside",
			r->aside != NULL ? doc_str(a, tl_str_c(r->aside))
					 : doc_null());
		doc_set(a, o, "dropped_credits",
			doc_int(a, (int64_t)r->dropped));
		print_json(o);
		return;
	}
	(void)printf("restored %" PRIu64 " rows from %s, taken %s; the "
		     "database is %s now\n",
		     r->rows, r->path, ctl_text(r->a.contents, "taken_at").ptr,
		     r->database_id.ptr);
	if (r->aside != NULL)
		(void)printf("usage that waited for the database before is in "
			     "'%s' and is not delivered\n",
			     r->aside);
	if (r->dropped > 0)
		(void)printf("%" PRIu64 " credits in the segment belonged to "
			     "the database before and are dropped\n",
			     r->dropped);
}

static enum tl_status restore_to(struct restore *r, const char *url,
				 struct tl_err *err)
{
	bool emptied = false;
	uint32_t n;
	enum tl_status st;

	st = bulk_open(url, &r->db, err);
	if (st == TL_OK)
		st = check_empty(r, err);
	if (st == TL_OK) {
		emptied = true;
		st = migrate_up(url, migrations_dir(r), r->schema, &n, err);
	}
	if (st == TL_OK)
		st = load(r, err);
	bulk_close(&r->db);
	if (st == TL_OK)
		return leave_old(r, err);
	if (emptied)
		return tl_err_wrap(err,
				   "not restored, and the database is empty "
				   "now; mend the cause and restore again");
	return st;
}

static enum exit_status restore_locked(struct restore *r)
{
	struct private_pg *p = NULL;
	enum exit_status ex = EXIT_OK;
	enum tl_status st;
	struct tl_err err;
	const char *url;

	st = check_processes(r, &err);
	if (st == TL_OK && r->t->conf->database.url[0] == '\0') {
		st = private_pg_start(r->t, &p, &err);
		if (st == TL_OK)
			st = restore_to(r, private_pg_url(p), &err);
	} else if (st == TL_OK) {
		ex = db_direct_url(r->t, &url);
		if (ex == EXIT_OK)
			st = restore_to(r, url, &err);
	}
	private_pg_stop(&p);
	if (ex != EXIT_OK)
		return ex;
	if (st != TL_OK)
		return backup_complain(st, &err);
	report(r);
	return EXIT_OK;
}

enum exit_status cmd_restore(struct tallyctl *t)
{
	struct restore r = { .t = t, .path = ctl_text(t->args, "file").ptr };
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;
	int lock = -1;

	if (strcmp(r.path, "-") == 0)
		return complain(EXIT_USAGE, "a backup is read from a file, "
					    "which is checked before anything "
					    "is changed");
	st = archive_open(r.path, t->arena, &r.a, &err);
	if (st != TL_OK)
		return complain(EXIT_FAILED, "%s; nothing was changed",
				err.text);
	st = check_file(&r, &err);
	if (st != TL_OK) {
		archive_close(&r.a);
		return complain(EXIT_FAILED, "'%s': %s; nothing was changed",
				r.path, err.text);
	}
	st = private_lock(t, &lock, &err);
	ex = st == TL_OK ? restore_locked(&r)
			 : complain(EXIT_FAILED, "%s", err.text);
	if (lock >= 0)
		close(lock);
	archive_close(&r.a);
	return ex;
}
