/*
 * doc.h - one document tree for JSON and MessagePack.
 *
 * A document lives in an arena (request or coroutine); nothing is freed by
 * itself.  Depth is at most DOC_DEPTH_MAX at every parser.  Reading keeps
 * integers exact (int64, uint64) and everything else with a fraction as
 * double.  Member names are unique: a repeated name is a parse error.
 * MessagePack maps need string keys; bin is refused, ext is refused.
 * Parsing and MessagePack are json-c's and msgpack-c's; their trees never
 * leave this room.
 * Runs in: worker, flusher, tallyctl.  Suspends: no.
 */
#ifndef TALLY_CODEC_DOC_H
#define TALLY_CODEC_DOC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

#define DOC_DEPTH_MAX 32 /* containers inside each other, from outside */
/* Replies wrap what came in, so they may be deeper than any input. */
#define DOC_WRITE_DEPTH_MAX (2 * DOC_DEPTH_MAX)
/* A body with more values is refused: memory is a multiple of its size. */
#define DOC_VALUES_MAX 65536

enum doc_type {
	DOC_NULL, DOC_BOOL, DOC_INT, DOC_UINT, DOC_DOUBLE, DOC_STR,
	DOC_ARRAY, DOC_OBJECT,
	DOC_USD /* only from doc_usd, never from a parser */
};
enum doc_format { DOC_JSON, DOC_MSGPACK };

struct doc;
struct doc_member {
	struct tl_str name;
	const struct doc *value;
};
struct doc {
	enum doc_type type;
	uint32_t n; /* members or items */
	union {
		bool boolean;
		int64_t i;  /* DOC_INT: negative or fits int64 */
		uint64_t u; /* DOC_UINT: above INT64_MAX; DOC_USD: micro-USD */
		double d;
		struct tl_str str; /* valid UTF-8, may hold no NUL */
		const struct doc **items;
		struct doc_member *members;
	};
};

/* TL_INVALID with the place ("at byte 17") and what is wrong.  Copies. */
enum tl_status doc_parse(struct tl_arena *a, enum doc_format f,
			 struct tl_str in, const struct doc **doc_r,
			 struct tl_err *err) TL_MUST_CHECK;
void doc_write(const struct doc *d, enum doc_format f, struct tl_buf *out);
/* As JSON, in the arena. */
struct tl_str doc_json(struct tl_arena *a, const struct doc *d);

/* NULL when obj is no object or has no such member. */
const struct doc *doc_get(const struct doc *obj, const char *name);
/* False for 1.0: a number with a fraction or an exponent is no integer. */
bool doc_is_int(const struct doc *d, int64_t min, int64_t max, int64_t *v_r);

/* Making one.  Strings are borrowed: they must live as long as the arena. */
struct doc *doc_object(struct tl_arena *a);
struct doc *doc_array(struct tl_arena *a);
const struct doc *doc_null(void);
const struct doc *doc_bool(bool v);
const struct doc *doc_int(struct tl_arena *a, int64_t v);
const struct doc *doc_double(struct tl_arena *a, double v); /* NaN: null */
const struct doc *doc_str(struct tl_arena *a, struct tl_str s);
/* A name that is there already gets the new value. */
void doc_set(struct tl_arena *a, struct doc *obj, const char *name,
	     const struct doc *value);
void doc_push(struct tl_arena *a, struct doc *arr, const struct doc *value);
/* Money: micro-USD as a JSON number with up to 6 decimals, exact in JSON. */
const struct doc *doc_usd(struct tl_arena *a, uint64_t micro_usd);
/* Texts in their one form on the wire; the arena holds them. */
const struct doc *doc_time(struct tl_arena *a, int64_t wall_us);
const struct doc *doc_time_or_null(struct tl_arena *a, bool null,
				   int64_t wall_us);
const struct doc *doc_date(struct tl_arena *a, int32_t day);
const struct doc *doc_uuid(struct tl_arena *a, const struct tl_uuid *u);
const struct doc *doc_strs(struct tl_arena *a, const struct tl_str *items,
			   uint32_t n); /* items are borrowed */

/*
 * Writing without a tree, for the hot doors: the same calls give JSON or
 * MessagePack.  Containers say their count up front (MessagePack needs it).
 */
struct doc_writer {
	struct tl_buf *out;
	enum doc_format format;
	bool first; /* nothing written yet in the innermost container */
	uint32_t depth;
	struct docw_level {
		uint32_t left; /* values still owed */
		bool object;
	} levels[DOC_WRITE_DEPTH_MAX]; /* JSON only */
};
void docw_init(struct doc_writer *w, enum doc_format f, struct tl_buf *out);
void docw_object(struct doc_writer *w, uint32_t n_members);
void docw_array(struct doc_writer *w, uint32_t n_items);
/* Of our own source: plain ASCII, nothing to escape. */
void docw_name(struct doc_writer *w, struct tl_str name);
void docw_str(struct doc_writer *w, struct tl_str s);
void docw_int(struct doc_writer *w, int64_t v);
void docw_uint(struct doc_writer *w, uint64_t v);
void docw_bool(struct doc_writer *w, bool v);
void docw_double(struct doc_writer *w, double v); /* NaN, infinite: null */
void docw_null(struct doc_writer *w);
void docw_usd(struct doc_writer *w, uint64_t micro_usd);
void docw_doc(struct doc_writer *w, const struct doc *d);

#endif
