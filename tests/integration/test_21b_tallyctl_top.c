/*
 * test_21b_tallyctl_top.c - top shows what happens and gives the terminal back.
 */
#include "config.h"

#include "lib/ctl.h"
#include "lib/fixture.h"

#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "base/str.h"
#include "lib/crowd.h"

#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"
#define OTHER_ON    "\033[?1049h"
#define OTHER_OFF   "\033[?1049l"

static const char *text_of(struct json_object *o, const char *name)
{
	return json_object_get_string(json_at(o, name));
}

static void down(void)
{
	ctl_forget();
	fixture_down();
}

static void begin(void)
{
	answer = NULL;
	up("limits.key_count=1000000", "limits.address_count=1000000",
	   "server.workers=2");
	make_key("busy", 2000000000, "");
	make_key("poor", 1, "");
}

static void knock(struct crowd *w, unsigned n, void *arg)
{
	struct client *own = client_new(d->port);
	struct reply *a = tl_alloc(sizeof(*a));

	(void)arg;
	while (!crowd_stopped(w)) {
		/* three of four on the busy key; the poor one is refused */
		client_get(own, "/api/gate?cost=2",
			   key_of(n == 0 ? "poor" : "busy"), a);
		crowd_note(w, n, a->sent_mono_ns, a->got_mono_ns, a->status, 0);
		test_sleep_ms(2);
	}
	client_free(&own);
}

START_TEST(rates_and_the_busiest_are_those_of_the_load)
{
	struct json_object *first, *processes;
	double rate, sum = 0;
	struct crowd *w;

	begin();
	w = crowd_start(4, knock, NULL);
	ck_assert_int_eq(ctl("top", "--once", "--interval", "1"), 0);
	crowd_stop(w);
	crowd_free(&w);

	rate = real("decisions.per_second");
	ck_assert_double_gt(rate, 10);
	ck_assert_double_gt(real("requests.per_second"), 10);
	ck_assert_double_gt(real("decisions.let_in"), 5);
	/* each that was let in cost 2 */
	ck_assert_double_eq_tol(real("decisions.credits"),
				2 * real("decisions.let_in"),
				real("decisions.let_in") / 2);
	ck_assert_double_gt(real("refused.reasons.quota"), 0);
	ck_assert_uint_eq(json_object_array_length(json_at(answer, "keys")), 2);
	first = json_object_array_get_idx(json_at(answer, "keys"), 0);
	ck_assert_str_eq(text_of(first, "key_id"),
			 sql_str(d->conninfo,
				 "SELECT key_id FROM api_keys JOIN users USING "
				 "(user_id) WHERE email = 'busy@test'"));
	ck_assert(json_object_get_double(json_at(first, "refused")) == 0);
	for (size_t i = 0; i < 2; i++)
		sum += json_object_get_double(json_at(
			json_object_array_get_idx(json_at(answer, "keys"), i),
			"per_second"));
	ck_assert_double_eq_tol(sum, rate, rate / 2);
	first = json_object_array_get_idx(json_at(answer, "addresses"), 0);
	ck_assert_str_eq(text_of(first, "address"), "127.0.0.1");

	processes = json_at(answer, "processes");
	ck_assert_uint_ge(json_object_array_length(processes), 4);
	for (size_t i = 0; i < json_object_array_length(processes); i++)
		ck_assert_int_gt(
			json_object_get_int64(
				json_at(json_object_array_get_idx(processes, i),
					"rss_bytes")),
			100000);
}
END_TEST

/* One look; false: the database has not answered within it. */
static bool queues_known(void)
{
	ck_assert_int_eq(ctl("top", "--once", "--interval", "1"), 0);
	return json_object_is_type(json_at(answer, "queues.list"),
				   json_type_array);
}

static const char *of_queue(size_t i, const char *member)
{
	static char path[80];

	snprintf(path, sizeof(path), "queues.list.%zu.%s", i, member);
	return path;
}

