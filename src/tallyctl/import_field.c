#include "config.h"

#include "tallyctl/import_field.h"

#include "base/clock.h"
#include "codec/doc.h"
#include "tally/input.h"
#include "tallyctl/key_input.h"

#define METADATA_MAX 4096

typedef enum tl_status (*set_fn)(struct tl_str s, struct tl_arena *a,
				 struct import_row *row, struct tl_err *err);

static enum tl_status set_hash(struct tl_str s, struct tl_arena *a,
			       struct import_row *row, struct tl_err *err)
{
	(void)a;
	if (s.len != 2 * sizeof(row->digest.b) ||
	    !tl_unhex(s, row->digest.b, sizeof(row->digest.b)))
		return tl_err_set(err, TL_INVALID,
				  "key_hash is not 64 hex digits; give the "
				  "SHA-256 of the whole key");
	return TL_OK;
}

static enum tl_status set_email(struct tl_str s, struct tl_arena *a,
				struct import_row *row, struct tl_err *err)
{
	(void)a;
	row->email = s;
	return tally_email_check(s, err);
}

static enum tl_status set_label(struct tl_str s, struct tl_arena *a,
				struct import_row *row, struct tl_err *err)
{
	(void)a;
	return key_input_label(s, &row->label, err);
}

static enum tl_status set_prefix(struct tl_str s, struct tl_arena *a,
				 struct import_row *row, struct tl_err *err)
{
	size_t n;

	(void)a;
	if (!tl_utf8_valid(s, &n) || n > TALLY_KEY_PREFIX_LEN ||
	    tl_has_control(s))
		return tl_err_set(err, TL_INVALID,
				  "prefix must have at most %d characters and "
				  "no control characters; it is shown to "
				  "people, so never give the whole key",
				  TALLY_KEY_PREFIX_LEN);
	row->prefix = s;
	return TL_OK;
}

static enum tl_status set_status(struct tl_str s, struct tl_arena *a,
				 struct import_row *row, struct tl_err *err)
{
	(void)a;
	if (!tl_str_eq(s, TL_STR("active")) && !tl_str_eq(s, TL_STR("revoked")))
		return tl_err_set(err, TL_INVALID,
				  "status is neither active nor revoked");
	row->status = s;
	return TL_OK;
}

static enum tl_status read_time(struct tl_str s, const char *name,
				int64_t *us_r, struct tl_err *err)
{
	int32_t day;

	if (tl_day_parse(s, &day))
		*us_r = (int64_t)day * TL_DAY_S * 1000000;
	else if (!tl_rfc3339_parse(s, us_r))
		return tl_err_set(err, TL_INVALID,
				  "%s is no time; give 2026-12-31 or "
				  "2026-12-31T12:00:00Z",
				  name);
	return TL_OK;
}

static enum tl_status set_created(struct tl_str s, struct tl_arena *a,
				  struct import_row *row, struct tl_err *err)
{
	enum tl_status st = read_time(s, "created_at", &row->created_us, err);

	(void)a;
	if (st == TL_OK && row->created_us > tl_wall_us())
		return tl_err_set(err, TL_INVALID,
				  "created_at is in the future");
	return st;
}

static enum tl_status set_expires(struct tl_str s, struct tl_arena *a,
				  struct import_row *row, struct tl_err *err)
{
	(void)a;
	return read_time(s, "expires_at", &row->expires_us, err);
}

/* "a; b c" and "a,b,c" are "a,b,c". */
static struct tl_str with_commas(struct tl_str s, struct tl_arena *a)
{
	char *out = tl_arena_alloc(a, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (strchr(" \t;,", s.ptr[i]) == NULL)
			out[n++] = s.ptr[i];
		else if (n > 0 && out[n - 1] != ',')
			out[n++] = ',';
	}
	if (n > 0 && out[n - 1] == ',')
		n--;
	return (struct tl_str){ out, n };
}

static struct tl_str with_spaces(const struct tl_str *items, uint32_t n,
				 struct tl_arena *a)
{
	size_t len = n, at = 0;
	char *out;

	for (uint32_t i = 0; i < n; i++)
		len += items[i].len;
	out = tl_arena_alloc(a, len);
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0)
			out[at++] = ' ';
		memcpy(out + at, items[i].ptr, items[i].len);
		at += items[i].len;
	}
	return (struct tl_str){ out, at };
}

static enum tl_status set_scopes(struct tl_str s, struct tl_arena *a,
				 struct import_row *row, struct tl_err *err)
{
	struct tl_str *items;
	enum tl_status st;
	uint32_t n;

	st = key_input_scopes(with_commas(s, a), a, &items, &n, err);
	if (st == TL_OK)
		row->scopes = with_spaces(items, n, a);
	return st;
}

