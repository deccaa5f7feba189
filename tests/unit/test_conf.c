/* The settings: sources, errors with place and cure, dump, reload. */
#include "config.h" /* _GNU_SOURCE */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "conf/conf.h"

static char dir[] = "/tmp/tallyd-test-conf-XXXXXX";
static char path[64];
static struct tl_err err;

static void setup(void)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/tallyd.conf", dir);
}

static void teardown(void)
{
	unlink(path);
	rmdir(dir);
}

static void write_file(const char *text)
{
	ck_assert_int_eq(tl_file_replace(path, text, strlen(text), 0600, &err),
			 TL_OK);
}

static enum tl_status load_all(const char *text, const char *const *env,
			       const char *option, struct conf **conf_r)
{
	struct conf_source src = { .env = env };

	if (text != NULL) {
		write_file(text);
		src.file = path;
	}
	if (option != NULL) {
		src.overrides = &option;
		src.n_overrides = 1;
	}
	return conf_load(&src, conf_r, &err);
}

static struct conf *load(const char *text)
{
	struct conf *c = NULL;

	ck_assert_msg(load_all(text, NULL, NULL, &c) == TL_OK, "%s", err.text);
	return c;
}

START_TEST(defaults_are_whole)
{
	struct conf *c = load(NULL);

	ck_assert_ptr_null(c->file);
	ck_assert_uint_eq(c->server.listen.n, 1);
	ck_assert_str_eq(c->server.listen.items[0], "127.0.0.1:3001");
	ck_assert_uint_ge(c->server.workers, 1);
	ck_assert_uint_le(c->server.workers, 64);
	ck_assert_uint_eq(c->server.trusted_proxies.n, 0);
	ck_assert_uint_eq(c->gate.verify_allow.n, 2);
	ck_assert_str_eq(c->server.state_dir,
			 TALLY_LOCALSTATEDIR "/lib/tallyd");
	ck_assert_uint_eq(strlen(c->server.instance), 13);
	ck_assert_int_eq(c->log.level, LOG_LV_INFO);
	ck_assert_uint_eq(c->shm.max_keys, 100000);
	ck_assert_str_eq(c->database.url, "");
	ck_assert(c->database.auto_migrate && !c->database.seed_demo);
	ck_assert(c->limits.enabled && c->quota.enabled && c->metering.enabled);
	ck_assert_uint_eq(c->limits.key_count, 100);
	ck_assert_int_eq(c->metering.durability, CONF_INTERVAL);
	ck_assert_uint_eq(c->metering.flush_interval_max_ms, 15000);
	ck_assert_str_eq(c->keys.prefix, "codexible");
	ck_assert_uint_eq(c->cost.def.prompt_nano_per_1k, 30000000);
	ck_assert_uint_eq(c->cost.def.completion_nano_per_1k, 60000000);
	conf_free(&c);
	ck_assert_ptr_null(c);
	conf_free(&c);
}
END_TEST

START_TEST(file_sets_every_type)
{
	struct conf *c = load("\xef\xbb\xbf# comment\n"
			      "[server]\n"
			      "listen = 10.0.0.1:80, [::1]:81,\r\n"
			      "   unix:/run/t.sock\n"
			      "; another comment\n"
			      "workers=3 ; inline\n"
			      "trusted_proxies = 10.0.0.0/8, ::1\n"
			      "reuseport = ON\n"
			      "\n"
			      "[log]\nlevel = debug\n"
			      "[metering]\ndurability = strict\n"
			      "strict_accepts = disk\n"
			      "[admin]\nemails = Boss@Example.com,\n"
			      "\tme@x.org\n"
			      "[cost]\nprompt_per_1k = 0.123456789\n"
			      "[cost.models]\n"
			      "gpt 4 = 1,2\n"
			      "b = 0.5 , 0\n"
			      "[server]\nidle_timeout_ms = 100");

	ck_assert_str_eq(c->file, path);
	ck_assert_uint_eq(c->server.listen.n, 3);
	ck_assert_str_eq(c->server.listen.items[2], "unix:/run/t.sock");
	ck_assert_uint_eq(c->server.workers, 3);
	ck_assert_uint_eq(c->server.trusted_proxies.n, 2);
	ck_assert(c->server.reuseport);
	ck_assert_uint_eq(c->server.idle_timeout_ms, 100);
	ck_assert_int_eq(c->log.level, LOG_LV_DEBUG);
	ck_assert_int_eq(c->metering.durability, CONF_STRICT);
	ck_assert_int_eq(c->metering.strict_accepts, CONF_DISK);
	ck_assert_uint_eq(c->admin.emails.n, 2);
	ck_assert_str_eq(c->admin.emails.items[0], "boss@example.com");
	ck_assert_uint_eq(c->cost.def.prompt_nano_per_1k, 123456789);
	ck_assert_uint_eq(c->cost.n_models, 2);
	ck_assert_str_eq(c->cost.models[0].name, "gpt 4");
	ck_assert_uint_eq(c->cost.models[1].rate.prompt_nano_per_1k, 500000000);
	conf_free(&c);
}
END_TEST