START_TEST(queues_are_shown_with_what_waits_in_them)
{
	begin();
	sql_exec(d->conninfo,
		 "INSERT INTO tallyd.task (state, name, queue, payload,"
		 " retry_limit, retry_delay_ms, retry_backoff, timeout_ms,"
		 " run_at) SELECT g %% 3, 'n', 'mail', '{}', 0, 0, false, 1,"
		 " now() - INTERVAL '1 hour' FROM generate_series(1, 30) g");
	sql_exec(d->conninfo,
		 "INSERT INTO tallyd.task_attempt (task_id, attempt, outcome,"
		 " name, queue, tenant, created_at, started_at, ended_at,"
		 " owner_epoch, owner_spawn) SELECT g, 1, 'completed', 'n',"
		 " 'mail', '', now(), now(), now() + INTERVAL '1 hour', 1, 1"
		 "  FROM generate_series(1, 25) g");
	sql_exec(d->conninfo, "SELECT tallyd.queue_pause('mail', true)");

	WAIT_UNTIL(queues_known());

	ck_assert_uint_ge(items("queues.list"), 1); /* by name */
	ck_assert_str_eq(text(of_queue(0, "queue")), "mail");
	ck_assert_int_eq(number(of_queue(0, "paused")), 1);
	ck_assert_int_eq(number(of_queue(0, "ready")), 10);
	ck_assert_int_eq(number(of_queue(0, "delayed")), 10);
	ck_assert_int_eq(number(of_queue(0, "active")), 10);
	ck_assert_int_eq(number(of_queue(0, "dead")), 0);
	ck_assert_int_ge(number(of_queue(0, "oldest_age_ms")), 3600000);
	ck_assert(real(of_queue(0, "per_second")) == 2.5);
}
END_TEST

/* Neither one that is gone nor one that says nothing holds it up. */
START_TEST(without_a_database_all_else_is_shown)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char url[100];

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(url, sizeof(url), "database.url=postgresql://127.0.0.1:%u/x",
		 (unsigned)ntohs(at.sin_port));
	begin();

	for (int listens = 0; listens < 2; listens++) {
		if (listens)
			ck_assert_int_eq(listen(fd, 5), 0);
		ck_assert_int_eq(
			ctl("-o", url, "top", "--once", "--interval", "1"), 0);
		ck_assert(json_at(answer, "queues") != NULL);
		ck_assert(json_at(answer, "queues.list") == NULL);
		ck_assert_str_ne(text("queues.problem"), "");
		ck_assert_uint_ge(items("processes"), 4);
	}
	close(fd);
}
END_TEST

/* Everything that comes out of it, until `until` did or it ended. */
static void read_terminal(int fd, struct tl_buf *out, const char *until)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char piece[4096];
	ssize_t n;

	while ((until == NULL || strstr(out->ptr, until) == NULL) &&
	       poll(&p, 1, 15000) == 1 &&
	       (n = read(fd, piece, sizeof(piece))) > 0)
		tl_buf_add(out, piece, (size_t)n);
	ck_assert_msg(until == NULL || strstr(out->ptr, until) != NULL,
		      "no '%s' in '%s'", until, out->ptr);
}

static void read_pending(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char piece[4096];

	while (poll(&p, 1, 0) == 1 && read(fd, piece, sizeof(piece)) > 0)
		;
}

static pid_t top_on_terminal(const char *interval, int *fd_r,
			     struct termios *was_r)
{
	struct winsize size = { .ws_row = 12, .ws_col = 60 };
	char *program = world_program("tallyctl");
	pid_t pid = forkpty(fd_r, NULL, NULL, &size);

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		char *option = tl_asprintf("server.instance=%s", d->instance);

		execl(program, program, "-s", d->state_dir, "-o", option, "top",
		      "--interval", interval, NULL);
		_exit(127);
	}
	ck_assert_int_eq(tcgetattr(*fd_r, was_r), 0);
	tl_free(program);
	return pid;
}

static void terminal_is_given_back(bool by_key)
{
	struct termios was, now;
	struct tl_buf out;
	int fd, status;
	pid_t pid;

	begin();
	tl_buf_init(&out);
	tl_buf_adds(&out, "");
	pid = top_on_terminal("1", &fd, &was);
	read_terminal(fd, &out, "decisions");
	ck_assert_ptr_nonnull(strstr(out.ptr, OTHER_ON));
	ck_assert_ptr_nonnull(strstr(out.ptr, HIDE_CURSOR));
	ck_assert_int_eq(tcgetattr(fd, &now), 0);
	ck_assert_uint_eq(now.c_lflag & (ICANON | ECHO), 0);
	if (by_key)
		ck_assert_int_eq(write(fd, "xq", 2), 2);
	else
		ck_assert_int_eq(write(fd, "\003", 1), 1);
	read_terminal(fd, &out, OTHER_OFF);
	ck_assert_ptr_nonnull(strstr(out.ptr, SHOW_CURSOR));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(tcgetattr(fd, &now), 0);
	ck_assert_uint_eq(now.c_lflag & (ICANON | ECHO), ICANON | ECHO);
	ck_assert_uint_eq(now.c_cc[VSUSP], was.c_cc[VSUSP]);
	close(fd);
	tl_buf_deinit(&out);
}

