/*
 * key_find.h - which user or key is meant.
 *
 * Suspends: yes, both.  TL_NOT_FOUND and TL_CONFLICT say what to do.
 */
#ifndef TALLY_TALLYCTL_KEY_FIND_H
#define TALLY_TALLYCTL_KEY_FIND_H

#include "store/q_keys.h"
#include "tallyctl/tallyctl.h"

struct pg;

enum tl_status key_find_user(struct pg *pg, struct tallyctl *t,
			     struct tl_str email, struct tl_uuid *user_id_r,
			     struct tl_err *err) TL_MUST_CHECK;
/*
 * KEY-ID: any key.  PREFIX: of the keys that are shown so, the one that still
 * works; TL_CONFLICT when several do.
 */
enum tl_status key_find(struct pg *pg, struct tallyctl *t, struct tl_str text,
			struct q_key_list_row *row_r,
			struct tl_err *err) TL_MUST_CHECK;
#endif
