/*
 * matrix.h - the two sides of the matrix: kinds of callers, and requests made
 * of a route's row.
 *
 * Texts that are returned are valid until the next call of the same function.
 */
#ifndef TALLY_TESTS_MATRIX_H
#define TALLY_TESTS_MATRIX_H

#include "lib/fixture.h"

#include "app/app.h"

#define NOBODY_ID "c0000000-0000-4000-8000-00000000dead"

/* clang-format off */
#define EACH_ROUTE(route)                                                      \
	for (const struct route *const *table_ = APP_TABLES; *table_ != NULL;  \
	     table_++)                                                         \
		for (const struct route *route = *table_; route->path != NULL; \
		     route++)
/* clang-format on */

enum caller { /* up to TWO_KEYS none has a key that is good */
	      NOBODY,
	      CRON_TOKEN, /* the secret of cron.token */
	      BASIC,
	      SHORT,
	      UNKNOWN,
	      REVOKED,
	      EXPIRED,
	      TWO_KEYS,
	      SUSPENDED,
	      ELSEWHERE,
	      PLAIN,
	      PLAIN_X_API_KEY,
	      SCOPED,
	      ADMIN,
	      CALLERS
};
extern const char *const caller_names[CALLERS];

/* A daemon without limits, and a key for each of them; also one called
 * "verifier", with the scope that opens verify. */
void make_callers(void);
const char *credential(enum caller who); /* header lines */
/* Of one that the route lets in. */
const char *good_credential(const struct route *route);

#define MATRIX_N_METHODS 5
struct matrix_method {
	unsigned bit;
	const char *name;
};
extern const struct matrix_method MATRIX_METHODS[MATRIX_N_METHODS];

const char *method_of(const struct route *route); /* its first */
/* The path with `id` for each parameter. */
const char *target_of(const struct route *route, const char *id);
bool takes_body(const struct route *route);
bool has_required(const struct shape *s);
/* A body that the shape takes: what it must have and, unless NULL, `also`. */
const char *sample_body(const struct shape *s, const struct shape_field *also);

/* The answer is in `r`.  type and body may be NULL. */
void ask(const char *method, const char *target, const char *who,
	 const char *type, const char *body, size_t body_len);
/* With an empty object where the route reads a body. */
void ask_plainly(const struct route *route, const char *target,
		 const char *who);

#endif
