#include "config.h" /* _GNU_SOURCE */

#include "lib/daemon.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "base/mem.h"
#include "lib/client.h"
#include "lib/pgtest.h"
#include "lib/sql.h"
#include "lib/world.h"

/* Nobody else of this machine's tests asks for it in the moment
 * until the daemon listens, since the kernel hands ports out in turn. */
uint16_t daemon_free_port(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
		world_die("no free port: %s", strerror(errno));
	close(fd);
	return ntohs(sin.sin_port);
}

static void arg_add(struct daemon *d, char *arg)
{
	d->argv = tl_realloc(d->argv, (d->argc + 2) * sizeof(*d->argv));
	d->argv[d->argc++] = arg;
	d->argv[d->argc] = NULL;
}

void daemon_set(struct daemon *d, const char *setting)
{
	arg_add(d, tl_strdup("-o"));
	arg_add(d, tl_strdup(setting));
}

static void set_owned(struct daemon *d, char *setting)
{
	daemon_set(d, setting);
	tl_free(setting);
}

void daemon_setenv(struct daemon *d, const char *name_value)
{
	d->env = tl_realloc(d->env, (d->n_env + 1) * sizeof(*d->env));
	d->env[d->n_env++] = tl_strdup(name_value);
}

static char *create_database(struct pgtest *pg, const char *from)
{
	static unsigned made;
	char name[64];

	snprintf(name, sizeof(name), "t%ld_%u", (long)getpid(), ++made);
	sql_exec(pgtest_conninfo(pg), "CREATE DATABASE %s TEMPLATE %s", name,
		 from);
	sql_close();
	return tl_asprintf("host=%s user=postgres dbname=%s", pgtest_dir(pg),
			   name);
}

char *daemon_database(struct pgtest *pg)
{
	return create_database(pg, "template1");
}

/* What a start would make of an empty one, where that is at hand. */
static char *migrated_database(struct pgtest *pg, bool demo)
{
	const char *from = pgtest_template(pg, demo);
	char *conninfo;

	if (from == NULL)
		return daemon_database(pg);
	conninfo = create_database(pg, from);
	sql_exec(conninfo, "UPDATE tallyd.instance SET "
			   "database_id = gen_random_uuid(), "
			   "created_at = now()");
	return conninfo;
}

static bool wants_demo(const char *const *settings)
{
	for (; settings != NULL && *settings != NULL; settings++)
		if (strcmp(*settings, "database.seed_demo=no") == 0)
			return false;
	return true;
}

void daemon_on_database(struct daemon *d, char *conninfo)
{
	d->conninfo = conninfo;
	set_owned(d, tl_asprintf("database.url=%s", conninfo));
}

struct daemon *daemon_new(struct pgtest *pg, const char *const *settings)
{
	static unsigned made;
	struct daemon *d = tl_alloc(sizeof(*d));
	char name[64];

	made++;
	d->port = daemon_free_port();
	snprintf(name, sizeof(name), "s%ld-%u", (long)getpid(), made);
	d->state_dir = world_path(name);
	if (mkdir(d->state_dir, 0755) != 0)
		world_die("cannot make '%s'", d->state_dir);
	d->log_file = tl_asprintf("%s/log", d->state_dir);
	d->instance =
		tl_asprintf("%s-%ld-%u", world_tag(), (long)getpid(), made);
	arg_add(d, world_program("tallyd"));
	/* An empty file, or the one that is installed would be read. */
	arg_add(d, tl_strdup("-c"));
	arg_add(d, tl_asprintf("%s/tallyd.conf", d->state_dir));
	fclose(fopen(d->argv[d->argc - 1], "w"));
	set_owned(d, tl_asprintf("server.listen=127.0.0.1:%u", d->port));
	set_owned(d, tl_asprintf("server.state_dir=%s", d->state_dir));
	set_owned(d, tl_asprintf("server.instance=%s", d->instance));
	daemon_set(d, "server.workers=2");
	/* whatever accounts there are here; nobody else is asked to be root */
	daemon_set(d, "server.user=root");
	/* small tables: a start clears all of them */
	daemon_set(d, "shm.max_keys=4096");
	daemon_set(d, "shm.max_addresses=4096");
	daemon_set(d, "shm.max_windows=4096");
	daemon_set(d, "shm.decision_ring=4096");
	daemon_set(d, "shm.idempotency=8192");
	daemon_set(d, "shm.request_log=8192");
	daemon_set(d, "database.seed_demo=yes");
	daemon_set(d, "database.pool_size=2");
	daemon_set(d, "runner.count=0");
	daemon_set(d, "metering.flush_interval_ms=200");
	if (pg != NULL)
		daemon_on_database(d,
				   migrated_database(pg, wants_demo(settings)));
	while (settings != NULL && *settings != NULL)
		daemon_set(d, *settings++);
	return d;
}

