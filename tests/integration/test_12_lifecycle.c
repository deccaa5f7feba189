/*
 * Start, stop, reload, deaths: what the master promises, and the embedded
 * PostgreSQL.
 */
#include "config.h"

#include "lib/fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

/* ---- helpers ---- */

static bool log_has(const char *words)
{
	char *log = daemon_log(d);
	bool has = strstr(log, words) != NULL;

	tl_free(log);
	return has;
}

#define want_log(words)                                                        \
	do {                                                                   \
		WAIT_UNTIL(log_has(words));                                    \
		ck_assert_msg(log_has(words), "not in the log: %s", (words));  \
	} while (0)

static void write_file(const char *path, const char *text)
{
	struct tl_err err;

	ck_assert_int_eq(tl_file_replace(path, text, strlen(text), 0644, &err),
			 TL_OK);
}

/* The daemon's configuration file from now on; the caller's. */
static char *use_file(const char *text)
{
	char *path = tl_asprintf("%s/tallyd.conf", d->state_dir);

	write_file(path, text);
	d->argv = tl_realloc(d->argv, (d->argc + 3) * sizeof(*d->argv));
	d->argv[d->argc++] = tl_strdup("-c");
	d->argv[d->argc++] = tl_strdup(path);
	d->argv[d->argc] = NULL;
	return path;
}

static bool workers_are(size_t n, pid_t not_this)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	size_t have = daemon_children(d, "worker", pids);

	for (size_t i = 0; i < have; i++)
		if (pids[i] == not_this)
			return false;
	return have == n;
}

static bool gone(pid_t pid)
{
	char path[64], *stat = NULL, *state;
	bool is_gone = true;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	if (tl_file_read(path, 4096, &stat, &len, NULL) == TL_OK) {
		state = strrchr(stat, ')');
		is_gone = state != NULL && state[2] == 'Z';
	}
	tl_free(stat);
	return is_gone;
}

/* Runs it to its end; the exit status. */
static int run_to_end(void)
{
	int status = -1;
	pid_t pid;

	daemon_spawn(d);
	pid = d->pid;
	for (unsigned i = 0; i < 4500 && pid != 0; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			pid = 0;
		else
			test_sleep_ms(10);
	}
	ck_assert_int_eq(pid, 0);
	d->pid = 0;
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* ---- stop ---- */

START_TEST(stop_ends_all_and_delivers)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGQUIT };
	pid_t worker, flusher;
	int status;

	up("metering.flush_interval_ms=15000");
	worker = daemon_child(d, "worker");
	flusher = daemon_child(d, "flusher");
	ck_assert_int_eq(gate(KEY_PRO, "cost=7"), 200);
	client_close(c);

	status = daemon_stop(d, signals[_i], 15000);

	ck_assert_int_eq(status, 0);
	ck_assert(gone(worker));
	ck_assert(gone(flusher));
	ck_assert_int_eq(db_credits("demo@codexible.me"), 142 + 7);
}
END_TEST

/* Both reach the master in one turn of its loop. */
START_TEST(stop_delivers_though_the_flusher_was_just_killed)
{
	pid_t flusher;

	up("metering.flush_interval_ms=15000");
	flusher = daemon_child(d, "flusher");
	ck_assert_int_eq(gate(KEY_PRO, "cost=7"), 200);
	client_close(c);

	kill(d->pid, SIGSTOP);
	kill(flusher, SIGKILL);
	WAIT_UNTIL(gone(flusher));
	kill(d->pid, SIGTERM);
	kill(d->pid, SIGCONT);
	daemon_stop(d, 0, 15000);

	ck_assert_int_eq(db_credits("demo@codexible.me"), 142 + 7);
}
END_TEST

/* ---- deaths ---- */

START_TEST(killed_child_is_replaced)
{
	static const char *const kinds[] = { "worker", "flusher" };
	pid_t old;

	up();
	old = daemon_child(d, kinds[_i]);

	kill(old, SIGKILL);

	WAIT_UNTIL(gone(old) && daemon_child(d, kinds[_i]) != old);
	WAIT_UNTIL(gate(KEY_PRO, "") == 200);
	want(200);
	WAIT_UNTIL(workers_are(2, old));
	ck_assert(workers_are(2, old));
}
END_TEST

START_TEST(short_lives_wait_longer_and_longer)
{
	pid_t old = 0;

	up("server.workers=1");
	for (unsigned i = 0; i < 3; i++) {
		WAIT_UNTIL(workers_are(1, old));
		old = daemon_child(d, "worker");
		kill(old, SIGKILL);
		WAIT_UNTIL(gone(old));
	}

	want_log("worker 0 starts again in 100 ms");
	WAIT_UNTIL(gate(KEY_PRO, "") == 200);
	want(200);
}
END_TEST

