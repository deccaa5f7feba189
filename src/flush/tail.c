#include "flush/tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "flush/spool_read.h"
#include "shm/usage.h"

#define SPOOL_NAME_LEN 33 /* 16 hex, a dot, 16 hex */
#define READ_TRIES     1000

/* One place of one key, of one day. */
struct cell {
	uint8_t user_id[16], key_id[16];
	uint32_t key, key_gen, day;
	uint64_t count[SHM_METRICS];  /* 0: of another day, or nothing */
	uint64_t handed[SHM_METRICS]; /* how far it is known to be elsewhere */
	uint64_t last_used_ms;
};
struct file {
	int fd;
	size_t bytes; /* when it was listed */
	struct spool_head head;
	char name[SPOOL_NAME_LEN + 1];
};
struct tail {
	uint64_t epoch; /* of the segment; 0: there is none */
	struct tail_epoch *epochs;
	uint32_t n_epochs;
	struct cell *cells; /* by key */
	size_t n_cells, cap_cells;
	struct shm_idem_record *idems;
	size_t n_idems;
	struct shm_batch *slots[SHM_BATCHES]; /* NULL: was not sealed */
	struct file *files;
	size_t n_files;
};

static uint64_t last_seq(const struct tail *t, const char *node, uint64_t epoch)
{
	for (uint32_t i = 0; i < t->n_epochs; i++) {
		if (t->epochs[i].epoch == epoch &&
		    strcmp(t->epochs[i].node, node) == 0)
			return t->epochs[i].last_seq;
	}
	return 0; /* it never had a connection */
}

/* ---- the segment ---- */

/* One that is confirmed while we copy says nothing that `flushed` does not. */
static struct shm_batch *copy_slot(const struct shm *s,
				   const struct shm_batch *b)
{
	struct shm_batch *copy;

	if (atomic_load(&b->state) != SHM_B_SEALED)
		return NULL;
	copy = tl_memdup(b, sizeof(*b));
	if (atomic_load(&b->state) == SHM_B_SEALED && b->seq == copy->seq &&
	    copy->epoch == s->head->k.epoch &&
	    copy->n_records <= SHM_BATCH_RECORDS &&
	    copy->n_idems <= SHM_BATCH_IDEMS &&
	    shm_batch_crc(copy) == copy->crc)
		return copy;
	tl_free(copy);
	return NULL;
}

static struct cell *cell_new(struct tail *t)
{
	if (t->n_cells == t->cap_cells) {
		t->cap_cells = t->cap_cells == 0 ? 1024 : 2 * t->cap_cells;
		t->cells =
			tl_realloc(t->cells, t->cap_cells * sizeof(*t->cells));
	}
	memset(&t->cells[t->n_cells], 0, sizeof(*t->cells));
	return &t->cells[t->n_cells++];
}

struct word { /* a cell and what of it is confirmed, read as a pair */
	uint32_t day;
	uint64_t count, flushed;
};

/* The cell twice: its day may not change while `flushed` is read between. */
static bool read_word(const struct shm_key *k, uint32_t p, uint32_t m,
		      struct word *w_r)
{
	uint64_t before, flushed, after;

	for (int i = 0; i < READ_TRIES; i++) {
		before = atomic_load(&k->cell[p][m]);
		flushed = atomic_load(&k->flushed[p][m]);
		after = atomic_load(&k->cell[p][m]);
		if (shm_period_of(before) != shm_period_of(after))
			continue;
		*w_r = (struct word){ .day = shm_period_of(after),
				      .count = shm_count_of(after),
				      .flushed = shm_count_in(
					      flushed, shm_period_of(after)) };
		return true;
	}
	return false;
}

/* Metrics of one place may carry different days: one struct cell for each. */
static bool read_place(struct tail *t, const struct shm *s, uint32_t key,
		       uint32_t gen, uint32_t p)
{
	const struct shm_key *k = &s->keys[key];
	uint32_t user = atomic_load(&k->user);
	struct word w[SHM_METRICS];
	struct cell *c;

	if (user >= s->n_users)
		return false;
	for (uint32_t m = 0; m < SHM_METRICS; m++) {
		if (!read_word(k, p, m, &w[m]))
			return false;
	}
	for (uint32_t m = 0; m < SHM_METRICS; m++) {
		if (w[m].count <= w[m].flushed)
			continue;
		c = cell_new(t);
		memcpy(c->user_id, s->users[user].user_id, 16);
		memcpy(c->key_id, k->key_id, 16);
		c->key = key;
		c->key_gen = gen;
		c->day = w[m].day;
		c->last_used_ms = atomic_load(&k->last_used_ms);
		for (uint32_t q = m; q < SHM_METRICS; q++) {
			if (w[q].day != c->day)
				continue;
			c->count[q] = w[q].count;
			c->handed[q] = w[q].flushed;
			w[q].count = w[q].flushed = 0;
		}
	}
	return true;
}

/* False: the entry went to another key meanwhile, look again. */
static bool read_key(struct tail *t, const struct shm *s, uint32_t key)
{
	const struct shm_key *k = &s->keys[key];
	uint64_t state = atomic_load(&k->state);
	size_t before = t->n_cells;
	bool good = true;

	if ((state & 0xff) < SHM_LIVE)
		return true; /* FREE and INIT hold nothing */
	for (uint32_t p = 0; good && p < SHM_PERIODS; p++)
		good = read_place(t, s, key, (uint32_t)(state >> 8) & 0xff, p);
	/* LIVE, DYING and RETIRED have the same words. */
	if (good && ((atomic_load(&k->state) ^ state) & 0xff00) == 0 &&
	    (atomic_load(&k->state) & 0xff) >= SHM_LIVE)
		return true;
	t->n_cells = before;
	return false;
}

