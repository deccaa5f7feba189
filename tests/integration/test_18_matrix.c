/*
 * Every route x every kind of caller, from the route tables alone: a new row
 * is tested the moment it is there.  Who gets in, which methods a path takes,
 * what a malformed id, parameter or body becomes, and that MessagePack is
 * answered in MessagePack.  That replies keep their shapes is looked at for
 * all of them by shapecheck.c.
 */
#include "matrix.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* 0: it is served, whatever comes of it. */
static int expected(const struct route *route, enum caller who)
{
	bool gated = strncmp(route->path, "/api/gate", 9) == 0;

	if (route->auth == AUTH_NONE || route->auth == AUTH_ADDRESS ||
	    (route->auth == AUTH_SELF && !gated))
		return 0; /* we are on the loopback */
	if (route->auth == AUTH_CRON)
		return who == CRON_TOKEN ? 0 : 401;
	if (who <= TWO_KEYS)
		return 401;
	if (who == SUSPENDED || who == ELSEWHERE)
		return 403;
	if (route->auth == AUTH_ADMIN && who != ADMIN)
		return 403;
	return 0;
}

static unsigned allowed_of(const char *path)
{
	unsigned all = 0;

	EACH_ROUTE(route)
	if (strcmp(route->path, path) == 0)
		all |= route->methods;
	return all;
}

static bool has_ids(const struct route *route)
{
	return strstr(route->path, "_id}") != NULL;
}

/* ---- who gets in ---- */

START_TEST(each_route_lets_in_whom_its_row_says)
{
	unsigned routes = 0;

	make_callers();
	EACH_ROUTE(route)
	{
		const char *target = target_of(route, NOBODY_ID);

		routes++;
		for (int who = 0; who < CALLERS; who++) {
			int want_ = expected(route, (enum caller)who);

			ask_plainly(route, target,
				    credential((enum caller)who));
			if (want_ != 0)
				ck_assert_msg(r.status == want_,
					      "%s as %s: %d, want %d\n%s",
					      route->path, caller_names[who],
					      r.status, want_, r.body);
			else
				ck_assert_msg(
					r.status != 401 && r.status != 403 &&
						r.status != 405 &&
						r.status < 500,
					"%s as %s: %d\n%s", route->path,
					caller_names[who], r.status, r.body);
			if (want_ == 401)
				ck_assert_pstr_eq(
					header_of(&r, "WWW-Authenticate"),
					"Bearer");
		}
	}
	ck_assert_uint_gt(routes, 30);
}
END_TEST

/* The doors that look at scopes: the gate at those it is told, verify, once
 * the address does not open it, at one of its own. */
START_TEST(doors_want_their_scopes)
{
	char who[300];
	int n = 0;

	make_callers();
	ck_assert_int_eq(gate(key_of("scoped"), "scope=read"), 200);
	ck_assert_int_eq(gate(key_of("plain"), "scope=read,write"), 200);
	ck_assert_int_eq(gate(key_of("scoped"), "scope=read,write"), 403);
	want_error(403, "forbidden");

	EACH_ROUTE(route)
	{
		if (strncmp(route->path, "/api/verify", 11) != 0)
			continue;
		n++;
		for (int caller = NOBODY; caller <= ADMIN; caller++) {
			(void)snprintf(who, sizeof(who),
				       "%sX-Forwarded-For: 192.0.2.1\r\n",
				       credential((enum caller)caller));
			ask_plainly(route, route->path, who);
			ck_assert_msg(r.status ==
					      (caller <= TWO_KEYS ? 401 : 403),
				      "%s as %s: %d", route->path,
				      caller_names[caller], r.status);
		}
		(void)snprintf(who, sizeof(who),
			       "X-API-Key: %s\r\n"
			       "X-Forwarded-For: 192.0.2.1\r\n",
			       key_of("verifier"));
		ask_plainly(route, route->path, who);
		want_error(400, "bad_request"); /* it is in */
	}
	ck_assert_int_eq(n, 2);
}
END_TEST

/* ---- methods ---- */

START_TEST(each_path_takes_its_methods_and_no_others)
{
	make_callers();
	EACH_ROUTE(route)
	{
		unsigned may = allowed_of(route->path);
		const char *target = target_of(route, NOBODY_ID);

		for (size_t i = 0; i < MATRIX_N_METHODS; i++) {
			if ((may & MATRIX_METHODS[i].bit) != 0)
				continue;
			ask(MATRIX_METHODS[i].name, target, credential(ADMIN),
			    NULL, NULL, 0);
			ck_assert_msg(r.status == 405, "%s %s: %d",
				      MATRIX_METHODS[i].name, route->path,
				      r.status);
			ck_assert_ptr_nonnull(header_of(&r, "Allow"));
			ck_assert_ptr_null(strstr(header_of(&r, "Allow"),
						  MATRIX_METHODS[i].name));
		}
	}
}
END_TEST

