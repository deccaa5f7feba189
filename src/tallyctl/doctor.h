/*
 * doctor.h - what the parts of doctor share: a list of findings.
 */
#ifndef TALLY_TALLYCTL_DOCTOR_H
#define TALLY_TALLYCTL_DOCTOR_H

#include "shm/metrics.h"
#include "tallyctl/tallyctl.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	struct tallyctl *t;
	struct doc *findings;
	uint32_t n[DOCTOR_FAIL + 1]; /* of each level */
	bool running;                /* its processes live */
	bool open_doors;             /* others than this host can connect */
	bool database_away;
	bool compared; /* the books, so that `difference` is one */
	uint64_t difference[SHM_METRICS];
};

/* One line; the words hold the cure. */
void doctor_say(struct doctor *d, enum doctor_level level, const char *name,
		const char *fmt, ...) TL_PRINTF(4, 5);

/* ---- doctor_host.c: settings, this machine ---- */
void doctor_settings(struct doctor *d);
void doctor_host(struct doctor *d, const struct shm *s);
/* ---- doctor_segment.c: is what is in it whole, is the flush well; s may be
 * NULL ---- */
void doctor_segment(struct doctor *d, const struct shm *s);
/* ---- doctor_database.c: the server, the schema.  False: not reachable, and
 * said ---- */
bool doctor_database(struct doctor *d, const char *url);
/* ---- doctor_books.c: segment + spool + database ---- */
void doctor_books(struct doctor *d, const char *url);

#endif
