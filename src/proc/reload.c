/*
 * reload.c - HUP: a new configuration, all or nothing.
 *
 * Read and checked first; then new workers beside the old ones, on the same
 * sockets.  Only when all of them are ready the old ones drain, and the
 * flusher, of which there is one, changes over: what is counted meanwhile
 * waits in the segment.  Any failure before that leaves the old crew serving.
 */
#include "config.h"

#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/master.h"
#include "proc/sdnotify.h"

#define READY_MS   30000
#define FLUSHER_MS 60000

static enum tl_status prepare_crew(struct master *m, struct crew **crew_r,
				   struct tl_err *err)
{
	struct listen_set *listens = NULL;
	struct conf *conf = NULL;
	enum tl_status st;

	st = conf_load(m->source, &conf, err);
	if (st != TL_OK)
		return st;
	st = conf_check_reload(m->crew->conf, conf, err);
	if (st == TL_OK)
		st = listen_open(conf, m->crew->listens, &listens, err);
	if (st != TL_OK) {
		conf_free(&conf);
		return st;
	}
	*crew_r = crew_new(m, conf, listens);
	return TL_OK;
}

/* Nobody takes its place. */
static void retire(struct child *c, int sig)
{
	if (c->post != NULL)
		c->post->child = NULL;
	c->post = NULL;
	child_signal(c, sig);
}

/* Old processes of a crew, but the flusher, get QUIT: at most n of them, those
 * that have it already counted.  kind: NULL for all. */
static void drain_old(struct master *m, const struct crew *fresh,
		      const struct proc_kind *kind, uint32_t n)
{
	const struct proc_kind *flusher = kind_find("flusher");

	for (uint32_t i = 0; i < SHM_SLOTS && n > 0; i++) {
		struct child *c = &m->children[i];

		if (c->state == CHILD_NONE || c->kind == flusher ||
		    (kind != NULL && c->kind != kind) ||
		    (c->post != NULL && c->post->crew == fresh))
			continue;
		if (c->state != CHILD_STOPPING)
			retire(c, SIGQUIT);
		n--;
	}
}

static uint32_t missing(const struct crew *crew, const struct proc_kind *kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < crew->n_posts; i++)
		n += crew->posts[i].kind == kind &&
		     crew->posts[i].child == NULL;
	return n;
}

/* With more workers than free slots they change over in waves. */
static enum tl_status start_workers(struct master *m, struct crew *fresh,
				    struct tl_err *err)
{
	const struct proc_kind *worker = kind_find("worker");
	uint64_t due_mono_ms = tl_mono_ms() + READY_MS;

	while (!crew_ready(fresh, worker)) {
		crew_spawn(fresh, worker);
		master_turn(m, tl_mono_ms() + 100);
		if (m->stop != STOP_NO)
			return tl_err_set(err, TL_CANCELED, "told to stop");
		if (m->crash_wanted)
			return tl_err_set(err, TL_BUSY,
					  "a process crashed; the segment is "
					  "looked at first, try again");
		if (fresh->failed)
			return tl_err_set(err, TL_INVALID, "%s", fresh->why);
		if (tl_mono_ms() >= due_mono_ms)
			return tl_err_set(err, TL_DEADLINE,
					  "new workers were not ready in %d s",
					  READY_MS / 1000);
		if (children_alive(m, worker->stop_rank) >=
		    SHM_SLOT_DEPARTED - 2)
			drain_old(m, fresh, worker, missing(fresh, worker));
	}
	return TL_OK;
}

/* The new workers go, quickly: they have served a moment at most. */
static void withdraw(struct master *m, struct crew **fresh)
{
	struct crew *crew = *fresh;

	crew->failed = true; /* its dead are not replaced */
	for (uint32_t i = 0; i < crew->n_posts; i++)
		if (crew->posts[i].child != NULL)
			child_signal(crew->posts[i].child, SIGTERM);
	crew_free(fresh, m->crew->listens);
	crew_spawn(m->crew, NULL); /* those that had made room for them */
}

static void change_over(struct master *m, struct crew *fresh)
{
	const struct proc_kind *flusher = kind_find("flusher");
	struct crew *old = m->crew;

	m->crew = fresh;
	drain_old(m, fresh, NULL, SHM_SLOTS);
	for (const struct proc_kind *k = PROC_KINDS; k->name != NULL; k++)
		if (k != flusher)
			crew_spawn(fresh, k);
	for (uint32_t i = 0; i < old->n_posts; i++)
		if (old->posts[i].kind == flusher &&
		    old->posts[i].child != NULL)
			old->posts[i].child->post = NULL;
	log_set_level(fresh->conf->log.level);
	crew_free(&old, fresh->listens);
	/* The next one starts only when this one is reaped: two flushers
	 * would fence each other. */
	children_stop(m, flusher->stop_rank, SIGTERM, FLUSHER_MS);
	if (m->stop == STOP_NO)
		crew_spawn(fresh, flusher);
	fresh->serving = true;
}

enum tl_status reload_crew(struct master *m, struct tl_err *err)
{
	struct crew *fresh = NULL;
	enum tl_status st = prepare_crew(m, &fresh, err);

	if (st == TL_OK)
		st = start_workers(m, fresh, err);
	if (st == TL_OK) {
		change_over(m, fresh);
		warn_of_demo_admins(m->crew->conf);
	} else if (fresh != NULL) {
		withdraw(m, &fresh);
	}
	return st;
}

void reload(struct master *m)
{
	enum tl_status st;
	struct tl_err err;

	m->reload_wanted = false;
	m->reloading = true;
	sdnotify_reloading();
	log_info("reload");
	st = reload_crew(m, &err);
	if (st == TL_OK)
		log_info("reloaded: %u workers, configuration %llu",
			 m->crew->conf->server.workers,
			 (unsigned long long)m->crew->generation);
	else
		log_error("reload refused, the old configuration stays: %s",
			  err.text);
	m->reloading = false;
	control_reloaded(m, st == TL_OK ? NULL : &err);
	sdnotify_ready();
}
