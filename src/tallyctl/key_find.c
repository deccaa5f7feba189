#include "tallyctl/key_find.h"

#include "base/clock.h"
#include "pg/pg.h"
#include "store/q_users.h"

#define CANDIDATES_MAX 100

enum tl_status key_find_user(struct pg *pg, struct tallyctl *t,
			     struct tl_str email, struct tl_uuid *user_id_r,
			     struct tl_err *err)
{
	struct q_user_find_by_email_row row;
	enum tl_status st;

	st = q_user_find_by_email(pg, email, t->arena, &row, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no user '%.*s'; make one with "
				  "'tallyctl user create'",
				  (int)email.len, email.ptr);
	if (st == TL_OK)
		*user_id_r = row.user_id;
	return st;
}

/* Active, or rotated and in its grace. */
static bool works(const struct q_key_list_row *r)
{
	return tl_str_eq(r->status, TL_STR("active")) ||
	       (!r->grace_until_null && r->grace_until_us > tl_wall_us());
}

static enum tl_status refuse_many(const struct q_key_list_row *rows, uint32_t n,
				  struct tl_str prefix, struct tl_err *err)
{
	char ids[4 * TL_UUID_TEXT + 8] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < n && at + TL_UUID_TEXT + 1 < sizeof(ids);
	     i++) {
		if (!works(&rows[i]))
			continue;
		ids[at++] = ' ';
		tl_uuid_format(&rows[i].key_id, ids + at);
		at += TL_UUID_TEXT - 1;
	}
	return tl_err_set(err, TL_CONFLICT,
			  "more than one active key is shown as '%.*s'; give "
			  "one of the ids:%s",
			  (int)prefix.len, prefix.ptr, ids);
}

static enum tl_status find_by_prefix(struct pg *pg, struct tallyctl *t,
				     struct tl_str prefix,
				     struct q_key_list_row *row_r,
				     struct tl_err *err)
{
	const struct q_key_find_by_prefix_params p = { .prefix = prefix,
						       .max = CANDIDATES_MAX };
	const struct q_key_list_row *found = NULL;
	struct q_key_list_row *rows;
	enum tl_status st;
	uint32_t n;

	st = q_key_find_by_prefix(pg, &p, t->arena, &rows, &n, err);
	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; i < n; i++) {
		if (!works(&rows[i]))
			continue;
		if (found != NULL)
			return refuse_many(rows, n, prefix, err);
		found = &rows[i];
	}
	if (found == NULL)
		return tl_err_set(err, TL_NOT_FOUND,
				  "no active key is shown as '%.*s'; see "
				  "'tallyctl key list'",
				  (int)prefix.len, prefix.ptr);
	*row_r = *found;
	return TL_OK;
}

enum tl_status key_find(struct pg *pg, struct tallyctl *t, struct tl_str text,
			struct q_key_list_row *row_r, struct tl_err *err)
{
	struct tl_uuid key_id;
	enum tl_status st;

	if (!tl_uuid_parse(text, &key_id))
		return find_by_prefix(pg, t, text, row_r, err);
	st = q_key_find_by_id(pg, key_id, t->arena, row_r, err);
	if (st == TL_NOT_FOUND)
		return tl_err_set(err, TL_NOT_FOUND,
				  "there is no key with the id '%.*s'; see "
				  "'tallyctl key list --all'",
				  (int)text.len, text.ptr);
	return st;
}
