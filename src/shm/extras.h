/*
 * extras.h - interned scopes, networks and overrides.  Private to this room.
 */
#ifndef TALLY_SHM_EXTRAS_H
#define TALLY_SHM_EXTRAS_H

#include "shm/entries.h"

struct extras_source {
	const struct tl_str *scopes;
	uint32_t n_scopes;
	const struct tally_cidr *allowed;
	uint32_t n_allowed;
	const struct tally_override *overrides;
	uint32_t n_overrides;
};
/* index+1 of the chain with these contents, 0 for none at all. */
enum tl_status extras_intern(struct shm *s, const struct extras_source *src,
			     uint32_t *extras_r, struct tl_err *err)
	TL_MUST_CHECK;
/* Keeps a chain that has just been named; false: it has gone, intern anew. */
bool extras_keep(struct shm *s, uint32_t extras);
/* Janitor: names the chain as used in this sweep. */
void extras_mark(struct shm *s, uint32_t extras, uint32_t sweep);
/* Janitor: retires chains that no entry named for two sweeps. */
void extras_sweep(struct shm *s, struct shm_janitor *j);

#endif
