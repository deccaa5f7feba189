/*
 * flush_apply: exactly once, whatever is deleted meanwhile.
 */
#include "config.h"

#include "integration/store_fixture.h"

#include <libpq-fe.h>

#include "pg/pg.h"
#include "store/q_flush.h"

#define EPOCH 77

/* A batch of one record a key, and what one record holds. */
struct batch {
	struct tl_uuid users[4], keys[4];
	int32_t days[4];
	int64_t credits[4], ones[4], costs[4], used_at_us[4];
	uint32_t n;
};

static void add(struct batch *b, unsigned user_n, unsigned key_n,
		int64_t credits, int64_t used_at_us)
{
	b->users[b->n] = user_id(user_n);
	b->keys[b->n] = key_id(key_n);
	b->days[b->n] = DAY;
	b->credits[b->n] = credits;
	b->ones[b->n] = credits > 0;
	b->costs[b->n] = credits * 1000;
	b->used_at_us[b->n] = used_at_us;
	b->n++;
}

static struct q_flush_apply_params params(const struct batch *b, int64_t seq)
{
	return (struct q_flush_apply_params){
		.node = TL_STR("eu-1"),
		.epoch = EPOCH,
		.seq = seq,
		.user_ids = { b->n, b->users },
		.key_ids = { b->n, b->keys },
		.days = { b->n, b->days },
		.credits = { b->n, b->credits },
		.requests = { b->n, b->ones },
		.costs = { b->n, b->costs },
		.last_used_us = { b->n, b->used_at_us },
	};
}

static const char *apply_params(const struct q_flush_apply_params *p)
{
	struct q_flush_apply_row row;

	if (q_flush_apply(pg, p, &arena, &row, &err) != TL_OK)
		return pg_err_sqlstate(&err);
	return row.outcome.ptr;
}

static const char *apply(const struct batch *b, int64_t seq)
{
	struct q_flush_apply_params p = params(b, seq);

	return apply_params(&p);
}

static int64_t open_epoch(int64_t epoch)
{
	struct q_flush_node_open_row row;

	if (q_flush_node_open(pg,
			      &(struct q_flush_node_open_params){
				      .node = TL_STR("eu-1"), .epoch = epoch },
			      &arena, &row, &err) != TL_OK)
		return -1;
	return row.last_seq;
}

static int64_t credits_of(unsigned key_n)
{
	return sql_num(db,
		       "SELECT sum(credits_used)::int8 FROM daily_usage"
		       " WHERE right(key_id::text, 4)::int = %u",
		       key_n);
}

STORE_TEST(batch_is_applied_once)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	store_fixture_user(2);
	add(&b, 1, 1, 5, 0);
	add(&b, 2, 2, 7, 0);
	ck_assert_int_eq(open_epoch(EPOCH), 0);

	ck_assert_str_eq(apply(&b, 1), "applied");
	ck_assert_str_eq(apply(&b, 1), "duplicate");
	ck_assert_str_eq(apply(&b, 2), "applied");
	ck_assert_str_eq(apply(&b, 1), "duplicate");

	ck_assert_int_eq(credits_of(1), 10);
	ck_assert_int_eq(credits_of(2), 14);
	ck_assert_str_eq(sql_str(db, "SELECT format('%%s %%s %%s', date,"
				     " request_count, cost_micro_usd)"
				     " FROM daily_usage WHERE credits_used"
				     " = 14"),
			 "2024-10-04 2 14000");
	ck_assert_int_eq(open_epoch(EPOCH), 2);
}

STORE_TEST(gap_is_an_error_and_changes_nothing)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	add(&b, 1, 1, 5, 0);
	ck_assert_str_eq(apply(&b, 1), "TL001"); /* never opened */
	ck_assert_int_eq(open_epoch(EPOCH), 0);

	ck_assert_str_eq(apply(&b, 2), "TL001");

	ck_assert_int_eq(credits_of(1), 0);
	ck_assert_str_eq(apply(&b, 1), "applied");
}

STORE_TEST(new_epoch_fences_the_old_but_takes_its_spool)
{
	struct q_flush_apply_params spooled;
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	add(&b, 1, 1, 5, 0);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	ck_assert_str_eq(apply(&b, 1), "applied");
	ck_assert_int_eq(open_epoch(EPOCH + 1), 0);

	ck_assert_str_eq(apply(&b, 2), "TL002");
	ck_assert_str_eq(apply(&b, 1), "duplicate");
	ck_assert_int_eq(open_epoch(EPOCH), -1);
	ck_assert_str_eq(pg_err_sqlstate(&err), "TL002");

	spooled = params(&b, 2);
	spooled.replay = true;
	ck_assert_str_eq(apply_params(&spooled), "applied");
	ck_assert_str_eq(apply_params(&spooled), "duplicate");
	spooled.seq = 4;
	ck_assert_str_eq(apply_params(&spooled), "TL001");
	ck_assert_int_eq(credits_of(1), 10);
	ck_assert_int_eq(open_epoch(EPOCH + 1), 0);
}

