/*
 * guard.c - see guard.h.
 */
#include "http/guard.h"

#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/keyvalq_struct.h>

#include "http/http.h"

#define REFUSAL(name, status, code, why)                                       \
	static const struct guard_refusal name = { status, code, why }

REFUSAL(BAD_VERSION, 400, "bad_request",
	"this server speaks HTTP/1.0 and HTTP/1.1");
REFUSAL(BAD_TARGET, 400, "bad_request",
	"the request target must be a path that starts with one '/'");
REFUSAL(BAD_TARGET_CHAR, 400, "bad_request",
	"the request target holds a character that must be percent-encoded");
REFUSAL(BAD_ESCAPE, 400, "bad_request",
	"the request target holds a bad percent escape");
REFUSAL(BAD_AUTHORITY, 400, "bad_request",
	"the host of the request target and the Host header differ");
REFUSAL(BAD_NAME, 400, "bad_request", "a header name is not a token");
REFUSAL(BAD_VALUE, 400, "bad_request",
	"a header value holds a control character");
REFUSAL(TOO_MANY, 431, "bad_request", "more than 100 header lines");
REFUSAL(TWICE, 400, "bad_request",
	"a header that may stand only once stands twice");
REFUSAL(NO_HOST, 400, "bad_request", "HTTP/1.1 needs one Host header");
REFUSAL(BAD_HOST, 400, "bad_request", "the Host header is malformed");
REFUSAL(BAD_LENGTH, 400, "bad_request", "Content-Length must be digits only");
REFUSAL(WRONG_LENGTH, 400, "bad_request",
	"the body does not have the length that Content-Length says");
REFUSAL(BOTH_LENGTHS, 400, "bad_request",
	"Content-Length and Transfer-Encoding exclude each other");
REFUSAL(BAD_CODING, 400, "bad_request",
	"this Transfer-Encoding is not supported");
REFUSAL(CHUNKED, 411, "length_required",
	"chunked requests are not taken; send Content-Length");
REFUSAL(NO_LENGTH, 411, "length_required",
	"this method needs a Content-Length, 0 without body");
REFUSAL(BODY_UNREAD, 400, "bad_request", "this method takes no body");

