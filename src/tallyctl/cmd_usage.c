/*
 * cmd_usage.c - usage: what a user or all of them have used, day by day.
 *
 * The database's sums, and what the segment has counted beyond the last batch
 * that the database has (shm/books.h): the same figures as the API's history,
 * whether the daemon runs or not.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/co.h"
#include "pg/pg.h"
#include "shm/books.h"
#include "store/q_usage.h"
#include "store/q_users.h"
#include "tallyctl/db.h"
#include "tallyctl/tallyctl.h"

#define DAYS_MAX     3660
#define DAYS_DEFAULT 30
#define TRIES        50
#define STEP_MS      10
#define KEY_DAYS     4 /* a key that ended before has nothing on its way */
#define US_PER_DAY   86400000000LL
#define BAR_MAX      60
#define TABLE_WIDTH  46 /* what stands left of the bars */

struct usage {
	struct tallyctl *t;
	bool all;        /* users; then there is no email and user_id */
	struct shm *shm; /* NULL: none is there */
	int32_t first;
	uint32_t n_days;
	struct tl_str email;
	struct tl_uuid user_id;
	struct shm_sum *days; /* oldest first */
};

/* ---- figures ---- */

static enum tl_status find_user(struct pg *pg, struct usage *u,
				struct tl_err *err)
{
	struct tl_str who = ctl_text(u->t->args, "user");
	struct q_user_find_by_email_row row;
	enum tl_status st;

	if (tl_uuid_parse(who, &u->user_id))
		st = q_user_by_id(pg, u->user_id, u->t->arena, &row, err);
	else
		st = q_user_find_by_email(pg, who, u->t->arena, &row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no user '%.*s'; see 'tallyctl user "
				  "list'",
				  (int)who.len, who.ptr);
	if (st == TL_OK) {
		u->email = row.email;
		u->user_id = row.user_id;
	}
	return st;
}

/* The arrays have as many items. */
static void take_sums(struct usage *u, uint32_t n, const void *days,
		      const void *all_credits, const void *all_requests,
		      const void *all_costs)
{
	const int64_t *credits = all_credits, *requests = all_requests;
	const int64_t *costs = all_costs;
	const int32_t *day = days;

	memset(u->days, 0, u->n_days * sizeof(*u->days));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (uint32_t)(day[i] - u->first);

		if (at >= u->n_days)
			continue;
		u->days[at].n[SHM_CREDITS] = (uint64_t)credits[i];
		u->days[at].n[SHM_REQUESTS] = (uint64_t)requests[i];
		u->days[at].n[SHM_COST] = (uint64_t)costs[i];
	}
}

/* Adds what is on its way.  False: the row is behind; ask again. */
static bool add_pending(struct usage *u, const struct q_usage_days_row *row)
{
	struct tl_arena *a = u->t->arena;
	const struct tl_str *digest = row->digests.items;
	size_t bytes = u->n_days * sizeof(struct shm_sum);
	struct tally_digest *keys =
		tl_arena_alloc(a, (row->digests.n + 1) * sizeof(*keys));
	struct shm_sum *sent = tl_arena_alloc(a, bytes);
	struct shm_sum *counted = tl_arena_alloc(a, bytes);
	bool whole;

	for (uint32_t i = 0; i < row->digests.n; i++)
		memcpy(keys[i].b, digest[i].ptr, sizeof(keys[i].b));
	whole = shm_books_delivered(u->shm, keys, row->digests.n,
				    (uint32_t)u->first, u->n_days,
				    (uint64_t)row->last_seq, sent);
	shm_books_counted(u->shm, keys, row->digests.n, (uint32_t)u->first,
			  u->n_days, counted);
	for (uint32_t i = 0; i < u->n_days; i++)
		for (uint32_t m = 0; m < SHM_METRICS; m++)
			if (counted[i].n[m] > sent[i].n[m])
				u->days[i].n[m] +=
					counted[i].n[m] - sent[i].n[m];
	return whole;
}

static enum tl_status run_usage(struct pg *pg, void *arg, struct tl_err *err)
{
	struct usage *u = arg;
	struct q_usage_days_params p;
	struct q_usage_days_row row;
	enum tl_status st;

	st = find_user(pg, u, err);
	if (st != TL_OK)
		return st;
	p = (struct q_usage_days_params){
		.user_id = u->user_id,
		.first_day = u->first,
		.last_day = u->first + (int32_t)u->n_days - 1,
		.since_us = (u->first + (int64_t)u->n_days - 1 - KEY_DAYS) *
			    US_PER_DAY,
		.node = TL_STR(""),
	};
	if (u->shm != NULL) {
		p.node = tl_str_c(u->shm->head->k.node_id);
		p.epoch = (int64_t)u->shm->head->k.epoch;
	}
	for (int i = 0; i < TRIES; i++) {
		st = q_usage_days(pg, &p, u->t->arena, &row, err);
		if (st != TL_OK)
			return st;
		take_sums(u, row.days.n, row.days.items, row.credits.items,
			  row.requests.items, row.costs.items);
		/* with a spool the rest is there: as whole as it can be */
		if (u->shm == NULL || add_pending(u, &row) ||
		    atomic_load(&u->shm->head->spool_records) != 0)
			break;
	}
	return TL_OK;
}

