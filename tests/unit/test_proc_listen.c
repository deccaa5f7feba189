/* Listening sockets: kept over a reload, stale names, long names. */
#include "config.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "proc/listen.h"

static char dir[] = "/tmp/tallyd-test-listen-XXXXXX";
static char tcp[64], un[128];
static char *both[] = { tcp, un };
static struct conf conf;

static void setup(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(tcp, sizeof(tcp), "127.0.0.1:%u", ntohs(in.sin_port));
	snprintf(un, sizeof(un), "unix:%s/http", dir);
	conf.server.listen.items = both;
	conf.server.listen.n = 2;
	conf.server.workers = 2;
	conf.server.reuseport = false;
}

static void teardown(void)
{
	ck_assert_int_eq(rmdir(dir), 0); /* no name of a socket stayed */
}

static struct listen_set *open_ok(const struct listen_set *old)
{
	struct listen_set *set = NULL;
	struct tl_err err;

	ck_assert_msg(listen_open(&conf, old, &set, &err) == TL_OK, "%s",
		      err.text);
	return set;
}

static ino_t inode(int fd)
{
	struct stat sb;

	ck_assert_int_eq(fstat(fd, &sb), 0);
	return sb.st_ino;
}

START_TEST(reload_keeps_the_sockets)
{
	struct listen_set *old = open_ok(NULL), *fresh = open_ok(old);
	int a[2], b[2];

	listen_fds(old, 0, a);
	listen_fds(fresh, 1, b);
	ck_assert_uint_eq(listen_per_worker(fresh), 2);
	ck_assert_uint_eq(inode(a[0]), inode(b[0]));
	ck_assert_uint_eq(inode(a[1]), inode(b[1]));

	listen_free(&old, fresh);

	ck_assert_int_eq(access(un + 5, F_OK), 0); /* the new set has it */
	listen_free(&fresh, NULL);
	ck_assert_int_ne(access(un + 5, F_OK), 0);
}
END_TEST

START_TEST(each_worker_has_its_own_with_reuseport)
{
	struct listen_set *set, *fresh;
	int a[2], b[2], c[2];

	conf.server.reuseport = true;
	set = open_ok(NULL);
	listen_fds(set, 0, a);
	listen_fds(set, 1, b);
	ck_assert_uint_ne(inode(a[0]), inode(b[0]));
	ck_assert_uint_eq(inode(a[1]), inode(b[1])); /* unix: shared */

	conf.server.workers = 3;
	fresh = open_ok(set);

	listen_fds(fresh, 1, c);
	ck_assert_uint_eq(inode(b[0]), inode(c[0]));
	listen_fds(fresh, 2, c);
	ck_assert_uint_ne(inode(a[0]), inode(c[0]));
	listen_free(&set, fresh);
	listen_free(&fresh, NULL);
}
END_TEST

/* What is spoken there is the worker's affair; the address is the same. */
START_TEST(tls_in_front_is_no_part_of_the_address)
{
	struct listen_set *set;
	char *was = both[0], *tls = tl_asprintf("tls:%s", was);
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	int fds[2];

	both[0] = tls;
	set = open_ok(NULL);

	listen_fds(set, 0, fds);
	ck_assert_int_eq(getsockname(fds[0], (struct sockaddr *)&a, &len), 0);
	ck_assert_uint_eq(ntohs(a.sin_port),
			  (unsigned)atoi(strrchr(was, ':') + 1));
	listen_free(&set, NULL);
	both[0] = was;
	tl_free(tls);
}
END_TEST

/* As a service manager hands it over: descriptor 3, and words about it.  In a
 * process of its own: here libcheck has that number.  What it found wrong. */
static const char *passed_found(unsigned port, bool for_us,
				const char *(*look)(void))
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), status;
	static char words[400];
	int out[2];
	ssize_t n;
	pid_t pid;

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)port);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		char own[16];

		snprintf(own, sizeof(own), "%ld",
			 for_us ? (long)getpid() : 1L);
		out[1] = dup2(out[1], 100);
		dup2(fd, 3);
		close_range(4, 99, 0);
		setenv("LISTEN_PID", own, 1);
		setenv("LISTEN_FDS", "1", 1);
		dprintf(100, "%s", look());
		_exit(0);
	}
	close(out[1]);
	close(fd);
	n = read(out[0], words, sizeof(words) - 1);
	words[n > 0 ? n : 0] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	return words;
}

static const char *uses_it(void)
{
	struct listen_set *passed = NULL, *set = NULL;
	struct tl_err err;
	int fds[2];

	if (listen_passed(&conf, &passed, &err) != TL_OK)
		return "not taken";
	if (listen_per_worker(passed) != 1 || getenv("LISTEN_FDS") != NULL)
		return "another number";
	if ((fcntl(3, F_GETFL) & O_NONBLOCK) == 0 ||
	    (fcntl(3, F_GETFD) & FD_CLOEXEC) == 0)
		return "its flags";
	if (listen_open(&conf, passed, &set, &err) != TL_OK)
		return "not opened";
	for (uint32_t worker = 0; worker < 2; worker++) {
		struct stat a, b;

		listen_fds(set, worker, fds);
		fstat(fds[0], &a);
		fstat(3, &b);
		if (a.st_ino != b.st_ino)
			return "another socket";
	}
	if (access(un + 5, F_OK) < 0)
		return "the other address is closed";
	listen_free(&passed, set);
	listen_free(&set, NULL);
	return "good";
}

