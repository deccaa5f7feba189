#include "flush/tail_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "shm/reqlog.h"

#define STILL_TRIES 200

static uint64_t last_seq(const struct tail *t, const char *node, uint64_t epoch)
{
	for (uint32_t i = 0; i < t->n_epochs; i++) {
		if (t->epochs[i].epoch == epoch &&
		    strcmp(t->epochs[i].node, node) == 0)
			return t->epochs[i].last_seq;
	}
	return 0; /* it never had a connection */
}

/* ---- the spool ---- */

static enum tl_status add_file(struct tail *t, int dir_fd, const char *name,
			       const uint8_t database_id[16],
			       struct tl_err *err)
{
	struct tail_file f = { .fd = openat(dir_fd, name,
					    O_RDONLY | O_CLOEXEC) };
	enum tl_status st = TL_OK;
	struct stat sb;

	if (f.fd < 0 && errno == ENOENT)
		return TL_OK; /* delivered before the lock, removed now */
	if (f.fd < 0 || fstat(f.fd, &sb) < 0) {
		st = tl_err_sys(err, "open spool file '%s'", name);
		goto out;
	}
	f.bytes = (size_t)sb.st_size;
	memcpy(f.name, name, TAIL_NAME_LEN);
	if (f.bytes < sizeof(f.head))
		goto out; /* just being made */
	st = tl_pread_all(f.fd, &f.head, sizeof(f.head), 0, err);
	if (st == TL_OK)
		st = spool_read_head(&f.head, sizeof(f.head), &f.head, err);
	if (st != TL_OK) {
		(void)!tl_err_wrap(err, "spool file '%s'", name);
		goto out;
	}
	if (memcmp(f.head.database_id, database_id, 16) != 0)
		goto out;
	t->files = tl_realloc(t->files, (t->n_files + 1) * sizeof(*t->files));
	t->files[t->n_files++] = f;
	f.fd = -1;
out:
	if (f.fd >= 0)
		close(f.fd);
	return st;
}

static bool is_file_name(const char *name)
{
	return strlen(name) == TAIL_NAME_LEN && name[16] == '.' &&
	       strspn(name, "0123456789abcdef") == 16 &&
	       strspn(name + 17, "0123456789abcdef") == 16;
}

static enum tl_status list_spool(struct tail *t, const char *state_dir,
				 const uint8_t database_id[16],
				 struct tl_err *err)
{
	char *path = tl_asprintf("%s/spool", state_dir);
	enum tl_status st = TL_OK;
	const struct dirent *de;
	DIR *d = opendir(path);

	if (d == NULL && errno != ENOENT)
		st = tl_err_sys(err, "read directory '%s'", path);
	while (d != NULL && st == TL_OK && (de = readdir(d)) != NULL) {
		if (is_file_name(de->d_name))
			st = add_file(t, dirfd(d), de->d_name, database_id,
				      err);
	}
	if (d != NULL)
		closedir(d);
	tl_free(path);
	return st;
}

static void forget_spool(struct tail *t)
{
	for (size_t i = 0; i < t->n_files; i++)
		close(t->files[i].fd);
	tl_freep(&t->files);
	t->n_files = 0;
}

/* The segment, when it is this database's. */
static bool ours(const struct shm *s, const uint8_t database_id[16])
{
	uint64_t id[2];

	if (s == NULL)
		return false;
	id[0] = atomic_load(&s->head->database_id[0]);
	id[1] = atomic_load(&s->head->database_id[1]);
	return memcmp(id, database_id, sizeof(id)) == 0;
}

/* *still_r: no batch was sealed or confirmed meanwhile. */
static enum tl_status take_once(struct tail *t, const struct shm *s,
				const char *state_dir,
				const uint8_t database_id[16], bool *still_r,
				struct tl_err *err)
{
	struct tail_mark before = { .next_seq = 0 }, after = before;
	enum tl_status st = TL_OK;

	if (s != NULL) {
		before = tail_mark_of(s);
		st = tail_segment_read(t, s, err);
	}
	if (st == TL_OK)
		st = list_spool(t, state_dir, database_id, err);
	if (s != NULL)
		after = tail_mark_of(s);
	*still_r = memcmp(&before, &after, sizeof(before)) == 0;
	return st;
}

enum tl_status tail_take(const struct shm *s, const char *state_dir,
			 const uint8_t database_id[16],
			 const struct tail_epoch *epochs, uint32_t n_epochs,
			 bool all_cells, struct tail **tail_r,
			 struct tl_err *err)
{
	static const struct timespec step = { 0, 2000000 };
	struct tail *t = tl_alloc(sizeof(*t));
	enum tl_status st = TL_OK;
	bool still = false;

