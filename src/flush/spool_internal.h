/*
 * spool_internal.h - what spool.c and spool_open.c share.
 */
#ifndef TALLY_FLUSH_SPOOL_INTERNAL_H
#define TALLY_FLUSH_SPOOL_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "flush/spool.h"

#define FILE_NAME_LEN 33 /* 16 hex, a dot, 16 hex */

struct spool_file {
	struct tl_list link;
	char name[FILE_NAME_LEN + 1];
	struct spool_head head;
	uint64_t bytes; /* up to the end of the last whole record */
	uint64_t last_seq, n_records;
	bool aside;
};

/*
 * Invariants:
 *  - files: other epochs first, then this one; each by epoch and first_seq.
 *  - append is the last file of this epoch, or NULL; append_fd goes with it.
 *  - read is the file that peek stands in, or NULL; read_at is behind what
 *    was dropped, peeked_bytes the size of the record given but not dropped.
 */
struct spool {
	char *dir;
	int dir_fd;
	uint64_t epoch, max_bytes;
	uint32_t file_bytes;
	char node[48];
	struct tl_list files;

	struct spool_file *append;
	int append_fd;
	bool cut_due; /* a failed write could not be cut off yet */

	struct spool_file *read;
	int read_fd;
	uint64_t read_at, read_seq;
	size_t peeked_bytes;
	uint8_t *buf; /* one record */

	uint64_t appends, sync_us_total, sync_us_max;
};

#define FILE_OF(pos) TL_CONTAINER(pos, struct spool_file, link)

/* spool_open.c */
void spool_file_name(uint64_t epoch, uint64_t first_seq,
		     char dst[FILE_NAME_LEN + 1]);
void spool_file_insert(struct spool *sp, struct spool_file *f); /* in order */
#endif
