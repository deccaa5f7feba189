/*
 * probes.c - see probes.h.
 */
#include "config.h"

#include "probes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define LAST    "0\r\n\r\n"
#define HELLO   "5\r\nhello\r\n"

/* clang-format off */
const struct probe PROBES[] = {
	/* the other way round: both must see two requests */
	{ "no probe", "GET $P HTTP/1.1", "", "$S" },
	{ "an honest body", NULL, "Content-Length: $L\r\n", "$S" },
	{ "honest chunks", NULL, CHUNKED, "$H\r\n$S\r\n" LAST },

	/* a length and an encoding */
	{ "CL.TE", NULL, "Content-Length: $M\r\n" CHUNKED, LAST "$S" },
	{ "TE.CL", NULL, CHUNKED "Content-Length: 4\r\n",
	  "$H\r\n$S\r\n" LAST },
	{ "CL.TE in HTTP/1.0", "POST $P HTTP/1.0",
	  "Connection: keep-alive\r\nContent-Length: $M\r\n" CHUNKED,
	  LAST "$S" },
	{ "TE in HTTP/1.0", "POST $P HTTP/1.0",
	  "Connection: keep-alive\r\n" CHUNKED, LAST "$S" },

	/* one of them takes the encoding for none */
	{ "xchunked", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding: xchunked\r\n", LAST "$S" },
	{ "chunked, identity", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding: chunked, identity\r\n",
	  LAST "$S" },
	{ "identity, chunked", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding: identity, chunked\r\n",
	  LAST "$S" },
	{ "gzip, chunked", NULL, "Transfer-Encoding: gzip, chunked\r\n",
	  LAST "$S" },
	{ "chunked twice", NULL, CHUNKED CHUNKED, LAST "$S" },
	{ "chunked and cow", NULL,
	  "Content-Length: $M\r\n" CHUNKED "Transfer-Encoding: cow\r\n",
	  LAST "$S" },
	{ "cow and chunked", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding: cow\r\n" CHUNKED,
	  LAST "$S" },
	{ "quoted", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding: \"chunked\"\r\n",
	  LAST "$S" },
	{ "mixed case", NULL,
	  "Content-Length: $M\r\ntRANSFER-eNCODING: cHUNKED\r\n", LAST "$S" },
	{ "with an underscore", NULL,
	  "Content-Length: $M\r\nTransfer_Encoding: chunked\r\n", LAST "$S" },
	{ "blank before the colon", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding : chunked\r\n",
	  LAST "$S" },
	{ "tab before the colon", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding\t: chunked\r\n",
	  LAST "$S" },
	{ "tab behind the colon", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding:\tchunked\r\n",
	  LAST "$S" },
	{ "vertical tab", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding:\vchunked\r\n",
	  LAST "$S" },
	{ "blank before the name", NULL,
	  "Content-Length: $M\r\n Transfer-Encoding: chunked\r\n",
	  LAST "$S" },
	{ "folded", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding:\r\n chunked\r\n",
	  LAST "$S" },
	{ "folded into another", NULL,
	  "X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: $M\r\n",
	  LAST "$S" },
	{ "first line folded", NULL,
	  "Content-Length: $M\r\nX-A:\r\n\tb\r\n" CHUNKED, LAST "$S" },
	{ "behind a bare LF", NULL,
	  "Content-Length: $M\r\nX-A: b\nTransfer-Encoding: chunked\r\n",
	  LAST "$S" },
	{ "behind a bare CR", NULL,
	  "Content-Length: $M\r\nX-A: b\rTransfer-Encoding: chunked\r\n",
	  LAST "$S" },
	{ "NUL behind it", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding: chunked$0\r\n",
	  LAST "$S" },
	{ "NUL in the name", NULL,
	  "Content-Length: $M\r\nTransfer-Encoding$0: chunked\r\n",
	  LAST "$S" },
	{ "NUL in a value", NULL,
	  "X-A: b$0\r\nContent-Length: $L\r\n", "$S" },
	{ "kept from the server: encoding", NULL,
	  "Connection: Transfer-Encoding\r\n" CHUNKED, "$H\r\n$S\r\n" LAST },
	{ "kept from the server: length", NULL,
	  "Connection: Content-Length\r\nContent-Length: $L\r\n", "$S" },

	/* lengths */
	{ "0 and the length", NULL,
	  "Content-Length: 0\r\nContent-Length: $L\r\n", "$S" },
	{ "the length and 0", NULL,
	  "Content-Length: $L\r\nContent-Length: 0\r\n", "$S" },
	{ "the length twice", NULL,
	  "Content-Length: $L\r\nContent-Length: $L\r\n", "$S" },
	{ "a list", NULL, "Content-Length: $L, $L\r\n", "$S" },
	{ "a list with 0", NULL, "Content-Length: 0, $L\r\n", "$S" },
	{ "plus", NULL, "Content-Length: +$L\r\n", "$S" },
	{ "minus", NULL, "Content-Length: -1\r\n", "$S" },
	{ "hex", NULL, "Content-Length: 0x$H\r\n", "$S" },
	{ "octal", NULL, "Content-Length: 0$L\r\n", "$S" },
	{ "blanks", NULL, "Content-Length:   $L  \r\n", "$S" },
	{ "two words", NULL, "Content-Length: 0 $L\r\n", "$S" },
	{ "none", NULL, "Content-Length:\r\n", "$S" },
	{ "with letters", NULL, "Content-Length: $Labc\r\n", "$S" },
	{ "beyond 64 bits", NULL,
	  "Content-Length: 18446744073709551616\r\n", "$S" },
	{ "beyond 63 bits", NULL,
	  "Content-Length: 9223372036854775808\r\n", "$S" },
	{ "underscore", NULL, "Content_Length: $L\r\n", "$S" },
	{ "blank before its colon", NULL, "Content-Length : $L\r\n", "$S" },
	{ "NUL behind it", NULL, "Content-Length: $L$0\r\n", "$S" },
	{ "folded length", NULL, "Content-Length:\r\n $L\r\n", "$S" },
	{ "of a GET", "GET $P HTTP/1.1", "Content-Length: $L\r\n", "$S" },
	{ "of a HEAD", "HEAD $P HTTP/1.1", "Content-Length: $L\r\n", "$S" },
	{ "of a DELETE", "DELETE $P HTTP/1.1", "Content-Length: $L\r\n",
	  "$S" },
	{ "of an OPTIONS", "OPTIONS $P HTTP/1.1", "Content-Length: $L\r\n",
	  "$S" },
	{ "of a TRACE", "TRACE $P HTTP/1.1", "Content-Length: $L\r\n", "$S" },
	{ "of a method of its own", "COW $P HTTP/1.1",
	  "Content-Length: $L\r\n", "$S" },
	{ "chunks of a GET", "GET $P HTTP/1.1", CHUNKED,
	  "$H\r\n$S\r\n" LAST },
	{ "a POST without", NULL, "", "$S" },
	{ "Expect", NULL,
	  "Expect: 100-continue\r\nContent-Length: $L\r\n", "$S" },
	{ "Expect of no body", "GET $P HTTP/1.1",
	  "Expect: 100-continue\r\n", "$S" },

	/* chunks */
	{ "an extension", NULL, CHUNKED, "5;a=b\r\nhello\r\n" LAST "$S" },
	{ "an extension with a LF", NULL, CHUNKED,
	  "5;a\nhello\r\n" LAST "$S" },
	{ "an extension with a CR", NULL, CHUNKED,
	  "5;a\rhello\r\n" LAST "$S" },
	{ "a quoted extension", NULL, CHUNKED,
	  "5;a=\"\r\nhello\r\n" LAST "\"\r\n$S" },
	{ "size in 0x", NULL, CHUNKED, "0x5\r\nhello\r\n" LAST "$S" },
	{ "size with plus", NULL, CHUNKED, "+5\r\nhello\r\n" LAST "$S" },
	{ "size with minus", NULL, CHUNKED, "-5\r\nhello\r\n" LAST "$S" },
	{ "size with a blank", NULL, CHUNKED, "5 \r\nhello\r\n" LAST "$S" },
	{ "blank before it", NULL, CHUNKED, " 5\r\nhello\r\n" LAST "$S" },
	{ "size beyond 64 bits", NULL, CHUNKED,
	  "10000000000000005\r\nhello\r\n" LAST "$S" },
	{ "no size", NULL, CHUNKED, "\r\nhello\r\n" LAST "$S" },
	{ "lines end in LF", NULL, CHUNKED, "5\nhello\n0\n\n$S" },
	{ "data longer than said", NULL, CHUNKED,
	  "5\r\nhelloXX\r\n" LAST "$S" },
	{ "data without its end", NULL, CHUNKED, "5\r\nhello" LAST "$S" },
	{ "two bytes for the end", NULL, CHUNKED,
	  "5\r\nhelloXX0\r\n\r\n$S" },
	{ "a last chunk of 00", NULL, CHUNKED, HELLO "000\r\n\r\n$S" },
	{ "trailers", NULL, CHUNKED,
	  HELLO "0\r\nContent-Length: $L\r\nX-A: b\r\n\r\n$S" },
	{ "a trailer in the way", NULL, CHUNKED,
	  HELLO "0\r\n$S" },

	/* request line and the rest */
	{ "absolute form", "GET http://a$P HTTP/1.1", "", "$S" },
	{ "of another host", "GET http://b$P HTTP/1.1", "", "$S" },
	{ "with a user", "GET http://b@a$P HTTP/1.1", "", "$S" },
	{ "two slashes", "GET /$P HTTP/1.1", "", "$S" },
	{ "a second Host", NULL, "Host: b\r\nContent-Length: $L\r\n", "$S" },
	{ "HTTP/0.9", "GET $P", "", "$S" },
	{ "HTTP/1.2", "POST $P HTTP/1.2", "Content-Length: $L\r\n", "$S" },
	{ "HTTP/2.0", "POST $P HTTP/2.0", "Content-Length: $L\r\n", "$S" },
	{ "HTTP/1.10", "POST $P HTTP/1.10", "Content-Length: $L\r\n", "$S" },
	{ "http/1.1", "POST $P http/1.1", "Content-Length: $L\r\n", "$S" },
	{ "blank in the path", "GET $P HTTP/1.1 HTTP/1.1", "", "$S" },
	{ "tabs", "GET\t$P\tHTTP/1.1", "", "$S" },
	{ "lower case", "post $P HTTP/1.1", "Content-Length: $L\r\n", "$S" },
	{ "empty lines first", "\r\n\r\nGET $P HTTP/1.1", "", "$S" },
	{ "no colon", NULL, "Content-Length\r\nX-A\r\n", "$S" },
	{ "no name", NULL, ": $L\r\nContent-Length: $L\r\n", "$S" },
	{ "an upgrade", "GET $P HTTP/1.1",
	  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	  "Sec-WebSocket-Version: 13\r\n", "$S" },
	{ "an upgrade to HTTP/2", "GET $P HTTP/1.1",
	  "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
	  "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", "$S" },
	{ "a tunnel", "CONNECT a:80 HTTP/1.1", "", "$S" },
};
/* clang-format on */
const unsigned N_PROBES = sizeof(PROBES) / sizeof(PROBES[0]);

struct maker {
	char *p;
	const char *path, *smuggled;
};

static void put(struct maker *m, const char *text)
{
	m->p = stpcpy(m->p, text);
}

static void expand(struct maker *m, const char *text)
{
	unsigned long len = strlen(m->smuggled);

	for (; *text != '\0'; text++) {
		if (*text != '$') {
			*m->p++ = *text;
			continue;
		}
		switch (*++text) {
		case 'P':
			put(m, m->path);
			break;
		case 'S':
			put(m, m->smuggled);
			break;
		case 'L':
			m->p += sprintf(m->p, "%lu", len);
			break;
		case 'H':
			m->p += sprintf(m->p, "%lx", len);
			break;
		case 'M':
			m->p += sprintf(m->p, "%lu", len + strlen(LAST));
			break;
		case '0':
			*m->p++ = '\0';
			break;
		default:
			abort();
		}
	}
}

char *probe_expand(const char *text, const char *path, const char *smuggled,
		   size_t *len_r)
{
	char *bytes = tl_alloc(2048 + 2 * strlen(smuggled));
	struct maker m = { bytes, path, smuggled };

	expand(&m, text);
	*len_r = (size_t)(m.p - bytes);
	return bytes;
}

char *probe_bytes(const struct probe *p, const char *path, const char *id,
		  const char *smuggled, const char *more, size_t *len_r)
{
	char *bytes = tl_alloc(4096 + 2 * strlen(smuggled) + strlen(more));
	struct maker m = { bytes, path, smuggled };

	expand(&m, p->line != NULL ? p->line : "POST $P HTTP/1.1");
	m.p += sprintf(m.p, "\r\nHost: a\r\nX-Request-Id: %s\r\n", id);
	expand(&m, p->head);
	put(&m, "\r\n");
	expand(&m, p->body);
	put(&m, more);
	*len_r = (size_t)(m.p - bytes);
	return bytes;
}
