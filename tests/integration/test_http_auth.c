/*
 * test_http_auth.c - the order of checks, on a segment without a database.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "http_rig.h"

#define HOST  "Host: a\r\n"
#define KEY   "Authorization: Bearer " RIG_KEY "\r\n"
#define MINE  "GET /api/mine HTTP/1.1\r\n" HOST
#define OTHER "Authorization: Bearer rig_another_key_00\r\n"

static struct rig rig;

static void assert_answer(const char *bytes, const char *status,
			  const char *part)
{
	int fd = rig_connect(&rig);
	char line[32] = "HTTP/1.1 ", *text;

	strcat(line, status);
	rig_send(fd, bytes, strlen(bytes));
	text = rig_read_one(fd, 0);
	ck_assert_msg(strncmp(text, line, strlen(line)) == 0 &&
			      strstr(text, part) != NULL,
		      "want %s with '%s', got '%s'", status, part, text);
	free(text);
	close(fd);
}

START_TEST(a_good_key_passes_until_its_limit)
{
	rig_start(&rig, NULL, 0);

	assert_answer(MINE KEY "\r\n", "200", "X-RateLimit-Remaining: 4\r\n");
	assert_answer(MINE "X-API-Key: " RIG_KEY "\r\n\r\n", "200",
		      "RateLimit-Policy: \"key\";q=5;w=60");
	assert_answer(MINE KEY "X-API-Key: other_key_0000\r\n\r\n", "401",
		      "\"unauthorized\"");
	/* guessing paths and methods costs the key's limit */
	assert_answer("GET /api/none HTTP/1.1\r\n" HOST KEY "\r\n", "404",
		      "X-RateLimit-Remaining: 2\r\n");
	assert_answer("DELETE /api/mine HTTP/1.1\r\n" HOST KEY "\r\n", "405",
		      "X-RateLimit-Remaining: 1\r\n");
	assert_answer(MINE KEY "\r\n", "200", "Cache-Control: no-store\r\n");
	assert_answer(MINE KEY "\r\n", "429", "\r\nRetry-After: ");
	assert_answer("GET /api/none HTTP/1.1\r\n" HOST KEY "\r\n", "429",
		      "\"rate_limited\"");

	rig_stop(&rig);
}
END_TEST

START_TEST(without_a_key_the_address_counts)
{
	rig_start(&rig, NULL, 0);

	assert_answer(MINE "\r\n", "401", "\r\nWWW-Authenticate: Bearer\r\n");
	assert_answer(MINE "Authorization: Basic eDp5\r\n\r\n", "401",
		      "\"unauthorized\"");
	for (int i = 0; i < 18; i++)
		assert_answer("GET /api/none HTTP/1.1\r\n" HOST "\r\n", "404",
			      "X-RateLimit-Limit: 20\r\n");
	assert_answer("GET /api/none HTTP/1.1\r\n" HOST "\r\n", "429",
		      "\"rate_limited\"");
	assert_answer(MINE "\r\n", "429", "\r\nRetry-After: ");
	/* and this one asks for nothing */
	assert_answer("GET /echo HTTP/1.1\r\n" HOST "\r\n", "200", "ok");

	rig_stop(&rig);
}
END_TEST

/* The segment is not open for loads, as while the flusher starts. */
START_TEST(a_key_that_can_not_be_loaded_is_a_503)
{
	rig_start(&rig, NULL, 0);

	assert_answer(MINE OTHER "\r\n", "503", "\r\nRetry-After: 1\r\n");
	assert_answer(MINE OTHER "\r\n", "503", "\"service_unavailable\"");

	rig_stop(&rig);
}
END_TEST

static void meter_all(struct conf *conf)
{
	conf->metering.meter_scope = CONF_ALL;
}

START_TEST(metered_routes_are_charged_with_their_answer)
{
	rig_start(&rig, meter_all, 0);

	for (int i = 0; i < 3; i++)
		assert_answer(MINE KEY "\r\n", "200", "ok");
	assert_answer(MINE KEY "\r\n", "429", "\"quota_exceeded\"");

	rig_stop(&rig);
}
END_TEST

static void strict(struct conf *conf)
{
	conf->metering.meter_scope = CONF_ALL;
	conf->metering.durability = CONF_STRICT;
	conf->metering.strict_timeout_ms = 200;
}

/* No flusher runs here, so no batch is ever confirmed. */
START_TEST(a_strict_answer_waits_and_says_so)
{
	rig_start(&rig, strict, 0);

	assert_answer(MINE KEY "\r\n", "503", "the charge stands");

	rig_stop(&rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_auth");
	TCase *tc = tcase_create("auth");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_good_key_passes_until_its_limit);
	tcase_add_test(tc, without_a_key_the_address_counts);
	tcase_add_test(tc, a_key_that_can_not_be_loaded_is_a_503);
	tcase_add_test(tc, metered_routes_are_charged_with_their_answer);
	tcase_add_test(tc, a_strict_answer_waits_and_says_so);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
