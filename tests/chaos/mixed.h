/*
 * mixed.h - what mixed.c picks from.
 */
#ifndef TALLY_TESTS_MIXED_H
#define TALLY_TESTS_MIXED_H

#include <stdbool.h>
#include <stdint.h>

struct mixed_fault {
	const char *name;
	unsigned weight;
	bool (*begin)(void); /* false: not possible now */
	void (*end)(void);   /* NULL: it is over at once */
	unsigned min_ms, max_ms;
	uint64_t until_ns; /* it lasts */
	unsigned times;
};
extern struct mixed_fault MIXED_FAULTS[]; /* up to one without a name */

extern struct pgtest *pg;
extern struct slowpath *way; /* of the daemon to it */
extern struct daemon *d;

/* Processes that may have died with a charge; times that a new segment may
 * have forgotten names. */
extern unsigned mixed_deaths, mixed_crashes;

bool mixed_serves(void);         /* it has workers */
bool mixed_stop_and_start(void); /* what lasts goes on and ends meanwhile */

#endif
