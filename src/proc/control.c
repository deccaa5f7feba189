/*
 * control.c - the commands of tallyctl that only the master can answer.
 */
#include "config.h"

#include <event2/event.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ctl/ctl.h"
#include "pg/pg.h"
#include "proc/master.h"
#include "proc/pgembed.h"
#include "proc/privileges.h"

static const struct doc *text(struct tl_arena *a, const char *s)
{
	return doc_str(a, tl_str_c(s));
}

static struct doc *children_doc(const struct master *m, struct tl_arena *a)
{
	static const char *const states[] = {
		[CHILD_STARTING] = "starting",
		[CHILD_READY] = "ready",
		[CHILD_STOPPING] = "stopping",
	};
	struct doc *list = doc_array(a);

	for (uint32_t i = 0; i < SHM_SLOTS; i++) {
		const struct child *c = &m->children[i];
		struct doc *d;

		if (c->state == CHILD_NONE)
			continue;
		d = doc_object(a);
		doc_set(a, d, "kind", text(a, c->kind->name));
		doc_set(a, d, "number", doc_int(a, c->number));
		doc_set(a, d, "pid", doc_int(a, c->pid));
		doc_set(a, d, "slot", doc_int(a, i));
		doc_set(a, d, "state", text(a, states[c->state]));
		doc_push(a, list, d);
	}
	return list;
}

static void on_status(void *arg, struct ctl_call *call)
{
	struct master *m = arg;
	struct tl_arena *a = ctl_call_arena(call);
	struct doc *d = doc_object(a);
	const struct conf *conf = m->crew->conf;

	doc_set(a, d, "state",
		text(a, m->stop != STOP_NO  ? "stopping"
			: m->reloading      ? "reloading"
			: m->upgrading      ? "upgrading"
			: !m->crew->serving ? "starting"
					    : "running"));
	doc_set(a, d, "version", text(a, PACKAGE_VERSION));
	doc_set(a, d, "pid", doc_int(a, getpid()));
	doc_set(a, d, "uptime_ms",
		doc_int(a, (int64_t)(tl_mono_ms() - m->started_mono_ms)));
	doc_set(a, d, "conf_generation",
		doc_int(a, (int64_t)m->crew->generation));
	doc_set(a, d, "conf_file",
		conf->file != NULL ? text(a, conf->file) : doc_null());
	doc_set(a, d, "instance", text(a, conf->server.instance));
	doc_set(a, d, "embedded_database",
		doc_bool(m->pg != NULL && pgembed_running(m->pg)));
	doc_set(a, d, "upgrades", doc_int(a, m->upgrades));
	doc_set(a, d, "upgrade_error",
		m->upgrade_error[0] == '\0' ? doc_null()
					    : text(a, m->upgrade_error));
	doc_set(a, d, "children", children_doc(m, a));
	ctl_answer(call, d);
}

static void on_database(void *arg, struct ctl_call *call)
{
	struct master *m = arg;
	const struct pg_way way = pg_way(m->crew->conf, m->conninfo);
	struct tl_arena *a = ctl_call_arena(call);
	struct doc *d = doc_object(a);

	doc_set(a, d, "url", text(a, m->conninfo));
	doc_set(a, d, "direct_url", text(a, pg_way_direct(&way).conninfo));
	doc_set(a, d, "embedded", doc_bool(m->pg != NULL));
	ctl_answer(call, d);
}

static void on_reload(void *arg, struct ctl_call *call)
{
	struct master *m = arg;
	struct tl_err err;

	if (m->reload_call != NULL) {
		tl_err_set(&err, TL_BUSY, "a reload is being done already");
		ctl_refuse(call, &err);
		return;
	}
	m->reload_call = call;
	m->reload_wanted = true;
	event_base_loopbreak(m->base);
}

