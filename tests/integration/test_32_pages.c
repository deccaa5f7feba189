/*
 * test_32_pages.c - what a browser opens: which path gives which file, how
 * long it may be kept, and what is said when there are none.  The forms of
 * files are test_http_static.c's.
 */
#include "lib/fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

#define POLICY                                                                 \
	"default-src 'self'; object-src 'none'; base-uri 'none'; "             \
	"form-action 'self'; frame-ancestors 'none'"

static void make_file(const char *dir, const char *name, const char *text)
{
	char *path = tl_asprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	(void)fclose(f);
	tl_free(path);
}

static void make_directory(const char *dir, const char *name)
{
	char *path = tl_asprintf("%s/%s", dir, name);

	ck_assert_int_eq(mkdir(path, 0755), 0);
	tl_free(path);
}

/* The daemon with a dashboard, or with a web directory that has none. */
static void begin(bool installed, const char *setting)
{
	char *name, *web, *env;

	prepare(setting);
	name = tl_asprintf("web.%s", d->instance);
	web = world_path(name);
	ck_assert_int_eq(mkdir(web, 0755), 0);
	if (installed) {
		make_directory(web, "dashboard");
		make_directory(web, "dashboard/assets");
		make_file(web, "dashboard/index.html", "<p>the dashboard");
		make_file(web, "dashboard/index.html.gz", "gzip of it");
		make_file(web, "dashboard/docs.html", "<p>the docs");
		make_file(web, "dashboard/assets/app-1a2b.js", "1");
		make_file(web, "dashboard/assets/app-1a2b.js.br", "br");
	}
	env = tl_asprintf("TALLY_WEBDIR=%s", web);
	daemon_setenv(d, env);
	tl_free(env);
	tl_free(web);
	tl_free(name);
	fixture_again();
}

static const char *const pages[] = { "/dashboard", "/dashboard/login",
				     "/dashboard/settings",
				     "/dashboard/admin" };

START_TEST(each_page_of_the_dashboard_is_one_file)
{
	char *etag;

	begin(true, "log.access=no");
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		client_get(c, pages[i], NULL, &r);
		want(200);
		ck_assert_pstr_eq(r.body, "<p>the dashboard");
		ck_assert_pstr_eq(header_of(&r, "Content-Type"),
				  "text/html; charset=utf-8");
		ck_assert_pstr_eq(header_of(&r, "Cache-Control"), "no-cache");
		ck_assert_pstr_eq(header_of(&r, "Content-Security-Policy"),
				  POLICY);
		ck_assert_pstr_eq(header_of(&r, "X-Frame-Options"), "DENY");
		ck_assert_pstr_eq(header_of(&r, "Referrer-Policy"),
				  "no-referrer");
	}

	etag = tl_asprintf("If-None-Match: %s\r\n", header_of(&r, "ETag"));
	client_request(c, "GET", "/dashboard", etag, NULL, 0, &r);
	want(304);
	tl_free(etag);
	client_request(c, "GET", "/dashboard", "Accept-Encoding: gzip\r\n",
		       NULL, 0, &r);
	want(200);
	ck_assert_pstr_eq(r.body, "gzip of it");
	ck_assert_pstr_eq(header_of(&r, "Content-Encoding"), "gzip");
}
END_TEST

START_TEST(what_pages_are_made_of_is_kept_and_under_no_limit)
{
	begin(true, "limits.address_count=1");
	for (int i = 0; i < 30; i++) { /* a first visit takes some */
		client_request(c, "GET", "/dashboard/assets/app-1a2b.js",
			       "Accept-Encoding: br, gzip\r\n", NULL, 0, &r);
		want(200);
	}
	ck_assert_pstr_eq(r.body, "br");
	ck_assert_pstr_eq(header_of(&r, "Cache-Control"),
			  "public, max-age=31536000, immutable");
	client_get(c, "/dashboard/assets/app-9999.js", NULL, &r);
	want_error(404, "not_found");
	ck_assert_ptr_null(header_of(&r, "Cache-Control"));
}
END_TEST

START_TEST(the_root_leads_to_the_dashboard)
{
	begin(true, "log.access=no");
	client_get(c, "/", NULL, &r);
	want(302);
	ck_assert_pstr_eq(header_of(&r, "Location"), "/dashboard");
	ck_assert_pstr_eq(header_of(&r, "Cache-Control"), "no-cache");
	ck_assert_uint_eq(r.body_len, 0);
}
END_TEST

START_TEST(docs_are_a_page_of_their_own)
{
	begin(true, "log.access=no");
	client_get(c, "/docs", NULL, &r);
	want(200);
	ck_assert_pstr_eq(r.body, "<p>the docs");
	/* the viewer is another directory, which is not here */
	client_get(c, "/docs/api", NULL, &r);
	want_error(404, "not_found");
	ck_assert_ptr_nonnull(
		strstr(json_str(&r, "error.message"), "--without-web"));
}
END_TEST

static const char *const absent[] = {
	"/",
	"/dashboard",
	"/dashboard/login",
	"/dashboard/assets/app-1a2b.js",
	"/docs",
};

START_TEST(without_a_dashboard_it_is_said_what_to_do)
{
	begin(false, "log.access=no");
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		client_get(c, absent[i], NULL, &r);
		want_error(404, "not_found");
		ck_assert_ptr_nonnull(strstr(json_str(&r, "error.message"),
					     "--without-dashboard"));
	}
}
END_TEST

START_TEST(demo_keys_are_told_and_work)
{
	up();
	client_get(c, "/docs/demo.json", NULL, &r);
	want(200);
	for (int i = 0; i < 3; i++) {
		char path[40];
		char *key;

		(void)snprintf(path, sizeof(path), "demo_keys.%d.key", i);
		key = tl_strdup(json_str(&r, path));
		ck_assert_int_eq(gate(key, ""), 200);
		tl_free(key);
		client_get(c, "/docs/demo.json", NULL, &r);
	}
	ck_assert_pstr_eq(json_str(&r, "demo_keys.0.plan"), "Pro");
	ck_assert_pstr_eq(json_str(&r, "demo_keys.0.name"), "Demo Pro Key");
	ck_assert_ptr_null(json_at(r.json, "demo_keys.3"));
}
END_TEST

START_TEST(without_demo_data_no_keys_are_told)
{
	up("database.seed_demo=no");
	client_get(c, "/docs/demo.json", NULL, &r);
	want(200);
	ck_assert_ptr_nonnull(json_at(r.json, "demo_keys"));
	ck_assert_ptr_null(json_at(r.json, "demo_keys.0"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pages");
	TCase *tc = fixture_case(s, "pages");

	tcase_add_test(tc, each_page_of_the_dashboard_is_one_file);
	tcase_add_test(tc, what_pages_are_made_of_is_kept_and_under_no_limit);
	tcase_add_test(tc, the_root_leads_to_the_dashboard);
	tcase_add_test(tc, docs_are_a_page_of_their_own);
	tcase_add_test(tc, without_a_dashboard_it_is_said_what_to_do);
	tcase_add_test(tc, demo_keys_are_told_and_work);
	tcase_add_test(tc, without_demo_data_no_keys_are_told);
	return fixture_run(s);
}
