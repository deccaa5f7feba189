/*
 * GET /api/events: what is told, to whom, when a stream goes on and when it
 * ends.
 */
#include "config.h" /* _GNU_SOURCE */

#include "lib/fixture.h"
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static struct listener l;

/* Request ids begin with 12 characters of the worker's own. */
static bool same_worker(const char *id, const char *other)
{
	return strncmp(id, other, 12) == 0;
}

static void own_id(const struct listener *of, char id[65])
{
	const char *at = strstr(of->head, "X-Request-Id: ");

	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(sscanf(at, "X-Request-Id: %64s", id), 1);
}

static void want_closed(const char *reason, unsigned n)
{
	char series[64];

	(void)snprintf(series, sizeof(series),
		       "tallyd_streams_closed_total{reason=\"%s\"}", reason);
	WAIT_UNTIL(metric(series) == n);
	ck_assert_double_eq(metric(series), n);
	WAIT_UNTIL(metric("tallyd_streams") == 0);
	ck_assert_double_eq(metric("tallyd_streams"), 0);
}

static bool log_has(const char *words)
{
	char *log = daemon_log(d);
	bool has = strstr(log, words) != NULL;

	tl_free(log);
	return has;
}

/* ---- what is told ---- */

START_TEST(a_stream_is_kept_from_caches_and_proxies)
{
	up("server.allowed_origins=https://page.test");

	ck_assert_int_eq(
		listen_to(&l, KEY_PRO, "Origin: https://page.test\r\n", 0),
		200);

	ck_assert_ptr_nonnull(
		strstr(l.head, "\r\nContent-Type: text/event-stream\r\n"));
	ck_assert_ptr_nonnull(
		strstr(l.head, "\r\nCache-Control: no-store\r\n"));
	ck_assert_ptr_nonnull(strstr(l.head, "\r\nX-Accel-Buffering: no\r\n"));
	ck_assert_ptr_nonnull(strstr(l.head, "\r\nAccess-Control-Allow-Origin: "
					     "https://page.test\r\n"));
	ck_assert_ptr_null(strstr(l.head, "Content-Length"));
	ck_assert_ptr_null(strstr(l.head, "Content-Encoding"));
	ck_assert(listen_next(&l));
	ck_assert_str_eq(l.last.name, "usage");
	listen_close(&l);
	client_request(c, "OPTIONS", "/api/events",
		       "Origin: https://page.test\r\n"
		       "Access-Control-Request-Method: GET\r\n",
		       NULL, 0, &r);
	want(204);
	ck_assert_ptr_nonnull(
		strstr(header_of(&r, "Access-Control-Allow-Headers"),
		       "Last-Event-ID"));
}
END_TEST

START_TEST(only_get_opens_one)
{
	up();

	client_request(c, "HEAD", "/api/events", "X-API-Key: " KEY_PRO "\r\n",
		       NULL, 0, &r);
	want(200);
	ck_assert_str_eq(header_of(&r, "Content-Type"), "text/event-stream");
	ck_assert_double_eq(metric("tallyd_streams"), 0);
	client_call(c, "/api/events", KEY_PRO, "{}", NULL, &r);
	want_error(405, "method_not_allowed");
	client_get(c, "/api/events", NULL, &r);
	want_error(401, "unauthorized");
}
END_TEST

START_TEST(requests_that_any_worker_decides_arrive)
{
	char mine[65], other[65] = "";
	int64_t n = 0;

	up("server.workers=2", "limits.enabled=no");
	make_key("busy", 1000000, "");
	listen_on(&l, key_of("busy"), NULL);
	ck_assert_int_eq(event_num(&l, "credits_used"), 0);
	own_id(&l, mine);

	do {
		client_close(c); /* whoever is quicker accepts */
		ck_assert_int_eq(gate(key_of("busy"), "cost=2"), 200);
		(void)snprintf(other, sizeof(other), "%s",
			       header_of(&r, "X-Request-Id"));
		n++;
	} while (same_worker(mine, other) && n < 2000);

	ck_assert(!same_worker(mine, other));
	do {
		listen_until(&l, "request");
		ck_assert_str_eq(event_str(&l, "door"), "gate");
		ck_assert_str_eq(event_str(&l, "code"), "ok");
		ck_assert_int_eq(event_num(&l, "credits"), 2);
	} while (strcmp(event_str(&l, "request_id"), other) != 0);
	listen_until(&l, "usage");
	while (event_num(&l, "request_count") < n)
		listen_until(&l, "usage");
	ck_assert_int_eq(event_num(&l, "credits_used"), 2 * n);
	ck_assert_int_eq(used_today(key_of("busy")), 2 * n);
	listen_close(&l);
}
END_TEST

