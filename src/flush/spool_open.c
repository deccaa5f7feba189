#include "flush/spool_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

static bool file_before(const struct spool *sp, const struct spool_file *a,
			const struct spool_file *b)
{
	bool a_mine = a->head.epoch == sp->epoch;
	bool b_mine = b->head.epoch == sp->epoch;

	if (a_mine != b_mine)
		return b_mine;
	if (a->head.epoch != b->head.epoch)
		return a->head.epoch < b->head.epoch;
	return a->head.first_seq < b->head.first_seq;
}

void spool_file_insert(struct spool *sp, struct spool_file *f)
{
	struct tl_list *pos = sp->files.prev;

	while (pos != &sp->files && file_before(sp, f, FILE_OF(pos)))
		pos = pos->prev;
	tl_list_prepend(pos, &f->link); /* behind pos */
}

void spool_file_name(uint64_t epoch, uint64_t first_seq,
		     char dst[FILE_NAME_LEN + 1])
{
	snprintf(dst, FILE_NAME_LEN + 1, "%016" PRIx64 ".%016" PRIx64, epoch,
		 first_seq);
}

/* What can not be read must neither stop us nor get lost. */
static void file_rename_bad(const struct spool *sp, const char *name,
			    const char *why)
{
	char bad[FILE_NAME_LEN + 8];

	snprintf(bad, sizeof(bad), "%.*s.bad", FILE_NAME_LEN, name);
	if (renameat(sp->dir_fd, name, sp->dir_fd, bad) < 0)
		log_error("spool file '%s/%s' is unreadable (%s) and could "
			  "not be renamed",
			  sp->dir, name, why);
	else
		log_error("spool file '%s/%s' is unreadable (%s); kept as "
			  "'%s', its usage is not delivered",
			  sp->dir, name, why, bad);
}

/* A file's head, or why not; an empty one is of no use and goes. */
static void file_add(struct spool *sp, const char *name)
{
	struct spool_file *f = tl_alloc(sizeof(*f));
	uint8_t raw[sizeof(struct spool_head)];
	char want[FILE_NAME_LEN + 1];
	struct tl_err err;
	struct stat sb;
	ssize_t n;
	int fd;

	fd = openat(sp->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &sb) < 0) {
		tl_err_sys(&err, "open");
		goto bad;
	}
	n = pread(fd, raw, sizeof(raw), 0);
	if (n >= 0 && sb.st_size <= (off_t)sizeof(raw)) {
		/* Killed before the first record was there: confirmed is
		 * nothing that stood here. */
		log_info("spool file '%s/%s' holds no record; removed", sp->dir,
			 name);
		unlinkat(sp->dir_fd, name, 0);
		goto out;
	}
	if (spool_read_head(raw, n < 0 ? 0 : (size_t)n, &f->head, &err) !=
	    TL_OK)
		goto bad;
	spool_file_name(f->head.epoch, f->head.first_seq, want);
	if (strcmp(want, name) != 0) {
		tl_err_set(&err, TL_BROKEN, "its head belongs to '%s'", want);
		goto bad;
	}
	memcpy(f->name, want, sizeof(f->name));
	f->bytes = (uint64_t)sb.st_size;
	spool_file_insert(sp, f);
	f = NULL;
	goto out;
bad:
	file_rename_bad(sp, name, err.text);
out:
	if (fd >= 0)
		close(fd);
	tl_free(f);
}

static bool is_file_name(const char *name)
{
	uint64_t word;

	return strlen(name) == FILE_NAME_LEN && name[16] == '.' &&
	       tl_unhex((struct tl_str){ name, 16 }, &word, sizeof(word)) &&
	       tl_unhex((struct tl_str){ name + 17, 16 }, &word, sizeof(word));
}

static enum tl_status list_files(struct spool *sp, struct tl_err *err)
{
	struct dirent *de;
	DIR *d = opendir(sp->dir);

	if (d == NULL)
		return tl_err_sys(err, "read directory '%s'", sp->dir);
	while ((de = readdir(d)) != NULL) {
		if (is_file_name(de->d_name))
			file_add(sp, de->d_name);
	}
	closedir(d);
	return TL_OK;
}

/*
 * The newest file of an epoch is the only one that can end in a torn record.
 * A damaged one is left as it is: delivery stops there, see spool_peek.
 */