START_TEST(continued_lines_join_with_or_without_a_blank)
{
	struct conf *c = load("[database]\n"
			      "url = host=a,b\n"
			      "  dbname=x\n"
			      "\n"
			      "# in between\n"
			      "  user=y\n"
			      "[server]\n"
			      "pid_file = /a\\\n"
			      "\t/b\n");

	ck_assert_str_eq(c->database.url, "host=a,b dbname=x user=y");
	ck_assert_str_eq(c->server.pid_file, "/a/b");
	conf_free(&c);
}
END_TEST

START_TEST(later_sources_win)
{
	static const char *const env[] = { "TALLYD_SERVER_WORKERS=5",
					   "TALLYD_LIMITS_KEY_COUNT=7",
					   "TALLYD_DATABASE_URL=host=/tmp",
					   NULL };
	struct conf *c;

	ck_assert_int_eq(load_all("[server]\nworkers = 2\n[limits]\n"
				  "address_count = 9\n",
				  env, "server.workers = 6 ", &c),
			 TL_OK);
	ck_assert_uint_eq(c->server.workers, 6);
	ck_assert_uint_eq(c->limits.key_count, 7);
	ck_assert_uint_eq(c->limits.address_count, 9);
	ck_assert_str_eq(c->database.url, "host=/tmp");
	conf_free(&c);
	ck_assert_int_eq(load_all("[cost.models]\nm = 1,1\n", NULL,
				  "cost.models.m=2,3", &c),
			 TL_OK);
	ck_assert_uint_eq(c->cost.n_models, 1);
	ck_assert_uint_eq(c->cost.models[0].rate.completion_nano_per_1k,
			  3000000000);
	conf_free(&c);
}
END_TEST

START_TEST(foreign_variables_are_left_alone)
{
	static const char *const env[] = { "TALLYD_URL=http://127.0.0.1:3001",
					   "TALLYD_DEMO_KEY=x",
					   "TALLYD_PID=17",
					   "TALLYD_CONF=/x",
					   "TALLYD_SERVER=x",
					   "TALLYD_=x",
					   "TALLYD_SERVERS_WORKERS=x",
					   "TALLYD_server_x",
					   "PATH=/bin",
					   NULL };
	struct conf *c;

	ck_assert_msg(load_all(NULL, env, NULL, &c) == TL_OK, "%s", err.text);
	conf_free(&c);
}
END_TEST

