#include "config.h" /* _GNU_SOURCE */

/*
 * translate.c - the segment of a release with another layout, field by field.
 *
 * Each segment holds a text that says where its fields lie (layout_table.h).
 * A field that both releases have is copied, one that only the new one has is
 * zero, one that only the old one had is dropped.  Entries keep their places,
 * so that directories and indices stay right; what cannot be copied that way
 * is refused, and nothing is changed.  No process of the old one may live.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/mem.h"
#include "shm/layout_table.h"
#include "shm/segment.h"

#define DEPTH_MAX 4 /* structs in structs */

struct map {
	const char *type;
	uint32_t from_bytes, to_bytes;
	uint32_t n;
	bool same; /* all bytes lie where they lay */
	struct map *next;
	struct move {
		uint32_t from, to, size_bytes;
		const struct map *of; /* NULL: bytes */
		uint32_t count;       /* of those structs */
	} moves[];
};

/* The old segment, mapped read-only. */
struct old {
	const uint8_t *base;
	uint64_t bytes;
	struct tl_str text;
	struct shm_constants k;
	int region_at[SHM_REGIONS]; /* its number there; -1: it has none */
	struct tl_arena arena;
	struct map *maps;
	struct tl_err *err;
};

/* What every layout from 5 on begins with. */
struct beginning {
	char magic[8];
	uint32_t layout, slots;
	uint64_t layout_hash, total_bytes;
	uint64_t text_offset, text_bytes;
};
_Static_assert(offsetof(struct shm_constants, text_bytes) ==
		       offsetof(struct beginning, text_bytes),
	       "other releases read this");

/* ---- the text ------------------------------------------------------------ */

/* Up to four words of a line. */
static uint32_t words_of(struct tl_str line, struct tl_str w[4])
{
	uint32_t n = 0;

	while (n < 4 && tl_str_split(&line, ' ', &w[n]))
		n++;
	return n;
}

static bool number(struct tl_str s, uint32_t *v_r)
{
	uint64_t v;

	if (!tl_parse_u64(s, 0, UINT32_MAX, &v))
		return false;
	*v_r = (uint32_t)v;
	return true;
}

/* The lines behind "struct TYPE SIZE". */
static bool find_struct(const struct old *o, const char *type,
			uint32_t *bytes_r, struct tl_str *rest_r)
{
	struct tl_str rest = o->text, line, w[4];

	while (tl_str_split(&rest, '\n', &line))
		if (words_of(line, w) == 3 && tl_str_eq(w[0], TL_STR("struct")) &&
		    tl_str_eq(w[1], tl_str_c(type)) && number(w[2], bytes_r)) {
			*rest_r = rest;
			return true;
		}
	return false;
}

struct place {
	uint32_t offset, size_bytes;
	struct tl_str type; /* ptr NULL: bytes */
};

static bool find_field(struct tl_str rest, const char *name, struct place *p_r)
{
	struct tl_str line, w[4];
	uint32_t n;

	while (tl_str_split(&rest, '\n', &line)) {
		n = words_of(line, w);
		if (n < 3 || tl_str_eq(w[0], TL_STR("struct")) ||
		    tl_str_eq(w[0], TL_STR("region")))
			return false; /* the struct's end */
		if (!tl_str_eq(w[0], tl_str_c(name)))
			continue;
		p_r->type = n == 4 ? w[3] : (struct tl_str){ NULL, 0 };
		return number(w[1], &p_r->offset) &&
		       number(w[2], &p_r->size_bytes);
	}
	return false;
}

/* ---- maps ---------------------------------------------------------------- */

static const struct map *map_of(struct old *o, const char *type,
				unsigned depth);

