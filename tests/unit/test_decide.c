#include <check.h>
#include <stdlib.h>

#include "asker.h"
#include "procs.h"
#include "shm/ring.h"
#include "shm/usage.h"

/* The decision of the gate: who gets in, in which order it is refused, and
 * what is charged.  Limits by name are in test_decide_limits.c. */

/* ---- each row of the table of refusals ---- */

static struct tl_str read_scope[] = { TL_STR("read") };
static struct tl_str write_scope[] = { TL_STR("write") };
static struct tally_cidr home;

static int64_t now_s(void)
{
	return tl_wall_us() / 1000000;
}

static void no_key(void)
{
	in.key = (struct tl_str){ NULL, 0 };
}
static void odd_key(void)
{
	in.key = TL_STR("no key at all");
}
static void other_key(void)
{
	in.key = TL_STR("test_other_0000000000000000");
}
static void key_not_in_database(void)
{
	other_key();
	in.flags |= DECIDE_UNKNOWN;
}
static void revoked(void)
{
	row.revoked = true;
}
static void revoked_grace_over(void)
{
	row.revoked = true;
	row.grace_until_s = now_s() - 1;
}
static void revoked_in_grace(void)
{
	row.revoked = true;
	row.grace_until_s = now_s() + 60;
}
static void expired(void)
{
	row.expires_at_s = now_s() - 1;
}
static void expires_later(void)
{
	row.expires_at_s = now_s() + 60;
}
static void suspended(void)
{
	row.user.suspended = true;
}
static void only_home(void)
{
	struct tl_err err;

	if (tally_cidr_parse(TL_STR("10.0.0.0/8"), &home, &err) != TL_OK)
		exit(99);
	row.allowed = &home;
	row.n_allowed = 1;
}
static void only_home_and_there(void)
{
	only_home();
	in.client = asker_address("10.1.2.3");
}
static void only_home_address_unknown(void)
{
	only_home_and_there();
	in.flags &= ~(unsigned)DECIDE_ADDRESS_KNOWN;
}
static void wants_write_has_read(void)
{
	row.scopes = read_scope;
	row.n_scopes = 1;
	in.scopes = write_scope;
	in.n_scopes = 1;
}
static void wants_read_has_read(void)
{
	wants_write_has_read();
	in.scopes = read_scope;
}
static void wants_write_has_all(void)
{
	wants_write_has_read();
	row.n_scopes = 0;
}
static void rate_used_up(void)
{
	asker.rules.key_count = 0;
}
static void own_rate_allows(void)
{
	asker.rules.key_count = 0;
	row.rate_limit = 1;
}
static void limits_off(void)
{
	asker.rules.key_count = 0;
	asker.rules.limits_enabled = false;
}
static void quota_used_up(void)
{
	row.user.base_credits = 1000;
}
static void quota_for_one(void)
{
	row.user.base_credits = 999;
}
static void quota_off(void)
{
	row.user.base_credits = 1000;
	row.daily_credit_limit = 0;
	asker.rules.quota_enabled = false;
}
static void quota_of_key_used_up(void)
{
	row.daily_credit_limit = 5;
	row.base_credits = 5;
}
static void quota_of_key_is_zero(void)
{
	row.daily_credit_limit = 0;
}
static void costs_nothing(void)
{
	row.user.base_credits = 1000;
	in.cost = 0;
}
static void all_is_well(void)
{
}