START_TEST(other_keys_of_the_user_are_told_and_other_users_are_not)
{
	char id[65];

	up("server.workers=1", "limits.key_count=5");
	make_key("mine", 10, "");
	make_second_key("mine", "also_mine");
	make_key("other", 10, "");
	listen_on(&l, key_of("mine"), NULL);

	ck_assert_int_eq(gate(key_of("other"), ""), 200);
	(void)used_today(key_of("mine")); /* looked at, free: no news */
	ck_assert_int_eq(gate(key_of("also_mine"), "cost=11"), 429);
	(void)snprintf(id, sizeof(id), "%s", header_of(&r, "X-Request-Id"));

	listen_until(&l, "request");
	ck_assert_str_eq(event_str(&l, "request_id"), id);
	ck_assert_str_eq(event_str(&l, "code"), "quota_exceeded");
	ck_assert_str_eq(event_str(&l, "reason"), "quota");
	ck_assert_int_eq(event_num(&l, "status"), 429);
	ck_assert_int_eq(event_num(&l, "credits"), 0);
	listen_close(&l);
}
END_TEST

START_TEST(a_dry_run_costs_nothing)
{
	char body[200];

	up("server.workers=1");
	make_key("dry", 10, "");
	listen_on(&l, key_of("dry"), NULL);
	(void)snprintf(body, sizeof(body),
		       "{\"key\":\"%s\",\"cost\":5,\"dry_run\":true}",
		       key_of("dry"));

	client_call(c, "/api/verify", NULL, body, NULL, &r);

	want(200);
	listen_until(&l, "request");
	ck_assert_str_eq(event_str(&l, "door"), "verify");
	ck_assert_int_eq(event_num(&l, "credits"), 0);
	listen_close(&l);
}
END_TEST

/* n verifies in one request: they fall into one tick or two. */
static void crowd(const char *key, unsigned n)
{
	struct tl_buf b;

	tl_buf_init(&b);
	tl_buf_adds(&b, "{\"items\":[");
	for (unsigned i = 0; i < n; i++)
		tl_buf_addf(&b, "%s{\"key\":\"%s\"}", i > 0 ? "," : "", key);
	tl_buf_adds(&b, "]}");
	client_call(c, "/api/verify/batch", NULL, b.ptr, NULL, &r);
	want(200);
	tl_buf_deinit(&b);
}

START_TEST(of_a_crowd_the_newest_are_told_and_the_rest_counted)
{
	unsigned told = 0;
	int64_t skipped = 0;
	char first[64];

	up("server.workers=1", "limits.enabled=no");
	make_key("crowd", 1000000, "");
	listen_on(&l, key_of("crowd"), NULL);
	(void)snprintf(first, sizeof(first), "%s", l.last.id);

	crowd(key_of("crowd"), 500);

	while (told + skipped < 500) {
		ck_assert(listen_next(&l));
		told += strcmp(l.last.name, "request") == 0;
		if (strcmp(l.last.name, "skipped") == 0)
			skipped += event_num(&l, "requests");
	}
	ck_assert_uint_eq(told + skipped, 500);
	ck_assert_int_gt(skipped, 0);
	ck_assert_uint_ge(told, 32);
	ck_assert_ptr_nonnull(strstr(event_str(&l, "request_id"), ".499"));
	listen_close(&l);
	/* told again are more of them */
	listen_on(&l, key_of("crowd"), first);
	listen_until(&l, "skipped");
	ck_assert_int_eq(event_num(&l, "requests"), 500 - 128);
	for (int i = 0; i < 128; i++) {
		ck_assert(listen_next(&l));
		ck_assert_str_eq(l.last.name, "request");
	}
	listen_close(&l);
}
END_TEST

/* ---- going on ---- */

static void gate_thrice(const char *key, char ids[3][65])
{
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(gate(key, ""), 200);
		(void)snprintf(ids[i], 65, "%s", header_of(&r, "X-Request-Id"));
	}
}

