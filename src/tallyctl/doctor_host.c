/*
 * doctor_host.c - settings that are dangerous together, and this machine:
 * descriptors, memory, disk.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "tallyctl/doctor.h"
#include "tls/tls.h"

#define DEMO_DOMAIN  "@codexible.me" /* of db/seed/demo.sql */
#define FDS_BESIDE   64              /* pool, pipes, log, segment */
#define BACKLOG_WANT 1024
#define MIB          ((uint64_t)1 << 20)

/* ---- settings ---- */

static bool is_loopback(const char *listen)
{
	if (tls_is_address(listen))
		listen += strlen("tls:");
	return strncmp(listen, "unix:", 5) == 0 ||
	       strncmp(listen, "127.", 4) == 0 ||
	       strncmp(listen, "[::1]:", 6) == 0 ||
	       strncmp(listen, "localhost:", 10) == 0;
}

static const char *demo_admin(const struct conf *conf)
{
	for (size_t i = 0; i < conf->admin.emails.n; i++) {
		const char *at = strchr(conf->admin.emails.items[i], '@');

		if (at != NULL && strcmp(at, DEMO_DOMAIN) == 0)
			return conf->admin.emails.items[i];
	}
	return NULL;
}

/* What the workers will read at the next reload. */
static void say_certificates(struct doctor *d)
{
	const struct conf *conf = d->t->conf;
	struct tl_buf notes;
	struct tl_err err;

	if (!tls_wanted(conf))
		return;
	tl_buf_init(&notes);
	if (tls_check(conf, &notes, &err) != TL_OK)
		doctor_say(d, DOCTOR_FAIL, "tls", "%s", err.text);
	else if (notes.len > 0)
		doctor_say(d, DOCTOR_WARN, "tls", "%.*s",
			   (int)strcspn(notes.ptr, "\n"), notes.ptr);
	else
		doctor_say(d, DOCTOR_OK, "tls", "%zu certificates, each valid",
			   conf->tls.certificates.n);
	tl_buf_deinit(&notes);
}

void doctor_settings(struct doctor *d)
{
	const struct conf *conf = d->t->conf;
	const char *admin = demo_admin(conf), *door = NULL;

	doctor_say(d, DOCTOR_OK, "configuration", "valid: %s",
		   conf->file != NULL ? conf->file : "defaults, no file");
	for (size_t i = 0; i < conf->server.listen.n; i++) {
		if (!is_loopback(conf->server.listen.items[i]))
			door = conf->server.listen.items[i];
	}
	d->open_doors = door != NULL;
	if (admin != NULL)
		doctor_say(d, door != NULL ? DOCTOR_FAIL : DOCTOR_WARN,
			   "admin.emails",
			   "'%s' is a demo user, whose key everybody knows; "
			   "take it out of admin.emails",
			   admin);
	else
		doctor_say(d, DOCTOR_OK, "admin.emails", "%zu, no demo user",
			   conf->admin.emails.n);
	if (conf->database.seed_demo && door != NULL)
		doctor_say(d, DOCTOR_FAIL, "seed_demo",
			   "demo keys, which everybody knows, work on '%s'; "
			   "set database.seed_demo = no and revoke them",
			   door);
	else
		doctor_say(d, DOCTOR_OK, "seed_demo", "%s",
			   conf->database.seed_demo ? "yes, on this host only"
						    : "no");
	say_certificates(d);
}

/* ---- this machine ---- */

/* The soft limit of that process; of ours when there is none. */
static uint64_t open_files_of(uint64_t pid)
{
	struct rlimit own = { 0 };
	char path[64], line[256];
	uint64_t n = 0;
	FILE *f = NULL;

	if (pid != 0) {
		(void)snprintf(path, sizeof(path), "/proc/%" PRIu64 "/limits",
			       pid);
		f = fopen(path, "re");
	}
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Max open files", 14) == 0)
			n = strtoull(line + 14, NULL, 10);
	}
	if (f != NULL)
		(void)fclose(f);
	if (n == 0 && getrlimit(RLIMIT_NOFILE, &own) == 0)
		n = own.rlim_cur;
	return n;
}