/* ---- figures of all ---- */

static enum tl_status ask_all(struct pg *pg, struct usage *u,
			      uint64_t *last_seq_r, struct tl_err *err)
{
	struct q_usage_all_days_params p = {
		.first_day = u->first,
		.last_day = u->first + (int32_t)u->n_days - 1,
		.node = TL_STR(""),
	};
	struct q_usage_all_days_row row;
	enum tl_status st;

	if (u->shm != NULL) {
		p.node = tl_str_c(u->shm->head->k.node_id);
		p.epoch = (int64_t)u->shm->head->k.epoch;
	}
	st = q_usage_all_days(pg, &p, u->t->arena, &row, err);
	if (st != TL_OK)
		return st;
	*last_seq_r = (uint64_t)row.last_seq;
	take_sums(u, row.days.n, row.days.items, row.credits.items,
		  row.requests.items, row.costs.items);
	return TL_OK;
}

/* The segment counts no day that ended before these. */
static void add_all_pending(struct usage *u)
{
	uint32_t n = u->n_days < SHM_PERIODS ? u->n_days : SHM_PERIODS;

	for (uint32_t i = u->n_days - n; i < u->n_days; i++) {
		struct shm_books books = { .pending_keys = 0 };
		uint32_t next = 0;

		while (shm_books_page(u->shm, (uint32_t)u->first + i,
				      UINT32_MAX, &next, &books))
			;
		for (uint32_t m = 0; m < SHM_METRICS; m++)
			u->days[i].n[m] +=
				books.counted.n[m] - books.delivered.n[m];
	}
}

/*
 * Database and segment must be of one state of the flush: no batch between the
 * two looks.  If that never comes it is one batch off.
 */
static enum tl_status run_usage_all(struct pg *pg, void *arg,
				    struct tl_err *err)
{
	uint64_t before, after, last_seq = 0;
	struct usage *u = arg;
	enum tl_status st = TL_OK;

	for (int i = 0; i < TRIES && st == TL_OK; i++) {
		bool still = u->shm != NULL && shm_books_mark(u->shm, &before);

		st = ask_all(pg, u, &last_seq, err);
		if (st != TL_OK || u->shm == NULL)
			return st;
		add_all_pending(u);
		if (atomic_load(&u->shm->head->spool_records) != 0 ||
		    (still && shm_books_mark(u->shm, &after) &&
		     after == before && before <= last_seq))
			break;
		st = co_sleep_ms(STEP_MS, err);
	}
	return st;
}

/* ---- output ---- */

static bool unused(const struct shm_sum *d)
{
	return d->n[SHM_CREDITS] == 0 && d->n[SHM_REQUESTS] == 0 &&
	       d->n[SHM_COST] == 0;
}

static struct shm_sum total_of(const struct usage *u)
{
	struct shm_sum sum = { { 0 } };

	for (uint32_t i = 0; i < u->n_days; i++)
		for (uint32_t m = 0; m < SHM_METRICS; m++)
			sum.n[m] += u->days[i].n[m];
	return sum;
}

static void usd_text(uint64_t micro, char dst[32])
{
	uint64_t whole = micro / 1000000, rest = micro % 1000000;

	(void)snprintf(dst, 32, "%" PRIu64 ".%06" PRIu64, whole, rest);
}

static const struct doc *sum_doc(struct tl_arena *a, struct doc *d,
				 const struct shm_sum *s)
{
	doc_set(a, d, "credits_used", doc_int(a, (int64_t)s->n[SHM_CREDITS]));
	doc_set(a, d, "request_count", doc_int(a, (int64_t)s->n[SHM_REQUESTS]));
	doc_set(a, d, "cost_usd", doc_usd(a, s->n[SHM_COST]));
	return d;
}

static void print_as_json(const struct usage *u)
{
	struct tl_arena *a = u->t->arena;
	struct doc *o = doc_object(a), *list = doc_array(a);
	struct shm_sum total = total_of(u);

	for (uint32_t i = u->n_days; i-- > 0;) {
		struct doc *d = doc_object(a);

		doc_set(a, d, "date", doc_date(a, u->first + (int32_t)i));
		doc_push(a, list, sum_doc(a, d, &u->days[i]));
	}
	doc_set(a, o, "user_id",
		u->all ? doc_null() : doc_uuid(a, &u->user_id));
	doc_set(a, o, "email", u->all ? doc_null() : doc_str(a, u->email));
	doc_set(a, o, "days", list);
	doc_set(a, o, "total", sum_doc(a, doc_object(a), &total));
	print_json(o);
}

