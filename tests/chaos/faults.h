/*
 * faults.h - one fault under load, what users see of it, and the books.
 *
 * Each runs in a process of its own, with a daemon of its own on the server
 * that all share.
 */
#ifndef TALLY_TESTS_FAULTS_H
#define TALLY_TESTS_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#define FAULT_SKIPPED 77

struct fault {
	const char *name;
	bool in_short; /* part of the run in make check */
	void (*run)(void);
};
extern const struct fault FAULTS_OF_HOST[]; /* up to one without a name */

extern struct pgtest *pg;
extern struct daemon *d;

/* Prepares d; then daemon_set and the like. */
void fault_prepare(void);
/* Starts it, all keys are known, the clients charge. */
void fault_load(void);
void fault_begin(void); /* both */
/* Clients and daemon stop; prints the row and ends the process.  Of `allowed`
 * processes each may have been killed with a charge; without `seen` each
 * request at the gate must have been answered. */
void fault_end(uint64_t allowed, bool seen) __attribute__((noreturn));
void fault_skip(const char *why) __attribute__((noreturn));
bool fault_logged(const char *words);
/* Its log has the words; waits for them. */
void fault_want_log(const char *words);

#endif