static bool add_move(struct old *o, struct map *m, const struct shm_fact *f,
		     const struct place *p, unsigned depth)
{
	struct move *v = &m->moves[m->n];
	bool nested = f->type != NULL;

	v->from = p->offset;
	v->to = f->offset;
	v->size_bytes = p->size_bytes;
	if (p->size_bytes > m->from_bytes ||
	    p->offset > m->from_bytes - p->size_bytes ||
	    nested != (p->type.ptr != NULL) ||
	    (nested && !tl_str_eq(p->type, tl_str_c(f->type))))
		goto bad;
	if (nested) {
		v->of = map_of(o, f->type, depth + 1);
		if (v->of == NULL)
			return false;
		v->count = p->size_bytes / v->of->from_bytes;
		if (v->count > f->size_bytes / v->of->to_bytes)
			goto bad;
	} else if (p->size_bytes > f->size_bytes) {
		goto bad;
	}
	m->same = m->same && v->from == v->to &&
		  v->size_bytes == f->size_bytes &&
		  (v->of == NULL || v->of->same);
	m->n++;
	return true;
bad:
	(void)tl_err_set(o->err, TL_VERSION, "%s.%s does not fit", f->of,
			 f->name);
	return false;
}

static const struct map *map_of(struct old *o, const char *type, unsigned depth)
{
	struct place p;
	struct tl_str rest;
	struct map *m;
	size_t n = 0;

	for (m = o->maps; m != NULL; m = m->next)
		if (strcmp(m->type, type) == 0)
			return m;
	m = tl_arena_alloc(&o->arena,
			   sizeof(*m) + SHM_N_FACTS * sizeof(struct move));
	m->type = type;
	m->same = true;
	if (depth > DEPTH_MAX ||
	    !find_struct(o, type, &m->from_bytes, &rest) ||
	    m->from_bytes == 0) {
		(void)tl_err_set(o->err, TL_VERSION, "it has no %s", type);
		return NULL;
	}
	for (size_t i = 0; i < SHM_N_FACTS; i++) {
		const struct shm_fact *f = &SHM_FACTS[i];

		if (strcmp(f->of, type) != 0)
			continue;
		if (f->name == NULL)
			m->to_bytes = f->size_bytes;
		else if (!find_field(rest, f->name, &p))
			m->same = false;
		else if (!add_move(o, m, f, &p, depth))
			return NULL;
		n++;
	}
	tl_assert(n > 1); /* a struct of our own table */
	m->same = m->same && m->from_bytes == m->to_bytes;
	m->next = o->maps;
	o->maps = m;
	return m;
}

static void copy(const struct map *m, uint8_t *to, const uint8_t *from)
{
	if (m->same) {
		memcpy(to, from, m->to_bytes);
		return;
	}
	for (uint32_t i = 0; i < m->n; i++) {
		const struct move *v = &m->moves[i];

		if (v->of == NULL)
			memcpy(to + v->to, from + v->from, v->size_bytes);
		for (uint32_t k = 0; k < v->count; k++)
			copy(v->of, to + v->to + k * v->of->to_bytes,
			     from + v->from + k * v->of->from_bytes);
	}
}

/* ---- the old segment ----------------------------------------------------- */

static bool inside(const struct old *o, uint64_t offset, uint64_t bytes)
{
	return offset <= o->bytes && bytes <= o->bytes - offset;
}

static enum tl_status read_text(struct old *o)
{
	const struct beginning *b = (const struct beginning *)(const void *)o->base;

	if (memcmp(b->magic, SHM_MAGIC, 8) != 0 || b->total_bytes != o->bytes ||
	    b->layout < 5 || !inside(o, b->text_offset, b->text_bytes))
		return tl_err_set(o->err, TL_VERSION,
				  "it does not say how it is laid out");
	o->text = (struct tl_str){ (const char *)o->base + b->text_offset,
				   b->text_bytes };
	return TL_OK;
}

static enum tl_status read_constants(struct old *o)
{
	const struct map *m = map_of(o, "shm_constants", 0);
	struct tl_str rest;
	struct place crc;
	uint32_t bytes, have;
	uint8_t boot_id[16];