/* RFC 4180; no cell of ours needs quotes. */
static void print_as_csv(const struct usage *u)
{
	char date[11], usd[32];

	(void)printf("date,credits_used,request_count,cost_usd\r\n");
	for (uint32_t i = 0; i < u->n_days; i++) {
		const struct shm_sum *d = &u->days[i];

		tl_day_format(u->first + (int32_t)i, date);
		usd_text(d->n[SHM_COST], usd);
		(void)printf("%s,%" PRIu64 ",%" PRIu64 ",%s\r\n", date,
			     d->n[SHM_CREDITS], d->n[SHM_REQUESTS], usd);
	}
}

/* Eighths of a cell where the terminal knows them, else '#'. */
static void print_bar(uint64_t v, uint64_t max, unsigned width, bool utf8)
{
	static const char *const parts[] = { "",  "▏", "▎", "▍",
					     "▌", "▋", "▊", "▉" };
	uint64_t eighths;

	if (max == 0)
		return;
	eighths = (uint64_t)((double)v / (double)max * width * 8 + 0.5);
	if (v > 0 && eighths == 0)
		eighths = 1;
	for (uint64_t i = 0; i < eighths / 8; i++)
		(void)fputs(utf8 ? "█" : "#", stdout);
	if (utf8)
		(void)fputs(parts[eighths % 8], stdout);
	else if (eighths < 8 && eighths > 0)
		(void)putchar('#');
}

/* How wide bars may be; 0: none are wanted. */
static unsigned bar_width(const struct usage *u)
{
	struct winsize w;
	unsigned columns = 80;

	if (!isatty(STDOUT_FILENO) && !ctl_flag(u->t->args, "chart"))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		columns = w.ws_col;
	if (columns < TABLE_WIDTH + 10)
		return 0;
	columns -= TABLE_WIDTH;
	return columns < BAR_MAX ? columns : BAR_MAX;
}

static void print_for_people(const struct usage *u)
{
	struct shm_sum total = total_of(u);
	unsigned width = bar_width(u);
	uint64_t most = 0;
	char date[11], usd[32];
	bool utf8;

	(void)setlocale(LC_CTYPE, "");
	utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	for (uint32_t i = 0; i < u->n_days; i++)
		if (u->days[i].n[SHM_CREDITS] > most)
			most = u->days[i].n[SHM_CREDITS];
	(void)printf("%-10s %10s %10s %12s\n", "DATE", "CREDITS", "REQUESTS",
		     "USD");
	for (uint32_t i = 0; i < u->n_days; i++) {
		const struct shm_sum *d = &u->days[i];

		tl_day_format(u->first + (int32_t)i, date);
		if (unused(d)) {
			(void)printf("%s %10s %10s %12s\n", date, "-", "-",
				     "-");
			continue;
		}
		usd_text(d->n[SHM_COST], usd);
		(void)printf("%s %10" PRIu64 " %10" PRIu64 " %12s", date,
			     d->n[SHM_CREDITS], d->n[SHM_REQUESTS], usd);
		if (width > 0) {
			(void)putchar(' ');
			print_bar(d->n[SHM_CREDITS], most, width, utf8);
		}
		(void)putchar('\n');
	}
	usd_text(total.n[SHM_COST], usd);
	(void)printf("%-10s %10" PRIu64 " %10" PRIu64 " %12s\n", "total",
		     total.n[SHM_CREDITS], total.n[SHM_REQUESTS], usd);
}

/* The segment if there is one: without it the database has everything. */
static void open_segment(struct usage *u)
{
	struct tl_err err;

	if (shm_open_reader(u->t->conf->server.instance, &u->shm, &err) !=
	    TL_OK)
		u->shm = NULL;
}

enum exit_status cmd_usage(struct tallyctl *t)
{
	int64_t days = ctl_number(t->args, "days", DAYS_DEFAULT);
	struct usage u = { .t = t, .all = ctl_flag(t->args, "all") };
	enum exit_status ex;

	if (u.all == (ctl_text(t->args, "user").ptr != NULL))
		return complain(EXIT_USAGE,
				"give a user, by e-mail address or id, or "
				"--all");
	if (days < 1 || days > DAYS_MAX)
		return complain(EXIT_USAGE, "--days must be 1 to %d", DAYS_MAX);
	if (t->json && ctl_flag(t->args, "csv"))
		return complain(EXIT_USAGE, "give --json or --csv, not both");
	u.n_days = (uint32_t)days;
	u.first = (int32_t)(tl_wall_us() / US_PER_DAY - days + 1);
	u.days = tl_arena_alloc(t->arena, u.n_days * sizeof(*u.days));
	open_segment(&u);
	ex = db_do(t, u.all ? run_usage_all : run_usage, &u);
	shm_close(&u.shm);
	if (ex != EXIT_OK)
		return ex;
	if (t->json)
		print_as_json(&u);
	else if (ctl_flag(t->args, "csv"))
		print_as_csv(&u);
	else
		print_for_people(&u);
	return EXIT_OK;
}
