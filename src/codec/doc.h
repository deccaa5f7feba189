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

#define DOC_DEPTH_MAX 32

enum doc_type {
	DOC_NULL, DOC_BOOL, DOC_INT, DOC_UINT, DOC_DOUBLE, DOC_STR,
	DOC_ARRAY, DOC_OBJECT
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
		uint64_t u; /* DOC_UINT: above INT64_MAX */
		double d;
		struct tl_str str; /* valid UTF-8, may hold no NUL */
		const struct doc **items;
		struct doc_member *members;
	};
};

/* TL_INVALID with the place ("at byte 17") and what is wrong. */
enum tl_status doc_parse(struct tl_arena *a, enum doc_format f,
			 struct tl_str in, const struct doc **doc_r,
			 struct tl_err *err) TL_MUST_CHECK;
void doc_write(const struct doc *d, enum doc_format f, struct tl_buf *out);

const struct doc *doc_get(const struct doc *obj, const char *name); /* NULL */
bool doc_is_int(const struct doc *d, int64_t min, int64_t max, int64_t *v_r);

/* Making one.  Strings are borrowed: they must live as long as the arena. */
struct doc *doc_object(struct tl_arena *a);
struct doc *doc_array(struct tl_arena *a);
const struct doc *doc_null(void);
const struct doc *doc_bool(bool v);
const struct doc *doc_int(struct tl_arena *a, int64_t v);
const struct doc *doc_double(struct tl_arena *a, double v);
const struct doc *doc_str(struct tl_arena *a, struct tl_str s);
void doc_set(struct tl_arena *a, struct doc *obj, const char *name,
	     const struct doc *value);
void doc_push(struct tl_arena *a, struct doc *arr, const struct doc *value);
/* Money: micro-USD as a JSON number with up to 6 decimals, exact in JSON. */
const struct doc *doc_usd(struct tl_arena *a, uint64_t micro_usd);

/*
 * Writing without a tree, for the hot doors: the same calls give JSON or
 * MessagePack.  Containers say their count up front (MessagePack needs it).
 */
struct doc_writer {
	struct tl_buf *out;
	enum doc_format format;
	uint32_t depth;
	uint32_t left[DOC_DEPTH_MAX]; /* values still owed per level */
	bool first;
};
void docw_init(struct doc_writer *w, enum doc_format f, struct tl_buf *out);
void docw_object(struct doc_writer *w, uint32_t n_members);
void docw_array(struct doc_writer *w, uint32_t n_items);
void docw_name(struct doc_writer *w, struct tl_str name); /* plain ASCII */
void docw_str(struct doc_writer *w, struct tl_str s);
void docw_int(struct doc_writer *w, int64_t v);
void docw_uint(struct doc_writer *w, uint64_t v);
void docw_bool(struct doc_writer *w, bool v);
void docw_null(struct doc_writer *w);
void docw_usd(struct doc_writer *w, uint64_t micro_usd);
void docw_doc(struct doc_writer *w, const struct doc *d);

#endif
