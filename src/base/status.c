/*
 * status.c - see status.h.
 */
#include "config.h" /* _GNU_SOURCE */

#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/*
 * Every text is composed beside err first: the arguments may point into
 * err->text, and then writing in place would eat them.
 */
static void set_text(struct tl_err *err, const char *text, const char *behind)
{
	char whole[sizeof(err->text)];
	size_t n = strnlen(text, sizeof(whole) - 1);
	size_t m = strnlen(behind, sizeof(whole) - 1 - n);

	memcpy(whole, text, n);
	memcpy(whole + n, behind, m);
	whole[n + m] = '\0';
	memcpy(err->text, whole, n + m + 1);
}

enum tl_status tl_err_set(struct tl_err *err, enum tl_status status,
			  const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;

	if (err == NULL)
		return status;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err->status = status;
	err->sys_errno = 0;
	set_text(err, text, "");
	return status;
}

enum tl_status tl_err_sys(struct tl_err *err, const char *fmt, ...)
{
	int saved = errno;
	char text[sizeof(err->text)];
	char behind[160], words[128];
	va_list ap;

	if (err == NULL)
		return TL_SYSTEM;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(behind, sizeof(behind), ": %s",
		       strerror_r(saved, words, sizeof(words)));
	err->status = TL_SYSTEM;
	err->sys_errno = saved;
	set_text(err, text, behind);
	errno = saved;
	return TL_SYSTEM;
}

enum tl_status tl_err_wrap(struct tl_err *err, const char *fmt, ...)
{
	char front[sizeof(err->text)];
	char behind[sizeof(err->text) + 2];
	va_list ap;

	/* Without err nobody told us the status; callers pass theirs on. */
	if (err == NULL)
		return TL_BROKEN;
	va_start(ap, fmt);
	(void)vsnprintf(front, sizeof(front), fmt, ap);
	va_end(ap);
	(void)snprintf(behind, sizeof(behind), ": %s", err->text);
	set_text(err, front, behind);
	return err->status;
}

const char *tl_status_text(enum tl_status status)
{
	switch (status) {
	case TL_OK:
		return "ok";
	case TL_NOT_FOUND:
		return "not found";
	case TL_EXISTS:
		return "exists already";
	case TL_INVALID:
		return "invalid";
	case TL_DENIED:
		return "not allowed";
	case TL_FULL:
		return "no room";
	case TL_BUSY:
		return "busy";
	case TL_UNAVAILABLE:
		return "unavailable";
	case TL_DEADLINE:
		return "deadline passed";
	case TL_CANCELED:
		return "canceled";
	case TL_CONFLICT:
		return "conflict";
	case TL_VERSION:
		return "made by another version";
	case TL_BROKEN:
		return "broken data";
	case TL_SYSTEM:
		return "system call failed";
	}
	return "unknown status";
}

_Noreturn void tl_assert_fail(const char *cond, const char *file, int line,
			      const char *func)
{
	log_write(LOG_LV_ERROR, NULL, "assertion '%s' failed in %s (%s:%d)",
		  cond, func, file, line);
	abort();
}
