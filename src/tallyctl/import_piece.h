/*
 * import_piece.h - rows of an import on their way into the database: one
 * statement takes some thousands of them as arrays.
 */
#ifndef TALLY_TALLYCTL_IMPORT_PIECE_H
#define TALLY_TALLYCTL_IMPORT_PIECE_H

#include "store/q_key_import.h"
#include "tallyctl/import_row.h"

#define IMPORT_PIECE_ROWS 8192

struct import_piece {
	struct tl_arena arena; /* of the rows' texts too */
	struct tl_uuid first;  /* time and random bits of all ids */
	uint32_t counter;      /* of the next one */
	uint32_t n, n_emails;
	struct tl_str emails[IMPORT_PIECE_ROWS];     /* each once */
	uint32_t email_slots[4 * IMPORT_PIECE_ROWS]; /* index + 1; 0 free */
	int32_t owners[IMPORT_PIECE_ROWS], lines[IMPORT_PIECE_ROWS];
	struct tl_uuid ids[IMPORT_PIECE_ROWS];
	struct tally_digest bytes[IMPORT_PIECE_ROWS];
	struct tl_str digests[IMPORT_PIECE_ROWS];
	struct tl_str prefixes[IMPORT_PIECE_ROWS], labels[IMPORT_PIECE_ROWS];
	int64_t created_us[IMPORT_PIECE_ROWS], expires_us[IMPORT_PIECE_ROWS];
	struct tl_str scopes[IMPORT_PIECE_ROWS], networks[IMPORT_PIECE_ROWS];
	int32_t rates[IMPORT_PIECE_ROWS], dailies[IMPORT_PIECE_ROWS];
	struct tl_str metadata[IMPORT_PIECE_ROWS], statuses[IMPORT_PIECE_ROWS];
};

/* 2 MiB and more: not for the stack. */
struct import_piece *import_piece_new(void);
void import_piece_free(struct import_piece **p);
void import_piece_reset(struct import_piece *p);
/* The row's texts lie in p->arena; its e-mail is given.  Not when full. */
void import_piece_add(struct import_piece *p, const struct import_row *row);
struct q_key_import_params import_piece_params(const struct import_piece *p);

#endif
