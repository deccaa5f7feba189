/*
 * doctor_books.h - accounts, while they are collected and then compared.
 */
#ifndef TALLY_TALLYCTL_DOCTOR_BOOKS_H
#define TALLY_TALLYCTL_DOCTOR_BOOKS_H

#include "tallyctl/doctor.h"
#include "tallyctl/freeze.h"

struct account { /* a key and a day, or a piece of one */
	uint8_t key_id[16], user_id[16];
	uint32_t day, base_day;
	bool held; /* by the segment; else base_day is not known */
	bool gone; /* deleted from the database */
	uint64_t base;
	uint64_t there[SHM_METRICS]; /* database and tail */
	uint64_t here[SHM_METRICS];  /* the segment's cells */
};
struct words { /* of a user, at one moment */
	uint64_t quota, requests;
};
struct holder { /* a user that the segment holds */
	uint8_t user_id[16];
	uint64_t state, base, requests_base;
	struct words before, after;
	bool gone_keys;              /* rows of some were deleted with them */
	uint64_t there[SHM_METRICS]; /* today, over all keys */
};

struct books {
	struct doctor *d;
	struct account *accounts;
	size_t n, cap;
	struct holder *holders;
	uint32_t n_holders;
	uint32_t first_day;
	bool ours;    /* there is a segment, of this database */
	bool dropped; /* usage was given away */
	bool shared;  /* others deliver to the database, too */
	uint64_t id[2];
	char node[48];
	uint32_t told, differ, gone;
};

/* NULL: not held, or not all the time. */
struct holder *books_holder(struct books *b, const uint8_t user_id[16]);
int books_holder_cmp(const void *a, const void *b);

/* ---- doctor_compare.c ---- */
/* Pieces of the same key and day become one. */
void books_add_up(struct books *b);
/* Marks what was deleted, while the snapshot is there. */
enum tl_status books_find_gone(struct books *b, struct freeze *f,
			       struct tl_err *err) TL_MUST_CHECK;
void books_compare(struct books *b);

#endif
