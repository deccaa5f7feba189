/*
 * zone.h - time zones: what a clock on the wall shows at a moment.
 *
 * Reads the files of the system's tzdata (TZif, RFC 8536) itself: localtime
 * knows one zone a process, in an environment variable, and a scheduler needs
 * several side by side.  Pure: the caller reads the file.
 * Runs in: scheduler, worker, tallyctl.
 */
#ifndef TALLY_TALLY_ZONE_H
#define TALLY_TALLY_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

#define TALLY_ZONE_FILE_MAX (256u << 10) /* bytes; the largest have 4 KiB */
#define TALLY_ZONE_NAME_MAX 64
/* No offset from UTC is larger; RFC 8536, 3.2. */
#define TALLY_ZONE_OFFSET_MAX_S (26 * 3600)

struct tally_zone;

/* "Europe/Berlin": letters, digits, _ + - and single slashes between them, so
 * that it names a file below the directory of zones and nothing else. */
enum tl_status tally_zone_name_check(struct tl_str name,
				     struct tl_err *err) TL_MUST_CHECK;
/* TL_BROKEN: no TZif file.  TL_VERSION: one of version 1, or that counts leap
 * seconds. */
enum tl_status tally_zone_parse(const void *tzif, size_t len,
				struct tally_zone **zone_r,
				struct tl_err *err) TL_MUST_CHECK;
struct tally_zone *tally_zone_utc_new(void);
void tally_zone_free(struct tally_zone **zone);
/*
 * Seconds to add to Unix time t to get local time, and the first moment with
 * other rules (INT64_MAX: never); the offset may be the same there.
 */
int32_t tally_zone_offset(const struct tally_zone *z, int64_t t,
			  int64_t *until_r);

#endif
