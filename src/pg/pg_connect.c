/*
 * pg_connect.c - from a target to a connection, without stopping the loop.
 */
#include <stdio.h>
#include <string.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/co.h"
#include "pg/pg_direct.h"
#include "pg/pg_target.h"

#define ADDRS_PER_HOST_MAX 8
/* Nothing but queries suspends inside a transaction, so idle means stuck. */
#define IDLE_IN_TRANSACTION_MS 10000

/* libpq's own would write to stderr, which stops the loop on a full pipe. */
static void on_notice(void *arg, const char *words)
{
	(void)arg;
	log_debug("postgresql: %.*s", (int)strcspn(words, "\n"), words);
}

static enum tl_status wait_socket(PGconn *pq, short events,
				  uint64_t due_mono_ms, struct tl_err *err)
{
	bool ready = false;
	enum tl_status st;

	/* The socket may be another one at each step. */
	st = co_wait_fd_until(PQsocket(pq), events, due_mono_ms, &ready, err);
	if (st == TL_OK && !ready)
		st = tl_err_set(err, TL_UNAVAILABLE,
				"server does not answer in time");
	return st;
}

static enum tl_status poll_until_open(PGconn *pq, uint64_t due_mono_ms,
				      struct tl_err *err)
{
	PostgresPollingStatusType step = PGRES_POLLING_WRITING;

	while (step != PGRES_POLLING_OK) {
		short events =
			step == PGRES_POLLING_READING ? EV_READ : EV_WRITE;
		enum tl_status st;

		if (step == PGRES_POLLING_FAILED ||
		    PQstatus(pq) == CONNECTION_BAD)
			return pg_words(err, TL_UNAVAILABLE, "connect",
					PQerrorMessage(pq));
		st = wait_socket(pq, events, due_mono_ms, err);
		if (st != TL_OK)
			return st;
		step = PQconnectPoll(pq);
	}
	return TL_OK;
}

enum tl_status pg_ask(PGconn *pq, const char *sql, uint64_t due_mono_ms,
		      PGresult **res_r, struct tl_err *err)
{
	PGresult *res, *last = NULL;
	enum tl_status st = TL_OK;
	int left;

	if (!PQsendQuery(pq, sql))
		return pg_words(err, TL_UNAVAILABLE, "send",
				PQerrorMessage(pq));
	for (;;) {
		left = PQflush(pq);
		if (left < 0 || !PQconsumeInput(pq))
			st = pg_words(err, TL_UNAVAILABLE, "ask",
				      PQerrorMessage(pq));
		else if (left > 0 || PQisBusy(pq))
			st = wait_socket(
				pq, left > 0 ? EV_READ | EV_WRITE : EV_READ,
				due_mono_ms, err);
		else if ((res = PQgetResult(pq)) != NULL) {
			PQclear(last);
			last = res;
			continue;
		} else
			break;
		if (st != TL_OK) {
			PQclear(last);
			return st;
		}
	}
	if (last == NULL)
		return tl_err_set(err, TL_UNAVAILABLE, "no answer");
	*res_r = last;
	return TL_OK;
}

#define HANG_UP_SETTING                                                        \
	"set_config('client_connection_check_interval', '2000', l)"

/*
 * As statements and not as start-up options: poolers refuse those, and one
 * that this server does not know must not cost the connection.  only_now: SQL
 * that is true where the settings must end with the transaction.
 */
static char *settings_sql(const struct pg_target *t, const char *only_now,
			  bool hang_up)
{
	return tl_asprintf(
		"SELECT pg_backend_pid(), set_config('TimeZone', 'UTC', l)"
		/* a role of the name tallyd would look into the schema of
		 * that name first */
		", set_config('search_path', 'public', l)"
		", set_config('standard_conforming_strings', 'on', l)"
		", set_config('statement_timeout', '%u', l)"
		", set_config('idle_in_transaction_session_timeout', '%d', l)"
		"%s FROM (SELECT %s) AS x(l)",
		t->statement_timeout_ms, IDLE_IN_TRANSACTION_MS,
		hang_up ? ", " HANG_UP_SETTING : "", only_now);
}

char *pg_transaction_settings(const struct pg_target *t,
			      const struct pg_session *session)
{
	return settings_sql(t, "true", session->sees_hang_up);
}

static enum tl_status make_session(PGconn *pq, const struct pg_target *t,
				   uint64_t due_mono_ms,
				   struct pg_session *session_r,
				   struct tl_err *err)
{
	char pid_text[16], only_now[40], *sql;
	PGresult *res = NULL;
	enum tl_status st;

