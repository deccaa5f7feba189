/*
 * cmd_status.c - status and stats: the segment as it is, and what the master
 * says of itself when it answers.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tallyctl/tallyctl.h"
#include "tallyctl/view.h"

#define ASK_MS 1500

enum exit_status cmd_stats(struct tallyctl *t)
{
	struct shm *shm = NULL;
	const struct doc *d;
	enum exit_status ex;

	ex = segment_open(t, &shm);
	if (ex != EXIT_OK)
		return ex;
	d = view_stats(shm, t->arena);
	shm_close(&shm);
	if (t->json) {
		print_json(d);
		return EXIT_OK;
	}
	for (uint32_t i = 0; i < d->n; i++)
		(void)printf("%-24.*s %20" PRId64 "\n",
			     (int)d->members[i].name.len,
			     d->members[i].name.ptr, d->members[i].value->i);
	return EXIT_OK;
}

/* ---- for people ---- */

static void print_daemon(struct tallyctl *t, const struct doc *o)
{
	const struct doc *d = doc_get(o, "daemon");

	if (d->type != DOC_OBJECT) {
		(void)printf("daemon    %s\n", member_text(o, "trouble"));
		return;
	}
	(void)printf("daemon    %s, tallyd %s, pid %" PRId64 ", up %s, "
		     "configuration %" PRId64 " of '%s'\n",
		     member_text(d, "state"), member_text(d, "version"),
		     member_number(d, "pid"),
		     span_text(t->arena, member_number(d, "uptime_ms")),
		     member_number(d, "conf_generation"),
		     member_text(d, "conf_file"));
}

static void print_processes(struct tallyctl *t, const struct doc *o)
{
	const struct doc *list = doc_get(o, "processes");

	for (uint32_t i = 0; i < list->n; i++) {
		const struct doc *p = list->items[i];
		const struct doc *alive = doc_get(p, "alive");

		(void)printf(
			"process   %s/%" PRId64 " pid %" PRId64
			" %s, up %s, last sign of life %s\n",
			member_text(p, "kind"), member_number(p, "number"),
			member_number(p, "pid"),
			alive->boolean ? member_text(p, "state") : "gone",
			span_text(t->arena, member_number(p, "uptime_ms")),
			ago_text(t->arena, member_number(p, "beat_age_ms")));
	}
}

static void print_segment(struct tallyctl *t, const struct doc *o)
{
	const struct doc *s = doc_get(o, "segment");
	const struct doc *keys = doc_get(s, "keys");
	const struct doc *users = doc_get(s, "users");

	(void)printf("segment   %s %s, %" PRId64 " bytes, made %s\n"
		     "          keys %" PRId64 " of %" PRId64 ", users %" PRId64
		     " of %" PRId64 ", decisions %" PRId64 " (newest %" PRId64
		     " kept)\n",
		     member_text(s, "name"), member_text(s, "state"),
		     member_number(s, "bytes"),
		     ago_text(t->arena, member_number(s, "age_ms")),
		     member_number(keys, "held"), member_number(keys, "max"),
		     member_number(users, "held"), member_number(users, "max"),
		     member_number(s, "decisions"),
		     member_number(s, "decision_ring"));
}

static void print_flush(struct tallyctl *t, const struct doc *o)
{
	const struct doc *f = doc_get(o, "flush");
	const struct doc *p = doc_get(f, "pending");
	const struct doc *sp = doc_get(o, "spool");

	(void)printf("flush     level %" PRId64 " (%s), last commit %s, last "
		     "scan %s\n"
		     "          waiting: %" PRId64 " keys, %" PRId64
		     " credits, %" PRId64 " requests; done: %" PRId64
		     " batches, %" PRId64 " rows, %" PRId64 " failures\n",
		     member_number(f, "level"),
		     view_level_words(member_number(f, "level")),
		     ago_text(t->arena, member_number(f, "last_commit_age_ms")),
		     ago_text(t->arena, member_number(f, "last_scan_age_ms")),
		     member_number(p, "keys"), member_number(p, "credits"),
		     member_number(p, "requests"), member_number(f, "batches"),
		     member_number(f, "rows"), member_number(f, "failures"));
	(void)printf("requests  log rows waiting: %" PRId64
		     ", written: %" PRId64 ", dropped: %" PRId64 "\n",
		     member_number(p, "log_rows"), member_number(f, "log_rows"),
		     member_number(f, "logs_dropped"));
	(void)printf("database  %s%s\n",
		     doc_get(o, "database_up")->boolean ? "up" : "away",
		     doc_get(o, "running")->boolean ? "" : ", when last seen");
	(void)printf("spool     %" PRId64 " records, %" PRId64
		     " bytes, room for %" PRId64 " more\n",
		     member_number(sp, "records"), member_number(sp, "bytes"),
		     member_number(sp, "room_bytes"));
}

/* ---- status ---- */

static void add_daemon(struct tallyctl *t, struct doc *o, enum tl_status *st_r)
{
	const struct doc *d = doc_null();
	struct tl_err err;

	*st_r = daemon_ask(t, "status", ASK_MS, &d, &err);
	doc_set(t->arena, o, "daemon", d);
	doc_set(t->arena, o, "trouble",
		*st_r == TL_OK ? doc_null()
			       : doc_str(t->arena, tl_str_c(tl_arena_strndup(
							   t->arena, err.text,
							   strlen(err.text)))));
}

static void add_segment(struct tallyctl *t, struct doc *o, const struct shm *s)
{
	struct tl_arena *a = t->arena;

	doc_set(a, o, "processes", view_processes(s, a));
	doc_set(a, o, "segment", view_segment(s, t->conf->server.instance, a));
	doc_set(a, o, "flush", view_flush(s, a));
	doc_set(a, o, "database_up",
		doc_bool(atomic_load(&s->head->database_up) != 0));
	doc_set(a, o, "spool", view_spool(s, t->conf, a));
}

/*
 * 0 only when the daemon answers.  A hung one is 1, so that a watchdog script
 * can tell it from one that was stopped (3).
 */
enum exit_status cmd_status(struct tallyctl *t)
{
	struct doc *o = doc_object(t->arena);
	struct shm *shm = NULL;
	enum exit_status ex;
	enum tl_status st;
	uint64_t pid;
	bool alive;

	ex = segment_open(t, &shm);
	if (ex != EXIT_OK)
		return ex;
	add_daemon(t, o, &st);
	alive = st == TL_OK || shm_slots_alive(shm, &pid);
	doc_set(t->arena, o, "running", doc_bool(alive));
	add_segment(t, o, shm);
	shm_close(&shm);
	if (t->json) {
		print_json(o);
	} else {
		print_daemon(t, o);
		print_processes(t, o);
		print_segment(t, o);
		print_flush(t, o);
	}
	if (st == TL_OK)
		return EXIT_OK;
	return alive ? EXIT_FAILED : EXIT_NOT_RUNNING;
}
