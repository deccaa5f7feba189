/*
 * sql.h - blocking one-liners on libpq, for tests.
 *
 * One connection for each conninfo in use, made at first use, made anew when
 * the server was away.  A statement that fails ends the test with the
 * server's words, but for sql_try.
 */
#ifndef TALLY_TESTS_SQL_H
#define TALLY_TESTS_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

void sql_exec(const char *conninfo, const char *fmt, ...) TL_PRINTF(2, 3);
/* First column of the first row; 0 for NULL or no row. */
int64_t sql_num(const char *conninfo, const char *fmt, ...) TL_PRINTF(2, 3);
/* Same as text; "" for NULL or no row.  Valid until the next sql_str. */
const char *sql_str(const char *conninfo, const char *fmt, ...) TL_PRINTF(2, 3);
/* False when the server is away or refuses. */
bool sql_try(const char *conninfo, const char *fmt, ...) TL_PRINTF(2, 3);
/* Forgets the connection: before DROP DATABASE, and after a fork. */
void sql_close(void);

#endif
