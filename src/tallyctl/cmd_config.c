/*
 * cmd_config.c - config check and config dump.
 */
#include <stdio.h>
#include <string.h>

#include "pg/pg.h"
#include "tallyctl/tallyctl.h"
#include "tls/tls.h"

/* The settings were read before: what is wrong with them was said there.  The
 * files of TLS are those that the caller may read. */
enum exit_status cmd_config_check(struct tallyctl *t)
{
	struct doc *o = doc_object(t->arena);
	const char *file = t->conf->file;
	struct tl_buf notes;
	struct tl_err err;
	bool good;

	tl_buf_init(&notes);
	good = pg_way_check(t->conf, &err) == TL_OK &&
	       tls_check(t->conf, &notes, &err) == TL_OK;
	if (good && notes.len > 0) /* each line has its end */
		(void)fprintf(stderr, "%s", notes.ptr);
	tl_buf_deinit(&notes);
	if (!good)
		return complain(EXIT_USAGE, "%s", err.text);
	if (!t->json) {
		(void)printf("%s: the configuration is valid\n",
			     file != NULL ? file : "defaults");
		return EXIT_OK;
	}
	doc_set(t->arena, o, "file",
		file != NULL ? doc_str(t->arena, tl_str_c(file)) : doc_null());
	doc_set(t->arena, o, "valid", doc_bool(true));
	print_json(o);
	return EXIT_OK;
}

/* ---- dump ---- */

static void add(struct tl_buf *b, const char *from, const char *to)
{
	tl_buf_add(b, from, (size_t)(to - from));
}

/* "scheme://user:PASSWORD@host": up to the last '@' before the path. */
static bool mask_uri(const char *url, struct tl_buf *b)
{
	const char *host = strstr(url, "://"), *at = NULL, *colon, *p;

	if (host == NULL)
		return false;
	host += 3;
	for (p = host; *p != '\0' && *p != '/' && *p != '?'; p++)
		if (*p == '@')
			at = p;
	colon = memchr(host, ':', (size_t)(p - host));
	if (at != NULL && colon != NULL && colon < at) {
		add(b, url, colon + 1);
		tl_buf_adds(b, "****");
		url = at;
	}
	p = strstr(url, "password=");
	if (p != NULL) {
		add(b, url, p + 9);
		tl_buf_adds(b, "****");
		url = p + strcspn(p, "&");
	}
	tl_buf_adds(b, url);
	return true;
}

/* "password=WORD" or "password='...'", blanks around the sign allowed. */
static void mask_words(const char *s, struct tl_buf *b)
{
	const char *p;

	while ((p = strstr(s, "password")) != NULL) {
		p += strlen("password");
		p += strspn(p, " ");
		if (*p != '=') {
			add(b, s, p);
			s = p;
			continue;
		}
		p++;
		p += strspn(p, " ");
		add(b, s, p);
		tl_buf_adds(b, "****");
		if (*p == '\'') {
			for (p++; *p != '\0' && *p != '\''; p++)
				p += *p == '\\' && p[1] != '\0';
			s = *p == '\'' ? p + 1 : p;
		} else {
			for (; *p != '\0' && *p != ' '; p++)
				p += *p == '\\' && p[1] != '\0';
			s = p;
		}
	}
	tl_buf_adds(b, s);
}

static char *masked_url(struct tallyctl *t, const char *url)
{
	struct tl_buf b;
	char *text;

	tl_buf_init(&b);
	if (!mask_uri(url, &b))
		mask_words(url, &b);
	text = tl_arena_strndup(t->arena, b.len > 0 ? b.ptr : "", b.len);
	tl_buf_deinit(&b);
	return text;
}

static const struct doc *setting_doc(const struct conf *conf, size_t i,
				     struct tl_arena *a)
{
	static const char *const from[] = { "default", "file", "environment",
					    "option" };
	struct conf_origin origin = conf_origin(conf, i);
	struct doc *o = doc_object(a);
	struct tl_buf b;

	tl_buf_init(&b);
	conf_value(conf, i, &b);
	doc_set(a, o, "value",
		doc_str(a, tl_str_c(tl_arena_strndup(a, b.len > 0 ? b.ptr : "",
						     b.len))));
	tl_buf_deinit(&b);
	doc_set(a, o, "from", doc_str(a, tl_str_c(from[origin.from])));
	doc_set(a, o, "line",
		origin.line > 0 ? doc_int(a, origin.line) : doc_null());
	return o;
}

/* [cost.models]: name to "prompt,completion". */
static const struct doc *models_doc(const struct conf *conf, struct tl_arena *a)
{
	struct doc *o = doc_object(a);
	const char *name;
	struct tl_buf b;

	tl_buf_init(&b);
	for (uint32_t i = 0; (name = conf_model(conf, i, &b)) != NULL; i++) {
		doc_set(a, o, name,
			doc_str(a,
				tl_str_c(tl_arena_strndup(a, b.ptr, b.len))));
		tl_buf_reset(&b);
	}
	tl_buf_deinit(&b);
	return o;
}

static void print_settings(const struct conf *conf, struct tl_arena *a)
{
	struct doc *o = doc_object(a), *all = doc_object(a);
	const struct conf_doc *setting;

	for (size_t i = 0; (setting = conf_doc(i)) != NULL; i++)
		doc_set(a, all, setting->name, setting_doc(conf, i, a));
	doc_set(a, o, "models", models_doc(conf, a));
	doc_set(a, o, "file",
		conf->file != NULL ? doc_str(a, tl_str_c(conf->file))
				   : doc_null());
	doc_set(a, o, "settings", all);
	print_json(o);
}

/* Their names may be seen. */
static struct conf_strings masked_headers(struct tallyctl *t,
					  const struct conf_strings *from)
{
	struct conf_strings to = {
		tl_arena_alloc(t->arena, (from->n + 1) * sizeof(char *)),
		from->n
	};

	for (size_t i = 0; i < from->n; i++)
		to.items[i] = tl_arena_printf(t->arena, "%.*s=****",
					      (int)strcspn(from->items[i], "="),
					      from->items[i]);
	return to;
}

enum exit_status cmd_config_dump(struct tallyctl *t)
{
	struct conf shown = *t->conf; /* borrows all but what is masked */

	if (!ctl_flag(t->args, "secrets")) {
		shown.database.url = masked_url(t, t->conf->database.url);
		shown.database.direct_url =
			masked_url(t, t->conf->database.direct_url);
		if (shown.cron.token[0] != '\0')
			shown.cron.token =
				tl_arena_strndup(t->arena, "****", 4);
		shown.tracing.headers =
			masked_headers(t, &t->conf->tracing.headers);
	}
	if (t->json)
		print_settings(&shown, t->arena);
	else
		conf_dump(&shown, true, stdout);
	return EXIT_OK;
}
