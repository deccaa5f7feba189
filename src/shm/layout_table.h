/*
 * layout_table.h - the structs of layout.h as data: name, place and size of
 * each field, as the compiler that built this program laid them out.
 *
 * Its text stands in every segment, so that another release can read what this
 * one left (translate.c).  Its hash says whether two programs may work on one
 * segment at the same time.
 *
 * Padding is no field: whoever takes of it for a new one adds that here.
 * Whoever gives a word another meaning, and not only another place, gives the
 * field another name: then no release takes the one for the other.
 */
#ifndef TALLY_SHM_LAYOUT_TABLE_H
#define TALLY_SHM_LAYOUT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct shm_fact {
	const char *of;   /* "shm_key" */
	const char *name; /* of the field; NULL: the struct itself */
	uint32_t offset, size_bytes;
	const char *type; /* a struct, one or an array of it; NULL: words */
};

extern const struct shm_fact SHM_FACTS[];
extern const size_t SHM_N_FACTS;

/*
 * "struct shm_key 384", then its fields "digest 16 32" or "limits 8 16384
 * shm_limit", each on a line; then the regions: "region 5 keys shm_key".
 * Made once per process, which must have one thread only then.
 */
struct tl_str shm_layout_text(void);
uint64_t shm_layout_hash(void);

/* What lies in region i: its name and struct. */
const char *shm_region_name(uint32_t i);
const char *shm_region_type(uint32_t i);

#endif
