/*
 * cmd_config.c - config check and config dump.
 */
#include <stdio.h>
#include <string.h>

#include "tallyctl/tallyctl.h"

/* The settings were read before: what is wrong with them was said there. */
enum exit_status cmd_config_check(struct tallyctl *t)
{
	struct doc *o = doc_object(t->arena);
	const char *file = t->conf->file;

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

static char *masked_url(struct tallyctl *t)
{
	const char *url = t->conf->database.url;
	struct tl_buf b;
	char *text;

	tl_buf_init(&b);
	if (!mask_uri(url, &b))
		mask_words(url, &b);
	text = tl_arena_strndup(t->arena, b.len > 0 ? b.ptr : "", b.len);
	tl_buf_deinit(&b);
	return text;
}

static void print_settings(const struct conf *conf, struct tl_arena *a)
{
	struct doc *o = doc_object(a);
	const struct conf_doc *setting;
	struct tl_buf b;

	tl_buf_init(&b);
	for (size_t i = 0; (setting = conf_doc(i)) != NULL; i++) {
		tl_buf_reset(&b);
		conf_value(conf, i, &b);
		doc_set(a, o, setting->name,
			doc_str(a, (struct tl_str){
					   tl_arena_strndup(
						   a, b.len > 0 ? b.ptr : "",
						   b.len),
					   b.len }));
	}
	tl_buf_deinit(&b);
	print_json(o);
}

enum exit_status cmd_config_dump(struct tallyctl *t)
{
	struct conf shown = *t->conf; /* borrows all but what is masked */

	if (!ctl_flag(t->args, "secrets"))
		shown.database.url = masked_url(t);
	if (t->json)
		print_settings(&shown, t->arena);
	else
		conf_dump(&shown, stdout);
	return EXIT_OK;
}
