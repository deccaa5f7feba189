/*
 * cmd_migrate.c - the schema: up, down, status.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/paths.h"
#include "pg/migrate.h"
#include "tallyctl/db.h"
#include "tallyctl/tallyctl.h"

static const char *directory(struct tallyctl *t)
{
	return tl_arena_printf(t->arena, "%s/migrations", tl_datadir());
}

static enum exit_status complain_migrate(enum tl_status st,
					 const struct tl_err *err)
{
	return complain(st == TL_UNAVAILABLE ? EXIT_DATABASE : EXIT_FAILED,
			"%s", err->text);
}

static enum exit_status report(struct tallyctl *t, const char *what, uint32_t n)
{
	struct doc *o = doc_object(t->arena);

	doc_set(t->arena, o, what, doc_int(t->arena, n));
	if (t->json)
		print_json(o);
	else
		(void)printf("%" PRIu32 " migration%s %s\n", n,
			     n == 1 ? "" : "s", what);
	return EXIT_OK;
}

enum exit_status cmd_migrate_up(struct tallyctl *t)
{
	int64_t to = ctl_number(t->args, "to", UINT32_MAX);
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;
	const char *url;
	uint32_t n;

	ex = db_direct_url(t, &url);
	if (ex != EXIT_OK)
		return ex;
	st = migrate_up(url, directory(t), (uint32_t)to, &n, &err);
	return st == TL_OK ? report(t, "applied", n)
			   : complain_migrate(st, &err);
}

enum exit_status cmd_migrate_down(struct tallyctl *t)
{
	int64_t to = ctl_number(t->args, "to", 0);
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;
	const char *url;
	uint32_t n;

	ex = db_direct_url(t, &url);
	if (ex != EXIT_OK)
		return ex;
	st = migrate_down(url, directory(t), (uint32_t)to, &n, &err);
	return st == TL_OK ? report(t, "reverted", n)
			   : complain_migrate(st, &err);
}

static void print_step(const struct migrate_step *s, struct tl_arena *a)
{
	(void)printf("%04" PRIu32 " %-24s %s%s\n", s->number, s->name,
		     s->applied ? time_text(a, s->applied_at_us)
				: "not applied",
		     s->changed ? "  FILE CHANGED SINCE" : "");
}

static const struct doc *step_doc(const struct migrate_step *s,
				  struct tl_arena *a)
{
	struct doc *o = doc_object(a);

	doc_set(a, o, "number", doc_int(a, s->number));
	doc_set(a, o, "name",
		doc_str(a, tl_str_c(tl_arena_strndup(a, s->name,
						     strlen(s->name)))));
	doc_set(a, o, "applied", doc_bool(s->applied));
	doc_set(a, o, "changed", doc_bool(s->changed));
	doc_set(a, o, "applied_at",
		s->applied ? doc_time(a, s->applied_at_us) : doc_null());
	return o;
}

enum exit_status cmd_migrate_status(struct tallyctl *t)
{
	struct doc *steps = doc_array(t->arena), *o = doc_object(t->arena);
	struct migrate_list list;
	enum exit_status ex;
	enum tl_status st;
	struct tl_err err;
	const char *url;

	ex = db_direct_url(t, &url);
	if (ex != EXIT_OK)
		return ex;
	st = migrate_status(url, directory(t), &list, &err);
	if (st != TL_OK)
		return complain_migrate(st, &err);
	for (uint32_t i = 0; i < list.n; i++) {
		if (t->json)
			doc_push(t->arena, steps,
				 step_doc(&list.steps[i], t->arena));
		else
			print_step(&list.steps[i], t->arena);
	}
	doc_set(t->arena, o, "migrations", steps);
	if (t->json)
		print_json(o);
	migrate_list_deinit(&list);
	return EXIT_OK;
}
