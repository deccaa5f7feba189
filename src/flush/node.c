/*
 * Who we are to the database.  Asked at the first contact and again after
 * every failure: behind the same address may be another server by then.
 */
#include "flush/flush_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/q_flush.h"
#include "store/q_instance.h"

bool node_database_known(const struct flush *f)
{
	static const uint8_t unknown[16];

	return memcmp(f->database_id, unknown, sizeof(unknown)) != 0;
}

enum tl_status node_same_database(struct pg *pg, const uint8_t id[16],
				  struct tl_err *err)
{
	struct q_instance_get_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_instance_get(pg, &arena, &row, err);
	tl_arena_deinit(&arena);
	if (st == TL_OK && memcmp(row.database_id.b, id, 16) != 0)
		st = tl_err_set(err, TL_DENIED, "this is another database");
	return st;
}

/* The first contact of a fresh segment binds it; any other must agree. */
static enum tl_status bind_database(struct flush *f, const struct tl_uuid *id,
				    struct tl_err *err)
{
	struct shm_head *head = f->shm->head;
	char ours[TL_UUID_TEXT], theirs[TL_UUID_TEXT];
	struct tl_uuid held;
	uint64_t word[2];

	if (node_database_known(f)) {
		if (memcmp(f->database_id, id->b, sizeof(id->b)) == 0)
			return TL_OK;
		memcpy(held.b, f->database_id, sizeof(held.b));
		tl_uuid_format(&held, ours);
		tl_uuid_format(id, theirs);
		return tl_err_set(err, TL_DENIED,
				  "the segment belongs to database %s, but "
				  "connected is %s; its usage is not delivered "
				  "there",
				  ours, theirs);
	}
	memcpy(word, id->b, sizeof(word));
	/* [0] is the last and says that both are there. */
	atomic_store(&head->database_id[1], word[1]);
	atomic_store(&head->database_id[0], word[0]);
	memcpy(f->database_id, id->b, sizeof(f->database_id));
	return TL_OK;
}

static enum tl_status open_node(struct flush *f, struct tl_arena *arena,
				struct tl_err *err)
{
	uint64_t next = atomic_load(&f->shm->head->next_seq);
	struct q_flush_node_open_row row;
	enum tl_status st;

	st = q_flush_node_open(
		f->pg,
		&(struct q_flush_node_open_params){
			.node = tl_str_c(f->node),
			.epoch = (int64_t)f->shm->head->k.epoch },
		arena, &row, err);
	if (st == TL_CONFLICT)
		return tl_err_set(err, TL_DENIED,
				  "another segment runs under node id '%s', "
				  "which must be unique",
				  f->node);
	if (st == TL_OK && (uint64_t)row.last_seq >= next && next > 0)
		return tl_err_set(err, TL_DENIED,
				  "the database holds batch %" PRId64
				  " of this segment, whose next is %" PRIu64,
				  row.last_seq, next);
	return st;
}

enum tl_status node_visit(struct flush *f, struct tl_err *err)
{
	struct q_instance_get_row row;
	struct tl_arena arena;
	enum tl_status st;

	tl_arena_init(&arena);
	st = q_instance_get(f->pg, &arena, &row, err);
	if (st == TL_OK)
		st = bind_database(f, &row.database_id, err);
	if (st == TL_OK)
		st = open_node(f, &arena, err);
	tl_arena_deinit(&arena);
	if (st == TL_DENIED)
		flush_fail(f, "%s", err->text);
	if (st != TL_OK)
		return st;
	f->home = true;
	if (!f->foreign_told)
		spool_report_foreign(f->spool, f->database_id);
	f->foreign_told = true;
	return TL_OK;
}
