/*
 * fronts.c - see fronts.h.
 */
#include "config.h" /* _GNU_SOURCE */

#include "fronts.h"

#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/fixture.h"

static const struct {
	const char *name, *variable, *place, *package, *suffix;
} kinds[FRONT_KINDS] = {
	[FRONT_NGINX] = { "nginx", "TALLY_NGINX", "/usr/sbin/nginx", "nginx",
			  "conf" },
	[FRONT_HAPROXY] = { "haproxy", "TALLY_HAPROXY", "/usr/sbin/haproxy",
			    "haproxy", "cfg" },
	[FRONT_CADDY] = { "caddy", "TALLY_CADDY", "/usr/bin/caddy", "caddy",
			  "Caddyfile" },
	[FRONT_APACHE] = { "apache", "TALLY_APACHE", "/usr/sbin/apache2",
			   "apache2-bin lua-socket", "conf" },
};

const char *front_name(enum front_kind kind)
{
	return kinds[kind].name;
}

const char *front_program(enum front_kind kind)
{
	const char *given = getenv(kinds[kind].variable);

	if (given != NULL && given[0] != '\0')
		return given;
	if (access(kinds[kind].place, X_OK) == 0)
		return kinds[kind].place;
	return NULL;
}

int fronts_run(Suite *s)
{
	int missing = 0;

	for (int i = 0; i < FRONT_KINDS; i++) {
		if (front_program((enum front_kind)i) != NULL)
			continue;
		missing++;
		fprintf(stderr, "without %s: apt install %s, or set %s\n",
			kinds[i].name, kinds[i].package, kinds[i].variable);
	}
	if (missing == FRONT_KINDS)
		return 77;
	if (fixture_run(s) != 0)
		return 1;
	return missing > 0 ? 77 : 0;
}

static const struct passwd *nobody(void)
{
	const struct passwd *pw = getpwnam("nobody");

	if (pw == NULL)
		world_die("no user nobody to run a proxy");
	return pw;
}

/* ---- configuration ---- */

static char *in_dir(const struct front *f, const char *name)
{
	return tl_asprintf("%s/%s", f->dir, name);
}

static void put_file(const struct front *f, const char *name, const char *text)
{
	char *path = in_dir(f, name);
	FILE *out = fopen(path, "w");

	if (out == NULL || fputs(text, out) < 0 || fclose(out) != 0)
		world_die("cannot write '%s'", path);
	tl_free(path);
}

/* `from`, which must be there, becomes the formatted text; wherever it is. */
static void change(char **text, const char *from, const char *fmt, ...)
	TL_PRINTF(3, 4);
static void change(char **text, const char *from, const char *fmt, ...)
{
	char to[512], *p = strstr(*text, from), *new;
	va_list ap;

	if (p == NULL)
		world_die("the recipe has no '%s'", from);
	va_start(ap, fmt);
	(void)vsnprintf(to, sizeof(to), fmt, ap);
	va_end(ap);
	while (p != NULL) {
		size_t at = (size_t)(p - *text) + strlen(to);

		new = tl_asprintf("%.*s%s%s", (int)(p - *text), *text, to,
				  p + strlen(from));
		tl_free(*text);
		*text = new;
		p = strstr(*text + at, from);
	}
}

static char *recipe(const struct front *f, const char *suffix)
{
	char *path = tl_asprintf("%s/%s/%s.%s", TEST_CONTRIB,
				 kinds[f->kind].name, f->recipe, suffix);
	char *text = world_read(path);

	if (*text == '\0')
		world_die("no recipe '%s'", path);
	tl_free(path);
	return text;
}

static bool is_gate(const struct front *f)
{
	return strcmp(f->recipe, "gate") == 0;
}