static const struct {
	void (*given)(void);
	enum decide_code code;
	enum decide_reason reason;
	unsigned http;
} rows[] = {
	/* clang-format off */
	{ no_key, DECIDE_UNAUTHORIZED, DECIDE_R_MISSING, 401 },
	{ odd_key, DECIDE_UNAUTHORIZED, DECIDE_R_MALFORMED, 401 },
	{ other_key, DECIDE_LOAD, DECIDE_R_NONE, 503 },
	{ key_not_in_database, DECIDE_UNAUTHORIZED, DECIDE_R_UNKNOWN, 401 },
	{ revoked, DECIDE_UNAUTHORIZED, DECIDE_R_REVOKED, 401 },
	{ revoked_grace_over, DECIDE_UNAUTHORIZED, DECIDE_R_REVOKED, 401 },
	{ revoked_in_grace, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ expired, DECIDE_UNAUTHORIZED, DECIDE_R_EXPIRED, 401 },
	{ expires_later, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ suspended, DECIDE_FORBIDDEN, DECIDE_R_SUSPENDED, 403 },
	{ only_home, DECIDE_FORBIDDEN, DECIDE_R_ADDRESS, 403 },
	{ only_home_and_there, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ only_home_address_unknown, DECIDE_FORBIDDEN, DECIDE_R_ADDRESS, 403 },
	{ wants_write_has_read, DECIDE_FORBIDDEN, DECIDE_R_SCOPE, 403 },
	{ wants_read_has_read, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ wants_write_has_all, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ rate_used_up, DECIDE_RATE_LIMITED, DECIDE_R_LIMIT, 429 },
	{ own_rate_allows, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ limits_off, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ quota_used_up, DECIDE_QUOTA_EXCEEDED, DECIDE_R_QUOTA, 429 },
	{ quota_for_one, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ quota_off, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ quota_of_key_used_up, DECIDE_QUOTA_EXCEEDED, DECIDE_R_KEY_QUOTA, 429 },
	{ quota_of_key_is_zero, DECIDE_QUOTA_EXCEEDED, DECIDE_R_KEY_QUOTA, 429 },
	{ costs_nothing, DECIDE_OK, DECIDE_R_NONE, 200 },
	{ all_is_well, DECIDE_OK, DECIDE_R_NONE, 200 },
	/* clang-format on */
};

START_TEST(each_row_of_the_table_holds)
{
	uint64_t before;
	bool pays;

	rows[_i].given();
	asker_take();
	before = asker_credits();

	ck_assert_int_eq(ask(), rows[_i].code);
	ck_assert_int_eq(out.reason, rows[_i].reason);
	ck_assert_uint_eq(decide_http_status(out.code), rows[_i].http);
	pays = out.code == DECIDE_OK && in.cost > 0;
	ck_assert_uint_eq(asker_credits() - before, pays ? in.cost : 0);
	ck_assert_int_eq(out.charged, pays);
	ck_assert_uint_eq(asker_charged(),
			  out.code == DECIDE_OK && asker.rules.limits_enabled);
	/* every 429 says when */
	ck_assert(rows[_i].http != 429 || out.retry_after_ms > 0);
}
END_TEST

/* All that can be wrong is; the first refusal wins, one after another. */
START_TEST(the_first_refusal_wins)
{
	revoked();
	expired();
	suspended();
	only_home();
	wants_write_has_read();
	rate_used_up();
	row.user.base_credits = 1000;
	asker_take();
	ask();
	ck_assert_int_eq(out.reason, DECIDE_R_REVOKED);

	row.revoked = false;
	asker_take();
	ask();
	ck_assert_int_eq(out.reason, DECIDE_R_EXPIRED);
	row.expires_at_s = 0;
	asker_take();
	ask();
	ck_assert_int_eq(out.reason, DECIDE_R_SUSPENDED);
	row.user.suspended = false;
	asker_take();
	ask();
	ck_assert_int_eq(out.reason, DECIDE_R_ADDRESS);
	in.client = asker_address("10.1.2.3");
	ask();
	ck_assert_int_eq(out.reason, DECIDE_R_SCOPE);
	in.n_scopes = 0;
	ask();
	ck_assert_int_eq(out.reason, DECIDE_R_LIMIT);
	asker.rules.key_count = 9;
	ask();
	ck_assert_int_eq(out.reason, DECIDE_R_QUOTA);
	ck_assert_uint_eq(asker_charged(), 0); /* given back */
}
END_TEST

