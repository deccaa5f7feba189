/*
 * tail_internal.h - what tail.c (the spool, and both together) and
 * tail_segment.c share.
 */
#ifndef TALLY_FLUSH_TAIL_INTERNAL_H
#define TALLY_FLUSH_TAIL_INTERNAL_H

#include "flush/spool_read.h"
#include "flush/tail.h"

#define TAIL_NAME_LEN 33 /* of a spool file: 16 hex, a dot, 16 hex */

/* One place of one key, of one day. */
struct tail_cell {
	uint8_t user_id[16], key_id[16];
	uint32_t key, key_gen, day;
	uint64_t count[SHM_METRICS];  /* 0: of another day, or nothing */
	uint64_t handed[SHM_METRICS]; /* how far it is known to be elsewhere */
	uint64_t last_used_ms;
	uint32_t base_day;
	uint64_t base; /* of day, in one cell of the key; else 0 */
};
struct tail_file {
	int fd;
	size_t bytes; /* when it was listed */
	struct spool_head head;
	char name[TAIL_NAME_LEN + 1];
};
struct tail_logs {
	uint8_t *bytes; /* 8-byte aligned, for shm_log_next */
	uint32_t n_bytes;
};
struct tail {
	uint64_t epoch; /* of the segment; 0: there is none */
	bool all_cells; /* also what is delivered */
	struct tail_epoch *epochs;
	uint32_t n_epochs;
	struct tail_cell *cells; /* by key */
	size_t n_cells, cap_cells;
	struct shm_idem_record *idems;
	size_t n_idems;
	struct shm_batch *slots[SHM_BATCHES]; /* NULL: was not sealed */
	struct tail_file *files;
	size_t n_files;
	/* Rows of the request log that are in the ring only: pieces of them,
	 * each as in a batch. */
	struct tail_logs *logs;
	size_t n_logs;
	uint64_t spooled_seq; /* the last of `epoch` in the spool; 0 none */
};

/* ---- tail_segment.c ---- */
/* Numbers of what is sealed, and how far the ring is handed over. */
struct tail_mark {
	uint64_t sealed[SHM_BATCHES]; /* 0: not */
	uint64_t next_seq, log_done;
};
struct tail_mark tail_mark_of(const struct shm *s);
/* Slots, then cells, answers, rows of the ring. */
enum tl_status tail_segment_read(struct tail *t, const struct shm *s,
				 struct tl_err *err) TL_MUST_CHECK;
void tail_segment_forget(struct tail *t);

#endif
