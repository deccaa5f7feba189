#include "segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char instance[32];

const char *segment_instance(void)
{
	if (instance[0] == 0)
		snprintf(instance, sizeof(instance), "test%d", (int)getpid());
	return instance;
}

static void die(const char *what, const struct tl_err *err)
{
	fprintf(stderr, "segment: %s: %s\n", what, err->text);
	exit(99);
}

static void plan_set(struct shm *s, uint64_t plan_limit)
{
	struct tally_plan_row plan = { .name = TL_STR("Pro"),
				       .daily_credit_limit =
					       (int64_t)plan_limit };
	struct tl_err err;

	plan.plan_id.b[0] = 1;
	if (shm_policy_set(s, NULL, 0, &plan, 1, &err) != TL_OK)
		die("plan", &err);
}

struct shm *segment_open_sized(const struct shm_sizes *z, uint64_t plan_limit)
{
	struct shm *s = NULL;
	enum shm_found found;
	struct tl_err err;

	shm_remove(segment_instance());
	if (shm_open_master(segment_instance(), z, &s, &found, &err) != TL_OK)
		die("open", &err);
	shm_slot_take(s, 1, "test", 0, 1);
	plan_set(s, plan_limit);
	return s;
}

struct shm *segment_open(uint32_t max_keys, uint64_t plan_limit)
{
	struct shm_sizes z = { .max_keys = max_keys, .max_addresses = 1024,
			       .max_windows = 1024, .decision_ring = 1024,
			       .idempotency = 256, .window_ms = 60000 };

	return segment_open_sized(&z, plan_limit);
}

void segment_close(struct shm **s)
{
	shm_close(s);
	shm_remove(segment_instance());
}

void segment_key_text(uint32_t n, char dst[40])
{
	snprintf(dst, 40, "test_%032x", n);
}

void segment_row(uint32_t n, uint32_t u, struct tally_key_row *row_r)
{
	char text[40];

	memset(row_r, 0, sizeof(*row_r));
	segment_key_text(n, text);
	tally_key_digest(tl_str_c(text), &row_r->digest);
	memcpy(row_r->key_id.b, &n, 4);
	row_r->key_id.b[15] = 0xcc;
	row_r->daily_credit_limit = -1;
	memcpy(row_r->user.user_id.b, &u, 4);
	row_r->user.user_id.b[15] = 0xbb;
	row_r->user.plan_id.b[0] = 1;
	row_r->user.day = SEGMENT_DAY;
}

void segment_take_in(struct shm *s, const struct tally_key_row *row)
{
	struct tl_err err;
	bool missing;

	if (shm_key_take_in(s, row, shm_change_gen(s), &missing, &err) != TL_OK)
		die("take in", &err);
}
