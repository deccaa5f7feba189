#include "tallyctl/freeze.h"

#include <time.h>

#include "base/paths.h"

#define TRIES_MAX 20 /* the master replaces its segment: once in a life */

enum tl_status freeze_file(struct tallyctl *t, struct bulk *b, const char *dir,
			   const char *name, struct bulk_rows *rows_r,
			   struct tl_err *err)
{
	return bulk_file(b,
			 tl_arena_printf(t->arena, "%s/%s/%s.sql", tl_datadir(),
					 dir, name),
			 t->arena, rows_r, err);
}

static enum tl_status read_identity(struct tallyctl *t, struct freeze *f,
				    struct tl_err *err)
{
	struct bulk_rows rows;
	enum tl_status st;

	st = freeze_file(t, f->snapshot, "backup", "snapshot", &rows, err);
	if (st != TL_OK)
		return st;
	if (rows.n != 1 || rows.n_columns != 3 ||
	    !tl_uuid_parse(rows.values[0], &f->database_id))
		return tl_err_set(err, TL_BROKEN,
				  "the database does not say which one it is");
	f->taken_at = rows.values[1];
	f->server_version = rows.values[2].ptr;
	return TL_OK;
}

static enum tl_status read_epochs(struct tallyctl *t, struct freeze *f,
				  struct tl_err *err)
{
	struct tail_epoch *list;
	struct bulk_rows rows;
	enum tl_status st;
	int64_t epoch, last;

	st = freeze_file(t, f->snapshot, "backup", "epochs", &rows, err);
	if (st != TL_OK)
		return st;
	list = tl_arena_alloc(t->arena, (rows.n + 1) * sizeof(*list));
	for (uint32_t i = 0; i < rows.n; i++) {
		const struct tl_str *v = &rows.values[(size_t)i * 3];

		if (v[0].len >= sizeof(list[i].node) ||
		    !tl_parse_i64(v[1], INT64_MIN, INT64_MAX, &epoch) ||
		    !tl_parse_i64(v[2], 0, INT64_MAX, &last))
			return tl_err_set(err, TL_BROKEN,
					  "the database's list of segments is "
					  "wrong");
		memcpy(list[i].node, v[0].ptr, v[0].len);
		list[i].epoch = (uint64_t)epoch;
		list[i].last_seq = (uint64_t)last;
	}
	f->epochs = list;
	f->n_epochs = rows.n;
	return TL_OK;
}

/* Nobody has put another one in its place since it was mapped. */
static bool still_there(struct tallyctl *t, const struct shm *s,
			uint64_t generation)
{
	const char *instance = t->conf->server.instance;
	struct shm *now = NULL;
	bool same;

	if (shm_open_reader(instance, &now, NULL) != TL_OK)
		return s == NULL;
	same = s != NULL && now->head->k.epoch == s->head->k.epoch &&
	       atomic_load(&now->head->generation) == generation &&
	       atomic_load(&s->head->generation) == generation;
	shm_close(&now);
	return same;
}

static enum tl_status take_tail(struct tallyctl *t, bool all_cells,
				const struct freeze_watch *watch,
				struct freeze *f, struct tl_err *err)
{
	struct shm *s = NULL;
	uint64_t generation = 0;
	enum tl_status st;

	st = shm_open_reader(t->conf->server.instance, &s, err);
	if (st != TL_OK && st != TL_NOT_FOUND)
		return st;
	f->has_segment = st == TL_OK;
	if (s != NULL)
		generation = atomic_load(&s->head->generation);
	if (watch != NULL)
		watch->before(watch->arg, s);
	st = tail_take(s, t->conf->server.state_dir, f->database_id.b,
		       f->epochs, f->n_epochs, all_cells, &f->tail, err);
	if (st == TL_OK && watch != NULL)
		watch->after(watch->arg, s);
	if (st == TL_OK && !still_there(t, s, generation)) {
		tail_free(&f->tail);
		st = tl_err_set(err, TL_BUSY,
				"the daemon replaced its segment meanwhile; "
				"try again");
	}
	shm_close(&s);
	return st;
}

static enum tl_status take_once(struct tallyctl *t, const char *url,
				bool all_cells,
				const struct freeze_watch *watch,
				struct freeze *f, struct tl_err *err)
{
	enum tl_status st;

	st = bulk_open(url, &f->hold, err);
	if (st == TL_OK)
		st = bulk_open(url, &f->snapshot, err);
	if (st == TL_OK)
		st = freeze_file(t, f->hold, "backup", "hold", NULL, err);
	if (st == TL_OK)
		st = read_identity(t, f, err);
	if (st == TL_OK)
		st = read_epochs(t, f, err);
	if (st == TL_OK)
		st = take_tail(t, all_cells, watch, f, err);
	bulk_close(&f->hold); /* batches go on */
	return st;
}

enum tl_status freeze_take(struct tallyctl *t, const char *url, bool all_cells,
			   const struct freeze_watch *watch, struct freeze *f_r,
			   struct tl_err *err)
{
	static const struct timespec step = { 0, 50 * 1000000L };
	struct freeze f = { 0 };
	enum tl_status st = TL_BUSY;

	for (int i = 0; st == TL_BUSY && i < TRIES_MAX; i++) {
		freeze_end(&f);
		if (i > 0)
			(void)nanosleep(&step, NULL);
		st = take_once(t, url, all_cells, watch, &f, err);
	}
	if (st == TL_OK)
		*f_r = f;
	else
		freeze_end(&f);
	return st;
}

void freeze_end(struct freeze *f)
{
	bulk_close(&f->hold);
	bulk_close(&f->snapshot);
	tail_free(&f->tail);
}