static void on_stop(void *arg, struct ctl_call *call)
{
	struct master *m = arg;
	const struct doc *graceful = doc_get(ctl_call_args(call), "graceful");

	ctl_answer(call, doc_object(ctl_call_arena(call)));
	if (graceful != NULL && graceful->type == DOC_BOOL &&
	    graceful->boolean) {
		if (m->stop == STOP_NO)
			m->stop = STOP_GRACEFUL;
	} else {
		m->stop = STOP_FAST;
		m->stop_signals++;
	}
	event_base_loopbreak(m->base);
}

static void on_upgrade(void *arg, struct ctl_call *call)
{
	struct master *m = arg;
	struct doc *d = doc_object(ctl_call_arena(call));
	struct tl_err err;

	if (m->upgrade_wanted || m->upgrading || m->reloading) {
		tl_err_set(&err, TL_BUSY,
			   "%s is being done already; try again",
			   m->reloading ? "a reload" : "an upgrade");
		ctl_refuse(call, &err);
		return;
	}
	doc_set(ctl_call_arena(call), d, "upgrades",
		doc_int(ctl_call_arena(call), m->upgrades));
	ctl_answer(call, d);
	m->upgrade_wanted = true;
	event_base_loopbreak(m->base);
}

/* {"step_ms": by how much it was set} */
static void on_clock_accept(void *arg, struct ctl_call *call)
{
	struct master *m = arg;
	struct doc *d = doc_object(ctl_call_arena(call));

	doc_set(ctl_call_arena(call), d, "step_ms",
		doc_int(ctl_call_arena(call),
			m->step_mono_ms == 0
				? 0
				: shm_clock_step_us(m->shm) / 1000));
	m->clock_accepted = m->step_mono_ms != 0;
	ctl_answer(call, d);
}

/* For all processes, those that live and those to come. */
static void on_log_level(void *arg, struct ctl_call *call)
{
	struct master *m = arg;
	struct tl_arena *a = ctl_call_arena(call);
	struct tl_str word = ctl_text(ctl_call_args(call), "level");
	enum log_level was = log_get_level(), level = was;
	struct doc *d = doc_object(a);
	struct tl_err err;

	if (word.ptr != NULL && !log_level_parse(word, &level)) {
		tl_err_set(&err, TL_INVALID,
			   "'%.*s' is no level; give error, warn, info or "
			   "debug",
			   (int)word.len, word.ptr);
		ctl_refuse(call, &err);
		return;
	}
	log_set_level(level);
	if (level != was)
		log_info("log level is %s now, it was %s",
			 log_level_name(level), log_level_name(was));
	doc_set(a, d, "level", text(a, log_level_name(level)));
	doc_set(a, d, "configured",
		text(a, log_level_name(m->crew->conf->log.level)));
	ctl_answer(call, d);
}

void control_reloaded(struct master *m, const struct tl_err *err)
{
	struct ctl_call *call = m->reload_call;
	struct doc *d;

	m->reload_call = NULL;
	if (call == NULL)
		return;
	if (err != NULL) {
		ctl_refuse(call, err);
		return;
	}
	d = doc_object(ctl_call_arena(call));
	doc_set(ctl_call_arena(call), d, "generation",
		doc_int(ctl_call_arena(call), (int64_t)m->crew->generation));
	ctl_answer(call, d);
}

enum tl_status control_open(struct master *m, struct tl_err *err)
{
	struct ctl_callbacks cb = { .status = on_status,
				    .database = on_database,
				    .reload = on_reload,
				    .stop = on_stop,
				    .upgrade = on_upgrade,
				    .log_level = on_log_level,
				    .clock_accept = on_clock_accept,
				    .arg = m };
	const struct conf *conf = m->crew->conf;
	enum tl_status st;
	gid_t gid;

	st = ctl_server_new(m->base, conf->server.state_dir, m->control_fd, &cb,
			    &m->ctl, err);
	m->control_fd = -1;
	if (st != TL_OK || conf->server.group[0] == '\0')
		return st;
	st = privileges_group(conf, &gid, err);
	return st == TL_OK ? ctl_server_share(m->ctl, gid, err) : st;
}
