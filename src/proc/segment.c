/*
 * segment.c - how the master comes by its segment, and what it does with one
 * that is damaged or belongs to another database.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "flush/flush.h"
#include "proc/master.h"

/* How long processes of a dead master get to notice it and finish. */
#define ORPHANS_MS 10000
#define MASTER_MS  1000

static void remembered_path(const struct master *m, char *dst, size_t size)
{
	snprintf(dst, size, "%s/database_id", m->crew->conf->server.state_dir);
}

/* The database that this state directory was last connected to. */
static bool remembered_id(const struct master *m, uint64_t id_r[2])
{
	char path[4200], *text = NULL;
	bool found = false;
	size_t len;

	remembered_path(m, path, sizeof(path));
	if (tl_file_read(path, 64, &text, &len, NULL) == TL_OK)
		found = tl_unhex(tl_str_trim(tl_str_c(text)), id_r, 16);
	tl_free(text);
	return found;
}

static enum tl_status remember_id(const struct master *m, const uint64_t id[2],
				  struct tl_err *err)
{
	uint64_t known[2];
	char path[4200], text[34];

	if (remembered_id(m, known) && memcmp(known, id, 16) == 0)
		return TL_OK;
	tl_hex(id, 16, text);
	text[32] = '\n';
	remembered_path(m, path, sizeof(path));
	return tl_file_replace(path, text, 33, 0640, err);
}

bool segment_of_this_state(const struct master *m)
{
	const struct shm_head *h = m->shm->head;
	uint64_t known[2];

	return remembered_id(m, known) &&
	       known[0] == atomic_load(&h->database_id[0]) &&
	       known[1] == atomic_load(&h->database_id[1]);
}

/* ---- processes of a master that died ------------------------------------- */

static enum tl_status await_orphans(struct master *m, struct tl_err *err)
{
	uint64_t due_mono_ms = tl_mono_ms() + ORPHANS_MS;
	bool told = false;
	uint64_t pid;

	while (shm_slots_alive(m->shm, &pid)) {
		/* One that was killed takes a moment to be gone. */
		if (pid == atomic_load(&m->shm->slots[MASTER_SLOT].pid) &&
		    tl_mono_ms() + ORPHANS_MS >= due_mono_ms + MASTER_MS)
			return tl_err_set(err, TL_BUSY,
					  "another tallyd, process %llu, works "
					  "on this segment; stop it first",
					  (unsigned long long)pid);
		if (!told)
			log_info("waiting for processes of the master before; "
				 "first %llu",
				 (unsigned long long)pid);
		told = true;
		if (tl_mono_ms() >= due_mono_ms) {
			log_warn("process %llu of the master before does not "
				 "end; killing it",
				 (unsigned long long)pid);
			kill((pid_t)pid, SIGKILL);
		}
		master_turn(m, tl_mono_ms() + 5);
		if (m->stop != STOP_NO)
			return tl_err_set(err, TL_CANCELED, "told to stop");
	}
	return TL_OK;
}

/* This release can not read it, and must not throw away what it counts. */
static void tell_other(const char *instance)
{
	char name[64];

	if (shm_other(instance, name) > 0)
		log_warn("'/dev/shm%s' was left by another release; usage "
			 "it holds reaches the database only when that release "
			 "is started and stopped once more; remove it then",
			 name);
}

/* Processes of a release with another layout need a moment to notice that
 * their master died. */
static enum tl_status open_in_time(struct master *m, enum shm_found *found_r,
				   struct tl_err *err)
{
	const char *instance = m->crew->conf->server.instance;
	struct shm_sizes z = master_sizes(m->crew->conf);
	uint64_t due_mono_ms = tl_mono_ms() + ORPHANS_MS;
	enum tl_status st = TL_BUSY;

	do {
		err->text[0] = '\0';
		/* Of several that lie there, the one that was in force. */
		if (m->former_layout != 0 &&
		    shm_take_over(instance, m->former_layout, err) == TL_BUSY)
			continue;
		st = shm_open_master(instance, &z, &m->shm, found_r, err);
		if (st != TL_BUSY)
			break;
		master_turn(m, tl_mono_ms() + 20);
	} while (m->stop == STOP_NO && tl_mono_ms() < due_mono_ms);
	return st;
}

enum tl_status segment_open(struct master *m, enum shm_found *found_r,
			    struct tl_err *err)
{
	const char *instance = m->crew->conf->server.instance;
	enum tl_status st = open_in_time(m, found_r, err);

	if (st != TL_OK)
		return tl_err_wrap(err, "segment '%s'", instance);
	if (*found_r == SHM_FOUND_OTHER && m->upgrading && !m->must_serve) {
		shm_close(&m->shm); /* the program before can use what it has */
		shm_remove(instance);
		return TL_VERSION;
	}
	if (*found_r == SHM_FOUND_OTHER) {
		log_warn("the segment of '%s' cannot be used (%s); kept aside, "
			 "a new one made",
			 instance, err->text);
	}
	tell_other(instance);
	if (*found_r == SHM_FOUND_NONE || *found_r == SHM_FOUND_OTHER)
		return TL_OK;
	return await_orphans(m, err);
}