static unsigned port_of(const char *address)
{
	return (unsigned)atoi(strrchr(address, ':') + 1);
}

START_TEST(a_socket_of_the_service_manager_is_used)
{
	conf.server.reuseport = _i == 1; /* then too: it made only one */

	ck_assert_str_eq(passed_found(port_of(tcp), true, uses_it), "good");
}
END_TEST

static const char *says_what(void)
{
	static struct tl_err err;
	struct listen_set *passed = NULL;

	if (listen_passed(&conf, &passed, &err) != TL_INVALID)
		return "taken";
	return passed == NULL ? err.text : "there is a set";
}

START_TEST(a_passed_socket_that_nobody_wants_is_named)
{
	const char *text = passed_found(0, true, says_what);

	ck_assert_msg(strstr(text, "socket on '127.0.0.1:") != NULL &&
			      strstr(text, "not in server.listen") != NULL,
		      "%s", text);
}
END_TEST

static const char *leaves_it(void)
{
	struct listen_set *passed = NULL;
	struct tl_err err;

	if (listen_passed(&conf, &passed, &err) != TL_OK ||
	    listen_per_worker(passed) != 0)
		return "taken";
	listen_free(&passed, NULL);
	return "good";
}

/* It was meant for a parent of ours. */
START_TEST(sockets_of_another_process_are_left_alone)
{
	ck_assert_str_eq(passed_found(port_of(tcp), false, leaves_it), "good");
}
END_TEST

START_TEST(stale_name_is_replaced)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct listen_set *set;

	strcpy(sa.sun_path, un + 5);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd); /* its process died: the name stays, nobody accepts */

	set = open_ok(NULL);

	listen_free(&set, NULL);
}
END_TEST

static void refused(enum tl_status st, const char *words)
{
	struct listen_set *set = NULL;
	struct tl_err err;

	ck_assert_int_eq(listen_open(&conf, NULL, &set, &err), st);
	ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
	ck_assert_ptr_null(set);
}

START_TEST(name_of_another_daemon_is_refused_and_stays)
{
	struct listen_set *other = open_ok(NULL);
	char *only[] = { un };

	conf.server.listen.items = only;
	conf.server.listen.n = 1;
	refused(TL_EXISTS, "another process accepts");

	ck_assert_int_eq(access(un + 5, F_OK), 0);
	listen_free(&other, NULL);
}
END_TEST

START_TEST(file_that_is_no_socket_is_refused_and_stays)
{
	int fd = open(un + 5, O_CREAT | O_WRONLY, 0600);

	close(fd);
	refused(TL_EXISTS, "no socket");

	ck_assert_int_eq(unlink(un + 5), 0);
}
END_TEST

START_TEST(port_in_use_is_refused)
{
	struct listen_set *other = open_ok(NULL);
	char *only[] = { tcp };

	conf.server.listen.items = only;
	conf.server.listen.n = 1;
	refused(TL_SYSTEM, "Address already in use");

	listen_free(&other, NULL);
}
END_TEST

START_TEST(socket_names_end_at_107_bytes)
{
	char name[200] = "unix:/tmp/";
	char *only[] = { name };
	struct listen_set *set;

	conf.server.listen.items = only;
	conf.server.listen.n = 1;
	memset(name + strlen(name), 'x', 5 + 107 - strlen(name));
	set = open_ok(NULL);
	listen_free(&set, NULL);

	name[5 + 107] = 'x';
	refused(TL_INVALID, "108 bytes");
}
END_TEST

START_TEST(failure_leaves_no_socket_behind)
{
	char bad[] = "127.0.0.1:no";
	char *two[] = { un, bad };

	conf.server.listen.items = two;

	refused(TL_INVALID, "127.0.0.1:no");

	ck_assert_int_ne(access(un + 5, F_OK), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proc/listen");
	TCase *tc = tcase_create("listen");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, reload_keeps_the_sockets);
	tcase_add_test(tc, each_worker_has_its_own_with_reuseport);
	tcase_add_test(tc, tls_in_front_is_no_part_of_the_address);
	tcase_add_loop_test(tc, a_socket_of_the_service_manager_is_used, 0, 2);
	tcase_add_test(tc, a_passed_socket_that_nobody_wants_is_named);
	tcase_add_test(tc, sockets_of_another_process_are_left_alone);
	tcase_add_test(tc, stale_name_is_replaced);
	tcase_add_test(tc, name_of_another_daemon_is_refused_and_stays);
	tcase_add_test(tc, file_that_is_no_socket_is_refused_and_stays);
	tcase_add_test(tc, port_in_use_is_refused);
	tcase_add_test(tc, socket_names_end_at_107_bytes);
	tcase_add_test(tc, failure_leaves_no_socket_behind);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
