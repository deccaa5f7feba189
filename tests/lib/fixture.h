/*
 * fixture.h - what integration tests share: a cluster, one daemon, a client.
 *
 * A program makes one PostgreSQL (outside the forked tests), each test its
 * own database and daemon: up(), and fixture_down as the checked teardown.
 */
#ifndef TALLY_TESTS_FIXTURE_H
#define TALLY_TESTS_FIXTURE_H

#include <check.h>

#include "lib/client.h"
#include "lib/daemon.h"
#include "lib/pgtest.h"
#include "lib/sql.h"
#include "lib/world.h"

#define KEY_PRO      "codexible_demo_pro_2026"
#define KEY_BUSINESS "codexible_demo_business_2026"
#define KEY_STARTER  "codexible_demo_starter_2026"
#define USER_PRO     "b0000000-0000-0000-0000-000000000001"
#define USER_STARTER "b0000000-0000-0000-0000-000000000003"
#define ID_PRO       "c0000000-0000-0000-0000-000000000001"
#define ID_STARTER   "c0000000-0000-0000-0000-000000000003"

extern struct pgtest *pg;
extern struct daemon *d;
extern struct client *c;
extern struct reply r; /* the last answer */

/* For tests that ask faster than people do. */
#define FREE_RATE "limits.key_count=1000000", "limits.address_count=1000000"

/* Starts d with settings on top of the defaults, and c towards it. */
#define up(...)                                                                \
	fixture_up((const char *const[]){ NULL, ##__VA_ARGS__, NULL } + 1)
void fixture_up(const char *const *settings);
/* Prepares only: daemon_setenv and the like, then daemon_spawn. */
#define prepare(...)                                                           \
	fixture_prepare((const char *const[]){ NULL, ##__VA_ARGS__, NULL } + 1)
void fixture_prepare(const char *const *settings);
void fixture_down(void);
/* The daemon again, as before: after a stop or a kill. */
void fixture_again(void);

/*
 * A key of its own user on its own plan, made in SQL before anybody asked
 * for it: user "NAME@test", key text "test_NAME_0123456789".  `columns` are
 * more columns of api_keys with their values: "scopes = '{read}'" or "".
 */
void make_key(const char *name, long daily_limit, const char *columns);
/* Another key of NAME's user. */
void make_second_key(const char *name, const char *second);
const char *key_of(const char *name); /* valid for the next 7 calls */

/* With that key; body: JSON or NULL. */
void call(const char *method, const char *target, const char *key,
	  const char *body);
/* GET /api/gate?QUERY with that key (NULL: none); the status. */
int gate(const char *key, const char *query);
/* Credits used today as /api/usage/today tells. */
int64_t used_today(const char *key);
/* Sums of today's rows in the database, of one user (NULL: all). */
int64_t db_credits(const char *email);
int64_t db_requests(const char *email);

/* A table of cases against one daemon; row_name is told when one fails. */
#define EACH_ROW(table, row_)                                                  \
	for (const __typeof__((table)[0]) *row_ = (table);                     \
	     row_ < (table) + sizeof(table) / sizeof((table)[0]); row_++)
extern const char *row_name;

#define want(code_)                                                            \
	ck_assert_msg(r.status == (code_), "%s: answer %d, want %d:\n%s%s",    \
		      row_name, r.status, (code_), r.head,                     \
		      r.body ? r.body : "")
/* The one error form, whole. */
#define want_error(status_, code_)                                             \
	do {                                                                   \
		want(status_);                                                 \
		ck_assert_pstr_eq(json_str(&r, "error.code"), (code_));        \
		ck_assert_int_eq(json_num(&r, "error.status"), (status_));     \
		ck_assert_ptr_nonnull(json_str(&r, "error.message"));          \
		ck_assert_ptr_nonnull(header_of(&r, "X-Request-Id"));          \
	} while (0)

/* Runs the suite: forked tests, the cluster around them; exit code. */
int fixture_run(Suite *s);
TCase *fixture_case(Suite *s, const char *name);

#endif
