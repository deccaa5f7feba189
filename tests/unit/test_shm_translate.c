/*
 * A segment whose fields lie elsewhere: written here by rules of its own, in
 * another order, with a field that this release does not know and without one
 * that it has.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "segment.h"
#include "shm/layout_table.h"
#include "shm/metrics.h"
#include "shm/ring.h"
#include "shm/usage.h"
#include "shm/window.h"

#define DAY	   SEGMENT_DAY
#define OTHER	   (SHM_LAYOUT + 3)
#define MISSING_OF "shm_user"
#define MISSING	   "mark"

static struct shm *shm;
static struct tl_err err;
static struct tally_key_row row;
static const struct shm_sizes sizes = { .max_keys = 64,
					.max_users = 64,
					.max_addresses = 64,
					.max_windows = 64,
					.decision_ring = 64,
					.idempotency = 64,
					.request_log = 64,
					.window_ms = 60000 };

static void other_name(char dst[64])
{
	snprintf(dst, 64, "/tallyd.%s.v%d", segment_instance(), OTHER);
}

static void unlink_own(void)
{
	char name[64], path[96];

	shm_name(segment_instance(), name);
	snprintf(path, sizeof(path), "/dev/shm%s.kept", name);
	unlink(path);
	shm_remove(segment_instance());
}

static void unlink_all(void)
{
	char name[64], path[96];

	other_name(name);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	unlink(path);
	unlink_own();
}

static void up(void)
{
	shm = segment_open_sized(&sizes, 1000);
	atexit(unlink_all);
	shm_slot_set_state(shm, SHM_SLOT_READY);
}

static void down(void)
{
	shm_close(&shm);
	unlink_all();
}

/* ---- the other layout ---- */

static uint32_t other_size(const char *type);

static bool is_missing(const struct shm_fact *f)
{
	return strcmp(f->of, MISSING_OF) == 0 && strcmp(f->name, MISSING) == 0;
}

static uint32_t own_size(const char *type)
{
	for (size_t i = 0; i < SHM_N_FACTS; i++)
		if (SHM_FACTS[i].name == NULL &&
		    strcmp(SHM_FACTS[i].of, type) == 0)
			return SHM_FACTS[i].size_bytes;
	ck_abort_msg("no struct %s", type);
}

static uint32_t field_bytes(const struct shm_fact *f)
{
	return f->type == NULL ? f->size_bytes
			       : f->size_bytes / own_size(f->type) *
					 other_size(f->type);
}

/* Where the field lies: from the last to the first, behind an unknown one;
 * that of the constants that all releases read stay. */
static uint32_t other_offset(const struct shm_fact *f, uint32_t *end_r)
{
	bool constants = strcmp(f->of, "shm_constants") == 0;
	uint32_t at = constants ? offsetof(struct shm_constants, epoch) : 16;
	uint32_t found = 0, fixed = at;
	const struct shm_fact *crc = NULL;

	if (strcmp(f->of, "shm_head") == 0)
		at += SHM_PAGE;
	for (size_t i = SHM_N_FACTS; i-- > 0;) {
		const struct shm_fact *o = &SHM_FACTS[i];

		if (strcmp(o->of, f->of) != 0 || o->name == NULL ||
		    is_missing(o) || (constants && o->offset < fixed))
			continue;
		if (constants && strcmp(o->name, "crc") == 0) {
			crc = o; /* counts what lies before it: the last */
			continue;
		}
		if (o == f)
			found = at;
		at = (at + field_bytes(o) + 7) / 8 * 8;
	}
	if (crc == f)
		found = at;
	if (constants && f->name != NULL && f->offset < fixed)
		found = f->offset;
	*end_r = at + (crc != NULL ? 8 : 0);
	return found;
}

static uint32_t other_size(const char *type)
{
	struct shm_fact f = { .of = type };
	uint32_t end;

	(void)other_offset(&f, &end);
	return (end + 63) / 64 * 64;
}

