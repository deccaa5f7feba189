#include "config.h" /* _GNU_SOURCE */

#include "shm/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/mem.h"
#include "shm/layout_table.h"
#include "shm/segment.h"
#include "shm/stripe.h"

#define NEGATIVE_COUNT 65536U

static uint32_t pow2_at_least(uint64_t n)
{
	uint64_t p = 16;

	while (p < n)
		p *= 2;
	return (uint32_t)p;
}

/* Load <= 0.6: with two candidate buckets none of 1M random keys is left
 * without a place at 0.54 (measured; design page, section 4). */
static uint32_t buckets_for(uint32_t entries)
{
	return pow2_at_least((uint64_t)entries * 10 / (6 * SHM_BUCKET_WORDS) + 1);
}

static uint32_t round_up(uint32_t n, uint32_t to)
{
	return (n + to - 1) / to * to;
}

static void region(struct shm_constants *k, enum shm_region_id id,
		   uint32_t stride, uint32_t count)
{
	struct shm_region *r = &k->regions[id];
	uint64_t bytes = (uint64_t)stride * count;

	r->offset = k->total_bytes;
	r->size_bytes = bytes;
	r->stride = stride;
	r->count = count;
	/* one unmapped page behind each: an overrun faults, never corrupts */
	k->total_bytes += (bytes + SHM_PAGE - 1) / SHM_PAGE * SHM_PAGE;
	k->total_bytes += SHM_PAGE;
}

static void plan_regions(const struct shm_sizes *z, struct shm_constants *k)
{
	uint32_t users = z->max_users != 0 ? z->max_users : z->max_keys;
	uint32_t extras = z->max_keys / 16 < 1024 ? 1024 : z->max_keys / 16;
	uint32_t idems = round_up(z->idempotency, SHM_WAYS);
	uint32_t dirty = (z->max_keys + 63) / 64 + (idems + 63) / 64;

	k->total_bytes = (sizeof(struct shm_head) + SHM_PAGE - 1) / SHM_PAGE *
				 SHM_PAGE +
			 SHM_PAGE;
	k->key_buckets = buckets_for(z->max_keys);
	k->user_buckets = buckets_for(users);
	k->extras_buckets = buckets_for(extras);
	region(k, SHM_R_SLOTS, sizeof(struct shm_slot), SHM_SLOTS);
	region(k, SHM_R_METRICS, sizeof(struct shm_metrics), SHM_SLOTS);
	region(k, SHM_R_POLICY, sizeof(struct shm_policy), 2);
	region(k, SHM_R_STRIPES, sizeof(struct shm_stripe), SHM_STRIPES);
	region(k, SHM_R_KEY_DIR, sizeof(struct shm_bucket), k->key_buckets);
	region(k, SHM_R_KEYS, sizeof(struct shm_key), z->max_keys);
	region(k, SHM_R_USER_DIR, sizeof(struct shm_bucket), k->user_buckets);
	region(k, SHM_R_USERS, sizeof(struct shm_user), users);
	region(k, SHM_R_EXTRAS_DIR, sizeof(struct shm_bucket),
	       k->extras_buckets);
	region(k, SHM_R_EXTRAS, sizeof(struct shm_extras), extras);
	region(k, SHM_R_NEGATIVE, sizeof(struct shm_negative), NEGATIVE_COUNT);
	region(k, SHM_R_ADDRESSES, sizeof(struct shm_window),
	       round_up(z->max_addresses, SHM_WAYS));
	region(k, SHM_R_WINDOWS, sizeof(struct shm_window),
	       round_up(z->max_windows, SHM_WAYS));
	region(k, SHM_R_DIRTY, 8, dirty);
	region(k, SHM_R_BATCHES, sizeof(struct shm_batch), SHM_BATCHES);
	region(k, SHM_R_RING, sizeof(struct shm_decision),
	       pow2_at_least(z->decision_ring));
	region(k, SHM_R_IDEMS, sizeof(struct shm_idem), idems);
	region(k, SHM_R_REQUEST_LOG, sizeof(struct shm_log_slot),
	       z->request_log == 0 ? 0 : pow2_at_least(z->request_log));
	region(k, SHM_R_TASK_PLACES, sizeof(struct shm_task_places), SHM_SLOTS);
	region(k, SHM_R_TEXT, 1, (uint32_t)shm_layout_text().len);
	k->text_offset = k->regions[SHM_R_TEXT].offset;
	k->text_bytes = k->regions[SHM_R_TEXT].size_bytes;
	k->window_ms = z->window_ms;
}