START_TEST(a_401_counts_on_the_address)
{
	asker.rules.address_count = 2;
	no_key();
	ck_assert_int_eq(ask(), DECIDE_UNAUTHORIZED);
	ck_assert_int_eq(ask(), DECIDE_UNAUTHORIZED);

	ck_assert_int_eq(ask(), DECIDE_RATE_LIMITED);
	ck_assert_str_eq(out.rates[out.tightest].name, "address");
	ck_assert_uint_gt(out.retry_after_ms, 0);
	in.client = asker_address("192.0.2.2");
	ck_assert_int_eq(ask(), DECIDE_UNAUTHORIZED);
	in.client = asker_address("2001:db8::1");
	ask();
	in.client = asker_address("2001:db8::2"); /* the same /64 */
	ask();
	ck_assert_int_eq(ask(), DECIDE_RATE_LIMITED);
}
END_TEST

START_TEST(the_anonymous_pass_under_the_address_limit)
{
	asker.rules.address_count = 1;
	in.flags |= DECIDE_ANONYMOUS;
	no_key();

	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert(!out.have_key);
	ck_assert_int_eq(ask(), DECIDE_RATE_LIMITED);
	in.key = TL_STR("no key at all"); /* a wrong key is no missing one */
	ck_assert_int_ne(ask(), DECIDE_OK);
}
END_TEST

/* ---- charging ---- */

START_TEST(a_charge_shows_in_all_figures)
{
	struct decide_usage u;

	row.user.base_credits = 10;
	row.user.base_requests = 4;
	asker_take();
	in.cost = 5;
	in.cost_micro_usd = 77;

	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert_uint_eq(out.credits_limit, 1000);
	ck_assert_uint_eq(out.credits_used, 15);
	ck_assert_uint_eq(out.request_count, 5);
	ck_assert_uint_eq(out.rates[0].limit, 100);
	ck_assert_uint_eq(out.rates[0].remaining, 99);
	ck_assert_str_eq(out.rates[0].name, "key");
	ck_assert(decide_usage(&asker, &row.user.user_id, tl_mono_ns(), &u));
	ck_assert_uint_eq(u.credits_used, 15);
	ck_assert_uint_eq(u.request_count, 5);
	ck_assert_uint_eq(
		shm_count_of(atomic_load(
			&shm->keys[0].cell[asker_today() % 3][SHM_COST])),
		77);
}
END_TEST

START_TEST(a_dry_run_answers_and_charges_nothing)
{
	asker_take();
	in.flags |= DECIDE_DRY;
	in.cost = 1000;

	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert_uint_eq(asker_charged(), 0);
	ck_assert_uint_eq(asker_credits(), 0);
	in.cost = 1001;
	ck_assert_int_eq(ask(), DECIDE_QUOTA_EXCEEDED);
	in.cost = 1;
	asker.rules.key_count = 0;
	ck_assert_int_eq(ask(), DECIDE_RATE_LIMITED);
}
END_TEST

static bool refusal_noted(void)
{
	uint32_t day = asker_today();

	return atomic_load(&shm->users[0].refused[day % SHM_PERIODS]) == day;
}

START_TEST(only_a_request_without_credits_of_its_user_is_noted)
{
	row.daily_credit_limit = 5;
	asker_take();
	in.cost = 6;
	ck_assert_int_eq(ask(), DECIDE_QUOTA_EXCEEDED);
	ck_assert_int_eq(out.reason, DECIDE_R_KEY_QUOTA);
	ck_assert(!refusal_noted());

	atomic_store(&shm->keys[0].daily_limit, SHM_NO_LIMIT);
	in.cost = 1001;
	in.flags |= DECIDE_DRY;
	ck_assert_int_eq(ask(), DECIDE_QUOTA_EXCEEDED);
	ck_assert(!refusal_noted());
	in.flags &= ~(unsigned)DECIDE_DRY;
	in.cost = 1000;
	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert(!refusal_noted());
	in.cost = 1;
	ck_assert_int_eq(ask(), DECIDE_QUOTA_EXCEEDED);
	ck_assert_int_eq(out.reason, DECIDE_R_QUOTA);
	ck_assert(refusal_noted());
}
END_TEST

