/*
 * log_journal.c - a log line as an entry of journald.
 *
 * The native protocol: fields, each "NAME=value\n", or where the value has a
 * line end "NAME\n", its length in 64 bits little-endian, the value and "\n".
 * So no value can end its field, whatever it holds.
 *
 * What comes in is a line that log.c or the access log composed: an object of
 * strings, numbers and the like on one level.  Anything else is text, and is
 * the message as it stands.
 */
#include <ctype.h>

#include "base/log_sink.h"

#define NAME_MAX_BYTES 64
#define PREFIX         "TALLYD_"

static void put_field(struct tl_buf *out, const char *name, struct tl_str v)
{
	tl_buf_adds(out, name);
	if (v.len == 0 || memchr(v.ptr, '\n', v.len) == NULL) {
		tl_buf_addc(out, '=');
	} else {
		uint8_t len[8];

		for (int i = 0; i < 8; i++)
			len[i] = (uint8_t)((uint64_t)v.len >> (8 * i));
		tl_buf_addc(out, '\n');
		tl_buf_add(out, len, sizeof(len));
	}
	tl_buf_add(out, v.ptr, v.len);
	tl_buf_addc(out, '\n');
}

/* ---- reading the line ---- */

static void put_utf8(struct tl_buf *out, unsigned c)
{
	if (c < 0x80) {
		tl_buf_addc(out, (char)c);
	} else if (c < 0x800) {
		tl_buf_addc(out, (char)(0xc0 | (c >> 6)));
		tl_buf_addc(out, (char)(0x80 | (c & 0x3f)));
	} else {
		tl_buf_addc(out, (char)(0xe0 | (c >> 12)));
		tl_buf_addc(out, (char)(0x80 | ((c >> 6) & 0x3f)));
		tl_buf_addc(out, (char)(0x80 | (c & 0x3f)));
	}
}

/* \uXXXX: tl_buf_add_json writes it for control characters, and for nothing
 * that would need two of them. */
static bool read_escape(struct tl_str *s, struct tl_buf *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *at;
	uint8_t b[2];

	if (s->len < 2)
		return false;
	at = memchr(from, s->ptr[1], sizeof(from) - 1);
	if (at != NULL) {
		tl_buf_addc(out, to[at - from]);
		*s = (struct tl_str){ s->ptr + 2, s->len - 2 };
		return true;
	}
	if (s->ptr[1] != 'u' || s->len < 6 ||
	    !tl_unhex((struct tl_str){ s->ptr + 2, 4 }, b, 2))
		return false;
	put_utf8(out, (unsigned)b[0] << 8 | b[1]);
	*s = (struct tl_str){ s->ptr + 6, s->len - 6 };
	return true;
}

/* A quoted string at the front of *s, decoded to out. */
static bool read_string(struct tl_str *s, struct tl_buf *out)
{
	tl_buf_reset(out);
	if (s->len == 0 || s->ptr[0] != '"')
		return false;
	*s = (struct tl_str){ s->ptr + 1, s->len - 1 };
	while (s->len > 0 && s->ptr[0] != '"') {
		if (s->ptr[0] == '\\') {
			if (!read_escape(s, out))
				return false;
			continue;
		}
		tl_buf_addc(out, s->ptr[0]);
		*s = (struct tl_str){ s->ptr + 1, s->len - 1 };
	}
	if (s->len == 0)
		return false;
	*s = (struct tl_str){ s->ptr + 1, s->len - 1 };
	return true;
}

/* A number, true, false or null: up to the comma or the end. */
static bool read_word(struct tl_str *s, struct tl_buf *out)
{
	size_t n = 0;

	while (n < s->len && s->ptr[n] != ',' && s->ptr[n] != '}')
		n++;
	tl_buf_reset(out);
	tl_buf_add(out, s->ptr, n);
	*s = (struct tl_str){ s->ptr + n, s->len - n };
	return n > 0 && out->ptr[0] != '{' && out->ptr[0] != '[';
}

static bool take(struct tl_str *s, char c)
{
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = (struct tl_str){ s->ptr + 1, s->len - 1 };
	return true;
}

struct reader {
	struct tl_str rest;
	struct tl_buf name, value;
};

static bool next_member(struct reader *r)
{
	return read_string(&r->rest, &r->name) && take(&r->rest, ':') &&
	       (r->rest.len > 0 && r->rest.ptr[0] == '"'
			? read_string(&r->rest, &r->value)
			: read_word(&r->rest, &r->value)) &&
	       r->name.len > 0;
}

/* ---- the entry ---- */

/* What journald knows by itself, or as a field of its own. */
static bool left_out(const char *name)
{
	return strcmp(name, "pid") == 0 || strcmp(name, "level") == 0 ||
	       strcmp(name, "msg") == 0;
}

static void put_member(struct tl_buf *out, const struct reader *r)
{
	char name[NAME_MAX_BYTES + 1] = PREFIX;
	size_t n = sizeof(PREFIX) - 1;

	for (size_t i = 0; i < r->name.len && n < NAME_MAX_BYTES; i++) {
		unsigned char c = (unsigned char)r->name.ptr[i];

		name[n++] =
			(char)(isalnum(c) != 0 && c < 0x80 ? toupper(c) : '_');
	}
	name[n] = '\0';
	put_field(out, name, tl_buf_str(&r->value));
}

/* "GET /api/gate 200" says more in a list of messages than "request". */
static void note_request(struct tl_buf *words, const struct reader *r)
{
	static const char *const told[] = { "method", "path", "status" };

	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		if (strcmp(r->name.ptr, told[i]) != 0)
			continue;
		if (words->len > 0)
			tl_buf_addc(words, ' ');
		tl_buf_add(words, r->value.ptr, r->value.len);
	}
}

static bool put_members(struct tl_buf *out, struct tl_str line)
{
	struct reader r = { .rest = line };
	struct tl_buf message, request;
	bool good = take(&r.rest, '{');

	tl_buf_init(&r.name);
	tl_buf_init(&r.value);
	tl_buf_init(&message);
	tl_buf_init(&request);
	while (good && next_member(&r)) {
		if (strcmp(r.name.ptr, "msg") == 0)
			tl_buf_add(&message, r.value.ptr, r.value.len);
		if (!left_out(r.name.ptr))
			put_member(out, &r);
		note_request(&request, &r);
		if (!take(&r.rest, ','))
			break;
	}
	good = good && r.rest.len == 1 && r.rest.ptr[0] == '}';
	if (tl_str_eq(tl_buf_str(&message), TL_STR("request")) &&
	    request.len > 0)
		put_field(out, "MESSAGE", tl_buf_str(&request));
	else
		put_field(out, "MESSAGE", tl_buf_str(&message));
	tl_buf_deinit(&r.name);
	tl_buf_deinit(&r.value);
	tl_buf_deinit(&message);
	tl_buf_deinit(&request);
	return good;
}

void log_journal_frame(enum log_level level, const char *process,
		       struct tl_str line, struct tl_buf *out)
{
	size_t head;

	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	tl_buf_reset(out);
	tl_buf_addf(out, "PRIORITY=%d\nSYSLOG_IDENTIFIER=tallyd\n",
		    log_severity(level));
	head = out->len;
	if (put_members(out, line))
		return;
	out->len = head; /* no object of ours: what was read of it goes */
	put_field(out, "MESSAGE", line);
	put_field(out, PREFIX "PROCESS", tl_str_c(process));
}