START_TEST(fault_of_a_child_verifies_the_segment)
{
	pid_t worker, flusher;

	up();
	worker = daemon_child(d, "worker");
	flusher = daemon_child(d, "flusher");
	ck_assert_int_eq(gate(KEY_PRO, "cost=5"), 200);
	client_close(c);

	kill(worker, SIGSEGV);

	want_log("the segment is sound");
	WAIT_UNTIL(gone(flusher) && workers_are(2, worker));
	WAIT_UNTIL(gate(KEY_PRO, "") == 200);
	want(200);
	ck_assert_int_eq(used_today(KEY_PRO), 142 + 5 + 1);
}
END_TEST

START_TEST(third_fault_in_a_minute_makes_a_new_segment_and_loses_nothing)
{
	pid_t worker;

	up("metering.flush_interval_ms=15000");
	want_log("\"serving\""); /* two faults within a start count as one */
	for (unsigned i = 0; i < 3; i++) {
		WAIT_UNTIL(gate(KEY_PRO, "cost=2") == 200);
		want(200);
		client_close(c);
		worker = daemon_child(d, "worker");
		kill(worker, SIGABRT);
		WAIT_UNTIL(gone(worker) && workers_are(2, worker));
	}

	want_log("a new segment was made");
	WAIT_UNTIL(db_credits("demo@codexible.me") == 142 + 6);
	ck_assert_int_eq(db_credits("demo@codexible.me"), 142 + 6);
	WAIT_UNTIL(gate(KEY_PRO, "") == 200);
	want(200);
}
END_TEST

START_TEST(next_master_goes_on_where_a_killed_one_was)
{
	pid_t worker;

	up();
	worker = daemon_child(d, "worker");
	ck_assert_int_eq(gate(KEY_PRO, "cost=9"), 200);

	daemon_stop(d, SIGKILL, 5000);
	fixture_again();

	ck_assert(gone(worker));
	ck_assert_int_eq(used_today(KEY_PRO), 142 + 9);
	ck_assert(!log_has("damaged"));
}
END_TEST

/* ---- reload ---- */

START_TEST(reload_takes_a_new_configuration)
{
	pid_t worker, flusher, master;
	char *file;

	prepare();
	file = use_file("[limits]\nkey_count = 7\n");
	fixture_again();
	gate(KEY_PRO, "");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 7);
	master = d->pid;
	worker = daemon_child(d, "worker");
	flusher = daemon_child(d, "flusher");

	write_file(file, "[limits]\nkey_count = 9\n");
	client_close(c);
	daemon_hup(d);

	gate(KEY_PRO, "");
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 9);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Remaining"), 7);
	ck_assert_int_eq(d->pid, master);
	WAIT_UNTIL(gone(worker) && gone(flusher));
	ck_assert(gone(worker));
	ck_assert(gone(flusher));
	tl_free(file);
}
END_TEST

START_TEST(refused_reload_changes_nothing)
{
	static const char *const bad[] = {
		"[limits]\nkey_count = many\n", /* an error */
		"[limits]\nkey_count = 9\n[shm]\nidle_evict_s = 77\n",
		"no section\n",
	};
	pid_t before[DAEMON_MAX_CHILDREN], after[DAEMON_MAX_CHILDREN];
	size_t n;
	char *file;

	prepare("server.workers=1"); /* ready: all of them are there */
	file = use_file("[limits]\nkey_count = 7\n");
	fixture_again();
	n = daemon_children(d, "worker", before);

	write_file(file, bad[_i]);
	kill(d->pid, SIGHUP);

	want_log("reload refused");
	ck_assert_uint_eq(daemon_children(d, "worker", after), n);
	ck_assert_mem_eq(before, after, n * sizeof(pid_t));
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(header_num(&r, "X-RateLimit-Limit"), 7);
	tl_free(file);
}
END_TEST

