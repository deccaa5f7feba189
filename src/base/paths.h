/*
 * paths.h - where the installed data files are: migrations/, seed/, web/.
 */
#ifndef TALLY_BASE_PATHS_H
#define TALLY_BASE_PATHS_H

/* TALLY_DATADIR (for running from a build tree), else as configured. */
const char *tl_datadir(void);
/* What browsers get: TALLY_WEBDIR, else as configured. */
const char *tl_webdir(void);

#endif