START_TEST(q_gives_the_terminal_back)
{
	terminal_is_given_back(true);
}
END_TEST

START_TEST(ctrl_c_gives_the_terminal_back)
{
	terminal_is_given_back(false);
}
END_TEST

static bool raw_mode(int fd)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(fd, &now), 0);
	return (now.c_lflag & (ICANON | ECHO)) == 0;
}

START_TEST(stopped_and_resized_in_between)
{
	struct winsize narrow = { .ws_row = 4, .ws_col = 20 };
	struct termios was;
	struct tl_buf out;
	int fd, status;
	pid_t pid;

	begin();
	tl_buf_init(&out);
	tl_buf_adds(&out, "");
	/* so that nothing is painted by the clock */
	pid = top_on_terminal("3600", &fd, &was);
	read_terminal(fd, &out, "decisions");

	/* Ctrl-Z gives the terminal back, fg takes it again */
	ck_assert_int_eq(write(fd, "\032", 1), 1);
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	ck_assert(!raw_mode(fd));
	read_terminal(fd, &out, OTHER_OFF);
	tl_buf_reset(&out);
	tl_buf_adds(&out, "");
	ck_assert_int_eq(kill(pid, SIGCONT), 0);
	read_terminal(fd, &out, "decisions");
	ck_assert_ptr_nonnull(strstr(out.ptr, OTHER_ON));
	ck_assert(raw_mode(fd));

	/* another size is another page at once, cut to it: the end of a line
	 * of 20 characters that goes on */
	test_sleep_ms(100);
	read_pending(fd);
	tl_buf_reset(&out);
	tl_buf_adds(&out, "");
	ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &narrow), 0);
	read_terminal(fd, &out, "\033[J");
	ck_assert_ptr_nonnull(strstr(out.ptr, "decisions"));
	ck_assert_ptr_null(strstr(out.ptr, "let in"));
	ck_assert_ptr_null(strstr(out.ptr, "PROCESS"));

	/* a terminal that goes away ends it */
	close(fd);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	tl_buf_deinit(&out);
}
END_TEST

static char *output_of(const char *command)
{
	FILE *f = popen(command, "r");
	struct tl_buf out;
	char line[1024];

	ck_assert_ptr_nonnull(f);
	tl_buf_init(&out);
	tl_buf_adds(&out, "");
	while (fgets(line, sizeof(line), f) != NULL)
		tl_buf_adds(&out, line);
	ck_assert_int_eq(pclose(f), 0);
	return out.ptr; /* taken from it */
}

START_TEST(without_a_terminal_there_are_blocks_of_lines)
{
	char *program = world_program("tallyctl"), *command, *out;
	unsigned blocks = 0;

	begin();
	command = tl_asprintf("%s -s %s -o server.instance=%s top --interval "
			      "1 --count 2",
			      program, d->state_dir, d->instance);
	out = output_of(command);
	for (const char *at = out; (at = strstr(at, "requests  ")) != NULL;
	     at++)
		blocks++;
	ck_assert_uint_eq(blocks, 2);
	ck_assert_ptr_null(strchr(out, '\033'));
	ck_assert_ptr_nonnull(strstr(out, "worker"));
	tl_free(out);
	tl_free(command);
	tl_free(program);
}
END_TEST

/* No slot, no change: the daemon's segment is as it was. */
START_TEST(a_stopped_daemon_can_be_looked_at)
{
	begin();
	daemon_stop(d, SIGTERM, 20000);
	ck_assert_int_eq(ctl("top", "--once", "--interval", "1"), 0);
	ck_assert(real("decisions.per_second") == 0);
	ck_assert(!json_object_get_boolean(json_at(answer, "running")));
	ck_assert_int_eq(ctl("top", "--interval", "0"), 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tallyctl top");
	TCase *t = tcase_create("top");

	tcase_add_checked_fixture(t, NULL, down);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, rates_and_the_busiest_are_those_of_the_load);
	tcase_add_test(t, queues_are_shown_with_what_waits_in_them);
	tcase_add_test(t, without_a_database_all_else_is_shown);
	tcase_add_test(t, q_gives_the_terminal_back);
	tcase_add_test(t, ctrl_c_gives_the_terminal_back);
	tcase_add_test(t, stopped_and_resized_in_between);
	tcase_add_test(t, without_a_terminal_there_are_blocks_of_lines);
	tcase_add_test(t, a_stopped_daemon_can_be_looked_at);
	suite_add_tcase(s, t);
	return fixture_run(s);
}
