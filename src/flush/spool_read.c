#include "flush/spool_read.h"

#include <string.h>

#include "base/hash.h"

uint32_t spool_head_crc(const struct spool_head *head)
{
	return tl_crc32c(0, head, offsetof(struct spool_head, crc));
}

uint32_t spool_record_crc(const struct spool_record *rec, const void *records,
			  const void *idems, const void *logs)
{
	const size_t from = offsetof(struct spool_record, epoch);
	uint32_t crc = tl_crc32c(0, &rec->body_bytes, sizeof(rec->body_bytes));

	crc = tl_crc32c(crc, (const char *)rec + from, sizeof(*rec) - from);
	crc = tl_crc32c(crc, records,
			rec->n_records * sizeof(struct shm_record));
	crc = tl_crc32c(crc, idems,
			rec->n_idems * sizeof(struct shm_idem_record));
	return tl_crc32c(crc, logs, rec->log_bytes);
}

enum tl_status spool_read_head(const void *buf, size_t len,
			       struct spool_head *head_r, struct tl_err *err)
{
	struct spool_head h;

	if (len < sizeof(h))
		return tl_err_set(err, TL_BROKEN, "shorter than its head");
	memcpy(&h, buf, sizeof(h));
	if (memcmp(h.magic, SPOOL_MAGIC, sizeof(h.magic)) != 0)
		return tl_err_set(err, TL_BROKEN, "not a spool file");
	if (h.version != SPOOL_VERSION || h.head_bytes != sizeof(h) ||
	    h.record_bytes != sizeof(struct shm_record) ||
	    h.idem_bytes != sizeof(struct shm_idem_record) ||
	    h.log_row_bytes != sizeof(struct shm_log_row))
		return tl_err_set(err, TL_VERSION,
				  "spool format %u/%u/%u/%u, want "
				  "%u/%zu/%zu/%zu",
				  h.version, h.record_bytes, h.idem_bytes,
				  h.log_row_bytes, SPOOL_VERSION,
				  sizeof(struct shm_record),
				  sizeof(struct shm_idem_record),
				  sizeof(struct shm_log_row));
	if (h.crc != spool_head_crc(&h))
		return tl_err_set(err, TL_BROKEN, "CRC of the head is wrong");
	if (memchr(h.node, '\0', sizeof(h.node)) == NULL || h.first_seq == 0)
		return tl_err_set(err, TL_BROKEN, "head out of range");
	*head_r = h;
	return TL_OK;
}

/* Could a record begin with these fields?  Cheap, before any CRC. */
static bool plausible(const struct spool_record *rec,
		      const struct spool_head *head)
{
	return rec->epoch == head->epoch && rec->seq >= head->first_seq &&
	       rec->n_records <= SHM_BATCH_RECORDS &&
	       rec->n_idems <= SHM_BATCH_IDEMS &&
	       rec->n_logs <= SHM_BATCH_LOGS &&
	       rec->log_bytes <= SHM_BATCH_LOG_BYTES &&
	       rec->log_bytes % 8 == 0 &&
	       rec->body_bytes ==
		       rec->n_records * sizeof(struct shm_record) +
			       rec->n_idems * sizeof(struct shm_idem_record) +
			       rec->log_bytes &&
	       memchr(rec->node, '\0', sizeof(rec->node)) != NULL;
}

enum spool_item spool_read_record(const void *buf, size_t len,
				  const struct spool_head *head,
				  struct spool_view *view_r, size_t *bytes_r)
{
	struct spool_view v = { .rec = buf };

	if (len < sizeof(*v.rec)) {
		*bytes_r = sizeof(*v.rec);
		return SPOOL_SHORT;
	}
	if (!plausible(v.rec, head))
		return SPOOL_BAD;
	*bytes_r = sizeof(*v.rec) + v.rec->body_bytes;
	if (len < *bytes_r)
		return SPOOL_SHORT;
	v.records = (const void *)(v.rec + 1);
	v.idems = (const void *)(v.records + v.rec->n_records);
	v.logs = v.idems + v.rec->n_idems;
	if (v.rec->crc !=
	    spool_record_crc(v.rec, v.records, v.idems, v.logs))
		return SPOOL_BAD;
	*view_r = v;
	return SPOOL_ITEM;
}

/*
 * Does a right record begin anywhere in buf?  Records begin at multiples of
 * eight.  The epoch is random, so few places ask for a CRC.
 */
static bool any_record(const char *buf, size_t len,
		       const struct spool_head *head)
{
	struct spool_view v;
	size_t bytes;

	for (size_t at = 0; at + sizeof(struct spool_record) <= len; at += 8) {
		if (spool_read_record(buf + at, len - at, head, &v, &bytes) ==
		    SPOOL_ITEM)
			return true;
	}
	return false;
}

void spool_read_scan(const void *buf, size_t len, const struct spool_head *head,
		     struct spool_scan *scan_r)
{
	struct spool_scan s = { .last_seq = head->first_seq - 1,
				.good_bytes = sizeof(*head) };
	const char *p = buf;
	struct spool_view v;
	size_t bytes;

	while (s.good_bytes < len) {
		if (spool_read_record(p + s.good_bytes, len - s.good_bytes,
				      head, &v, &bytes) != SPOOL_ITEM ||
		    v.rec->seq != s.last_seq + 1)
			break;
		s.last_seq = v.rec->seq;
		s.n_records++;
		s.good_bytes += bytes;
	}
	if (s.good_bytes < len) {
		s.damaged =
			any_record(p + s.good_bytes, len - s.good_bytes, head);
		s.torn = !s.damaged;
	}
	*scan_r = s;
}