/* Its database was away for the whole life of the segment. */
STORE_TEST(spool_of_an_epoch_that_never_opened_is_taken)
{
	struct q_flush_apply_params spooled;
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	add(&b, 1, 1, 5, 0);
	ck_assert_int_eq(open_epoch(EPOCH + 1), 0);

	spooled = params(&b, 1);
	spooled.replay = true;
	ck_assert_str_eq(apply_params(&spooled), "applied");
	ck_assert_int_eq(credits_of(1), 5);
}

STORE_TEST(records_of_one_key_and_day_are_added_up)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	store_fixture_key(2, 1);
	add(&b, 1, 2, 1, 0);
	add(&b, 1, 1, 5, 3000000);
	add(&b, 1, 1, 7, 1000000);
	add(&b, 1, 2, 0, 2000000); /* used, but free of charge */
	ck_assert_int_eq(open_epoch(EPOCH), 0);

	ck_assert_str_eq(apply(&b, 1), "applied");
	ck_assert_str_eq(apply(&b, 2), "applied");

	ck_assert_int_eq(credits_of(1), 24);
	ck_assert_int_eq(credits_of(2), 2);
	ck_assert_str_eq(sql_str(db, "SELECT string_agg(extract(epoch FROM"
				     " last_used_at)::int8::text, ' ' ORDER BY"
				     " key_id) FROM api_keys"),
			 "3 2");
}

STORE_TEST(key_used_for_free_gets_no_usage_row)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	add(&b, 1, 1, 0, 2000000);
	ck_assert_int_eq(open_epoch(EPOCH), 0);

	ck_assert_str_eq(apply(&b, 1), "applied");

	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM daily_usage"), 0);
	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM api_keys"
				     " WHERE last_used_at IS NOT NULL"),
			 1);
}

STORE_TEST(last_use_never_goes_back)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	add(&b, 1, 1, 1, 5000000);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	ck_assert_str_eq(apply(&b, 1), "applied");
	b.used_at_us[0] = 4000000;
	ck_assert_str_eq(apply(&b, 2), "applied");
	b.used_at_us[0] = 0;
	ck_assert_str_eq(apply(&b, 3), "applied");

	ck_assert_int_eq(sql_num(db, "SELECT extract(epoch FROM last_used_at)"
				     "::int8 FROM api_keys"),
			 5);
}

STORE_TEST(usage_of_the_deleted_goes_to_orphans)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	store_fixture_user(2);
	store_fixture_key(3, 1);
	add(&b, 1, 1, 5, 1);
	add(&b, 2, 2, 7, 1);
	add(&b, 1, 3, 9, 1);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	ck_assert_str_eq(apply(&b, 1), "applied");
	sql_exec(db, "DELETE FROM users WHERE email = 'user-2@test'");
	sql_exec(db, "DELETE FROM api_keys WHERE key_prefix = 'key-3'");

	ck_assert_str_eq(apply(&b, 2), "applied");

	ck_assert_int_eq(credits_of(1), 10);
	ck_assert_str_eq(
		sql_str(db, "SELECT string_agg(format('%%s/%%s/%%s/%%s/%%s',"
			    " node_id, epoch, seq, credits_used, date), ' '"
			    " ORDER BY credits_used) FROM tallyd.usage_orphan"),
		"eu-1/77/2/7/2024-10-04 eu-1/77/2/9/2024-10-04");
	ck_assert_str_eq(apply(&b, 2), "duplicate");
	ck_assert_int_eq(sql_num(db, "SELECT count(*)"
				     " FROM tallyd.usage_orphan"),
			 2);
}

/* Sends a statement and returns when the server waits for a lock. */
static PGconn *start_blocked(const char *sql)
{
	PGconn *conn = PQconnectdb(db);

	ck_assert_int_eq(PQstatus(conn), CONNECTION_OK);
	ck_assert_int_eq(PQsendQuery(conn, sql), 1);
	while (sql_num(db,
		       "SELECT count(*) FROM pg_locks"
		       " WHERE pid = %d AND NOT granted",
		       PQbackendPID(conn)) == 0)
		ck_assert(!PQconsumeInput(conn) || PQisBusy(conn));
	return conn;
}

