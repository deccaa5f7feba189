/*
 * What outgoing calls are refused: by name, by address, by redirect, by
 * certificate.  Each refusal is logged once, with the host and the rule.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/mem.h"
#include "egress_rig.h"
#include "net/fetch_internal.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static struct rig_call call;

static void setup(void)
{
	memset(&call, 0, sizeof(call));
	/* a proxy that is not there: nobody may ask it */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	rig_up(NULL);
}

static void teardown(void)
{
	ck_assert_uint_eq(rig.accepted[RIG_FORBIDDEN], 0);
	rig_free(&call);
	rig_down();
}

static void assert_refused(const char *rule)
{
	ck_assert_msg(call.st == TL_DENIED, "%s: %s",
		      fetch_why_name(call.reply.why), call.err.text);
	ck_assert_int_eq(call.reply.why, FETCH_REFUSED);
	ck_assert_str_eq(call.reply.rule, rule);
	ck_assert_uint_eq(call.reply.status, 0);
}

static void assert_logged_once(const char *host, const char *rule)
{
	char text[400];

	snprintf(text, sizeof(text), "\"host\":\"%s\",\"rule\":\"%s\"", host,
		 rule);
	ck_assert_msg(rig_log_lines(text) == 1, "%s", text);
	ck_assert_uint_eq(rig_log_lines("refused:"), 1);
	/* a query is never written */
	ck_assert_uint_eq(rig_log_lines("sesame"), 0);
}

static const struct {
	const char *url, *host, *rule;
} refused[] = {
	{ "http://2130706433:%P/?sesame", "127.0.0.1", "address.loopback" },
	{ "http://0177.0.0.1:%P/sesame", "127.0.0.1", "address.loopback" },
	{ "http://0x7f000001:%P/", "127.0.0.1", "address.loopback" },
	{ "http://127.1:%P/", "127.0.0.1", "address.loopback" },
	{ "http://127.0.0.1:%P/", "127.0.0.1", "address.loopback" },
	{ "http://[::ffff:127.0.0.1]:%P/", "[::ffff:127.0.0.1]",
	  "address.loopback" },
	{ "http://[::ffff:7f00:1]:%P/", "[::ffff:7f00:1]", "address.loopback" },
	{ "http://localhost:%P/", "localhost", "address.loopback" },
	{ "http://169.254.169.254/latest/meta-data/?sesame", "169.254.169.254",
	  "address.link-local" },
	{ "http://metadata.test/", "metadata.test", "address.link-local" },
	{ "http://mapped.test:%P/", "mapped.test", "address.loopback" },
	/* one bad address of two is enough */
	{ "http://mixed.test:%P/", "mixed.test", "address.private" },
	{ "http://good.test:1/?sesame", "good.test", "port" },
	{ "http://sesame:sesame@good.test:%P/", "good.test", "userinfo" },
	{ "ftp://good.test:%P/", "good.test", "scheme" },
	{ "good.test/sesame", "", "url" },
};

START_TEST(addresses_and_urls_are_refused_and_logged)
{
	rig_get(&call, refused[_i].url, RIG_FORBIDDEN);

	assert_refused(refused[_i].rule);
	assert_logged_once(refused[_i].host, refused[_i].rule);
	ck_assert_uint_eq(rig.accepted[RIG_HTTP], 0);
}
END_TEST

/* A name server that answers well for the check and badly for the call. */
START_TEST(rebinding_finds_no_second_look_up)
{
	rig_get(&call, "http://rebind.test:%P/ok", RIG_HTTP);
	ck_assert_msg(call.st == TL_OK, "%s", call.err.text);
	ck_assert_str_eq(call.reply.remote, "127.0.0.2");
	ck_assert_uint_eq(rig.rebind_questions, 1);
	rig_free(&call);

	/* not even over the connection that is still there */
	rig_get(&call, "http://rebind.test:%P/ok", RIG_HTTP);
	assert_refused("address.loopback");
	assert_logged_once("rebind.test", "address.loopback");
	ck_assert_uint_eq(rig.rebind_questions, 2);
	ck_assert_uint_eq(rig.requests, 1);
}
END_TEST

/* ---- libcurl left to itself ---- */

struct bare { /* an exchange without look-up and check before it */
	const char *url;
	struct exchange ex;
	struct fetch_reply reply;
	struct tl_err err;
	bool done;
};

