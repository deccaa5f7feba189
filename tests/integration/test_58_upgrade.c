/*
 * USR2: another program in the master's place, while clients knock.
 *
 * TALLY_UPGRADES=100 makes the long run of it: so many upgrades in a row.
 */
#include "config.h"

#include "lib/fixture.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "lib/crowd.h"
#include "shm/layout.h"

#define CLIENTS 4

/* ---- helpers ---- */

static int ctl(struct json_object **json_r, const char *command)
{
	return daemon_ctl(d, json_r, (const char *const[]){ command, NULL });
}

static int ctl2(struct json_object **json_r, const char *command,
		const char *word)
{
	return daemon_ctl(d, json_r,
			  (const char *const[]){ command, word, NULL });
}

/* What the last upgrade ended with; NULL: well.  Valid until the next call. */
static const char *upgrade_error(void)
{
	static char text[512];
	struct json_object *o = NULL, *v;

	ck_assert_int_eq(ctl(&o, "status"), 0);
	v = json_at(o, "daemon.upgrade_error");
	snprintf(text, sizeof(text), "%s",
		 v != NULL ? json_object_get_string(v) : "");
	json_object_put(o);
	return v != NULL ? text : NULL;
}

static int64_t requests_counted(void)
{
	struct json_object *o = NULL, *v;
	int64_t n;

	ck_assert_int_eq(ctl(&o, "stats"), 0);
	v = json_at(o, "requests");
	ck_assert_ptr_nonnull(v);
	n = json_object_get_int64(v);
	json_object_put(o);
	return n;
}

static bool gone(pid_t pid)
{
	return kill(pid, 0) < 0;
}

static void replace(const char *path, const char *text, mode_t mode)
{
	struct tl_err err;

	ck_assert_int_eq(tl_file_replace(path, text, strlen(text), mode, &err),
			 TL_OK);
}

static const char *conf_file(void)
{
	return d->argv[2]; /* behind "-c" */
}

/* From now on the daemon's program is a file of its own, a new one with each
 * call; the path is the daemon's. */
static const char *own_program(const char *name)
{
	char *path = tl_asprintf("%s/program", d->state_dir);
	char *built = world_program(name), *data = NULL;
	struct tl_err err;
	size_t len;

	ck_assert_int_eq(tl_file_read(built, 1U << 30, &data, &len, &err),
			 TL_OK);
	ck_assert_int_eq(tl_file_replace(path, data, len, 0755, &err), TL_OK);
	tl_free(data);
	tl_free(built);
	tl_free(d->argv[0]);
	d->argv[0] = path;
	return path;
}

/* ---- it goes well ---- */

static void knock(struct crowd *w, unsigned number, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));

	while (!crowd_stopped(w)) {
		client_get(own, "/api/gate", arg, a);
		crowd_note(w, number, a->sent_mono_ns, a->got_mono_ns,
			   a->status, 0);
		test_sleep_ms(1);
	}
	client_free(&own);
}

static unsigned upgrades_wanted(void)
{
	const char *n = getenv("TALLY_UPGRADES");

	return n != NULL ? (unsigned)strtoul(n, NULL, 10) : 4;
}

START_TEST(nobody_notices)
{
	char request_id[64], key[64];
	pid_t master, worker, flusher;
	int64_t counted = 0, now;
	struct crowd *w;
	uint64_t answered, all = 0;

	up(FREE_RATE, "runner.count=1", "shm.decision_ring=65536");
	make_key("up", 1000000000, "");
	snprintf(key, sizeof(key), "%s", key_of("up"));
	master = d->pid;

	w = crowd_start(CLIENTS, knock, key);
	for (unsigned i = 0; i < upgrades_wanted(); i++) {
		worker = daemon_child(d, "worker");
		flusher = daemon_child(d, "flusher");
		ck_assert_int_eq(gate(key, ""), 200);
		snprintf(request_id, sizeof(request_id), "%s",
			 header_of(&r, "X-Request-Id"));
		client_close(c);
		ck_assert_int_eq(ctl(NULL, "upgrade"), 0);
		ck_assert_ptr_null(upgrade_error());
		now = requests_counted();
		ck_assert_int_ge(now, counted);
		counted = now;
		WAIT_UNTIL(gone(worker) && gone(flusher));
		ck_assert(gone(worker));
		ck_assert(gone(flusher));
		ck_assert_int_eq(ctl2(NULL, "explain", request_id), 0);
	}
	crowd_stop(w);

	answered = crowd_count(w, 200, -1);
	for (unsigned i = 0; i < w->n; i++)
		all += w->logs[i].n;
	ck_assert_uint_gt(answered, 0);
	ck_assert_uint_eq(answered, all); /* no other answer, none missing */
	ck_assert_int_eq(d->pid, master);
	answered += upgrades_wanted(); /* our own */
	WAIT_UNTIL(db_credits("up@test") == (int64_t)answered);
	ck_assert_int_eq(db_credits("up@test"), (int64_t)answered);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	printf("%u upgrades, %llu requests, none failed\n", upgrades_wanted(),
	       (unsigned long long)answered);
	crowd_free(&w);
}
END_TEST

