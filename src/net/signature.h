/*
 * signature.h - signing and verifying by the Standard Webhooks rules.
 *
 * Signed is "ID.TIMESTAMP.BODY" with HMAC-SHA256; the headers are webhook-id,
 * webhook-timestamp (Unix time in seconds) and webhook-signature: "v1," and
 * the base64 of the code, several separated by blanks while a secret is being
 * replaced.  https://www.standardwebhooks.com, version 1.0.0.
 * Pure: no clock, no I/O.  Runs in: worker, runner, tallyctl.  Suspends: no.
 */
#ifndef TALLY_NET_SIGNATURE_H
#define TALLY_NET_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

#define SIGNATURE_KEY_MIN     24 /* bytes, by the rules */
#define SIGNATURE_KEY_MAX     64
#define SIGNATURE_KEY_NEW     32
#define SIGNATURE_SECRET_TEXT 96 /* longest, with NUL */
#define SIGNATURE_TEXT        48 /* "v1,…" with NUL */
#define SIGNATURE_TOLERANCE_S 300

struct signature_secret {
	uint8_t key[SIGNATURE_KEY_MAX];
	size_t len;
};
/*
 * "whsec_" and base64; the prefix may be missing, as in other programs.
 * TL_INVALID tells what is wrong with its form, never the secret itself.
 */
enum tl_status signature_secret_parse(struct tl_str text,
				      struct signature_secret *secret_r,
				      struct tl_err *err) TL_MUST_CHECK;
/* Always with the prefix. */
void signature_secret_format(const struct signature_secret *secret,
			     char dst[SIGNATURE_SECRET_TEXT]);
void signature_secret_new(struct signature_secret *secret_r); /* random */
void signature_secret_wipe(struct signature_secret *secret);

/* The id must not be empty nor have a '.' in it: see signature_id_valid. */
bool signature_id_valid(struct tl_str id);
void signature_make(const struct signature_secret *secret, struct tl_str id,
		    int64_t timestamp_s, struct tl_str body,
		    char dst[SIGNATURE_TEXT]);

enum signature_fault {
	SIGNATURE_GOOD = 0,
	SIGNATURE_NO_ID,
	SIGNATURE_NO_TIMESTAMP,
	SIGNATURE_NO_SIGNATURE,
	SIGNATURE_TIMESTAMP_FORM,
	SIGNATURE_FORM, /* no "v1,…" in it that can be one */
	SIGNATURE_MISMATCH,
	SIGNATURE_TIMESTAMP_OLD, /* the signature itself is right */
	SIGNATURE_TIMESTAMP_NEW,
};
/* Of a mismatch: what would have matched. */
enum signature_hint {
	SIGNATURE_HINT_NONE = 0,
	SIGNATURE_HINT_NEWLINE_LOST,  /* the body and a newline */
	SIGNATURE_HINT_NEWLINE_ADDED, /* the body without its last newline */
	SIGNATURE_HINT_CRLF,          /* the body with LF for CR LF */
	SIGNATURE_HINT_OTHER_SECRET,
	SIGNATURE_HINT_SECRET_AS_TEXT, /* signed with the secret's characters */
};
struct signature_message {
	/* Headers as received; ptr NULL: it was not there. */
	struct tl_str id, timestamp, signature;
	struct tl_str body;
};
struct signature_verdict {
	enum signature_fault fault;
	enum signature_hint hint;
	int64_t age_s;  /* now minus timestamp, once that has the form */
	unsigned codes; /* "v1,…" entries that were compared */
};
/* other: another secret to try for the hint; NULL: none. */
struct signature_verdict signature_verify(const struct signature_message *msg,
					  const struct signature_secret *secret,
					  const struct signature_secret *other,
					  int64_t now_s, int64_t tolerance_s);
const char *signature_fault_text(enum signature_fault fault);
const char *signature_hint_text(enum signature_hint hint); /* "" for none */

#endif