static enum tl_status tail_check(struct spool *sp, struct spool_file *f,
				 struct tl_err *err)
{
	struct spool_scan scan;
	char *path = tl_asprintf("%s/%s", sp->dir, f->name), *data = NULL;
	size_t len;
	enum tl_status st;
	int fd = -1;

	st = tl_file_read(path, (size_t)f->bytes, &data, &len, err);
	if (st != TL_OK)
		goto out;
	spool_read_scan(data, len, &f->head, &scan);
	f->n_records = scan.n_records;
	f->last_seq = scan.last_seq;
	if (scan.damaged) {
		log_error("spool file '%s' is damaged at byte %zu", path,
			  scan.good_bytes);
		goto out;
	}
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		st = tl_err_sys(err, "open '%s'", path);
		goto out;
	}
	if (scan.torn) {
		log_warn("spool file '%s': cut %zu bytes of an unfinished "
			 "write behind batch %" PRIu64,
			 path, len - scan.good_bytes, scan.last_seq);
		if (ftruncate(fd, (off_t)scan.good_bytes) < 0)
			st = tl_err_sys(err, "cut '%s'", path);
	}
	f->bytes = scan.good_bytes;
	/* A predecessor may have died between its write and its sync. */
	if (st == TL_OK && fdatasync(fd) < 0)
		st = tl_err_sys(err, "sync '%s'", path);
out:
	if (fd >= 0)
		close(fd);
	tl_free(data);
	tl_free(path);
	return st;
}

static enum tl_status check_files(struct spool *sp, struct tl_err *err)
{
	struct tl_list *pos, *tmp;
	enum tl_status st;

	TL_LIST_EACH(pos, tmp, &sp->files)
	{
		struct spool_file *f = FILE_OF(pos), *next;

		if (pos->next != &sp->files) {
			next = FILE_OF(pos->next);
			if (next->head.epoch == f->head.epoch) {
				f->last_seq = next->head.first_seq - 1;
				f->n_records = next->head.first_seq -
					       f->head.first_seq;
				continue;
			}
		}
		st = tail_check(sp, f, err);
		if (st != TL_OK)
			return st;
		if (f->n_records == 0 && f->bytes == sizeof(f->head)) {
			unlinkat(sp->dir_fd, f->name, 0);
			tl_list_unlink(&f->link);
			tl_free(f);
		}
	}
	return TL_OK;
}

enum tl_status spool_open(const struct spool_opts *o, struct spool **sp_r,
			  struct tl_err *err)
{
	struct spool *sp = tl_alloc(sizeof(*sp));
	enum tl_status st;

	tl_list_init(&sp->files);
	sp->dir = tl_asprintf("%s/spool", o->state_dir);
	sp->epoch = o->epoch;
	sp->max_bytes = o->max_bytes;
	sp->file_bytes = o->file_bytes != 0 ? o->file_bytes : SPOOL_FILE_BYTES;
	snprintf(sp->node, sizeof(sp->node), "%s", o->node);
	sp->append_fd = sp->read_fd = sp->dir_fd = -1;
	sp->buf = tl_alloc(sizeof(struct spool_record) + SPOOL_BODY_MAX);
	st = tl_mkdirs(sp->dir, 0750, err);
	if (st != TL_OK)
		goto out;
	sp->dir_fd = open(sp->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sp->dir_fd < 0) {
		st = tl_err_sys(err, "open directory '%s'", sp->dir);
		goto out;
	}
	st = list_files(sp, err);
	if (st == TL_OK)
		st = check_files(sp, err);
out:
	if (st != TL_OK) {
		spool_close(&sp);
		return st;
	}
	*sp_r = sp;
	return TL_OK;
}

void spool_close(struct spool **spp)
{
	struct spool *sp = *spp;
	struct tl_list *pos, *tmp;

	if (sp == NULL)
		return;
	TL_LIST_EACH(pos, tmp, &sp->files)
	tl_free(FILE_OF(pos));
	if (sp->append_fd >= 0)
		close(sp->append_fd);
	if (sp->read_fd >= 0)
		close(sp->read_fd);
	if (sp->dir_fd >= 0)
		close(sp->dir_fd);
	tl_free(sp->buf);
	tl_free(sp->dir);
	tl_freep(spp);
}