void daemon_spawn(struct daemon *d)
{
	size_t i;
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		world_die("fork: %s", strerror(errno));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = open(d->log_file, O_WRONLY | O_CREAT | O_APPEND, 0644);
		dup2(fd, 1);
		dup2(fd, 2);
		setenv("TALLY_DATADIR", TEST_DATADIR, 0);
		for (i = 0; i < d->n_env; i++)
			putenv(d->env[i]);
		execv(d->argv[0], d->argv);
		_exit(127);
	}
	d->pid = pid;
}

bool daemon_wait_ready(struct daemon *d, unsigned timeout_ms)
{
	uint64_t until = test_mono_ns() + timeout_ms * 1000000ull;
	struct client *c = client_new(d->port);
	struct reply *r = tl_alloc(sizeof(*r));
	bool ready = false;

	while (!ready && test_mono_ns() < until) {
		if (d->pid != 0 && waitpid(d->pid, NULL, WNOHANG) == d->pid) {
			d->pid = 0;
			break;
		}
		ready = client_get(c, "/health?ready=1", NULL, r) &&
			r->status == 200;
		if (!ready)
			test_sleep_ms(5);
	}
	reply_deinit(r);
	tl_free(r);
	client_free(&c);
	return ready;
}

struct daemon *daemon_start(struct pgtest *pg, const char *const *settings)
{
	struct daemon *d = daemon_new(pg, settings);
	char *log;

	daemon_spawn(d);
	if (!daemon_wait_ready(d, 60000)) {
		log = daemon_story(d);
		world_die("tallyd did not get ready:\n%s", log);
	}
	return d;
}

int daemon_stop(struct daemon *d, int sig, unsigned timeout_ms)
{
	uint64_t until = test_mono_ns() + timeout_ms * 1000000ull;
	int status = -1;

	if (d->pid == 0)
		return -1;
	kill(d->pid, sig);
	while (test_mono_ns() < until) {
		if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
			d->pid = 0;
			return status;
		}
		test_sleep_ms(5);
	}
	return -1;
}

static unsigned log_count(const struct daemon *d, const char *words)
{
	char *log = daemon_log(d);
	const char *p;
	unsigned n = 0;

	for (p = log; (p = strstr(p, words)) != NULL; p++)
		n++;
	tl_free(log);
	return n;
}

void daemon_hup(struct daemon *d)
{
	unsigned before = log_count(d, "\"reloaded");

	kill(d->pid, SIGHUP);
	WAIT_UNTIL(log_count(d, "\"reloaded") > before);
	if (log_count(d, "\"reloaded") == before)
		world_die("no reload:\n%s", daemon_story(d));
}

void daemon_free(struct daemon **dp)
{
	struct daemon *d = *dp;
	size_t i;

	if (d == NULL)
		return;
	if (d->pid != 0 && daemon_stop(d, SIGTERM, 15000) == -1)
		daemon_stop(d, SIGKILL, 5000);
	for (i = 0; i < d->argc; i++)
		tl_free(d->argv[i]);
	for (i = 0; i < d->n_env; i++)
		tl_free(d->env[i]);
	tl_free(d->argv);
	tl_free(d->env);
	tl_free(d->conninfo);
	tl_free(d->state_dir);
	tl_free(d->log_file);
	tl_free(d->instance);
	tl_freep(dp);
}