START_TEST(the_file_on_disk_is_what_runs_then)
{
	struct stat before, after;
	char exe[64];

	prepare();
	own_program("tallyd");
	fixture_again();
	snprintf(exe, sizeof(exe), "/proc/%ld/exe", (long)d->pid);
	ck_assert_int_eq(stat(exe, &before), 0);
	gate(KEY_PRO, "");
	client_close(c);

	own_program("tallyd"); /* another file of that name */
	replace(conf_file(), "[limits]\nkey_count = 9\n", 0644);
	kill(d->pid, SIGUSR2);
	WAIT_UNTIL(stat(exe, &after) == 0 && after.st_ino != before.st_ino);

	ck_assert_int_eq(stat(exe, &after), 0);
	ck_assert_uint_ne(after.st_ino, before.st_ino);
	WAIT_UNTIL(gate(KEY_PRO, "") == 200 &&
		   header_num(&r, "X-RateLimit-Limit") == 9);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 9);
}
END_TEST

/* ---- another layout of the segment ---- */

static bool segment_is(unsigned layout)
{
	char *path = tl_asprintf("/dev/shm/tallyd.%s.v%u", d->instance, layout);
	bool is = access(path, F_OK) == 0;

	tl_free(path);
	return is;
}

/* As an upgrade that was taken back may have left it. */
static void leave_stale_segment(unsigned layout)
{
	char *path = tl_asprintf("/dev/shm/tallyd.%s.v%u", d->instance, layout);
	struct tl_err err;

	ck_assert_int_eq(tl_file_replace(path, "stale", 5, 0600, &err), TL_OK);
	tl_free(path);
}

/* Forward and back again, under load: clients wait a moment, and nothing of
 * what was counted is forgotten. */
START_TEST(another_layout_takes_all_with_it)
{
	static const char *const programs[] = { "tests/next/tallyd", "tallyd" };
	char request_id[64], key[64];
	uint64_t answered, all = 0;
	struct crowd *w;

	prepare("limits.address_count=1000000", "limits.window_ms=3600000",
		"server.workers=1");
	own_program("tallyd");
	fixture_again();
	make_key("lay", 1000000000, "rate_limit = 1000000");
	make_key("few", 1000000000, "rate_limit = 5");
	snprintf(key, sizeof(key), "%s", key_of("lay"));
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(gate(key_of("few"), ""), 200);
	snprintf(request_id, sizeof(request_id), "%s",
		 header_of(&r, "X-Request-Id"));
	client_close(c);

	leave_stale_segment(SHM_LAYOUT + 1);
	w = crowd_start(CLIENTS, knock, key);
	for (unsigned i = 0; i < 2; i++) {
		int64_t counted = i == 0 ? requests_counted() : 0;

		own_program(programs[i]);
		ck_assert_int_eq(ctl(NULL, "upgrade"), 0);
		ck_assert(segment_is(i == 0 ? SHM_LAYOUT + 1 : SHM_LAYOUT));
		ck_assert(!segment_is(i == 0 ? SHM_LAYOUT : SHM_LAYOUT + 1));
		ck_assert_int_eq(gate(key_of("few"), ""), 429);
		client_close(c);
		if (i == 1)
			ck_assert_int_ge(requests_counted(), counted);
	}
	test_sleep_ms(200);
	crowd_stop(w);

	answered = crowd_count(w, 200, -1);
	for (unsigned i = 0; i < w->n; i++)
		all += w->logs[i].n;
	ck_assert_uint_eq(answered, all);
	ck_assert_int_eq(ctl2(NULL, "explain", request_id), 0);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(db_credits("lay@test"), (int64_t)answered);
	ck_assert_int_eq(db_credits("few@test"), 5);
	crowd_free(&w);
}
END_TEST

START_TEST(a_start_goes_back_when_another_layout_cannot_serve)
{
	prepare("server.workers=1");
	own_program("tallyd");
	fixture_again();
	ck_assert_int_eq(gate(KEY_PRO, "cost=7"), 200);
	client_close(c);
	own_program("tests/next/tallyd");
	replace(conf_file(), "[egress]\nca_file = /dev/null\n", 0644);

	ck_assert_int_eq(ctl(NULL, "upgrade"), 1);

	ck_assert_ptr_nonnull(strstr(upgrade_error(), "egress.ca_file"));
	ck_assert(segment_is(SHM_LAYOUT));
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(used_today(KEY_PRO), 142 + 7 + 1);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_eq(db_credits("demo@codexible.me"), 142 + 7 + 1);
}
END_TEST

/* ---- it does not ---- */

