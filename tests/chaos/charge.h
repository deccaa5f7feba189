/*
 * charge.h - clients that charge and note each answer, and the books.
 *
 * Eight processes charge a set of known keys: half of them at the gate, half
 * with usage/record and an Idempotency-Key that they repeat until it is
 * answered.  What they were answered is compared with what the database holds
 * after the last stop:
 *
 *	answered <= sum in the database <= answered + what kills allow
 *
 * for all keys together, answered <= sum for each key.  And for request_logs,
 * which usage/record writes: each name that was answered has exactly one row.
 * A program has one set of them.  Runs in: tests.  Blocks: yes.
 */
#ifndef TALLY_TESTS_CHARGE_H
#define TALLY_TESTS_CHARGE_H

#include <stdbool.h>
#include <stdint.h>

struct daemon;

#define CHARGE_CLIENTS 8

struct charge_opts {
	bool strict; /* 503 in answer to a charge: it may be in the books */
	bool busy_is_fair; /* 503 is counted, and no refusal of a known key */
	unsigned pause_ms; /* between two charges of a client at the gate */
};

struct charge_sums {
	uint64_t answered;   /* charges that were answered */
	uint64_t recorded;   /* of them, by usage/record */
	uint64_t unanswered; /* requests without any answer */
	uint64_t refused;    /* known key, neither 200 nor a fair 503 */
	uint64_t busy;       /* 503 to a name that is repeated */
	uint64_t away;       /* 503 at the gate, when that is fair or strict */
};

/* The settings that the daemon needs for so many requests. */
#define CHARGE_SETTINGS                                                        \
	"limits.key_count=100000000", "metering.flush_interval_ms=100",        \
		"log.access=no" /* or gigabytes of it */

/* Plan, users and keys in the daemon's database. */
void charge_prepare(struct daemon *d, const struct charge_opts *o);
void charge_warm_up(void); /* all keys become known */
void charge_start(void);
void charge_stop(void); /* waits until the last name is answered */
struct charge_sums charge_sums(void);

/* Only when no daemon changes it any more; _balanced says what is wrong, the
 * other two all they see. */
bool charge_balanced(uint64_t allowed);
bool charge_compare(uint64_t allowed);
bool charge_compare_rows(uint64_t allowed);
/* What is more in the database than was answered; below 0: lost. */
int64_t charge_difference(void);

#endif
