/*
 * crowd.h - many clients at once: forked processes that note every answer.
 *
 * Notes lie in memory shared with the parent, so they survive whatever ends
 * a client.  One array for each client, one writer each.
 */
#ifndef TALLY_TESTS_CROWD_H
#define TALLY_TESTS_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CROWD_MAX       32
#define CROWD_NOTES_MAX 200000

struct crowd_note {
	uint64_t sent_mono_ns, got_mono_ns;
	int32_t status; /* 0: no answer */
	int32_t tag;    /* the client's own, for example which key */
};
struct crowd_log {
	_Atomic uint32_t n;
	struct crowd_note notes[CROWD_NOTES_MAX];
};
struct crowd {
	unsigned n;
	pid_t pids[CROWD_MAX];
	struct crowd_log *logs; /* n of them */
	_Atomic uint32_t *stop; /* clients look at it */
};

/* fn runs in a process of its own until it returns or *stop is set. */
typedef void (*crowd_fn)(struct crowd *w, unsigned number, void *arg);
struct crowd *crowd_start(unsigned n, crowd_fn fn, void *arg);
void crowd_note(struct crowd *w, unsigned number, uint64_t sent_mono_ns,
		uint64_t got_mono_ns, int status, int tag);
bool crowd_stopped(const struct crowd *w);
void crowd_stop(struct crowd *w); /* sets *stop, waits for all */
void crowd_wait(struct crowd *w); /* waits until all have returned */
void crowd_free(struct crowd **w);

/* How many notes have that status (tag -1: any). */
uint64_t crowd_count(const struct crowd *w, int status, int tag);

/*
 * The offline check: the most admissions (status 200) that surely lie in
 * one interval of length window_ns.  An admission happened somewhere between
 * send and receive, so only those whose whole exchange lies inside count:
 * what is above the limit is a true violation.
 */
uint64_t crowd_worst_window(const struct crowd *w, uint64_t window_ns);

#endif
