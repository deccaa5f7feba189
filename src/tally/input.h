/*
 * input.h - the rules for what people write: labels, e-mails, scopes.
 *
 * One place for the doors and the command.  Pure.
 */
#ifndef TALLY_TALLY_INPUT_H
#define TALLY_TALLY_INPUT_H

#include "base/status.h"
#include "base/str.h"

#define TALLY_SCOPES_MAX     32 /* of one key */
#define TALLY_SCOPE_MAX_LEN  64
#define TALLY_NETWORKS_MAX   64
#define TALLY_LABEL_MAX	     100 /* code points */
#define TALLY_EMAIL_MAX	     255
#define TALLY_NAME_MAX	     255
#define TALLY_METADATA_MAX   4096 /* bytes as JSON */
#define TALLY_PLAN_NAME_MAX  50
#define TALLY_LIMIT_NAME_MAX 40
#define TALLY_OVERRIDES_MAX  64 /* of one user or key */

/* UTF-8 of 1 to max characters, none of them a control character.  TL_INVALID
 * says it of `what`, as in "a label". */
enum tl_status tally_text_check(const char *what, struct tl_str s, size_t max,
				struct tl_err *err) TL_MUST_CHECK;
/* Something@something without blanks: the mail system knows the rest. */
enum tl_status tally_email_check(struct tl_str s,
				 struct tl_err *err) TL_MUST_CHECK;
/* Printable ASCII; no comma, which parts the scopes of a header. */
enum tl_status tally_scope_check(struct tl_str s,
				 struct tl_err *err) TL_MUST_CHECK;

/* 1 to 40 of a-z 0-9 _ . -, and none of the built-in ones. */
enum tl_status tally_limit_name_check(struct tl_str s,
				      struct tl_err *err) TL_MUST_CHECK;
/* sliding, gcra. */
enum tl_status tally_algorithm_check(struct tl_str s,
				     struct tl_err *err) TL_MUST_CHECK;
/* key, user, address. */
enum tl_status tally_limit_scope_check(struct tl_str s,
				       struct tl_err *err) TL_MUST_CHECK;

#endif
