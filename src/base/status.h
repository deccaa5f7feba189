/*
 * status.h - the one way in which things fail.
 *
 * What can fail returns enum tl_status and fills a struct tl_err, its last
 * argument, with words for people.  Out-parameters (named ..._r) are written
 * on TL_OK only.  err may be NULL where the caller needs no words.
 * Runs in: all processes.  Suspends: no.  Blocks: never.
 */
#ifndef TALLY_BASE_STATUS_H
#define TALLY_BASE_STATUS_H

#define TL_MUST_CHECK __attribute__((warn_unused_result))
#define TL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum tl_status {
	TL_OK = 0,
	TL_NOT_FOUND,	/* no such thing */
	TL_EXISTS,	/* there is one already */
	TL_INVALID,	/* what was given breaks a rule; err names it */
	TL_DENIED,	/* not allowed */
	TL_FULL,	/* a bounded table or queue has no room */
	TL_BUSY,	/* somebody else works on it; try again */
	TL_UNAVAILABLE, /* the other side is away; try again later */
	TL_DEADLINE,	/* out of time */
	TL_CANCELED,	/* the caller was told to stop */
	TL_CONFLICT,	/* against the present state, or a unique rule */
	TL_VERSION,	/* made by another version */
	TL_BROKEN,	/* data that must not be: corruption or our own bug */
	TL_SYSTEM,	/* a system call failed; err->sys_errno */
};

struct tl_err {
	enum tl_status status;
	int sys_errno;	/* 0 unless a system call failed */
	char text[480]; /* lower case, no period, always terminated */
};

/* Both return the status, so that `return tl_err_set(...)` reads well. */
enum tl_status tl_err_set(struct tl_err *err, enum tl_status status,
			  const char *fmt, ...) TL_PRINTF(3, 4);
/* TL_SYSTEM; appends ": " and the words for errno. */
enum tl_status tl_err_sys(struct tl_err *err, const char *fmt, ...)
	TL_PRINTF(2, 3);
/* Puts "words: " in front of what err already says. */
enum tl_status tl_err_wrap(struct tl_err *err, const char *fmt, ...)
	TL_PRINTF(2, 3);
/* "not found", "deadline passed", ... static text. */
const char *tl_status_text(enum tl_status status);

/* For our own bugs only, never for what came from outside.  On in release. */
#define tl_assert(cond)                                                        \
	do {                                                                   \
		if (__builtin_expect(!(cond), 0))                              \
			tl_assert_fail(#cond, __FILE__, __LINE__, __func__);   \
	} while (0)
_Noreturn void tl_assert_fail(const char *cond, const char *file, int line,
			      const char *func);

#endif