static uint64_t worker_pid(const struct shm *s)
{
	for (uint32_t i = 0; s != NULL && i < SHM_SLOTS; i++) {
		const struct shm_slot *slot = &s->slots[i];

		if (strncmp(slot->kind, "worker", sizeof(slot->kind)) == 0 &&
		    atomic_load(&slot->state) == SHM_SLOT_READY)
			return atomic_load(&slot->pid);
	}
	return 0;
}

static void open_files(struct doctor *d, const struct shm *s)
{
	uint64_t need = (uint64_t)d->t->conf->server.max_connections +
			d->t->conf->database.pool_size + FDS_BESIDE;
	uint64_t pid = d->running ? worker_pid(s) : 0;
	uint64_t have = open_files_of(pid);

	if (have < need)
		doctor_say(d, DOCTOR_WARN, "open files",
			   "%" PRIu64 " for %s, server.max_connections needs "
			   "%" PRIu64 "; raise LimitNOFILE or 'ulimit -n', or "
			   "lower server.max_connections",
			   have, pid != 0 ? "a worker" : "this shell", need);
	else
		doctor_say(d, DOCTOR_OK, "open files",
			   "%" PRIu64 " for %s, %" PRIu64 " are needed", have,
			   pid != 0 ? "a worker" : "this shell", need);
}

/* Room for what is to come, `want`, and none at all, FAIL. */
static void room(struct doctor *d, const char *name, const char *path,
		 uint64_t want, uint64_t least, const char *why)
{
	struct statvfs v;
	uint64_t free_bytes;

	if (statvfs(path, &v) < 0) {
		doctor_say(d, DOCTOR_WARN, name, "there is no '%s' yet", path);
		return;
	}
	free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
	doctor_say(d,
		   free_bytes < least  ? DOCTOR_FAIL
		   : free_bytes < want ? DOCTOR_WARN
				       : DOCTOR_OK,
		   name, "%" PRIu64 " MiB free in '%s', %s needs %" PRIu64 "%s",
		   free_bytes / MIB, path, why, want / MIB,
		   free_bytes < want ? "; make room" : "");
}

static void backlog(struct doctor *d)
{
	FILE *f = fopen("/proc/sys/net/core/somaxconn", "re");
	unsigned n = 0;

	if (f == NULL || fscanf(f, "%u", &n) != 1)
		n = 0;
	if (f != NULL)
		(void)fclose(f);
	if (n == 0)
		doctor_say(d, DOCTOR_WARN, "somaxconn",
			   "net.core.somaxconn cannot be read");
	else
		doctor_say(d, n < BACKLOG_WANT ? DOCTOR_WARN : DOCTOR_OK,
			   "somaxconn", "%u%s", n,
			   n < BACKLOG_WANT
				   ? "; bursts of new connections are dropped: "
				     "sysctl net.core.somaxconn=4096"
				   : "");
}

void doctor_host(struct doctor *d, const struct shm *s)
{
	const struct conf *conf = d->t->conf;
	const struct shm_sizes z = {
		.max_keys = conf->shm.max_keys,
		.max_users = conf->shm.max_users != 0 ? conf->shm.max_users
						      : conf->shm.max_keys,
		.max_addresses = conf->shm.max_addresses,
		.max_windows = conf->shm.max_windows,
		.decision_ring = conf->shm.decision_ring,
		.idempotency = conf->shm.idempotency,
		.request_log = conf->shm.request_log,
		.window_ms = conf->limits.window_ms,
	};
	uint64_t spool = (uint64_t)conf->metering.spool_max_mib * MIB;
	uint64_t held = s != NULL ? s->total_bytes : 0;
	uint64_t segment = shm_bytes_needed(&z);

	open_files(d, s);
	backlog(d);
	/* A segment that is there has its room; one of other sizes is made
	 * beside it. */
	room(d, "shared memory", "/dev/shm", segment, held != 0 ? 0 : segment,
	     "another segment");
	if (s != NULL)
		spool -= atomic_load(&s->head->spool_bytes) < spool
				 ? atomic_load(&s->head->spool_bytes)
				 : spool;
	room(d, "disk", conf->server.state_dir, spool, 16 * MIB,
	     "the spool of a long outage");
}