static void bare_job(void *arg)
{
	struct bare *b = arg;
	struct exchange_plan plan = { .url = curl_url(),
				      .method = "GET",
				      .connect_timeout_ms = 10000 };

	curl_url_set(plan.url, CURLUPART_URL, b->url, 0);
	b->ex = (struct exchange){ .reply = &b->reply,
				   .err = &b->err,
				   .body_max_bytes = 1000 };
	exchange_open(&b->ex, &plan);
	ck_assert_int_eq(net_run(&b->ex, CO_NO_DEADLINE, &b->err), TL_OK);
	exchange_outcome(&b->ex);
	exchange_facts(&b->ex);
	curl_easy_cleanup(b->ex.easy);
	curl_url_cleanup(plan.url);
	b->done = true;
}

static void bare_get(struct bare *b, const char *url_format)
{
	struct rig_call c;
	struct tl_err err;

	memset(b, 0, sizeof(*b));
	rig_url(&c, url_format, RIG_HTTP);
	b->url = c.url;
	ck_assert_int_eq(co_spawn(bare_job, b, CO_NO_DEADLINE, &err), TL_OK);
	while (!b->done)
		rig_turn();
	fetch_reply_deinit(&b->reply);
}

START_TEST(sockets_to_refused_addresses_are_not_made)
{
	static const char *const urls[] = {
		"http://2130706433:%P/", "http://127.0.0.1:%P/",
		"http://[::ffff:127.0.0.1]:%P/",
		"http://localhost:%P/", /* libcurl knows it by itself */
	};
	struct bare b;

	bare_get(&b, urls[_i]);
	ck_assert_int_eq(b.ex.why, FETCH_REFUSED);
	ck_assert_str_eq(b.ex.rule, "address.loopback");
}
END_TEST

START_TEST(connections_that_are_there_are_judged_again)
{
	struct bare b;

	bare_get(&b, "http://127.0.0.2:%P/ok");
	ck_assert_int_eq(b.ex.why, FETCH_DONE);
	net.rules.private_allow.n = 0;
	bare_get(&b, "http://127.0.0.2:%P/ok");

	ck_assert_int_eq(b.ex.why, FETCH_REFUSED);
	ck_assert_str_eq(b.ex.rule, "address.loopback");
	ck_assert(b.reply.reused);
	ck_assert_uint_eq(rig.requests, 1);
	ck_assert_uint_eq(rig.accepted[RIG_HTTP], 1);
}
END_TEST

/* ---- redirects ---- */

static const struct {
	const char *to, *host, *rule;
} targets[] = {
	{ "http://169.254.169.254/latest/?sesame", "169.254.169.254",
	  "address.link-local" },
	{ "http://[::ffff:127.0.0.1]:%P/", "[::ffff:127.0.0.1]",
	  "address.loopback" },
	{ "http://2130706433:%P/", "127.0.0.1", "address.loopback" },
	{ "//0177.0.0.1:%P/", "127.0.0.1", "address.loopback" },
	{ "http://mapped.test:%P/", "mapped.test", "address.loopback" },
	{ "http://metadata.test/", "metadata.test", "address.link-local" },
	{ "http://sesame@good.test/", "good.test", "userinfo" },
	{ "ftp://good.test/etc/passwd", "good.test", "scheme" },
	{ "gopher://good.test:1/", "good.test", "scheme" },
	{ "http://good.test:1/", "good.test", "port" },
};

START_TEST(redirects_are_judged_as_calls)
{
	struct rig_call to = { .done = false };
	char url[2200];

	rig_url(&to, targets[_i].to, RIG_FORBIDDEN);
	snprintf(url, sizeof(url), "http://good.test:%%P/redirect?302:%s",
		 to.url);
	call.rq.max_redirects = 5;
	rig_get(&call, url, RIG_HTTP);

	assert_refused(targets[_i].rule);
	assert_logged_once(targets[_i].host, targets[_i].rule);
	ck_assert_uint_eq(call.reply.redirects, 1);
	ck_assert_uint_eq(rig.requests, 1);
}
END_TEST