/* text NULL: env or option instead.  want begins behind "DIR/". */
static const struct {
	const char *text, *want;
} bad_files[] = {
	{ "[server]\nlisten = 1.2.3.4:1\nworkers = many\n",
	  "tallyd.conf:3: server.workers: 'many' is not a number; give 1 to "
	  "64, or auto" },
	{ "[server]\nworkers = 65", "tallyd.conf:2: server.workers: '65' is "
				    "out of range; give 1 to 64, or auto" },
	{ "[server]\nworkers =\n", "tallyd.conf:2: server.workers: '' is not a "
				   "number; give 1 to 64, or auto" },
	{ "[server]\nworker = 1\n",
	  "tallyd.conf:2: no setting 'server.worker'; tallyd.conf(5) lists "
	  "them" },
	{ "[log]\n\nworkers = 1\n", "tallyd.conf:3: no setting 'log.workers'; "
				    "there is 'server.workers'" },
	{ "[sever]\nfoo = 1\n", "tallyd.conf:2: no section of 'sever.foo'; "
				"tallyd.conf(5) lists them" },
	{ "workers = 1\n", "tallyd.conf:1: 'workers' has no section in "
			   "front of it; there is 'server.workers'" },
	{ "[server]\nworkers = 1\n[log]\n[server]\nworkers = 1\n",
	  "tallyd.conf:5: server.workers: it is in line 2 already; remove "
	  "one" },
	{ "[server]\nworkers\n", "tallyd.conf:2: this is no setting; give 'key "
				 "= value', '[section]' or '# comment'" },
	{ "[server\nworkers = 1\n",
	  "tallyd.conf:1: this is no setting; give 'key = value', '[section]' "
	  "or '# comment'" },
	{ "[server]\nreuseport = maybe\n",
	  "tallyd.conf:2: server.reuseport: 'maybe' is neither yes nor no; "
	  "give one of them" },
	{ "[log]\nlevel = loud\n", "tallyd.conf:2: log.level: 'loud' is "
				   "unknown; give error, warn, info or debug" },
	{ "[log]\ntarget = syslog:loud\n",
	  "tallyd.conf:2: log.target: 'syslog:loud' names no facility; give "
	  "daemon, user, local0 to local7 or another one of syslog(3)" },
	{ "[log]\ntarget = file:here\n",
	  "tallyd.conf:2: log.target: 'here' is not absolute; begin it with "
	  "'/'" },
	{ "[log]\ntarget = syslogd\n",
	  "tallyd.conf:2: log.target: 'syslogd' is no target; give stderr, "
	  "file:/path, syslog, syslog:FACILITY or journald" },
	{ "[log]\ntarget = journald\nfile = /x\n",
	  "tallyd.conf:3: log.file: log.target says where lines go; remove "
	  "one of them" },
	{ "[log]\nsocket = /x\n",
	  "tallyd.conf:2: log.socket: log.target is neither syslog nor "
	  "journald; set it or remove this" },
	{ "[tracing]\nendpoint = ftp://x/\n",
	  "tallyd.conf:2: tracing.endpoint: 'ftp://x/' is no URL of http:// or "
	  "https://" },
	{ "[tracing]\nsample_ratio = 1.1\n",
	  "tallyd.conf:2: tracing.sample_ratio: '1.1' is no share; give 0 to "
	  "1, such as 0.05" },
	{ "[tracing]\nheaders = Authorization: secret\n",
	  "tallyd.conf:2: tracing.headers: give name=value, several separated "
	  "by commas" },
	{ "[server]\nlisten =\n", "tallyd.conf:2: server.listen: it is empty; "
				  "give ADDR:PORT or unix:/path" },
	{ "[server]\nlisten = tls:1.2.3.4:443\n",
	  "tallyd.conf:2: server.listen: it has a tls: address, which needs a "
	  "certificate and a key; name their files in tls.certificates" },
	{ "[server]\nlisten = tls:unix:/run/x\n",
	  "tallyd.conf:2: server.listen: 'unix:/run/x' has no numeric address; "
	  "give ADDR:PORT, [ADDR]:PORT, tls: and one of these, or unix:/path" },
	{ "[tls]\ncertificates = /a.pem a.key\n",
	  "tallyd.conf:2: tls.certificates: 'a.key' is not absolute; begin it "
	  "with '/'" },
	{ "[tls]\ncertificates = /a.pem /a.key /b.pem /b.key\n",
	  "tallyd.conf:2: tls.certificates: '/a.pem /a.key /b.pem /b.key' has "
	  "more than two paths; separate pairs of certificate and key by "
	  "commas" },
	{ "[tls]\nmin_version = 1.1\n",
	  "tallyd.conf:2: tls.min_version: '1.1' is unknown; give 1.2 or 1.3" },
	{ "[tls]\nclient_certificates = required\n",
	  "tallyd.conf:2: tls.client_certificates: it needs the authorities "
	  "that clients' certificates are of; name their file in "
	  "tls.client_ca" },
	{ "[admin]\nemails = a@b,;c@d\n",
	  "tallyd.conf:2: admin.emails: ';c@d' would begin a comment; remove "
	  "its ';'" },
	{ "[server]\nstate_dir = /var/lib /\n",
	  "tallyd.conf:2: server.state_dir: '/var/lib /' ends in a blank; take "
	  "it away" },
	{ "[server]\nstate_dir = /var/lib\\//\n",
	  "tallyd.conf:2: server.state_dir: '/var/lib\\//' ends in a backslash, "
	  "by which a line would go on; take it away" },
	{ "[server]\nstate_dir = here\n",
	  "tallyd.conf:2: server.state_dir: 'here' is not absolute; begin it "
	  "with '/'" },
	{ "[server]\ntrusted_proxies = 10.0.0.1/8\n",
	  "tallyd.conf:2: server.trusted_proxies: '10.0.0.1/8' has bits behind "
	  "its prefix; give 10.0.0.0/8" },
	{ "[shm]\nrequest_log = 1000\n",
	  "tallyd.conf:2: shm.request_log: 1000 is no power of two; give "
	  "65536 or another one" },
	{ "[shm]\ndecision_ring = 65537\n",
	  "tallyd.conf:2: shm.decision_ring: 65537 is no power of two; give "
	  "65536 or another one" },
	{ "[metering]\nflush_interval_ms = 20000\n",
	  "metering.flush_interval_max_ms: 15000 is below "
	  "metering.flush_interval_ms (20000); raise it or lower the other" },
	{ "[database]\ndirect_url = host=db1\n",
	  "tallyd.conf:2: database.direct_url: there is no database.url that "
	  "would "
	  "lead to the same database; set that or remove this" },
	{ "[database]\nprepared = yes\n",
	  "tallyd.conf:2: database.prepared: 'yes' is unknown; give auto, "
	  "always or never" },
	{ "[database]\nhostaddr = 127.0.0.1\n",
	  "tallyd.conf:2: database.hostaddr: there is no database.url that it "
	  "could belong to; set that or remove this" },
	{ "[cost.models]\nx = 1\n",
	  "tallyd.conf:2: cost.models.x: '1' is not a pair of rates; give "
	  "prompt,completion in USD per 1000 tokens such as 0.03,0.06" },
	{ "[cost.models]\nx = 1,1\nx = 1,1\n",
	  "tallyd.conf:3: cost.models.x: it is there a second time; remove "
	  "one" },
	{ "[server]\npid_file = /a\\\n[log]\n",
	  "tallyd.conf:2: server.pid_file ends in a backslash, but no indented "
	  "line follows; add it or drop the backslash" },
	{ "[server]\npid_file = /\x01\n",
	  "tallyd.conf:2: the line has a control character; remove it" },
	{ "[server]\nworkers = 1\nfoo\nbar = 2\n",
	  "tallyd.conf:3: this is no setting; give 'key = value', '[section]' "
	  "or '# comment'" },
	{ "[admin]\nemails = nobody\n",
	  "tallyd.conf:2: admin.emails: 'nobody' is no e-mail address; "
	  "separate several by commas" },
};

