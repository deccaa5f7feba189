/*
 * conf.h - the settings: one table, one file, one struct passed along.
 *
 * Sources, later ones win: built-in default, file, environment
 * (TALLYD_<SECTION>_<KEY>), -o section.key=value.  A struct conf is made
 * whole and then never changed; a reload makes another one.
 * Sizes, ranges and whether a key can change at a reload stand in the table
 * of conf.c, which tallyd.conf(5) is compared with by a test.
 * Runs in: all processes.  Suspends: no.  Blocks: on reading the file.
 */
#ifndef TALLY_CONF_CONF_H
#define TALLY_CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "base/status.h"
#include "base/str.h"
#include "tally/addr.h"
#include "tally/cost.h"

enum conf_durability { CONF_INTERVAL, CONF_STRICT };
enum conf_meter_scope { CONF_BILLABLE, CONF_ALL };
enum conf_strict_accepts { CONF_DATABASE, CONF_DISK };
enum conf_outage_policy { CONF_REFUSE, CONF_OPEN };
enum conf_prepared {
	CONF_PREPARED_AUTO,
	CONF_PREPARED_ALWAYS,
	CONF_PREPARED_NEVER
};
#define CONF_TRACING_HEADERS_MAX 30
enum conf_parents { CONF_PARENTS_ANY, CONF_PARENTS_TRUSTED, CONF_PARENTS_NONE };
enum conf_access_format { CONF_ACCESS_JSON, CONF_ACCESS_COMBINED };
enum conf_task_audit { CONF_AUDIT_ALL, CONF_AUDIT_FAILURES };

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_client_certificates {
	CONF_CLIENT_OFF,
	CONF_CLIENT_OPTIONAL,
	CONF_CLIENT_REQUIRED
};

struct conf_strings {
	char **items;
	size_t n;
};

enum conf_from {
	CONF_FROM_DEFAULT,
	CONF_FROM_FILE,
	CONF_FROM_ENVIRONMENT,
	CONF_FROM_OPTION, /* -o */
};
struct conf_origin { /* of a setting */
	enum conf_from from;
	unsigned line; /* of the file; 0: not from it */
};

struct conf {
	struct conf_origin *origins; /* see conf_origin() */
	char *file; /* absolute path it came from, NULL without file */
	struct {
		struct conf_strings listen; /* "127.0.0.1:3001" "unix:/p" "tls:*:443" */
		uint32_t workers;	    /* default: CPUs online */
		struct tally_cidr_list trusted_proxies;
		char *instance; /* names the segment; default from state_dir */
		char *state_dir; /* absolute */
		char *user;	 /* who root becomes; "tallyd" */
		char *group;	 /* empty: the user's */
		bool reuseport;
		uint32_t stop_timeout_ms;  /* longest TERM; 5000 */
		uint32_t drain_timeout_ms; /* longest QUIT, reload; 30000 */
		struct conf_strings allowed_origins; /* CORS */
		uint32_t request_timeout_ms; /* first byte to answer; 15000 */
		uint32_t idle_timeout_ms;    /* keep-alive; 60000 */
		uint32_t max_connections;    /* per worker; 4096 */
		uint32_t max_connections_per_address; /* per worker; 1024 */
		char *pid_file; /* empty: none */
	} server;
	struct {
		enum log_level level;
		char *file;   /* empty: target says */
		char *target; /* empty: file, or stderr; see conf_log_open */
		char *socket; /* of syslog or journald; empty: the usual */
		bool access;  /* a line per request; default yes */
		enum conf_access_format access_format;
	} log;
	struct {
		struct conf_strings certificates; /* "CERT KEY", or one file */
		enum conf_tls_version min_version;
		char *ciphers;	    /* of TLS 1.2 */
		char *ciphersuites; /* of TLS 1.3 */
		enum conf_client_certificates client_certificates;
		char *client_ca; /* empty: none */
		uint32_t hsts_max_age_s;       /* 0: no such header */
		uint32_t handshake_timeout_ms; /* 10000 */
	} tls;
	struct {
		struct tally_cidr_list verify_allow;
	} gate;
	struct {
		struct tally_cidr_list allow; /* who may read /metrics */
	} metrics;
	struct {
		uint32_t max_streams; /* per worker; 1024 */
		uint32_t max_per_key; /* per worker; 10 */
		uint32_t heartbeat_s; /* 15 */
	} events;
	struct {
		uint32_t max_keys;	/* 100000 */
		uint32_t max_users;	/* default 0: as many as keys */
		uint32_t max_addresses; /* 65536 */
		uint32_t max_windows; /* windows of named limits; 65536 */
		uint32_t decision_ring; /* 65536, power of two */
		uint32_t idempotency;	/* records; 65536 */
		uint32_t request_log;	/* slots; 65536, power of two */
		uint32_t idle_evict_s;	/* 3600 */
	} shm;
	struct {
		char *url;	/* empty: embedded */
		char *hostaddr; /* empty: resolve by evdns */
		char *direct_url; /* past a pooler; empty: url is direct */
		enum conf_prepared prepared;
		bool auto_migrate, seed_demo;
		uint32_t pool_size;  /* connections per worker; 4 */
		char *embedded_user; /* who runs it when we are root */
	} database;
	struct {
		bool enabled, from_plan;
		uint32_t key_count, address_count, window_ms;
	} limits;
	struct {
		bool enabled;
	} quota;
	struct {
		bool enabled;
		uint32_t request_cost_credits; /* 1..1000000 */
		enum conf_meter_scope meter_scope;
		uint32_t flush_interval_ms, flush_interval_max_ms;
		enum conf_durability durability;
		enum conf_strict_accepts strict_accepts;
		enum conf_outage_policy outage_policy;
		uint32_t spool_max_mib;
		uint32_t request_log_retention_days; /* 90 */
		uint32_t strict_timeout_ms; /* longest wait; 5000 */
	} metering;
	struct {
		uint32_t count; /* processes; 2 */
		uint32_t tasks; /* coroutines per runner; 250 */
		enum conf_task_audit audit;
		uint32_t attempts_retention_days; /* 90; 0: for ever */
		uint32_t dead_retention_days;     /* 30; the same */
		uint32_t events_retention_days;   /* 30; the same */
		bool selftest;
	} runner;
	struct {
		char *prefix; /* without the underscore; "codexible" */
		uint32_t max_per_user, refresh_seconds;
	} keys;
	struct {
		struct conf_strings emails; /* lower-cased */
		uint32_t audit_retention_days; /* 400; 0: for ever */
	} admin;
	struct {
		char *token; /* empty: POST /cron/run is closed */
	} cron;
	struct {
		struct tally_cidr_list private_allow;
		bool allow_http;
		struct conf_strings allowed_ports; /* besides 443, 80 */
		struct conf_strings nameservers; /* none: resolv.conf */
		char *ca_file;			 /* empty: the system's only */
		uint32_t max_calls;		 /* per process; 256 */
		uint32_t max_waiting;		 /* per process; 1024 */
	} egress;
	struct {
		char *endpoint;     /* whole URL; empty: nothing is exported */
		char *sample_ratio; /* see conf_ratio_ppm */
		enum conf_parents parents;
		char *service_name;
		struct conf_strings headers; /* "Name: value"; secret */
		uint32_t queue_spans;	     /* per process; 4096 */
		uint32_t batch_spans;	     /* in one call; 512 */
		uint32_t interval_ms;	     /* 5000 */
		uint32_t timeout_ms;	     /* of a call; 10000 */
	} tracing;
	struct tally_cost_table cost; /* [cost], [cost.models] */
};

