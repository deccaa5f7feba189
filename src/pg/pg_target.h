/*
 * pg_target.h - where a connection string points, and one way to get there.
 *
 * libpq resolves names inside PQconnectStart (ten seconds of stalled loop with
 * a silent name server) and never gives up on a host that accepts and says
 * nothing.  So the hosts of the string are tried one by one from here: looked
 * up by co_resolve, started with host and hostaddr, each under its own timer.
 * Runs in: worker, flusher.  Suspends: pg_connect, pg_ask.
 */
#ifndef TALLY_PG_PG_TARGET_H
#define TALLY_PG_PG_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "base/status.h"

struct pg_pool_opts;

struct pg_host {
	char *host; /* NULL: libpq's default; a path is a socket directory */
	char *hostaddr; /* NULL: to be looked up, if it is a name */
	char *port;     /* NULL: default */
};
struct pg_target {
	const char **keys; /* without what is in hosts; NULL at the end */
	char **values;
	uint32_t n_keys;
	struct pg_host *hosts;
	uint32_t n_hosts;
	char *session_attrs; /* target_session_attrs, NULL: any */
	uint32_t connect_timeout_ms;
	uint32_t statement_timeout_ms;
};

/* What a new connection turned out to be. */
struct pg_session {
	int backend_pid;   /* 0: a pooler's number, which is no backend's */
	bool sees_hang_up; /* the server looks whether we are still there */
};

enum tl_status pg_target_init(struct pg_target *t, const struct pg_pool_opts *o,
			      struct tl_err *err) TL_MUST_CHECK;
void pg_target_deinit(struct pg_target *t);

/*
 * First host that answers; non-blocking.  Its session has our settings, unless
 * a pooler stands between: its sessions are everybody's, and keep nothing.
 */
enum tl_status pg_connect(const struct pg_target *t, PGconn **pq_r,
			  struct pg_session *session_r,
			  struct tl_err *err) TL_MUST_CHECK;
/* Those settings for one transaction, through a pooler; the caller's. */
char *pg_transaction_settings(const struct pg_target *t,
			      const struct pg_session *session);
/* As pg_connect, the direct way; TL_DENIED: there is none, with the cure. */
enum tl_status pg_connect_direct(const struct pg_target *t, PGconn **pq_r,
				 struct tl_err *err) TL_MUST_CHECK;
/* One statement on a connection that nobody else uses (not pipelined). */
enum tl_status pg_ask(PGconn *pq, const char *sql, uint64_t due_mono_ms,
		      PGresult **res_r, struct tl_err *err) TL_MUST_CHECK;
/* First line of libpq's words, without the line's end. */
enum tl_status pg_words(struct tl_err *err, enum tl_status st,
			const char *doing, const char *words);

#endif
