/*
 * key_input.h - what people write about keys and users, checked.
 */
#ifndef TALLY_TALLYCTL_KEY_INPUT_H
#define TALLY_TALLYCTL_KEY_INPUT_H

#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"

/* RFC 3339, or a date, which is its first moment in UTC. */
enum tl_status key_input_expires(struct tl_str s, int64_t now_us, int64_t *us_r,
				 struct tl_err *err) TL_MUST_CHECK;
/* "read,write": 1 to 32 names of 1 to 64 printable characters. */
enum tl_status key_input_scopes(struct tl_str s, struct tl_arena *a,
				struct tl_str **items_r, uint32_t *n_r,
				struct tl_err *err) TL_MUST_CHECK;
/* "10.0.0.0/8,::1": 1 to 64 networks, in the form of the database. */
enum tl_status key_input_networks(struct tl_str s, struct tl_arena *a,
				  struct tl_str **items_r, uint32_t *n_r,
				  struct tl_err *err) TL_MUST_CHECK;
/* Trimmed; 1 to 100 characters, no control characters. */
enum tl_status key_input_label(struct tl_str s, struct tl_str *label_r,
			       struct tl_err *err) TL_MUST_CHECK;
/* A JSON object of at most TALLY_METADATA_MAX bytes, as it is stored. */
enum tl_status key_input_metadata(struct tl_str s, struct tl_arena *a,
				  struct tl_str *json_r,
				  struct tl_err *err) TL_MUST_CHECK;

#endif
