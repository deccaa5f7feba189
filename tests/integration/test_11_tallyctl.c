/*
 * test_11_tallyctl.c - the admin command on a living daemon.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "lib/ctl.h"
#include "lib/fixture.h"

START_TEST(status_shows_daemon_processes_and_room)
{
	up("server.workers=2");
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	/* "starting" until the last process is ready */
	WAIT_UNTIL(ctl("status") == 0 &&
		   strcmp(text("daemon.state"), "running") == 0);

	ck_assert_int_eq(number("daemon.pid"), d->pid);
	ck_assert_str_eq(text("daemon.state"), "running");
	ck_assert_uint_eq(
		json_object_array_length(json_at(answer, "processes")),
		5); /* master, flusher, two workers, scheduler */
	ck_assert_int_ge(number("segment.keys.held"), 1);
	ck_assert_int_eq(number("flush.level"), 0);
	ck_assert_int_gt(number("spool.room_bytes"), 0);
	WAIT_UNTIL(ctl("status") == 0 && number("flush.pending.credits") == 0);
	ck_assert_int_eq(number("flush.pending.credits"), 0);
}
END_TEST

START_TEST(stats_count_over_workers_and_reloads)
{
	up(FREE_RATE, "server.workers=2");
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	ck_assert_int_eq(ctl("stats"), 0);
	ck_assert_int_eq(number("decide_ok"), 10);
	ck_assert_int_eq(ctl("reload"), 0);

	/* the old workers' pages are not lost */
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(ctl("stats"), 0);
	ck_assert_int_eq(number("decide_ok"), 11);
}
END_TEST

START_TEST(explain_tells_of_the_answer_that_was_given)
{
	char id[80];

	up("limits.key_count=1");
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(gate(KEY_PRO, ""), 429);
	snprintf(id, sizeof(id), "%s", header_of(&r, "X-Request-Id"));

	ck_assert_int_eq(ctl("explain", id), 0);

	ck_assert_str_eq(text("code"), "rate_limited");
	ck_assert_int_eq(number("status"), 429);
	ck_assert_str_eq(text("key_id"), ID_PRO);
	ck_assert_str_eq(text("limit.name"), "key");
	ck_assert_int_eq(number("limit.limit"), 1);
	ck_assert_ptr_nonnull(strstr(text("text"), "it passes from"));
	ck_assert_int_eq(ctl("explain", "nobody-asked"), 4);
}
END_TEST

START_TEST(explain_works_when_all_processes_hang_or_are_dead)
{
	pid_t workers[DAEMON_MAX_CHILDREN];
	char id[80];
	size_t n;

	up();
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	snprintf(id, sizeof(id), "%s", header_of(&r, "X-Request-Id"));
	/* the record comes after the answer: not before a worker wrote it */
	WAIT_UNTIL(ctl("explain", id) == 0);
	n = daemon_children(d, "worker", workers);
	for (size_t i = 0; i < n; i++)
		kill(workers[i], SIGSTOP);
	kill(d->pid, SIGSTOP);

	ck_assert_int_eq(ctl("explain", id), 0);
	ck_assert_str_eq(text("code"), "ok");
	ck_assert_int_eq(ctl("tail", "--once", "--last", "1"), 0);
	ck_assert_str_eq(text("request_id"), id);
	ck_assert_int_eq(ctl("status"), 1);

	for (size_t i = 0; i < n; i++)
		kill(workers[i], SIGCONT);
	kill(d->pid, SIGCONT);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 20000), 0);
	ck_assert_int_eq(ctl("explain", id), 0);
	ck_assert_int_eq(ctl("status"), 3);
	ck_assert_int_eq(ctl("reload"), 3);
}
END_TEST