START_TEST(head_is_get_without_the_body)
{
	int status;

	make_callers();
	EACH_ROUTE(route)
	{
		const char *target = target_of(route, NOBODY_ID);

		if ((route->methods & HTTP_GET) == 0)
			continue;
		ask("GET", target, good_credential(route), NULL, NULL, 0);
		status = r.status;
		ask("HEAD", target, good_credential(route), NULL, NULL, 0);
		ck_assert_msg(r.status == status, "HEAD %s: %d, GET is %d",
			      route->path, r.status, status);
		ck_assert_uint_eq(r.body_len, 0);
	}
}
END_TEST

/* ---- what is malformed ---- */

static void ask_about(const struct route *route, const char *id,
		      const struct shape_field *also)
{
	const char *target = target_of(route, id), *body;

	if (!takes_body(route)) {
		ask_plainly(route, target, good_credential(route));
		return;
	}
	body = sample_body(route->in, also);
	ask(method_of(route), target, good_credential(route),
	    "application/json", body, strlen(body));
}

/* With each optional member by itself too: a change of nothing is a 400. */
static bool is_not_found(const struct route *route)
{
	const struct shape_field *f =
		takes_body(route) ? route->in->fields : NULL;
	bool found = false;

	ask_about(route, NOBODY_ID, NULL);
	do {
		ck_assert_msg(r.status == 404 || r.status == 400, "%s: %d\n%s",
			      route->path, r.status, r.body);
		found |= r.status == 404;
		if (f == NULL || f->name == NULL)
			return found;
		ask_about(route, NOBODY_ID, f++);
	} while (true);
}

START_TEST(ids_are_checked_and_then_looked_for)
{
	make_callers();
	EACH_ROUTE(route)
	{
		if (!has_ids(route))
			continue;
		/* neither a UUID nor the id of a request */
		ask_about(route, "non~sense", NULL);
		want_error(400, "bad_request");
		ck_assert_ptr_nonnull(
			strstr(json_str(&r, "error.message"), "_id: must be"));
		ck_assert_msg(is_not_found(route),
			      "%s: never 404 for an unknown id", route->path);
	}
}
END_TEST

START_TEST(bodies_are_checked)
{
	size_t large = 600 * 1024;
	char *blanks = tl_alloc(large);

	memset(blanks, ' ', large);
	make_callers();
	EACH_ROUTE(route)
	{
		const char *target = target_of(route, NOBODY_ID);
		const char *m = method_of(route), *who = good_credential(route);
		uint32_t max = route->body_max_bytes != 0
				       ? route->body_max_bytes
				       : 16384;

		if (!takes_body(route))
			continue;
		ask(m, target, who, "text/plain", "{}", 2);
		want_error(415, "unsupported_media_type");
		ask(m, target, who, "application/json", "{", 1);
		want_error(400, "bad_request");
		ask(m, target, who, "application/json", "[]", 2);
		want_error(400, "bad_request");
		ask(m, target, who, "application/msgpack", "\xc1", 1);
		want_error(400, "bad_request");
		if (has_required(route->in)) {
			ask(m, target, who, "application/json", "{}", 2);
			want_error(400, "bad_request");
			ask(m, target, who, NULL, NULL, 0);
			want_error(400, "bad_request");
		}
		ck_assert_uint_lt(max, large);
		ask(m, target, who, "application/json", blanks, max + 1);
		want_error(413, "payload_too_large");
	}
	tl_free(blanks);
}
END_TEST

static int with_parameter(const struct route *route, const char *name,
			  const char *value)
{
	char target[1024];

	(void)snprintf(target, sizeof(target), "%s?%s=%s",
		       target_of(route, NOBODY_ID), name, value);
	ask_plainly(route, target, good_credential(route));
	return r.status;
}

static void refused(const struct route *route, const char *name,
		    const char *value)
{
	int status = with_parameter(route, name, value);

	ck_assert_msg(status == 400, "%s?%s=%s: %d, want 400\n%s", route->path,
		      name, value, status, r.body);
	ck_assert_msg(strstr(json_str(&r, "error.message"), name) != NULL,
		      "%s: '%s' does not name %s", route->path,
		      json_str(&r, "error.message"), name);
}

static void taken(const struct route *route, const char *name,
		  const char *value)
{
	int status = with_parameter(route, name, value);

	ck_assert_msg(status != 400 && status < 500, "%s?%s=%s: %d\n%s",
		      route->path, name, value, status, r.body);
}

static void check_int(const struct route *route, const struct shape_field *f)
{
	char text[32];

	refused(route, f->name, "x");
	refused(route, f->name, "");
	refused(route, f->name, "1.5");
	if (f->min == 0 && f->max == 0)
		return;
	(void)snprintf(text, sizeof(text), "%" PRId64, f->min - 1);
	refused(route, f->name, text);
	(void)snprintf(text, sizeof(text), "%" PRId64, f->max + 1);
	refused(route, f->name, text);
	(void)snprintf(text, sizeof(text), "%" PRId64, f->min);
	taken(route, f->name, text);
	(void)snprintf(text, sizeof(text), "%" PRId64, f->max);
	taken(route, f->name, text);
}

