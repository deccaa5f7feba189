/*
 * Every route x every kind of caller, from the route tables alone: a new row
 * is tested the moment it is there.  Who gets in, which methods a path takes,
 * what a malformed id, parameter or body becomes, and that MessagePack is
 * answered in MessagePack.  That replies keep their shapes is looked at for
 * all of them by shapecheck.c.
 */
#include "lib/fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "base/mem.h"

#define NOBODY_ID "c0000000-0000-4000-8000-00000000dead"

/* ---- callers ---- */

enum caller {
	NOBODY,
	BASIC,
	SHORT,
	UNKNOWN,
	REVOKED,
	EXPIRED,
	TWO_KEYS,
	SUSPENDED,
	ELSEWHERE,
	PLAIN,
	PLAIN_X_API_KEY,
	ADMIN,
	CALLERS
};
static const char *const caller_names[CALLERS] = { "nobody",
						   "basic",
						   "short",
						   "unknown",
						   "revoked",
						   "expired",
						   "two keys",
						   "suspended",
						   "elsewhere",
						   "plain",
						   "plain in X-API-Key",
						   "admin" };

static void make_callers(void)
{
	up("limits.enabled=no", "admin.emails=admin@test",
	   "keys.max_per_user=10000", "log.access=no");
	make_key("plain", 1000000, "");
	make_key("admin", 1000000, "");
	make_key("revoked", 1000000, "status = 'revoked'");
	make_key("expired", 1000000, "expires_at = now() - interval '1 s'");
	make_key("elsewhere", 1000000, "allowed_ips = '{192.0.2.0/24}'");
	make_key("suspended", 1000000, "");
	sql_exec(d->conninfo, "UPDATE users SET status = 'suspended' "
			      "WHERE email = 'suspended@test'");
}

static const char *credential(enum caller who)
{
	static char text[400];
	const char *key = NULL;

	switch (who) {
	case NOBODY:
	case CALLERS:
		return "";
	case BASIC:
		return "Authorization: Basic dXNlcjpwYXNz\r\n";
	case SHORT:
		return "Authorization: Bearer x\r\n";
	case UNKNOWN:
		key = "codexible_0123456789abcdef0123456789abcdef";
		break;
	case REVOKED:
		key = key_of("revoked");
		break;
	case EXPIRED:
		key = key_of("expired");
		break;
	case SUSPENDED:
		key = key_of("suspended");
		break;
	case ELSEWHERE:
		key = key_of("elsewhere");
		break;
	case PLAIN:
		key = key_of("plain");
		break;
	case ADMIN:
		key = key_of("admin");
		break;
	case PLAIN_X_API_KEY:
		(void)snprintf(text, sizeof(text), "X-API-Key: %s\r\n",
			       key_of("plain"));
		return text;
	case TWO_KEYS:
		(void)snprintf(text, sizeof(text),
			       "X-API-Key: %s\r\nAuthorization: Bearer %s\r\n",
			       key_of("plain"), key_of("admin"));
		return text;
	}
	(void)snprintf(text, sizeof(text), "Authorization: Bearer %s\r\n", key);
	return text;
}

/* 0: it is served, whatever comes of it. */
static int expected(const struct route *route, enum caller who)
{
	bool gated = strncmp(route->path, "/api/gate", 9) == 0;

	if (route->auth == AUTH_NONE || route->auth == AUTH_ADDRESS ||
	    (route->auth == AUTH_SELF && !gated))
		return 0; /* we are on the loopback */
	if (who <= TWO_KEYS)
		return 401;
	if (who == SUSPENDED || who == ELSEWHERE)
		return 403;
	if (route->auth == AUTH_ADMIN && who != ADMIN)
		return 403;
	return 0;
}

/* ---- requests ---- */

static const struct {
	unsigned bit;
	const char *name;
} methods[] = {
	{ HTTP_GET, "GET" },     { HTTP_POST, "POST" },     { HTTP_PUT, "PUT" },
	{ HTTP_PATCH, "PATCH" }, { HTTP_DELETE, "DELETE" },
};
#define N_METHODS (sizeof(methods) / sizeof(methods[0]))

static const char *method_of(const struct route *route)
{
	for (size_t i = 0; i < N_METHODS; i++)
		if ((route->methods & methods[i].bit) != 0)
			return methods[i].name;
	ck_abort_msg("%s takes no method", route->path);
	return NULL;
}

