/*
 * admin_doctor.c - GET /api/admin/doctor: the findings of `tallyctl doctor`.
 *
 * To compare the books it copies a day's usage out of the database, stops the
 * flusher for a moment and reads the whole spool: that blocks for as long as
 * it takes and may need much memory.  So it is the command itself that runs,
 * beside this worker, which only waits; both say the same for they are the
 * same.  One at a time a worker: who asks meanwhile gets its answer, too.
 */
#include "config.h" /* _GNU_SOURCE */

#include "app/admin/admin_doctor.h"

#include <ctype.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/co_run.h"

#define KEEP_MS       1000 /* reloading a page is no load */
#define WAIT_MS       10
#define OUT_MAX_BYTES (1024 * 1024)

/* There is one HTTP server in a process, so what is kept is the file's. */
static struct {
	bool running;
	uint64_t made_mono_ms; /* 0: nothing is kept */
	int64_t made_wall_us;
	struct tl_buf text; /* as it was printed, JSON */
} kept;

#define REPLY SHAPE_NO_OFFSET, SHAPE_NO_OFFSET
/* clang-format off */
static const struct shape_field state_words[] = {
	{ .name = "ok", .doc = "as it should be" },
	{ .name = "warn", .doc = "it works, and should be looked at" },
	{ .name = "fail", .doc = "it does not work, or usage may be lost" },
	{ .name = NULL },
};
static const struct shape state_shape = { "CheckState", 0, state_words };
static const struct shape_field check_fields[] = {
	{ "name", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what was looked at: books, schema, disk, a setting; may come "
	  "several times" },
	{ "state", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, &state_shape,
	  "how it is" },
	{ "words", SHAPE_STR, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "what was found, and the cure" },
	{ .name = NULL },
};
static const struct shape check_shape = { "DoctorCheck", 0, check_fields };
static const struct shape_field difference_fields[] = {
	{ "credits", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "that were counted and are nowhere, or the other way round" },
	{ "requests", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the same of requests" },
	{ "cost_micro_usd", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "the same of their cost" },
	{ .name = NULL },
};
static const struct shape difference_shape = { "BooksDifference", 0,
					       difference_fields };
static const struct shape_field doctor_fields[] = {
	{ "checks", SHAPE_ARRAY, SHAPE_REQUIRED, REPLY, 0, 0, &check_shape,
	  "in the order of the command" },
	{ "warnings", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "checks with state warn" },
	{ "failures", SHAPE_INT, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "checks with state fail" },
	{ "difference", SHAPE_OBJECT, SHAPE_REQUIRED | SHAPE_NULLABLE, REPLY,
	  0, 0, &difference_shape,
	  "between what was counted and what the database and the spool hold; "
	  "null: it could not be looked at" },
	{ "checked_at", SHAPE_TIME, SHAPE_REQUIRED, REPLY, 0, 0, NULL,
	  "when" },
	{ .name = NULL },
};
static const struct shape doctor_shape = { "Doctor", 0, doctor_fields };
/* clang-format on */

/* ---- the command ---- */

/* Beside this program: both are installed into one directory. */
static const char *tallyctl_path(struct tl_arena *a)
{
	char exe[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return "tallyctl"; /* not found, and said so */
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	return tl_arena_printf(a, "%.*s/tallyctl", (int)(slash - exe), exe);
}

/* "server.listen" and its value as the environment has it. */
static char *environment_line(struct tl_arena *a, const char *name,
			      const struct tl_buf *value)
{
	char *line = tl_arena_printf(a, "TALLYD_%s=%s", name,
				     value->len > 0 ? value->ptr : "");

	for (char *c = line; *c != '='; c++)
		*c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
	return line;
}

static bool names(const char *line, char *const *list, size_t n)
{
	size_t len = strcspn(line, "=") + 1;

	for (size_t i = 0; i < n; i++)
		if (strncmp(line, list[i], len) == 0)
			return true;
	return false;
}

/*
 * Ours, and the options that we were started with: the command has them from
 * there, where other users do not see them.
 */
static char **environment(struct tl_arena *a, const struct conf *conf)
{
	size_t n = 0, n_settings = 0, n_given;
	struct tl_buf value;
	char **env;

	while (environ[n] != NULL)
		n++;
	while (conf_doc(n_settings) != NULL)
		n_settings++;
	env = tl_arena_alloc(a, (n + n_settings + 1) * sizeof(*env));
	n = 0;
	tl_buf_init(&value);
	for (size_t i = 0; i < n_settings; i++) {
		if (conf_origin(conf, i).from != CONF_FROM_OPTION)
			continue;
		tl_buf_reset(&value);
		conf_value(conf, i, &value);
		env[n++] = environment_line(a, conf_doc(i)->name, &value);
	}
	tl_buf_deinit(&value);
	n_given = n;
	for (char **e = environ; *e != NULL; e++)
		if (!names(*e, env, n_given))
			env[n++] = *e;
	return env;
}

/* Suspends.  Its complaints go to where our log goes. */
static enum tl_status run_doctor(struct req *req, struct tl_err *err)
{
	const struct conf *conf = req_conf(req);
	struct tl_arena *a = &req->arena;
	char *argv[8], **word = argv;
	struct co_program p = { .path = tallyctl_path(a),
				.argv = argv,
				.env = environment(a, conf),
				.out_max_bytes = OUT_MAX_BYTES };
	enum tl_status st;
	int code = 0;

	*word++ = tl_arena_printf(a, "tallyctl");
	if (conf->file != NULL) {
		*word++ = tl_arena_printf(a, "-c");
		*word++ = tl_arena_printf(a, "%s", conf->file);
	}
	*word++ = tl_arena_printf(a, "--json");
	*word++ = tl_arena_printf(a, "doctor");
	*word = NULL;
	tl_buf_reset(&kept.text);
	st = co_run(&p, &kept.text, &code, err);
	if (st == TL_OK && kept.text.len == 0)
		st = tl_err_set(err, TL_UNAVAILABLE,
				"'%s doctor' ended with %d and no findings",
				p.path, code);
	else if (st != TL_OK && st != TL_DEADLINE && st != TL_CANCELED)
		st = tl_err_set(err, TL_UNAVAILABLE, "%s", err->text);
	return st;
}

/* Suspends.  Fills `kept` with findings that are fresh enough. */
static enum tl_status look(struct req *req, struct tl_err *err)
{
	enum tl_status st = TL_OK;

	while (kept.running && st == TL_OK)
		st = co_sleep_ms(WAIT_MS, err);
	if (st != TL_OK || (kept.made_mono_ms != 0 &&
			    tl_mono_ms() < kept.made_mono_ms + KEEP_MS))
		return st;
	kept.running = true;
	st = run_doctor(req, err);
	kept.running = false;
	kept.made_mono_ms = st == TL_OK ? tl_mono_ms() : 0;
	kept.made_wall_us = tl_wall_us();
	return st;
}

/* ---- the reply ---- */

static const struct doc *check_of(const struct doc *finding, struct tl_arena *a)
{
	const struct doc *level = doc_get(finding, "level");
	struct doc *o = doc_object(a);

	/* the command shouts */
	if (tl_str_eq(level->str, TL_STR("FAIL")))
		level = doc_str(a, TL_STR("fail"));
	doc_set(a, o, "name", doc_get(finding, "name"));
	doc_set(a, o, "state", level);
	doc_set(a, o, "words", doc_get(finding, "text"));
	return o;
}

static const struct doc *reply_of(const struct doc *found,
				  const struct doc *findings,
				  struct tl_arena *a)
{
	struct doc *o = doc_object(a), *checks = doc_array(a);
	char *time = tl_arena_alloc(a, TL_RFC3339_TEXT);
	size_t len = tl_rfc3339_format(kept.made_wall_us, time);

	for (uint32_t i = 0; i < findings->n; i++)
		doc_push(a, checks, check_of(findings->items[i], a));
	doc_set(a, o, "checks", checks);
	doc_set(a, o, "warnings", doc_get(found, "warnings"));
	doc_set(a, o, "failures", doc_get(found, "failures"));
	doc_set(a, o, "difference", doc_get(found, "difference"));
	doc_set(a, o, "checked_at", doc_str(a, (struct tl_str){ time, len }));
	return o;
}

static void doctor_handle(struct req *req)
{
	struct tl_arena *a = &req->arena;
	const struct doc *found, *findings;
	enum tl_status st;
	struct tl_err err;

	st = look(req, &err);
	if (st == TL_OK)
		st = doc_parse(a, DOC_JSON, tl_buf_str(&kept.text), &found,
			       &err);
	if (st != TL_OK) {
		req_fail_status(req, st, &err);
		return;
	}
	findings = doc_get(found, "findings");
	if (findings == NULL) {
		(void)tl_err_set(&err, TL_BROKEN, "doctor has no findings");
		req_fail_status(req, TL_BROKEN, &err);
		return;
	}
	req_reply(req, 200, reply_of(found, findings, a));
}

/* clang-format off */
const struct route ADMIN_DOCTOR_ROUTES[] = {
	{ .id = "adminDoctor", .methods = HTTP_GET,
	  .path = "/api/admin/doctor", .auth = AUTH_ADMIN,
	  .out = &doctor_shape, .handler = doctor_handle,
	  .summary = "Is everything in order, and what to do if not" },
	{ .path = NULL },
};
/* clang-format on */
