/*
 * The admin command on keys: made with all rules, renamed, rotated, revoked,
 * shown; in force in every worker when it returns, and without a daemon.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "lib/fixture.h"

#define WORKERS   "server.workers=4", "server.reuseport=yes"
#define DEMO      "demo@codexible.me"

static struct json_object *answer;
static char id[64], key[160]; /* of the key made last */

static int ctl_args(const char *const *args)
{
	json_object_put(answer);
	answer = NULL;
	return daemon_ctl(d, &answer, args);
}
#define ctl(...) ctl_args((const char *const[]){ __VA_ARGS__, NULL })

/* Workers serve a moment before the master listens to commands. */
#define up_ctl(...)                                                            \
	do {                                                                   \
		up(__VA_ARGS__);                                               \
		WAIT_UNTIL(ctl("database") == 0);                              \
	} while (0)

static const char *text(const char *path)
{
	struct json_object *o = json_at(answer, path);

	return o != NULL ? json_object_get_string(o) : NULL;
}

static void take_made(void)
{
	(void)snprintf(id, sizeof(id), "%s", text("id"));
	(void)snprintf(key, sizeof(key), "%s", text("key"));
}

/* Every worker has its say: connections are dealt out by the kernel. */
static bool all_say(const char *k, const char *query, int status)
{
	for (unsigned i = 0; i < 16; i++) {
		client_close(c);
		if (gate(k, query) != status)
			return false;
	}
	return true;
}

/* Standard output of the command in words; the caller's. */
static char *words(const char *args)
{
	char *program = world_program("tallyctl"), command[1000];
	char *out = tl_alloc(16384);
	FILE *p;

	(void)snprintf(command, sizeof(command),
		       "%s -o server.state_dir=%s -o server.instance=%s -o "
		       "'database.url=%s' %s 2>/dev/null",
		       program, d->state_dir, d->instance, d->conninfo, args);
	tl_free(program);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	out[fread(out, 1, 16383, p)] = '\0';
	ck_assert_int_eq(pclose(p), 0);
	return out;
}

static const char *audited(void)
{
	return sql_str(d->conninfo,
		       "SELECT string_agg(action, ' ' ORDER BY id) FROM "
		       "audit_log WHERE actor = 'tallyctl'");
}

START_TEST(a_key_is_made_and_shown_with_all_its_rules)
{
	up_ctl(FREE_RATE);

	ck_assert_int_eq(ctl("key", "create", DEMO, "--label", " CI ",
			     "--scopes", "read,write", "--daily-limit", "7",
			     "--metadata", "{ \"team\": \"a\" }"),
			 0);
	take_made();
	ck_assert_int_eq(ctl("key", "show", id), 0);

	ck_assert_pstr_eq(text("label"), "CI");
	ck_assert_pstr_eq(text("scopes.1"), "write");
	ck_assert_pstr_eq(text("daily_credit_limit"), "7");
	ck_assert_pstr_eq(text("metadata.team"), "a");
	ck_assert_ptr_null(json_at(answer, "key"));
	ck_assert_str_eq(audited(), "token.create");
}
END_TEST

START_TEST(bad_input_makes_and_changes_nothing)
{
	up_ctl(FREE_RATE);

	ck_assert_int_eq(ctl("key", "create", DEMO, "--metadata", "[1]"), 2);
	ck_assert_int_eq(ctl("key", "create", DEMO, "--metadata", "{"), 2);
	ck_assert_int_eq(
		ctl("key", "create", DEMO, "--metadata", "{\"a\":\"\\u0000\"}"),
		2);
	ck_assert_int_eq(ctl("key", "create", DEMO, "--scopes", "a b"), 2);
	ck_assert_int_eq(ctl("key", "rename", ID_PRO, "  "), 2);
	ck_assert_int_eq(ctl("key", "rename", ID_PRO), 2);
	ck_assert_int_eq(
		ctl("key", "rotate", ID_PRO, "--grace-seconds", "86401"), 2);
	ck_assert_int_eq(ctl("key", "rotate", "codexible_none"), 4);
	ck_assert_int_eq(
		ctl("key", "show", "00000000-0000-4000-8000-000000000000"), 4);

	ck_assert_str_eq(audited(), "");
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
}
END_TEST

START_TEST(a_key_is_renamed)
{
	up_ctl(FREE_RATE);

	ck_assert_int_eq(ctl("key", "rename", ID_PRO, " Other "), 0);

	ck_assert_pstr_eq(text("label"), "Other");
	client_get(c, "/api/keys", KEY_PRO, &r);
	ck_assert_pstr_eq(json_str(&r, "0.label"), "Other");
	ck_assert_str_eq(audited(), "token.update");
	ck_assert_str_eq(sql_str(d->conninfo, "SELECT details FROM audit_log"),
			 "label 'Other', was 'Demo Pro Key'");
}
END_TEST