	if (m == NULL)
		return TL_VERSION;
	if (!find_struct(o, "shm_constants", &bytes, &rest) ||
	    !find_field(rest, "crc", &crc) || !inside(o, 0, bytes) ||
	    crc.offset > bytes - sizeof(have))
		return tl_err_set(o->err, TL_VERSION, "it has no checksum");
	memcpy(&have, o->base + crc.offset, sizeof(have));
	if (have != tl_crc32c(0, o->base, crc.offset))
		return tl_err_set(o->err, TL_BROKEN,
				  "header checksum is wrong");
	copy(m, (uint8_t *)&o->k, o->base);
	segment_boot_id(boot_id);
	if (memcmp(boot_id, o->k.boot_id, 16) != 0)
		return tl_err_set(o->err, TL_VERSION, "made before this boot");
	return TL_OK;
}

/* What every release has, or what is in it could not be told. */
static bool must_be_there(uint32_t region)
{
	return region == SHM_R_SLOTS || region == SHM_R_BATCHES ||
	       region == SHM_R_KEYS || region == SHM_R_KEY_DIR ||
	       region == SHM_R_USERS || region == SHM_R_USER_DIR ||
	       region == SHM_R_EXTRAS || region == SHM_R_EXTRAS_DIR;
}

static bool region_is_right(struct old *o, uint32_t i)
{
	const struct shm_region *r = &o->k.regions[i];
	const char *type = shm_region_type(i);
	const struct map *m = NULL;

	if (o->region_at[i] < 0 && !must_be_there(i))
		return true;
	if (strcmp(type, "words") != 0 && (m = map_of(o, type, 0)) == NULL)
		return false;
	if (o->region_at[i] >= 0 && inside(o, r->offset, r->size_bytes) &&
	    (uint64_t)r->stride * r->count <= r->size_bytes &&
	    (m == NULL ? r->count == 0 || r->stride > 0
		       : r->stride == m->from_bytes))
		return true;
	(void)tl_err_set(o->err, TL_BROKEN,
			 "region '%s' is missing or lies outside",
			 shm_region_name(i));
	return false;
}

/* Ours, by name: the numbers may differ.  Their own table lies in k, copied in
 * its order, of as many regions as we know ourselves. */
static enum tl_status find_regions(struct old *o)
{
	struct tl_str rest = o->text, line, w[4];
	struct shm_region theirs[SHM_REGIONS];
	uint32_t at;

	memcpy(theirs, o->k.regions, sizeof(theirs));
	memset(o->k.regions, 0, sizeof(o->k.regions));
	for (uint32_t i = 0; i < SHM_REGIONS; i++)
		o->region_at[i] = -1;
	while (tl_str_split(&rest, '\n', &line)) {
		if (words_of(line, w) != 4 ||
		    !tl_str_eq(w[0], TL_STR("region")) || !number(w[1], &at) ||
		    at >= SHM_REGIONS)
			continue;
		for (uint32_t i = 0; i < SHM_REGIONS; i++)
			if (tl_str_eq(w[2], tl_str_c(shm_region_name(i))) &&
			    tl_str_eq(w[3], tl_str_c(shm_region_type(i)))) {
				o->region_at[i] = (int)at;
				o->k.regions[i] = theirs[at];
			}
	}
	for (uint32_t i = 0; i < SHM_REGIONS; i++)
		if (!region_is_right(o, i))
			return TL_BROKEN;
	return TL_OK;
}

static const uint8_t *entry_at(const struct old *o, uint32_t region, uint32_t i)
{
	const struct shm_region *r = &o->k.regions[region];

	return o->base + r->offset + (uint64_t)r->stride * i;
}

static enum tl_status nobody_alive(struct old *o)
{
	const struct map *m = map_of(o, "shm_slot", 0);
	uint64_t pid;