static void set_nginx(struct front *f, char **text)
{
	char *all;

	f->h2_port = daemon_free_port();
	change(text, "listen 80;",
	       "listen 127.0.0.1:%u; listen 127.0.0.1:%u http2;", f->port,
	       f->h2_port);
	if (f->open)
		change(text, "#set $tally_when_down", "set $tally_when_down");
	all = tl_asprintf(
		"daemon off; pid %s/pid; worker_processes 1;\n"
		"error_log stderr notice; events {}\nhttp {\n"
		"client_body_temp_path %s/body; proxy_temp_path %s/proxy;\n"
		"fastcgi_temp_path %s/fc; uwsgi_temp_path %s/uw;\n"
		"scgi_temp_path %s/sc;\n"
		"log_format ids '$request $upstream_http_x_request_id';\n"
		"access_log %s/access ids;\n%s}\n",
		f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, f->dir, *text);
	tl_free(*text);
	*text = all;
}

static void set_haproxy(struct front *f, char **text)
{
	char *lua;

	f->h2_port = f->port;
	change(text, "bind :80",
	       "bind 127.0.0.1:%u\n\tlog stdout format raw local0\n"
	       "\tcapture response header X-Request-Id len 64\n"
	       "\tlog-format \"%%HM %%HU %%hs\"",
	       f->port);
	if (!is_gate(f))
		return;
	change(text, "/etc/haproxy", "%s", f->dir);
	if (f->open)
		change(text, "#setenv TALLYD_WHEN_DOWN",
		       "setenv TALLYD_WHEN_DOWN");
	/* of the whole host */
	change(text, "abns@tally_gate", "abns@tally_gate_%u", f->port);
	lua = recipe(f, "lua");
	change(&lua, "abns@tally_gate", "abns@tally_gate_%u", f->port);
	put_file(f, "gate.lua", lua);
	tl_free(lua);
}

static void set_caddy(struct front *f, char **text)
{
	char *all;

	f->h2_port = f->port;
	change(text, "\n:80 {",
	       "\n:%u {\n\tbind 127.0.0.1\n\tlog {\n"
	       "\t\toutput file %s/access\n\t}",
	       f->port, f->dir);
	if (f->open) {
		change(text, "import tally_closed\n", "\n");
		change(text, "#import tally_open", "import tally_open");
	}
	all = tl_asprintf("{\n\tadmin off\n\tauto_https off\n"
			  "\tservers {\n\t\tprotocols h1 h2c\n\t}\n}\n%s",
			  *text);
	tl_free(*text);
	*text = all;
}

static void set_apache(struct front *f, char **text)
{
	static const char *const modules[] = {
		"mpm_event", "authz_core", "setenvif",   "env",  "headers",
		"lua",       "proxy",      "proxy_http", "http2"
	};
	char *program = tl_strdup(front_program(f->kind));
	char *root = tl_asprintf("%s/../lib/apache2/modules", dirname(program));
	char *load = tl_strdup(""), *all;

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		all = tl_asprintf("%sLoadModule %s_module %s/mod_%s.so\n", load,
				  modules[i], root, modules[i]);
		tl_free(load);
		load = all;
	}
	f->h2_port = f->port;
	change(text, "*:80", "127.0.0.1:%u", f->port);
	if (is_gate(f)) {
		change(text, "/etc/apache2/gate", "%s/gate", f->dir);
		all = recipe(f, "lua");
		put_file(f, "gate.lua", all);
		tl_free(all);
	}
	if (f->open)
		change(text, "#SetEnvIf Request_URI ^ TALLY_WHEN_DOWN",
		       "SetEnvIf Request_URI ^ TALLY_WHEN_DOWN");
	all = tl_asprintf("ServerRoot %s\nDefaultRuntimeDir %s\nPidFile pid\n"
			  "ServerName front\nListen 127.0.0.1:%u\n"
			  "Protocols h2c http/1.1\nErrorLog log\nStartServers "
			  "1\nServerLimit 1\n"
			  "ThreadsPerChild 8\nMaxRequestWorkers 8\n"
			  "%sUser nobody\nGroup #%u\n"
			  "LogFormat \"%%m %%U%%q %%{X-Request-Id}o\" ids\n"
			  "CustomLog access ids\n%s",
			  f->dir, f->dir, f->port, load, nobody()->pw_gid,
			  *text);
	tl_free(*text);
	*text = all;
	tl_free(load);
	tl_free(root);
	tl_free(program);
}