/* The path with `id` for each parameter. */
static const char *target_of(const struct route *route, const char *id)
{
	static char target[512];
	size_t n = 0;

	for (const char *p = route->path; *p != '\0'; p++) {
		if (*p == '{') {
			n += (size_t)snprintf(target + n, sizeof(target) - n,
					      "%s", id);
			p = strchr(p, '}');
		} else if (*p == '*') {
			target[n++] = 'x';
		} else {
			target[n++] = *p;
		}
	}
	target[n] = '\0';
	return target;
}

static bool takes_body(const struct route *route)
{
	return route->in != NULL;
}

static void ask(const char *method, const char *target, const char *who,
		const char *type, const char *body, size_t body_len)
{
	char headers[700];

	(void)snprintf(headers, sizeof(headers), "%s%s%s%s%s", who,
		       type != NULL ? "Content-Type: " : "",
		       type != NULL ? type : "", type != NULL ? "\r\n" : "",
		       body == NULL && method[0] == 'P'
			       ? "Content-Length: 0\r\n"
			       : "");
	client_request(c, method, target, headers, body, body_len, &r);
	ck_assert_msg(r.status != 0, "%s %s: no answer", method, target);
}

/* With an empty object where the route reads a body. */
static void ask_plainly(const struct route *route, const char *target,
			const char *who)
{
	if (takes_body(route))
		ask(method_of(route), target, who, "application/json", "{}", 2);
	else
		ask(method_of(route), target, who, NULL, NULL, 0);
}

#define EACH_ROUTE(route)                                                      \
	for (const struct route *const *table_ = APP_TABLES; *table_ != NULL;  \
	     table_++)                                                         \
		for (const struct route *route = *table_; route->path != NULL; \
		     route++)

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

static bool has_required(const struct shape *s)
{
	for (const struct shape_field *f = s->fields; f->name != NULL; f++)
		if ((f->flags & SHAPE_REQUIRED) != 0)
			return true;
	return false;
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

/* ---- methods ---- */

START_TEST(each_path_takes_its_methods_and_no_others)
{
	make_callers();
	EACH_ROUTE(route)
	{
		unsigned may = allowed_of(route->path);
		const char *target = target_of(route, NOBODY_ID);

		for (size_t i = 0; i < N_METHODS; i++) {
			if ((may & methods[i].bit) != 0)
				continue;
			ask(methods[i].name, target, credential(ADMIN), NULL,
			    NULL, 0);
			ck_assert_msg(r.status == 405, "%s %s: %d",
				      methods[i].name, route->path, r.status);
			ck_assert_ptr_nonnull(header_of(&r, "Allow"));
			ck_assert_ptr_null(strstr(header_of(&r, "Allow"),
						  methods[i].name));
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
		ask("GET", target, credential(ADMIN), NULL, NULL, 0);
		status = r.status;
		ask("HEAD", target, credential(ADMIN), NULL, NULL, 0);
		ck_assert_msg(r.status == status, "HEAD %s: %d, GET is %d",
			      route->path, r.status, status);
		ck_assert_uint_eq(r.body_len, 0);
	}
}
END_TEST

/* ---- what is malformed ---- */

START_TEST(ids_are_checked_and_then_looked_for)
{
	make_callers();
	EACH_ROUTE(route)
	{
		if (!has_ids(route))
			continue;
		ask_plainly(route, target_of(route, "nonsense"),
			    credential(ADMIN));
		want_error(400, "bad_request");
		if (takes_body(route) && has_required(route->in))
			continue; /* its body is looked at before */
		ask_plainly(route, target_of(route, NOBODY_ID),
			    credential(ADMIN));
		ck_assert_msg(r.status == 404 || r.status == 400, "%s: %d\n%s",
			      route->path, r.status, r.body);
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
		const char *m = method_of(route), *who = credential(ADMIN);
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
	ask_plainly(route, target, credential(ADMIN));
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
			if (strcmp(route->path, "/api/gate") != 0)
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
			if (f->max == 0 || (size_t)f->max >= sizeof(text) - 1)
				break;
			memset(text, 'a', (size_t)f->max + 1);
			text[f->max + 1] = '\0';
			refused(route, f->name, text);
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
		    (r.status < 400 && route->content_type != NULL))
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

		ask_plainly(route, target, credential(ADMIN));
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
	tcase_add_test(tc, each_path_takes_its_methods_and_no_others);
	tcase_add_test(tc, head_is_get_without_the_body);
	tcase_add_test(tc, ids_are_checked_and_then_looked_for);
	tcase_add_test(tc, bodies_are_checked);
	tcase_add_test(tc, parameters_have_the_bounds_that_are_described);
	tcase_add_test(tc, messagepack_is_answered_where_it_is_asked_for);
	tcase_add_test(tc, errors_and_replies_carry_what_every_reply_does);
	return fixture_run(s);
}
