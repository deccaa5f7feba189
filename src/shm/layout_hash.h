/*
 * layout_hash.h - a hash of every size and offset that two processes must
 * agree on, made by the compiler that built this one.
 */
#ifndef TALLY_SHM_LAYOUT_HASH_H
#define TALLY_SHM_LAYOUT_HASH_H

#include <stdint.h>

uint64_t shm_layout_hash(void);

#endif