START_TEST(wrong_file_names_line_key_and_cure)
{
	const char *got = err.text;
	struct conf *c = NULL;

	ck_assert_int_eq(load_all(bad_files[_i].text, NULL, NULL, &c),
			 TL_INVALID);
	ck_assert_ptr_null(c);
	if (strncmp(got, dir, strlen(dir)) == 0)
		got += strlen(dir) + 1;
	ck_assert_str_eq(got, bad_files[_i].want);
}
END_TEST

static const struct {
	const char *text;
	int64_t ppm; /* -1: refused */
} ratios[] = {
	{ "0", 0 },
	{ "1", 1000000 },
	{ "0.1", 100000 },
	{ "0.05", 50000 },
	{ "1.0", 1000000 },
	{ "0.000001", 1 },
	{ "0.999999", 999999 },
	{ "", -1 },
	{ "2", -1 },
	{ "1.000001", -1 },
	{ "0.0000001", -1 },
	{ "0.", -1 },
	{ ".5", -1 },
	{ "-0.1", -1 },
	{ "0,5", -1 },
	{ "0.5x", -1 },
	{ "10", -1 },
};
START_TEST(ratios_are_millionths)
{
	char text[64];
	struct conf *c = NULL;

	snprintf(text, sizeof(text), "[tracing]\nsample_ratio = %s\n",
		 ratios[_i].text);
	ck_assert_int_eq(load_all(text, NULL, NULL, &c),
			 ratios[_i].ppm < 0 ? TL_INVALID : TL_OK);
	if (c != NULL)
		ck_assert_int_eq(conf_ratio_ppm(c->tracing.sample_ratio),
				 ratios[_i].ppm);
	conf_free(&c);
}
END_TEST