static void encode(const char *type, uint8_t *to, const uint8_t *from)
{
	uint32_t end;

	for (size_t i = 0; i < SHM_N_FACTS; i++) {
		const struct shm_fact *f = &SHM_FACTS[i];
		uint32_t at;

		if (strcmp(f->of, type) != 0 || f->name == NULL ||
		    is_missing(f))
			continue;
		at = other_offset(f, &end);
		if (f->type == NULL) {
			memcpy(to + at, from + f->offset, f->size_bytes);
			continue;
		}
		for (uint32_t k = 0; k < f->size_bytes / own_size(f->type); k++)
			encode(f->type, to + at + k * other_size(f->type),
			       from + f->offset + k * own_size(f->type));
	}
}

static void other_text(struct tl_buf *b)
{
	uint32_t end;

	for (size_t i = 0; i < SHM_N_FACTS; i++) {
		const struct shm_fact *f = &SHM_FACTS[i];

		if (f->name == NULL)
			tl_buf_addf(b, "struct %s %u\ngone 8 8\n", f->of,
				    other_size(f->of));
		else if (!is_missing(f))
			tl_buf_addf(b, "%s %u %u%s%s\n", f->name,
				    other_offset(f, &end), field_bytes(f),
				    f->type != NULL ? " " : "",
				    f->type != NULL ? f->type : "");
	}
	for (uint32_t i = 0; i < SHM_REGIONS; i++)
		tl_buf_addf(b, "region %u %s %s\n", SHM_REGIONS - 1 - i,
			    shm_region_name(i), shm_region_type(i));
}

/* The segment as that release would have left it. */
static void leave_as_other(void)
{
	struct shm_constants k = shm->head->k;
	uint64_t at = 1 << 20, bytes = 64 << 20;
	uint8_t *image = tl_alloc(bytes), *own = (uint8_t *)shm->head;
	struct shm_fact crc = { .of = "shm_constants", .name = "crc" };
	char name[64], path[96];
	struct tl_buf text;
	uint32_t end, sum;
	int fd;

	tl_buf_init(&text);
	other_text(&text);
	encode("shm_head", image, own);
	for (uint32_t i = 0; i < SHM_REGIONS; i++) {
		const struct shm_region *r = &shm->head->k.regions[i];
		bool words = strcmp(shm_region_type(i), "words") == 0;
		uint32_t stride = words ? r->stride
					: other_size(shm_region_type(i));
		struct shm_region *o = &k.regions[SHM_REGIONS - 1 - i];

		*o = (struct shm_region){ at, (uint64_t)stride * r->count,
					  stride, r->count };
		if (i == SHM_R_TEXT) {
			o->size_bytes = o->count = (uint32_t)text.len;
			memcpy(image + at, text.ptr, text.len);
			k.text_offset = at;
			k.text_bytes = text.len;
		} else if (words) {
			memcpy(image + at, own + r->offset, r->size_bytes);
		} else {
			for (uint32_t n = 0; n < r->count; n++)
				encode(shm_region_type(i),
				       image + at + (uint64_t)n * stride,
				       own + r->offset +
					       (uint64_t)n * r->stride);
		}
		at += (o->size_bytes + SHM_PAGE) / SHM_PAGE * SHM_PAGE;
		ck_assert_uint_lt(at, bytes);
	}
	k.layout = OTHER;
	k.total_bytes = at;
	encode("shm_constants", image, (uint8_t *)&k);
	for (size_t i = 0; i < SHM_N_FACTS; i++)
		if (strcmp(SHM_FACTS[i].of, crc.of) == 0 &&
		    SHM_FACTS[i].name != NULL &&
		    strcmp(SHM_FACTS[i].name, crc.name) == 0) {
			uint32_t off = other_offset(&SHM_FACTS[i], &end);

			sum = tl_crc32c(0, image, off);
			memcpy(image + off, &sum, sizeof(sum));
		}
	other_name(name);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_eq(pwrite(fd, image, at, 0), (ssize_t)at);
	close(fd);
	tl_buf_deinit(&text);
	tl_free(image);
	shm_close(&shm);
	shm_remove(segment_instance());
}

static enum shm_found open_again(void)
{
	enum shm_found found;

	ck_assert_msg(shm_open_master(segment_instance(), &sizes, &shm, &found,
				      &err) == TL_OK,
		      "%s", err.text);
	return found;
}

static bool other_is_there(void)
{
	char name[64], path[96];

	other_name(name);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	return access(path, F_OK) == 0;
}

/* ---- what is in it ---- */

static uint32_t taken(uint32_t n)
{
	segment_row(n, n / 2, &row);
	segment_take_in(shm, &row);
	return shm_key_find(shm, &row.digest);
}