#define APPLY_1                                                                \
	"SELECT outcome FROM tallyd.flush_usage('eu-1', 77, 1, false,"         \
	" ARRAY['b0000000-0000-0000-0000-000000000001']::uuid[],"              \
	" ARRAY['c0000000-0000-0000-0000-000000000001']::uuid[],"              \
	" '{2024-10-04}', '{5}', '{1}', '{1}', '{%d}',"                        \
	" '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')"

static void finish(PGconn *conn, const char *want)
{
	PGresult *res = PQgetResult(conn);

	ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK, "%s",
		      PQerrorMessage(conn));
	ck_assert_str_eq(PQgetvalue(res, 0, 0), want);
	PQclear(res);
	PQfinish(conn);
}

/* With a time of last use the key's row is waited for, without the user's:
 * both must end well when the one who deletes commits. */
STORE_TEST(batch_waits_for_a_delete_and_is_not_blocked_by_it)
{
	static const char *const DELETES[] = {
		"DELETE FROM users",
		"DELETE FROM api_keys",
	};
	PGconn *deleter = PQconnectdb(db), *conn;
	char *sql = tl_asprintf(APPLY_1, (loop_i & 1) ? 1 : 0);

	store_fixture_user(1);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	PQclear(PQexec(deleter, "BEGIN"));
	PQclear(PQexec(deleter, DELETES[loop_i >> 1]));
	conn = start_blocked(sql);
	PQclear(PQexec(deleter, "COMMIT"));

	finish(conn, "applied");
	ck_assert_int_eq(sql_num(db, "SELECT sum(credits_used)::int8"
				     " FROM tallyd.usage_orphan"),
			 5);
	PQfinish(deleter);
	tl_free(sql);
}

/* An old server process still holds the row: the resent batch waits. */
STORE_TEST(batch_sent_twice_at_once_is_applied_once)
{
	char *sql = tl_asprintf(APPLY_1, 1);
	PGconn *first = PQconnectdb(db), *second;

	store_fixture_user(1);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	PQclear(PQexec(first, "BEGIN"));
	PQclear(PQexec(first, sql));
	second = start_blocked(sql);
	PQclear(PQexec(first, "COMMIT"));

	finish(second, "duplicate");
	ck_assert_int_eq(credits_of(1), 5);
	PQfinish(first);
	tl_free(sql);
}

/* Row made by another node between our look and our insert. */
STORE_TEST(two_nodes_meet_on_a_new_row)
{
	PGconn *other = PQconnectdb(db), *conn;
	char *sql = tl_asprintf(APPLY_1, 0);

	store_fixture_user(1);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	PQclear(PQexec(other, "SELECT tallyd.flush_node_open('eu-2', 1)"));
	PQclear(PQexec(other, "BEGIN"));
	PQclear(PQexec(
		other,
		"SELECT outcome FROM tallyd.flush_usage('eu-2', 1, 1, false,"
		" ARRAY['b0000000-0000-0000-0000-000000000001']::uuid[],"
		" ARRAY['c0000000-0000-0000-0000-000000000001']::uuid[],"
		" '{2024-10-04}', '{8}', '{1}', '{1}', '{0}', '{}', '{}',"
		" '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')"));
	conn = start_blocked(sql);
	PQclear(PQexec(other, "COMMIT"));

	finish(conn, "applied");
	ck_assert_int_eq(credits_of(1), 13);
	PQfinish(other);
	tl_free(sql);
}

STORE_TEST(flush_never_reaches_the_change_log)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	add(&b, 1, 1, 5, 1000000);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	sql_exec(db, "DELETE FROM tallyd.change_log");

	ck_assert_str_eq(apply(&b, 1), "applied");
	ck_assert_str_eq(apply(&b, 2), "applied");

	ck_assert_int_eq(sql_num(db, "SELECT count(*) FROM tallyd.change_log"),
			 0);
}

/* The dearest part of a flush must stay on its page. */
STORE_TEST(last_use_is_a_hot_update)
{
	struct batch b = { .n = 0 };

	store_fixture_user(1);
	add(&b, 1, 1, 5, 1000000);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	for (int64_t seq = 1; seq <= 20; seq++) {
		b.used_at_us[0] += 1000000;
		ck_assert_str_eq(apply(&b, seq), "applied");
	}

	/* Statistics come late; the line pointers tell at once: one page. */
	ck_assert_str_eq(sql_str(db, "SELECT string_agg(DISTINCT"
				     " (ctid::text::point)[0]::text, '') FROM"
				     " (SELECT ctid FROM api_keys UNION ALL"
				     " SELECT ctid FROM daily_usage) t"),
			 "0");
}

