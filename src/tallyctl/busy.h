/*
 * busy.h - who asks most: the decision ring, counted by key and by address.
 *
 * The ring is read as it is written, several times an interval, so that more
 * decisions than it holds can pass in between.  What was overwritten before it
 * was read is counted as lost, never guessed.
 * Runs in: tallyctl.  Suspends: no.
 */
#ifndef TALLY_TALLYCTL_BUSY_H
#define TALLY_TALLYCTL_BUSY_H

#include "shm/shm.h"

#define BUSY_TOP 50

struct busy_row {
	uint8_t id[16]; /* key id, or address as limits count it */
	uint64_t decisions, refused, credits;
};
struct busy_table {
	struct busy_row *rows; /* by hash; decisions 0: free */
	uint32_t cap, used;
};
struct busy {
	const struct shm *shm; /* borrowed */
	uint64_t next;         /* position to read */
	bool stuck;            /* it was not whole at the last look */
	struct busy_table keys, addresses;
	uint64_t seen, lost;
};
void busy_init(struct busy *b);
void busy_deinit(struct busy *b);
/* From the newest decision on; forgets what was counted. */
void busy_attach(struct busy *b, const struct shm *s);
void busy_read(struct busy *b);  /* what has come since the last time */
void busy_reset(struct busy *b); /* a new interval */
/* The busiest first; returns how many there are, at most max. */
uint32_t busy_top(const struct busy_table *t, struct busy_row *top_r,
		  uint32_t max);

#endif