static void take_slot(struct master *m)
{
	struct shm_slot *s = &m->shm->slots[MASTER_SLOT];

	shm_slot_take(m->shm, MASTER_SLOT, "master", 0,
		      (atomic_load(&s->identity) & 0xffffffffffffULL) + 1);
	shm_slot_set_state(m->shm, SHM_SLOT_READY);
}

enum tl_status segment_adopt(struct master *m, struct tl_err *err)
{
	enum tl_status st = shm_attach(m->crew->conf->server.instance, &m->shm,
				       err);

	if (st != TL_OK)
		return tl_err_wrap(err, "the segment of the program before");
	m->trusted = true;
	take_slot(m);
	return TL_OK;
}

/* ---- damage -------------------------------------------------------------- */

/* What it counted goes to the spool; the object stays beside for study. */
static enum tl_status segment_replace(struct master *m, struct tl_err *err)
{
	const struct conf *conf = m->crew->conf;
	struct shm_sizes z = master_sizes(conf);
	uint64_t id[2] = { atomic_load(&m->shm->head->database_id[0]),
			   atomic_load(&m->shm->head->database_id[1]) };
	struct shm *fresh = NULL;
	enum tl_status st;

	st = flush_spool_salvage(conf->server.state_dir, m->shm, err);
	if (st != TL_OK)
		return tl_err_wrap(err, "rescue of the segment's usage");
	st = shm_make_fresh(conf->server.instance, &z, &fresh, err);
	if (st != TL_OK)
		return st;
	shm_close(&m->shm);
	m->shm = fresh;
	m->trusted = false;
	atomic_store(&fresh->head->database_id[0], id[0]);
	atomic_store(&fresh->head->database_id[1], id[1]);
	log_error("a new segment was made; usage of the old one waits in the "
		  "spool, rate windows start empty");
	return TL_OK;
}

enum tl_status segment_examine(struct master *m, bool give_up, struct tl_err *err)
{
	enum tl_status st;

	if (give_up) {
		log_error("children crashed %d times in a minute; not trusting "
			  "the segment any more",
			  CRASHES_MAX);
	} else {
		st = shm_verify(m->shm, err);
		if (st == TL_OK) {
			log_info("the segment is sound");
			return TL_OK;
		}
		log_error("the segment is damaged: %s", err->text);
	}
	st = segment_replace(m, err);
	if (st == TL_OK)
		take_slot(m);
	return st;
}

/* ---- whose it is --------------------------------------------------------- */

/* Its counts belong to another database: they must not reach this one. */
static enum tl_status drop_foreign(struct master *m, struct tl_err *err)
{
	const char *instance = m->crew->conf->server.instance;
	struct shm_sizes z = master_sizes(m->crew->conf);
	enum shm_found found;

	log_warn("the segment of '%s' belongs to another database; dropping it",
		 instance);
	shm_close(&m->shm);
	shm_remove(instance);
	return shm_open_master(instance, &z, &m->shm, &found, err);
}

static enum tl_status adopt(struct master *m, enum shm_found found,
			    struct tl_err *err)
{
	const struct conf *conf = m->crew->conf;
	struct shm_sizes z = master_sizes(conf);
	enum tl_status st;

	m->trusted = true;
	if (found != SHM_FOUND_CLEAN) {
		st = shm_verify(m->shm, err);
		if (st != TL_OK) {
			log_error("the segment is damaged: %s", err->text);
			return segment_replace(m, err);
		}
	}
	if (found == SHM_FOUND_RESIZE) {
		st = shm_resize(conf->server.instance, &z, &m->shm, err);
		if (st != TL_OK)
			return tl_err_wrap(err, "change of the segment's size");
		log_info("the segment has another size now");
	}
	return TL_OK;
}

enum tl_status segment_settle(struct master *m, enum shm_found found,
			      const uint64_t id[2], struct tl_err *err)
{
	struct shm_head *h = m->shm->head;
	uint64_t bound[2] = { atomic_load(&h->database_id[0]),
			      atomic_load(&h->database_id[1]) };
	bool attached = found != SHM_FOUND_NONE && found != SHM_FOUND_OTHER;
	bool unbound = bound[0] == 0 && bound[1] == 0;
	enum tl_status st = TL_OK;

	if (attached && id != NULL && !unbound &&
	    (id[0] != bound[0] || id[1] != bound[1]))
		st = drop_foreign(m, err);
	else if (attached)
		st = adopt(m, found, err);
	if (st != TL_OK)
		return st;
	take_slot(m);
	atomic_store(&m->shm->head->state, SHM_READY);
	if (id == NULL)
		return TL_OK;
	atomic_store(&m->shm->head->database_id[0], id[0]);
	atomic_store(&m->shm->head->database_id[1], id[1]);
	return remember_id(m, id, err);
}
