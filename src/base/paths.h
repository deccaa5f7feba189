/*
 * paths.h - where the installed data files are: migrations/, seed/, web/; and
 * whole paths.
 */
#ifndef TALLY_BASE_PATHS_H
#define TALLY_BASE_PATHS_H

/* TALLY_DATADIR (for running from a build tree), else as configured. */
const char *tl_datadir(void);
/* What browsers get: TALLY_WEBDIR, else as configured. */
const char *tl_webdir(void);
/* Seen from the root; the caller's.  Links stay: whoever swaps one wants the
 * next look to follow it. */
char *tl_path_absolute(const char *path);

#endif
