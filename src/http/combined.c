/*
 * combined.c - a request's line in the combined format of Apache and NCSA:
 * host - user [time] "request line" status bytes "referrer" "agent".
 *
 * All that a client chose is escaped, so that it can neither end its field nor
 * its line.  The request line has no query, and the referrer none: they may
 * hold a key.  The user is an id.  Times are in UTC.
 */
#include <time.h>

#include "http/http_internal.h"

void http_combined_escape(struct tl_str s, struct tl_buf *b)
{
	static const char hex[] = "0123456789abcdef";
	static const char from[] = "\b\n\r\t\v\"\\", to[] = "bnrtv\"\\";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		const char *at = memchr(from, c, sizeof(from) - 1);
		char code[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

		if (at != NULL) {
			code[1] = to[at - from];
			http_put(b, code, 2);
		} else if (c >= 0x20 && c < 0x7f) {
			http_put(b, s.ptr + i, 1);
		} else {
			http_put(b, code, 4);
		}
	}
}

static void put_time(struct tl_buf *b, int64_t wall_s)
{
	static const char month[12][4] = { "Jan", "Feb", "Mar", "Apr",
					   "May", "Jun", "Jul", "Aug",
					   "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)wall_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	/* not strftime: the names must not follow a locale */
	tl_buf_addf(b, " [%02d/%s/%04d:%02d:%02d:%02d +0000] \"", tm.tm_mday,
		    month[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		    tm.tm_sec);
}

static void put_quoted(struct tl_buf *b, struct tl_str s)
{
	HTTP_PUT(b, " \"");
	if (s.len == 0)
		HTTP_PUT(b, "-");
	http_combined_escape(s, b);
	HTTP_PUT(b, "\"");
}

static struct tl_str without_query(struct tl_str url)
{
	for (size_t i = 0; i < url.len; i++)
		if (url.ptr[i] == '?' || url.ptr[i] == '#')
			return (struct tl_str){ url.ptr, i };
	return url;
}

void http_combined_put(const struct http *h, const struct http_log_line *l,
		       struct tl_buf *b)
{
	const char *method = http_method_name(l->method);
	char client[TALLY_ADDR_TEXT];

	tally_addr_format(&l->client, client);
	tl_buf_adds(b, client);
	HTTP_PUT(b, " - ");
	if (l->user_id != NULL)
		http_put_uuid(b, l->user_id);
	else
		HTTP_PUT(b, "-");
	put_time(b, http_wall_us(h, l->end_mono_ns) / 1000000);
	tl_buf_adds(b, method);
	HTTP_PUT(b, " ");
	if (l->target.len == 0) /* none that could be read */
		HTTP_PUT(b, "-");
	http_combined_escape(l->target, b);
	tl_buf_adds(b, l->minor == 0 ? " HTTP/1.0\" " : " HTTP/1.1\" ");
	http_put_u64(b, l->status);
	HTTP_PUT(b, " ");
	if (l->bytes == 0)
		HTTP_PUT(b, "-");
	else
		http_put_u64(b, l->bytes);
	put_quoted(b, without_query(l->referer));
	put_quoted(b, l->agent);
	HTTP_PUT(b, "\n");
}
