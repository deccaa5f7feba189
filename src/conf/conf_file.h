/*
 * conf_file.h - reads one configuration file into items; inside conf/.
 *
 * The parser is inih.  Its traps are fenced off here: lines it would cut are
 * refused, the line number is counted, and a value that goes on in indented
 * lines arrives as one.  A continued line is joined with one blank, or
 * without one when the line before ends in a backslash.
 */
#ifndef TALLY_CONF_CONF_FILE_H
#define TALLY_CONF_CONF_FILE_H

#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"

#define CONF_FILE_LINE_MAX 190 /* bytes, without the newline */

/*
 * May a value go on in a further line from byte n on?  Not where the reader
 * would take what begins the line, or ends the one before, for its own.
 */
bool conf_file_may_cut(struct tl_str value, size_t n);

/* Called for each item; anything but TL_OK ends the reading. */
typedef enum tl_status (*conf_file_item_fn)(void *arg, struct tl_str section,
					    struct tl_str key,
					    struct tl_str value, unsigned line,
					    struct tl_err *err);

/* Errors begin with "path:line: ". */
enum tl_status conf_file_read(const char *path, conf_file_item_fn item,
			      void *arg, struct tl_err *err) TL_MUST_CHECK;

#endif