START_TEST(long_line_is_refused_and_the_longest_is_not_cut)
{
	char text[300] = "[keys]\n#";
	struct conf *c;

	memset(text + 8, 'x', 189);
	strcpy(text + 8 + 189, "\nmax_per_user = 3\n");
	c = load(text);
	ck_assert_uint_eq(c->keys.max_per_user, 3);
	conf_free(&c);
	memset(text + 8, 'x', 190);
	strcpy(text + 8 + 190, "\nmax_per_user = 3\n");
	ck_assert_int_eq(load_all(text, NULL, NULL, &c), TL_INVALID);
	ck_assert_ptr_nonnull(strstr(err.text, ".conf:2: the line has 191"));
}
END_TEST

static const struct {
	const char *env, *option, *want;
} bad_words[] = {
	{ "TALLYD_SERVER_WORKERS=x", NULL,
	  "environment TALLYD_SERVER_WORKERS: server.workers: 'x' is not a "
	  "number; give 1 to 64, or auto" },
	{ "TALLYD_SERVER_WORKER=1", NULL,
	  "environment TALLYD_SERVER_WORKER: no setting 'server.worker'; "
	  "tallyd.conf(5) lists them" },
	{ "TALLYD_LOG_FILE=/a\nb", NULL,
	  "environment TALLYD_LOG_FILE: log.file: the value has a control "
	  "character or is not UTF-8" },
	{ NULL, "server.workers=0",
	  "-o server.workers: '0' is out of range; give 1 to 64, or auto" },
	{ NULL, "server.workers",
	  "-o server.workers: there is no '='; give section.key=value" },
	{ NULL, "server.nix=1",
	  "-o server.nix: no setting 'server.nix'; tallyd.conf(5) lists them" },
	{ NULL, "workers=1",
	  "-o workers: 'workers' has no section in front of it; there is "
	  "'server.workers'" },
	{ NULL, "nix=1",
	  "-o nix: 'nix' has no section in front of it; tallyd.conf(5) lists "
	  "them" },
	{ NULL, "keys.prefix=a_b",
	  "-o keys.prefix: 'a_b' cannot begin a key; use 1 to 32 of A-Z a-z "
	  "0-9 . -" },
	{ NULL, "database.url=host=a ;b",
	  "-o database.url: a ';' begins a comment there; remove the blank in "
	  "front of it" },
	{ NULL, "cost.models.a:b=1,2",
	  "-o cost.models.a:b: 'a:b' cannot name a model here; use 1 to 100 "
	  "bytes without '=' and ':'" },
};

START_TEST(wrong_environment_and_options_are_named)
{
	const char *env[] = { bad_words[_i].env, NULL };
	struct conf *c = NULL;

	ck_assert_int_eq(load_all(NULL, env, bad_words[_i].option, &c),
			 TL_INVALID);
	ck_assert_str_eq(err.text, bad_words[_i].want);
}
END_TEST

