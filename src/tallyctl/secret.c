#include "tallyctl/secret.h"

#include <stdio.h>
#include <string.h>

#include "base/fd.h"

void secret_make(struct secret *s, const struct conf *conf)
{
	uint8_t random[16];

	tl_random(random, sizeof(random));
	tally_key_make(conf->keys.prefix, random, s->text);
	tally_key_digest(tl_str_c(s->text), &s->digest);
	explicit_bzero(random, sizeof(random));
}

struct tl_str secret_digest(const struct secret *s)
{
	return (struct tl_str){ (const char *)s->digest.b,
				sizeof(s->digest.b) };
}

struct tl_str secret_prefix(const struct secret *s)
{
	return (struct tl_str){ s->text,
				strnlen(s->text, TALLY_KEY_PREFIX_LEN) };
}

void secret_print(const struct secret *s)
{
	(void)fprintf(stderr, "The key is shown this once; only its hash is "
			      "kept.\n");
	(void)puts(s->text);
}

void secret_wipe(struct secret *s)
{
	explicit_bzero(s, sizeof(*s));
}
