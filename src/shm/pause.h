/*
 * pause.h - named points between two steps that a kill may fall between.
 *
 * Nothing in the product.  The tests build this room once more with
 * SHM_PAUSE_POINTS and kill or delay the process at such a point, so the
 * rows of the crash table are walked one by one.
 */
#ifndef TALLY_SHM_PAUSE_H
#define TALLY_SHM_PAUSE_H

#ifdef SHM_PAUSE_POINTS
void shm_pause(const char *point); /* tests/lib/procs.c */
#define SHM_PAUSE(point) shm_pause(point)
#else
#define SHM_PAUSE(point) ((void)0)
#endif

#endif
