/*
 * Calls to other servers: answers of all kinds, faults, caps, and a stop or a
 * time-out in each phase.  What the guard refuses: test_40b_egress_guard.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/clock.h"
#include "egress_rig.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static struct rig_call call;

static void setup(void)
{
	memset(&call, 0, sizeof(call));
	rig_up(NULL);
}

static void teardown(void)
{
	rig_free(&call);
	rig_down();
}

static const char *body(void)
{
	return call.reply.body.len > 0 ? call.reply.body.ptr : "";
}

/* ---- answers ---- */

START_TEST(an_answer_comes_whole)
{
	const struct fetch_reply *r = &call.reply;

	rig_get(&call, "http://good.test:%P/ok?a=b", RIG_HTTP);

	ck_assert_msg(call.st == TL_OK, "%s", call.err.text);
	ck_assert_int_eq(r->why, FETCH_DONE);
	ck_assert_uint_eq(r->status, 200);
	ck_assert_str_eq(r->reason, "Fine");
	ck_assert_str_eq(body(), "hello");
	ck_assert_uint_eq(r->n_headers, 3);
	ck_assert_str_eq(fetch_reply_header(r, "x-request-id"), "r1");
	ck_assert_str_eq(fetch_reply_header(r, "x-empty"), "");
	ck_assert_ptr_null(fetch_reply_header(r, "x-other"));
	ck_assert_str_eq(r->remote, "127.0.0.2");
	ck_assert_uint_eq(r->remote_port, rig.port[RIG_HTTP]);
	ck_assert(!r->reused);
	ck_assert_uint_gt(r->times.resolve_us, 0);
	ck_assert_uint_gt(r->times.connect_us, 0);
	ck_assert_uint_eq(r->times.tls_us, 0);
	ck_assert_uint_gt(r->times.first_byte_us, 0);
	ck_assert_uint_ge(r->times.total_us, r->times.resolve_us +
						     r->times.connect_us +
						     r->times.first_byte_us);
}
END_TEST

START_TEST(a_plain_request_asks_for_nothing_special)
{
	const char *got = rig.last_request;

	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);

	ck_assert_ptr_eq(strstr(got, "GET /ok HTTP/1.1\r\n"), got);
	ck_assert_ptr_nonnull(strstr(got, "\r\nHost: good.test:"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nUser-Agent: tallyd/"));
	ck_assert_ptr_null(strstr(got, "Accept-Encoding"));
	ck_assert_ptr_null(strstr(got, "Cookie"));
	ck_assert_ptr_null(strstr(got, "Proxy"));
}
END_TEST

START_TEST(a_post_carries_headers_and_body)
{
	const struct fetch_header headers[] = {
		{ "Content-Type", "application/json" },
		{ "Authorization", "Bearer t" },
		{ "X-Nothing", "" },
	};
	const char *got = rig.last_request;

	call.rq.method = "POST";
	call.rq.headers = headers;
	call.rq.n_headers = 3;
	call.rq.body = "{\"a\":1}";
	call.rq.body_bytes = 7;
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);

	ck_assert_int_eq(call.st, TL_OK);
	ck_assert_ptr_eq(strstr(got, "POST /ok HTTP/1.1\r\n"), got);
	ck_assert_ptr_nonnull(
		strstr(got, "\r\nContent-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nAuthorization: Bearer t\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nX-Nothing:\r\n"));
	ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Length: 7\r\n"));
	ck_assert_ptr_null(strstr(got, "Expect"));
	ck_assert_ptr_nonnull(strstr(got, "\r\n\r\n{\"a\":1}"));
}
END_TEST

static const struct {
	const char *method, *body, *line, *absent;
} methods[] = {
	{ "POST", NULL, "\r\nContent-Length: 0\r\n", "Content-Type" },
	{ "PUT", "x", "\r\nContent-Length: 1\r\n", "Content-Type" },
	{ "PATCH", "x", "\r\nContent-Length: 1\r\n", "Content-Type" },
	{ "DELETE", NULL, "DELETE /ok ", "Content-Length" },
	{ "DELETE", "x", "\r\nContent-Length: 1\r\n", "Content-Type" },
	{ "OPTIONS", NULL, "OPTIONS /ok ", "Content-Length" },
};

