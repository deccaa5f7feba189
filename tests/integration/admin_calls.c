#include "admin_calls.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

void admin_send(const char *method, const char *target, const char *body)
{
	call(method, target, ADMIN, body);
}

size_t rows(void)
{
	want(200);
	ck_assert(json_object_is_type(r.json, json_type_array));
	return json_object_array_length(r.json);
}

/* The id of what a POST has made, and that Location names it. */
const char *made(const char *base)
{
	static char ids[4][40];
	static unsigned next;
	char location[200], *id = ids[next++ % 4];

	want(201);
	ck_assert_ptr_nonnull(json_str(&r, "id"));
	snprintf(id, sizeof(ids[0]), "%s", json_str(&r, "id"));
	snprintf(location, sizeof(location), "%s/%s", base, id);
	ck_assert_pstr_eq(header_of(&r, "Location"), location);
	return id;
}

const char *path(const char *fmt, ...)
{
	static char texts[4][300];
	static unsigned next;
	char *text = texts[next++ % 4];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(texts[0]), fmt, ap);
	va_end(ap);
	return text;
}

/* Every worker has its say: connections are dealt out by the kernel. */
bool all_say(const char *key, const char *query, int status)
{
	for (unsigned i = 0; i < 16; i++) {
		client_close(c);
		if (gate(key, query) != status)
			return false;
	}
	return true;
}

/* "<target>; rel="next"" to target; false: there is no next page. */
bool next_page(char target[400])
{
	const char *link = header_of(&r, "Link"), *end;

	if (link == NULL)
		return false;
	end = strchr(link, '>');
	ck_assert(link[0] == '<' && end != NULL);
	ck_assert_str_eq(end, ">; rel=\"next\"");
	snprintf(target, 400, "%.*s", (int)(end - link - 1), link + 1);
	return true;
}
