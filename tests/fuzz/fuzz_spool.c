/*
 * fuzz_spool.c - a spool file with damage in it.
 *
 * The input builds a file (a head and records whose sizes it chooses), then
 * damages bytes of it, mends checksums here and there and cuts its end.  The
 * scan must find exactly what a walk finds that takes a record only when its
 * checksum, told bit by bit, is right; and what a file without damage holds
 * must all come back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "flush/spool_read.h"
#include "shm/reqlog.h"
#include "tests/fuzz/fuzz.h"

#define FILE_MAX    16384
#define RECORDS_MAX 8
#define EPOCH       0x1122334455667788ULL

static _Alignas(8) uint8_t file[FILE_MAX];
static size_t file_len;
static size_t starts[RECORDS_MAX]; /* of the records as they were built */
static unsigned n_records;

/* CRC-32C of RFC 3720, one bit after the other; the tables are spool's. */
static uint32_t crc_slow(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	crc = ~crc;
	for (; len > 0; len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	return ~crc;
}

static uint32_t record_crc(const uint8_t *rec, size_t bytes)
{
	uint32_t crc = crc_slow(0, rec, 4);

	return crc_slow(crc, rec + 8, bytes - 8);
}

static void build_head(struct fuzz_bytes *b)
{
	struct spool_head h = { .version = SPOOL_VERSION,
				.head_bytes = sizeof(h),
				.record_bytes = sizeof(struct shm_record),
				.idem_bytes = sizeof(struct shm_idem_record),
				.log_row_bytes = sizeof(struct shm_log_row),
				.epoch = EPOCH,
				.node = "host/tally" };

	memcpy(h.magic, SPOOL_MAGIC, sizeof(h.magic));
	h.first_seq = 1U + fuzz_u8(b);
	h.crc = crc_slow(0, &h, offsetof(struct spool_head, crc));
	memcpy(file, &h, sizeof(h));
	file_len = sizeof(h);
	n_records = 0;
}

static void build_logs(struct fuzz_bytes *b, struct spool_record *r)
{
	for (unsigned n = fuzz_u8(b) % 3; n > 0; n--) {
		struct shm_log_row row = { .credits = n };

		row.model_len = 1 + fuzz_u8(b) % 20;
		memcpy(file + file_len, &row, sizeof(row));
		memset(file + file_len + sizeof(row), 0,
		       shm_log_bytes(row.model_len) - sizeof(row));
		memset(file + file_len + sizeof(row), 'm', row.model_len);
		file_len += shm_log_bytes(row.model_len);
		r->log_bytes += shm_log_bytes(row.model_len);
		r->n_logs++;
	}
}

static void build_record(struct fuzz_bytes *b, uint64_t seq)
{
	struct spool_record r = { .epoch = EPOCH,
				  .seq = seq,
				  .node = "host/tally" };
	size_t from = file_len;

	r.n_records = fuzz_u8(b) % 4;
	r.n_idems = fuzz_u8(b) % 2;
	file_len += sizeof(r);
	memset(file + file_len, fuzz_u8(b),
	       r.n_records * sizeof(struct shm_record) +
		       r.n_idems * sizeof(struct shm_idem_record));
	file_len += r.n_records * sizeof(struct shm_record) +
		    r.n_idems * sizeof(struct shm_idem_record);
	build_logs(b, &r);
	r.body_bytes = (uint32_t)(file_len - from - sizeof(r));
	memcpy(file + from, &r, sizeof(r));
	r.crc = record_crc(file + from, file_len - from);
	memcpy(file + from, &r, sizeof(r));
	starts[n_records++] = from;
}

/* True: something may differ from what was built. */
static bool damage(struct fuzz_bytes *b)
{
	bool any = false;

	while (b->n > 0) {
		uint8_t what = fuzz_u8(b);
		size_t at = fuzz_u16(b) % file_len;
		unsigned which = what / 8 % RECORDS_MAX;
		struct spool_record r;

		any = true;
		switch (what % 8) {
		case 0: /* cut */
			file_len = at;
			if (file_len == 0)
				return true;
			break;
		case 1: /* a length or a count of a record */
			if (which < n_records && starts[which] < file_len)
				file[starts[which] +
				     at % sizeof(struct spool_record)] =
					fuzz_u8(b);
			break;
		case 2: /* its checksum over what stands there now */
			if (which >= n_records ||
			    starts[which] + sizeof(r) > file_len)
				break;
			memcpy(&r, file + starts[which], sizeof(r));
			if (r.body_bytes > file_len - starts[which] - sizeof(r))
				break;
			r.crc = record_crc(file + starts[which],
					   sizeof(r) + r.body_bytes);
			memcpy(file + starts[which] + 4, &r.crc, 4);
			break;
		default:
			file[at] = fuzz_u8(b);
		}
	}
	return any;
}

/* Bytes of a right record at `at`; 0: there is none. */
static size_t right_record(size_t at, const struct spool_head *h)
{
	struct spool_record r;
	uint64_t want;

	if (at > file_len || file_len - at < sizeof(r))
		return 0;
	memcpy(&r, file + at, sizeof(r));
	want = (uint64_t)r.n_records * 104 + (uint64_t)r.n_idems * 144 +
	       r.log_bytes;
	if (r.epoch != h->epoch || r.seq < h->first_seq ||
	    r.body_bytes != want || r.body_bytes > file_len - at - sizeof(r) ||
	    r.n_records > SHM_BATCH_RECORDS || r.n_idems > SHM_BATCH_IDEMS ||
	    r.n_logs > SHM_BATCH_LOGS || r.log_bytes % 8 != 0 ||
	    memchr(r.node, '\0', sizeof(r.node)) == NULL)
		return 0;
	if (record_crc(file + at, sizeof(r) + r.body_bytes) != r.crc)
		return 0;
	return sizeof(r) + r.body_bytes;
}

static void check_logs(const struct spool_view *v)
{
	const struct shm_log_row *row;
	uint32_t at = 0, before = 0;

	while ((row = shm_log_next(v->logs, v->rec->log_bytes, &at)) != NULL) {
		struct tl_str model = shm_log_model(row);

		tl_assert(at > before && at <= v->rec->log_bytes);
		tl_assert(model.ptr + model.len <= (const char *)v->logs + at);
		before = at;
	}
}

static void check_scan(const struct spool_head *h, bool damaged, unsigned built)
{
	uint64_t seq = h->first_seq - 1, n = 0, found;
	size_t at = sizeof(*h), bytes, got;
	struct spool_scan scan;
	struct spool_view v;
	bool later = false;

	spool_read_scan(file, file_len, h, &scan);
	while ((bytes = right_record(at, h)) > 0) {
		memcpy(&found, file + at + offsetof(struct spool_record, seq),
		       sizeof(found));
		if (found != seq + 1)
			break;
		tl_assert(spool_read_record(file + at, file_len - at, h, &v,
					    &got) == SPOOL_ITEM);
		tl_assert(got == bytes);
		check_logs(&v);
		at += bytes;
		seq++;
		n++;
	}
	for (size_t x = at; x < file_len && !later; x += 8)
		later = right_record(x, h) > 0;
	tl_assert(scan.n_records == n && scan.last_seq == seq);
	tl_assert(scan.good_bytes == at);
	tl_assert(scan.damaged == later);
	tl_assert(scan.torn == (at < file_len && !later));
	tl_assert(damaged || (n == built && at == file_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_bytes b = { data, size };
	struct spool_head h;
	unsigned want;
	bool damaged;

	build_head(&b);
	memcpy(&h, file, sizeof(h));
	want = fuzz_u8(&b) % (RECORDS_MAX + 1);
	for (unsigned i = 0; i < want; i++)
		build_record(&b, h.first_seq + i);
	damaged = damage(&b);
	if (spool_read_head(file, file_len, &h, NULL) != TL_OK) {
		tl_assert(damaged);
		return 0;
	}
	tl_assert(crc_slow(0, file, offsetof(struct spool_head, crc)) == h.crc);
	tl_assert(h.first_seq > 0 &&
		  memchr(h.node, '\0', sizeof(h.node)) != NULL);
	check_scan(&h, damaged, want);
	return 0;
}