static void use(uint32_t key, uint64_t credits)
{
	uint64_t delta[SHM_METRICS] = { credits, 1, 0 }, used;
	struct shm_window_result r;
	struct shm_ticket t;

	ck_assert_int_eq(shm_usage_add(shm, key, DAY, delta, SHM_COUNT_MAX, 1),
			 TL_OK);
	ck_assert(shm_quota_reserve(
		&shm->users[atomic_load(&shm->keys[key].user)], DAY, credits,
		1000, &used));
	shm_window_check(shm->keys[key].ring,
			 shm->head->k.window_ms * TL_NS_PER_MS, 1000, 3,
			 shm->head->k.created_mono_ns, tl_mono_ns(), &t, &r);
	ck_assert(r.admitted);
}

static void decide(const char *request_id)
{
	uint64_t pos;
	struct shm_decision *e = shm_ring_claim(shm, &pos);

	snprintf(e->request_id, sizeof(e->request_id), "%s", request_id);
	e->request_id_len = (uint8_t)strlen(request_id);
	e->cost = 42;
	shm_ring_publish(e, pos);
}

START_TEST(all_of_it_is_taken_over)
{
	uint64_t epoch = shm->head->k.epoch, total[SHM_METRICS], n;
	uint8_t subject[16] = { 9 };
	struct shm_decision e;
	struct shm_window *w;
	uint32_t k;

	for (uint32_t i = 0; i < 20; i++)
		use(taken(i), i + 1);
	w = shm_window_get(shm, shm->windows, shm->n_windows, 77, subject,
			   60000, 5);
	atomic_store(&w->ring[2], 99);
	decide("before-1");
	shm_count(shm, SHM_C_REQUESTS, 12345);
	atomic_store(&shm->head->next_seq, 31);
	leave_as_other();

	ck_assert_int_eq(open_again(), SHM_FOUND_READY);

	ck_assert(!other_is_there());
	ck_assert_uint_eq(shm->head->k.epoch, epoch);
	ck_assert_uint_eq(shm->head->k.layout, SHM_LAYOUT);
	ck_assert_uint_eq(atomic_load(&shm->head->next_seq), 31);
	for (uint32_t i = 0; i < 20; i++) {
		const struct shm_constants *c = &shm->head->k;

		segment_row(i, i / 2, &row);
		k = shm_key_find(shm, &row.digest);
		ck_assert_uint_ne(k, SHM_NONE);
		ck_assert_uint_eq(shm_key_credits(&shm->keys[k], DAY), i + 1);
		ck_assert_uint_eq(
			shm_window_sum(shm->keys[k].ring,
				       c->window_ms * TL_NS_PER_MS,
				       tl_mono_ns() - c->created_mono_ns),
			3);
		ck_assert_uint_eq(atomic_load(&shm->keys[k].user),
				  shm_user_find(shm, &row.user.user_id));
	}
	k = shm_user_find(shm, &row.user.user_id); /* of keys 18 and 19 */
	ck_assert_uint_eq(shm_quota_used(&shm->users[k], DAY), 19 + 20);
	shm_pending(shm, total, &n);
	ck_assert_uint_eq(total[SHM_CREDITS], 20 * 21 / 2);
	ck_assert_uint_eq(n, 20);
	w = shm_window_get(shm, shm->windows, shm->n_windows, 77, subject,
			   60000, 5);
	ck_assert_uint_eq(atomic_load(&w->ring[2]), 99);
	ck_assert(shm_ring_find(shm, TL_STR("before-1"), &e));
	ck_assert_uint_eq(e.cost, 42);
	ck_assert_uint_eq(
		atomic_load(&shm->metrics[1].counter[SHM_C_REQUESTS]), 12345);
	ck_assert_uint_eq(shm->policies[atomic_load(&shm->head->policy_gen) & 1]
				  .n_plans,
			  1);
	ck_assert_int_eq(shm_verify(shm, &err), TL_OK);
}
END_TEST

