/*
 * pg_target.c - reading connection strings and URIs.
 */
#include "pg/pg_target.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "pg/pg.h"

#define CONNECT_TIMEOUT_MS 5000

static const char *option(const PQconninfoOption *opts, const char *key)
{
	for (; opts->keyword != NULL; opts++)
		if (strcmp(opts->keyword, key) == 0)
			return opts->val;
	return NULL;
}

static void add(struct pg_target *t, const char *key, const char *value)
{
	t->keys[t->n_keys] = key;
	t->values[t->n_keys++] = tl_strdup(value);
}

/* Keys of libpq's own table: static text, which outlives the options. */
static const char *const passed[] = {
	"user",
	"password",
	"passfile",
	"dbname",
	"options",
	"keepalives",
	"keepalives_idle",
	"keepalives_interval",
	"keepalives_count",
	"tcp_user_timeout",
	"sslmode",
	"sslcompression",
	"sslcert",
	"sslkey",
	"sslpassword",
	"sslrootcert",
	"sslcrl",
	"sslcrldir",
	"sslsni",
	"requirepeer",
	"ssl_min_protocol_version",
	"ssl_max_protocol_version",
	"gssencmode",
	"krbsrvname",
	"gsslib",
	"channel_binding",
	"service",
	"fallback_application_name",
	"replication",
};
static const struct {
	const char *key, *value;
} defaults[] = {
	/* A dead network path shows within a minute, not within two hours. */
	{ "keepalives_idle", "30" },
	{ "keepalives_interval", "10" },
	{ "keepalives_count", "3" },
};

static void add_options(struct pg_target *t, const PQconninfoOption *opts,
			const char *application_name)
{
	size_t n_passed = sizeof(passed) / sizeof(passed[0]);
	size_t n_defaults = sizeof(defaults) / sizeof(defaults[0]);

	t->keys = tl_alloc_array(n_passed + n_defaults + 8, sizeof(char *));
	t->values = tl_alloc_array(n_passed + n_defaults + 8, sizeof(char *));
	for (size_t i = 0; i < n_passed; i++) {
		const char *value = option(opts, passed[i]);

		if (value != NULL)
			add(t, passed[i], value);
	}
	for (size_t i = 0; i < n_defaults; i++)
		if (option(opts, defaults[i].key) == NULL)
			add(t, defaults[i].key, defaults[i].value);
	if (application_name == NULL)
		application_name = option(opts, "application_name");
	if (application_name != NULL)
		add(t, "application_name", application_name);
	add(t, "client_encoding", "UTF8");
}

/* Item i of a comma list; of a list of one, that one.  NULL: empty or none. */
static char *item(const char *list, uint32_t i, uint32_t n_items)
{
	struct tl_str rest = tl_str_c(list), piece;

	if (n_items == 1)
		i = 0;
	while (tl_str_split(&rest, ',', &piece)) {
		if (i-- == 0) {
			piece = tl_str_trim(piece);
			return piece.len == 0
				       ? NULL
				       : tl_strndup(piece.ptr, piece.len);
		}
	}
	return NULL;
}

static uint32_t count(const char *list)
{
	uint32_t n = 1;

	if (list == NULL || list[0] == '\0')
		return 0;
	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

static enum tl_status add_hosts(struct pg_target *t, const char *host,
				const char *hostaddr, const char *port,
				struct tl_err *err)
{
	uint32_t n_host = count(host), n_addr = count(hostaddr),
		 n_port = count(port);

	t->n_hosts = n_host > n_addr ? n_host : n_addr;
	if (t->n_hosts == 0)
		t->n_hosts = 1;
	if (n_host > 0 && n_addr > 1 && n_host != n_addr)
		return tl_err_set(err, TL_INVALID,
				  "%u hosts but %u host addresses", n_host,
				  n_addr);
	if (n_port > 1 && n_port != t->n_hosts)
		return tl_err_set(err, TL_INVALID, "%u ports for %u hosts",
				  n_port, t->n_hosts);
	t->hosts = tl_alloc_array(t->n_hosts, sizeof(*t->hosts));
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		t->hosts[i].host = item(host, i, n_host);
		t->hosts[i].hostaddr = item(hostaddr, i, n_addr);
		t->hosts[i].port = item(port, i, n_port);
	}
	return TL_OK;
}