	t->epochs = tl_alloc_array((size_t)n_epochs + 1, sizeof(*epochs));
	if (n_epochs > 0)
		memcpy(t->epochs, epochs, n_epochs * sizeof(*epochs));
	t->n_epochs = n_epochs;
	t->all_cells = all_cells;
	if (!ours(s, database_id))
		s = NULL;
	for (int i = 0; st == TL_OK && !still && i < STILL_TRIES; i++) {
		if (i > 0)
			(void)nanosleep(&step, NULL);
		tail_segment_forget(t);
		forget_spool(t);
		st = take_once(t, s, state_dir, database_id, &still, err);
	}
	if (st == TL_OK && !still)
		st = tl_err_set(err, TL_BUSY,
				"the flusher does not hold still for long "
				"enough; raise metering.flush_interval_ms");
	if (st == TL_OK)
		*tail_r = t;
	else
		tail_free(&t);
	return st;
}

/* ---- putting both together ---- */

static int cell_cmp(const void *key, const void *item)
{
	const uint32_t *a = key;
	const struct tail_cell *b = item;

	return (*a > b->key) - (*a < b->key);
}

/* That much of the record's cells is elsewhere. */
static void raise_handed(struct tail *t, const struct shm_record *r)
{
	struct tail_cell *end = t->cells, *c = NULL;

	if (t->n_cells > 0) {
		end += t->n_cells; /* else there are none to point into */
		c = bsearch(&r->key, t->cells, t->n_cells, sizeof(*c),
			    cell_cmp);
	}
	if (c == NULL)
		return;
	while (c > t->cells && c[-1].key == r->key)
		c--;
	for (; c < end && c->key == r->key; c++) {
		if (c->day != r->day || c->key_gen != r->key_gen ||
		    memcmp(c->key_id, r->key_id, 16) != 0)
			continue;
		for (int m = 0; m < SHM_METRICS; m++) {
			if (c->handed[m] < r->snapshot[m])
				c->handed[m] = r->snapshot[m];
		}
	}
}

static uint64_t last_seq_here(const struct tail *t)
{
	for (uint32_t i = 0; i < t->n_epochs; i++) {
		if (t->epochs[i].epoch == t->epoch)
			return t->epochs[i].last_seq;
	}
	return 0;
}

static void use_slots(struct tail *t)
{
	uint64_t last = last_seq_here(t);

	for (uint32_t i = 0; i < SHM_BATCHES; i++) {
		const struct shm_batch *b = t->slots[i];

		for (uint32_t k = 0;
		     b != NULL && b->seq <= last && k < b->n_records; k++)
			raise_handed(t, &b->records[k]);
	}
}

static enum tl_status give_record(const struct shm_record *r,
				  const struct tail_sink *sink,
				  struct tl_err *err)
{
	struct tail_usage u = { .day = r->day,
				.last_used_ms = r->last_used_ms };

	memcpy(u.user_id, r->user_id, 16);
	memcpy(u.key_id, r->key_id, 16);
	memcpy(u.delta, r->delta, sizeof(u.delta));
	return sink->usage(sink->arg, &u, err);
}

/*
 * A batch that the master made of a segment it gave up has no snapshots; the
 * segment is then replaced at once.  That it is still there means that this
 * was interrupted, and the next start does it again.
 */
static bool half_rescued(const struct tail *t, const struct spool_view *v)
{
	bool counts = false, marked = false;

	for (uint32_t i = 0; i < v->rec->n_records; i++) {
		for (int m = 0; m < SHM_METRICS; m++) {
			counts |= v->records[i].delta[m] != 0;
			marked |= v->records[i].snapshot[m] != 0;
		}
	}
	return v->rec->epoch == t->epoch && counts && !marked;
}

static enum tl_status give_logs(const void *logs, uint32_t bytes,
				const struct tail_sink *sink,
				struct tl_err *err)
{
	const struct shm_log_row *row;
	enum tl_status st = TL_OK;
	uint32_t at = 0;

	while (st == TL_OK && (row = shm_log_next(logs, bytes, &at)) != NULL)
		st = sink->log(sink->arg, row, err);
	return st;
}