static void configure(struct front *f)
{
	char *text = recipe(f, kinds[f->kind].suffix);

	change(&text, "127.0.0.1:3001", "127.0.0.1:%u", f->tallyd);
	if (is_gate(f))
		change(&text, "127.0.0.1:8080", "127.0.0.1:%u", f->app);
	if (f->ask != NULL)
		change(&text, "cost=1", "%s", f->ask);
	switch (f->kind) {
	case FRONT_NGINX:
		set_nginx(f, &text);
		break;
	case FRONT_HAPROXY:
		set_haproxy(f, &text);
		break;
	case FRONT_CADDY:
		set_caddy(f, &text);
		break;
	case FRONT_APACHE:
		set_apache(f, &text);
		break;
	}
	put_file(f, "conf", text);
	tl_free(text);
}

/* ---- the process ---- */

static void run(const struct front *f, const char *conf, const char *log,
		pid_t parent)
{
	const char *const argv[FRONT_KINDS][8] = {
		[FRONT_NGINX] = { "nginx", "-p", f->dir, "-e", "stderr", "-c",
				  conf },
		[FRONT_HAPROXY] = { "haproxy", "-db", "-f", conf },
		[FRONT_CADDY] = { "caddy", "run", "--adapter", "caddyfile",
				  "--config", conf },
		[FRONT_APACHE] = { "apache2", "-f", conf, "-DFOREGROUND" },
	};
	const struct passwd *pw = nobody();
	/* They may lie where nobody can't look. */
	int program = open(front_program(f->kind), O_RDONLY | O_CLOEXEC);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	/* Apache reads its modules first and drops root by itself. */
	if (fd < 0 || (geteuid() == 0 && f->kind != FRONT_APACHE &&
		       (setgid(pw->pw_gid) < 0 || setuid(pw->pw_uid) < 0)))
		_exit(126);
	/* setuid clears it.  No KILL: nginx and Apache have children. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	setenv("HOME", f->dir, 1);
	setenv("XDG_DATA_HOME", f->dir, 1);
	setenv("XDG_CONFIG_HOME", f->dir, 1);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	fexecve(program, (char *const *)(uintptr_t)argv[f->kind], environ);
	_exit(127);
}

static void make_dir(struct front *f)
{
	static unsigned made;
	char name[32];

	(void)snprintf(name, sizeof(name), "%s-%u", front_name(f->kind),
		       ++made);
	f->dir = world_path(name);
	if (mkdir(f->dir, 0755) < 0 ||
	    (geteuid() == 0 &&
	     chown(f->dir, nobody()->pw_uid, nobody()->pw_gid) < 0))
		world_die("cannot make '%s'", f->dir);
}

static bool listens(const struct front *f)
{
	struct client *visitor = client_new(f->port);
	bool yes = client_connect(visitor);

	client_free(&visitor);
	return yes;
}

void front_start(struct front *f)
{
	char *conf, *log;
	pid_t parent = getpid();
	bool up = false;

	f->port = daemon_free_port();
	make_dir(f);
	configure(f);
	conf = in_dir(f, "conf");
	log = in_dir(f, "log");
	f->pid = fork();
	if (f->pid < 0)
		world_die("cannot fork");
	if (f->pid == 0)
		run(f, conf, log, parent);
	WAIT_UNTIL((up = listens(f)) || waitpid(f->pid, NULL, WNOHANG) != 0);
	if (!up)
		world_die("%s does not listen:\n%s", front_name(f->kind),
			  world_read(log));
	tl_free(conf);
	tl_free(log);
}

void front_stop(struct front *f)
{
	if (f->pid != 0) {
		kill(f->pid, SIGTERM);
		waitpid(f->pid, NULL, 0);
	}
	f->pid = 0;
}

char *front_access(const struct front *f)
{
	char *path = in_dir(f, f->kind == FRONT_HAPROXY ? "log" : "access");
	char *text = world_read(path);

	tl_free(path);
	return text;
}
