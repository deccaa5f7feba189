/*
 * matrix.c - see matrix.h.
 */
#include "matrix.h"

#include <stdio.h>
#include <string.h>

/* ---- callers ---- */

#define TOKEN "of-the-programs-that-ask-by-the-clock"

/* clang-format off */
const char *const caller_names[CALLERS] = {
	"nobody", "cron.token", "basic", "short", "unknown", "revoked", "expired",
	"two keys", "suspended", "elsewhere", "plain", "plain in X-API-Key",
	"scoped", "admin"
};
/* clang-format on */

void make_callers(void)
{
	up("limits.enabled=no", "admin.emails=admin@test",
	   "keys.max_per_user=10000", "log.access=no", "cron.token=" TOKEN);
	make_key("plain", 1000000, "");
	make_key("admin", 1000000, "");
	make_key("revoked", 1000000, "status = 'revoked'");
	make_key("expired", 1000000, "expires_at = now() - interval '1 s'");
	make_key("elsewhere", 1000000, "allowed_ips = '{192.0.2.0/24}'");
	make_key("suspended", 1000000, "");
	make_key("scoped", 1000000, "scopes = '{read}'");
	make_key("verifier", 1000000, "scopes = '{tally.verify}'");
	sql_exec(d->conninfo, "UPDATE users SET status = 'suspended' "
			      "WHERE email = 'suspended@test'");
}

const char *credential(enum caller who)
{
	static char text[400];
	const char *key = NULL;

	switch (who) {
	case NOBODY:
	case CALLERS:
		return "";
	case CRON_TOKEN:
		key = TOKEN;
		break;
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
	case SCOPED:
		key = key_of("scoped");
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

const char *good_credential(const struct route *route)
{
	return credential(route->auth == AUTH_CRON ? CRON_TOKEN : ADMIN);
}

const struct matrix_method MATRIX_METHODS[MATRIX_N_METHODS] = {
	{ HTTP_GET, "GET" },     { HTTP_POST, "POST" },     { HTTP_PUT, "PUT" },
	{ HTTP_PATCH, "PATCH" }, { HTTP_DELETE, "DELETE" },
};

/* ---- requests ---- */

const char *method_of(const struct route *route)
{
	for (size_t i = 0; i < MATRIX_N_METHODS; i++)
		if ((route->methods & MATRIX_METHODS[i].bit) != 0)
			return MATRIX_METHODS[i].name;
	ck_abort_msg("%s takes no method", route->path);
	return NULL;
}

const char *target_of(const struct route *route, const char *id)
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

bool takes_body(const struct route *route)
{
	return route->in != NULL;
}

void ask(const char *method, const char *target, const char *who,
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

void ask_plainly(const struct route *route, const char *target, const char *who)
{
	if (takes_body(route))
		ask(method_of(route), target, who, "application/json", "{}", 2);
	else
		ask(method_of(route), target, who, NULL, NULL, 0);
}

static const char *sample_value(const struct shape_field *f)
{
	switch (f->kind) {
	case SHAPE_BOOL:
		return "true";
	case SHAPE_INT:
		return f->min <= 1 ? "1" : "100000";
	case SHAPE_STR:
		return "\"a\"";
	case SHAPE_UUID:
		return "\"" NOBODY_ID "\"";
	case SHAPE_STRS:
	case SHAPE_ARRAY:
		return "[]";
	case SHAPE_OBJECT:
	case SHAPE_ANY:
		return "{}";
	case SHAPE_TIME:
		return "\"2099-01-01T00:00:00Z\"";
	case SHAPE_DATE:
		return "\"2026-03-01\"";
	case SHAPE_USD:
		break;
	}
	ck_abort_msg("%s: no such body", f->name);
	return NULL;
}

const char *sample_body(const struct shape *s, const struct shape_field *also)
{
	static char body[2048];
	size_t n = 1;

	body[0] = '{';
	for (const struct shape_field *f = s->fields; f->name != NULL; f++)
		if (f == also || (f->flags & SHAPE_REQUIRED) != 0)
			n += (size_t)snprintf(body + n, sizeof(body) - n - 1,
					      "%s\"%s\":%s", n > 1 ? "," : "",
					      f->name, sample_value(f));
	body[n++] = '}';
	body[n] = '\0';
	return body;
}

bool has_required(const struct shape *s)
{
	for (const struct shape_field *f = s->fields; f->name != NULL; f++)
		if ((f->flags & SHAPE_REQUIRED) != 0)
			return true;
	return false;
}