static enum tl_status use_view(struct tail *t, const struct spool_view *v,
			       const struct tail_sink *sink, struct tl_err *err)
{
	bool beyond = v->rec->seq > last_seq(t, v->rec->node, v->rec->epoch);
	enum tl_status st = TL_OK;

	if (half_rescued(t, v))
		return tl_err_set(err, TL_BUSY,
				  "the rescue of a damaged segment was "
				  "interrupted; start tallyd once, which ends "
				  "it");
	for (uint32_t i = 0; st == TL_OK && i < v->rec->n_records; i++) {
		if (v->rec->epoch == t->epoch)
			raise_handed(t, &v->records[i]);
		if (beyond)
			st = give_record(&v->records[i], sink, err);
	}
	for (uint32_t i = 0; st == TL_OK && beyond && i < v->rec->n_idems; i++)
		st = sink->idem(sink->arg, &v->idems[i], err);
	if (st == TL_OK && beyond)
		st = give_logs(v->logs, v->rec->log_bytes, sink, err);
	if (v->rec->epoch == t->epoch && v->rec->seq > t->spooled_seq)
		t->spooled_seq = v->rec->seq;
	return st;
}

static enum tl_status use_file(struct tail *t, const struct tail_file *f,
			       const struct tail_sink *sink, struct tl_err *err)
{
	char *data = tl_alloc(f->bytes);
	size_t at = sizeof(f->head), bytes = 0;
	struct spool_scan scan;
	struct spool_view v;
	enum tl_status st;

	st = tl_pread_all(f->fd, data, f->bytes, 0, err);
	if (st != TL_OK)
		goto out;
	spool_read_scan(data, f->bytes, &f->head, &scan);
	if (scan.damaged) {
		st = tl_err_set(err, TL_BROKEN,
				"spool file '%s' is damaged at byte %zu; what "
				"it holds would be missing",
				f->name, scan.good_bytes);
		goto out;
	}
	while (st == TL_OK && at < scan.good_bytes) {
		if (spool_read_record(data + at, scan.good_bytes - at, &f->head,
				      &v, &bytes) != SPOOL_ITEM)
			break; /* not so a moment ago */
		st = use_view(t, &v, sink, err);
		at += bytes;
	}
out:
	tl_free(data);
	return st;
}

static enum tl_status give_cell(const struct tail_cell *c,
				const struct tail_sink *sink,
				struct tl_err *err)
{
	struct tail_usage u = { .day = c->day,
				.last_used_ms = c->last_used_ms };
	bool any = false;

	for (int m = 0; m < SHM_METRICS; m++) {
		if (c->count[m] > c->handed[m])
			u.delta[m] = c->count[m] - c->handed[m];
		any |= u.delta[m] != 0;
	}
	if (!any)
		return TL_OK;
	memcpy(u.user_id, c->user_id, 16);
	memcpy(u.key_id, c->key_id, 16);
	return sink->usage(sink->arg, &u, err);
}

/* The ring: rows of sealed batches that are neither in the snapshot nor in
 * the spool, then those that no batch holds yet. */
static enum tl_status give_ring(struct tail *t, const struct tail_sink *sink,
				struct tl_err *err)
{
	uint64_t last = last_seq_here(t);
	enum tl_status st = TL_OK;

	if (t->spooled_seq > last)
		last = t->spooled_seq;
	for (uint32_t i = 0; st == TL_OK && i < SHM_BATCHES; i++) {
		const struct shm_batch *b = t->slots[i];

		if (b != NULL && b->seq > last)
			st = give_logs(b->logs, b->log_bytes, sink, err);
	}
	for (size_t i = 0; st == TL_OK && i < t->n_logs; i++)
		st = give_logs(t->logs[i].bytes, t->logs[i].n_bytes, sink, err);
	return st;
}

enum tl_status tail_read(struct tail *t, const struct tail_sink *sink,
			 struct tl_err *err)
{
	enum tl_status st = TL_OK;

	use_slots(t);
	for (size_t i = 0; st == TL_OK && i < t->n_files; i++)
		st = use_file(t, &t->files[i], sink, err);
	for (size_t i = 0; st == TL_OK && i < t->n_cells; i++)
		st = give_cell(&t->cells[i], sink, err);
	for (size_t i = 0; st == TL_OK && i < t->n_idems; i++)
		st = sink->idem(sink->arg, &t->idems[i], err);
	return st == TL_OK ? give_ring(t, sink, err) : st;
}

void tail_counted(const struct tail *t,
		  void (*fn)(void *arg, const struct tail_counted *c),
		  void *arg)
{
	for (size_t i = 0; i < t->n_cells; i++) {
		const struct tail_cell *c = &t->cells[i];
		struct tail_counted out = { .day = c->day,
					    .base_day = c->base_day,
					    .base = c->base };

		memcpy(out.user_id, c->user_id, 16);
		memcpy(out.key_id, c->key_id, 16);
		memcpy(out.count, c->count, sizeof(out.count));
		fn(arg, &out);
	}
}

void tail_free(struct tail **tp)
{
	struct tail *t = *tp;

	if (t == NULL)
		return;
	tail_segment_forget(t);
	forget_spool(t);
	tl_free(t->epochs);
	tl_freep(tp);
}