START_TEST(methods_are_sent_as_given)
{
	call.rq.method = methods[_i].method;
	call.rq.body = methods[_i].body;
	call.rq.body_bytes = methods[_i].body != NULL ? 1 : 0;
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);

	ck_assert_int_eq(call.st, TL_OK);
	ck_assert_ptr_eq(strstr(rig.last_request, methods[_i].method),
			 rig.last_request);
	ck_assert_ptr_nonnull(strstr(rig.last_request, methods[_i].line));
	ck_assert_ptr_null(strstr(rig.last_request, methods[_i].absent));
}
END_TEST

static const struct {
	const char *path;
	unsigned status;
	const char *body;
	enum fetch_why why;
} answers[] = {
	{ "/chunked", 200, "hello world", FETCH_DONE },
	{ "/trailer", 200, "ok", FETCH_DONE },
	{ "/early", 201, "", FETCH_DONE },
	{ "/gzip", 200, "\x1f\x8b\x08\x01", FETCH_DONE },
	{ "/teapot", 418, "", FETCH_DONE },
	{ "/empty", 204, "", FETCH_DONE },
	{ "/until-close", 200, "until the end", FETCH_DONE },
	{ "/redirect?302:/ok", 302, "gone", FETCH_DONE },
	{ "/heads?120", 200, "", FETCH_DONE },
	{ "/heads?128", 200, "", FETCH_HEAD_TOO_LARGE },
	{ "/heads?6000", 0, "", FETCH_HEAD_TOO_LARGE },
	{ "/chunk-kib?1024", 200, NULL, FETCH_DONE },
	{ "/chunk-kib?1025", 200, NULL, FETCH_BODY_TOO_LARGE },
	{ "/length", 200, "", FETCH_TIMEOUT },
	{ "/close", 0, "", FETCH_BROKEN_OFF },
	{ "/broken", 200, "part", FETCH_BROKEN_OFF },
	{ "/garbage", 0, "", FETCH_PROTOCOL },
	{ "/chunks", 200, "", FETCH_BROKEN_OFF },
};

START_TEST(answers_and_faults_are_told_apart)
{
	char url[128];

	snprintf(url, sizeof(url), "http://good.test:%%P%s", answers[_i].path);
	call.rq.timeout_ms = answers[_i].why == FETCH_TIMEOUT ? 1500 : 60000;
	rig_get(&call, url, RIG_HTTP);

	ck_assert_msg(call.reply.why == answers[_i].why, "%s: %s: %s",
		      answers[_i].path, fetch_why_name(call.reply.why),
		      call.err.text);
	ck_assert_int_eq(call.st,
			 call.reply.why == FETCH_DONE ? TL_OK : TL_UNAVAILABLE);
	if (answers[_i].status != 0)
		ck_assert_uint_eq(call.reply.status, answers[_i].status);
	if (answers[_i].body != NULL)
		ck_assert_str_eq(body(), answers[_i].body);
	else
		ck_assert_uint_le(call.reply.body.len, 1048576);
}
END_TEST

START_TEST(heads_of_early_answers_and_trailers_are_not_kept)
{
	rig_get(&call, "http://good.test:%P/early", RIG_HTTP);
	ck_assert_ptr_null(fetch_reply_header(&call.reply, "link"));
	ck_assert_str_eq(call.reply.reason, "Made");
	rig_free(&call);
	rig_get(&call, "http://good.test:%P/trailer", RIG_HTTP);
	ck_assert_ptr_null(fetch_reply_header(&call.reply, "x-late"));
}
END_TEST

START_TEST(head_has_headers_only)
{
	call.rq.method = "HEAD";
	rig_get(&call, "http://good.test:%P/head", RIG_HTTP);

	ck_assert_msg(call.st == TL_OK, "%s", call.err.text);
	ck_assert_str_eq(fetch_reply_header(&call.reply, "content-length"),
			 "9");
	ck_assert_uint_eq(call.reply.body.len, 0);
}
END_TEST

START_TEST(the_cap_of_the_body_is_the_callers)
{
	call.rq.response_max_bytes = 5;
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);
	ck_assert_int_eq(call.st, TL_OK);
	rig_free(&call);
	call.rq.response_max_bytes = 4;
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);
	ck_assert_int_eq(call.reply.why, FETCH_BODY_TOO_LARGE);
	ck_assert_str_eq(call.err.text,
			 "the answer's body has more bytes than 4");
}
END_TEST

