/*
 * cmd_import.c - key import: keys of another product by their hashes.
 *
 * One transaction for the whole file, some thousands of rows a statement.  A
 * hash that its owner has already is counted and left alone, so whatever went
 * wrong, the same file can be imported again.
 *
 * A daemon remembers for a few seconds that a key is unknown.  Those that were
 * tried before the import are waited for, so that each key of the file is good
 * here when the command returns (other hosts: within those seconds).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "pg/pg.h"
#include "shm/entries.h"
#include "store/q_users.h"
#include "tally/input.h"
#include "tallyctl/db.h"
#include "tallyctl/import_piece.h"
#include "tallyctl/import_row.h"
#include "tallyctl/import_seen.h"
#include "tallyctl/key_input.h"
#include "tallyctl/tallyctl.h"

#define BAD_SHOWN     20
#define WATCH_MS      10000
#define WATCH_STEP_MS 20

struct import {
	struct tallyctl *t;
	struct tl_str user, plan; /* len 0: not given */
	bool skip_bad, dry_run;
	struct import_reader reader;
	struct import_seen seen;
	struct import_piece *piece;
	struct tl_buf bad_words; /* the first of them, a line each */
	uint64_t made, held, users, bad;
};

/* ---- bad lines ---- */

static void bad_line(struct import *im, uint32_t line, const char *why)
{
	im->bad++;
	if (im->skip_bad)
		(void)fprintf(stderr, "tallyctl: line %" PRIu32 ": %s\n", line,
			      why);
	else if (im->bad <= BAD_SHOWN)
		tl_buf_addf(&im->bad_words, "tallyctl: line %" PRIu32 ": %s\n",
			    line, why);
}

static const char *why_text(struct tl_str why)
{
	if (tl_str_eq(why, TL_STR("no_user")))
		return "there is no user of that e-mail; give --plan to have "
		       "new users made";
	return "another user has a key of this hash";
}

/* Nothing will be kept: no need to ask the database for more. */
static bool lost(const struct import *im)
{
	return im->bad > 0 && !im->skip_bad;
}

/* ---- into the database ---- */

static enum tl_status send_piece(struct pg *tx, struct import *im,
				 struct tl_err *err)
{
	struct q_key_import_params p = import_piece_params(im->piece);
	const struct tl_str *whys;
	struct q_key_import_row row;
	const int32_t *lines;
	enum tl_status st;

	p.plan = im->plan.len > 0 ? &im->plan : NULL;
	st = q_key_import(tx, &p, &im->piece->arena, &row, err);
	if (st == TL_CONFLICT && strcmp(pg_err_sqlstate(err), "TL003") == 0)
		return tl_err_set(err, TL_NOT_FOUND, "there is no plan '%.*s'",
				  (int)im->plan.len, im->plan.ptr);
	if (st != TL_OK)
		return st;
	im->made += (uint64_t)row.made;
	im->held += (uint64_t)row.held;
	im->users += (uint64_t)row.users_made;
	lines = row.bad_lines.items;
	whys = row.bad_whys.items;
	for (uint32_t i = 0; i < row.bad_lines.n; i++)
		bad_line(im, (uint32_t)lines[i], why_text(whys[i]));
	import_piece_reset(im->piece);
	return TL_OK;
}

static void take_row(struct import *im, struct import_row *row)
{
	char words[80];
	uint32_t before;

	if (row->email.len == 0)
		row->email = im->user;
	if (row->email.len == 0) {
		bad_line(im, row->line, "no e-mail of an owner; give --user");
		return;
	}
	before = import_seen_add(&im->seen, &row->digest, row->line);
	if (before != 0) {
		snprintf(words, sizeof(words),
			 "the same hash as on line %" PRIu32, before);
		bad_line(im, row->line, words);
		return;
	}
	if (!lost(im))
		import_piece_add(im->piece, row);
}

static enum tl_status leave_note(struct pg *tx, struct import *im,
				 struct tl_err *err)
{
	struct tl_buf b;
	uint64_t n;
	enum tl_status st;

