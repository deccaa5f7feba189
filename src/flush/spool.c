#include "flush/spool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

static bool same_database(const struct spool_file *f, const uint8_t *id)
{
	return id == NULL || memcmp(f->head.database_id, id, 16) == 0;
}

/* ---- appending ---- */

/* The last file of this epoch that is there, whether open or not. */
static struct spool_file *newest(const struct spool *sp)
{
	struct spool_file *f;

	if (tl_list_empty(&sp->files))
		return NULL;
	f = FILE_OF(sp->files.prev);
	return f->head.epoch == sp->epoch ? f : NULL;
}

static void append_end(struct spool *sp)
{
	if (sp->append_fd >= 0)
		close(sp->append_fd);
	sp->append_fd = -1;
	sp->append = NULL;
}

static enum tl_status file_make(struct spool *sp, const uint8_t id[16],
				uint64_t seq, struct tl_err *err)
{
	struct spool_file *f = tl_alloc(sizeof(*f));

	memcpy(f->head.magic, SPOOL_MAGIC, sizeof(f->head.magic));
	f->head.version = SPOOL_VERSION;
	f->head.head_bytes = sizeof(f->head);
	f->head.record_bytes = sizeof(struct shm_record);
	f->head.idem_bytes = sizeof(struct shm_idem_record);
	f->head.log_row_bytes = sizeof(struct shm_log_row);
	f->head.epoch = sp->epoch;
	f->head.first_seq = seq;
	memcpy(f->head.database_id, id, 16);
	memcpy(f->head.node, sp->node, sizeof(f->head.node));
	f->head.made_at_ms = (uint64_t)tl_wall_us() / 1000;
	f->head.crc = spool_head_crc(&f->head);
	f->bytes = sizeof(f->head);
	f->last_seq = seq - 1;
	spool_file_name(sp->epoch, seq, f->name);
	sp->append_fd = openat(sp->dir_fd, f->name,
			       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (sp->append_fd < 0) {
		tl_free(f);
		return tl_err_sys(err, "make spool file in '%s'", sp->dir);
	}
	if (tl_write_all(sp->append_fd, &f->head, sizeof(f->head), err) !=
		    TL_OK ||
	    fsync(sp->dir_fd) < 0) {
		tl_err_sys(err, "begin spool file '%s/%s'", sp->dir, f->name);
		unlinkat(sp->dir_fd, f->name, 0);
		tl_free(f);
		append_end(sp);
		return TL_SYSTEM;
	}
	spool_file_insert(sp, f);
	sp->append = f;
	return TL_OK;
}

/* Gives a file that takes `more` bytes, open for writing at its end. */
static enum tl_status append_begin(struct spool *sp, const uint8_t id[16],
				   uint64_t seq, uint64_t more,
				   struct tl_err *err)
{
	struct spool_file *f = newest(sp);

	if (f == NULL || f->aside || !same_database(f, id) ||
	    f->bytes + more > sp->file_bytes) {
		append_end(sp);
		return file_make(sp, id, seq, err);
	}
	if (sp->append == f)
		return TL_OK;
	append_end(sp);
	sp->append_fd = openat(sp->dir_fd, f->name, O_WRONLY | O_CLOEXEC);
	if (sp->append_fd < 0)
		return tl_err_sys(err, "open '%s/%s'", sp->dir, f->name);
	sp->append = f;
	return TL_OK;
}

static enum tl_status sync_measured(struct spool *sp, struct tl_err *err)
{
	uint64_t from = tl_mono_ns(), us;

	if (fdatasync(sp->append_fd) < 0)
		return tl_err_sys(err, "sync '%s/%s'", sp->dir,
				  sp->append->name);
	us = (tl_mono_ns() - from) / 1000;
	sp->appends++;
	sp->sync_us_total += us;
	if (us > sp->sync_us_max)
		sp->sync_us_max = us;
	return TL_OK;
}

static enum tl_status write_parts(struct spool *sp,
				  const struct spool_record *rec,
				  const struct shm_batch *b, struct tl_err *err)
{
	const struct {
		const void *p;
		size_t len;
	} part[] = {
		{ rec, sizeof(*rec) },
		{ b->records, b->n_records * sizeof(b->records[0]) },
		{ b->idems, b->n_idems * sizeof(b->idems[0]) },
		{ b->logs, b->log_bytes },
	};
	enum tl_status st;

	if (lseek(sp->append_fd, (off_t)sp->append->bytes, SEEK_SET) < 0)
		return tl_err_sys(err, "seek in '%s/%s'", sp->dir,
				  sp->append->name);
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		st = tl_write_all(sp->append_fd, part[i].p, part[i].len, err);
		if (st != TL_OK)
			return tl_err_wrap(err, "write '%s/%s'", sp->dir,
					   sp->append->name);
	}
	return sync_measured(sp, err);
}