	snprintf(pid_text, sizeof(pid_text), "%d", PQbackendPID(pq));
	snprintf(only_now, sizeof(only_now), "pg_backend_pid() <> %s",
		 pid_text);
	sql = settings_sql(t, only_now, false);
	st = pg_ask(pq, sql, due_mono_ms, &res, err);
	tl_free(sql);
	if (st != TL_OK)
		return st;
	if (PQresultStatus(res) != PGRES_TUPLES_OK) {
		st = pg_words(err, TL_UNAVAILABLE, "session settings",
			      PQresultErrorMessage(res));
		PQclear(res);
		return st;
	}
	session_r->backend_pid = strcmp(PQgetvalue(res, 0, 0), pid_text) == 0
					 ? PQbackendPID(pq)
					 : 0;
	PQclear(res);
	/* PostgreSQL 14 on Linux; elsewhere a hang-up is noticed later. */
	sql = tl_asprintf("SELECT " HANG_UP_SETTING " FROM (SELECT %s) AS x(l)",
			  only_now);
	st = pg_ask(pq, sql, due_mono_ms, &res, err);
	tl_free(sql);
	if (st != TL_OK)
		return st;
	session_r->sees_hang_up = PQresultStatus(res) == PGRES_TUPLES_OK;
	PQclear(res);
	return TL_OK;
}

static PGconn *start(const struct pg_target *t, const struct pg_host *h,
		     const char *hostaddr, const char *attrs)
{
	const char **keys = tl_alloc_array(t->n_keys + 5, sizeof(*keys));
	const char **values = tl_alloc_array(t->n_keys + 5, sizeof(*values));
	const struct {
		const char *key, *value;
	} more[] = { { "host", h->host },
		     { "hostaddr", hostaddr },
		     { "port", h->port },
		     { "target_session_attrs", attrs } };
	uint32_t n = t->n_keys;
	PGconn *pq;

	for (uint32_t i = 0; i < n; i++) {
		keys[i] = t->keys[i];
		values[i] = t->values[i];
	}
	for (uint32_t i = 0; i < 4; i++) {
		if (more[i].value == NULL)
			continue;
		keys[n] = more[i].key;
		values[n++] = more[i].value;
	}
	pq = PQconnectStartParams(keys, values, 0);
	tl_assert(pq != NULL); /* out of memory */
	tl_free(keys);
	tl_free(values);
	return pq;
}

static enum tl_status try_addr(const struct pg_target *t,
			       const struct pg_host *h, const char *hostaddr,
			       const char *attrs, PGconn **pq_r,
			       struct pg_session *session_r, struct tl_err *err)
{
	uint64_t due = tl_mono_ms() + t->connect_timeout_ms;
	PGconn *pq = start(t, h, hostaddr, attrs);
	enum tl_status st;

	PQsetNoticeProcessor(pq, on_notice, NULL);
	st = poll_until_open(pq, due, err);
	if (st == TL_OK && PQsetnonblocking(pq, 1) != 0)
		st = pg_words(err, TL_UNAVAILABLE, "connect",
			      PQerrorMessage(pq));
	if (st == TL_OK)
		st = make_session(pq, t, due, session_r, err);
	if (st != TL_OK) {
		PQfinish(pq);
		return st;
	}
	*pq_r = pq;
	return TL_OK;
}

static enum tl_status try_host(const struct pg_target *t,
			       const struct pg_host *h, const char *attrs,
			       PGconn **pq_r, struct pg_session *session_r,
			       struct tl_err *err)
{
	struct co_addr addrs[ADDRS_PER_HOST_MAX];
	uint32_t n = ADDRS_PER_HOST_MAX;
	enum tl_status st;

	if (h->hostaddr != NULL || h->host == NULL || h->host[0] == '/' ||
	    h->host[0] == '@')
		return try_addr(t, h, h->hostaddr, attrs, pq_r, session_r, err);
	st = co_resolve(h->host, addrs, &n, err);
	for (uint32_t i = 0; st == TL_OK && i < n; i++) {
		st = try_addr(t, h, addrs[i].text, attrs, pq_r, session_r, err);
		if (st == TL_OK || st == TL_CANCELED || st == TL_DEADLINE)
			return st;
		if (i + 1 < n)
			st = TL_OK; /* the next address of the same name */
	}
	return st;
}

static enum tl_status try_hosts(const struct pg_target *t, const char *attrs,
				PGconn **pq_r, struct pg_session *session_r,
				struct tl_err *err)
{
	enum tl_status st = TL_UNAVAILABLE;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		st = try_host(t, &t->hosts[i], attrs, pq_r, session_r, err);
		if (st == TL_OK || st == TL_CANCELED || st == TL_DEADLINE)
			break;
	}
	return st;
}

enum tl_status pg_connect(const struct pg_target *t, PGconn **pq_r,
			  struct pg_session *session_r, struct tl_err *err)
{
	const char *attrs = t->session_attrs;
	enum tl_status st;

	/* libpq means: over all hosts first standbys, then anything. */
	if (attrs != NULL && strcmp(attrs, "prefer-standby") == 0) {
		st = try_hosts(t, "standby", pq_r, session_r, err);
		if (st == TL_OK || st == TL_CANCELED || st == TL_DEADLINE)
			return st;
		attrs = NULL;
	}
	return try_hosts(t, attrs, pq_r, session_r, err);
}

enum tl_status pg_connect_direct(const struct pg_target *t, PGconn **pq_r,
				 struct tl_err *err)
{
	struct pg_session session;
	PGconn *pq = NULL;
	enum tl_status st = pg_connect(t, &pq, &session, err);

	if (st != TL_OK)
		return st;
	if (session.backend_pid == 0) {
		PQfinish(pq);
		return pg_direct_refuse(err);
	}
	*pq_r = pq;
	return TL_OK;
}
