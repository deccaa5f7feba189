/*
 * spool_read.h - the bytes of a spool file: format, and readers over a buffer.
 *
 * A spool holds sealed batches while PostgreSQL is away.  It is a directory
 * `<state_dir>/spool` of append-only files named
 *
 *	<epoch, 16 hex digits>.<seq of its first batch, 16 hex digits>
 *
 * A file is one struct spool_head and then records, each a struct spool_record
 * and its body; all little-endian, fixed fields, every part a multiple of
 * eight bytes.  The body is the batch as it was sealed: n_records x struct
 * shm_record, then n_idems x struct shm_idem_record, then log_bytes bytes of
 * n_logs rows, each a struct shm_log_row and its model.  Within a file the
 * seqs follow each other without a gap, and so do the files of one epoch.
 *
 * A file belongs to one database (database_id) and one epoch of one node.
 *
 * Pure: no I/O, no memory; for the flusher, the fuzzer and the doctor.
 */
#ifndef TALLY_FLUSH_SPOOL_READ_H
#define TALLY_FLUSH_SPOOL_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "shm/layout.h"

#define SPOOL_MAGIC   "TLYSPOOL"
#define SPOOL_VERSION 2

struct spool_head {
	char magic[8];
	uint32_t version;
	uint32_t head_bytes;   /* sizeof this */
	uint32_t record_bytes; /* sizeof(struct shm_record) of the writer */
	uint32_t idem_bytes;   /* sizeof(struct shm_idem_record) */
	uint64_t epoch;
	uint64_t first_seq;
	uint8_t database_id[16];
	char node[48]; /* ends in NUL */
	uint64_t made_at_ms;
	uint32_t log_row_bytes; /* sizeof(struct shm_log_row) */
	uint8_t pad[8];
	uint32_t crc; /* CRC32C of all before it */
};
_Static_assert(sizeof(struct spool_head) == 128, "bump SPOOL_VERSION");

struct spool_record {
	uint32_t body_bytes;
	uint32_t crc; /* CRC32C of body_bytes and all that follows this word */
	uint64_t epoch, seq;
	uint64_t scan_gen; /* the scan it was part of, see struct shm_batch */
	uint32_t n_records, n_idems;
	uint32_t n_logs, log_bytes;
	char node[48];
};
_Static_assert(sizeof(struct spool_record) == 96, "bump SPOOL_VERSION");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the spool is written as it lies in memory");

#define SPOOL_BODY_MAX                                                         \
	(SHM_BATCH_RECORDS * sizeof(struct shm_record) +                       \
	 SHM_BATCH_IDEMS * sizeof(struct shm_idem_record) + SHM_BATCH_LOG_BYTES)

/* A record in a buffer; everything is borrowed from it. */
struct spool_view {
	const struct spool_record *rec;
	const struct shm_record *records;
	const struct shm_idem_record *idems;
	const void *logs; /* for shm_log_next */
};

/* TL_BROKEN not a spool file, or damaged; TL_VERSION of another release. */
enum tl_status spool_read_head(const void *buf, size_t len,
			       struct spool_head *head_r,
			       struct tl_err *err) TL_MUST_CHECK;

enum spool_item {
	SPOOL_ITEM,  /* *view_r is a whole, right record */
	SPOOL_SHORT, /* the buffer ends before the record does */
	SPOOL_BAD,   /* not a record, or its bytes changed */
};
/*
 * The record at the front of buf (8-byte aligned).  bytes_r: what it takes,
 * for SPOOL_ITEM; for SPOOL_SHORT what it would take as far as can be seen.
 */
enum spool_item spool_read_record(const void *buf, size_t len,
				  const struct spool_head *head,
				  struct spool_view *view_r, size_t *bytes_r);

/* What a whole file says. */
struct spool_scan {
	uint64_t n_records, last_seq; /* last_seq is first_seq - 1 when empty */
	size_t good_bytes;            /* up to the end of the last right one */
	/*
	 * What stands behind it is no record.  torn: nothing right follows,
	 * so it is the end of a write that did not finish.  Else a record in
	 * the middle is damaged.
	 */
	bool torn, damaged;
};
/* buf begins with the head, which spool_read_head has accepted. */
void spool_read_scan(const void *buf, size_t len, const struct spool_head *head,
		     struct spool_scan *scan_r);

/* The CRC that belongs into rec->crc. */
uint32_t spool_record_crc(const struct spool_record *rec, const void *records,
			  const void *idems, const void *logs);
uint32_t spool_head_crc(const struct spool_head *head);
#endif
