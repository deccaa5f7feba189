/*
 * doc_pool.h - inside the room: the memory of one parsed document.
 *
 * Both parsers first walk the input once without building anything.  That
 * walk refuses what the library behind would let pass (or would allocate
 * for) and counts, so that the whole tree is four pieces of the arena.
 */
#ifndef TALLY_CODEC_DOC_POOL_H
#define TALLY_CODEC_DOC_POOL_H

#include "codec/doc.h"

struct doc_sizes {
	uint32_t values; /* member names not counted */
	uint32_t members;
};

struct doc_pool {
	struct doc *nodes;
	struct doc_member *members;
	const struct doc **items;
	char *text;
	struct doc_sizes left; /* of nodes and members */
	size_t text_left;
};

/* text_bytes: at least one byte for each string more than all strings have. */
void doc_pool_init(struct doc_pool *p, struct tl_arena *a,
		   const struct doc_sizes *sizes, size_t text_bytes);
struct doc *doc_pool_node(struct doc_pool *p, enum doc_type type);
/* Copies, and ends the copy with a NUL. */
struct tl_str doc_pool_str(struct doc_pool *p, const char *s, size_t len);
void doc_pool_array(struct doc_pool *p, struct doc *array, uint32_t n);
void doc_pool_object(struct doc_pool *p, struct doc *object, uint32_t n);

/* Lexical rules, bounds and counts; the grammar is left to json-c. */
enum tl_status doc_scan_json(struct tl_str in, struct doc_sizes *sizes_r,
			     struct tl_err *err) TL_MUST_CHECK;
enum tl_status doc_parse_json(struct tl_arena *a, struct tl_str in,
			      const struct doc **doc_r,
			      struct tl_err *err) TL_MUST_CHECK;

/* Everything but repeated names and non-finite numbers. */
enum tl_status doc_scan_msgpack(struct tl_str in, struct doc_sizes *sizes_r,
				struct tl_err *err) TL_MUST_CHECK;
enum tl_status doc_parse_msgpack(struct tl_arena *a, struct tl_str in,
				 const struct doc **doc_r,
				 struct tl_err *err) TL_MUST_CHECK;
#endif