static struct q_flush_apply_params
with_answer(const struct batch *b, int64_t seq, int64_t at_us, int64_t used)
{
	struct q_flush_apply_params p = params(b, seq);
	static struct tl_str hash, name;
	static struct tl_uuid key;
	static int32_t day = DAY;
	static int64_t one = 1, limit = 250, at, used_after;

	hash = (struct tl_str){ "\0\1\2", 3 };
	name = TL_STR("order-1");
	key = key_id(1);
	at = at_us;
	used_after = used;
	p.idem_key_ids = (struct pg_array){ 1, &key };
	p.idem_keys = (struct pg_array){ 1, &name };
	p.idem_body_hashes = (struct pg_array){ 1, &hash };
	p.idem_days = (struct pg_array){ 1, &day };
	p.idem_credits = (struct pg_array){ 1, &one };
	p.idem_costs = (struct pg_array){ 1, &one };
	p.idem_used = (struct pg_array){ 1, &used_after };
	p.idem_limits = (struct pg_array){ 1, &limit };
	p.idem_requests = (struct pg_array){ 1, &one };
	p.idem_at_us = (struct pg_array){ 1, &at };
	return p;
}

static enum tl_status find(int64_t since_us, struct q_idempotency_find_row *row)
{
	return q_idempotency_find(pg,
				  &(struct q_idempotency_find_params){
					  .key_id = key_id(1),
					  .idem_key = TL_STR("order-1"),
					  .since_us = since_us },
				  &arena, row, &err);
}

STORE_TEST(first_answer_stands_for_a_day)
{
	const int64_t at = 1728000000000000, day_us = 86400000000;
	struct q_idempotency_find_row row;
	struct q_flush_apply_params p;
	struct batch b = { .n = 0 };
	uint64_t n;

	store_fixture_user(1);
	ck_assert_int_eq(open_epoch(EPOCH), 0);
	p = with_answer(&b, 1, at, 11);
	ck_assert_str_eq(apply_params(&p), "applied");
	p = with_answer(&b, 2, at + day_us - 1, 22);
	ck_assert_str_eq(apply_params(&p), "applied");

	ck_ok(find(at - 1, &row));
	ck_assert_int_eq(row.used, 11);
	ck_assert_int_eq(row.at_us, at);
	ck_assert_int_eq(row.day, DAY);
	ck_assert_int_eq(row.daily_limit, 250);
	ck_assert_uint_eq(row.body_hash.len, 3);
	ck_assert_mem_eq(row.body_hash.ptr, "\0\1\2", 3);
	ck_assert_int_eq(find(at, &row), TL_NOT_FOUND);

	p = with_answer(&b, 3, at + day_us, 33);
	ck_assert_str_eq(apply_params(&p), "applied");
	ck_ok(find(at, &row));
	ck_assert_int_eq(row.used, 33);

	ck_ok(q_idempotency_trim(pg,
				 &(struct q_idempotency_trim_params){
					 .before_us = at + day_us, .max = 10 },
				 &n, &err));
	ck_assert_uint_eq(n, 1);
}

int main(void)
{
	Suite *s = suite_create("store flush");
	TCase *tc = store_fixture_case(s, "flush");

	tcase_add_test(tc, batch_is_applied_once);
	tcase_add_test(tc, gap_is_an_error_and_changes_nothing);
	tcase_add_test(tc, new_epoch_fences_the_old_but_takes_its_spool);
	tcase_add_test(tc, spool_of_an_epoch_that_never_opened_is_taken);
	tcase_add_test(tc, records_of_one_key_and_day_are_added_up);
	tcase_add_test(tc, key_used_for_free_gets_no_usage_row);
	tcase_add_test(tc, last_use_never_goes_back);
	tcase_add_test(tc, usage_of_the_deleted_goes_to_orphans);
	tcase_add_loop_test(
		tc, batch_waits_for_a_delete_and_is_not_blocked_by_it, 0, 4);
	tcase_add_test(tc, batch_sent_twice_at_once_is_applied_once);
	tcase_add_test(tc, two_nodes_meet_on_a_new_row);
	tcase_add_test(tc, flush_never_reaches_the_change_log);
	tcase_add_test(tc, last_use_is_a_hot_update);
	tcase_add_test(tc, first_answer_stands_for_a_day);
	return store_fixture_main(s);
}