uint64_t shm_bytes_needed(const struct shm_sizes *z)
{
	struct shm_constants k = { .layout = SHM_LAYOUT };

	plan_regions(z, &k);
	return k.total_bytes;
}

static void name_of(const char *instance, uint32_t layout, char dst[64])
{
	snprintf(dst, 64, "/tallyd.%.40s.v%u", instance, layout);
}

void shm_name(const char *instance, char dst[64])
{
	name_of(instance, SHM_LAYOUT, dst);
}

/* A release before, or one after that was taken back. */
#define LAYOUTS_AHEAD 32

uint32_t shm_other(const char *instance, char dst[64])
{
	uint32_t layout;
	int fd;

	for (layout = SHM_LAYOUT + LAYOUTS_AHEAD; layout > 0; layout--) {
		if (layout == SHM_LAYOUT)
			continue;
		name_of(instance, layout, dst);
		fd = shm_open(dst, O_RDONLY | O_CLOEXEC, 0);
		if (fd < 0)
			continue;
		close(fd);
		break;
	}
	return layout;
}

static uint32_t constants_crc(const struct shm_constants *k)
{
	return tl_crc32c(0, k, offsetof(struct shm_constants, crc));
}

void segment_boot_id(uint8_t boot_id[16])
{
	char text[64] = "";
	struct tl_uuid u;
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	memset(boot_id, 0, 16);
	if (f == NULL)
		return;
	if (fscanf(f, "%63s", text) == 1 && tl_uuid_parse(tl_str_c(text), &u))
		memcpy(boot_id, u.b, 16);
	fclose(f);
}

static void *at(uint8_t *base, const struct shm_constants *k,
		enum shm_region_id id)
{
	return base + k->regions[id].offset;
}

static struct shm *views_new(uint8_t *base, bool read_only)
{
	struct shm *s = tl_alloc(sizeof(*s));
	struct shm_head *h = (struct shm_head *)(void *)base;
	const struct shm_constants *k = &h->k;

	s->head = h;
	s->slots = at(base, k, SHM_R_SLOTS);
	s->metrics = at(base, k, SHM_R_METRICS);
	s->policies = at(base, k, SHM_R_POLICY);
	s->stripes = at(base, k, SHM_R_STRIPES);
	s->key_dir = at(base, k, SHM_R_KEY_DIR);
	s->user_dir = at(base, k, SHM_R_USER_DIR);
	s->extras_dir = at(base, k, SHM_R_EXTRAS_DIR);
	s->keys = at(base, k, SHM_R_KEYS);
	s->users = at(base, k, SHM_R_USERS);
	s->extras = at(base, k, SHM_R_EXTRAS);
	s->negative = at(base, k, SHM_R_NEGATIVE);
	s->addresses = at(base, k, SHM_R_ADDRESSES);
	s->windows = at(base, k, SHM_R_WINDOWS);
	s->dirty = at(base, k, SHM_R_DIRTY);
	s->batches = at(base, k, SHM_R_BATCHES);
	s->ring = at(base, k, SHM_R_RING);
	s->idems = at(base, k, SHM_R_IDEMS);
	s->logs = at(base, k, SHM_R_REQUEST_LOG);
	s->places = at(base, k, SHM_R_TASK_PLACES);
	s->n_keys = k->regions[SHM_R_KEYS].count;
	s->n_users = k->regions[SHM_R_USERS].count;
	s->n_extras = k->regions[SHM_R_EXTRAS].count;
	s->n_negative = k->regions[SHM_R_NEGATIVE].count;
	s->n_addresses = k->regions[SHM_R_ADDRESSES].count;
	s->n_windows = k->regions[SHM_R_WINDOWS].count;
	s->n_dirty_words = k->regions[SHM_R_DIRTY].count;
	s->n_ring = k->regions[SHM_R_RING].count;
	s->n_idems = k->regions[SHM_R_IDEMS].count;
	s->n_logs = k->regions[SHM_R_REQUEST_LOG].count;
	s->log_shift =
		s->n_logs == 0 ? 0 : (uint32_t)__builtin_ctz(s->n_logs);
	s->total_bytes = k->total_bytes;
	s->read_only = read_only;
	return s;
}