static void cut(struct spool *sp)
{
	sp->cut_due = ftruncate(sp->append_fd, (off_t)sp->append->bytes) < 0;
}

static uint64_t bytes_of(const struct spool *sp, const uint8_t *id)
{
	struct spool_stat st;

	spool_stat(sp, id, &st);
	return st.bytes;
}

enum tl_status spool_append(struct spool *sp, const uint8_t database_id[16],
			    const struct shm_batch *b, struct tl_err *err)
{
	struct spool_record rec = { .epoch = sp->epoch,
				    .seq = b->seq,
				    .scan_gen = b->scan_gen,
				    .n_records = b->n_records,
				    .n_idems = b->n_idems,
				    .n_logs = b->n_logs,
				    .log_bytes = b->log_bytes };
	const struct spool_file *last = newest(sp);
	uint64_t bytes;
	enum tl_status st;

	tl_assert(b->epoch == sp->epoch && b->seq > 0);
	if (last != NULL && b->seq <= last->last_seq)
		return TL_OK; /* written by one who died before the confirm */
	if (last != NULL && b->seq != last->last_seq + 1)
		return tl_err_set(err, TL_BROKEN,
				  "batch %" PRIu64 " does not follow batch "
				  "%" PRIu64 " in spool file '%s/%s'",
				  b->seq, last->last_seq, sp->dir, last->name);
	if (sp->cut_due) {
		cut(sp);
		if (sp->cut_due)
			return tl_err_sys(err, "cut '%s/%s'", sp->dir,
					  sp->append->name);
	}
	rec.body_bytes = (uint32_t)(b->n_records * sizeof(b->records[0]) +
				    b->n_idems * sizeof(b->idems[0]) +
				    b->log_bytes);
	memcpy(rec.node, sp->node, sizeof(rec.node));
	rec.crc = spool_record_crc(&rec, b->records, b->idems, b->logs);
	bytes = sizeof(rec) + rec.body_bytes;
	if (bytes_of(sp, database_id) + bytes > sp->max_bytes)
		return tl_err_set(err, TL_FULL,
				  "spool '%s' is at its limit of %" PRIu64
				  " MiB",
				  sp->dir, sp->max_bytes >> 20);
	st = append_begin(sp, database_id, b->seq, bytes, err);
	if (st != TL_OK)
		return st;
	st = write_parts(sp, &rec, b, err);
	if (st != TL_OK) {
		cut(sp);
		return st;
	}
	sp->append->bytes += bytes;
	sp->append->last_seq = b->seq;
	sp->append->n_records++;
	return TL_OK;
}

/* ---- delivering ---- */

static void read_end(struct spool *sp)
{
	if (sp->read_fd >= 0)
		close(sp->read_fd);
	sp->read_fd = -1;
	sp->read = NULL;
	sp->peeked_bytes = 0;
}

/*
 * All of it is in the database.  No fsync of the directory: a file that comes
 * back after a power cut is sent once more and changes nothing.
 */
static void file_remove(struct spool *sp, struct spool_file *f)
{
	if (unlinkat(sp->dir_fd, f->name, 0) < 0 && errno != ENOENT)
		log_warn("spool file '%s/%s' is delivered but could not be "
			 "removed",
			 sp->dir, f->name);
	if (sp->append == f)
		append_end(sp);
	if (sp->read == f)
		read_end(sp);
	tl_list_unlink(&f->link);
	tl_free(f);
}

static struct spool_file *first_for(struct spool *sp, const uint8_t id[16])
{
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &sp->files)
	{
		if (!FILE_OF(pos)->aside && same_database(FILE_OF(pos), id))
			return FILE_OF(pos);
	}
	return NULL;
}