static void read_timeout(struct pg_target *t, const char *text)
{
	uint64_t seconds;

	t->connect_timeout_ms = CONNECT_TIMEOUT_MS;
	if (text != NULL && tl_parse_u64(tl_str_c(text), 1, 3600, &seconds))
		t->connect_timeout_ms = (uint32_t)seconds * 1000;
}

enum tl_status pg_words(struct tl_err *err, enum tl_status st,
			const char *doing, const char *words)
{
	size_t len;

	if (words == NULL || words[0] == '\0')
		words = "no reason given";
	len = strcspn(words, "\n");
	return tl_err_set(err, st, "%s: %.*s", doing, (int)len, words);
}

/*
 * What libpq could not read it quotes: a word of the password, or all of it.
 * With a slip in its scheme a whole URI is the name of an option to libpq.
 */
static void hide_quoted(char *words)
{
	static const struct {
		const char *before;
		size_t keep;
	} quotes[] = { { ": \"", 0 }, { " after \"", 0 }, { " option \"", 7 } };

	for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++) {
		char *quoted =
			words != NULL ? strstr(words, quotes[i].before) : NULL;

		if (quoted != NULL)
			quoted[quotes[i].keep] = '\0';
	}
}

enum tl_status pg_target_init(struct pg_target *t, const struct pg_pool_opts *o,
			      struct tl_err *err)
{
	PQconninfoOption *opts;
	const char *host, *hostaddr, *attrs;
	char *words = NULL;
	enum tl_status st;

	*t = (struct pg_target){ .n_hosts = 0 };
	t->statement_timeout_ms = o->statement_timeout_ms;
	opts = PQconninfoParse(o->way.conninfo, &words);
	if (opts == NULL) {
		hide_quoted(words);
		st = pg_words(err, TL_INVALID, "connection string", words);
		PQfreemem(words);
		return st;
	}
	add_options(t, opts, o->application_name);
	read_timeout(t, option(opts, "connect_timeout"));
	attrs = option(opts, "target_session_attrs");
	if (attrs != NULL)
		t->session_attrs = tl_strdup(attrs);
	host = option(opts, "host");
	hostaddr = option(opts, "hostaddr");
	if (o->way.hostaddr != NULL)
		hostaddr = o->way.hostaddr;
	if (host == NULL && hostaddr == NULL) /* else libpq would look it up */
		host = getenv("PGHOST");
	st = add_hosts(t, host, hostaddr, option(opts, "port"), err);
	PQconninfoFree(opts);
	if (st != TL_OK)
		pg_target_deinit(t);
	return st;
}

void pg_target_deinit(struct pg_target *t)
{
	for (uint32_t i = 0; i < t->n_keys; i++)
		tl_free(t->values[i]);
	tl_free(t->keys);
	tl_free(t->values);
	for (uint32_t i = 0; t->hosts != NULL && i < t->n_hosts; i++) {
		tl_free(t->hosts[i].host);
		tl_free(t->hosts[i].hostaddr);
		tl_free(t->hosts[i].port);
	}
	tl_free(t->hosts);
	tl_free(t->session_attrs);
	*t = (struct pg_target){ .n_hosts = 0 };
}

enum tl_status pg_conninfo_check(const char *conninfo, const char *hostaddr,
				 struct tl_err *err)
{
	struct pg_pool_opts o = { .way = { .conninfo = conninfo,
					   .hostaddr = hostaddr } };
	struct pg_target t;
	enum tl_status st = pg_target_init(&t, &o, err);

	if (st == TL_OK)
		pg_target_deinit(&t);
	return st;
}