static void guard_regions(uint8_t *base, const struct shm_constants *k)
{
	uint32_t i;

	for (i = 0; i < SHM_REGIONS; i++)
		mprotect(base + k->regions[i].offset - SHM_PAGE, SHM_PAGE,
			 PROT_NONE);
}

/* fd stays the caller's. */
static enum tl_status map_fd(int fd, uint64_t bytes, bool read_only,
			     struct shm **shm_r, struct tl_err *err)
{
	int prot = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	uint8_t *base = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return tl_err_sys(err, "map segment of %llu bytes",
				  (unsigned long long)bytes);
	guard_regions(base, &((struct shm_head *)(void *)base)->k);
	*shm_r = views_new(base, read_only);
	return TL_OK;
}

static enum tl_status no_room(struct tl_err *err, uint64_t bytes)
{
	struct statvfs fs;
	unsigned long long free_mib = 0;

	if (statvfs("/dev/shm", &fs) == 0)
		free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
	return tl_err_set(err, TL_FULL,
			  "the segment needs %llu MiB, /dev/shm has %llu MiB "
			  "free; enlarge /dev/shm (mount -o remount,size=...) "
			  "or lower shm.max_keys",
			  (unsigned long long)((bytes + (1 << 20) - 1) >> 20),
			  free_mib);
}

/*
 * "host/instance": two daemons of one host on one database are two nodes.
 * Long instance names are told apart by their checksum.
 */
static void fill_node_id(const char *name, char dst[48])
{
	const char *instance = name[0] == '/' ? name + 1 : name;
	uint32_t crc = tl_crc32c(0, instance, strlen(instance));
	char host[65] = "";

	if (gethostname(host, sizeof(host) - 1) < 0 || host[0] == '\0')
		snprintf(host, sizeof(host), "localhost");
	if (strlen(instance) <= 24)
		snprintf(dst, 48, "%.22s/%s", host, instance);
	else
		snprintf(dst, 48, "%.22s/%.15s-%08x", host, instance, crc);
}

/* Beside a segment of this instance that could not be taken over. */
static bool another_is_left(const char *name)
{
	const char *begin = strchr(name, '.'), *end = strrchr(name, '.');
	char instance[64], other[64];

	if (begin == NULL || end <= begin)
		return false;
	snprintf(instance, sizeof(instance), "%.*s", (int)(end - begin - 1),
		 begin + 1);
	return shm_other(instance, other) > 0;
}

static void fill_constants(const char *name, const struct shm_sizes *z,
			   struct shm_constants *k)
{
	uint64_t r;