static const struct {
	unsigned status;
	const char *method, *then;
} hops[] = {
	{ 301, "GET", "GET" },   { 301, "POST", "GET" },
	{ 302, "POST", "GET" },  { 302, "PUT", "PUT" },
	{ 303, "PUT", "GET" },   { 303, "HEAD", "HEAD" },
	{ 307, "POST", "POST" }, { 308, "PATCH", "PATCH" },
};

START_TEST(redirects_keep_or_change_the_method)
{
	const struct fetch_header auth = { "Authorization", "Bearer sesame" };
	bool sends = strcmp(hops[_i].then, "GET") != 0 &&
		     strcmp(hops[_i].then, "HEAD") != 0;
	char url[128];

	snprintf(url, sizeof(url), "http://good.test:%%P/redirect?%u:/ok",
		 hops[_i].status);
	call.rq.method = hops[_i].method;
	call.rq.headers = &auth;
	call.rq.n_headers = 1;
	call.rq.max_redirects = 1;
	if (strcmp(hops[_i].method, "GET") != 0 &&
	    strcmp(hops[_i].method, "HEAD") != 0) {
		call.rq.body = "data";
		call.rq.body_bytes = 4;
	}
	rig_get(&call, url, RIG_HTTP);

	ck_assert_msg(call.st == TL_OK, "%s", call.err.text);
	ck_assert_uint_eq(call.reply.status, 200);
	ck_assert_uint_eq(call.reply.redirects, 1);
	ck_assert_ptr_eq(strstr(rig.last_request, hops[_i].then),
			 rig.last_request);
	ck_assert((strstr(rig.last_request, "\r\n\r\ndata") != NULL) == sends);
	/* the same origin */
	ck_assert_ptr_nonnull(strstr(rig.last_request, "sesame"));
	if (strcmp(hops[_i].then, "HEAD") != 0)
		ck_assert_str_eq(call.reply.body.ptr, "hello");
}
END_TEST

START_TEST(another_origin_gets_no_secrets)
{
	const struct fetch_header headers[] = {
		{ "Authorization", "Bearer sesame" },
		{ "X-Api-Key", "sesame" },
		{ "Content-Type", "text/plain" },
	};
	struct rig_call to = { .done = false };
	char url[2200];

	rig_url(&to, "http://twin.test:%P/ok", RIG_HTTP);
	snprintf(url, sizeof(url), "http://good.test:%%P/redirect?307:%s",
		 to.url);
	call.rq.method = "POST";
	call.rq.headers = headers;
	call.rq.n_headers = 3;
	call.rq.max_redirects = 1;
	rig_get(&call, url, RIG_HTTP);

	ck_assert_msg(call.st == TL_OK, "%s", call.err.text);
	ck_assert_ptr_nonnull(strstr(rig.last_request, "Host: twin.test"));
	ck_assert_ptr_nonnull(strstr(rig.last_request, "text/plain"));
	ck_assert_ptr_null(strstr(rig.last_request, "sesame"));
}
END_TEST

START_TEST(redirects_have_an_end)
{
	call.rq.max_redirects = 2;
	rig_get(&call,
		"http://good.test:%P/redirect?302:/redirect?302:/redirect?"
		"302:/ok",
		RIG_HTTP);

	/* each goes on with the rest of the path behind its number */
	ck_assert_int_eq(call.reply.why, FETCH_REDIRECTS);
	ck_assert_uint_eq(call.reply.redirects, 2);
	ck_assert_uint_eq(rig.requests, 3);
}
END_TEST

/* ---- TLS ---- */

START_TEST(the_file_adds_an_authority)
{
	rig_get(&call, "https://good.test:%P/ok", RIG_TLS);

	ck_assert_msg(call.st == TL_OK, "%s", call.err.text);
	ck_assert_str_eq(call.reply.body.ptr, "hello");
	ck_assert_uint_gt(call.reply.times.tls_us, 0);
	rig_free(&call);
	rig_get(&call, "https://good.test:%P/ok", RIG_TLS);
	ck_assert_int_eq(call.st, TL_OK);
	ck_assert(call.reply.reused);
	ck_assert_uint_eq(call.reply.times.tls_us, 0);
}
END_TEST

