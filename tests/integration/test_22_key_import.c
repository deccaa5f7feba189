/*
 * test_22_key_import.c - keys of another product, by their hashes.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>
#include <openssl/evp.h>

#include "base/str.h"
#include "lib/ctl.h"
#include "lib/fixture.h"

static FILE *file; /* being written */
static char *path;
#define import(...) ctl("key", "import", path, ##__VA_ARGS__)

static void begin(const char *head)
{
	free(path);
	path = world_path("keys");
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fprintf(file, "%s\n", head);
}

static const char *hash_of(const char *key)
{
	static char texts[4][65];
	static unsigned turn;
	uint8_t digest[32];
	char *out = texts[turn++ % 4];

	ck_assert_int_eq(
		EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL),
		1);
	tl_hex(digest, sizeof(digest), out);
	return out;
}

__attribute__((format(printf, 1, 2))) static void row(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(file, fmt, ap);
	va_end(ap);
	fputc('\n', file);
}

static void end(void)
{
	fclose(file);
}

/* What tallyctl wrote to stderr ends in the test's own. */
static char *complaint(const char *options)
{
	char *out = world_path("complaint"), *words, *bin;
	char *command = NULL;

	bin = world_program("tallyctl");
	ck_assert_int_gt(asprintf(&command,
				  "%s -o database.url='%s' -o server.state_dir="
				  "'%s' key import '%s' %s >/dev/null 2>'%s'",
				  bin, d->conninfo, d->state_dir, path, options,
				  out),
			 0);
	ck_assert_int_ne(system(command), 0);
	free(command);
	free(bin);
	words = world_read(out);
	free(out);
	return words;
}

START_TEST(imported_keys_are_good_when_the_command_returns)
{
	const char *one = "other_product_key_0001";

	up(FREE_RATE, "server.workers=2");
	/* every worker has looked, and remembers that there is no such key */
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(gate(one, ""), 401);
	sql_exec(d->conninfo,
		 "INSERT INTO webhook_endpoints (user_id, url, events, secret)"
		 " SELECT user_id, 'https://h/', '{key.created}',"
		 "  decode(repeat('2a', 32), 'hex')"
		 "  FROM users WHERE email = 'demo@codexible.me'");
	begin("key_hash,email,label,scopes,status");
	row("%s,demo@codexible.me,\"from, before\",read; write,active",
	    hash_of(one));
	row("%s,demo@codexible.me,gone,,revoked", hash_of("another"));
	end();

	ck_assert_int_eq(import(), 0);

	ck_assert_int_eq(number("imported"), 2);
	/* the owner is told of the one that works */
	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT string_agg(body::jsonb #>>"
				 " '{data,label}', ' ')"
				 "  FROM tallyd.webhook_delivery"
				 " WHERE event = 'key.created'"),
			 "from, before");
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(gate(one, "scope=write"), 200);
	ck_assert_int_eq(gate(one, "scope=admin"), 403);
	ck_assert_str_eq(sql_str(d->conninfo,
				 "SELECT label FROM api_keys WHERE key_hash = "
				 "'%s'",
				 hash_of(one)),
			 "from, before");
	ck_assert_int_eq(sql_num(d->conninfo,
				 "SELECT count(*) FROM audit_log WHERE action ="
				 " 'token.import' AND actor = 'tallyctl'"),
			 1);
}
END_TEST

START_TEST(all_members_arrive_from_csv_and_json_alike)
{
	static const char want[] =
		"K|pre|active|2020-01-02 00:00:00+00|2090-01-01 12:00:00+00|"
		"{a,b}|{10.0.0.0/8,::1/128}|7|0|{\"x\": [1, \"y\"]}";
	static const char ask[] =
		"SELECT concat_ws('|', label, key_prefix, status, created_at, "
		"expires_at, scopes, allowed_ips, rate_limit, "
		"daily_credit_limit, metadata) FROM api_keys WHERE key_hash = "
		"'%s'";
	char upper[65];

	up();
	snprintf(upper, sizeof(upper), "%s", hash_of("csv"));
	for (char *p = upper; *p != '\0'; p++)
		*p = (char)(*p >= 'a' && *p <= 'f' ? *p - 32 : *p);
	begin("Email,key_hash,label,prefix,status,created_at,expires_at,scopes,"
	      "allowed_ips,rate_limit,daily_credit_limit,metadata\r");
	row("new@test,%s,K,pre,active,2020-01-02,2090-01-01T12:00:00Z,a b,"
	    "10.0.0.0/8;::1,7,0,\"{\"\"x\"\": [1,\n\"\"y\"\"]}\"\r",
	    upper);
	end();
	ck_assert_int_eq(import("--plan", "Pro"), 0);
	ck_assert_int_eq(number("users"), 1);
	begin("");
	row("{\"email\":\"NEW@test\",\"key_hash\":\"%s\",\"label\":\"K\","
	    "\"prefix\":\"pre\",\"status\":\"active\",\"created_at\":"
	    "\"2020-01-02\",\"expires_at\":\"2090-01-01T12:00:00Z\",\"scopes\":"
	    "[\"a\",\"b\"],\"allowed_ips\":[\"10.0.0.0/8\",\"::1\"],"
	    "\"rate_limit\":7,\"daily_credit_limit\":0,\"metadata\":{\"x\":"
	    "[1,\"y\"]}}",
	    hash_of("json"));
	end();

	ck_assert_int_eq(import("--format=jsonl"), 0);

	ck_assert_int_eq(number("users"), 0);
	ck_assert_str_eq(sql_str(d->conninfo, ask, hash_of("csv")), want);
	ck_assert_str_eq(sql_str(d->conninfo, ask, hash_of("json")), want);
}
END_TEST