static const struct {
	const char *url;
	enum fetch_why why;
} unreachable[] = {
	{ "http://nowhere.test/", FETCH_NAME_UNKNOWN },
	{ "http://broken.test/", FETCH_NAME_FAILED },
	{ "http://good.test/", FETCH_CONNECT }, /* nobody at port 80 */
};

START_TEST(unreachable_hosts_are_told_apart)
{
	rig_get(&call, unreachable[_i].url, RIG_HTTP);

	ck_assert_msg(call.reply.why == unreachable[_i].why, "%s: %s",
		      fetch_why_name(call.reply.why), call.err.text);
	ck_assert_int_eq(call.st, TL_UNAVAILABLE);
	ck_assert_uint_eq(rig_log_lines("refused:"), 0);
}
END_TEST

static const struct fetch_header bad_headers[] = {
	{ "Host", "a" },       { "content-length", "1" },
	{ "Connection", "x" }, { "Transfer-Encoding", "chunked" },
	{ "A:", "b" },         { "", "b" },
	{ "A b", "c" },        { "A", "b\r\nC: d" },
	{ "A", "b\nC: d" },    { "Upgrade", "websocket" },
};

START_TEST(requests_that_can_not_be_are_not_made)
{
	call.rq.headers = &bad_headers[_i];
	call.rq.n_headers = 1;
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);

	ck_assert_int_eq(call.st, TL_INVALID);
	ck_assert_int_eq(call.reply.why, FETCH_INVALID);
	ck_assert_uint_eq(rig.questions, 0);
}
END_TEST

START_TEST(methods_that_can_not_be_are_not_sent)
{
	static const char *const bad[] = { "get", "CONNECT", "TRACE", "",
					   "GET / HTTP/1.1\r\nA: b\r\n\r\n" };

	for (int i = 0; i < COUNT(bad); i++) {
		call.rq.method = bad[i];
		rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);
		ck_assert_int_eq(call.st, TL_INVALID);
		rig_free(&call);
	}
	call.rq.body = "x";
	call.rq.body_bytes = 1;
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);
	ck_assert_int_eq(call.st, TL_INVALID);
	ck_assert_uint_eq(rig.requests, 0);
}
END_TEST

/* ---- stops in each phase ---- */

static const struct {
	const char *url;
	enum rig_port port;
	const char *doing; /* words of a time-out */
} phases[] = {
	{ "http://good.test:%P/ok", RIG_HTTP, "waiting for its turn" },
	{ "http://mute.test:%P/", RIG_HTTP, "looking up the host name" },
	{ "http://good.test:%P/", RIG_FULL, "connecting" },
	{ "https://good.test:%P/", RIG_MUTE, "agreeing on TLS" },
	{ "http://good.test:%P/silent", RIG_HTTP, "waiting for the answer" },
	{ "http://good.test:%P/part", RIG_HTTP, "reading the answer" },
};
#define PHASE_TURN 0

static struct rig_call blocker;

/* The only turn is taken. */
static void phase_setup(void)
{
	static const char *const one[] = { "egress.max_calls=1", NULL };

	memset(&call, 0, sizeof(call));
	memset(&blocker, 0, sizeof(blocker));
	rig_up(one);
}

static void block(int phase)
{
	if (phase != PHASE_TURN)
		return;
	rig_url(&blocker, "http://good.test:%P/silent", RIG_HTTP);
	rig_start(&blocker, CO_NO_DEADLINE);
	while (rig.requests == 0)
		rig_turn();
}

static void unblock(void)
{
	if (blocker.co != NULL) {
		co_cancel(blocker.co, "the test is over");
		rig_wait(&blocker);
		ck_assert_int_eq(blocker.st, TL_CANCELED);
		fetch_reply_deinit(&blocker.reply);
	}
	rig_free(&call);
	rig_down();
}

static bool reached(int phase)
{
	switch (phase) {
	case 0:
		return net_load().waiting == 1;
	case 1:
		return rig.questions > 0;
	case 2:
		/* nothing to see from outside: the look-up is over */
		return call.reply.times.resolve_us > 0;
	case 3:
		return rig.bytes[RIG_MUTE] > 0;
	case 4:
		return rig.requests == 1;
	default:
		return call.reply.body.len > 0;
	}
}

