/*
 * fuzz_guard.c - a request's head through libevent's parser and our guard.
 *
 * Whatever passes both is read once more by RFC 9112 to the letter: it must
 * be the same target, the same Host and a message that ends at the same byte.
 * The verdict is the same when the bytes come in two pieces.
 * The escapes of its path are whole and none stands for NUL or a slash.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

#include "base/hash.h"
#include "http/guard.h"
#include "http/http.h"
#include "tests/fuzz/fuzz.h"

/* libevent's own, outside of its headers, and what they say. */
int evhttp_parse_firstline_(struct evhttp_request *, struct evbuffer *);
int evhttp_parse_headers_(struct evhttp_request *, struct evbuffer *);
#define MORE_EXPECTED 0
#define ALL_READ      1

/* ---- by the letter ---- */

struct reading {
	struct tl_str target, host, length;
	unsigned n_host, n_length, n_coding;
	size_t head_bytes;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct tl_str trimmed(struct tl_str s)
{
	while (s.len > 0 && is_blank(s.ptr[0]))
		s = (struct tl_str){ s.ptr + 1, s.len - 1 };
	while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

/*
 * A line without its end: CR LF, or LF alone (RFC 9112, 2.2).  It also ends
 * at a NUL, as all of libevent's lines do: a limit that is known, and no
 * proxy in front lets one pass.
 */
static bool line_of(struct tl_str *rest, struct tl_str *line)
{
	const char *end = memchr(rest->ptr, '\n', rest->len);

	if (end == NULL)
		return false;
	*line = (struct tl_str){ rest->ptr, (size_t)(end - rest->ptr) };
	rest->len -= line->len + 1;
	rest->ptr = end + 1;
	if (line->len > 0 && line->ptr[line->len - 1] == '\r')
		line->len--;
	line->len = strnlen(line->ptr, line->len);
	return true;
}

static bool name_is(struct tl_str name, const char *want)
{
	return name.len == strlen(want) &&
	       strncasecmp(name.ptr, want, name.len) == 0;
}

static bool field(struct reading *r, struct tl_str line)
{
	const char *colon = memchr(line.ptr, ':', line.len);
	struct tl_str name, value;

	if (colon == NULL || colon == line.ptr)
		return false;
	name = (struct tl_str){ line.ptr, (size_t)(colon - line.ptr) };
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' ||
		    strchr("\"(),/:;<=>?@[\\]{}", name.ptr[i]) != NULL)
			return false;
	value = trimmed((struct tl_str){ colon + 1, line.len - name.len - 1 });
	if (name_is(name, "host")) {
		r->n_host++;
		r->host = value;
	} else if (name_is(name, "content-length")) {
		r->n_length++;
		r->length = value;
	} else if (name_is(name, "transfer-encoding")) {
		r->n_coding++;
	}
	return true;
}

static bool read_head(struct tl_str in, struct reading *r)
{
	struct tl_str rest = in, line, word;

	memset(r, 0, sizeof(*r));
	if (!line_of(&rest, &line) || !tl_str_split(&line, ' ', &word) ||
	    !tl_str_split(&line, ' ', &r->target))
		return false;
	/* digits of the version are libevent's: it takes HTTP/01.1 too */
	if (line.len < 8 || memcmp(line.ptr, "HTTP/", 5) != 0)
		return false;
	for (;;) {
		if (!line_of(&rest, &line))
			return false;
		if (line.len == 0)
			break;
		/* a folded line goes on with what is no field of interest */
		if (is_blank(line.ptr[0]))
			continue;
		if (!field(r, line))
			return false;
	}
	r->head_bytes = in.len - rest.len;
	return true;
}

/* ---- as it goes on in the daemon ---- */

static unsigned method_of(const struct evhttp_request *ev)
{
	switch (ev->type) {
	case EVHTTP_REQ_GET:
		return HTTP_GET;
	case EVHTTP_REQ_HEAD:
		return HTTP_HEAD;
	case EVHTTP_REQ_POST:
		return HTTP_POST;
	case EVHTTP_REQ_PUT:
		return HTTP_PUT;
	case EVHTTP_REQ_DELETE:
		return HTTP_DELETE;
	case EVHTTP_REQ_OPTIONS:
		return HTTP_OPTIONS;
	case EVHTTP_REQ_PATCH:
		return HTTP_PATCH;
	default:
		return HTTP_OTHER;
	}
}

/* evhttp looks the host of an absolute target up in a server that we have
 * not: such lines are cut here, at the blanks where it cuts them. */
static bool first_line(struct evhttp_request *ev, struct evbuffer *buf,
		       struct tl_str in)
{
	struct tl_str rest = in, line;
	size_t len;
	char *copy, *uri, *version;
	bool good;

