/*
 * log.h - one JSON object a line, to stderr, a file, syslog or journald.
 *
 * {"time":"…Z","level":"info","process":"worker/1","pid":12,"msg":"…"} and
 * then the fields given.  One write() a line, so lines of several processes
 * never mix (files are opened O_APPEND).  Never a key, a secret or a body.
 * Runs in: all processes.  Suspends: no.  Blocks: on a full disk at most; a
 * reader that does not keep up loses lines, and they are counted.
 */
#ifndef TALLY_BASE_LOG_H
#define TALLY_BASE_LOG_H

#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"

enum log_level { LOG_LV_ERROR, LOG_LV_WARN, LOG_LV_INFO, LOG_LV_DEBUG };

/* NULL or "stderr" is stderr, else a file that is appended to. */
enum tl_status log_open(const char *path, struct tl_err *err) TL_MUST_CHECK;
enum tl_status log_reopen(struct tl_err *err) TL_MUST_CHECK; /* same path */
/*
 * "stderr" (or NULL, ""), "file:PATH", "syslog[:FACILITY]" or "journald", as
 * log.target says.  socket: of the two last, NULL or "" the usual one; whether
 * somebody listens there shows when lines are written, and again each second.
 */
enum tl_status log_open_target(const char *target, const char *socket,
			       struct tl_err *err) TL_MUST_CHECK;
/* 0 to 23 by syslog's names; -1: none of them. */
int log_facility(struct tl_str name);
void log_close(void);
/* Once, by who forks the others: from then on log_set_level is for all. */
void log_share(void);
void log_set_process(const char *kind, unsigned number); /* "worker", 1 */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
bool log_level_parse(struct tl_str s, enum log_level *level_r);
const char *log_level_name(enum log_level level);

/*
 * fields: JSON members without braces ("\"status\":200,\"path\":\"/x\"") made
 * with tl_buf_add_json, or NULL.
 */
void log_write(enum log_level level, const char *fields, const char *fmt, ...)
	TL_PRINTF(3, 4);
/*
 * The access log: members as in fields, put behind time, level, process, pid.
 */
void log_members(enum log_level level, struct tl_str members);
/*
 * Whole lines, ends included, that the caller composed and gathered.  How many
 * bytes of them are done with; the rest (whole lines, too) found no room now.
 */
size_t log_lines(enum log_level level, struct tl_str lines);
/* Lines that were lost since the last call, those of _add with them. */
uint64_t log_lost_take(void);
void log_lost_add(uint64_t lines);
const char *log_process(void); /* "worker/1", as in each line */

#define log_at(level, ...)                                                     \
	do {                                                                   \
		if ((level) <= log_get_level())                                \
			log_write((level), NULL, __VA_ARGS__);                 \
	} while (0)
#define log_error(...) log_at(LOG_LV_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LV_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LV_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LV_DEBUG, __VA_ARGS__)

#endif