static void want_requests(char ids[3][65], int from)
{
	for (int i = from; i < 3; i++) {
		ck_assert(listen_next(&l));
		ck_assert_str_eq(l.last.name, "request");
		ck_assert_str_eq(event_str(&l, "request_id"), ids[i]);
	}
}

START_TEST(what_came_since_the_last_event_is_told_again)
{
	char ids[3][65], last[64];

	up("server.workers=2");
	make_key("back", 100, "");
	listen_on(&l, key_of("back"), NULL);
	gate_thrice(key_of("back"), ids);
	listen_until(&l, "request");
	ck_assert_str_eq(event_str(&l, "request_id"), ids[0]);
	(void)snprintf(last, sizeof(last), "%s", l.last.id);
	listen_close(&l);

	listen_on(&l, key_of("back"), last);
	want_requests(ids, 1);
	ck_assert(listen_next(&l));
	ck_assert_str_eq(l.last.name, "usage");
	ck_assert_int_eq(event_num(&l, "request_count"), 3);
	listen_close(&l);

	/* and by another daemon on the same segment */
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	fixture_again();
	listen_on(&l, key_of("back"), last);
	want_requests(ids, 1);
	listen_close(&l);
}
END_TEST

/* What waits for the turn of its user must not come once more. */
START_TEST(who_goes_on_is_told_nothing_twice)
{
	struct listener beside;
	char last[64], ids[3][65];

	up("server.workers=1", "limits.enabled=no");
	make_key("twice", 1000, "");
	listen_on(&beside, key_of("twice"), NULL);
	for (int i = 0; i < 5; i++) {
		listen_on(&l, key_of("twice"), NULL);
		(void)snprintf(last, sizeof(last), "%s", l.last.id);
		listen_close(&l);
		gate_thrice(key_of("twice"), ids);
		test_sleep_ms(50); /* mostly after the walk, before the turn */

		listen_on(&l, key_of("twice"), last);

		want_requests(ids, 0);
		ck_assert_int_eq(gate(key_of("twice"), ""), 200);
		listen_until(&l, "request");
		ck_assert_str_eq(event_str(&l, "request_id"),
				 header_of(&r, "X-Request-Id"));
		listen_close(&l);
	}
	listen_close(&beside);
}
END_TEST

START_TEST(a_killed_worker_costs_no_event)
{
	char ids[3][65], last[64];
	pid_t old;

	up("server.workers=1");
	make_key("kept", 100, "");
	listen_on(&l, key_of("kept"), NULL);
	(void)snprintf(last, sizeof(last), "%s", l.last.id);
	old = daemon_child(d, "worker");
	ck_assert_int_eq(kill(old, SIGKILL), 0);
	ck_assert(!listen_next(&l)); /* without a word */
	listen_close(&l);
	client_close(c);

	gate_thrice(key_of("kept"), ids);

	ck_assert_double_eq(metric("tallyd_streams"), 0);
	listen_on(&l, key_of("kept"), last);
	want_requests(ids, 0);
	ck_assert_double_eq(metric("tallyd_streams"), 1);
	listen_close(&l);
}
END_TEST

START_TEST(who_comes_too_late_or_from_elsewhere_is_told_to_reload)
{
	static const char *const odd[] = { "0-1-0", "x",
					   "-",     "1-1-1-1",
					   "",      "99999999999999999-1-1" };
	char last[64];

	up("shm.decision_ring=64", "limits.enabled=no");
	make_key("late", 1000, "");
	listen_on(&l, key_of("late"), NULL);
	(void)snprintf(last, sizeof(last), "%s", l.last.id);
	listen_close(&l);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(gate(key_of("late"), ""), 200);

	listen_on(&l, key_of("late"), last);
	ck_assert_str_eq(l.last.name, "reset");
	ck_assert_str_eq(event_str(&l, "reason"), "too_old");
	ck_assert(listen_next(&l));
	ck_assert_str_eq(l.last.name, "usage");
	listen_close(&l);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		listen_on(&l, key_of("late"), odd[i]);
		ck_assert_str_eq(l.last.name, "reset");
		ck_assert_str_eq(event_str(&l, "reason"), "unknown");
		listen_close(&l);
	}
}
END_TEST

/* ---- the end ---- */