static enum tl_status set_networks(struct tl_str s, struct tl_arena *a,
				   struct import_row *row, struct tl_err *err)
{
	struct tl_str *items;
	enum tl_status st;
	uint32_t n;

	st = key_input_networks(with_commas(s, a), a, &items, &n, err);
	if (st == TL_OK)
		row->networks = with_spaces(items, n, a);
	return st;
}

static enum tl_status read_limit(struct tl_str s, const char *name, int64_t min,
				 int32_t *v_r, struct tl_err *err)
{
	int64_t v;

	if (!tl_parse_i64(s, min, INT32_MAX, &v))
		return tl_err_set(err, TL_INVALID,
				  "%s is no number from %d to %d; leave it "
				  "empty for none",
				  name, (int)min, INT32_MAX);
	*v_r = (int32_t)v;
	return TL_OK;
}

static enum tl_status set_rate(struct tl_str s, struct tl_arena *a,
			       struct import_row *row, struct tl_err *err)
{
	(void)a;
	return read_limit(s, "rate_limit", 1, &row->rate_limit, err);
}

static enum tl_status set_daily(struct tl_str s, struct tl_arena *a,
				struct import_row *row, struct tl_err *err)
{
	(void)a;
	return read_limit(s, "daily_credit_limit", 0, &row->daily_limit, err);
}

static enum tl_status set_metadata(struct tl_str s, struct tl_arena *a,
				   struct import_row *row, struct tl_err *err)
{
	const struct doc *d;

	if (s.len > METADATA_MAX)
		return tl_err_set(err, TL_INVALID,
				  "metadata is longer than %d bytes",
				  METADATA_MAX);
	if (doc_parse(a, DOC_JSON, s, &d, err) != TL_OK ||
	    d->type != DOC_OBJECT)
		return tl_err_set(err, TL_INVALID,
				  "metadata is not a JSON object");
	/* What jsonb cannot hold; found here, it is one bad line. */
	if (memmem(s.ptr, s.len, "\\u0000", 6) != NULL)
		return tl_err_set(err, TL_INVALID,
				  "metadata holds the character \\u0000");
	row->metadata = s;
	return TL_OK;
}

enum { FIELD_HASH };
static const struct {
	const char *name;
	set_fn set;
} fields[] = {
	[FIELD_HASH] = { "key_hash", set_hash },
	{ "email", set_email },
	{ "label", set_label },
	{ "prefix", set_prefix },
	{ "status", set_status },
	{ "created_at", set_created },
	{ "expires_at", set_expires },
	{ "scopes", set_scopes },
	{ "allowed_ips", set_networks },
	{ "rate_limit", set_rate },
	{ "daily_credit_limit", set_daily },
	{ "metadata", set_metadata },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))
_Static_assert(N_FIELDS <= IMPORT_COLUMNS_MAX, "given[] of import_row.c");

size_t import_field_find(struct tl_str name)
{
	for (size_t i = 0; i < N_FIELDS; i++) {
		if (tl_str_ieq(name, tl_str_c(fields[i].name)))
			return i;
	}
	return SIZE_MAX;
}

void import_field_names(struct tl_buf *out)
{
	for (size_t i = 0; i < N_FIELDS; i++)
		tl_buf_addf(out, "%s%s", i > 0 ? ", " : "", fields[i].name);
}

enum tl_status import_field_set(size_t field, struct tl_str text,
				struct tl_arena *a, struct import_row *row,
				struct tl_err *err)
{
	text = tl_str_trim(text);
	if (text.len == 0)
		return TL_OK;
	if (!tl_utf8_valid(text, NULL))
		return tl_err_set(err, TL_INVALID, "%s is not valid UTF-8",
				  fields[field].name);
	if (memchr(text.ptr, '\0', text.len) != NULL)
		return tl_err_set(err, TL_INVALID, "%s holds a NUL",
				  fields[field].name);
	return fields[field].set(text, a, row, err);
}

enum tl_status import_field_finish(const bool *given, struct tl_arena *a,
				   struct import_row *row, struct tl_err *err)
{
	if (!given[FIELD_HASH])
		return tl_err_set(err, TL_INVALID, "key_hash is missing");
	if (row->label.len == 0)
		row->label = TL_STR("Default");
	if (row->status.len == 0)
		row->status = TL_STR("active");
	if (row->prefix.len == 0)
		row->prefix = tl_str_c(tl_arena_printf(
			a, "sha256:%02x%02x%02x%02x", row->digest.b[0],
			row->digest.b[1], row->digest.b[2], row->digest.b[3]));
	return TL_OK;
}