START_TEST(tail_filters_by_the_prefix_that_people_see)
{
	char key[64], id[40], filter[32];

	up(FREE_RATE);
	ck_assert_int_eq(ctl("key", "create", "demo@codexible.me"), 0);
	snprintf(key, sizeof(key), "%s", text("key"));
	snprintf(id, sizeof(id), "%s", text("id"));
	snprintf(filter, sizeof(filter), "key=%s", text("prefix"));
	ck_assert_int_eq(gate(key, ""), 200);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	ck_assert_int_eq(ctl("tail", "--once", "--last", "1", filter), 0);

	ck_assert_str_eq(text("key_id"), id);
	ck_assert_int_eq(ctl("tail", "--once", "key=codexible_none"), 4);
}
END_TEST

START_TEST(a_key_keeps_the_rules_it_was_made_with)
{
	char key[64];

	up(FREE_RATE);
	ck_assert_int_eq(ctl("key", "create", "demo@codexible.me", "--label",
			     "CI", "--scopes", "read", "--rate-limit", "1",
			     "--allowed-ips", "127.0.0.0/8"),
			 0);
	snprintf(key, sizeof(key), "%s", text("key"));

	ck_assert_int_eq(gate(key, "scope=write"), 403);
	ck_assert_int_eq(gate(key, "scope=read"), 200);
	ck_assert_int_eq(gate(key, "scope=read"), 429);

	ck_assert_int_eq(ctl("key", "list", "DEMO@codexible.me"), 0);
	ck_assert_str_eq(text("keys.0.label"), "CI");
	ck_assert_int_eq(number("keys.0.rate_limit"), 1);
	ck_assert_ptr_null(json_at(answer, "keys.0.key"));
}
END_TEST

START_TEST(a_key_that_nobody_holds_is_revoked_as_well)
{
	char key[64], prefix[24];

	up(FREE_RATE, "keys.refresh_seconds=3600");
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(ctl("key", "create", "demo@codexible.me"), 0);
		snprintf(key, sizeof(key), "%s", text("key"));
		snprintf(prefix, sizeof(prefix), "%s", text("prefix"));
		if (i % 2 == 0)
			ck_assert_int_eq(gate(key, ""), 200);

		ck_assert_int_eq(ctl("key", "revoke", prefix), 0);

		ck_assert_int_eq(gate(key, ""), 401);
	}
	ck_assert_int_eq(ctl("key", "revoke", prefix), 4);
	/* the three demo keys share one */
	ck_assert_int_eq(ctl("key", "revoke", "codexible_demo"), 1);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
}
END_TEST

START_TEST(stop_returns_when_the_daemon_is_gone)
{
	up();
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);

	client_close(c); /* or it waits for us */
	ck_assert_int_eq(ctl("stop", "--graceful"), 0);

	ck_assert_int_eq(db_credits("demo@codexible.me"), 143);
	ck_assert_int_eq(ctl("stop"), 3);
	ck_assert_int_eq(daemon_stop(d, 0, 5000), 0);
}
END_TEST

START_TEST(the_database_is_that_of_the_daemon)
{
	up();

	ck_assert_int_eq(ctl("database"), 0);
	ck_assert_int_eq(sql_num(text("url"), "SELECT count(*) FROM users"),
			 sql_num(d->conninfo, "SELECT count(*) FROM users"));
	ck_assert_int_eq(ctl("migrate", "status"), 0);
	ck_assert(json_object_get_boolean(
		json_at(answer, "migrations.0.applied")));
	ck_assert_int_eq(ctl("migrate", "up"), 0);
	ck_assert_int_eq(number("applied"), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tallyctl");
	TCase *tc = fixture_case(s, "tallyctl");

	tcase_add_test(tc, status_shows_daemon_processes_and_room);
	tcase_add_test(tc, stats_count_over_workers_and_reloads);
	tcase_add_test(tc, explain_tells_of_the_answer_that_was_given);
	tcase_add_test(tc, explain_works_when_all_processes_hang_or_are_dead);
	tcase_add_test(tc, tail_filters_by_the_prefix_that_people_see);
	tcase_add_test(tc, a_key_keeps_the_rules_it_was_made_with);
	tcase_add_test(tc, a_key_that_nobody_holds_is_revoked_as_well);
	tcase_add_test(tc, stop_returns_when_the_daemon_is_gone);
	tcase_add_test(tc, the_database_is_that_of_the_daemon);
	return fixture_run(s);
}