/* Nothing may have changed; then the right program is taken. */
static void want_refused(const char *words, pid_t worker)
{
	const char *why;

	ck_assert_int_eq(ctl(NULL, "upgrade"), 1);
	why = upgrade_error();
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, words) != NULL, "%s", why);
	ck_assert_int_eq(daemon_child(d, "worker"), worker);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
}

START_TEST(a_bad_program_changes_nothing)
{
	const char *program;
	pid_t worker;

	prepare("server.workers=1");
	program = own_program("tallyd");
	fixture_again();
	worker = daemon_child(d, "worker");

	replace(program, "#!/bin/sh\nexit 0\n", 0755);
	want_refused("ended without a word", worker);
	replace(program, "no program\n", 0755);
	want_refused("Exec format error", worker);
	replace(program, "#!/bin/sh\n", 0644);
	want_refused("Permission denied", worker);
	unlink(program);
	want_refused("No such file", worker);
	own_program("tallyd");
	replace(conf_file(), "[limits]\nkey_count = many\n", 0644);
	want_refused("limits.key_count", worker);
	replace(conf_file(), "[shm]\nidle_evict_s = 77\n", 0644);
	want_refused("shm.idle_evict_s cannot change", worker);
	replace(conf_file(), "", 0644);

	ck_assert_int_eq(ctl(NULL, "upgrade"), 0);
	WAIT_UNTIL(gone(worker));
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
}
END_TEST

/* A trial makes no worker: what runs then finds it, and gives way again to the
 * program before. */
START_TEST(a_program_that_cannot_serve_goes_back)
{
	struct stat before, after;
	pid_t worker;
	char exe[64];

	prepare("server.workers=1", "metering.flush_interval_ms=15000");
	own_program("tallyd");
	fixture_again();
	worker = daemon_child(d, "worker");
	ck_assert_int_eq(gate(KEY_PRO, "cost=7"), 200);
	snprintf(exe, sizeof(exe), "/proc/%ld/exe", (long)d->pid);
	ck_assert_int_eq(stat(exe, &before), 0);
	own_program("tallyd"); /* another file */

	replace(conf_file(), "[egress]\nca_file = /dev/null\n", 0644);
	want_refused("egress.ca_file: can not read", worker);

	ck_assert_int_eq(stat(exe, &after), 0);
	ck_assert_uint_eq(after.st_ino, before.st_ino);
	kill(worker, SIGKILL); /* it is watched as before */
	WAIT_UNTIL(gone(worker) && daemon_child(d, "worker") != worker);
	WAIT_UNTIL(gate(KEY_PRO, "") == 200);
	client_close(c);
	replace(conf_file(), "", 0644);
	ck_assert_int_eq(ctl(NULL, "upgrade"), 0);
	ck_assert_int_eq(stat(exe, &after), 0);
	ck_assert_uint_ne(after.st_ino, before.st_ino);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_int_ge(db_credits("demo@codexible.me"), 142 + 7 + 2);
}
END_TEST

/* ---- the service manager ---- */

static int manager_socket(char path[108])
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = 20 };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(path, 108, "/tmp/tallyd-test-notify.%ld", (long)getpid());
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	chmod(path, 0666);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd;
}

/* The next word but status lines and watchdog. */
static const char *word(int fd)
{
	static char text[512];
	ssize_t n;

	do {
		n = recv(fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
	} while (n > 0 && (strncmp(text, "STATUS=", 7) == 0 ||
			   strncmp(text, "WATCHDOG=", 9) == 0));
	return text;
}

START_TEST(the_service_manager_is_told)
{
	char path[108], *variable, ready[64];
	int fd = manager_socket(path);

	prepare("server.workers=1");
	variable = tl_asprintf("NOTIFY_SOCKET=%s", path);
	daemon_setenv(d, variable);
	fixture_again();
	ck_assert_str_eq(word(fd), "READY=1");

	for (unsigned i = 0; i < 2; i++) { /* also of the one taken over */
		kill(d->pid, SIGUSR2);
		ck_assert_int_eq(strncmp(word(fd), "RELOADING=1", 11), 0);
		snprintf(ready, sizeof(ready), "READY=1\nMAINPID=%ld",
			 (long)d->pid);
		ck_assert_str_eq(word(fd), ready);
	}
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 15000), 0);
	ck_assert_str_eq(word(fd), "STOPPING=1");
	close(fd);
	unlink(path);
	tl_free(variable);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("upgrade");
	TCase *tc = fixture_case(s, "upgrade");

	tcase_set_timeout(tc, 600);
	tcase_add_test(tc, nobody_notices);
	tcase_add_test(tc, the_file_on_disk_is_what_runs_then);
	tcase_add_test(tc, another_layout_takes_all_with_it);
	tcase_add_test(tc, a_start_goes_back_when_another_layout_cannot_serve);
	tcase_add_test(tc, a_bad_program_changes_nothing);
	tcase_add_test(tc, a_program_that_cannot_serve_goes_back);
	tcase_add_test(tc, the_service_manager_is_told);
	return fixture_run(s);
}
