/*
 * secret.h - a new key's text: made, shown once, wiped.
 */
#ifndef TALLY_TALLYCTL_SECRET_H
#define TALLY_TALLYCTL_SECRET_H

#include "base/str.h"
#include "conf/conf.h"
#include "tally/key.h"

struct secret {
	char text[TALLY_KEY_TEXT_MAX + 1];
	struct tally_digest digest;
};
void secret_make(struct secret *s, const struct conf *conf);
/* For a statement; borrowed from s. */
struct tl_str secret_digest(const struct secret *s);
struct tl_str secret_prefix(const struct secret *s);
/* The key alone on stdout, so that it can be taken from there; what is to be
 * said about it on stderr. */
void secret_print(const struct secret *s);
void secret_wipe(struct secret *s);

#endif
