/*
 * store_fixture.h - tests of src/store/ on a real PostgreSQL.
 *
 * One server and one migrated database a program, emptied before each test;
 * each test (forked) has a loop and a pool and runs as a coroutine.
 */
#ifndef TALLY_TESTS_STORE_FIXTURE_H
#define TALLY_TESTS_STORE_FIXTURE_H

#include <check.h>

#include "base/mem.h"
#include "base/str.h"
#include "lib/sql.h"
#include "tally/key.h"

struct pg;

extern char *db;              /* conninfo of the test's database */
extern struct pg *pg;         /* its pool */
extern struct tl_arena arena; /* dies with the test */
extern struct tl_err err;

#define DAY 20000 /* 2024-10-04 */

/* START_TEST whose body may suspend; `loop_i` is that of a loop test. */
#define STORE_TEST(name)                                                       \
	static void name##_body(int loop_i);                                   \
	START_TEST(name)                                                       \
	{                                                                      \
		store_fixture_run(name##_body, _i);                            \
	}                                                                      \
	END_TEST                                                               \
	static void name##_body(int loop_i __attribute__((unused)))
void store_fixture_run(void (*body)(int loop_i), int loop_i);

#define ck_ok(call) ck_assert_msg((call) == TL_OK, "%s: %s", #call, err.text)

/* A user and a key of his, known by a number: user_id ends in n, key text
 * "key-n".  More than one key of a user: store_fixture_key. */
void store_fixture_user(unsigned n);
void store_fixture_key(unsigned n, unsigned user_n);
struct tl_uuid user_id(unsigned n);
struct tl_uuid key_id(unsigned n);
struct tally_digest key_digest(unsigned n);

char *store_fixture_file(const char *path); /* in the source tree */
/* An empty database, not migrated; the caller's. */
char *store_fixture_empty_db(void);
TCase *store_fixture_case(Suite *s, const char *name);
int store_fixture_main(Suite *s);

#endif
