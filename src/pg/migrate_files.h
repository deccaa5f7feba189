/*
 * migrate_files.h - the files of a directory of migrations.
 *
 * Runs in: short-lived processes.  Blocks: on the disk.
 */
#ifndef TALLY_PG_MIGRATE_FILES_H
#define TALLY_PG_MIGRATE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define MIGRATE_SHA256_TEXT 65

struct migrate_file {
	uint32_t number;
	char name[64]; /* "domain" of 0001_domain.up.sql */
	char up_sha256[MIGRATE_SHA256_TEXT];
};
struct migrate_files {
	char *dir;
	struct migrate_file *files; /* by number */
	uint32_t n;
};
/* TL_INVALID: a name that fits no pattern, or two of one number. */
enum tl_status migrate_files_init(struct migrate_files *f, const char *dir,
				  struct tl_err *err) TL_MUST_CHECK;
void migrate_files_deinit(struct migrate_files *f);
const struct migrate_file *migrate_files_find(const struct migrate_files *f,
					      uint32_t number);
/* direction: "up" or "down".  Owned by the caller: tl_free. */
char *migrate_files_path(const struct migrate_files *f,
			 const struct migrate_file *file,
			 const char *direction);
enum tl_status migrate_files_read(const char *path, char **sql_r,
				  struct tl_err *err) TL_MUST_CHECK;
/* Line, from 1, of a position counted in characters, from 1. */
unsigned migrate_files_line(const char *sql, unsigned long position);

#endif
