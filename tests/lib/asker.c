#include "asker.h"

#include <stdio.h>
#include <stdlib.h>

#include "shm/usage.h"

struct shm *shm;
struct decide asker;
struct tally_key_row row;
struct decide_in in;
struct decide_out out;

static char key_text[40];

uint32_t asker_today(void)
{
	return shm_day(shm, tl_mono_ns());
}

struct tally_addr asker_address(const char *text)
{
	struct tally_addr a;

	if (!tally_addr_parse(tl_str_c(text), &a))
		exit(99);
	return a;
}

void asker_up(void)
{
	shm = segment_open(64, 1000);
	shm_remove(segment_instance()); /* nothing is left when a test fails */
	shm_slot_set_state(shm, SHM_SLOT_READY);
	asker = (struct decide){ .shm = shm,
				 .rules = { .limits_enabled = true,
					    .quota_enabled = true,
					    .metering_enabled = true,
					    .key_count = 100,
					    .address_count = 20,
					    .window_ms = 60000 } };
	segment_row(1, 1, &row);
	row.user.day = (int32_t)asker_today();
	segment_key_text(1, key_text);
	in = (struct decide_in){
		.flags = DECIDE_RATE | DECIDE_CHARGE | DECIDE_401_COUNTS |
			 DECIDE_ADDRESS_KNOWN,
		.key = tl_str_c(key_text),
		.client = asker_address("192.0.2.1"),
		.cost = 1,
	};
}

void asker_down(void)
{
	shm_close(&shm);
}

void asker_take(void)
{
	segment_take_in(shm, &row);
}

enum decide_code ask_at(uint64_t mono_ns)
{
	in.mono_ns = mono_ns;
	decide(&asker, &in, &out);
	return out.code;
}

enum decide_code ask(void)
{
	return ask_at(tl_mono_ns());
}

void asker_limits(const struct tally_limit_row *rows, uint32_t n)
{
	struct tally_plan_row plan = { .name = TL_STR("Pro"),
				       .daily_credit_limit = 1000,
				       .rate_limit = 7 };
	struct tl_err err;

	plan.plan_id.b[0] = 1;
	if (shm_policy_set(shm, rows, n, &plan, 1, &err) != TL_OK) {
		fprintf(stderr, "limits: %s\n", err.text);
		exit(99);
	}
}

uint32_t asker_charged(void)
{
	const struct shm_constants *c = &shm->head->k;
	uint32_t k = shm_key_find(shm, &row.digest);

	return shm_window_sum(shm->keys[k].ring, c->window_ms * TL_NS_PER_MS,
			      tl_mono_ns() - c->created_mono_ns);
}

uint64_t asker_credits(void)
{
	uint32_t u = shm_user_find(shm, &row.user.user_id);

	return shm_quota_used(&shm->users[u], asker_today());
}
