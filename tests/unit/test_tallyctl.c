/*
 * test_tallyctl.c - the built command on a segment whose daemon is dead or
 * hangs, and its exit statuses.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "codec/doc.h"
#include "ctl/ctl.h"
#include "decide/decide.h"
#include "shm/metrics.h"
#include "shm/ring.h"
#include "shm/shm.h"

#define RING 64

static struct tl_arena arena;
static struct shm *shm;
static char instance[40], dir[40], output[1 << 16];

/* Also what a failed test before us has left. */
static void unlink_segments(void)
{
	char name[64];

	shm_name(instance, name);
	(void)shm_unlink(name);
	(void)shm_unlink(strcat(name, ".kept"));
}

static void setup(void)
{
	const struct shm_sizes sizes = { .max_keys = 64,
					 .max_users = 64,
					 .max_addresses = 64,
					 .max_windows = 64,
					 .decision_ring = RING,
					 .idempotency = 64,
					 .window_ms = 60000 };
	enum shm_found found;
	struct tl_err err;

	tl_arena_init(&arena);
	(void)snprintf(dir, sizeof(dir), "/tmp/tally-ctl.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	unlink_segments();
	ck_assert_msg(shm_open_master(instance, &sizes, &shm, &found, &err) ==
			      TL_OK,
		      "%s", err.text);
}

static void teardown(void)
{
	shm_close(&shm);
	unlink_segments();
	(void)rmdir(dir);
	tl_arena_deinit(&arena);
}

static const char *program(void)
{
	const char *bin = getenv("TALLY_BINDIR");

	return tl_arena_printf(&arena, "%s/tallyctl", bin != NULL ? bin : ".");
}

/* Exit status; what it printed is in `output`. */
static int ctl(const char *args)
{
	const char *line = tl_arena_printf(
		&arena,
		"%s -o server.state_dir=%s -o server.instance=%s %s "
		"2>&1",
		program(), dir, instance, args);
	FILE *p = popen(line, "r");
	size_t n;
	int status;

	ck_assert_ptr_nonnull(p);
	n = fread(output, 1, sizeof(output) - 1, p);
	output[n] = '\0';
	status = pclose(p);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const struct doc *json(void)
{
	const struct doc *d = NULL;
	struct tl_err err;

	ck_assert_msg(doc_parse(&arena, DOC_JSON, tl_str_trim(tl_str_c(output)),
				&d, &err) == TL_OK,
		      "%s in %s", err.text, output);
	return d;
}

static void decide_once(const char *request_id, enum decide_code code)
{
	struct shm_decision *d;
	uint64_t pos;

	d = shm_ring_claim(shm, &pos);
	d->wall_us = 1772366400000000;
	memset(d->key_id, 0xab, sizeof(d->key_id));
	memset(d->user_id, 0, sizeof(d->user_id));
	memset(d->client, 0, sizeof(d->client));
	d->request_id_len = (uint8_t)strlen(request_id);
	memcpy(d->request_id, request_id, d->request_id_len);
	d->door = DECIDE_D_GATE;
	d->code = (uint8_t)code;
	d->reason = DECIDE_R_NONE;
	d->http_status = code == DECIDE_OK ? 200 : 429;
	shm_ring_publish(d, pos);
}

START_TEST(a_dead_daemon_is_shown_with_status_3)
{
	const struct doc *d;

	shm_slot_take(shm, 1, "worker", 0, 1);
	shm->slots[1].pid = 1 << 30; /* nobody */

	ck_assert_int_eq(ctl("--json status"), 3);
	d = json();
	ck_assert(!doc_get(d, "running")->boolean);
	ck_assert_int_eq(doc_get(d, "daemon")->type, DOC_NULL);
	ck_assert_int_eq(doc_get(d, "processes")->n, 1);
	d = doc_get(d, "processes")->items[0];
	ck_assert(tl_str_eq(doc_get(d, "kind")->str, TL_STR("worker")));
	ck_assert(!doc_get(d, "alive")->boolean);

	ck_assert_int_eq(ctl("status"), 3);
	ck_assert_ptr_nonnull(strstr(output, "daemon    no daemon listens"));
	ck_assert_ptr_nonnull(strstr(output, "keys 0 of 64"));
}
END_TEST

/* Processes live, the master's socket does not answer. */
START_TEST(a_hung_daemon_is_shown_with_status_1)
{
	pid_t pid = fork();

	if (pid == 0) {
		shm_slot_take(shm, 1, "worker", 0, 1);
		shm_slot_set_state(shm, SHM_SLOT_READY);
		(void)pause();
		_exit(0);
	}
	while (atomic_load(&shm->slots[1].state) != SHM_SLOT_READY)
		usleep(1000);

	ck_assert_int_eq(ctl("status --json"), 1);
	ck_assert(doc_get(json(), "running")->boolean);

	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(stats_are_summed_over_the_slots)
{
	shm_slot_take(shm, 1, "worker", 0, 1);
	shm_count(shm, SHM_C_REQUESTS, 3);
	shm_slot_take(shm, 2, "worker", 1, 1);
	shm_count(shm, SHM_C_REQUESTS, 4);

	ck_assert_int_eq(ctl("stats --json"), 0);
	ck_assert_int_eq(doc_get(json(), "requests")->i, 7);
	ck_assert_int_eq(ctl("stats"), 0);
	ck_assert_ptr_nonnull(strstr(output, "requests"));
}
END_TEST

START_TEST(explain_finds_the_newest)
{
	decide_once("twice", DECIDE_OK);
	decide_once("twice", DECIDE_RATE_LIMITED);

	ck_assert_int_eq(ctl("explain twice"), 0);
	ck_assert_ptr_nonnull(strstr(output, "refused with 429"));
	ck_assert_int_eq(ctl("--json explain twice"), 0);
	ck_assert(tl_str_eq(doc_get(json(), "code")->str,
			    TL_STR("rate_limited")));
	ck_assert_int_eq(ctl("explain never"), 4);
	ck_assert_ptr_nonnull(strstr(output, "among the last 64"));
}
END_TEST

static int lines(void)
{
	int n = 0;

	for (const char *p = output; (p = strchr(p, '\n')) != NULL; p++)
		n++;
	return n;
}

START_TEST(tail_shows_the_last_that_match)
{
	for (int i = 0; i < 100; i++)
		decide_once(i % 10 == 0 ? "tenth" : "other",
			    i % 2 == 0 ? DECIDE_OK : DECIDE_RATE_LIMITED);

	ck_assert_int_eq(ctl("tail --once"), 0);
	ck_assert_int_eq(lines(), 0);
	ck_assert_int_eq(ctl("tail --once --last 5"), 0);
	ck_assert_int_eq(lines(), 5);
	ck_assert_int_eq(ctl("tail --once --last 3 request=tenth"), 0);
	ck_assert_int_eq(lines(), 3);
	ck_assert_int_eq(ctl("tail --once --last 1000 code=ok key=abab"), 0);
	ck_assert_int_eq(lines(), RING / 2);
	ck_assert_int_eq(ctl("tail --once --last 1000 key=cc"), 0);
	ck_assert_int_eq(lines(), 0);
	ck_assert_int_eq(ctl("tail --once code=nonsense"), 2);
}
END_TEST

/* tail --json --last 1, its output on *out_r. */
static pid_t start_tail(FILE **out_r)
{
	pid_t pid;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(fds[1], 1);
		(void)execl(
			program(), "tallyctl", "-o",
			tl_arena_printf(&arena, "server.state_dir=%s", dir),
			"-o",
			tl_arena_printf(&arena, "server.instance=%s", instance),
			"tail", "--json", "--last", "1", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	*out_r = fdopen(fds[0], "r");
	return pid;
}

static void expect_line(FILE *from, const char *part)
{
	char got[1024];

	ck_assert_ptr_nonnull(fgets(got, sizeof(got), from));
	ck_assert_msg(strstr(got, part) != NULL, "%s", got);
}

START_TEST(tail_follows_past_a_record_that_was_never_finished)
{
	uint64_t pos;
	FILE *out;
	pid_t pid;

	decide_once("first", DECIDE_OK);
	pid = start_tail(&out);
	expect_line(out, "\"first\"");

	(void)shm_ring_claim(shm, &pos); /* its writer died */
	decide_once("second", DECIDE_OK);

	expect_line(out, "\"second\"");
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	(void)fclose(out);
}
END_TEST

/* A start with other sizes makes another segment under the same name. */
START_TEST(tail_goes_on_in_a_new_segment)
{
	const struct shm_sizes sizes = { .max_keys = 128,
					 .max_users = 128,
					 .max_addresses = 64,
					 .max_windows = 64,
					 .decision_ring = RING,
					 .idempotency = 64,
					 .window_ms = 60000 };
	struct shm *fresh = NULL;
	struct tl_err err;
	FILE *out;
	pid_t pid;

	decide_once("old", DECIDE_OK);
	pid = start_tail(&out);
	expect_line(out, "\"old\"");

	ck_assert_msg(shm_make_fresh(instance, &sizes, &fresh, &err) == TL_OK,
		      "%s", err.text);
	shm_close(&shm);
	shm = fresh;
	decide_once("new", DECIDE_OK);

	expect_line(out, "\"new\"");
	(void)kill(pid, SIGTERM);
	(void)waitpid(pid, NULL, 0);
	(void)fclose(out);
}
END_TEST

static const struct {
	const char *args;
	int status;
	const char *says;
} cases[] = {
	{ "", 2, "usage: tallyctl" },
	{ "--help", 0, "usage: tallyctl" },
	{ "-h", 0, "usage: tallyctl" },
	{ "--version", 0, "tallyctl " },
	{ "-V", 0, "tallyctl " },
	{ "fly", 2, "there is no command 'fly'" },
	{ "key", 2, "there is no command 'key'" },
	{ "-x status", 2, "invalid option" },
	{ "-c /nowhere/at/all status", 2, "/nowhere/at/all" },
	{ "-s /nowhere/at/all status", 2, "no state directory" },
	{ "-o server.colour=red status", 2, "server.colour" },
	{ "status now", 2, "does not take 'now'" },
	{ "-o server.instance=other stats", 3, "no daemon has run" },
	{ "reload", 3, "is tallyd running?" },
	{ "stop --graceful", 3, "is tallyd running?" },
	{ "database", 3, "is tallyd running?" },
	{ "key list", 3, "no embedded database" },
	{ "migrate status", 3, "no embedded database" },
	{ "key create a@b --expires 2001-01-01", 2, "in the past" },
	{ "user create nobody --plan Pro", 2, "is no e-mail address" },
	{ "-o database.url=postgresql://x@127.0.0.1:1/x key list", 69,
	  "the database is not available" },
};

START_TEST(exit_statuses_are_as_documented)
{
	ck_assert_msg(ctl(cases[_i].args) == cases[_i].status, "%s: %s",
		      cases[_i].args, output);
	ck_assert_msg(strstr(output, cases[_i].says) != NULL, "%s", output);
}
END_TEST

START_TEST(the_manual_knows_every_command_and_option)
{
	const char *srcdir = getenv("srcdir");
	char *page = NULL;
	struct tl_err err;
	size_t len;

	ck_assert_msg(
		tl_file_read(tl_arena_printf(&arena, "%s/man/tallyctl.8",
					     srcdir != NULL ? srcdir : "."),
			     1 << 20, &page, &len, &err) == TL_OK,
		"%s", err.text);
	for (const struct ctl_command *c = CTL_COMMANDS; c->name != NULL; c++) {
		ck_assert_msg(strstr(page, tl_arena_printf(&arena, "Ic %s",
							   c->name)) != NULL,
			      "tallyctl.8 lacks '%s'", c->name);
		for (const struct ctl_arg *a = c->args;
		     a != NULL && a->name != NULL; a++) {
			char *flag = tl_arena_printf(&arena, "Fl -%s", a->name);

			if (a->kind < CTL_ARG_TEXT)
				continue;
			for (char *p = flag; *p != '\0'; p++)
				*p = *p == '_' ? '-' : *p;
			ck_assert_msg(strstr(page, flag) != NULL,
				      "tallyctl.8 lacks '%s'", flag);
		}
	}
	tl_free(page);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tallyctl");
	TCase *tc = tcase_create("command");
	SRunner *sr;
	int failed;

	(void)snprintf(instance, sizeof(instance), "tctl%d", (int)getpid());
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_dead_daemon_is_shown_with_status_3);
	tcase_add_test(tc, a_hung_daemon_is_shown_with_status_1);
	tcase_add_test(tc, stats_are_summed_over_the_slots);
	tcase_add_test(tc, explain_finds_the_newest);
	tcase_add_test(tc, tail_shows_the_last_that_match);
	tcase_add_test(tc, tail_follows_past_a_record_that_was_never_finished);
	tcase_add_test(tc, tail_goes_on_in_a_new_segment);
	tcase_add_loop_test(tc, exit_statuses_are_as_documented, 0,
			    (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(tc, the_manual_knows_every_command_and_option);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	unlink_segments();
	return failed == 0 ? 0 : 1;
}
