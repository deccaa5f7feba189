/*
 * test_54_logs.c - syslog and journald as targets of the log, the combined
 * format, and the level that changes while the daemon runs.  The sockets are
 * the test's own.
 */
#include "lib/fixture.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"

static char dir[64], path[80], setting[100];
static int listener = -1;
static char datagram[65536];

static void listen_there(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	strcpy(un.sun_path, path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&un, sizeof(un)), 0);
}

static void begin(void)
{
	strcpy(dir, "/tmp/tallyd-test-logs-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	/* whoever the daemon becomes */
	ck_assert_int_eq(chmod(dir, 0711), 0);
	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(setting, sizeof(setting), "log.socket=%s", path);
	listen_there();
	ck_assert_int_eq(chmod(path, 0666), 0);
}

static void end(void)
{
	fixture_down();
	close(listener);
	unlink(path);
	rmdir(dir);
}

/* Of those that come within limit_ms, one that has both texts; NULL: none.
 * All before it are thrown away. */
static const char *entry_within(int limit_ms, const char *one, const char *two)
{
	struct pollfd pfd = { .fd = listener, .events = POLLIN };

	while (poll(&pfd, 1, limit_ms) == 1) {
		ssize_t n = recv(listener, datagram, sizeof(datagram) - 1, 0);

		datagram[n > 0 ? n : 0] = '\0';
		if (strstr(datagram, one) != NULL &&
		    strstr(datagram, two) != NULL)
			return datagram;
	}
	return NULL;
}

static const char *entry_with(const char *one, const char *two)
{
	const char *entry = entry_within(15000, one, two);

	ck_assert_msg(entry != NULL, "no entry with '%s' and '%s'", one, two);
	return entry;
}

static const char *level(const char *wanted)
{
	static char now[16];
	struct json_object *told = NULL;

	ck_assert_int_eq(daemon_ctl(d, &told,
				    (const char *const[]){ "log", "level",
							   wanted, NULL }),
			 0);
	snprintf(now, sizeof(now), "%s",
		 json_object_get_string(json_at(told, "level")));
	ck_assert_str_eq(json_object_get_string(json_at(told, "configured")),
			 "info");
	json_object_put(told);
	return now;
}

static long lost(void)
{
	const char *at;

	client_get(c, "/metrics", NULL, &r);
	at = strstr(r.body, "\ntallyd_log_lines_lost_total ");
	ck_assert_ptr_nonnull(at);
	return strtol(strchr(at, ' '), NULL, 10);
}

static void ask(const char *target, const char *headers)
{
	client_request(c, "GET", target, headers, NULL, 0, &r);
}

/* What a client sends ends up in its own place, whatever it is. */
static void combined_lines_can_not_be_forged(void)
{
	const char *line;

	ask("/api/usage/today?key=" KEY_PRO,
	    "X-API-Key: " KEY_PRO "\r\n"
	    "Referer: https://a.example/?key=" KEY_PRO "\r\n"
	    "User-Agent: a\"b\\c\xc3\xa9\t\" 200 5 \"-\" \"x\r\n");
	want(200);
	line = entry_with("GET /api/usage/today", "tallyd[");

	ck_assert_ptr_null(strstr(line, KEY_PRO));
	ck_assert_ptr_nonnull(strstr(line, ": 127.0.0.1 - " USER_PRO " ["));
	ck_assert_ptr_nonnull(
		strstr(line, " +0000] \"GET /api/usage/today HTTP/1.1\" 200 "));
	ck_assert_ptr_nonnull(
		strstr(line, " \"https://a.example/\" \"a\\\"b\\\\c\\xc3\\xa9"
			     "\\t\\\" 200 5 \\\"-\\\" \\\"x\""));
	ck_assert_ptr_null(strchr(line, '\n'));

	ask("/no%22such%0aline", "");
	line = entry_with("such", "HTTP/1.1");
	ck_assert_ptr_nonnull(strstr(line, "\"GET /no%22such%0aline HTTP/1.1\""
					   " 404 "));
	ck_assert_ptr_nonnull(strstr(line, " - - ["));
}

static void the_level_is_for_all_that_live_and_will(void)
{
	pid_t worker = daemon_child(d, "worker");

	ck_assert_str_eq(level(NULL), "info");
	ck_assert_str_eq(level("debug"), "debug");
	entry_with("log level is debug now, it was info", "tallyd[");
	ck_assert_str_eq(level("error"), "error");
	/* the worker that lives, and the next one */
	ask("/health", "");
	kill(worker, SIGKILL);
	WAIT_UNTIL(daemon_child(d, "worker") != worker);
	(void)entry_within(0, "nothing", "has this");
	for (int i = 0; i < 3; i++)
		ask("/health", "");
	ck_assert_str_eq(level("info"), "info");
	ask("/loud", "");
	ck_assert_ptr_null(strstr(entry_with("GET ", "HTTP/1.1"), "/health"));

	ck_assert_str_eq(level("warn"), "warn");
	kill(d->pid, SIGHUP);
	WAIT_UNTIL(strcmp(level(NULL), "info") == 0);
	ck_assert_str_eq(level(NULL), "info");
	ck_assert_int_ne(daemon_ctl(d, NULL,
				    (const char *const[]){ "log", "level",
							   "loud", NULL }),
			 0);
}

/* Nobody is hurt by its absence, and it is found when it is back. */
static void syslogd_comes_and_goes(void)
{
	close(listener);
	unlink(path);
	ask("/health", "");
	want(200);
	WAIT_UNTIL(lost() > 0);
	ck_assert_int_gt(lost(), 0);
	listen_there();
	ck_assert_int_eq(chmod(path, 0666), 0);
	/* it is looked for once a second */
	WAIT_UNTIL((ask("/health", ""),
		    entry_within(50, "<134>", "GET /health HTTP/1.1") != NULL));
	ask("/back", "");
	entry_with("<134>", "GET /back HTTP/1.1");
}

START_TEST(syslog_combined_and_the_level)
{
	begin();
	up("server.workers=1", "log.target=syslog:local0", setting,
	   "log.access_format=combined", "log.level=info");
	entry_with("<134>", "\"msg\":\"");

	combined_lines_can_not_be_forged();
	the_level_is_for_all_that_live_and_will();
	syslogd_comes_and_goes();
	end();
}
END_TEST

/* A reader that sleeps: requests go on, and their lines come later. */
static void a_late_reader_gets_all_requests(void)
{
	char id[48], entry[64];

	for (int i = 0; i < 300; i++) {
		snprintf(id, sizeof(id), "X-Request-Id: late-%d\r\n", i);
		ask("/health", id);
		want(200);
	}
	for (int i = 0; i < 300; i++) { /* in their order */
		snprintf(entry, sizeof(entry), "TALLYD_REQUEST_ID=late-%d\n",
			 i);
		entry_with(entry, "MESSAGE=GET /health 200\n");
	}
}

START_TEST(journald_gets_fields)
{
	const char *entry;

	begin();
	up("server.workers=1", "log.target=journald", setting);
	entry = entry_with("PRIORITY=6\nSYSLOG_IDENTIFIER=tallyd\n",
			   "\nTALLYD_PROCESS=");
	ck_assert_ptr_nonnull(strstr(entry, "\nMESSAGE="));

	ask("/api/gate", "X-API-Key: " KEY_PRO "\r\nX-Request-Id: for-me\r\n");
	entry = entry_with("TALLYD_REQUEST_ID=for-me\n",
			   "\nMESSAGE=GET /api/gate 200\n");
	ck_assert_ptr_nonnull(strstr(entry, "\nTALLYD_STATUS=200\n"));
	ck_assert_ptr_nonnull(strstr(entry, "\nTALLYD_USER_ID=" USER_PRO));
	ck_assert_ptr_nonnull(strstr(entry, "\nTALLYD_PROCESS=worker/0\n"));

	/* a path with a line end is no field of its own */
	ask("/x%0aPRIORITY=0", "");
	(void)entry_with("PRIORITY=6\n", "\nTALLYD_PATH\n\x0d");
	a_late_reader_gets_all_requests();
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("logs");
	TCase *tc = fixture_case(s, "targets");

	tcase_add_test(tc, syslog_combined_and_the_level);
	tcase_add_test(tc, journald_gets_fields);
	return fixture_run(s);
}
