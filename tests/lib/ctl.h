/*
 * ctl.h - tallyctl, and what it answered.
 */
#ifndef TALLY_TESTS_CTL_H
#define TALLY_TESTS_CTL_H

#include <stdint.h>

#include <json-c/json.h>

#include "lib/fixture.h"

/* Of the last ctl(); NULL when it was no document. */
extern struct json_object *answer;

/* tallyctl --json ARGS... of that daemon, of d; the exit status. */
int ctl_of(const struct daemon *of, const char *const *args);
#define ctl_at(of, ...) ctl_of(of, (const char *const[]){ __VA_ARGS__, NULL })
#define ctl(...)        ctl_at(d, __VA_ARGS__)
/* A member of the answer, which must be there: "keys.0.id". */
int64_t number(const char *path);
double real(const char *path);
const char *text(const char *path);
/* Its array of that name: how many items. */
size_t items(const char *path);
void ctl_forget(void);

#endif