START_TEST(usr1_opens_the_log_again)
{
	char *path, *away, *setting;

	prepare();
	path = tl_asprintf("%s/real.log", d->state_dir);
	away = tl_asprintf("%s.1", path);
	setting = tl_asprintf("log.file=%s", path);
	daemon_set(d, setting);
	fixture_again();

	ck_assert_int_eq(rename(path, away), 0);
	kill(d->pid, SIGUSR1);

	WAIT_UNTIL(access(path, F_OK) == 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	tl_free(setting);
	tl_free(away);
	tl_free(path);
}
END_TEST

/* ---- the background ---- */

/* A make that starts it, or a shell's pipe, would wait for the daemon else. */
START_TEST(background_holds_nothing_of_its_caller)
{
	char *pid_file, *log_file, *text = NULL;
	struct pollfd end = { .events = POLLIN };
	int fds[2], status;
	size_t len;
	pid_t master;
	char byte;

	prepare();
	pid_file = tl_asprintf("server.pid_file=%s/pid", d->state_dir);
	log_file = tl_asprintf("log.file=%s/real.log", d->state_dir);
	daemon_set(d, pid_file);
	daemon_set(d, log_file);
	d->argv = tl_realloc(d->argv, (d->argc + 2) * sizeof(*d->argv));
	d->argv[d->argc++] = tl_strdup("-D");
	d->argv[d->argc] = NULL;
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(fcntl(fds[0], F_SETFD, FD_CLOEXEC), 0);
	end.fd = fds[0];

	ck_assert_int_eq(run_to_end(), 0);

	close(fds[1]);
	ck_assert_int_eq(poll(&end, 1, 15000), 1);
	ck_assert_int_eq(read(fds[0], &byte, 1), 0);
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
	ck_assert_int_eq(
		tl_file_read(strchr(pid_file, '=') + 1, 64, &text, &len, NULL),
		TL_OK);
	master = (pid_t)strtol(text, NULL, 10);
	status = daemon_ctl(d, NULL, (const char *const[]){ "stop", NULL });
	ck_assert_int_eq(status, 0);
	ck_assert(gone(master));
	close(fds[0]);
	tl_free(text);
	tl_free(log_file);
	tl_free(pid_file);
}
END_TEST

/* ---- starts that fail ---- */

START_TEST(second_daemon_of_a_state_directory_is_refused)
{
	pid_t first;

	up();
	first = d->pid;

	ck_assert_int_eq(run_to_end(), 1);

	ck_assert(log_has("start failed: another tallyd runs on"));
	d->pid = first;
	ck_assert_int_eq(gate(KEY_PRO, ""), 200);
}
END_TEST

START_TEST(taken_port_is_named)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	prepare();
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(d->port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);

	ck_assert_int_eq(run_to_end(), 1);

	ck_assert(log_has("start failed: listen on '127.0.0.1:"));
	close(fd);
}
END_TEST

START_TEST(wrong_setting_is_named)
{
	prepare(_i == 0 ? "server.workers=many" : "database.url=host");

	ck_assert_int_eq(run_to_end(), 78);

	ck_assert(log_has(_i == 0 ? "server.workers" : "database.url"));
}
END_TEST

/* ---- the embedded database ---- */

/* A state directory below one that only its owner may enter; with_long: so
 * far down that no socket's name fits. */
static char *embedded_up(bool with_long)
{
	char *closed, *state, *setting;

	fixture_prepare(NULL);
	closed = tl_asprintf("%s/closed", d->state_dir);
	state = tl_asprintf("%s/%s", closed,
			    with_long ? "a-long-name-of-a-directory/"
					"a-long-name-of-a-directory/"
					"a-long-name-of-a-directory/"
					"a-long-name-of-a-directory"
				      : "state");
	ck_assert_int_eq(mkdir(closed, 0700), 0);
	daemon_set(d, "database.url=");
	setting = tl_asprintf("server.state_dir=%s", state);
	daemon_set(d, setting);
	fixture_again();
	tl_free(setting);
	tl_free(closed);
	return state;
}

static char *first_line(const char *dir, const char *name)
{
	char *path = tl_asprintf("%s/%s", dir, name), *text = NULL;
	size_t len;

	if (tl_file_read(path, 4096, &text, &len, NULL) == TL_OK)
		text[strcspn(text, "\n")] = '\0';
	tl_free(path);
	return text;
}

static pid_t server_pid(const char *state)
{
	char *line = first_line(state, "pg/data/postmaster.pid");
	pid_t pid = line != NULL ? (pid_t)atol(line) : 0;

	tl_free(line);
	return pid;
}

static bool server_answers(const char *state)
{
	char *url = first_line(state, "pg/url");
	char *command = tl_asprintf("psql -XAtc 'SELECT 1' '%s' "
				    ">/dev/null 2>&1",
				    url != NULL ? url : "");
	bool ok = system(command) == 0;

	tl_free(command);
	tl_free(url);
	return ok;
}

START_TEST(embedded_database_works_in_a_closed_directory)
{
	char *state = embedded_up(_i == 1);
	pid_t server = server_pid(state);
	struct stat sb;

	ck_assert_int_eq(gate(KEY_PRO, "cost=3"), 200);
	ck_assert(server_answers(state)); /* also the caller's psql */
	if (geteuid() == 0) {
		char *data = tl_asprintf("%s/pg/data", state);

		ck_assert_int_eq(stat(data, &sb), 0);
		ck_assert_uint_ne(sb.st_uid, 0);
		tl_free(data);
	}

	ck_assert_int_eq(daemon_stop(d, SIGTERM, 20000), 0);
	ck_assert(gone(server));

	fixture_again(); /* keeps its data */
	ck_assert_int_eq(used_today(KEY_PRO), 142 + 3);
	tl_free(state);
}
END_TEST