static enum tl_status read_begin(struct spool *sp, struct spool_file *f,
				 struct tl_err *err)
{
	if (sp->read == f)
		return TL_OK;
	read_end(sp);
	sp->read_fd = openat(sp->dir_fd, f->name, O_RDONLY | O_CLOEXEC);
	if (sp->read_fd < 0)
		return tl_err_sys(err, "open '%s/%s'", sp->dir, f->name);
	sp->read = f;
	sp->read_at = sizeof(f->head);
	sp->read_seq = f->head.first_seq;
	return TL_OK;
}

/* The head of a record says how long it is, then all of it is read. */
static enum tl_status read_record(struct spool *sp, struct spool_view *view_r,
				  struct tl_err *err)
{
	struct spool_file *f = sp->read;
	size_t len = sizeof(struct spool_record), want = len;
	enum spool_item item = SPOOL_SHORT;
	enum tl_status st;

	while (item == SPOOL_SHORT && sp->read_at + want <= f->bytes) {
		len = want;
		st = tl_pread_all(sp->read_fd, sp->buf, len, (off_t)sp->read_at,
				  err);
		if (st != TL_OK)
			return tl_err_wrap(err, "spool file '%s/%s'", sp->dir,
					   f->name);
		item = spool_read_record(sp->buf, len, &f->head, view_r, &want);
	}
	if (item != SPOOL_ITEM || view_r->rec->seq != sp->read_seq)
		return tl_err_set(err, TL_BROKEN,
				  "spool file '%s/%s' is damaged at byte "
				  "%" PRIu64 ", batch %" PRIu64,
				  sp->dir, f->name, sp->read_at, sp->read_seq);
	sp->peeked_bytes = want;
	return TL_OK;
}

enum tl_status spool_peek(struct spool *sp, const uint8_t database_id[16],
			  struct spool_view *view_r, uint64_t *epoch_r,
			  struct tl_err *err)
{
	struct spool_file *f;
	enum tl_status st;

	while ((f = first_for(sp, database_id)) != NULL) {
		st = read_begin(sp, f, err);
		if (st == TL_OK && sp->read_at == f->bytes) {
			file_remove(sp, f);
			continue;
		}
		if (st == TL_OK)
			st = read_record(sp, view_r, err);
		if (st != TL_OK)
			*epoch_r = f->head.epoch;
		return st;
	}
	return tl_err_set(err, TL_NOT_FOUND, "the spool is empty");
}

void spool_drop(struct spool *sp)
{
	struct spool_file *f = sp->read;

	tl_assert(f != NULL && sp->peeked_bytes > 0);
	sp->read_at += sp->peeked_bytes;
	sp->peeked_bytes = 0;
	sp->read_seq++;
	f->n_records--;
	if (sp->read_at == f->bytes)
		file_remove(sp, f);
}

void spool_set_aside(struct spool *sp, uint64_t epoch)
{
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &sp->files)
	{
		if (FILE_OF(pos)->head.epoch == epoch)
			FILE_OF(pos)->aside = true;
	}
}

uint32_t spool_report_foreign(const struct spool *sp,
			      const uint8_t database_id[16])
{
	struct tl_list *pos, *tmp;
	struct tl_uuid id;
	char text[TL_UUID_TEXT];
	uint32_t n = 0;

	TL_LIST_EACH(pos, tmp, &sp->files)
	{
		const struct spool_file *f = FILE_OF(pos);

		if (same_database(f, database_id))
			continue;
		memcpy(id.b, f->head.database_id, sizeof(id.b));
		tl_uuid_format(&id, text);
		log_error("spool file '%s/%s' holds %" PRIu64 " batches of "
			  "database %s, which is not the one we are connected "
			  "to; left aside, delivered when that one is back",
			  sp->dir, f->name, f->n_records, text);
		n++;
	}
	return n;
}

void spool_stat(const struct spool *sp, const uint8_t *database_id,
		struct spool_stat *st_r)
{
	struct spool_stat st = { .max_bytes = sp->max_bytes,
				 .appends = sp->appends,
				 .sync_us_total = sp->sync_us_total,
				 .sync_us_max = sp->sync_us_max };
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &sp->files)
	{
		const struct spool_file *f = FILE_OF(pos);

		if (f->aside || !same_database(f, database_id))
			continue;
		st.bytes += f->bytes;
		st.records += f->n_records;
		if (f->head.epoch != sp->epoch)
			st.old_records += f->n_records;
		else
			st.last_seq = f->last_seq;
	}
	*st_r = st;
}
