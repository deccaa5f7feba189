#include "tallyctl/tallyctl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

enum exit_status complain(enum exit_status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("tallyctl: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	return status;
}

void print_json(const struct doc *d)
{
	struct tl_buf b;

	tl_buf_init(&b);
	doc_write(d, DOC_JSON, &b);
	tl_buf_addc(&b, '\n');
	(void)fwrite(b.ptr, 1, b.len, stdout);
	(void)fflush(stdout);
	tl_buf_deinit(&b);
}

const char *time_text(struct tl_arena *a, int64_t wall_us)
{
	char text[TL_RFC3339_TEXT];
	size_t len = tl_rfc3339_format(wall_us, text);

	return tl_arena_strndup(a, text, len);
}

const char *span_text(struct tl_arena *a, int64_t ms)
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

const char *ago_text(struct tl_arena *a, int64_t ms)
{
	return ms < 0 ? "never"
		      : tl_arena_printf(a, "%s ago", span_text(a, ms));
}

int64_t member_number(const struct doc *o, const char *name)
{
	const struct doc *v = doc_get(o, name);

	return v != NULL && v->type == DOC_INT ? v->i : -1;
}

const char *member_text(const struct doc *o, const char *name)
{
	const struct doc *v = doc_get(o, name);

	return v != NULL && v->type == DOC_STR ? v->str.ptr : "-";
}

enum tl_status daemon_ask(struct tallyctl *t, const char *cmd,
			  uint32_t timeout_ms, const struct doc **result_r,
			  struct tl_err *err)
{
	struct ctl_client *c = NULL;
	enum tl_status st;

	st = ctl_client_open(t->conf->server.state_dir, timeout_ms, &c, err);
	if (st == TL_OK)
		st = ctl_client_call(c, cmd, NULL, timeout_ms, t->arena,
				     result_r, err);
	ctl_client_free(&c);
	return st;
}

enum exit_status segment_open(struct tallyctl *t, struct shm **shm_r)
{
	struct tl_err err;
	enum tl_status st;

	st = shm_open_reader(t->conf->server.instance, shm_r, &err);
	if (st == TL_OK)
		return EXIT_OK;
	if (st == TL_NOT_FOUND)
		return complain(EXIT_NOT_RUNNING,
				"%s: no daemon has run for instance '%s'; "
				"give its configuration by -c, or its state "
				"directory by -s",
				err.text, t->conf->server.instance);
	if (st == TL_VERSION)
		return complain(EXIT_FAILED,
				"%s; use the tallyctl of the running release",
				err.text);
	return complain(EXIT_FAILED, "%s", err.text);
}

bool segment_reopen(struct tallyctl *t, struct shm **s)
{
	struct shm *fresh = NULL;

	if (shm_open_reader(t->conf->server.instance, &fresh, NULL) != TL_OK)
		return false;
	if (fresh->head->k.epoch == (*s)->head->k.epoch &&
	    atomic_load(&fresh->head->generation) ==
		    atomic_load(&(*s)->head->generation)) {
		shm_close(&fresh);
		return false;
	}
	shm_close(s);
	*s = fresh;
	return true;
}
