/*
 * shape.h - the declared form of a body: validates, reads, documents.
 *
 * A shape is a constant table.  shape_read checks a document against it and
 * copies the members into a flat struct by offset; the same table describes
 * the body for the OpenAPI page.  Errors name the member and its rule:
 * "credits: must be an integer from 1 to 1000000".
 */
#ifndef TALLY_CODEC_SHAPE_H
#define TALLY_CODEC_SHAPE_H

#include "codec/doc.h"

enum shape_kind {
	SHAPE_BOOL,	/* bool */
	SHAPE_INT,	/* int64_t, min..max */
	SHAPE_STR,	/* struct tl_str, min..max code points after trimming;
			 * with .sub: one of the names of its fields */
	SHAPE_UUID,	/* struct tl_uuid, text form on the wire */
	SHAPE_STRS,	/* struct shape_strs, min..max items */
	SHAPE_OBJECT,	/* struct of .sub */
	SHAPE_ARRAY,	/* struct shape_array of .sub, min..max items */
	SHAPE_USD,	/* number, documents replies */
	SHAPE_TIME,	/* int64_t wall us, RFC 3339 text */
	SHAPE_DATE,	/* int32_t days since 1970-01-01, text YYYY-MM-DD */
	SHAPE_ANY,	/* const struct doc * */
};
enum { SHAPE_REQUIRED = 1, SHAPE_NULLABLE = 2, SHAPE_NO_CONTROL = 4,
       SHAPE_TRIM = 8 };

struct shape;
struct shape_field {
	const char *name; /* NULL ends the table */
	enum shape_kind kind;
	unsigned flags;
	size_t offset;	   /* into the struct; SHAPE_NO_OFFSET: reply only */
	size_t has_offset; /* of a bool "was given"; SHAPE_NO_OFFSET: none */
	int64_t min, max;
	const struct shape *sub;
	const char *doc;
};
#define SHAPE_NO_OFFSET ((size_t)-1)
struct shape {
	const char *name;
	size_t size_bytes; /* of the struct, for arrays */
	const struct shape_field *fields;
};
struct shape_strs {
	struct tl_str *items;
	uint32_t n;
};
struct shape_array {
	void *items; /* n structs of sub->size_bytes */
	uint32_t n;
};

/*
 * Absent optional members leave their field as it was (so set defaults
 * first).  A null that SHAPE_NULLABLE allows counts as absent; but where the
 * field has a has_offset it counts as given and the field is zeroed (a
 * string's ptr is NULL).  min and max both 0 mean no bounds.  A field whose
 * offset is SHAPE_NO_OFFSET is checked and not stored; SHAPE_USD has no field
 * to store to.  Strings are borrowed from d.
 * Items of arrays start zeroed, so their defaults need a has_offset.
 * Unknown members are ignored.  Memory comes from the arena.  After an error
 * the struct holds what was read so far.
 */
enum tl_status shape_read(const struct shape *s, struct tl_arena *a,
			  const struct doc *d, void *struct_r,
			  struct tl_err *err) TL_MUST_CHECK;
/* Does a reply keep to its shape?  For tests; unknown members are refused. */
enum tl_status shape_check(const struct shape *s, const struct doc *d,
			   struct tl_err *err) TL_MUST_CHECK;
#endif