START_TEST(missing_file_is_an_error_of_its_own)
{
	struct conf_source src = { .file = "/nowhere/tallyd.conf" };
	struct conf *c;

	ck_assert_int_eq(conf_load(&src, &c, &err), TL_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/tallyd.conf"));
	ck_assert_int_eq(conf_load(&src, &c, NULL), TL_SYSTEM);
}
END_TEST

static const struct {
	const char *entry;
	bool ok;
} listens[] = {
	{ "0.0.0.0:1", true },     { "[::]:65535", true },
	{ "unix:/x", true },       { "1.2.3.4", false },
	{ "1.2.3.4:0", false },    { "1.2.3.4:65536", false },
	{ ":80", false },          { "::1:80", false },
	{ "[1.2.3.4]:80", false }, { "[::1]", false },
	{ "localhost:80", false }, { "unix:x", false },
	{ "unix:/", false },       { "[::1:80", false },
};

START_TEST(listen_entries_are_checked)
{
	char option[64];
	struct conf *c = NULL;
	enum tl_status st;

	snprintf(option, sizeof(option), "server.listen=%s", listens[_i].entry);
	st = load_all(NULL, NULL, option, &c);
	ck_assert_msg((st == TL_OK) == listens[_i].ok, "'%s'",
		      listens[_i].entry);
	conf_free(&c);
}
END_TEST

static const struct {
	const char *option;
	bool ok;
} egress[] = {
	{ "egress.nameservers=192.0.2.1, 192.0.2.1:5353, [2001:db8::1]:53",
	  true },
	{ "egress.nameservers=2001:db8::1", true },
	{ "egress.nameservers=", true },
	{ "egress.nameservers=192.0.2.1:0", false },
	{ "egress.nameservers=[2001:db8::1]", false },
	{ "egress.nameservers=[192.0.2.1]:53", false },
	{ "egress.nameservers=dns.example", false },
	{ "egress.allowed_ports=1, 65535", true },
	{ "egress.allowed_ports=0", false },
	{ "egress.allowed_ports=65536", false },
	{ "egress.allowed_ports=https", false },
	{ "egress.private_allow=10.0.0.1/8", false },
	{ "egress.ca_file=ca.pem", false },
};

START_TEST(egress_entries_are_checked)
{
	struct conf *c = NULL;
	enum tl_status st = load_all(NULL, NULL, egress[_i].option, &c);

	ck_assert_msg((st == TL_OK) == egress[_i].ok, "'%s': %s",
		      egress[_i].option, err.text);
	conf_free(&c);
}
END_TEST

START_TEST(unix_path_ends_at_107_bytes)
{
	char option[200] = "server.listen=unix:/";
	size_t front = strlen(option);
	struct conf *c = NULL;

	memset(option + front, 'x', 106);
	ck_assert_int_eq(load_all(NULL, NULL, option, &c), TL_OK);
	conf_free(&c);
	option[front + 106] = 'x';
	ck_assert_int_eq(load_all(NULL, NULL, option, &c), TL_INVALID);
}
END_TEST

START_TEST(instance_follows_the_real_directory)
{
	char option[128], link[80], name[16];
	struct conf *c = NULL;

	/* Not there yet, reached through a link: as if it were there. */
	snprintf(link, sizeof(link), "%s/link", dir);
	ck_assert_int_eq(symlink(dir, link), 0);
	snprintf(option, sizeof(option), "server.state_dir=%s/s/", link);
	ck_assert_int_eq(load_all(NULL, NULL, option, &c), TL_OK);
	strcpy(name, c->server.instance);
	ck_assert_str_eq(c->server.state_dir + strlen(c->server.state_dir) - 2,
			 "/s");
	conf_free(&c);
	snprintf(option, sizeof(option), "%s/s", dir);
	ck_assert_int_eq(mkdir(option, 0700), 0);
	snprintf(option, sizeof(option), "server.state_dir=%s/s", dir);
	ck_assert_int_eq(load_all(NULL, NULL, option, &c), TL_OK);
	ck_assert_str_eq(c->server.instance, name);
	ck_assert_int_eq(name[0], 't');
	conf_free(&c);
	snprintf(option, sizeof(option), "server.state_dir=%s/other", dir);
	ck_assert_int_eq(load_all(NULL, NULL, option, &c), TL_OK);
	ck_assert_str_ne(c->server.instance, name);
	conf_free(&c);
	snprintf(option, sizeof(option), "%s/s", dir);
	rmdir(option);
	unlink(link);
}
END_TEST

static char *dump(const struct conf *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	conf_dump(c, false, out);
	fclose(out);
	return text;
}

START_TEST(dump_reads_back_to_the_same)
{
	struct tl_buf url;
	struct conf *a, *b;
	char *first, *second;

	/* Longer than a line, with what the reader takes for its own. */
	tl_buf_init(&url);
	tl_buf_adds(&url, "database.url=");
	for (int i = 0; i < 60; i++)
		tl_buf_adds(&url, "host#;\\ =a=b; x\\");
	tl_buf_adds(&url, ".");
	ck_assert_msg(
		load_all("[server]\nlisten = [::1]:1, unix:/x y\nworkers = 7\n"
			 "[gate]\nverify_allow = 2001:db8::/32\n"
			 "[admin]\nemails = a@b, c@d\n"
			 "[cost.models]\ngpt 4o = 0.000000001,1000\n",
			 NULL, url.ptr, &a) == TL_OK,
		"%s", err.text);
	first = dump(a);
	b = load(first);
	second = dump(b);

	ck_assert_str_eq(second, first);
	ck_assert_str_eq(b->database.url, url.ptr + strlen("database.url="));
	ck_assert_uint_eq(b->cost.models[0].rate.prompt_nano_per_1k, 1);
	free(first);
	free(second);
	conf_free(&a);
	conf_free(&b);
	tl_buf_deinit(&url);
}
END_TEST

/* A value with n of one sign in a row. */
static enum tl_status load_signs(int n, char sign, struct conf **c)
{
	struct tl_buf option;
	enum tl_status st;

	tl_buf_init(&option);
	tl_buf_adds(&option, "admin.emails=x@");
	for (int i = 0; i < 100; i++)
		tl_buf_addc(&option, 'y');
	for (int i = 0; i < n; i++)
		tl_buf_addc(&option, sign);
	tl_buf_adds(&option, "bcd");
	st = load_all("", NULL, option.ptr, c);
	tl_buf_deinit(&option);
	return st;
}

START_TEST(dump_breaks_no_line_where_a_comment_would_begin)
{
	struct conf *a, *b;
	char *first, *second;

	ck_assert_int_eq(load_signs(135, '#', &a), TL_OK);
	first = dump(a);
	b = load(first);
	second = dump(b);

	ck_assert_str_eq(second, first);
	ck_assert_str_eq(a->admin.emails.items[0], b->admin.emails.items[0]);
	free(first);
	free(second);
	conf_free(&a);
	conf_free(&b);
}
END_TEST

START_TEST(what_no_line_can_be_broken_in_is_refused)
{
	struct conf *c;

	ck_assert_int_eq(load_signs(141, '#', &c), TL_INVALID);
	ck_assert_msg(strstr(err.text, "more than 140 of") != NULL, "%s",
		      err.text);
}
END_TEST

START_TEST(reload_refuses_only_what_needs_a_restart)
{
	struct conf *a = load("[server]\nworkers = 1\n"), *b;

	b = load("[server]\nworkers = 2\nlisten = 127.0.0.1:3001\n"
		 "[limits]\nkey_count = 5\n[cost.models]\nm = 1,1\n");
	ck_assert_int_eq(conf_check_reload(a, b, &err), TL_OK);
	conf_free(&b);

	b = load("[server]\nworkers = 2\n[limits]\nwindow_ms = 1000\n"
		 "[shm]\nmax_keys = 20\n");
	ck_assert_int_eq(conf_check_reload(a, b, &err), TL_INVALID);
	ck_assert_str_eq(err.text,
			 "shm.max_keys cannot change while tallyd runs; "
			 "restart it or set the old value again");
	conf_free(&b);
	conf_free(&a);
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
	Suite *s = suite_create("conf");
	TCase *tc = tcase_create("conf");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, defaults_are_whole);
	tcase_add_test(tc, file_sets_every_type);
	tcase_add_test(tc, continued_lines_join_with_or_without_a_blank);
	tcase_add_test(tc, later_sources_win);
	tcase_add_test(tc, foreign_variables_are_left_alone);
	tcase_add_loop_test(tc, wrong_file_names_line_key_and_cure, 0,
			    COUNT(bad_files));
	tcase_add_loop_test(tc, ratios_are_millionths, 0,
			    sizeof(ratios) / sizeof(ratios[0]));
	tcase_add_test(tc, long_line_is_refused_and_the_longest_is_not_cut);
	tcase_add_loop_test(tc, wrong_environment_and_options_are_named, 0,
			    COUNT(bad_words));
	tcase_add_test(tc, missing_file_is_an_error_of_its_own);
	tcase_add_loop_test(tc, listen_entries_are_checked, 0, COUNT(listens));
	tcase_add_loop_test(tc, egress_entries_are_checked, 0, COUNT(egress));
	tcase_add_test(tc, unix_path_ends_at_107_bytes);
	tcase_add_test(tc, instance_follows_the_real_directory);
	tcase_add_test(tc, dump_reads_back_to_the_same);
	tcase_add_test(tc, dump_breaks_no_line_where_a_comment_would_begin);
	tcase_add_test(tc, what_no_line_can_be_broken_in_is_refused);
	tcase_add_test(tc, reload_refuses_only_what_needs_a_restart);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