	memset(k, 0, sizeof(*k));
	memcpy(k->magic, SHM_MAGIC, 8);
	k->layout = SHM_LAYOUT;
	k->slots = SHM_SLOTS;
	k->layout_hash = shm_layout_hash();
	plan_regions(z, k);
	tl_random(&r, sizeof(r));
	k->epoch = r >> 1;
	k->created_mono_ns = tl_mono_ns();
	segment_boot_id(k->boot_id);
	tl_random(k->seed, sizeof(k->seed));
	fill_node_id(name, k->node_id);
	if (another_is_left(name)) /* whose usage is to come under its name */
		snprintf(k->node_id + strcspn(k->node_id, "/"),
			 sizeof(k->node_id) - 23, "/%016llx",
			 (unsigned long long)k->epoch);
	k->crc = constants_crc(k);
}

static void fill_head(struct shm *s)
{
	struct shm_head *h = s->head;

	atomic_store(&h->generation, 1);
	atomic_store(&h->gc_epoch, 1);
	atomic_store(&h->sweep, 1);
	atomic_store(&h->next_seq, 1);
	atomic_store(&h->wall_offset_us,
		     (uint64_t)(tl_wall_us() - (int64_t)(tl_mono_ns() / 1000)));
	atomic_store(&h->max_period,
		     (uint64_t)(tl_wall_us() / 1000000 / TL_DAY_S));
	atomic_store(&h->idem_floor_ms, (uint64_t)(tl_wall_us() / 1000));
	atomic_store(&h->full_scan_wanted, 1);
	shm_stripes_init(s);
	atomic_store_explicit(&h->state, SHM_READY, memory_order_release);
}

enum tl_status segment_create(const char *name, const struct shm_sizes *z,
			      const struct shm_constants *like,
			      struct shm **shm_r, struct tl_err *err)
{
	struct shm_constants k;
	enum tl_status st = TL_OK;
	struct tl_str text;
	int fd, rc;

	fill_constants(name, z, &k);
	if (like != NULL) {
		k.epoch = like->epoch;
		k.created_mono_ns = like->created_mono_ns;
		memcpy(k.seed, like->seed, sizeof(k.seed));
		memcpy(k.node_id, like->node_id, sizeof(k.node_id));
		k.crc = constants_crc(&k);
	}
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
	if (fd < 0)
		return tl_err_sys(err, "make segment '%s'", name);
	if (ftruncate(fd, (off_t)k.total_bytes) < 0) {
		st = tl_err_sys(err, "size segment '%s'", name);
		goto out;
	}
	/* without this a full tmpfs kills a worker with SIGBUS later */
	do
		rc = posix_fallocate(fd, 0, (off_t)k.total_bytes);
	while (rc == EINTR);
	if (rc != 0) {
		errno = rc;
		st = rc == ENOSPC ? no_room(err, k.total_bytes)
				  : tl_err_sys(err, "allocate segment '%s'",
					       name);
		goto out;
	}
	text = shm_layout_text();
	if (pwrite(fd, &k, sizeof(k), 0) != (ssize_t)sizeof(k) ||
	    pwrite(fd, text.ptr, text.len, (off_t)k.text_offset) !=
		    (ssize_t)text.len) {
		st = tl_err_sys(err, "write segment '%s'", name);
		goto out;
	}
	st = map_fd(fd, k.total_bytes, false, shm_r, err);
	if (st == TL_OK)
		fill_head(*shm_r);
out:
	if (st != TL_OK)
		shm_unlink_name(name);
	close(fd);
	return st;
}

/* Do the regions lie as this release lays them out for as many entries? */
static bool regions_fit(const struct shm_constants *k)
{
	const struct shm_region *r = k->regions;
	const struct shm_sizes z = {
		.max_keys = r[SHM_R_KEYS].count,
		.max_users = r[SHM_R_USERS].count,
		.max_addresses = r[SHM_R_ADDRESSES].count,
		.max_windows = r[SHM_R_WINDOWS].count,
		.decision_ring = r[SHM_R_RING].count,
		.idempotency = r[SHM_R_IDEMS].count,
		.request_log = r[SHM_R_REQUEST_LOG].count,
	};
	struct shm_constants want = { .layout = SHM_LAYOUT };

	if (z.max_keys > SHM_INDEX_MAX || z.max_users > SHM_INDEX_MAX ||
	    k->slots != SHM_SLOTS || k->window_ms == 0)
		return false;
	plan_regions(&z, &want);
	return memcmp(want.regions, r, sizeof(want.regions)) == 0 &&
	       want.key_buckets == k->key_buckets &&
	       want.user_buckets == k->user_buckets &&
	       want.extras_buckets == k->extras_buckets &&
	       want.total_bytes == k->total_bytes;
}