/* Is pid a running child of parent, with `kind` in its title? */
static bool is_child(pid_t pid, pid_t parent, const char *kind)
{
	char path[64], text[512];
	const char *p;
	long ppid;
	size_t n, i;
	char state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')');
	if (p == NULL || sscanf(p + 1, " %c %ld", &state, &ppid) != 2 ||
	    ppid != parent || state == 'Z' || state == 'X')
		return false;
	snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	for (i = 0; i < n; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	return strncmp(text, "tallyd: ", 8) == 0 && strstr(text, kind) != NULL;
}

size_t daemon_children(const struct daemon *d, const char *kind,
		       pid_t pids_r[DAEMON_MAX_CHILDREN])
{
	DIR *proc = opendir("/proc");
	const struct dirent *e;
	size_t n = 0;
	pid_t pid;

	while (d->pid != 0 && (e = readdir(proc)) != NULL) {
		pid = (pid_t)strtol(e->d_name, NULL, 10);
		if (pid > 0 && n < DAEMON_MAX_CHILDREN &&
		    is_child(pid, d->pid, kind))
			pids_r[n++] = pid;
	}
	closedir(proc);
	return n;
}

pid_t daemon_child(const struct daemon *d, const char *kind)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	unsigned i;

	for (i = 0; i < 1000; i++) {
		if (daemon_children(d, kind, pids) > 0)
			return pids[0];
		test_sleep_ms(10);
	}
	world_die("the daemon has no %s", kind);
}

/* Of the process, by its start in clock ticks since boot. */
static long age_ms(pid_t pid)
{
	char path[64], *text;
	const char *p;
	unsigned long long start = 0;
	struct timespec now;

	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	text = world_read(path);
	p = strrchr(text, ')');
	if (p != NULL)
		sscanf(p + 1,
		       " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u"
		       " %*d %*d %*d %*d %*d %*d %llu",
		       &start);
	tl_free(text);
	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000 -
	       (long)(start * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

bool daemon_kill_child(const struct daemon *d, const char *kind,
		       unsigned min_age_ms)
{
	pid_t pids[DAEMON_MAX_CHILDREN];
	size_t n = daemon_children(d, kind, pids), i, old = 0;

	for (i = 0; i < n; i++)
		if (age_ms(pids[i]) >= (long)min_age_ms)
			pids[old++] = pids[i];
	return old > 0 && kill(pids[(size_t)rand() % old], SIGKILL) == 0;
}

char *daemon_log(const struct daemon *d)
{
	return world_read(d->log_file);
}

char *daemon_story(const struct daemon *d)
{
	char *log = daemon_log(d), *line, *rest = log;
	char *story = tl_alloc(strlen(log) + 2), *end = story;
	size_t len;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (strstr(line, "\"msg\":\"request\"") == NULL &&
		    *line != '\0')
			end += sprintf(end, "%s\n", line);
	tl_free(log);
	len = (size_t)(end - story);
	if (len > 12000)
		memmove(story, story + len - 12000, 12001);
	return story;
}

int daemon_ctl(const struct daemon *d, struct json_object **json_r,
	       const char *const *args)
{
	char *program = world_program("tallyctl");
	char *dir = tl_asprintf("server.state_dir=%s", d->state_dir);
	char *instance = tl_asprintf("server.instance=%s", d->instance);
	const char *argv[32] = { program, "-o", dir, "-o", instance, "--json" };
	size_t n = 6, len = 0;
	char *text = tl_alloc(1024 * 1024);
	int fds[2], status = -1;
	ssize_t got;
	pid_t pid;

	while (*args != NULL && n < 31)
		argv[n++] = *args++;
	if (pipe2(fds, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		world_die("cannot run tallyctl: %s", strerror(errno));
	if (pid == 0) {
		dup2(fds[1], 1);
		setenv("TALLY_DATADIR", TEST_DATADIR, 0);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fds[1]);
	while (len < 1024 * 1024 - 1 &&
	       (got = read(fds[0], text + len, 1024 * 1024 - 1 - len)) > 0)
		len += (size_t)got;
	close(fds[0]);
	waitpid(pid, &status, 0);
	if (json_r != NULL)
		*json_r = json_tokener_parse(text);
	tl_free(text);
	tl_free(program);
	tl_free(dir);
	tl_free(instance);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