	tl_buf_init(&b);
	tl_buf_addf(&b,
		    "%" PRIu64 " keys, %" PRIu64 " were there, %" PRIu64
		    " users made, %" PRIu64 " lines left out",
		    im->made, im->held, im->users, im->bad);
	st = q_key_import_note(tx, tl_buf_str(&b), &n, err);
	tl_buf_deinit(&b);
	return st;
}

/* All lines; then TL_CANCELED when nothing is to be kept. */
static enum tl_status read_all(struct pg *tx, void *arg, struct tl_err *err)
{
	struct import *im = arg;
	struct import_row row;
	enum tl_status st;

	while (!lost(im) || im->bad < BAD_SHOWN) {
		st = import_next(&im->reader, &im->piece->arena, &row, err);
		if (st == TL_NOT_FOUND)
			break;
		if (st == TL_INVALID)
			bad_line(im, row.line, err->text);
		else if (st == TL_OK)
			take_row(im, &row);
		else
			return st;
		if (im->piece->n == IMPORT_PIECE_ROWS && !lost(im)) {
			st = send_piece(tx, im, err);
			if (st != TL_OK)
				return st;
		} else if (lost(im)) {
			import_piece_reset(im->piece);
		}
	}
	st = im->piece->n > 0 && !lost(im) ? send_piece(tx, im, err) : TL_OK;
	if (st == TL_OK && (lost(im) || im->dry_run))
		return tl_err_set(err, TL_CANCELED, "nothing is kept");
	return st == TL_OK ? leave_note(tx, im, err) : st;
}

static enum tl_status run_import(struct pg *pg, void *arg, struct tl_err *err)
{
	struct q_user_find_by_email_row row;
	struct import *im = arg;
	enum tl_status st;

	if (im->user.len > 0 && im->plan.len == 0) {
		/* One answer in place of one for each line. */
		st = q_user_find_by_email(pg, im->user, im->t->arena, &row,
					  err);
		if (st == TL_NOT_FOUND)
			return tl_err_set(err, TL_NOT_FOUND,
					  "there is no user '%.*s'; make one "
					  "with 'tallyctl user create', or "
					  "give --plan",
					  (int)im->user.len, im->user.ptr);
		if (st != TL_OK)
			return st;
	}
	st = pg_transaction(pg, read_all, im, err);
	return st == TL_CANCELED ? TL_OK : st;
}

/* ---- the daemon's memory of unknown keys ---- */

static bool unknown(const struct shm *s, const struct tally_digest *d)
{
	return shm_negative_look(s, d, tl_mono_ms()) != SHM_NEG_NONE;
}

/* False: a key is asked for again and again, and still not found. */
static bool watch(const struct import *im, const struct shm *s)
{
	static const struct timespec step = { 0, WATCH_STEP_MS * 1000000L };
	uint64_t due_mono_ms = tl_mono_ms() + WATCH_MS, pid;

	for (uint32_t i = 0; i < im->seen.cap; i++) {
		const struct import_seen_entry *e = &im->seen.entries[i];

		while (e->line != 0 && unknown(s, &e->digest)) {
			if (tl_mono_ms() >= due_mono_ms)
				return false;
			if (!shm_slots_alive(s, &pid))
				return true;
			(void)nanosleep(&step, NULL);
		}
	}
	return true;
}

static enum exit_status await_daemon(const struct import *im)
{
	struct shm *s = NULL;
	bool good;

	/* No segment, or one of another release: nobody to wait for. */
	if (shm_open_reader(im->t->conf->server.instance, &s, NULL) != TL_OK)
		return EXIT_OK;
	good = watch(im, s);
	shm_close(&s);
	if (good)
		return EXIT_OK;
	return complain(EXIT_FAILED,
			"the keys are in the database, but the daemon still "
			"takes one of them for unknown after %d ms; see "
			"'tallyctl status'",
			WATCH_MS);
}

