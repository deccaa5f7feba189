/*
 * segment.h - what the files of this room share about the object itself.
 */
#ifndef TALLY_SHM_SEGMENT_H
#define TALLY_SHM_SEGMENT_H

#include "shm/shm.h"

/* A fresh object; `like`: epoch, clock and seed of another one, or NULL. */
enum tl_status segment_create(const char *name, const struct shm_sizes *z,
			      const struct shm_constants *like,
			      struct shm **shm_r, struct tl_err *err)
	TL_MUST_CHECK;
/* TL_BROKEN, TL_VERSION: the constants are none that a mapping of file_bytes
 * could be laid over. */
enum tl_status segment_check(const struct shm_constants *k, uint64_t file_bytes,
			     struct tl_err *err) TL_MUST_CHECK;
/*
 * The live state of a segment of another layout, in a new one under `name`;
 * the old one is gone then.  TL_BUSY: a process of it lives.  TL_VERSION,
 * TL_BROKEN: it cannot be done, says why; nothing was changed.
 */
enum tl_status segment_translate(const char *old_name, const char *name,
				 struct shm **shm_r,
				 struct tl_err *err) TL_MUST_CHECK;
struct stat;
bool segment_is_ours(const struct stat *sb);
bool segment_slot_alive(const struct shm_slot *p, uint64_t *pid_r);
void segment_boot_id(uint8_t boot_id[16]);
void shm_unlink_name(const char *name);

#endif
