#include "tallyctl/key_input.h"

#include "base/clock.h"
#include "codec/doc.h"
#include "tally/addr.h"
#include "tally/input.h"

enum tl_status key_input_expires(struct tl_str s, int64_t now_us, int64_t *us_r,
				 struct tl_err *err)
{
	int64_t us;
	int32_t day;

	if (tl_day_parse(s, &day))
		us = (int64_t)day * TL_DAY_S * 1000000;
	else if (!tl_rfc3339_parse(s, &us))
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' is no time; give 2026-12-31 or "
				  "2026-12-31T12:00:00Z",
				  (int)s.len, s.ptr);
	if (us <= now_us)
		return tl_err_set(err, TL_INVALID, "'%.*s' is in the past",
				  (int)s.len, s.ptr);
	*us_r = us;
	return TL_OK;
}

/* Cuts at commas into at most max trimmed pieces, none of them empty. */
static enum tl_status cut(struct tl_str s, uint32_t max, struct tl_arena *a,
			  const char *what, struct tl_str **items_r,
			  uint32_t *n_r, struct tl_err *err)
{
	struct tl_str *items = tl_arena_alloc(a, max * sizeof(*items));
	struct tl_str rest = s, piece;
	uint32_t n = 0;

	while (tl_str_split(&rest, ',', &piece)) {
		piece = tl_str_trim(piece);
		if (piece.len == 0)
			return tl_err_set(err, TL_INVALID,
					  "'%.*s' has an empty %s", (int)s.len,
					  s.ptr, what);
		if (n == max)
			return tl_err_set(err, TL_INVALID, "more than %u %ss",
					  max, what);
		items[n++] = piece;
	}
	if (n == 0)
		return tl_err_set(err, TL_INVALID, "no %s is given", what);
	*items_r = items;
	*n_r = n;
	return TL_OK;
}

enum tl_status key_input_scopes(struct tl_str s, struct tl_arena *a,
				struct tl_str **items_r, uint32_t *n_r,
				struct tl_err *err)
{
	struct tl_str *items;
	enum tl_status st;
	uint32_t n;

	st = cut(s, TALLY_SCOPES_MAX, a, "scope", &items, &n, err);
	if (st != TL_OK)
		return st;
	for (uint32_t i = 0; st == TL_OK && i < n; i++)
		st = tally_scope_check(items[i], err);
	if (st != TL_OK)
		return st;
	*items_r = items;
	*n_r = n;
	return TL_OK;
}

enum tl_status key_input_networks(struct tl_str s, struct tl_arena *a,
				  struct tl_str **items_r, uint32_t *n_r,
				  struct tl_err *err)
{
	struct tl_str *items;
	enum tl_status st;
	uint32_t n;

	st = cut(s, TALLY_NETWORKS_MAX, a, "network", &items, &n, err);
	for (uint32_t i = 0; st == TL_OK && i < n; i++) {
		char text[TALLY_ADDR_TEXT + 4];
		struct tally_cidr net;

		st = tally_cidr_parse(items[i], &net, err);
		if (st == TL_OK) {
			items[i].len = tally_cidr_format(&net, text);
			items[i].ptr = tl_arena_strndup(a, text, items[i].len);
		}
	}
	if (st != TL_OK)
		return st;
	*items_r = items;
	*n_r = n;
	return TL_OK;
}

enum tl_status key_input_label(struct tl_str s, struct tl_str *label_r,
			       struct tl_err *err)
{
	struct tl_str label = tl_str_trim(s);
	enum tl_status st =
		tally_text_check("a label", label, TALLY_LABEL_MAX, err);

	if (st == TL_OK)
		*label_r = label;
	return st;
}

enum tl_status key_input_metadata(struct tl_str s, struct tl_arena *a,
				  struct tl_str *json_r, struct tl_err *err)
{
	const struct doc *d;
	struct tl_buf b;
	enum tl_status st;

	st = doc_parse(a, DOC_JSON, s, &d, err);
	if (st != TL_OK) {
		tl_err_wrap(err, "metadata");
		return st;
	}
	tl_buf_init(&b);
	doc_write(d, DOC_JSON, &b);
	if (d->type != DOC_OBJECT || b.len > TALLY_METADATA_MAX) {
		st = tl_err_set(err, TL_INVALID,
				"metadata must be a JSON object of at most %d "
				"bytes",
				TALLY_METADATA_MAX);
	} else {
		json_r->ptr = tl_arena_strndup(a, b.ptr, b.len);
		json_r->len = b.len;
	}
	tl_buf_deinit(&b);
	return st;
}
