#include "tallyctl/view.h"

#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "shm/entries.h"
#include "shm/metrics.h"
#include "shm/reqlog.h"
#include "shm/usage.h"

static void set_u(struct tl_arena *a, struct doc *o, const char *name,
		  uint64_t v)
{
	doc_set(a, o, name, doc_int(a, v < INT64_MAX ? (int64_t)v : INT64_MAX));
}

/* null: never. */
static void set_age(struct tl_arena *a, struct doc *o, const char *name,
		    uint64_t then_mono_ms)
{
	uint64_t now = tl_mono_ms();

	if (then_mono_ms == 0)
		doc_set(a, o, name, doc_null());
	else
		set_u(a, o, name, now > then_mono_ms ? now - then_mono_ms : 0);
}

/* ---- processes ---- */

static const char *slot_state(uint64_t state)
{
	switch (state) {
	case SHM_SLOT_STARTING:
		return "starting";
	case SHM_SLOT_READY:
		return "ready";
	case SHM_SLOT_DRAINING:
		return "draining";
	default:
		return "dead";
	}
}

struct doc *view_process(const struct shm_slot *slot, struct tl_arena *a)
{
	uint64_t pid = atomic_load(&slot->pid);
	bool alive = kill((pid_t)pid, 0) == 0 || errno == EPERM;
	struct doc *o = doc_object(a);
	char kind[sizeof(slot->kind) + 1] = { 0 };

	memcpy(kind, slot->kind, sizeof(slot->kind));
	doc_set(a, o, "kind",
		doc_str(a, tl_str_c(tl_arena_strndup(a, kind, strlen(kind)))));
	set_u(a, o, "number", atomic_load(&slot->number));
	set_u(a, o, "pid", pid);
	doc_set(a, o, "state",
		doc_str(a, tl_str_c(slot_state(atomic_load(&slot->state)))));
	doc_set(a, o, "alive", doc_bool(alive));
	set_age(a, o, "uptime_ms", atomic_load(&slot->started_mono_ms));
	set_age(a, o, "beat_age_ms", atomic_load(&slot->beat_mono_ms));
	set_u(a, o, "conf_generation", atomic_load(&slot->conf_generation));
	return o;
}

const struct doc *view_processes(const struct shm *s, struct tl_arena *a)
{
	struct doc *list = doc_array(a);

	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		const struct shm_slot *slot = &s->slots[i];

		if (atomic_load(&slot->state) != SHM_SLOT_FREE &&
		    atomic_load(&slot->pid) != 0)
			doc_push(a, list, view_process(slot, a));
	}
	return list;
}

/* ---- segment ---- */

static const char *segment_state(uint64_t state)
{
	switch (state) {
	case SHM_CREATING:
		return "creating";
	case SHM_READY:
		return "in use";
	case SHM_CLEAN:
		return "stopped in order";
	default:
		return "broken";
	}
}

static const struct doc *room(struct tl_arena *a, uint64_t live, uint64_t max)
{
	struct doc *o = doc_object(a);

	set_u(a, o, "held", live);
	set_u(a, o, "max", max);
	return o;
}

const struct doc *view_segment(const struct shm *s, const char *instance,
			       struct tl_arena *a)
{
	const struct shm_head *h = s->head;
	struct doc *o = doc_object(a);
	char name[64];

	shm_name(instance, name);
	doc_set(a, o, "name",
		doc_str(a, tl_str_c(tl_arena_strndup(a, name, strlen(name)))));
	doc_set(a, o, "state",
		doc_str(a, tl_str_c(segment_state(atomic_load(&h->state)))));
	set_u(a, o, "layout", h->k.layout);
	set_u(a, o, "bytes", s->total_bytes);
	set_u(a, o, "epoch", h->k.epoch);
	set_age(a, o, "age_ms", h->k.created_mono_ns / TL_NS_PER_MS);
	doc_set(a, o, "keys", room(a, atomic_load(&h->key_live), s->n_keys));
	doc_set(a, o, "users", room(a, atomic_load(&h->user_live), s->n_users));
	doc_set(a, o, "extras",
		room(a, atomic_load(&h->extras_live), s->n_extras));
	set_u(a, o, "addresses_max", s->n_addresses);
	set_u(a, o, "windows_max", s->n_windows);
	set_u(a, o, "decision_ring", s->n_ring);
	set_u(a, o, "decisions", atomic_load(&h->ring_next));
	return o;
}

/* ---- flush ---- */

const char *view_level_words(int64_t level)
{
	static const char *const words[] = {
		"normal",
		"database late, usage goes to the spool",
		"spool nearly full or not writable",
		"no room for new keys",
		"keys with usage of three days are refused",
	};

	return level >= 0 && level < (int64_t)(sizeof(words) / sizeof(words[0]))
		       ? words[level]
		       : "unknown";
}

const struct doc *view_flush(const struct shm *s, struct tl_arena *a)
{
	const struct shm_head *h = s->head;
	uint64_t pending[SHM_METRICS], keys;
	struct doc *o = doc_object(a), *p = doc_object(a);

	shm_pending(s, pending, &keys);
	set_u(a, p, "keys", keys);
	set_u(a, p, "credits", pending[SHM_CREDITS]);
	set_u(a, p, "requests", pending[SHM_REQUESTS]);
	doc_set(a, p, "cost_usd", doc_usd(a, pending[SHM_COST]));
	set_u(a, p, "log_rows", shm_reqlog_pending(s));
	set_u(a, o, "level", atomic_load(&h->flush_level));
	set_age(a, o, "last_scan_age_ms", atomic_load(&h->last_scan_mono_ms));
	set_age(a, o, "last_commit_age_ms",
		atomic_load(&h->last_commit_mono_ms));
	doc_set(a, o, "pending", p);
	set_u(a, o, "batches", shm_counter_sum(s, SHM_C_FLUSH_BATCHES));
	set_u(a, o, "rows", shm_counter_sum(s, SHM_C_FLUSH_ROWS));
	set_u(a, o, "failures",
	      shm_counter_sum(s, SHM_C_FLUSH_FAILURES));
	set_u(a, o, "next_seq", atomic_load(&h->next_seq));
	set_u(a, o, "strict_waiting", shm_strict_waiting(s));
	set_u(a, o, "usage_dropped", atomic_load(&h->usage_dropped));
	set_u(a, o, "log_rows", shm_counter_sum(s, SHM_C_FLUSH_LOGS));
	set_u(a, o, "logs_dropped", shm_counter_sum(s, SHM_C_LOG_DROPPED));
	return o;
}

const struct doc *view_spool(const struct shm *s, const struct conf *conf,
			     struct tl_arena *a)
{
	uint64_t bytes = atomic_load(&s->head->spool_bytes);
	uint64_t max = (uint64_t)conf->metering.spool_max_mib << 20;
	struct doc *o = doc_object(a);

	set_u(a, o, "bytes", bytes);
	set_u(a, o, "records", atomic_load(&s->head->spool_records));
	set_u(a, o, "max_bytes", max);
	set_u(a, o, "room_bytes", max > bytes ? max - bytes : 0);
	return o;
}

/* ---- stats ---- */

const struct doc *view_stats(const struct shm *s, struct tl_arena *a)
{
	struct doc *o = doc_object(a);

	for (int c = 0; c < SHM_C_COUNT; c++)
		set_u(a, o, shm_counter_name((enum shm_counter)c),
		      shm_counter_sum(s, (enum shm_counter)c));
	return o;
}
