/*
 * import_field.h - the members of an imported key: their names and rules.
 */
#ifndef TALLY_TALLYCTL_IMPORT_FIELD_H
#define TALLY_TALLYCTL_IMPORT_FIELD_H

#include "tallyctl/import_row.h"

/* The number of the member of that name; SIZE_MAX: there is none. */
size_t import_field_find(struct tl_str name);
void import_field_names(struct tl_buf *out); /* "key_hash, email, ..." */
/* Empty text means that it is not given. */
enum tl_status import_field_set(size_t field, struct tl_str text,
				struct tl_arena *a, struct import_row *row,
				struct tl_err *err) TL_MUST_CHECK;
/* Defaults; what must be there is. */
enum tl_status import_field_finish(const bool *given, struct tl_arena *a,
				   struct import_row *row,
				   struct tl_err *err) TL_MUST_CHECK;

#endif
