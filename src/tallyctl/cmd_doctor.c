/*
 * cmd_doctor.c - doctor: is everything in order, and what to do if not.
 *
 * One finding a line; the books last, for their difference is what counts.
 * Works beside a running daemon, a hung one, and when it is stopped: then its
 * embedded database runs for the time of this command.
 */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "tallyctl/db.h"
#include "tallyctl/doctor.h"
#include "tallyctl/private_pg.h"

#define ASK_MS 2000

void doctor_say(struct doctor *d, enum doctor_level level, const char *name,
		const char *fmt, ...)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };
	struct tl_arena *a = d->t->arena;
	struct doc *o = doc_object(a);
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->n[level]++;
	doc_set(a, o, "level", doc_str(a, tl_str_c(words[level])));
	doc_set(a, o, "name", doc_str(a, tl_str_c(name)));
	doc_set(a, o, "text",
		doc_str(a, tl_str_c(tl_arena_strndup(a, text, strlen(text)))));
	doc_push(a, d->findings, o);
	if (d->t->json)
		return;
	(void)printf("%-4s  %-15s %s\n", words[level], name, text);
	(void)fflush(stdout);
}

/* ---- which database ---- */

static void look_into(struct doctor *d, const char *url)
{
	if (doctor_database(d, url))
		doctor_books(d, url);
}

/* The embedded database of a daemon that does not run. */
static void look_into_private(struct doctor *d)
{
	struct private_pg *p = NULL;
	enum tl_status st;
	struct tl_err err;
	int lock = -1;

	if (!private_pg_exists(d->t)) {
		d->database_away = true;
		doctor_say(d, DOCTOR_FAIL, "database",
			   "no daemon runs and '%s' has no database; start "
			   "tallyd, or give its configuration by -c",
			   d->t->conf->server.state_dir);
		return;
	}
	st = private_lock(d->t, &lock, &err);
	if (st == TL_OK)
		st = private_pg_start(d->t, &p, &err);
	if (st == TL_OK) {
		look_into(d, private_pg_url(p));
	} else {
		d->database_away = true;
		doctor_say(d, DOCTOR_FAIL, "database", "%s", err.text);
	}
	private_pg_stop(&p);
	if (lock >= 0)
		close(lock);
}

static void databases(struct doctor *d, enum tl_status daemon,
		      const char *trouble)
{
	const struct doc *result, *url;
	const char *text = NULL;
	struct tl_err err;

	if (d->t->conf->database.url[0] != '\0') {
		if (db_direct_url(d->t, &text) == EXIT_OK)
			look_into(d, text);
		return;
	}
	if (daemon == TL_UNAVAILABLE && !d->running) {
		look_into_private(d);
		return;
	}
	if (daemon != TL_OK ||
	    daemon_ask(d->t, "database", ASK_MS, &result, &err) != TL_OK ||
	    (url = doc_get(result, "direct_url")) == NULL ||
	    url->type != DOC_STR) {
		d->database_away = true;
		doctor_say(d, DOCTOR_FAIL, "database",
			   "it is embedded and only the daemon knows how to "
			   "reach it, which does not answer: %s",
			   daemon != TL_OK ? trouble : err.text);
		return;
	}
	look_into(d, url->str.ptr);
}

/* ---- the daemon ---- */

static void daemon_finding(struct doctor *d, enum tl_status st,
			   const struct doc *answer, const char *trouble)
{
	const struct doc *version;

	if (st == TL_OK) {
		version = doc_get(answer, "version");
		if (version != NULL && version->type == DOC_STR &&
		    !tl_str_eq(version->str, TL_STR(PACKAGE_VERSION)))
			doctor_say(d, DOCTOR_WARN, "daemon",
				   "runs release %.*s, this is tallyctl "
				   "%s; restart tallyd",
				   (int)version->str.len, version->str.ptr,
				   PACKAGE_VERSION);
		else
			doctor_say(d, DOCTOR_OK, "daemon", "runs and answers");
		return;
	}
	if (d->running)
		doctor_say(d, DOCTOR_FAIL, "daemon",
			   "its processes live, but its master does not "
			   "answer: %s",
			   trouble);
	else
		doctor_say(d, DOCTOR_WARN, "daemon", "does not run");
}

/* ---- the end ---- */

static const struct doc *difference_doc(const struct doctor *d)
{
	struct tl_arena *a = d->t->arena;
	struct doc *o = doc_object(a);

	if (!d->compared)
		return doc_null();
	doc_set(a, o, "credits",
		doc_int(a, (int64_t)d->difference[SHM_CREDITS]));
	doc_set(a, o, "requests",
		doc_int(a, (int64_t)d->difference[SHM_REQUESTS]));
	doc_set(a, o, "cost_micro_usd",
		doc_int(a, (int64_t)d->difference[SHM_COST]));
	return o;
}

static void print_end(const struct doctor *d)
{
	struct tl_arena *a = d->t->arena;
	struct doc *o = doc_object(a);

	if (!d->t->json) {
		if (d->compared)
			(void)printf("difference: %" PRIu64 " credits, %" PRIu64
				     " requests, %" PRIu64 " micro-USD\n",
				     d->difference[SHM_CREDITS],
				     d->difference[SHM_REQUESTS],
				     d->difference[SHM_COST]);
		else
			(void)puts("difference: not known");
		return;
	}
	doc_set(a, o, "findings", d->findings);
	doc_set(a, o, "warnings", doc_int(a, d->n[DOCTOR_WARN]));
	doc_set(a, o, "failures", doc_int(a, d->n[DOCTOR_FAIL]));
	doc_set(a, o, "difference", difference_doc(d));
	print_json(o);
}

enum exit_status cmd_doctor(struct tallyctl *t)
{
	struct doctor d = { .t = t, .findings = doc_array(t->arena) };
	const struct doc *answer = doc_null();
	struct tl_err err = { 0 }, none;
	struct shm *s = NULL;
	enum tl_status st, open;
	uint64_t pid;

	doctor_settings(&d);
	open = shm_open_reader(t->conf->server.instance, &s, &none);
	st = daemon_ask(t, "status", ASK_MS, &answer, &err);
	d.running = st == TL_OK || (s != NULL && shm_slots_alive(s, &pid));
	daemon_finding(&d, st, answer, err.text);
	doctor_host(&d, s);
	if (open != TL_OK && open != TL_NOT_FOUND)
		doctor_say(&d, DOCTOR_FAIL, "segment", "%s", none.text);
	else
		doctor_segment(&d, s);
	shm_close(&s);
	databases(&d, st, err.text);
	print_end(&d);
	if (d.n[DOCTOR_FAIL] == 0)
		return EXIT_OK;
	return d.database_away ? EXIT_DATABASE : EXIT_FAILED;
}