START_TEST(one_that_is_in_use_is_left_alone)
{
	struct shm_slot *s = &shm->slots[5];
	pid_t pid = fork();
	enum shm_found found;

	if (pid == 0) {
		shm_slot_take(shm, 5, "worker", 0, 1);
		pause();
		_exit(0);
	}
	while (atomic_load(&s->pid) == 0 ||
	       atomic_load(&s->state) != SHM_SLOT_STARTING)
		usleep(1000);
	leave_as_other();

	ck_assert_int_eq(shm_open_master(segment_instance(), &sizes, &shm,
					 &found, &err),
			 TL_BUSY);
	ck_assert(other_is_there());

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(open_again(), SHM_FOUND_READY);
}
END_TEST

/* Nothing may be read where it is not, whatever the header claims. */
START_TEST(damage_is_refused_and_kept)
{
	char name[64], path[96];
	uint8_t page[SHM_PAGE];
	int fd;

	use(taken(1), 5);
	leave_as_other();
	other_name(name);
	snprintf(path, sizeof(path), "/dev/shm%s", name);
	fd = open(path, O_RDWR);
	ck_assert_int_eq(pread(fd, page, sizeof(page), 0), sizeof(page));
	for (size_t i = 0; i < 8 * 48; i += 7) {
		page[i / 8] ^= (uint8_t)(1 << i % 8);
		ck_assert_int_eq(pwrite(fd, page, sizeof(page), 0),
				 sizeof(page));
		ck_assert_int_eq(open_again(), SHM_FOUND_OTHER);
		ck_assert(other_is_there());
		ck_assert_ptr_nonnull(strstr(err.text, name));
		shm_close(&shm);
		unlink_own();
		page[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	ck_assert_int_eq(pwrite(fd, page, sizeof(page), 0), sizeof(page));
	close(fd);
	ck_assert_int_eq(open_again(), SHM_FOUND_READY);
}
END_TEST

/* What layout.h leaves free is no field. */
static uint32_t padding_of(const char *of)
{
	static const struct {
		const char *of;
		uint32_t bytes;
	} free_bytes[] = {
		{ "shm_slot", sizeof(((struct shm_slot *)NULL)->pad) },
		{ "shm_bucket", sizeof(((struct shm_bucket *)NULL)->spare) },
		{ "shm_user", sizeof(((struct shm_user *)NULL)->pad) },
		{ "shm_negative", sizeof(((struct shm_negative *)NULL)->pad) },
		{ "shm_window", sizeof(((struct shm_window *)NULL)->pad) },
		{ "shm_idem", sizeof(((struct shm_idem *)NULL)->pad) },
	};

	for (size_t i = 0; i < sizeof(free_bytes) / sizeof(free_bytes[0]); i++)
		if (strcmp(free_bytes[i].of, of) == 0)
			return free_bytes[i].bytes;
	return 0;
}

/* Each byte of a struct belongs to a field: one that the table forgets would
 * not be taken over. */
START_TEST(the_table_knows_every_field)
{
	for (size_t i = 0; i < SHM_N_FACTS; i++) {
		uint32_t end = 0, size = SHM_FACTS[i].size_bytes;
		const char *of = SHM_FACTS[i].of;
		bool head = strcmp(of, "shm_head") == 0;
		uint32_t gap = 0;

		if (SHM_FACTS[i].name != NULL)
			continue;
		if (head)
			end = SHM_PAGE; /* the constants */
		for (size_t k = i + 1;
		     k < SHM_N_FACTS && strcmp(SHM_FACTS[k].of, of) == 0; k++) {
			const struct shm_fact *f = &SHM_FACTS[k];

			ck_assert_msg(f->offset >= end, "%s.%s overlaps", of,
				      f->name);
			/* lines of their own leave room in the header */
			ck_assert_msg(f->offset - end < (head ? 64 : 8) ||
					      f->offset - end == padding_of(of),
				      "a field of %s before %s is missing", of,
				      f->name);
			gap += f->offset - end;
			end = f->offset + f->size_bytes;
		}
		ck_assert_msg(gap + size - end < (head ? 640 : 16) ||
				      gap + size - end <= padding_of(of) + 7,
			      "the last field of %s is missing", of);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shm/translate");
	TCase *tc = tcase_create("translate");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, up, down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, all_of_it_is_taken_over);
	tcase_add_test(tc, one_that_is_in_use_is_left_alone);
	tcase_add_test(tc, damage_is_refused_and_kept);
	tcase_add_test(tc, the_table_knows_every_field);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
