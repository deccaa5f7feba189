/* GET /metrics: figures that are true, a format that Prometheus takes. */
#include "base/mem.h"
#include "lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value behind "name{labels} "; -1: no such line. */
static double value_of(const char *series)
{
	size_t len = strlen(series);

	for (const char *p = r.body; p != NULL; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, series, len) == 0 && p[len] == ' ')
			return strtod(p + len, NULL);
	}
	return -1;
}

static void scrape(void)
{
	client_get(c, "/metrics", NULL, &r);
	want(200);
}

START_TEST(counts_are_what_was_asked)
{
	up();
	for (int i = 0; i < 3; i++)
		gate(KEY_PRO, "");
	gate("codexible_00000000000000000000000000000000", "");
	gate(NULL, "");

	scrape();

	ck_assert_str_eq(header_of(&r, "Content-Type"),
			 "text/plain; version=0.0.4; charset=utf-8");
	ck_assert_double_eq(
		value_of("tallyd_decision_results_total{code=\"ok\"}"), 3);
	ck_assert_double_eq(value_of("tallyd_decision_results_total{code="
				     "\"unauthorized\"}"),
			    2);
	ck_assert_double_eq(
		value_of("tallyd_refusals_total{reason=\"unknown\"}"), 1);
	ck_assert_double_eq(
		value_of("tallyd_refusals_total{reason=\"missing\"}"), 1);
	ck_assert_double_eq(value_of("tallyd_credits_charged_total"), 3);
	ck_assert_double_eq(value_of("tallyd_http_request_duration_seconds_"
				     "count{door=\"gate\"}"),
			    5);
	ck_assert_double_eq(
		value_of("tallyd_processes{kind=\"worker\"}"),
		(double)daemon_children(d, "worker",
					(pid_t[DAEMON_MAX_CHILDREN]){ 0 }));
	ck_assert_double_eq(value_of("tallyd_database_up"), 1);
}
END_TEST

START_TEST(histograms_add_up)
{
	double below = 0, last, n;
	char *p;

	up();
	for (int i = 0; i < 64; i++)
		gate(KEY_BUSINESS, "");

	scrape();

	p = strstr(r.body, "tallyd_decision_duration_seconds_bucket");
	ck_assert_ptr_nonnull(p);
	for (; strncmp(p, "tallyd_decision_duration_seconds_bucket", 39) == 0;
	     p = strchr(p, '\n') + 1) {
		last = strtod(strchr(p, '}') + 1, NULL);
		ck_assert_double_ge(last, below);
		below = last;
	}
	n = value_of("tallyd_decision_duration_seconds_count");
	ck_assert_double_eq(below, n);
	/* one in 16, and each worker begins with its first */
	ck_assert_double_ge(n, 4);
	ck_assert_double_gt(value_of("tallyd_decision_duration_seconds_sum"),
			    0);
}
END_TEST

START_TEST(no_key_user_or_address_is_in_it)
{
	up();
	gate(KEY_PRO, "");
	gate("codexible_11111111111111111111111111111111", "");

	scrape();

	ck_assert_ptr_null(strstr(r.body, "c0000000"));
	ck_assert_ptr_null(strstr(r.body, "b0000000"));
	ck_assert_ptr_null(strstr(r.body, "codexible"));
	ck_assert_ptr_null(strstr(r.body, "127.0.0.1"));
}
END_TEST

START_TEST(strangers_may_not_read_it)
{
	up("metrics.allow=192.0.2.0/24");

	client_get(c, "/metrics", NULL, &r);

	want_error(403, "forbidden");
}
END_TEST

/* promtool, of the package prometheus, knows the rules of its own format. */
START_TEST(promtool_finds_nothing_to_say)
{
	const char *tool = getenv("TALLY_PROMTOOL");
	char *file, *out, *said, command[1024];
	FILE *f;
	int st;

	if (tool == NULL || tool[0] == '\0')
		tool = "promtool";
	(void)snprintf(command, sizeof(command),
		       "command -v '%s' >/dev/null 2>&1", tool);
	if (system(command) != 0) {
		(void)fprintf(stderr, "promtool is not here: not looked\n");
		return;
	}
	up();
	gate(KEY_PRO, "");
	scrape();
	file = world_path("metrics.txt");
	out = world_path("promtool.out");
	f = fopen(file, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(r.body, f), 0);
	ck_assert_int_eq(fclose(f), 0);

	(void)snprintf(command, sizeof(command),
		       "'%s' check metrics <'%s' >'%s' 2>&1", tool, file, out);
	st = system(command);

	said = world_read(out);
	ck_assert_msg(st == 0, "promtool: %s", said);
	ck_assert_str_eq(said, "");
	tl_free(said);
	tl_free(file);
	tl_free(out);
}
END_TEST

/* The dashboard and the alerts ask for what there is. */
START_TEST(files_in_contrib_name_metrics_that_exist)
{
	static const char *const files[] = { "contrib/grafana/tallyd.json",
					     "contrib/prometheus/alerts.yml" };
	const char *srcdir = getenv("srcdir");
	char path[1024], name[128];

	up();
	gate(KEY_PRO, "");
	scrape();

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		unsigned found = 0;
		char *text;

		(void)snprintf(path, sizeof(path), "%s/%s",
			       srcdir != NULL ? srcdir : ".", files[i]);
		text = world_read(path);
		for (char *p = strstr(text, "tallyd_"); p != NULL;
		     p = strstr(p, "tallyd_")) {
			size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz_");

			ck_assert_uint_lt(n, sizeof(name));
			memcpy(name, p, n);
			name[n] = '\0';
			ck_assert_msg(strstr(r.body, name) != NULL,
				      "%s: there is no '%s'", files[i], name);
			found++;
			p += n;
		}
		ck_assert_msg(found >= 5, "%s names %u metrics", path, found);
		free(text);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *tc = fixture_case(s, "metrics");

	tcase_add_test(tc, counts_are_what_was_asked);
	tcase_add_test(tc, histograms_add_up);
	tcase_add_test(tc, no_key_user_or_address_is_in_it);
	tcase_add_test(tc, strangers_may_not_read_it);
	tcase_add_test(tc, promtool_finds_nothing_to_say);
	tcase_add_test(tc, files_in_contrib_name_metrics_that_exist);
	return fixture_run(s);
}