/* The server's user may walk to the link, not to where it leads. */
START_TEST(embedded_database_works_behind_a_link)
{
	char *closed, *link, *setting;

	fixture_prepare(NULL);
	closed = tl_asprintf("%s/closed", d->state_dir);
	link = tl_asprintf("%s/link", d->state_dir);
	setting = tl_asprintf("server.state_dir=%s/state", link);
	ck_assert_int_eq(mkdir(closed, 0700), 0);
	ck_assert_int_eq(symlink(closed, link), 0);
	daemon_set(d, "database.url=");
	daemon_set(d, setting);

	fixture_again();

	ck_assert_int_eq(gate(KEY_PRO, "cost=3"), 200);
	tl_free(setting);
	tl_free(link);
	tl_free(closed);
}
END_TEST

START_TEST(killed_embedded_database_is_started_again)
{
	char *state = embedded_up(false);
	pid_t server = server_pid(state);

	kill(server, SIGKILL);

	ck_assert_int_eq(gate(KEY_PRO, ""), 200); /* nobody waits for it */
	WAIT_UNTIL(server_pid(state) != server && server_answers(state));
	ck_assert(server_answers(state));
	tl_free(state);
}
END_TEST

START_TEST(embedded_database_that_outlived_its_master_is_taken_over)
{
	char *state = embedded_up(false);
	pid_t server = server_pid(state);

	daemon_stop(d, SIGKILL, 5000);
	ck_assert(!gone(server));
	fixture_again();

	ck_assert_int_eq(server_pid(state), server);
	want_log("took over the embedded database");
	kill(server, SIGKILL); /* watched, though no child */
	WAIT_UNTIL(server_pid(state) != server && server_answers(state));
	ck_assert(server_answers(state));
	server = server_pid(state);
	ck_assert_int_eq(daemon_stop(d, SIGTERM, 20000), 0);
	ck_assert(gone(server));
	tl_free(state);
}
END_TEST

START_TEST(remade_state_directory_starts_from_nothing)
{
	char *state = embedded_up(false);
	char *command = tl_asprintf("rm -rf '%s'", state);

	ck_assert_int_eq(gate(KEY_PRO, "cost=20"), 200);
	daemon_stop(d, _i == 0 ? SIGTERM : SIGKILL, 20000);
	ck_assert_int_eq(system(command), 0);

	fixture_again();

	ck_assert_int_eq(used_today(KEY_PRO), 142);
	tl_free(command);
	tl_free(state);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lifecycle");
	TCase *tc = fixture_case(s, "processes");

	tcase_add_loop_test(tc, stop_ends_all_and_delivers, 0, 3);
	tcase_add_test(tc, stop_delivers_though_the_flusher_was_just_killed);
	tcase_add_loop_test(tc, killed_child_is_replaced, 0, 2);
	tcase_add_test(tc, short_lives_wait_longer_and_longer);
	tcase_add_test(tc, fault_of_a_child_verifies_the_segment);
	tcase_add_test(
		tc,
		third_fault_in_a_minute_makes_a_new_segment_and_loses_nothing);
	tcase_add_test(tc, next_master_goes_on_where_a_killed_one_was);

	tc = fixture_case(s, "reload");
	tcase_add_test(tc, reload_takes_a_new_configuration);
	tcase_add_loop_test(tc, refused_reload_changes_nothing, 0, 3);
	tcase_add_test(tc, usr1_opens_the_log_again);

	tc = fixture_case(s, "background");
	tcase_add_test(tc, background_holds_nothing_of_its_caller);

	tc = fixture_case(s, "refused starts");
	tcase_add_test(tc, second_daemon_of_a_state_directory_is_refused);
	tcase_add_test(tc, taken_port_is_named);
	tcase_add_loop_test(tc, wrong_setting_is_named, 0, 2);

	tc = fixture_case(s, "embedded");
	tcase_add_loop_test(tc, embedded_database_works_in_a_closed_directory,
			    0, 2);
	tcase_add_test(tc, embedded_database_works_behind_a_link);
	tcase_add_test(tc, killed_embedded_database_is_started_again);
	tcase_add_test(
		tc, embedded_database_that_outlived_its_master_is_taken_over);
	tcase_add_loop_test(tc, remade_state_directory_starts_from_nothing, 0,
			    2);
	return fixture_run(s);
}
