/*
 * usage_calls.h - what tests of usage share: asking, and rows of a history.
 */
#ifndef TALLY_TESTS_USAGE_CALLS_H
#define TALLY_TESTS_USAGE_CALLS_H

#include "lib/fixture.h"

#define NO_DEMO    "database.seed_demo=no"
#define TOKENS     "{\"prompt_tokens\":1500,\"completion_tokens\":500}"
#define TOKENS_USD 75000 /* what they cost, micro-USD */
#define TODAY      "(now() AT TIME ZONE 'UTC')::date"

void get(const char *key, const char *target);
void record(const char *key, const char *body);
/* Of the last answer, a list. */
size_t rows(void);
/* Micro-USD of a member, whole or broken. */
int64_t usd(const char *path);
/* Today's, then yesterday's ... date by the database's clock. */
const char *day(int back);
void insert_usage(const char *name, int back, int credits, int requests,
		  int cost);
/* Row i of a history. */
void expect_day(unsigned i, const char *date, int64_t credits, int64_t requests,
		int64_t cost);

#endif