START_TEST(a_bad_key_loses_its_stream_and_the_others_do_not)
{
	struct listener expires, suspended, good;
	char target[128];

	up("server.workers=2", "keys.refresh_seconds=1");
	make_key("gone", 100, "");
	make_second_key("gone", "stays");
	make_key("brief", 100, "expires_at = now() + interval '3 s'");
	make_key("bad", 100, "");
	listen_on(&l, key_of("gone"), NULL);
	listen_on(&good, key_of("stays"), NULL);
	listen_on(&expires, key_of("brief"), NULL);
	listen_on(&suspended, key_of("bad"), NULL);

	(void)snprintf(target, sizeof(target), "/api/keys/%s",
		       sql_str(d->conninfo,
			       "SELECT key_id FROM api_keys WHERE key_hash = "
			       "encode(sha256('%s'::bytea), 'hex')",
			       key_of("gone")));
	(void)snprintf(l.head, sizeof(l.head), "X-API-Key: %s\r\n",
		       key_of("stays"));
	client_request(c, "DELETE", target, l.head, NULL, 0, &r);
	want(200);
	listen_bye(&l, "revoked");
	sql_exec(d->conninfo, "UPDATE users SET status = 'suspended' WHERE "
			      "email = 'bad@test'");
	listen_bye(&suspended, "suspended");
	listen_bye(&expires, "expired");

	ck_assert_int_eq(gate(key_of("stays"), ""), 200);
	listen_until(&good, "request");
	listen_close(&l);
	listen_close(&expires);
	listen_close(&suspended);
	listen_close(&good);
	want_closed("revoked", 1);
	want_closed("suspended", 1);
	want_closed("expired", 1);
}
END_TEST

/* The segment gives up keys that are idle; whose stream is open is not. */
START_TEST(an_idle_key_is_held_while_its_stream_is_open)
{
	up("server.workers=1", "shm.idle_evict_s=1", "limits.window_ms=1000");
	make_key("idle", 100, "");
	make_key("passing", 100, "");
	ck_assert_int_eq(gate(key_of("passing"), ""), 200);
	listen_on(&l, key_of("idle"), NULL);
	WAIT_UNTIL(metric("tallyd_segment_entries{table=\"keys\"}") == 1);
	ck_assert_double_eq(metric("tallyd_segment_entries{table=\"keys\"}"),
			    1);

	sql_exec(d->conninfo, "UPDATE users SET status = 'suspended' WHERE "
			      "email = 'idle@test'");

	listen_bye(&l, "suspended");
	listen_close(&l);
}
END_TEST

START_TEST(a_client_that_hangs_up_leaves_nothing)
{
	struct linger reset = { 1, 0 };

	up("server.workers=1");
	for (int i = 0; i < 6; i++) {
		/* what is sent behind the request is never looked at */
		ck_assert_int_eq(listen_to(&l, KEY_PRO,
					   "\r\nGET /health HTTP/1.1\r\n"
					   "Host: a\r\n",
					   0),
				 200);
		ck_assert(listen_next(&l));
		if (i % 3 == 0)
			(void)setsockopt(l.fd, SOL_SOCKET, SO_LINGER, &reset,
					 sizeof(reset));
		if (i % 3 == 1)
			(void)shutdown(l.fd, SHUT_WR);
		while (i % 3 == 1 && listen_next(&l))
			;
		listen_close(&l);
	}

	want_closed("client", 6);
	WAIT_UNTIL(log_has("\"closed\":\"client\"}"));
	ck_assert(log_has("\"path\":\"/api/events\",\"status\":200,"
			  "\"duration_us\""));
}
END_TEST

START_TEST(streams_have_their_caps)
{
	struct listener more[3];

	up("server.workers=1", "events.max_per_key=2", "events.max_streams=3");
	make_key("many", 100, "");
	make_key("third", 100, "");
	listen_on(&more[0], key_of("many"), NULL);
	listen_on(&more[1], key_of("many"), NULL);

	client_get(c, "/api/events", key_of("many"), &r);
	want_error(429, "rate_limited");
	ck_assert_ptr_nonnull(header_of(&r, "Retry-After"));
	listen_on(&more[2], key_of("third"), NULL);
	client_get(c, "/api/events", KEY_PRO, &r);
	want_error(503, "service_unavailable");
	ck_assert_ptr_nonnull(header_of(&r, "Retry-After"));
	ck_assert_double_eq(metric("tallyd_streams_refused_total"), 2);

	for (int i = 0; i < 3; i++)
		listen_close(&more[i]);
	WAIT_UNTIL(metric("tallyd_streams") == 0);
	listen_on(&l, key_of("many"), NULL);
	listen_close(&l);
}
END_TEST