	if (!line_of(&rest, &line) ||
	    memmem(line.ptr, line.len, "://", 3) == NULL)
		return evhttp_parse_firstline_(ev, buf) == ALL_READ;
	copy = evbuffer_readln(buf, &len, EVBUFFER_EOL_CRLF);
	uri = strchr(copy, ' ');
	version = uri != NULL ? strrchr(uri + 1, ' ') : NULL;
	good = version != NULL && strcmp(version, " HTTP/1.1") == 0 &&
	       strncmp(copy, "GET ", 4) == 0;
	if (good) {
		*version = '\0';
		ev->type = EVHTTP_REQ_GET;
		ev->major = ev->minor = 1;
		ev->uri = strdup(uri + 1);
	}
	free(copy);
	return good;
}

/* How much body evhttp hands over; false: it refuses, or waits for more. */
static bool body_bytes(const struct evhttp_request *ev, unsigned method,
		       size_t there, size_t *n)
{
	const char *length =
		evhttp_find_header(ev->input_headers, "Content-Length");
	const char *coding =
		evhttp_find_header(ev->input_headers, "Transfer-Encoding");
	char *end;
	long long v;

	*n = 0;
	if ((method & (HTTP_HEAD | HTTP_OTHER)) != 0 || length == NULL ||
	    coding != NULL)
		return true;
	v = strtoll(length, &end, 10);
	if (length[0] == '\0' || *end != '\0' || v < 0 ||
	    (unsigned long long)v > there)
		return false;
	*n = (size_t)v;
	return true;
}

static bool clean(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return true;
}

static void check_path(struct tl_str path)
{
	tl_assert(path.len > 0 && path.ptr[0] == '/');
	for (size_t i = 0; i < path.len; i++) {
		unsigned v;

		tl_assert(path.ptr[i] > ' ' && path.ptr[i] <= '~' &&
			  path.ptr[i] != '#' && path.ptr[i] != '\\');
		if (path.ptr[i] != '%')
			continue;
		tl_assert(i + 2 < path.len);
		tl_assert(sscanf(path.ptr + i + 1, "%2x", &v) == 1 && v != 0 &&
			  v != '/');
	}
}

static void check_taken(const struct guard_in *in, const struct guard_out *g,
			struct tl_str raw, size_t head_bytes)
{
	struct reading r;
	uint64_t length = 0;

	tl_assert(read_head(raw, &r));
	tl_assert(r.head_bytes == head_bytes);
	tl_assert(tl_str_eq(r.target, tl_str_c(in->target)));
	tl_assert(r.n_host <= 1 && r.n_host >= (unsigned)in->minor);
	tl_assert(r.n_host == 0 || tl_str_eq(r.host, g->h[GH_HOST]));
	tl_assert(r.n_coding == 0 && r.n_length <= 1);
	tl_assert(r.n_length == 1 ||
		  (in->method & (HTTP_POST | HTTP_PUT | HTTP_PATCH)) == 0);
	for (size_t i = 0; i < r.length.len; i++) {
		tl_assert(r.length.ptr[i] >= '0' && r.length.ptr[i] <= '9');
		length = length * 10 + (uint64_t)(r.length.ptr[i] - '0');
	}
	tl_assert(r.n_length == 0 || r.length.len > 0);
	tl_assert(length == g->content_length && length == in->body_bytes);
	check_path(g->path);
}

/* ---- both ---- */

struct verdict {
	bool read; /* libevent has a whole head, and its body is there */
	size_t head_bytes;
	const struct guard_refusal *why;
	uint64_t length;
	size_t path_bytes, query_bytes;
	bool close;
};

static void judge(struct evhttp_request *ev, struct tl_str raw,
		  struct verdict *v)
{
	struct guard_in in = { .method = method_of(ev),
			       .major = ev->major,
			       .minor = ev->minor,
			       .target = ev->uri,
			       .headers = ev->input_headers };
	struct guard_out g;
	struct evkeyval *kv;
	bool dirty = false;

	TAILQ_FOREACH(kv, ev->input_headers, next)
	dirty |= !clean(kv->value, strlen(kv->value));
	if (!body_bytes(ev, in.method, raw.len - v->head_bytes, &in.body_bytes))
		return;
	v->read = true;
	v->why = guard_check(&in, &g);
	v->length = g.content_length;
	v->path_bytes = g.path.len;
	v->query_bytes = g.query.len;
	v->close = g.close;
	if (v->why != NULL) {
		tl_assert(v->why->status >= 400 && v->why->status < 500);
		return;
	}
	tl_assert(!dirty);
	check_taken(&in, &g, raw, v->head_bytes);
}

/* The bytes come in two pieces, the first of `cut` bytes. */
static void receive(struct tl_str raw, size_t cut, struct verdict *v)
{
	struct evhttp_request *ev = evhttp_request_new(NULL, NULL);
	struct evbuffer *buf = evbuffer_new();
	int st = ALL_READ;

	memset(v, 0, sizeof(*v));
	ev->kind = EVHTTP_REQUEST;
	evbuffer_add(buf, raw.ptr, cut);
	if (first_line(ev, buf, raw) && ev->uri != NULL) {
		st = evhttp_parse_headers_(ev, buf);
		evbuffer_add(buf, raw.ptr + cut, raw.len - cut);
		if (st == MORE_EXPECTED)
			st = evhttp_parse_headers_(ev, buf);
		v->head_bytes = raw.len - evbuffer_get_length(buf);
		if (st == ALL_READ)
			judge(ev, raw, v);
	}
	evhttp_request_free(ev);
	evbuffer_free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tl_str raw = { (const char *)data, size }, rest = raw, line;
	struct verdict whole, pieces;

	tl_assert(guard_value_clean(raw.ptr, raw.len) ==
		  clean(raw.ptr, raw.len));
	receive(raw, size, &whole);
	if (!line_of(&rest, &line))
		return 0;
	/* anywhere behind the first line, as its bytes have it */
	receive(raw,
		size - rest.len + tl_crc32c(0, data, size) % (rest.len + 1),
		&pieces);
	tl_assert(memcmp(&whole, &pieces, sizeof(whole)) == 0);
	return 0;
}