	if (m == NULL)
		return TL_VERSION;
	for (uint32_t i = 0; i < o->k.regions[SHM_R_SLOTS].count; i++) {
		struct shm_slot slot;

		memset(&slot, 0, sizeof(slot));
		copy(m, (uint8_t *)&slot, entry_at(o, SHM_R_SLOTS, i));
		if (segment_slot_alive(&slot, &pid))
			return tl_err_set(o->err, TL_BUSY,
					  "process %llu still works on it",
					  (unsigned long long)pid);
	}
	return TL_OK;
}

/* Its checksum counts bytes of the old layout. */
static enum tl_status nothing_sealed(struct old *o)
{
	const struct map *m = map_of(o, "shm_batch", 0);
	struct shm_batch *b;
	bool sealed = false;

	if (m == NULL)
		return TL_VERSION;
	b = tl_alloc(sizeof(*b));
	for (uint32_t i = 0; i < o->k.regions[SHM_R_BATCHES].count; i++) {
		copy(m, (uint8_t *)b, entry_at(o, SHM_R_BATCHES, i));
		sealed |= atomic_load(&b->state) == SHM_B_SEALED;
	}
	tl_free(b);
	return !sealed ? TL_OK
		       : tl_err_set(o->err, TL_VERSION,
				    "a batch of it is on its way; start and "
				    "stop the release that made it once more");
}

/* ---- the new one --------------------------------------------------------- */

/* Made anew, or of no use to other processes than those that wrote them. */
static bool is_copied(uint32_t region)
{
	return region != SHM_R_SLOTS && region != SHM_R_STRIPES &&
	       region != SHM_R_NEGATIVE && region != SHM_R_TASK_PLACES &&
	       region != SHM_R_BATCHES && region != SHM_R_TEXT;
}

static enum tl_status copy_region(struct old *o, struct shm *dst, uint32_t i)
{
	const struct shm_region *a = &o->k.regions[i];
	const struct shm_region *b = &dst->head->k.regions[i];
	uint8_t *to = (uint8_t *)dst->head + b->offset;
	const struct map *m = NULL;

	if (o->region_at[i] < 0)
		return TL_OK; /* of this release */
	if (strcmp(shm_region_type(i), "words") != 0 &&
	    (m = map_of(o, shm_region_type(i), 0)) == NULL)
		return TL_VERSION;
	if (a->count != b->count ||
	    a->stride != (m != NULL ? m->from_bytes : b->stride))
		return tl_err_set(o->err, TL_VERSION,
				  "region '%s' has %u entries of %u bytes, "
				  "which do not fit",
				  shm_region_name(i), a->count, a->stride);
	if (m == NULL || m->same) {
		memcpy(to, o->base + a->offset, (size_t)a->stride * a->count);
		return TL_OK;
	}
	for (uint32_t k = 0; k < a->count; k++)
		copy(m, to + (uint64_t)b->stride * k, entry_at(o, i, k));
	return TL_OK;
}

static enum tl_status fill(struct old *o, struct shm *dst)
{
	const struct map *m = map_of(o, "shm_head", 0);
	enum tl_status st = TL_OK;

	if (m == NULL)
		return TL_VERSION;
	if (!inside(o, 0, m->from_bytes))
		return tl_err_set(o->err, TL_BROKEN, "its head is cut off");
	for (uint32_t i = 0; i < m->n; i++) /* not the constants before it */
		memcpy((uint8_t *)dst->head + m->moves[i].to,
		       o->base + m->moves[i].from, m->moves[i].size_bytes);
	for (uint32_t i = 0; i < SHM_REGIONS && st == TL_OK; i++)
		if (is_copied(i))
			st = copy_region(o, dst, i);
	atomic_fetch_add(&dst->head->generation, 1);
	atomic_store(&dst->head->full_scan_wanted, 1);
	atomic_store(&dst->head->state, SHM_READY);
	return st;
}

