/*
 * key.c - see key.h.
 */
#include "tally/key.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_TEXT_MIN     12
#define KEY_RANDOM_BYTES 16

static bool is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("._~+/=-", c) != NULL);
}

bool tally_key_well_formed(struct tl_str key)
{
	if (key.len < KEY_TEXT_MIN || key.len > TALLY_KEY_TEXT_MAX)
		return false;
	for (size_t i = 0; i < key.len; i++)
		if (!is_key_char(key.ptr[i]))
			return false;
	return true;
}

/*
 * EVP_sha256() looks its provider up at each Init, which costs more than the
 * hash of a key; a fetched digest in a context that stays does not.  A child
 * made by fork has its own copy of both.
 */
void tally_sha256(const void *p, size_t len, uint8_t d_r[32])
{
	static _Thread_local EVP_MD_CTX *ctx;
	static EVP_MD *md;
	int ok;

	if (ctx == NULL) {
		if (md == NULL)
			md = EVP_MD_fetch(NULL, "SHA256", NULL);
		ctx = EVP_MD_CTX_new();
		tl_assert(md != NULL && ctx != NULL);
	}
	ok = EVP_DigestInit_ex2(ctx, md, NULL) &&
	     EVP_DigestUpdate(ctx, p, len) &&
	     EVP_DigestFinal_ex(ctx, d_r, NULL);
	tl_assert(ok);
}

void tally_key_digest(struct tl_str key, struct tally_digest *d_r)
{
	tally_sha256(key.ptr, key.len, d_r->b);
}

void tally_key_make(const char *brand, const uint8_t random[16],
		    char dst[TALLY_KEY_TEXT_MAX + 1])
{
	size_t n = strlen(brand);

	/* The settings bound keys.prefix far below. */
	tl_assert(n + 1 + KEY_RANDOM_BYTES * 2 <= TALLY_KEY_TEXT_MAX);
	memcpy(dst, brand, n);
	dst[n++] = '_';
	tl_hex(random, KEY_RANDOM_BYTES, dst + n);
}

bool tally_key_from_bearer(struct tl_str header, struct tl_str *key_r)
{
	struct tl_str scheme = TL_STR("bearer"), front, key;

	header = tl_str_trim(header);
	if (header.len <= scheme.len)
		return false;
	front = (struct tl_str){ header.ptr, scheme.len };
	if (!tl_str_ieq(front, scheme) ||
	    (header.ptr[scheme.len] != ' ' && header.ptr[scheme.len] != '\t'))
		return false;
	key = tl_str_trim((struct tl_str){ header.ptr + scheme.len,
					   header.len - scheme.len });
	/* Not empty: the header was trimmed and is longer than the scheme. */
	*key_r = key;
	return true;
}
