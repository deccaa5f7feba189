/*
 * setting.c - the table of settings.
 *
 * tallyd.conf(5) and etc/tallyd.conf are compared with it by a test, so a
 * new row wants a few lines there.  Not reloadable is what is fixed when the
 * segment, the sockets or the embedded database are made, what happens only
 * at the start, and what all processes must agree on at any moment: during a
 * reload workers of both configurations serve side by side.
 */
#include "conf/setting.h"

#include "conf/conf.h"

static const char *const level_words[] = { "error", "warn", "info", "debug",
					   NULL };
static const char *const durability_words[] = { "interval", "strict", NULL };
static const char *const meter_scope_words[] = { "billable", "all", NULL };
static const char *const accepts_words[] = { "database", "disk", NULL };
static const char *const parent_words[] = { "any", "trusted", "none", NULL };
static const char *const access_words[] = { "json", "combined", NULL };
static const char *const audit_words[] = { "all", "failures", NULL };
static const char *const prepared_words[] = { "auto", "always", "never", NULL };
static const char *const outage_words[] = { "refuse", "open", NULL };

static const char *const tls_words[] = { "1.2", "1.3", NULL };
static const char *const client_words[] = { "off", "optional", "required",
					    NULL };

#define RELOAD  true
#define RESTART false

#define ROW(sec, k, t, d, reload, text, ...)                                   \
	{                                                                      \
		.section = #sec, .key = #k, .name = #sec "." #k, .type = (t),  \
		.def = (d), .reloadable = (reload), .doc = (text), __VA_ARGS__ \
	}
#define AT(member) .offset = offsetof(struct conf, member)
#define BOOL(sec, k, d, reload, text)                                          \
	ROW(sec, k, SETTING_BOOL, d, reload, text, AT(sec.k),                  \
	    .range = "yes or no")