static enum tl_status translate(struct old *o, const char *name,
				struct shm **shm_r)
{
	const struct shm_region *r = o->k.regions;
	enum tl_status st;
	struct shm_sizes z;

	st = read_text(o);
	if (st == TL_OK)
		st = read_constants(o);
	if (st == TL_OK)
		st = find_regions(o);
	if (st == TL_OK)
		st = nobody_alive(o);
	if (st == TL_OK)
		st = nothing_sealed(o);
	if (st != TL_OK)
		return st;
	z = (struct shm_sizes){
		.max_keys = r[SHM_R_KEYS].count,
		.max_users = r[SHM_R_USERS].count,
		.max_addresses = r[SHM_R_ADDRESSES].count,
		.max_windows = r[SHM_R_WINDOWS].count,
		.decision_ring = r[SHM_R_RING].count,
		.idempotency = r[SHM_R_IDEMS].count,
		.request_log = r[SHM_R_REQUEST_LOG].count,
		.window_ms = (uint32_t)o->k.window_ms,
	};
	if (z.max_keys == 0 || z.max_keys > SHM_INDEX_MAX ||
	    z.max_users > SHM_INDEX_MAX || z.window_ms == 0)
		return tl_err_set(o->err, TL_BROKEN, "its sizes are wrong");
	st = segment_create(name, &z, &o->k, shm_r, o->err);
	if (st == TL_OK)
		st = fill(o, *shm_r);
	if (st == TL_OK)
		st = shm_verify(*shm_r, o->err);
	return st;
}

/* ---- files --------------------------------------------------------------- */

static enum tl_status map_old(int fd, struct old *o)
{
	struct stat sb;
	void *base;

	if (fstat(fd, &sb) < 0)
		return tl_err_sys(o->err, "look at it");
	if (!segment_is_ours(&sb))
		return tl_err_set(o->err, TL_DENIED,
				  "it belongs to another account, or others "
				  "may write to it");
	if (sb.st_size < (off_t)sizeof(struct beginning))
		return tl_err_set(o->err, TL_BROKEN, "truncated: %lld bytes",
				  (long long)sb.st_size);
	o->bytes = (uint64_t)sb.st_size;
	base = mmap(NULL, o->bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return tl_err_sys(o->err, "map it");
	o->base = base;
	return TL_OK;
}

static enum tl_status put_in_place(const char *from_name, const char *name,
				   struct tl_err *err)
{
	char from[96], to[96];

	snprintf(from, sizeof(from), "/dev/shm%s", from_name);
	snprintf(to, sizeof(to), "/dev/shm%s", name);
	return rename(from, to) == 0
		       ? TL_OK
		       : tl_err_sys(err, "put the new segment in place");
}

enum tl_status segment_translate(const char *old_name, const char *name,
				 struct shm **shm_r, struct tl_err *err)
{
	struct old o = { .err = err };
	struct shm *dst = NULL;
	enum tl_status st;
	char fresh[64];
	int fd;

	fd = shm_open(old_name, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return tl_err_sys(err, "open segment '%s'", old_name);
	tl_arena_init(&o.arena);
	snprintf(fresh, sizeof(fresh), "/new.%.50s", name + 1);
	shm_unlink_name(fresh); /* of one that was killed in the middle */
	st = map_old(fd, &o);
	if (st == TL_OK)
		st = translate(&o, fresh, &dst);
	if (st == TL_OK)
		st = put_in_place(fresh, name, err);
	if (st == TL_OK) {
		shm_unlink_name(old_name);
		*shm_r = dst;
	} else {
		shm_close(&dst);
		shm_unlink_name(fresh);
		(void)tl_err_wrap(err, "segment '%s'", old_name);
	}
	if (o.base != NULL)
		munmap((void *)(uintptr_t)o.base, o.bytes);
	tl_arena_deinit(&o.arena);
	close(fd);
	return st;
}