/* Is it a whole segment of this release and this boot? */
enum tl_status segment_check(const struct shm_constants *k, uint64_t file_bytes,
			     struct tl_err *err)
{
	uint8_t boot_id[16];

	if (memcmp(k->magic, SHM_MAGIC, 8) != 0)
		return tl_err_set(err, TL_BROKEN, "no segment: wrong magic");
	if (k->layout != SHM_LAYOUT || k->layout_hash != shm_layout_hash())
		return tl_err_set(err, TL_VERSION, "layout %u, want %u",
				  k->layout, SHM_LAYOUT);
	if (k->crc != constants_crc(k))
		return tl_err_set(err, TL_BROKEN, "header checksum is wrong");
	if (k->total_bytes != file_bytes)
		return tl_err_set(err, TL_BROKEN, "%llu bytes, header says %llu",
				  (unsigned long long)file_bytes,
				  (unsigned long long)k->total_bytes);
	if (!regions_fit(k))
		return tl_err_set(err, TL_BROKEN,
				  "the regions do not lie as this layout has "
				  "them");
	segment_boot_id(boot_id);
	if (memcmp(boot_id, k->boot_id, 16) != 0)
		return tl_err_set(err, TL_VERSION, "made before this boot");
	return TL_OK;
}

/* Anybody may put a file into /dev/shm. */
bool segment_is_ours(const struct stat *sb)
{
	return S_ISREG(sb->st_mode) && sb->st_uid == geteuid() &&
	       (sb->st_mode & 022) == 0;
}

static enum tl_status open_existing(const char *name, bool read_only,
				    struct shm **shm_r, struct tl_err *err)
{
	struct shm_constants k;
	enum tl_status st;
	struct stat sb;
	int fd = shm_open(name, read_only ? O_RDONLY : O_RDWR, 0);

	if (fd < 0 && errno == ENOENT)
		return tl_err_set(err, TL_NOT_FOUND, "no segment '%s'", name);
	if (fd < 0 || fstat(fd, &sb) < 0) {
		st = tl_err_sys(err, "open segment '%s'", name);
		goto out;
	}
	if (!read_only && !segment_is_ours(&sb)) {
		st = tl_err_set(err, TL_DENIED,
				"it belongs to another account, or others may "
				"write to it");
		goto out;
	}
	if (sb.st_size < (off_t)sizeof(struct shm_head)) {
		st = tl_err_set(err, TL_BROKEN, "truncated: %lld bytes",
				(long long)sb.st_size);
		goto out;
	}
	st = tl_pread_all(fd, &k, sizeof(k), 0, err);
	if (st == TL_OK)
		st = segment_check(&k, (uint64_t)sb.st_size, err);
	if (st == TL_OK)
		st = map_fd(fd, k.total_bytes, read_only, shm_r, err);
out:
	if (fd >= 0)
		close(fd);
	return st;
}

static bool same_sizes(const struct shm_constants *k,
		       const struct shm_sizes *z)
{
	struct shm_constants want = { .layout = SHM_LAYOUT };

	plan_regions(z, &want);
	return memcmp(want.regions, k->regions, sizeof(want.regions)) == 0 &&
	       want.window_ms == k->window_ms;
}

static enum tl_status set_aside(const char *name, struct tl_err *err)
{
	char from[96], to[96];

