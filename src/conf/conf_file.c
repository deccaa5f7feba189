/*
 * conf_file.c - see conf_file.h.
 */
#include "conf/conf_file.h"

#include <ini.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/mem.h"

#define FILE_MAX_BYTES (1024 * 1024)

struct reader {
	const char *path;
	struct tl_str rest; /* what inih has not seen yet */
	unsigned line;      /* the one it is at */
	bool indented;      /* that line continues a value */
	conf_file_item_fn item;
	void *arg;
	struct {
		struct tl_buf section, key, value;
		unsigned line; /* 0: none */
	} pending;             /* may still go on */
	enum tl_status st;     /* the first failure; then all stops */
	unsigned failed_line;
	struct tl_err *err;
};

bool conf_file_may_cut(struct tl_str value, size_t n)
{
	return n > 0 && n < value.len && strchr(" ;#", value.ptr[n]) == NULL &&
	       strchr(" \\", value.ptr[n - 1]) == NULL;
}

static enum tl_status fail(struct reader *r, unsigned line)
{
	if (r->err != NULL && r->st == TL_OK) {
		tl_err_wrap(r->err, "%s:%u", r->path, line);
		r->failed_line = line;
	}
	r->st = TL_INVALID;
	return r->st;
}

/* Hands the pending item over. */
static void finish_pending(struct reader *r)
{
	struct tl_buf *value = &r->pending.value;
	unsigned line = r->pending.line;

	if (line == 0 || r->st != TL_OK)
		return;
	r->pending.line = 0;
	if (value->len > 0 && value->ptr[value->len - 1] == '\\') {
		(void)tl_err_set(r->err, TL_INVALID,
				 "%s.%s ends in a backslash, but no indented "
				 "line follows; add it or drop the backslash",
				 r->pending.section.ptr, r->pending.key.ptr);
		fail(r, line);
		return;
	}
	if (r->item(r->arg, tl_buf_str(&r->pending.section),
		    tl_buf_str(&r->pending.key), tl_buf_str(value), line,
		    r->err) != TL_OK)
		fail(r, line);
}

static void check_line(struct reader *r, struct tl_str line)
{
	if (line.len > CONF_FILE_LINE_MAX) {
		(void)tl_err_set(r->err, TL_INVALID,
				 "the line has %zu bytes, at most %d fit; go "
				 "on in an indented line (see tallyd.conf(5))",
				 line.len, CONF_FILE_LINE_MAX);
		fail(r, r->line);
		return;
	}
	for (size_t i = 0; i < line.len; i++) {
		if ((uint8_t)line.ptr[i] < 0x20 && line.ptr[i] != '\t') {
			(void)tl_err_set(r->err, TL_INVALID,
					 "the line has a control character; "
					 "remove it");
			fail(r, r->line);
			return;
		}
	}
}

/* fgets for inih. */
static char *next_line(char *dst, int size, void *arg)
{
	struct reader *r = arg;
	struct tl_str line;

	if (r->st != TL_OK || r->rest.len == 0 ||
	    !tl_str_split(&r->rest, '\n', &line))
		return NULL;
	r->line++;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	check_line(r, line);
	if (r->st != TL_OK)
		return NULL;
	r->indented =
		line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');
	/* Behind a section head inih takes indented lines for new keys. */
	if (line.len > 0 && line.ptr[0] == '[')
		finish_pending(r);
	tl_assert(line.len + 2 <= (size_t)size);
	if (line.len > 0)
		memcpy(dst, line.ptr, line.len);
	memcpy(dst + line.len, "\n", 2);
	return dst;
}

static void set_buf(struct tl_buf *b, const char *s)
{
	tl_buf_reset(b);
	tl_buf_adds(b, s);
}

static int on_value(void *arg, const char *section, const char *key,
		    const char *value)
{
	struct reader *r = arg;
	struct tl_buf *whole = &r->pending.value;

	if (r->st != TL_OK)
		return 1;
	/* inih tells a continuation by its indentation, and so do we. */
	if (r->indented && r->pending.line != 0) {
		if (whole->len > 0 && whole->ptr[whole->len - 1] == '\\')
			whole->ptr[--whole->len] = '\0';
		else if (whole->len > 0)
			tl_buf_addc(whole, ' ');
		tl_buf_adds(whole, value);
		return 1;
	}
	finish_pending(r);
	set_buf(&r->pending.section, section);
	set_buf(&r->pending.key, key);
	set_buf(whole, value);
	r->pending.line = r->line;
	return 1;
}

static enum tl_status read_items(struct reader *r)
{
	int bad = ini_parse_stream(next_line, r, on_value, r);

	finish_pending(r);
	/* inih goes on behind a line it cannot read; the first fault counts. */
	if (bad > 0 && (r->st == TL_OK || (unsigned)bad < r->failed_line)) {
		r->st = TL_OK;
		(void)tl_err_set(r->err, TL_INVALID,
				 "this is no setting; give 'key = value', "
				 "'[section]' or '# comment'");
		fail(r, (unsigned)bad);
	}
	return r->st;
}

enum tl_status conf_file_read(const char *path, conf_file_item_fn item,
			      void *arg, struct tl_err *err)
{
	struct reader r = { .path = path, .item = item, .arg = arg };
	struct tl_err own;
	enum tl_status st;
	size_t len;
	char *data;

	r.err = err != NULL ? err : &own;
	st = tl_file_read(path, FILE_MAX_BYTES, &data, &len, err);
	if (st != TL_OK)
		return st;
	r.rest = (struct tl_str){ data, len };
	tl_buf_init(&r.pending.section);
	tl_buf_init(&r.pending.key);
	tl_buf_init(&r.pending.value);
	st = read_items(&r);
	tl_buf_deinit(&r.pending.section);
	tl_buf_deinit(&r.pending.key);
	tl_buf_deinit(&r.pending.value);
	tl_free(data);
	return st;
}