struct conf_source {
	const char *file;	   /* NULL: no file, defaults only */
	const char *const *overrides; /* "section.key=value"; may be NULL */
	size_t n_overrides;
	const char *const *env; /* an environ; NULL: do not look */
};

/*
 * Reads, checks and fills all of *conf_r, or says where and what to do:
 * "tallyd.conf:14: server.workers: 'many' is not a number; give 1 to 64".
 */
enum tl_status conf_load(const struct conf_source *src, struct conf **conf_r,
			 struct tl_err *err) TL_MUST_CHECK;
void conf_free(struct conf **conf);
/* An item of server.listen without "tls:", which says what is spoken there. */
static inline const char *conf_socket_address(const char *address)
{
	return strncmp(address, "tls:", 4) == 0 ? address + 4 : address;
}
/* TL_INVALID names the first key that differs and needs a restart. */
enum tl_status conf_check_reload(const struct conf *old, const struct conf *new_,
				 struct tl_err *err) TL_MUST_CHECK;
/* Every effective setting as a configuration file; origins: with comments
 * that say where those come from which are not defaults. */
void conf_dump(const struct conf *conf, bool origins, FILE *out);
/* For documentation tests: i from 0 until NULL; good until the next call. */
struct conf_doc {
	const char *name; /* "server.listen" */
	const char *def;  /* as written in the file */
	const char *range; /* words: "1 to 64", "yes or no" */
	bool reloadable;
	const char *doc; /* one line */
};
const struct conf_doc *conf_doc(size_t i);
/* Adds the value of setting i as the file would have it. */
void conf_value(const struct conf *conf, size_t i, struct tl_buf *out);
/* The same of model i of [cost.models]; NULL: there are no more. */
const char *conf_model(const struct conf *conf, uint32_t i, struct tl_buf *out);
struct conf_origin conf_origin(const struct conf *conf, size_t i);
/* Opens the log where the settings say; on failure it stays where it was. */
enum tl_status conf_log_open(const struct conf *conf,
			     struct tl_err *err) TL_MUST_CHECK;
/* Of a text that setting_check_ratio let pass: in millionths. */
uint32_t conf_ratio_ppm(const char *text);
bool conf_log_is_stderr(const struct conf *conf);
/* name: "server.user".  Given by somebody, be it with the default's value. */
bool conf_is_set(const struct conf *conf, const char *name);

#endif