static const struct {
	const char *url;
	enum rig_port port;
} bad_tls[] = {
	{ "https://good.test:%P/", RIG_TLS_OTHER },
	{ "https://good.test:%P/", RIG_TLS_EXPIRED },
	{ "https://good.test:%P/", RIG_TLS_SELF },
	{ "https://twin.test:%P/", RIG_TLS },
	{ "https://127.0.0.2:%P/", RIG_TLS },
	{ "https://good.test:%P/", RIG_HTTP }, /* speaks no TLS */
};

START_TEST(certificates_must_be_valid)
{
	rig_get(&call, bad_tls[_i].url, bad_tls[_i].port);

	ck_assert_msg(call.reply.why == FETCH_TLS, "%s: %s",
		      fetch_why_name(call.reply.why), call.err.text);
	ck_assert_int_eq(call.st, TL_UNAVAILABLE);
	ck_assert_uint_eq(rig.requests, 0);
}
END_TEST

/* ---- https only; URLs that are to be stored ---- */

static void https_setup(void)
{
	static const char *const https[] = { "egress.allow_http=no", NULL };

	memset(&call, 0, sizeof(call));
	rig_up(https);
}

START_TEST(without_the_setting_http_is_refused)
{
	rig_get(&call, "http://good.test:%P/ok", RIG_HTTP);
	assert_refused("scheme");
	rig_free(&call);
	call.rq.max_redirects = 1;
	rig_get(&call, "https://good.test:%P/redirect?302:http://good.test/",
		RIG_TLS);
	assert_refused("scheme");
	ck_assert_uint_eq(rig_log_lines("refused:"), 2);
}
END_TEST

struct check {
	const char *url, *rule;
	uint32_t timeout_ms;
	enum tl_status st;
	struct tl_err err;
	bool done;
};

static void check_job(void *arg)
{
	struct check *c = arg;

	c->st = fetch_check(c->url, c->timeout_ms, &c->rule, &c->err);
	c->done = true;
}

START_TEST(urls_are_checked_without_a_call)
{
	static const struct {
		const char *url;
		enum tl_status st;
		const char *rule;
	} cases[] = {
		{ "https://good.test/", TL_OK, NULL },
		{ "https://mixed.test/", TL_DENIED, "address.private" },
		{ "https://127.0.0.1/", TL_DENIED, "address.loopback" },
		{ "http://good.test/", TL_DENIED, "scheme" },
		{ "https://nowhere.test/", TL_NOT_FOUND, NULL },
		{ "https://mute.test/", TL_UNAVAILABLE, NULL },
	};
	bool mute = cases[_i].st == TL_UNAVAILABLE;
	struct check c = { .url = cases[_i].url,
			   .timeout_ms = mute ? 200 : 60000 };
	struct tl_err err;

	ck_assert_int_eq(co_spawn(check_job, &c, CO_NO_DEADLINE, &err), TL_OK);
	while (!c.done)
		rig_turn();

	ck_assert_msg(c.st == cases[_i].st, "%s: %s", c.url, c.err.text);
	if (cases[_i].rule != NULL)
		ck_assert_str_eq(c.rule, cases[_i].rule);
	else
		ck_assert_ptr_null(c.rule);
	ck_assert_uint_eq(rig_log_lines("refused:"), c.st == TL_DENIED);
}
END_TEST

static TCase *add(Suite *s, const char *name, void (*up)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, up, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("egress/guard");
	TCase *tc = add(s, "guard", setup);
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_loop_test(tc, addresses_and_urls_are_refused_and_logged, 0,
			    COUNT(refused));
	tcase_add_test(tc, rebinding_finds_no_second_look_up);
	tcase_add_loop_test(tc, sockets_to_refused_addresses_are_not_made, 0,
			    4);
	tcase_add_test(tc, connections_that_are_there_are_judged_again);
	tcase_add_loop_test(tc, redirects_are_judged_as_calls, 0,
			    COUNT(targets));
	tcase_add_loop_test(tc, redirects_keep_or_change_the_method, 0,
			    COUNT(hops));
	tcase_add_test(tc, another_origin_gets_no_secrets);
	tcase_add_test(tc, redirects_have_an_end);
	tcase_add_test(tc, the_file_adds_an_authority);
	tcase_add_loop_test(tc, certificates_must_be_valid, 0, COUNT(bad_tls));
	tc = add(s, "https", https_setup);
	tcase_add_test(tc, without_the_setting_http_is_refused);
	tcase_add_loop_test(tc, urls_are_checked_without_a_call, 0, 6);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