/* ---- the command ---- */

static void report(const struct import *im)
{
	struct tl_arena *a = im->t->arena;
	struct doc *o = doc_object(a);

	if (!im->t->json) {
		(void)printf("%s%" PRIu64 " keys imported, %" PRIu64
			     " were there already, %" PRIu64 " users made, "
			     "%" PRIu64 " lines left out\n",
			     im->dry_run ? "dry run, nothing is kept: " : "",
			     im->made, im->held, im->users, im->bad);
		return;
	}
	doc_set(a, o, "imported", doc_int(a, (int64_t)im->made));
	doc_set(a, o, "held", doc_int(a, (int64_t)im->held));
	doc_set(a, o, "users", doc_int(a, (int64_t)im->users));
	doc_set(a, o, "bad", doc_int(a, (int64_t)im->bad));
	doc_set(a, o, "dry_run", doc_bool(im->dry_run));
	print_json(o);
}

static enum exit_status import(struct import *im)
{
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;

	ex = db_run_long(im->t, run_import, im, &st, &err);
	if (ex == EXIT_OK && st != TL_OK)
		ex = complain(st == TL_NOT_FOUND ? EXIT_NOT_FOUND : EXIT_FAILED,
			      "%s; nothing was imported", err.text);
	if (ex != EXIT_OK)
		return ex;
	if (lost(im)) {
		(void)fputs(im->bad_words.ptr, stderr);
		return complain(EXIT_FAILED,
				"nothing was imported: mend the lines, or "
				"leave them out with --skip-bad%s",
				im->bad >= BAD_SHOWN ? " (there may be more "
						       "bad ones)"
						     : "");
	}
	if (!im->dry_run && im->made > 0)
		ex = await_daemon(im);
	report(im);
	return im->bad > 0 ? EXIT_FAILED : ex;
}

static enum exit_status read_options(struct import *im,
				     enum import_format *format_r)
{
	struct tl_str format = ctl_text(im->t->args, "format");
	struct tl_err err;

	*format_r = IMPORT_GUESS;
	if (tl_str_eq(format, TL_STR("csv")))
		*format_r = IMPORT_CSV;
	else if (tl_str_eq(format, TL_STR("jsonl")))
		*format_r = IMPORT_JSONL;
	else if (format.ptr != NULL)
		return complain(EXIT_USAGE, "--format is csv or jsonl");
	im->user = ctl_text(im->t->args, "user");
	im->plan = ctl_text(im->t->args, "plan");
	im->skip_bad = ctl_flag(im->t->args, "skip_bad");
	im->dry_run = ctl_flag(im->t->args, "dry_run");
	if (im->user.ptr != NULL && tally_email_check(im->user, &err) != TL_OK)
		return complain(EXIT_USAGE, "--user: %s", err.text);
	if (im->plan.ptr != NULL && im->plan.len == 0)
		return complain(EXIT_USAGE, "--plan needs the name of a plan");
	return EXIT_OK;
}

enum exit_status cmd_key_import(struct tallyctl *t)
{
	const char *path = ctl_text(t->args, "file").ptr;
	bool standard = strcmp(path, "-") == 0;
	struct import im = { .t = t };
	enum import_format format;
	enum exit_status ex;
	FILE *f;

	ex = read_options(&im, &format);
	if (ex != EXIT_OK)
		return ex;
	f = standard ? stdin : fopen(path, "re");
	if (f == NULL)
		return complain(EXIT_FAILED, "cannot open '%s': %s", path,
				strerror(errno));
	import_reader_init(&im.reader, f, format);
	import_seen_init(&im.seen);
	tl_buf_init(&im.bad_words);
	im.piece = import_piece_new();
	ex = import(&im);
	import_piece_free(&im.piece);
	tl_buf_deinit(&im.bad_words);
	import_seen_deinit(&im.seen);
	import_reader_deinit(&im.reader);
	if (!standard)
		fclose(f);
	return ex;
}
