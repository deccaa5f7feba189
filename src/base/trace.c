/*
 * trace.c - see trace.h; W3C Trace Context level 2.
 */
#include "base/trace.h"

#include "base/fd.h"

#define MEMBERS_MAX 32
#define KEY_MAX     256
#define VALUE_MAX   256

static bool lower_hex(struct tl_str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
		      (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
			return false;
	return true;
}

/* len bytes of lower-case hex at `at`, then a dash or the end. */
static bool read_part(struct tl_str s, size_t at, void *dst, size_t len)
{
	struct tl_str hex = { s.ptr + at, 2 * len };
	size_t end = at + 2 * len;

	return s.len >= end && (s.len == end || s.ptr[end] == '-') &&
	       lower_hex(hex) && tl_unhex(hex, dst, len);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return any == 0;
}

bool trace_parse(struct tl_str s, struct trace *t_r)
{
	uint8_t version, flags, trace_id[16], span_id[8];

	if (!read_part(s, 0, &version, 1) || !read_part(s, 3, trace_id, 16) ||
	    !read_part(s, 36, span_id, 8) || !read_part(s, 53, &flags, 1))
		return false;
	/* later versions may go on behind a dash, this one may not */
	if (version == 0xff || (version == 0 && s.len != 55) ||
	    all_zero(trace_id, 16) || all_zero(span_id, 8))
		return false;
	memcpy(t_r->trace_id, trace_id, sizeof(trace_id));
	memcpy(t_r->span_id, span_id, sizeof(span_id));
	t_r->sampled = (flags & 1) != 0;
	t_r->state[0] = '\0';
	return true;
}

/* ---- tracestate ---- */

static bool key_good(struct tl_str k)
{
	if (k.len < 1 || k.len > KEY_MAX || strchr("_-*/@", k.ptr[0]) != NULL)
		return false;
	for (size_t i = 0; i < k.len; i++) {
		char c = k.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr("_-*/@", c) != NULL)))
			return false;
	}
	return true;
}

static bool value_good(struct tl_str v)
{
	if (v.len < 1 || v.len > VALUE_MAX || v.ptr[v.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] < ' ' || v.ptr[i] > '~' || v.ptr[i] == '=')
			return false;
	return true;
}

/* Members may be empty, and blanks stand around them: no ends of lines, which
 * tl_str_trim would take for blanks. */
static bool state_good(struct tl_str rest)
{
	struct tl_str member, key;
	unsigned n = 0;

	if (memchr(rest.ptr, '\r', rest.len) != NULL ||
	    memchr(rest.ptr, '\n', rest.len) != NULL)
		return false;
	while (tl_str_split(&rest, ',', &member)) {
		member = tl_str_trim(member);
		if (member.len == 0)
			continue;
		if (memchr(member.ptr, '=', member.len) == NULL ||
		    !tl_str_split(&member, '=', &key) || !key_good(key) ||
		    !value_good(member) || ++n > MEMBERS_MAX)
			return false;
	}
	return true;
}

/* Appends it, and looks at the whole: each of several headers may have few
 * enough members. */
static bool append(struct trace *t, struct tl_str s)
{
	size_t n = strlen(t->state);

	if (n + (n > 0) + s.len > TRACE_STATE_MAX ||
	    memchr(s.ptr, '\0', s.len) != NULL)
		return false;
	if (n > 0)
		t->state[n++] = ',';
	memcpy(t->state + n, s.ptr, s.len);
	t->state[n + s.len] = '\0';
	return state_good(tl_str_c(t->state));
}

bool trace_state_add(struct trace *t, struct tl_str more)
{
	struct tl_str s = tl_str_trim(more);

	if (s.len == 0 || append(t, s))
		return true;
	t->state[0] = '\0';
	return false;
}

void trace_format(const struct trace *t, char dst[TRACE_PARENT_TEXT])
{
	memcpy(dst, "00-", 3);
	tl_hex(t->trace_id, 16, dst + 3);
	dst[35] = '-';
	tl_hex(t->span_id, 8, dst + 36);
	memcpy(dst + 52, t->sampled ? "-01" : "-00", 4);
}

/* ---- ids ---- */

/*
 * Not secrets, but unlike those of any other process: splitmix64 from a random
 * start, which each process takes for itself at its first id.
 */
static uint64_t random_word(void)
{
	static uint64_t state;
	uint64_t z;

	while (state == 0)
		tl_random(&state, sizeof(state));
	z = (state += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void trace_span_id(uint8_t id_r[8])
{
	uint64_t w;

	do
		w = random_word();
	while (w == 0);
	memcpy(id_r, &w, sizeof(w));
}

void trace_begin(struct trace *t_r)
{
	memset(t_r, 0, offsetof(struct trace, state) + 1);
	trace_span_id(t_r->trace_id);
	trace_span_id(t_r->trace_id + 8);
}

bool trace_chosen(const struct trace *t, uint32_t ratio_ppm)
{
	uint64_t dice = 0, above;

	/* the last 7 bytes are random in every trace of this level */
	for (size_t i = 9; i < 16; i++)
		dice = dice << 8 | t->trace_id[i];
	above = ((uint64_t)1 << 56) / 1000000 * ratio_ppm;
	return ratio_ppm >= 1000000 || ((uint64_t)1 << 56) - dice <= above;
}
