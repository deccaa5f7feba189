/*
 * pg.h - PostgreSQL on the event loop: pool, statements, transactions.
 *
 * Knows no table names.  Feature code never calls this: it calls the
 * functions that are generated into src/store/ from db/queries/.
 * Runs in: worker, flusher.  Suspends: where said, asserted.
 */
#ifndef TALLY_PG_PG_H
#define TALLY_PG_PG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

struct pg_pool;
struct pg; /* where a query goes: a pool, or a transaction's connection */

/*
 * A pooler (pgbouncer and the like) may give each transaction another session.
 * It is known by a backend number that is not the one of the hand-shake; then
 * statements go unnamed, settings of the session go with each transaction, and
 * what needs a session of its own goes the direct way.
 */
enum pg_prepared {
	PG_PREPARED_AUTO, /* named, but not through a pooler */
	PG_PREPARED_ALWAYS,
	PG_PREPARED_NEVER
};
struct pg_way {
	const char *conninfo; /* libpq connection string, several hosts too */
	const char *hostaddr; /* overrides name look-up; NULL */
	const char *direct;   /* past the pooler; NULL: conninfo is direct */
	enum pg_prepared prepared;
};
struct conf;
/* As the settings have it; conninfo is database.url, or the embedded one's.
 * Borrows all of it. */
struct pg_way pg_way(const struct conf *conf, const char *conninfo);
/* The same for what needs a session of its own. */
struct pg_way pg_way_direct(const struct pg_way *way);
/* Whether its strings can be read at all; tries nothing.  TL_INVALID names the
 * setting, and no password. */
enum tl_status pg_way_check(const struct conf *conf,
			    struct tl_err *err) TL_MUST_CHECK;

struct pg_pool_opts {
	struct pg_way way;
	const char *application_name; /* "tallyd worker/1" */
	uint32_t size;		 /* exclusive connections */
	uint32_t queue_max;	 /* waiters; beyond: TL_FULL */
	uint32_t statement_timeout_ms;
};
/* Whether the string can be read at all; tries nothing.  TL_INVALID. */
enum tl_status pg_conninfo_check(const char *conninfo, const char *hostaddr,
				 struct tl_err *err) TL_MUST_CHECK;
/*
 * Needs co_init.  Connects in the background; with a string that can not be
 * read the pool stays in trouble.
 */
struct pg_pool *pg_pool_new(const struct pg_pool_opts *o);
/* After the last coroutine ended. */
void pg_pool_free(struct pg_pool **pool);
bool pg_pool_healthy(const struct pg_pool *pool); /* last contact was good */
/* "" when healthy, else why not; borrowed until the next loop turn. */
const char *pg_pool_trouble(const struct pg_pool *pool);
struct pg *pg_pool_pg(struct pg_pool *pool); /* borrowed handle */
/* A pooler stands between, as the last connection that was made showed. */
bool pg_pooled(const struct pg *pg);

/* ---- what generated code uses ---- */
enum pg_type { /* binary wire forms */
	PG_BOOL, PG_INT2, PG_INT4, PG_INT8, PG_FLOAT8, PG_TEXT, PG_BYTEA,
	PG_UUID, PG_TIMESTAMPTZ, PG_DATE, PG_JSONB,
	PG_ARRAY = 0x100 /* | element type */
};
struct pg_array {
	uint32_t n;
	const void *items; /* of the element's C type, see design table */
};
struct pg_param {
	enum pg_type type;
	bool null;
	union {
		bool boolean;
		int16_t i2;
		int32_t i4; /* PG_INT4; PG_DATE: days since 1970 */
		int64_t i8; /* PG_INT8; PG_TIMESTAMPTZ: Unix us */
		double f8;
		struct tl_str str; /* TEXT, BYTEA, JSONB */
		struct tl_uuid uuid;
		struct pg_array array;
	};
};
struct pg_column {
	enum pg_type type;
	bool nullable;
	size_t offset;	    /* into the row struct */
	size_t null_offset; /* of its bool `<name>_null`, when nullable */
};
struct pg_statement { /* constant; one per named query */
	const char *name;
	const char *sql;
	const uint32_t *param_oids;
	uint32_t n_params;
	const struct pg_column *columns;
	uint32_t n_columns;
	size_t row_bytes;
};
/* C types in rows and array items: PG_TEXT/PG_JSONB/PG_BYTEA struct tl_str,
 * PG_UUID struct tl_uuid, PG_ARRAY struct pg_array, the rest by width. */

/*
 * Suspends: yes, all three.  Texts and arrays in rows are copied to arena.
 * TL_NOT_FOUND, TL_UNAVAILABLE (database away, or lost on the way: unknown
 * outcome), TL_CONFLICT (unique, foreign key, check: err->text names the
 * constraint in pg_err_constraint), TL_DEADLINE, TL_CANCELED, TL_FULL,
 * TL_BROKEN (NULL or type that must not be, or SQL error).
 */
enum tl_status pg_one(struct pg *pg, const struct pg_statement *st,
		      const struct pg_param *params, struct tl_arena *arena,
		      void *row_r, struct tl_err *err) TL_MUST_CHECK;
enum tl_status pg_many(struct pg *pg, const struct pg_statement *st,
		       const struct pg_param *params, struct tl_arena *arena,
		       void **rows_r, uint32_t *n_r,
		       struct tl_err *err) TL_MUST_CHECK;
enum tl_status pg_exec(struct pg *pg, const struct pg_statement *st,
		       const struct pg_param *params, uint64_t *affected_r,
		       struct tl_err *err) TL_MUST_CHECK;
/*
 * Of a call that failed: it was on its way when the connection broke or we
 * stopped waiting, so it may have been done.  Never for a statement within a
 * transaction, which ends with the connection.
 */
bool pg_err_in_doubt(const struct tl_err *err);
/* The constraint of the last TL_CONFLICT of this coroutine's err, or "". */
const char *pg_err_constraint(const struct tl_err *err);
/*
 * Its SQLSTATE, or "".  A function of ours refuses with a state of class TL
 * (RAISE EXCEPTION … USING ERRCODE = 'TL002'): status TL_CONFLICT, "TL002".
 * Both answers are borrowed until the next question.
 */
const char *pg_err_sqlstate(const struct tl_err *err);

/*
 * BEGIN, fn, COMMIT or ROLLBACK, release: the only way to a transaction.
 * fn gets a pg bound to one connection; what it returns decides.
 */
typedef enum tl_status (*pg_tx_fn)(struct pg *tx, void *arg,
				   struct tl_err *err);
enum tl_status pg_transaction(struct pg *pg, pg_tx_fn fn, void *arg,
			      struct tl_err *err) TL_MUST_CHECK;

/*
 * LISTEN on a direct connection of its own; not through a pooler, which would
 * lose it.  fn runs on the loop's stack at each notification (those that arrive
 * together count once) and after each (re)connect, because what was told in
 * between is lost.
 */
struct pg_listener;
struct pg_listener *pg_listener_new(const struct pg_pool_opts *o,
				    const char *channel,
				    void (*fn)(void *arg), void *arg);
void pg_listener_free(struct pg_listener **l);

#endif