#define U32(sec, k, d, lo, hi, reload, text)                                   \
	ROW(sec, k, SETTING_U32, #d, reload, text, AT(sec.k), .min = (lo),     \
	    .max = (hi), .range = #lo " to " #hi)
#define WORDS(sec, k, d, list, choice, reload, text)                           \
	ROW(sec, k, SETTING_ENUM, d, reload, text, AT(sec.k), .words = (list), \
	    .range = (choice))
#define STRING(sec, k, d, checker, form, reload, text)                         \
	ROW(sec, k, SETTING_STRING, d, reload, text, AT(sec.k),                \
	    .check = (checker), .range = (form))
#define STRINGS(sec, k, d, checker, form, reload, text, lower)                 \
	ROW(sec, k, SETTING_STRINGS, d, reload, text, AT(sec.k),               \
	    .check = (checker), .range = (form), .lower_case = (lower))
#define CIDRS(sec, k, d, reload, text)                                         \
	ROW(sec, k, SETTING_CIDRS, d, reload, text, AT(sec.k),                 \
	    .range = "addresses and networks")

/* clang-format off */
const struct setting SETTINGS[] = {
	STRINGS(server, listen, "127.0.0.1:3001", setting_check_listen,
		"ADDR:PORT, [ADDR]:PORT, tls: and one of these, or unix:/path",
		RESTART,
		"where HTTP is served; several are separated by commas",
		false),
	ROW(server, workers, SETTING_CPUS, "auto", RELOAD,
		"processes that serve HTTP; auto is one per CPU online",
		AT(server.workers), .min = 1, .max = 64,
		.range = "1 to 64, or auto"),
	CIDRS(server, trusted_proxies, "", RELOAD,
		"whose X-Forwarded-For and X-Real-IP are believed"),
	STRING(server, state_dir, TALLY_LOCALSTATEDIR "/lib/tallyd",
		setting_check_state_dir, "absolute path", RESTART,
		"spool, embedded database, control socket"),
	STRING(server, instance, "", setting_check_instance,
		"1 to 32 of A-Z a-z 0-9 _ -", RESTART,
		"names the segment; empty derives it from server.state_dir"),
	STRING(server, user, "tallyd", setting_check_user,
		"name of an account", RESTART,
		"who tallyd runs as when root starts it"),
	STRING(server, group, "", setting_check_group,
		"name of a group, or empty", RESTART,
		"the group beside; when set, it may use tallyctl"),
	BOOL(server, reuseport, "no", RESTART,
		"one listening socket per worker instead of a shared one"),
	U32(server, stop_timeout_ms, 5000, 100, 600000, RELOAD,
		"longest a fast stop waits for requests in hand"),
	U32(server, drain_timeout_ms, 30000, 100, 3600000, RELOAD,
		"longest a graceful stop or a reload waits for connections"),
	STRINGS(server, allowed_origins, "http://localhost:3000",
		setting_check_origin, "origins such as https://app.example.com",
		RELOAD, "web origins that browsers may call from (CORS)",
		false),
	U32(server, request_timeout_ms, 15000, 100, 600000, RELOAD,
		"first byte of a request to its answer"),
	U32(server, idle_timeout_ms, 60000, 100, 3600000, RELOAD,
		"how long a kept-alive connection may be silent"),
	U32(server, max_connections, 4096, 1, 1000000, RELOAD,
		"connections one worker holds"),
	U32(server, max_connections_per_address, 1024, 1, 1000000, RELOAD,
		"connections one worker holds from one address"),
	STRING(server, pid_file, "", setting_check_path,
		"absolute path, or empty for none", RESTART,
		"where the master writes its process id"),

	WORDS(log, level, "info", level_words, "error, warn, info or debug",
		RELOAD, "the least important lines that are written"),
	STRING(log, file, "", setting_check_path,
		"absolute path, or empty for stderr", RESTART,
		"where log lines go"),
	STRING(log, target, "", setting_check_log_target,
		"stderr, file:/path, syslog, syslog:FACILITY or journald",
		RESTART, "where log lines go; empty is log.file"),
	STRING(log, socket, "", setting_check_path,
		"absolute path, or empty for the usual one", RESTART,
		"socket of syslog or journald"),
	BOOL(log, access, "yes", RELOAD, "a line per request"),
	WORDS(log, access_format, "json", access_words, "json or combined",
		RELOAD, "form of these lines"),

	STRINGS(tls, certificates, "", setting_check_pair,
		"pairs of absolute paths: CERTIFICATE KEY", RELOAD,
		"what tls: listeners show; the first pair where no name fits",
		false),
	WORDS(tls, min_version, "1.2", tls_words, "1.2 or 1.3", RELOAD,
		"the oldest version of TLS that is spoken"),
	ROW(tls, ciphers, SETTING_STRING, "ECDHE+AESGCM:ECDHE+CHACHA20",
		RELOAD, "ciphers of TLS 1.2, best first", AT(tls.ciphers),
		.range = "cipher list of OpenSSL"),
	ROW(tls, ciphersuites, SETTING_STRING,
		"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
		"TLS_CHACHA20_POLY1305_SHA256",
		RELOAD, "cipher suites of TLS 1.3, best first",
		AT(tls.ciphersuites), .range = "names, with colons between"),
	WORDS(tls, client_certificates, "off", client_words,
		"off, optional or required", RELOAD,
		"whether clients show a certificate of tls.client_ca"),
	STRING(tls, client_ca, "", setting_check_path,
		"absolute path, or empty for none", RELOAD,
		"who has signed the certificates of clients, as PEM"),
	U32(tls, hsts_max_age_s, 0, 0, 63072000, RELOAD,
		"how long browsers insist on TLS; 0 does not tell them"),
	U32(tls, handshake_timeout_ms, 10000, 100, 600000, RELOAD,
		"longest from a connection to the end of its handshake"),

	CIDRS(gate, verify_allow, "127.0.0.0/8, ::1", RELOAD,
		"who may ask /api/verify without a key of scope tally.verify"),

	CIDRS(metrics, allow, "127.0.0.0/8, ::1", RELOAD,
		"who may read /metrics"),

	U32(events, max_streams, 1024, 0, 1000000, RELOAD,
		"streams of /api/events that one worker holds; 0 is none"),
	U32(events, max_per_key, 10, 1, 1000000, RELOAD,
		"streams that one worker holds for one key"),
	U32(events, heartbeat_s, 15, 1, 3600, RELOAD,
		"a stream is never silent for longer"),

	U32(shm, max_keys, 100000, 16, 16000000, RESTART,
		"keys the segment holds"),
	U32(shm, max_users, 0, 0, 16000000, RESTART,
		"users the segment holds; 0 is as many as keys"),
	U32(shm, max_addresses, 65536, 64, 16000000, RESTART,
		"client addresses that are counted at a time"),
	U32(shm, max_windows, 65536, 64, 16000000, RESTART,
		"windows of named limits"),
	U32(shm, decision_ring, 65536, 64, 4194304, RESTART,
		"decisions kept for tallyctl explain; a power of two"),
	U32(shm, idempotency, 65536, 64, 4194304, RESTART,
		"answers kept for Idempotency-Key"),
	U32(shm, request_log, 65536, 0, 16777216, RESTART,
		"rows of the request log that wait for the database; 0 keeps "
		"none"),
	U32(shm, idle_evict_s, 3600, 1, 2592000, RESTART,
		"entries idle for so long may be reused"),

	ROW(database, url, SETTING_STRING, "", RESTART,
		"the PostgreSQL to use; empty runs a private one",
		AT(database.url),
		.range = "libpq connection string or URI"),
	STRING(database, hostaddr, "", setting_check_hostaddr,
		"addresses, one per host of database.url", RESTART,
		"spares looking the host names up"),
	ROW(database, direct_url, SETTING_STRING, "", RESTART,
		"the same database past the pooler that database.url names",
		AT(database.direct_url),
		.range = "libpq connection string or URI"),
	WORDS(database, prepared, "auto", prepared_words,
		"auto, always or never", RELOAD,
		"statements prepared by name; auto: not through a pooler"),
	BOOL(database, auto_migrate, "yes", RESTART,
		"apply migrations at the start"),
	BOOL(database, seed_demo, "no", RESTART,
		"insert demo users, keys and usage at the start"),
	U32(database, pool_size, 4, 1, 64, RELOAD,
		"connections a worker may open"),
	STRING(database, embedded_user, "postgres", setting_check_user,
		"name of an unprivileged account", RESTART,
		"who runs the private PostgreSQL when tallyd is root"),

	BOOL(limits, enabled, "yes", RELOAD, "rate limits as a whole"),
	BOOL(limits, from_plan, "no", RELOAD,
		"features.rate_limit of the plan replaces limits.key_count"),
	U32(limits, key_count, 100, 1, 2147483647, RELOAD,
		"requests a key may make per window"),
	U32(limits, address_count, 20, 1, 2147483647, RELOAD,
		"requests an address may make per window without a key"),
	U32(limits, window_ms, 60000, 1000, 86400000, RESTART,
		"length of the window of both"),

	BOOL(quota, enabled, "yes", RELOAD, "daily credits as a whole"),

	BOOL(metering, enabled, "yes", RELOAD, "recording of usage"),
	U32(metering, request_cost_credits, 1, 1, 1000000, RELOAD,
		"credits of a request that states no cost"),
	WORDS(metering, meter_scope, "billable", meter_scope_words,
		"billable or all", RELOAD,
		"whether the routes for people cost credits too"),
	U32(metering, flush_interval_ms, 1000, 10, 60000, RELOAD,
		"how often usage is written to the database"),
	U32(metering, flush_interval_max_ms, 15000, 10, 600000, RELOAD,
		"how far that may stretch when the database is slow"),
	WORDS(metering, durability, "interval", durability_words,
		"interval or strict", RESTART,
		"strict answers a charge after it is stored"),
	WORDS(metering, strict_accepts, "database", accepts_words,
		"database or disk", RESTART,
		"what counts as stored for durability = strict"),
	WORDS(metering, outage_policy, "refuse", outage_words,
		"refuse or open", RELOAD,
		"what happens to charges that cannot be stored anywhere"),
	U32(metering, spool_max_mib, 1024, 1, 1048576, RELOAD,
		"size of the spool under server.state_dir"),
	U32(metering, request_log_retention_days, 90, 1, 36500, RELOAD,
		"how long rows of request_logs are kept"),
	U32(metering, strict_timeout_ms, 5000, 10, 60000, RELOAD,
		"longest an answer waits for durability = strict"),

	U32(runner, count, 2, 0, 16, RELOAD,
		"processes that run tasks; 0 leaves them to other hosts"),
	U32(runner, tasks, 250, 1, 4000, RELOAD,
		"tasks one runner has in hand at a time"),
	WORDS(runner, audit, "all", audit_words, "all or failures", RELOAD,
		"attempts of which a row is kept"),
	U32(runner, attempts_retention_days, 90, 0, 36500, RELOAD,
		"how long rows of attempts are kept; 0 is for ever"),
	U32(runner, dead_retention_days, 30, 0, 36500, RELOAD,
		"how long tasks that ended without success are kept; 0 is for "
		"ever"),
	U32(runner, events_retention_days, 30, 0, 36500, RELOAD,
		"how long events are kept; 0 is for ever"),
	BOOL(runner, selftest, "no", RELOAD,
		"run the tasks tallyd.selftest.*, for tests of the daemon"),

	STRING(keys, prefix, "codexible", setting_check_brand,
		"1 to 32 of A-Z a-z 0-9 . -", RELOAD,
		"brand in front of new keys, without the underscore"),
	U32(keys, max_per_user, 20, 1, 10000, RELOAD,
		"active keys a user may have"),
	U32(keys, refresh_seconds, 5, 1, 3600, RELOAD,
		"how soon changes made in SQL are seen"),

	STRINGS(admin, emails, "", setting_check_email, "e-mail addresses",
		RELOAD, "users with the role admin", true),
	U32(admin, audit_retention_days, 400, 0, 36500, RELOAD,
		"how long the audit log is kept; 0 is for ever"),

	STRING(cron, token, "", setting_check_token,
		"32 to 200 printable characters without blanks, or empty",
		RELOAD, "secret that opens /cron/...; empty closes it"),

	CIDRS(egress, private_allow, "", RELOAD,
		"networks that are not public and may be called all the same"),
	BOOL(egress, allow_http, "no", RELOAD,
		"outgoing calls without TLS, to port 80"),
	STRINGS(egress, allowed_ports, "", setting_check_port,
		"ports from 1 to 65535", RELOAD,
		"ports that may be called besides 443", false),
	STRINGS(egress, nameservers, "", setting_check_nameserver,
		"ADDR, ADDR:PORT or [ADDR]:PORT", RELOAD,
		"who is asked for host names of calls; empty: resolv.conf",
		false),
	STRING(egress, ca_file, "", setting_check_path,
		"absolute path, or empty for none", RELOAD,
		"certificates trusted in addition to the system's, as PEM"),
	U32(egress, max_calls, 256, 1, 4096, RELOAD,
		"outgoing calls one process has under way"),
	U32(egress, max_waiting, 1024, 0, 65536, RELOAD,
		"calls that wait for their turn in one process"),

	STRING(tracing, endpoint, "", setting_check_url,
		"URL of http or https, or empty for none", RELOAD,
		"where spans are sent, as JSON of OTLP over HTTP"),
	STRING(tracing, sample_ratio, "0.1", setting_check_ratio,
		"0 to 1, up to 6 decimals", RELOAD,
		"share of the traces that begin here which are recorded"),
	WORDS(tracing, parents, "any", parent_words, "any, trusted or none",
		RELOAD, "whose traceparent is followed"),
	STRING(tracing, service_name, "tallyd", setting_check_word,
		"1 to 100 printable characters", RELOAD,
		"service.name of the spans"),
	STRINGS(tracing, headers, "", setting_check_header, "name=value",
		RELOAD, "headers of the calls that send spans; secret", false),
	U32(tracing, queue_spans, 4096, 16, 1000000, RELOAD,
		"spans one process keeps until they are sent"),
	U32(tracing, batch_spans, 512, 1, 10000, RELOAD,
		"spans of one call"),
	U32(tracing, interval_ms, 5000, 50, 600000, RELOAD,
		"how long a span waits for others"),
	U32(tracing, timeout_ms, 10000, 100, 60000, RELOAD,
		"longest a call that sends spans takes"),

	ROW(cost, prompt_per_1k, SETTING_USD, "0.03", RELOAD,
		"USD per 1000 prompt tokens",
		AT(cost.def.prompt_nano_per_1k),
		.range = "0 to 1000, up to 9 decimals"),
	ROW(cost, completion_per_1k, SETTING_USD, "0.06", RELOAD,
		"USD per 1000 completion tokens",
		AT(cost.def.completion_nano_per_1k),
		.range = "0 to 1000, up to 9 decimals"),
	{ .section = NULL },
};
/* clang-format on */

_Static_assert(sizeof(SETTINGS) / sizeof(SETTINGS[0]) <= SETTINGS_MAX,
	       "raise SETTINGS_MAX");
/* setting_value.c reads and writes every enum as an int. */
_Static_assert(sizeof(enum log_level) == sizeof(int), "enum is no int");
_Static_assert(sizeof(enum conf_durability) == sizeof(int), "enum is no int");

const struct setting *setting_find(struct tl_str section, struct tl_str key)
{
	for (const struct setting *s = SETTINGS; s->section != NULL; s++)
		if (tl_str_eq(section, tl_str_c(s->section)) &&
		    tl_str_eq(key, tl_str_c(s->key)))
			return s;
	return NULL;
}

bool setting_section_known(struct tl_str section)
{
	for (const struct setting *s = SETTINGS; s->section != NULL; s++)
		if (tl_str_eq(section, tl_str_c(s->section)))
			return true;
	return false;
}

const struct conf_doc *conf_doc(size_t i)
{
	static _Thread_local struct conf_doc doc;
	const struct setting *s;

	if (i + 1 >= sizeof(SETTINGS) / sizeof(SETTINGS[0]))
		return NULL;
	s = &SETTINGS[i];
	doc = (struct conf_doc){ s->name, s->def, s->range, s->reloadable,
				 s->doc };
	return &doc;
}

void conf_value(const struct conf *conf, size_t i, struct tl_buf *out)
{
	setting_format(&SETTINGS[i], conf, out);
}

struct conf_origin conf_origin(const struct conf *conf, size_t i)
{
	return conf->origins[i];
}

bool conf_is_set(const struct conf *conf, const char *name)
{
	for (size_t i = 0; SETTINGS[i].section != NULL; i++)
		if (strcmp(SETTINGS[i].name, name) == 0)
			return conf->origins[i].from != CONF_FROM_DEFAULT;
	tl_assert(!"a setting is asked for that there is not");
	return false;
}
