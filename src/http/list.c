/*
 * list.c - replies that are lists: validators, cursors, the next page.
 *
 * A cursor is the place of the last row shown, (at_us, id), so a page goes on
 * where the one before ended whatever was inserted meanwhile.  It is
 * base64url (RFC 4648, 5) without padding of 24 bytes, big-endian; clients
 * hand it back as it is.
 */
#include <stdio.h>

#include "http/http_internal.h"
#include "tally/key.h"

#define CURSOR_BYTES 24
#define CURSOR_TEXT  32 /* 24 bytes without rest: no padding */
#define ETAG_BYTES   ((HTTP_ETAG_TEXT - 3) / 2)

static const char base64url[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void cursor_format(const struct http_cursor *c,
			  char dst[HTTP_CURSOR_TEXT_MAX])
{
	uint8_t raw[CURSOR_BYTES];
	uint64_t at = (uint64_t)c->at_us;
	size_t n = 0;

	for (int i = 0; i < 8; i++)
		raw[i] = (uint8_t)(at >> (56 - 8 * i));
	memcpy(raw + 8, c->id.b, 16);
	for (size_t i = 0; i < CURSOR_BYTES; i += 3) {
		uint32_t v = (uint32_t)raw[i] << 16 |
			     (uint32_t)raw[i + 1] << 8 | raw[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			dst[n++] = base64url[(v >> shift) & 63];
	}
	dst[n] = '\0';
}

enum tl_status http_cursor_parse(struct tl_str text, struct http_cursor *c_r,
				 struct tl_err *err)
{
	uint8_t raw[CURSOR_BYTES];
	uint64_t at = 0;
	size_t n = 0;

	if (text.len != CURSOR_TEXT)
		goto bad;
	for (size_t i = 0; i < CURSOR_TEXT; i += 4) {
		uint32_t v = 0;

		for (size_t j = i; j < i + 4; j++) {
			const char *p = memchr(base64url, text.ptr[j], 64);

			if (p == NULL)
				goto bad;
			v = v << 6 | (uint32_t)(p - base64url);
		}
		raw[n++] = (uint8_t)(v >> 16);
		raw[n++] = (uint8_t)(v >> 8);
		raw[n++] = (uint8_t)v;
	}
	for (int i = 0; i < 8; i++)
		at = at << 8 | raw[i];
	c_r->at_us = (int64_t)at;
	memcpy(c_r->id.b, raw + 8, 16);
	return TL_OK;
bad:
	return tl_err_set(err, TL_INVALID,
			  "cursor: must be the one that a Link header gave");
}

/* ---- the next page ---- */

/* The query as it came, without what the cursor replaces. */
static void add_parameters(struct req *req, struct tl_buf *b)
{
	struct tl_str rest = req->query, pair, name, value;

	while (tl_str_split(&rest, '&', &pair)) {
		value = pair;
		if (!tl_str_split(&value, '=', &name))
			name = pair;
		if (pair.len == 0 || tl_str_eq(name, TL_STR("cursor")) ||
		    tl_str_eq(name, TL_STR("offset")))
			continue;
		tl_buf_add(b, pair.ptr, pair.len);
		tl_buf_addc(b, '&');
	}
}

void req_link_next(struct req *req, const struct http_cursor *next)
{
	char cursor[HTTP_CURSOR_TEXT_MAX];
	struct tl_buf b;

	cursor_format(next, cursor);
	tl_buf_init(&b);
	add_parameters(req, &b);
	/* the query has passed guard.c: no blank, no quote, no '>' */
	req_header_add(req, "Link", "<%.*s?%.*scursor=%s>; rel=\"next\"",
		       (int)req->priv->g.path.len, req->priv->g.path.ptr,
		       (int)b.len, b.len > 0 ? b.ptr : "", cursor);
	tl_buf_deinit(&b);
}

/* ---- validators ---- */

/* If-None-Match (RFC 9110, 13.1.2): a list of tags, weak ones welcome. */
static bool named(struct tl_str list, struct tl_str etag)
{
	struct tl_str tag;

	while (list.len > 0 && tl_str_split(&list, ',', &tag)) {
		tag = tl_str_trim(tag);
		if (tl_str_eq(tag, TL_STR("*")))
			return true;
		if (tag.len > 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/') {
			tag.ptr += 2;
			tag.len -= 2;
		}
		if (tl_str_eq(tag, etag))
			return true;
	}
	return false;
}

static void etag_make(struct tl_str bytes, char etag[HTTP_ETAG_TEXT])
{
	uint8_t digest[32];

	tally_sha256(bytes.ptr, bytes.len, digest);
	etag[0] = '"';
	tl_hex(digest, ETAG_BYTES, etag + 1);
	etag[HTTP_ETAG_TEXT - 2] = '"';
	etag[HTTP_ETAG_TEXT - 1] = '\0';
}

/* Adds the header; does the client have it already? */
static bool etag_named(struct req *req, const char *etag)
{
	req_header_add(req, "ETag", "%s", etag);
	return named(req_header(req, "If-None-Match"), tl_str_c(etag));
}

bool http_etag_matches(struct req *req, struct tl_str body)
{
	char etag[HTTP_ETAG_TEXT];

	etag_make(body, etag);
	return etag_named(req, etag);
}

void http_kept_seal(struct http_kept *k)
{
	etag_make(tl_buf_str(&k->bytes), k->etag);
}

void http_reply_kept(struct req *req, const struct http_kept *k,
		     const char *cache_control)
{
	req_header_add(req, "Cache-Control", "%s", cache_control);
	if (etag_named(req, k->etag)) {
		req_reply_buf(req, 304, (struct tl_str){ NULL, 0 });
		return;
	}
	req->priv->kept = k;
	req_reply_buf(req, 200, tl_buf_str(&k->bytes));
}

void req_reply_list(struct req *req, const struct doc *array,
		    const struct http_cursor *next)
{
	struct http_req_priv *p = req->priv;
	bool same;

	tl_buf_reset(&p->body);
	doc_write(array, req->out_format, &p->body);
	same = http_etag_matches(req, tl_buf_str(&p->body));
	req_header_add(req, "Cache-Control", "private, no-cache");
	if (next != NULL)
		req_link_next(req, next);
	if (same)
		req_reply_buf(req, 304, (struct tl_str){ NULL, 0 });
	else
		req_reply_buf(req, 200, tl_buf_str(&p->body));
}