START_TEST(the_body_may_come_between_limit_and_charge)
{
	asker_take();
	in.flags = DECIDE_RATE | DECIDE_ADDRESS_KNOWN;
	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert_uint_eq(asker_credits(), 0);
	in.cost = 30;
	decide_charge(&asker, &in, &out);
	ck_assert_int_eq(out.code, DECIDE_OK);
	ck_assert_uint_eq(asker_credits(), 30);
	ck_assert_uint_eq(asker_charged(), 1);

	ck_assert_int_eq(ask(), DECIDE_OK);
	in.cost = 971;
	decide_charge(&asker, &in, &out);
	ck_assert_int_eq(out.code, DECIDE_QUOTA_EXCEEDED);
	ck_assert_uint_eq(asker_charged(), 1); /* the second one given back */

	ck_assert_int_eq(ask(), DECIDE_OK);
	shm_key_revoke(shm, &row.digest, 0);
	decide_charge(&asker, &in, &out);
	ck_assert_int_eq(out.code, DECIDE_UNAUTHORIZED);
	ck_assert_uint_eq(asker_charged(), 1);
}
END_TEST

START_TEST(a_day_begins_with_its_own_quota)
{
	uint64_t now = tl_mono_ns();
	uint64_t to_midnight =
		(86400000 - shm_wall_ms(shm, now) % 86400000) * TL_NS_PER_MS;

	asker.rules.limits_enabled = false; /* windows know one clock only */
	row.daily_credit_limit = 7;
	row.user.base_credits = 996;
	asker_take();
	in.cost = 4;
	ck_assert_int_eq(ask_at(now), DECIDE_OK);
	ck_assert_int_eq(ask_at(now), DECIDE_QUOTA_EXCEEDED);
	ck_assert_uint_le(out.retry_after_ms, to_midnight / TL_NS_PER_MS + 1);

	ck_assert_int_eq(ask_at(now + to_midnight), DECIDE_OK);
	ck_assert_uint_eq(out.credits_used, 4);
	ck_assert_int_eq(ask_at(now + to_midnight), DECIDE_QUOTA_EXCEEDED);
	ck_assert_int_eq(out.reason, DECIDE_R_KEY_QUOTA);
	/* a clock that went back does not open yesterday again */
	ck_assert_int_eq(ask_at(now), DECIDE_QUOTA_EXCEEDED);
	ck_assert_uint_eq(out.day, asker_today());
}
END_TEST

/* Three days without a flush: refused, or let through and told, as set. */
START_TEST(a_cell_that_is_not_handed_over_refuses_or_drops)
{
	uint32_t today = asker_today();

	asker_take();
	atomic_store(&shm->keys[0].cell[today % 3][SHM_CREDITS],
		     shm_tagged(today - 3, 5));
	in.cost = 2;

	ck_assert_int_eq(ask(), DECIDE_UNAVAILABLE);
	ck_assert_uint_gt(out.retry_after_ms, 0);
	ck_assert_uint_eq(asker_credits(), 0);
	ck_assert_uint_eq(asker_charged(), 0);
	asker.rules.outage_open = true;
	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert_uint_eq(atomic_load(&shm->head->usage_dropped), 2);
	ck_assert_uint_eq(asker_credits(), 2);
}
END_TEST

/* ---- processes ---- */

struct count {
	_Atomic uint64_t ok, refused, other;
};

static void ask_often(struct shm *s, uint32_t who, void *arg)
{
	struct count *c = arg;
	uint32_t i;

	(void)s;
	(void)who;
	procs_delays(true);
	for (i = 0; i < 500; i++)
		switch (ask()) {
		case DECIDE_OK:
			atomic_fetch_add(&c->ok, 1);
			break;
		case DECIDE_QUOTA_EXCEEDED:
			atomic_fetch_add(&c->refused, 1);
			break;
		default:
			atomic_fetch_add(&c->other, 1);
		}
}

