/*
 * bouncer.c - see bouncer.h.
 */
#include "config.h"

#include "lib/bouncer.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>
#include <libpq-fe.h>

#include "base/mem.h"
#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/world.h"

static char *dir;
static pid_t pid;

const char *bouncer_program(void)
{
	static const char *const places[] = { "/usr/sbin/pgbouncer",
					      "/usr/bin/pgbouncer",
					      "/usr/local/bin/pgbouncer" };
	const char *given = getenv("TALLY_PGBOUNCER");

	if (given != NULL && given[0] != '\0')
		return given;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static void write_settings(const char *server_dir, const char *path)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		world_die("cannot write '%s'", path);
	fprintf(f,
		"[databases]\n* = host=%s user=postgres\n[pgbouncer]\n"
		"unix_socket_dir = %s\nlisten_port = 6432\nauth_type = any\n"
		"pool_mode = transaction\ndefault_pool_size = %d\n"
		"max_client_conn = 200\nserver_login_retry = 1\n",
		server_dir, dir, BOUNCER_SESSIONS);
	fclose(f);
}

static void run(const char *settings)
{
	const struct passwd *pw = getpwnam("postgres");
	const char *argv[] = { "pgbouncer", "-q", settings, NULL };
	char *log = tl_asprintf("%s/log", dir);
	pid_t parent = getpid();
	int fd, program;

	pid = fork();
	if (pid < 0)
		world_die("cannot fork");
	if (pid > 0) {
		tl_free(log);
		return;
	}
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	/* It may lie where postgres can't look. */
	program = open(bouncer_program(), O_RDONLY | O_CLOEXEC);
	/* It refuses to run as root. */
	if (fd < 0 ||
	    (geteuid() == 0 &&
	     (pw == NULL || setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* setuid clears it */
	if (getppid() != parent)
		_exit(1);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	fexecve(program, (char *const *)(uintptr_t)argv, environ);
	_exit(127);
}

static bool answers(void)
{
	char *info = tl_asprintf("host=%s port=6432 user=postgres "
				 "dbname=postgres",
				 dir);
	PGconn *pq = PQconnectdb(info);
	bool yes = PQstatus(pq) == CONNECTION_OK;

	PQfinish(pq);
	tl_free(info);
	return yes;
}

void bouncer_start(const struct pgtest *server)
{
	const struct passwd *pw = getpwnam("postgres");
	char *settings;
	bool up = false;

	if (dir == NULL)
		dir = tl_asprintf("%s/bouncer", pgtest_dir(server));
	mkdir(dir, 0755);
	if (geteuid() == 0 &&
	    (pw == NULL || chown(dir, pw->pw_uid, pw->pw_gid) < 0))
		world_die("no user postgres to run the pooler");
	settings = tl_asprintf("%s/pgbouncer.ini", dir);
	write_settings(pgtest_dir(server), settings);
	run(settings);
	tl_free(settings);
	WAIT_UNTIL((up = answers()));
	if (!up)
		world_die("pgbouncer does not answer; see %s/log", dir);
}

void bouncer_kill9(void)
{
	if (pid == 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pid = 0;
}

char *bouncer_way(const char *conninfo)
{
	const char *name = strstr(conninfo, "dbname=");

	return tl_asprintf("host=%s port=6432 user=postgres %s", dir, name);
}

/* At once, or one session would answer for all. */
void bouncer_expect_clean(const char *way)
{
	static const char question[] =
		"SELECT current_setting('statement_timeout') || ' ' || "
		"current_setting('idle_in_transaction_session_timeout') || "
		"' ' || current_setting('search_path') || ' ' || "
		"current_setting('client_connection_check_interval') || ' ' "
		"|| (SELECT count(*) FROM pg_prepared_statements)";
	PGconn *all[BOUNCER_SESSIONS];

	for (int i = 0; i < BOUNCER_SESSIONS; i++) {
		PGresult *res;

		all[i] = PQconnectdb(way);
		PQclear(PQexec(all[i], "BEGIN"));
		res = PQexec(all[i], question);
		ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK, "%s",
			      PQerrorMessage(all[i]));
		ck_assert_str_eq(PQgetvalue(res, 0, 0),
				 "0 0 \"$user\", public 0 0");
		PQclear(res);
	}
	for (int i = 0; i < BOUNCER_SESSIONS; i++)
		PQfinish(all[i]);
}
