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

static int64_t number(const struct doc *o, const char *name)
{
	const struct doc *v = doc_get(o, name);

	return v != NULL && v->type == DOC_INT ? v->i : -1;
}

static const char *text(const struct doc *o, const char *name)
{
	const struct doc *v = doc_get(o, name);

	return v != NULL && v->type == DOC_STR ? v->str.ptr : "-";
}

/* "3 d 4 h", "5 min 6 s", "7 s", "8 ms"; absent: never. */
static const char *span(struct tl_arena *a, int64_t ms)
{
	int64_t s = ms / 1000;

	if (ms < 0)
		return "never";
	if (s < 1)
		return tl_arena_printf(a, "%" PRId64 " ms", ms);
	if (s < 60)
		return tl_arena_printf(a, "%" PRId64 " s", s);
	if (s < 3600)
		return tl_arena_printf(a, "%" PRId64 " min %" PRId64 " s",
				       s / 60, s % 60);
	if (s < TL_DAY_S)
		return tl_arena_printf(a, "%" PRId64 " h %" PRId64 " min",
				       s / 3600, s / 60 % 60);
	return tl_arena_printf(a, "%" PRId64 " d %" PRId64 " h", s / TL_DAY_S,
			       s / 3600 % 24);
}

static const char *ago(struct tl_arena *a, int64_t ms)
{
	return ms < 0 ? "never" : tl_arena_printf(a, "%s ago", span(a, ms));
}

static void print_daemon(struct tallyctl *t, const struct doc *o)
{
	const struct doc *d = doc_get(o, "daemon");

	if (d->type != DOC_OBJECT) {
		(void)printf("daemon    %s\n", text(o, "trouble"));
		return;
	}
	(void)printf("daemon    %s, tallyd %s, pid %" PRId64 ", up %s, "
		     "configuration %" PRId64 " of '%s'\n",
		     text(d, "state"), text(d, "version"), number(d, "pid"),
		     span(t->arena, number(d, "uptime_ms")),
		     number(d, "conf_generation"), text(d, "conf_file"));
}

static void print_processes(struct tallyctl *t, const struct doc *o)
{
	const struct doc *list = doc_get(o, "processes");

	for (uint32_t i = 0; i < list->n; i++) {
		const struct doc *p = list->items[i];
		const struct doc *alive = doc_get(p, "alive");

		(void)printf("process   %s/%" PRId64 " pid %" PRId64
			     " %s, up %s, last sign of life %s\n",
			     text(p, "kind"), number(p, "number"),
			     number(p, "pid"),
			     alive->boolean ? text(p, "state") : "gone",
			     span(t->arena, number(p, "uptime_ms")),
			     ago(t->arena, number(p, "beat_age_ms")));
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
		     text(s, "name"), text(s, "state"), number(s, "bytes"),
		     ago(t->arena, number(s, "age_ms")), number(keys, "held"),
		     number(keys, "max"), number(users, "held"),
		     number(users, "max"), number(s, "decisions"),
		     number(s, "decision_ring"));
}

static const char *level_words(int64_t level)
{
	static const char *const words[] = {
		"normal",
		"database late, usage goes to the spool",
		"spool nearly full or not writable",
		"no room for new keys",
		"keys with usage of three days are refused",
	};

	return level >= 0 && level < (int64_t)(sizeof(words) / sizeof(words[0]))
		       ? words[level]
		       : "unknown";
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
		     number(f, "level"), level_words(number(f, "level")),
		     ago(t->arena, number(f, "last_commit_age_ms")),
		     ago(t->arena, number(f, "last_scan_age_ms")),
		     number(p, "keys"), number(p, "credits"),
		     number(p, "requests"), number(f, "batches"),
		     number(f, "rows"), number(f, "failures"));
	(void)printf("requests  log rows waiting: %" PRId64 ", written: %" PRId64
		     ", dropped: %" PRId64 "\n",
		     number(p, "log_rows"), number(f, "log_rows"),
		     number(f, "logs_dropped"));
	(void)printf("database  %s%s\n",
		     doc_get(o, "database_up")->boolean ? "up" : "away",
		     doc_get(o, "running")->boolean ? "" : ", when last seen");
	(void)printf("spool     %" PRId64 " records, %" PRId64
		     " bytes, room for %" PRId64 " more\n",
		     number(sp, "records"), number(sp, "bytes"),
		     number(sp, "room_bytes"));
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