START_TEST(of_concurrent_requests_exactly_the_quota_passes)
{
	struct count *c = procs_shared(sizeof(*c));

	asker.rules.key_count = 1000000;
	if (_i == 1)
		row.daily_credit_limit = 700;
	asker_take();
	procs_run(&(struct procs_job){
		.shm = shm, .n = 4, .run = ask_often, .arg = c });

	ck_assert_uint_eq(atomic_load(&c->ok), _i == 1 ? 700 : 1000);
	ck_assert_uint_eq(atomic_load(&c->ok) + atomic_load(&c->refused), 2000);
	ck_assert_uint_eq(asker_credits(), atomic_load(&c->ok));
	ck_assert_uint_eq(shm_key_credits(&shm->keys[0], asker_today()),
			  atomic_load(&c->ok));
}
END_TEST

static void ask_once(struct shm *s, void *arg)
{
	(void)s;
	(void)arg;
	ask();
}

/* Rows 1 and 2 of the crash table: strict by one, nothing counted. */
START_TEST(a_kill_after_the_reservation_is_strict_by_one)
{
	asker_take();
	ck_assert(procs_die_at(shm, 5, "decide.reserved", 1, ask_once, NULL));

	ck_assert_uint_eq(asker_credits(), 1);
	ck_assert_uint_eq(asker_charged(), 1);
	ck_assert_uint_eq(shm_key_credits(&shm->keys[0], asker_today()), 0);
	ck_assert_int_eq(ask(), DECIDE_OK);
	ck_assert_uint_eq(shm_key_credits(&shm->keys[0], asker_today()), 1);
}
END_TEST

/* ---- why ---- */

START_TEST(the_ring_tells_why)
{
	struct shm_decision d;
	char words[200];

	asker_take();
	asker.rules.key_count = 0;
	ask();
	decide_record(&asker, &out, DECIDE_D_GATE, &in.client, TL_STR("req-7"),
		      NULL, 429, in.mono_ns, in.mono_ns + 900);

	ck_assert(shm_ring_find(shm, TL_STR("req-7"), &d));
	ck_assert_uint_eq(d.http_status, 429);
	ck_assert_uint_eq(d.reason, DECIDE_R_LIMIT);
	ck_assert_str_eq(d.limit_name, "key");
	ck_assert_uint_eq(d.duration_ns, 900);
	ck_assert_mem_eq(d.key_id, row.key_id.b, 16);
	ck_assert(!shm_ring_find(shm, TL_STR("req-8"), &d));
	ck_assert_uint_gt(decide_message(&out, words, sizeof(words)), 0);
	ck_assert_ptr_nonnull(strstr(words, "'key'"));
	decide_message(&out, words, 8);
	ck_assert_uint_eq(strlen(words), 7);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decide");
	TCase *tc = tcase_create("decide");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, asker_up, asker_down);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, each_row_of_the_table_holds, 0,
			    sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(tc, the_first_refusal_wins);
	tcase_add_test(tc, a_401_counts_on_the_address);
	tcase_add_test(tc, the_anonymous_pass_under_the_address_limit);
	tcase_add_test(tc, a_charge_shows_in_all_figures);
	tcase_add_test(tc, a_dry_run_answers_and_charges_nothing);
	tcase_add_test(tc,
		       only_a_request_without_credits_of_its_user_is_noted);
	tcase_add_test(tc, the_body_may_come_between_limit_and_charge);
	tcase_add_test(tc, a_day_begins_with_its_own_quota);
	tcase_add_test(tc, a_cell_that_is_not_handed_over_refuses_or_drops);
	tcase_add_loop_test(tc, of_concurrent_requests_exactly_the_quota_passes,
			    0, 2);
	tcase_add_test(tc, a_kill_after_the_reservation_is_strict_by_one);
	tcase_add_test(tc, the_ring_tells_why);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
