/*
 * migrate.h - schema versions: NNNN_name.up.sql and .down.sql of a directory.
 *
 * Each in its own transaction, in order, under an advisory lock, with the
 * SHA-256 of the up file kept in tallyd.schema_migration; a file that
 * changed after it was applied is refused.  TL_DENIED: through a pooler, whose
 * sessions hold no lock.  Blocking libpq: for short-lived processes (a child of
 * the master, tallyctl), never on a loop.
 */
#ifndef TALLY_PG_MIGRATE_H
#define TALLY_PG_MIGRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct migrate_step {
	uint32_t number;
	char name[64];
	bool applied, changed; /* changed: checksum differs */
	int64_t applied_at_us;
};
struct migrate_list {
	struct migrate_step *steps; /* owned; migrate_list_deinit */
	uint32_t n;
};
/* to: highest number to be applied; UINT32_MAX all.  n_r: steps taken. */
enum tl_status migrate_up(const char *conninfo, const char *dir, uint32_t to,
			  uint32_t *n_r, struct tl_err *err) TL_MUST_CHECK;
/* Reverts down to and without `to`; 0 leaves an empty schema. */
enum tl_status migrate_down(const char *conninfo, const char *dir,
			    uint32_t to, uint32_t *n_r,
			    struct tl_err *err) TL_MUST_CHECK;
enum tl_status migrate_status(const char *conninfo, const char *dir,
			      struct migrate_list *list_r,
			      struct tl_err *err) TL_MUST_CHECK;
void migrate_list_deinit(struct migrate_list *l);
/* Runs one SQL file in one transaction (seeds). */
enum tl_status migrate_run_file(const char *conninfo, const char *path,
				struct tl_err *err) TL_MUST_CHECK;
/* True when the database is at least at the newest file of dir. */
enum tl_status migrate_check(const char *conninfo, const char *dir,
			     bool *current_r, struct tl_err *err) TL_MUST_CHECK;
#endif