START_TEST(a_cancel_ends_each_phase)
{
	block(_i);
	rig_url(&call, phases[_i].url, phases[_i].port);
	rig_start(&call, CO_NO_DEADLINE);
	while (!reached(_i) && !call.done)
		rig_turn();
	ck_assert(!call.done);
	rig_turn();

	co_cancel(call.co, "not needed any more");
	rig_wait(&call);

	ck_assert_int_eq(call.st, TL_CANCELED);
	ck_assert_int_eq(call.reply.why, FETCH_STOPPED);
}
END_TEST

START_TEST(a_deadline_ends_each_phase)
{
	block(_i);
	rig_url(&call, phases[_i].url, phases[_i].port);
	rig_start(&call, tl_mono_ms() + 200);
	rig_wait(&call);

	ck_assert_int_eq(call.st, TL_DEADLINE);
	ck_assert_int_eq(call.reply.why, FETCH_STOPPED);
}
END_TEST

/*
 * On a busy machine a short time may end in a phase before; then once more,
 * with a longer one.
 */
static void time_out_in(int phase, uint32_t *timeout_ms)
{
	char words[64];

	snprintf(words, sizeof(words), "timed out while %s",
		 phases[phase].doing);
	for (*timeout_ms = 200; *timeout_ms < 30000; *timeout_ms *= 4) {
		call.done = false;
		rig_get(&call, phases[phase].url, phases[phase].port);
		ck_assert_int_eq(call.st, TL_UNAVAILABLE);
		ck_assert_int_eq(call.reply.why, FETCH_TIMEOUT);
		if (strcmp(call.err.text, words) == 0)
			return;
		fetch_reply_deinit(&call.reply);
	}
	ck_abort_msg("%s, not %s", call.err.text, words);
}

START_TEST(a_time_out_ends_each_phase_and_names_it)
{
	block(_i);
	time_out_in(_i, &call.rq.timeout_ms);
	ck_assert_uint_ge(call.reply.times.total_us, 190000);
}
END_TEST

START_TEST(connecting_has_a_time_of_its_own)
{
	time_out_in(2 + _i, &call.rq.connect_timeout_ms);
}
END_TEST

/* ---- many ---- */

#define MANY 200
static struct rig_call many[MANY];

static void run_many(int n, const char *url)
{
	for (int i = 0; i < n; i++) {
		rig_url(&many[i], url, RIG_HTTP);
		rig_start(&many[i], CO_NO_DEADLINE);
	}
	for (int i = 0; i < n; i++)
		rig_wait(&many[i]);
}

static int count_many(int n, enum fetch_why why)
{
	int found = 0;

	for (int i = 0; i < n; i++)
		found += many[i].reply.why == why;
	return found;
}

static void free_many(int n)
{
	for (int i = 0; i < n; i++)
		rig_free(&many[i]);
}

START_TEST(two_hundred_calls_wait_side_by_side)
{
	run_many(MANY, "http://good.test:%P/together?200");

	ck_assert_int_eq(count_many(MANY, FETCH_DONE), MANY);
	ck_assert_uint_eq(rig.active_peak, MANY);
	free_many(MANY);
}
END_TEST

START_TEST(connections_are_used_again)
{
	unsigned accepted;

	run_many(100, "http://good.test:%P/together?100");
	accepted = rig.accepted[RIG_HTTP];
	free_many(100);
	run_many(100, "http://good.test:%P/together?100");

	ck_assert_int_eq(count_many(100, FETCH_DONE), 100);
	ck_assert_uint_le(rig.accepted[RIG_HTTP], accepted + 10);
	free_many(100);
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);
	ck_assert(call.reply.reused);
	ck_assert_uint_eq(call.reply.times.connect_us, 0);
	ck_assert_str_eq(call.reply.remote, "127.0.0.2");
}
END_TEST

