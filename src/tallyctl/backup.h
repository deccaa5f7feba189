/*
 * backup.h - what backup and restore have in common.
 */
#ifndef TALLY_TALLYCTL_BACKUP_H
#define TALLY_TALLYCTL_BACKUP_H

#include "pg/bulk.h"
#include "tallyctl/tallyctl.h"

#define BACKUP_TABLE  "table "     /* a part is "table " and what to COPY */
#define BACKUP_USAGE  "tail usage" /* what has not reached the database */
#define BACKUP_ANSWER "tail answers"
#define BACKUP_LOG    "tail logs"

/* db/backup/NAME.sql. */
enum tl_status backup_file(struct tallyctl *t, struct bulk *b, const char *name,
			   struct bulk_rows *rows_r,
			   struct tl_err *err) TL_MUST_CHECK;
/* EXIT_DATABASE, or EXIT_FAILED. */
enum exit_status backup_complain(enum tl_status st, const struct tl_err *err);

#endif