/* Also one that no worker holds. */
START_TEST(a_rotated_key_is_refused_when_the_command_returns)
{
	char old[160], prefix[32];

	up_ctl(WORKERS, FREE_RATE, "keys.refresh_seconds=3600");
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(ctl("key", "create", DEMO, "--label", "R",
				     "--scopes", "read"),
				 0);
		take_made();
		strcpy(old, key);
		(void)snprintf(prefix, sizeof(prefix), "%.20s", key);
		if (i % 2 == 0)
			ck_assert(all_say(old, "scope=read", 200));

		ck_assert_int_eq(ctl("key", "rotate", prefix), 0);

		ck_assert_pstr_eq(text("old_id"), id);
		ck_assert_ptr_null(text("old_grace_until"));
		ck_assert_pstr_eq(text("label"), "R");
		take_made();
		ck_assert_str_ne(key, old);
		ck_assert(all_say(old, "scope=read", 401));
		ck_assert(all_say(key, "scope=read", 200));
		ck_assert(all_say(key, "scope=write", 403));
		ck_assert_int_eq(ctl("key", "revoke", id), 0);
		ck_assert(all_say(key, "scope=read", 401));
		ck_assert_int_eq(ctl("key", "rotate", id), 4);
	}
}
END_TEST

START_TEST(a_grace_can_be_ended)
{
	char old_id[64], old[160];

	up_ctl(WORKERS, FREE_RATE);
	ck_assert_int_eq(ctl("key", "create", DEMO), 0);
	take_made();
	strcpy(old_id, id);
	strcpy(old, key);

	ck_assert_int_eq(ctl("key", "rotate", id, "--grace-seconds", "3600"),
			 0);
	ck_assert_ptr_nonnull(text("old_grace_until"));
	take_made();
	ck_assert(all_say(old, "", 200));
	ck_assert(all_say(key, "", 200));
	ck_assert_int_eq(ctl("key", "show", old_id), 0);
	ck_assert_pstr_eq(text("status"), "revoked");
	ck_assert_ptr_nonnull(text("grace_until"));

	ck_assert_int_eq(ctl("key", "revoke", old_id), 0);
	ck_assert(all_say(old, "", 401));
	ck_assert(all_say(key, "", 200));
	ck_assert_int_eq(ctl("key", "revoke", old_id), 4);
	ck_assert_str_eq(audited(), "token.create token.rotate token.revoke");
}
END_TEST

START_TEST(without_a_daemon_the_database_is_enough)
{
	char old[160], url[300];

	up_ctl(FREE_RATE);
	(void)snprintf(url, sizeof(url), "database.url=%s", d->conninfo);
	ck_assert_int_eq(ctl("key", "create", DEMO), 0);
	take_made();
	strcpy(old, key);
	ck_assert_int_eq(gate(old, ""), 200);
	client_close(c);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);

	ck_assert_int_eq(ctl("-o", url, "key", "rotate", id), 0);
	take_made();

	fixture_again();
	/* the segment lives on and serves; what it holds is read anew then */
	WAIT_UNTIL(gate(old, "") == 401);
	want_error(401, "unauthorized");
	ck_assert_int_eq(gate(key, ""), 200);
}
END_TEST

/* A script reads the secret from standard output and nothing else. */
START_TEST(the_secret_alone_is_on_standard_output)
{
	char *out;

	up_ctl(FREE_RATE);

	out = words("key rotate " ID_PRO " --grace-seconds 60");
	ck_assert_uint_eq(strlen(out), 43);
	out[strcspn(out, "\n")] = '\0';
	ck_assert_int_eq(gate(out, ""), 200);
	tl_free(out);

	out = words("key show " ID_PRO);
	ck_assert_ptr_nonnull(strstr(out, "works until   20"));
	ck_assert_ptr_nonnull(strstr(out, "scopes        all"));
	ck_assert_ptr_nonnull(strstr(out, "owner         " DEMO));
	tl_free(out);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("key command");
	TCase *tc = fixture_case(s, "keys");

	tcase_add_test(tc, a_key_is_made_and_shown_with_all_its_rules);
	tcase_add_test(tc, bad_input_makes_and_changes_nothing);
	tcase_add_test(tc, a_key_is_renamed);
	tcase_add_test(tc, a_rotated_key_is_refused_when_the_command_returns);
	tcase_add_test(tc, a_grace_can_be_ended);
	tcase_add_test(tc, without_a_daemon_the_database_is_enough);
	tcase_add_test(tc, the_secret_alone_is_on_standard_output);
	return fixture_run(s);
}
