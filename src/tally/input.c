#include "tally/input.h"

enum tl_status tally_text_check(const char *what, struct tl_str s, size_t max,
				struct tl_err *err)
{
	size_t n;

	if (!tl_utf8_valid(s, &n) || n < 1 || n > max || tl_has_control(s))
		return tl_err_set(err, TL_INVALID,
				  "%s must have 1 to %zu characters and no "
				  "control characters",
				  what, max);
	return TL_OK;
}

enum tl_status tally_email_check(struct tl_str s, struct tl_err *err)
{
	const char *at = s.len > 0 ? memchr(s.ptr, '@', s.len) : NULL;
	bool good = at != NULL && at > s.ptr && at + 1 < s.ptr + s.len;

	for (size_t i = 0; i < s.len; i++)
		good = good && (unsigned char)s.ptr[i] > ' ' &&
		       s.ptr[i] != 0x7f;
	if (!good)
		return tl_err_set(err, TL_INVALID,
				  "'%.*s' is no e-mail address", (int)s.len,
				  s.ptr);
	return tally_text_check("an e-mail address", s, TALLY_EMAIL_MAX, err);
}

enum tl_status tally_scope_check(struct tl_str s, struct tl_err *err)
{
	bool good = s.len >= 1 && s.len <= TALLY_SCOPE_MAX_LEN;

	for (size_t i = 0; good && i < s.len; i++)
		good = s.ptr[i] > ' ' && s.ptr[i] < 0x7f && s.ptr[i] != ',';
	if (!good)
		return tl_err_set(err, TL_INVALID,
				  "scope '%.*s' is not 1 to %d printable ASCII "
				  "characters without a comma",
				  (int)s.len, s.ptr, TALLY_SCOPE_MAX_LEN);
	return TL_OK;
}

static bool limit_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '.' || c == '-';
}

enum tl_status tally_limit_name_check(struct tl_str s, struct tl_err *err)
{
	bool good = s.len >= 1 && s.len <= TALLY_LIMIT_NAME_MAX;

	for (size_t i = 0; good && i < s.len; i++)
		good = limit_name_character(s.ptr[i]);
	if (!good)
		return tl_err_set(err, TL_INVALID,
				  "name '%.*s' is not 1 to %d of a-z 0-9 _ . -",
				  (int)s.len, s.ptr, TALLY_LIMIT_NAME_MAX);
	if (tl_str_eq(s, TL_STR("key")) || tl_str_eq(s, TL_STR("address")))
		return tl_err_set(err, TL_INVALID,
				  "name '%.*s' is built in: limits.%.*s_count "
				  "of the configuration sets it",
				  (int)s.len, s.ptr, (int)s.len, s.ptr);
	return TL_OK;
}

enum tl_status tally_algorithm_check(struct tl_str s, struct tl_err *err)
{
	if (tl_str_eq(s, TL_STR("sliding")) || tl_str_eq(s, TL_STR("gcra")))
		return TL_OK;
	return tl_err_set(err, TL_INVALID,
			  "algorithm '%.*s' is not sliding or gcra", (int)s.len,
			  s.ptr);
}

enum tl_status tally_limit_scope_check(struct tl_str s, struct tl_err *err)
{
	if (tl_str_eq(s, TL_STR("key")) || tl_str_eq(s, TL_STR("user")) ||
	    tl_str_eq(s, TL_STR("address")))
		return TL_OK;
	return tl_err_set(err, TL_INVALID,
			  "scope '%.*s' is not key, user or address",
			  (int)s.len, s.ptr);
}
