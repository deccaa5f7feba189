/*
 * fuzz_trace.c - traceparent and tracestate.
 *
 * The first line is a traceparent, each other one a tracestate.  What is taken
 * is so by the letter of the W3C's Trace Context; written again it differs in
 * version and flags at most, and what is handed on is itself valid.
 */
#include <stdlib.h>

#include "base/trace.h"
#include "tests/fuzz/fuzz.h"

#define MEMBERS_MAX 32

static bool hex(struct tl_str s, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		if (strchr("0123456789abcdef", s.ptr[i]) == NULL ||
		    s.ptr[i] == '\0')
			return false;
	return true;
}

static bool zeroes(struct tl_str s, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		if (s.ptr[i] != '0')
			return false;
	return true;
}

static bool parent_strict(struct tl_str s)
{
	if (s.len < 55 || !hex(s, 0, 2) || s.ptr[2] != '-' || !hex(s, 3, 32) ||
	    s.ptr[35] != '-' || !hex(s, 36, 16) || s.ptr[52] != '-' ||
	    !hex(s, 53, 2))
		return false;
	if (s.len > 55 && (zeroes(s, 0, 2) || s.ptr[55] != '-'))
		return false;
	return !(s.ptr[0] == 'f' && s.ptr[1] == 'f') && !zeroes(s, 3, 32) &&
	       !zeroes(s, 36, 16);
}

/* key=value; the form of both is the standard's, 3.3.1.3. */
static bool member_strict(struct tl_str m)
{
	const char *eq = memchr(m.ptr, '=', m.len);
	size_t n = eq != NULL ? (size_t)(eq - m.ptr) : 0;

	if (n < 1 || n > 256 || m.len - n - 1 < 1 || m.len - n - 1 > 256 ||
	    m.ptr[m.len - 1] == ' ')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((m.ptr[i] >= 'a' && m.ptr[i] <= 'z') ||
		      (m.ptr[i] >= '0' && m.ptr[i] <= '9') ||
		      (i > 0 && m.ptr[i] != '\0' &&
		       strchr("_-*/@", m.ptr[i]) != NULL)))
			return false;
	for (size_t i = n + 1; i < m.len; i++)
		if (m.ptr[i] < ' ' || m.ptr[i] > '~' || m.ptr[i] == '=')
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool state_strict(struct tl_str s)
{
	struct tl_str member;
	unsigned n = 0;

	while (tl_str_split(&s, ',', &member)) {
		while (member.len > 0 && is_blank(member.ptr[0]))
			member = (struct tl_str){ member.ptr + 1,
						  member.len - 1 };
		while (member.len > 0 && is_blank(member.ptr[member.len - 1]))
			member.len--;
		if (member.len == 0)
			continue;
		if (!member_strict(member) || ++n > MEMBERS_MAX)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tl_str in = { (const char *)data, size }, line = { "", 0 };
	struct trace t, again;
	char text[TRACE_PARENT_TEXT];
	bool taken;

	(void)tl_str_split(&in, '\n', &line);
	taken = trace_parse(line, &t);
	tl_assert(taken == parent_strict(line));
	if (!taken)
		return 0;
	tl_assert(t.state[0] == '\0');
	trace_format(&t, text);
	tl_assert(memcmp(text + 2, line.ptr + 2, 51) == 0);
	tl_assert(trace_parse(tl_str_c(text), &again));
	tl_assert(memcmp(again.trace_id, t.trace_id, 16) == 0 &&
		  memcmp(again.span_id, t.span_id, 8) == 0 &&
		  again.sampled == t.sampled);
	tl_assert(trace_chosen(&t, 1000000));
	tl_assert(!trace_chosen(&t, 0) || trace_chosen(&t, 1));
	while (tl_str_split(&in, '\n', &line)) {
		if (!trace_state_add(&t, line))
			tl_assert(t.state[0] == '\0');
		tl_assert(strlen(t.state) <= TRACE_STATE_MAX);
		tl_assert(state_strict(tl_str_c(t.state)));
	}
	return 0;
}