static enum tl_status read_cells(struct tail *t, const struct shm *s,
				 struct tl_err *err)
{
	uint64_t fresh = atomic_load(&s->head->key_fresh);

	for (uint32_t i = 0; i < s->n_keys && i < fresh; i++) {
		int tries = 0;

		while (!read_key(t, s, i)) {
			if (++tries == READ_TRIES)
				return tl_err_set(err, TL_BUSY,
						  "a key of the segment does "
						  "not hold still");
		}
	}
	return TL_OK;
}

/* Answers that were given.  FLUSHED ones are where their charges are. */
static void read_idems(struct tail *t, const struct shm *s)
{
	t->idems = tl_alloc_array((size_t)s->n_idems + 1, sizeof(*t->idems));
	for (uint32_t i = 0; i < s->n_idems; i++) {
		const struct shm_idem *in = &s->idems[i];
		uint64_t state = atomic_load(&in->state);

		if ((state & 0xff) != SHM_I_DONE)
			continue;
		t->idems[t->n_idems] = in->rec;
		/* Evicted and filled anew meanwhile: it was FLUSHED. */
		if ((atomic_load(&in->state) & 0xff) >= SHM_I_DONE)
			t->n_idems++;
	}
}

static enum tl_status read_segment(struct tail *t, const struct shm *s,
				   const uint8_t database_id[16],
				   struct tl_err *err)
{
	uint64_t id[2] = { atomic_load(&s->head->database_id[0]),
			   atomic_load(&s->head->database_id[1]) };
	enum tl_status st;

	if (memcmp(id, database_id, sizeof(id)) != 0)
		return TL_OK;
	t->epoch = s->head->k.epoch;
	for (uint32_t i = 0; i < SHM_BATCHES; i++)
		t->slots[i] = copy_slot(s, &s->batches[i]);
	st = read_cells(t, s, err);
	if (st == TL_OK)
		read_idems(t, s);
	return st;
}

/* ---- the spool ---- */

static enum tl_status add_file(struct tail *t, int dir_fd, const char *name,
			       const uint8_t database_id[16],
			       struct tl_err *err)
{
	struct file f = { .fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC) };
	enum tl_status st = TL_OK;
	struct stat sb;

	if (f.fd < 0 && errno == ENOENT)
		return TL_OK; /* delivered before the lock, removed now */
	if (f.fd < 0 || fstat(f.fd, &sb) < 0) {
		st = tl_err_sys(err, "open spool file '%s'", name);
		goto out;
	}
	f.bytes = (size_t)sb.st_size;
	memcpy(f.name, name, SPOOL_NAME_LEN);
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
	return strlen(name) == SPOOL_NAME_LEN && name[16] == '.' &&
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

enum tl_status tail_take(const struct shm *s, const char *state_dir,
			 const uint8_t database_id[16],
			 const struct tail_epoch *epochs, uint32_t n_epochs,
			 struct tail **tail_r, struct tl_err *err)
{
	struct tail *t = tl_alloc(sizeof(*t));
	enum tl_status st = TL_OK;

	t->epochs = tl_alloc_array((size_t)n_epochs + 1, sizeof(*epochs));
	if (n_epochs > 0)
		memcpy(t->epochs, epochs, n_epochs * sizeof(*epochs));
	t->n_epochs = n_epochs;
	if (s != NULL)
		st = read_segment(t, s, database_id, err);
	if (st == TL_OK)
		st = list_spool(t, state_dir, database_id, err);
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
	const struct cell *b = item;

	return (*a > b->key) - (*a < b->key);
}

/* That much of the record's cells is elsewhere. */
static void raise_handed(struct tail *t, const struct shm_record *r)
{
	struct cell *end = t->cells + t->n_cells;
	struct cell *c = NULL;

	if (t->n_cells > 0)
		c = bsearch(&r->key, t->cells, t->n_cells, sizeof(*c),
			    cell_cmp);
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

static void use_slots(struct tail *t, const char *node)
{
	uint64_t last = last_seq(t, node, t->epoch);

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
	return st;
}

static enum tl_status use_file(struct tail *t, const struct file *f,
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

static enum tl_status give_cell(const struct cell *c,
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

enum tl_status tail_read(struct tail *t, const struct tail_sink *sink,
			 struct tl_err *err)
{
	enum tl_status st = TL_OK;

	for (uint32_t i = 0; i < t->n_epochs; i++) {
		if (t->epoch != 0 && t->epochs[i].epoch == t->epoch)
			use_slots(t, t->epochs[i].node);
	}
	for (size_t i = 0; st == TL_OK && i < t->n_files; i++)
		st = use_file(t, &t->files[i], sink, err);
	for (size_t i = 0; st == TL_OK && i < t->n_cells; i++)
		st = give_cell(&t->cells[i], sink, err);
	for (size_t i = 0; st == TL_OK && i < t->n_idems; i++)
		st = sink->idem(sink->arg, &t->idems[i], err);
	return st;
}

void tail_free(struct tail **tp)
{
	struct tail *t = *tp;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n_files; i++)
		close(t->files[i].fd);
	for (uint32_t i = 0; i < SHM_BATCHES; i++)
		tl_free(t->slots[i]);
	tl_free(t->files);
	tl_free(t->idems);
	tl_free(t->cells);
	tl_free(t->epochs);
	tl_freep(tp);
}