START_TEST(who_does_not_read_is_dropped_and_others_are_not)
{
	static const char closed[] =
		"tallyd_streams_closed_total{reason=\"limit\"}";
	struct listener good;
	unsigned told = 0;

	up("server.workers=1", "limits.enabled=no");
	make_key("flood", 100000000, "");
	ck_assert_int_eq(listen_to(&l, key_of("flood"), "", 4096), 200);
	listen_on(&good, key_of("flood"), NULL);

	for (int i = 0; i < 400 && metric(closed) < 1; i++) {
		crowd(key_of("flood"), 200);
		told += listen_drain(&good, "request");
		test_sleep_ms(50);
	}

	ck_assert_double_eq(metric(closed), 1);
	ck_assert_double_eq(metric("tallyd_streams"), 1);
	ck_assert_uint_gt(told, 100);
	ck_assert_int_eq(gate(key_of("flood"), ""), 200);
	listen_until(&good, "request");
	/* what it had been sent is whole, and the last of it says why */
	listen_bye(&l, "limit");
	listen_close(&l);
	listen_close(&good);
}
END_TEST

START_TEST(a_stream_outlives_the_deadlines_of_requests)
{
	up("server.workers=1", "server.request_timeout_ms=200",
	   "server.idle_timeout_ms=200", "events.heartbeat_s=1");
	make_key("patient", 100, "");
	listen_on(&l, key_of("patient"), NULL);
	while (l.comments < 2) {
		(void)listen_drain(&l, "usage");
		test_sleep_ms(20);
	}

	ck_assert_int_eq(gate(key_of("patient"), ""), 200);

	listen_until(&l, "request");
	listen_close(&l);
}
END_TEST

START_TEST(a_reload_and_a_stop_wait_for_no_stream)
{
	static const int signals[] = { SIGQUIT, SIGTERM };

	up("server.workers=2", "server.drain_timeout_ms=600000",
	   "server.stop_timeout_ms=600000");
	make_key("long", 100, "");
	listen_on(&l, key_of("long"), NULL);

	daemon_hup(d);
	listen_bye(&l, "stopping");
	listen_close(&l);
	for (size_t i = 0; i < 2; i++) {
		listen_on(&l, key_of("long"), NULL);
		ck_assert_int_eq(daemon_stop(d, signals[i], 30000), 0);
		listen_bye(&l, "stopping");
		listen_close(&l);
		fixture_again();
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("events");
	TCase *tc = fixture_case(s, "told");

	tcase_add_test(tc, a_stream_is_kept_from_caches_and_proxies);
	tcase_add_test(tc, only_get_opens_one);
	tcase_add_test(tc, requests_that_any_worker_decides_arrive);
	tcase_add_test(tc,
		       other_keys_of_the_user_are_told_and_other_users_are_not);
	tcase_add_test(tc, a_dry_run_costs_nothing);
	tcase_add_test(tc, of_a_crowd_the_newest_are_told_and_the_rest_counted);
	tc = fixture_case(s, "going on");
	tcase_add_test(tc, what_came_since_the_last_event_is_told_again);
	tcase_add_test(tc, who_goes_on_is_told_nothing_twice);
	tcase_add_test(tc, a_killed_worker_costs_no_event);
	tcase_add_test(tc,
		       who_comes_too_late_or_from_elsewhere_is_told_to_reload);
	tc = fixture_case(s, "end");
	tcase_add_test(tc, a_bad_key_loses_its_stream_and_the_others_do_not);
	tcase_add_test(tc, an_idle_key_is_held_while_its_stream_is_open);
	tcase_add_test(tc, a_client_that_hangs_up_leaves_nothing);
	tcase_add_test(tc, streams_have_their_caps);
	tcase_add_test(tc, who_does_not_read_is_dropped_and_others_are_not);
	tcase_add_test(tc, a_stream_outlives_the_deadlines_of_requests);
	tcase_add_test(tc, a_reload_and_a_stop_wait_for_no_stream);
	return fixture_run(s);
}