/* RFC 9110, 5.6.2: the characters of a token. */
static const bool token_chars[256] = {
	['!'] = 1,         ['#'] = 1,         ['$'] = 1, ['%'] = 1,
	['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1,
	['-'] = 1,         ['.'] = 1,         ['^'] = 1, ['_'] = 1,
	['`'] = 1,         ['|'] = 1,         ['~'] = 1, ['0' ... '9'] = 1,
	['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};

/* Length of the token at s when it reaches to the NUL, else 0. */
static size_t token_length(const char *s)
{
	size_t n = 0;

	while (token_chars[(unsigned char)s[n]])
		n++;
	return s[n] == '\0' ? n : 0;
}

/* Is there perhaps a byte below 0x20, or a 0x7f, among these eight? */
static bool suspicious(const char *p)
{
	uint64_t v, low, del;

	memcpy(&v, p, 8);
	low = (v - 0x2020202020202020ULL) & ~v;
	del = v ^ 0x7f7f7f7f7f7f7f7fULL;
	del = (del - 0x0101010101010101ULL) & ~del;
	return ((low | del) & 0x8080808080808080ULL) != 0;
}

/* Eight bytes at a time, the last eight once more where they overlap. */
bool guard_value_clean(const char *s, size_t len)
{
	size_t i = 0;

	if (len >= 8) {
		while (i + 8 <= len && !suspicious(s + i))
			i += 8;
		if (i + 8 > len && !suspicious(s + len - 8))
			return true;
	}
	for (; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		/* a tab is the one control character allowed */
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static const struct {
	const char *name;
	size_t len;
	bool once; /* a second one is a quarrel between us and a proxy */
} known[GH_COUNT] = {
#define KNOWN(lit, once)                                                       \
	{                                                                      \
		lit, sizeof(lit) - 1, once                                     \
	}
	[GH_HOST] = KNOWN("host", true),
	[GH_CONTENT_LENGTH] = KNOWN("content-length", true),
	[GH_CONTENT_TYPE] = KNOWN("content-type", true),
	[GH_TRANSFER_ENCODING] = KNOWN("transfer-encoding", true),
	[GH_CONNECTION] = KNOWN("connection", false),
	[GH_ACCEPT] = KNOWN("accept", false),
	[GH_AUTHORIZATION] = KNOWN("authorization", true),
	[GH_API_KEY] = KNOWN("x-api-key", true),
	[GH_REQUEST_ID] = KNOWN("x-request-id", false),
	[GH_ORIGIN] = KNOWN("origin", true),
	[GH_PREFLIGHT] = KNOWN("access-control-request-method", false),
	[GH_FORWARDED_FOR] = KNOWN("x-forwarded-for", false),
	[GH_REAL_IP] = KNOWN("x-real-ip", true),
	[GH_FORWARDED] = KNOWN("forwarded", false),
	[GH_TRACEPARENT] = KNOWN("traceparent", false),
#undef KNOWN
};

/* By length first: at most three names are compared. */
static enum guard_header header_known(const char *name, size_t len)
{
	static const uint8_t by_length[30][3] = {
#define ROW(a, b, c)                                                           \
	{ (uint8_t)((a) + 1), (uint8_t)((b) + 1), (uint8_t)((c) + 1) }
		[4] = ROW(GH_HOST, -1, -1),
		[6] = ROW(GH_ACCEPT, GH_ORIGIN, -1),
		[9] = ROW(GH_API_KEY, GH_REAL_IP, GH_FORWARDED),
		[10] = ROW(GH_CONNECTION, -1, -1),
		[11] = ROW(GH_TRACEPARENT, -1, -1),
		[12] = ROW(GH_CONTENT_TYPE, GH_REQUEST_ID, -1),
		[13] = ROW(GH_AUTHORIZATION, -1, -1),
		[14] = ROW(GH_CONTENT_LENGTH, -1, -1),
		[15] = ROW(GH_FORWARDED_FOR, -1, -1),
		[17] = ROW(GH_TRANSFER_ENCODING, -1, -1),
		[29] = ROW(GH_PREFLIGHT, -1, -1),
#undef ROW
	};

	if (len >= 30)
		return GH_COUNT;
	for (int i = 0; i < 3 && by_length[len][i] != 0; i++) {
		enum guard_header h =
			(enum guard_header)(by_length[len][i] - 1);

		if (strncasecmp(name, known[h].name, len) == 0)
			return h;
	}
	return GH_COUNT;
}

/* Connection is a list; evhttp itself knows only the whole value. */
static void read_connection(struct tl_str rest, struct guard_out *out)
{
	struct tl_str piece;

	while (tl_str_split(&rest, ',', &piece)) {
		piece = tl_str_trim(piece);
		if (tl_str_ieq(piece, TL_STR("close")))
			out->close = true;
	}
}

static const struct guard_refusal *walk_headers(const struct evkeyvalq *headers,
						struct guard_out *out)
{
	const struct evkeyval *kv;
	uint32_t n = 0;

	TAILQ_FOREACH(kv, headers, next)
	{
		size_t name_len = token_length(kv->key);
		struct tl_str value = { kv->value, strlen(kv->value) };
		enum guard_header h;

		if (++n > GUARD_HEADERS_MAX)
			return &TOO_MANY;
		if (name_len == 0)
			return &BAD_NAME;
		if (!guard_value_clean(value.ptr, value.len))
			return &BAD_VALUE;
		h = header_known(kv->key, name_len);
		if (h == GH_COUNT)
			continue;
		if (h == GH_FORWARDED_FOR)
			out->n_forwarded_for++;
		else if (h == GH_CONNECTION)
			read_connection(value, out);
		if (out->h[h].ptr == NULL)
			out->h[h] = value;
		else if (known[h].once)
			return &TWICE;
	}
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * '%2F' inside the path is refused too: proxies and we would cut the path at
 * different places.
 */
static const struct guard_refusal *split_target(struct tl_str t,
						struct guard_out *out)
{
	size_t question = t.len;

	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.ptr[i];

		if (c <= 0x20 || c >= 0x7f || c == '#' || c == '\\')
			return &BAD_TARGET_CHAR;
		if (c == '?' && question == t.len)
			question = i;
		if (c == '%') {
			int hi = i + 2 < t.len ? hex_digit(t.ptr[i + 1]) : -1;
			int lo = i + 2 < t.len ? hex_digit(t.ptr[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
				return &BAD_ESCAPE;
			if (question == t.len) {
				if (hi == 2 && lo == 0xf)
					return &BAD_ESCAPE;
				out->encoded = true;
			}
		}
	}
	out->path = (struct tl_str){ t.ptr, question };
	if (question < t.len)
		out->query = (struct tl_str){ t.ptr + question + 1,
					      t.len - question - 1 };
	return NULL;
}

/* Cuts "http://host" off an absolute target; the host must be ours. */
static const struct guard_refusal *cut_authority(struct tl_str *t,
						 struct guard_out *out)
{
	size_t skip = 0, n = 0;

	if (t->len > 7 && strncasecmp(t->ptr, "http://", 7) == 0)
		skip = 7;
	else if (t->len > 8 && strncasecmp(t->ptr, "https://", 8) == 0)
		skip = 8;
	else
		return &BAD_TARGET;
	while (skip + n < t->len && t->ptr[skip + n] != '/' &&
	       t->ptr[skip + n] != '?')
		n++;
	if (out->h[GH_HOST].ptr == NULL ||
	    !tl_str_ieq(out->h[GH_HOST], (struct tl_str){ t->ptr + skip, n }))
		return &BAD_AUTHORITY;
	/* evhttp takes it for a proxy request and closes after the answer. */
	out->close = true;
	t->ptr += skip + n;
	t->len -= skip + n;
	return NULL;
}

static const struct guard_refusal *check_target(const struct guard_in *in,
						struct guard_out *out)
{
	struct tl_str t = tl_str_c(in->target);
	const struct guard_refusal *why;

	if (t.len > 0 && t.ptr[0] != '/') {
		why = cut_authority(&t, out);
		if (why != NULL)
			return why;
	}
	if (t.len == 0 || t.ptr[0] != '/' || (t.len > 1 && t.ptr[1] == '/'))
		return &BAD_TARGET;
	return split_target(t, out);
}

static const struct guard_refusal *check_host(const struct guard_in *in,
					      const struct guard_out *out)
{
	struct tl_str host = out->h[GH_HOST];

	if (host.ptr == NULL)
		return in->minor >= 1 ? &NO_HOST : NULL;
	for (size_t i = 0; i < host.len; i++)
		if (strchr(" \t/\\@,?#", host.ptr[i]) != NULL)
			return &BAD_HOST;
	return NULL;
}

static const struct guard_refusal *check_length(const struct guard_in *in,
						struct guard_out *out)
{
	struct tl_str length = out->h[GH_CONTENT_LENGTH];
	struct tl_str coding = out->h[GH_TRANSFER_ENCODING];

	if (coding.ptr != NULL) {
		if (length.ptr != NULL)
			return &BOTH_LENGTHS;
		return tl_str_ieq(coding, TL_STR("chunked")) ? &CHUNKED
							     : &BAD_CODING;
	}
	if (length.ptr == NULL) {
		if ((in->method & (HTTP_POST | HTTP_PUT | HTTP_PATCH)) != 0)
			return &NO_LENGTH;
		return in->body_bytes == 0 ? NULL : &WRONG_LENGTH;
	}
	for (size_t i = 0; i < length.len; i++)
		if (length.ptr[i] < '0' || length.ptr[i] > '9')
			return &BAD_LENGTH;
	if (!tl_parse_u64(length, 0, INT64_MAX, &out->content_length))
		return &BAD_LENGTH;
	if (out->content_length == in->body_bytes)
		return NULL;
	/* evhttp reads none for these, so the body would be the next request */
	if ((in->method & (HTTP_HEAD | HTTP_OTHER)) != 0)
		return &BODY_UNREAD;
	return &WRONG_LENGTH;
}

const struct guard_refusal *guard_check(const struct guard_in *in,
					struct guard_out *out)
{
	const struct guard_refusal *why;

	memset(out, 0, sizeof(*out));
	if (in->major != 1 || in->minor < 0 || in->minor > 1) {
		out->close = true;
		return &BAD_VERSION;
	}
	why = walk_headers(in->headers, out);
	if (why == NULL)
		why = check_host(in, out);
	if (why == NULL)
		why = check_target(in, out);
	if (why == NULL)
		why = check_length(in, out);
	if (in->minor == 0) {
		struct tl_str c = out->h[GH_CONNECTION];

		/* as evhttp reads it, or we would disagree on closing */
		out->keep_alive = c.len >= 10 &&
				  strncasecmp(c.ptr, "keep-alive", 10) == 0 &&
				  !out->close;
		out->close = !out->keep_alive;
	}
	return why;
}