/* 24 bytes that are none of ours: the time is the first eight of them. */
static void check_cursor(const struct route *route)
{
	static const char *const odd[] = {
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"gAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* INT64_MIN */
		"f_________AAAAAAAAAAAAAAAAAAAAAA", /* INT64_MAX */
		"________________________________", /* -1 */
		"P______AAAAAAAAAAAAAAAAAAAAAAAAA", /* beyond any date */
	};

	refused(route, "cursor", "nonsense");
	refused(route, "cursor", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	refused(route, "cursor", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA%2B");
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		int status = with_parameter(route, "cursor", odd[i]);

		ck_assert_msg(status < 500, "%s?cursor=%s: %d\n%s", route->path,
			      odd[i], status, r.body);
	}
}

/* One of several words, which are the names of the sub-shape. */
static void check_words(const struct route *route, const struct shape_field *f)
{
	const struct shape_field *word = f->sub->fields;

	refused(route, f->name, "nonsense");
	refused(route, f->name, "");
	for (; word->name != NULL; word++)
		taken(route, f->name, word->name);
}

static void check_repeated(const struct route *route,
			   const struct shape_field *f)
{
	char text[1024] = "a";
	size_t n = 1;

	refused(route, f->name, "");
	ck_assert_int_gt(f->max, 0);
	for (int64_t i = 0; i < f->max; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "&%s=a%d",
				      f->name, (int)i);
	ck_assert_uint_lt(n, sizeof(text));
	refused(route, f->name, text); /* one more than there may be */
}

START_TEST(parameters_have_the_bounds_that_are_described)
{
	char text[600];
	unsigned n = 0;

	make_callers();
	EACH_ROUTE(route)
	for (const struct shape_field *f =
		     route->query != NULL ? route->query->fields : NULL;
	     f != NULL && f->name != NULL; f++, n++) {
		switch (f->kind) {
		case SHAPE_INT:
			check_int(route, f);
			break;
		case SHAPE_DATE:
			refused(route, f->name, "2026-02-30");
			refused(route, f->name, "today");
			taken(route, f->name, "2026-02-28");
			break;
		case SHAPE_BOOL:
			refused(route, f->name, "2");
			refused(route, f->name, "true");
			taken(route, f->name, "0");
			break;
		case SHAPE_STR:
			if (strcmp(f->name, "cursor") == 0)
				check_cursor(route);
			if (f->sub != NULL)
				check_words(route, f);
			if (f->max == 0 || (size_t)f->max >= sizeof(text) - 1)
				break;
			memset(text, 'a', (size_t)f->max + 1);
			text[f->max + 1] = '\0';
			refused(route, f->name, text);
			break;
		case SHAPE_STRS:
			check_repeated(route, f);
			break;
		default:
			ck_abort_msg("%s: no check for parameter %s",
				     route->path, f->name);
		}
	}
	ck_assert_uint_gt(n, 10);
}
END_TEST

/* ---- encodings ---- */

START_TEST(messagepack_is_answered_where_it_is_asked_for)
{
	char who[700];

	make_callers();
	EACH_ROUTE(route)
	for (int caller = NOBODY; caller <= ADMIN; caller += ADMIN) {
		const char *type;

		(void)snprintf(who, sizeof(who),
			       "%sAccept: application/msgpack\r\n",
			       credential((enum caller)caller));
		ask_plainly(route, target_of(route, NOBODY_ID), who);
		type = header_of(&r, "Content-Type");
		if (r.body_len == 0 ||
		    (r.status < 400 && (route->content_type != NULL ||
					(route->flags & ROUTE_EVENTS) != 0)))
			continue;
		ck_assert_msg(strcmp(type, "application/msgpack") == 0,
			      "%s (%d) came as %s", route->path, r.status,
			      type);
	}
}
END_TEST

START_TEST(errors_and_replies_carry_what_every_reply_does)
{
	make_callers();
	EACH_ROUTE(route)
	{
		const char *target = target_of(route, NOBODY_ID);

		ask_plainly(route, target, good_credential(route));
		ck_assert_ptr_nonnull(header_of(&r, "X-Request-Id"));
		ck_assert_pstr_eq(header_of(&r, "X-Content-Type-Options"),
				  "nosniff");
		ck_assert_pstr_eq(header_of(&r, "Vary"), "Origin");
		if (strncmp(route->path, "/api/", 5) == 0)
			ck_assert_pstr_eq(header_of(&r, "Cache-Control"),
					  (route->flags & ROUTE_LIST) != 0 &&
							  r.status < 400
						  ? "private, no-cache"
						  : "no-store");
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("matrix");
	TCase *tc = fixture_case(s, "matrix");

	tcase_add_test(tc, each_route_lets_in_whom_its_row_says);
	tcase_add_test(tc, doors_want_their_scopes);
	tcase_add_test(tc, each_path_takes_its_methods_and_no_others);
	tcase_add_test(tc, head_is_get_without_the_body);
	tcase_add_test(tc, ids_are_checked_and_then_looked_for);
	tcase_add_test(tc, bodies_are_checked);
	tcase_add_test(tc, parameters_have_the_bounds_that_are_described);
	tcase_add_test(tc, messagepack_is_answered_where_it_is_asked_for);
	tcase_add_test(tc, errors_and_replies_carry_what_every_reply_does);
	return fixture_run(s);
}