START_TEST(one_bad_line_and_nothing_is_imported)
{
	char *words;

	up();
	begin("key_hash,label,rate_limit");
	row("%s,good,", hash_of("a"));
	row("%s,bad,0", hash_of("b"));
	row("xyz,bad,");
	row("%s,again,", hash_of("a"));
	row("%s,\"two\nlines\"", hash_of("c"));
	row("%s,,1,2", hash_of("d"));
	end();

	words = complaint("--user demo@codexible.me");

	ck_assert_ptr_nonnull(strstr(words, "line 3: rate_limit"));
	ck_assert_ptr_nonnull(strstr(words, "line 4: key_hash"));
	ck_assert_ptr_nonnull(strstr(words, "line 5: the same hash as on line "
					    "2"));
	ck_assert_ptr_nonnull(strstr(words, "line 6: "));
	ck_assert_ptr_nonnull(strstr(words, "line 8: more fields"));
	ck_assert_ptr_nonnull(strstr(words, "--skip-bad"));
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM api_keys"),
			 3);
	free(words);
}
END_TEST

START_TEST(skip_bad_imports_the_rest_and_tells)
{
	char *words;

	up();
	begin("key_hash,email");
	row("%s,demo@codexible.me", hash_of("a"));
	row("%s,stranger@test", hash_of("b"));
	row("%s,team@codexible.me", hash_of(KEY_PRO)); /* demo's own */
	row("%s,", hash_of("c"));
	end();

	words = complaint("--skip-bad");

	ck_assert_ptr_nonnull(strstr(words, "line 3: there is no user"));
	ck_assert_ptr_nonnull(strstr(words, "line 4: another user"));
	ck_assert_ptr_nonnull(strstr(words, "line 5: no e-mail"));
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM api_keys"),
			 4);
	free(words);
}
END_TEST

START_TEST(an_import_may_be_run_again)
{
	up();
	begin("key_hash");
	for (int i = 0; i < 20000; i++) {
		char key[40];

		snprintf(key, sizeof(key), "key number %d", i);
		row("%s", hash_of(key));
	}
	end();

	ck_assert_int_eq(import("--user", "demo@codexible.me", "--dry-run"), 0);
	ck_assert_int_eq(number("imported"), 20000);
	ck_assert_int_eq(import("--user", "demo@codexible.me"), 0);
	ck_assert_int_eq(number("imported"), 20000);
	ck_assert_int_eq(import("--user", "demo@codexible.me"), 0);

	ck_assert_int_eq(number("imported"), 0);
	ck_assert_int_eq(number("held"), 20000);
	ck_assert_int_eq(sql_num(d->conninfo, "SELECT count(*) FROM api_keys"),
			 20003);
	/* not a row for each of them, which every daemon would have to read */
	ck_assert_int_lt(
		sql_num(d->conninfo, "SELECT count(*) FROM tallyd.change_log"),
		10000);
}
END_TEST

START_TEST(what_breaks_the_file_says_so)
{
	static const struct {
		const char *head, *options, *words;
	} cases[] = {
		{ "email,label", "", "names no column key_hash" },
		{ "key_hash,labl", "", "there is no column 'labl'" },
		{ "key_hash\n\"abc", "", "never closed" },
		{ "key_hash", "--plan Nothing", "there is no plan 'Nothing'" },
		{ "key_hash", "--user no@test", "there is no user 'no@test'" },
		{ "key_hash", "--format xml", "--format is csv or jsonl" },
	};
	char *words;

	up();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(cases[i].head);
		if (strcmp(cases[i].head, "key_hash") == 0)
			row("%s", hash_of("a"));
		end();

		words = complaint(strstr(cases[i].options, "plan") != NULL
					  ? "--user u@test --plan Nothing"
					  : cases[i].options);

		ck_assert_msg(strstr(words, cases[i].words) != NULL,
			      "case %zu: %s", i, words);
		free(words);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("22_key_import");
	TCase *tc = fixture_case(s, "import");

	tcase_add_test(tc, imported_keys_are_good_when_the_command_returns);
	tcase_add_test(tc, all_members_arrive_from_csv_and_json_alike);
	tcase_add_test(tc, one_bad_line_and_nothing_is_imported);
	tcase_add_test(tc, skip_bad_imports_the_rest_and_tells);
	tcase_add_test(tc, an_import_may_be_run_again);
	tcase_add_test(tc, what_breaks_the_file_says_so);
	return fixture_run(s);
}