	snprintf(from, sizeof(from), "/dev/shm%s", name);
	snprintf(to, sizeof(to), "/dev/shm%s.kept", name);
	if (rename(from, to) < 0 && errno != ENOENT)
		return tl_err_sys(err, "set segment '%s' aside", name);
	return TL_OK;
}

enum tl_status shm_make_fresh(const char *instance, const struct shm_sizes *z,
			      struct shm **shm_r, struct tl_err *err)
{
	enum tl_status st;
	char name[64];

	shm_name(instance, name);
	st = set_aside(name, err);
	return st == TL_OK ? segment_create(name, z, NULL, shm_r, err) : st;
}

enum tl_status shm_take_over(const char *instance, uint32_t layout,
			     struct tl_err *err)
{
	char name[64], other[64];
	struct shm *s = NULL;
	enum tl_status st;
	int fd;

	shm_name(instance, name);
	name_of(instance, layout, other);
	fd = layout == SHM_LAYOUT ? -1 : shm_open(other, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return TL_OK; /* done before, or its own */
	close(fd);
	st = set_aside(name, err);
	if (st == TL_OK)
		st = segment_translate(other, name, &s, err);
	shm_close(&s);
	return st;
}

enum tl_status shm_open_master(const char *instance, const struct shm_sizes *z,
			       struct shm **shm_r, enum shm_found *found_r,
			       struct tl_err *err)
{
	struct shm *s = NULL;
	enum tl_status st;
	uint64_t state;
	char name[64], other[64];

	shm_name(instance, name);
	st = open_existing(name, false, &s, err);
	if (st == TL_NOT_FOUND && shm_other(instance, other) > 0) {
		st = segment_translate(other, name, &s, err);
		if (st == TL_BUSY)
			return st;
	}
	if (st == TL_NOT_FOUND) {
		*found_r = SHM_FOUND_NONE;
		return segment_create(name, z, NULL, shm_r, err);
	}
	if (st == TL_SYSTEM)
		return st;
	if (st != TL_OK) {
		struct tl_err why;

		*found_r = SHM_FOUND_OTHER;
		st = shm_make_fresh(instance, z, shm_r, &why);
		if (st != TL_OK && err != NULL)
			*err = why; /* what stops us; else what was found */
		return st;
	}
	state = atomic_load(&s->head->state);
	if (state != SHM_READY && state != SHM_CLEAN) {
		/* died while making it: nothing was ever counted in it */
		shm_close(&s);
		shm_unlink_name(name);
		*found_r = SHM_FOUND_NONE;
		return segment_create(name, z, NULL, shm_r, err);
	}
	*found_r = same_sizes(&s->head->k, z) ?
			   (state == SHM_CLEAN ? SHM_FOUND_CLEAN
					       : SHM_FOUND_READY) :
			   SHM_FOUND_RESIZE;
	/* in use again: a kill from here on must not find it CLEAN */
	atomic_store(&s->head->state, SHM_READY);
	*shm_r = s;
	return TL_OK;
}

enum tl_status shm_open_reader(const char *instance, struct shm **shm_r,
			       struct tl_err *err)
{
	char name[64];

	shm_name(instance, name);
	return open_existing(name, true, shm_r, err);
}

enum tl_status shm_attach(const char *instance, struct shm **shm_r,
			  struct tl_err *err)
{
	char name[64];

	shm_name(instance, name);
	return open_existing(name, false, shm_r, err);
}

void shm_mark_clean(struct shm *s)
{
	atomic_store(&s->head->state, SHM_CLEAN);
}

void shm_close(struct shm **s)
{
	if (*s == NULL)
		return;
	munmap((*s)->head, (*s)->total_bytes);
	tl_freep(s);
}

void shm_unlink_name(const char *name)
{
	shm_unlink(name);
}

void shm_remove(const char *instance)
{
	char name[64];

	shm_name(instance, name);
	shm_unlink_name(name);
}