/* The other side may close a kept connection just before it is used. */
START_TEST(a_kept_connection_that_ended_is_replaced)
{
	for (int i = 0; i < 3; i++) {
		call.rq.method = "POST";
		rig_get(&call, "http://good.test:%P/then-close", RIG_HTTP);
		ck_assert_msg(call.st == TL_OK, "%s", call.err.text);
		ck_assert_str_eq(body(), "ok");
		rig_free(&call);
	}
	ck_assert_uint_eq(rig.requests, 3);
}
END_TEST

static void few_setup(void)
{
	static const char *const few[] = { "egress.max_calls=4",
					   "egress.max_waiting=4", NULL };

	memset(&call, 0, sizeof(call));
	rig_up(few);
}

START_TEST(calls_beyond_the_cap_wait_or_are_turned_away)
{
	run_many(12, "http://good.test:%P/together?4");

	ck_assert_int_eq(count_many(12, FETCH_DONE), 8);
	ck_assert_int_eq(count_many(12, FETCH_BUSY), 4);
	ck_assert_int_eq(many[11].st, TL_FULL);
	ck_assert_uint_eq(rig.active_peak, 4);
	ck_assert_uint_gt(many[7].reply.times.queue_us, 0);
	free_many(12);
}
END_TEST

/* Who is stopped while a turn is handed to it must hand it on. */
START_TEST(stops_in_the_queue_lose_no_turn)
{
	for (int i = 0; i < 8; i++) {
		rig_url(&many[i], "http://good.test:%P/delay?100", RIG_HTTP);
		rig_start(&many[i], CO_NO_DEADLINE);
	}
	ck_assert_uint_eq(net_load().waiting, 4);
	/* in this order: 0 gives its turn to 4, which is stopped already */
	co_cancel(many[0].co, "gives its turn");
	co_cancel(many[4].co, "first in the queue");
	co_cancel(many[7].co, "last in the queue");
	for (int i = 0; i < 8; i++)
		rig_wait(&many[i]);

	ck_assert_int_eq(many[0].st, TL_CANCELED);
	ck_assert_int_eq(many[4].st, TL_CANCELED);
	ck_assert_int_eq(many[7].st, TL_CANCELED);
	ck_assert_int_eq(count_many(8, FETCH_DONE), 5);
	ck_assert_uint_eq(net_load().calls, 0);
	free_many(8);
}
END_TEST

static TCase *add(Suite *s, const char *name, void (*up)(void),
		  void (*down)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("egress");
	TCase *tc = add(s, "answers", setup, teardown);
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, an_answer_comes_whole);
	tcase_add_test(tc, a_plain_request_asks_for_nothing_special);
	tcase_add_test(tc, a_post_carries_headers_and_body);
	tcase_add_loop_test(tc, methods_are_sent_as_given, 0, COUNT(methods));
	tcase_add_loop_test(tc, answers_and_faults_are_told_apart, 0,
			    COUNT(answers));
	tcase_add_test(tc, heads_of_early_answers_and_trailers_are_not_kept);
	tcase_add_test(tc, head_has_headers_only);
	tcase_add_test(tc, the_cap_of_the_body_is_the_callers);
	tcase_add_loop_test(tc, unreachable_hosts_are_told_apart, 0,
			    COUNT(unreachable));
	tcase_add_loop_test(tc, requests_that_can_not_be_are_not_made, 0,
			    COUNT(bad_headers));
	tcase_add_test(tc, methods_that_can_not_be_are_not_sent);
	tcase_add_loop_test(tc, connecting_has_a_time_of_its_own, 0, 2);
	tc = add(s, "phases", phase_setup, unblock);
	tcase_add_loop_test(tc, a_cancel_ends_each_phase, 0, COUNT(phases));
	tcase_add_loop_test(tc, a_deadline_ends_each_phase, 0, COUNT(phases));
	tcase_add_loop_test(tc, a_time_out_ends_each_phase_and_names_it, 0,
			    COUNT(phases));
	tc = add(s, "many", setup, teardown);
	tcase_add_test(tc, two_hundred_calls_wait_side_by_side);
	tcase_add_test(tc, connections_are_used_again);
	tcase_add_test(tc, a_kept_connection_that_ended_is_replaced);
	tc = add(s, "few", few_setup, teardown);
	tcase_add_test(tc, calls_beyond_the_cap_wait_or_are_turned_away);
	tcase_add_test(tc, stops_in_the_queue_lose_no_turn);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
