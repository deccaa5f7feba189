/*
 * asker.h - decisions for the tests of decide: one key, one user, as rows say.
 */
#ifndef TALLY_TESTS_ASKER_H
#define TALLY_TESTS_ASKER_H

#include "decide/decide.h"
#include "segment.h"

extern struct shm *shm;
extern struct decide asker;      /* its rules: all on, 100 a minute */
extern struct tally_key_row row; /* key 1 of user 1, today; asker_take() it */
extern struct decide_in in;      /* gate's flags, cost 1, that key */
extern struct decide_out out;

/* A fresh segment, rules, row and in; plan 1 has 1000 credits. */
void asker_up(void);
void asker_down(void);
void asker_take(void);
/* Decides `in` now (mono_ns unless given); gives the code. */
enum decide_code ask(void);
enum decide_code ask_at(uint64_t mono_ns);
uint32_t asker_today(void);
void asker_limits(const struct tally_limit_row *rows, uint32_t n);
uint32_t asker_charged(void); /* in the window of the key */
uint64_t asker_credits(void); /* of the user, today */
struct tally_addr asker_address(const char *text);

#endif
