/*
 * tls_ticket.c - the keys of session tickets.
 *
 * The seed of a period gives, by HMAC, the keys of that period and the seed of
 * the next one.  It stands one period back, so that the tickets of the last
 * one can still be opened.  Periods are counted by the monotonic clock, which
 * all processes of a host share and nobody sets.
 */
#include "config.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tls/tls_internal.h"

static void derive(const uint8_t key[32], const char *what, uint8_t out[32])
{
	unsigned len = 32;

	tl_assert(HMAC(EVP_sha256(), key, 32, (const unsigned char *)what,
		       strlen(what), out, &len) != NULL);
}

static void step(uint8_t key[32])
{
	uint8_t next[32];

	derive(key, "next", next);
	memcpy(key, next, sizeof(next));
	OPENSSL_cleanse(next, sizeof(next));
}

void tls_seed_init(struct tls_seed *seed, uint64_t now_mono_ms)
{
	uint64_t period = now_mono_ms / TLS_PERIOD_MS;

	seed->period = period > 0 ? period - 1 : 0;
	tl_assert(RAND_bytes(seed->key, sizeof(seed->key)) == 1);
}

void tls_seed_advance(struct tls_seed *seed, uint64_t now_mono_ms)
{
	uint64_t period = now_mono_ms / TLS_PERIOD_MS;

	for (; seed->period + 1 < period; seed->period++)
		step(seed->key);
}

static void make_key(const uint8_t seed[32], struct tls_ticket_key *k)
{
	uint8_t name[32];

	derive(seed, "name", name);
	memcpy(k->name, name, sizeof(k->name));
	derive(seed, "cipher", k->cipher);
	derive(seed, "mac", k->mac);
}

static void make_keys(struct tls_tickets *t)
{
	uint8_t next[32];

	make_key(t->seed.key, &t->last);
	memcpy(next, t->seed.key, sizeof(next));
	step(next);
	make_key(next, &t->now);
	OPENSSL_cleanse(next, sizeof(next));
}

void tls_tickets_init(struct tls_tickets *t, const struct tls_seed *seed)
{
	t->seed = *seed;
	tls_seed_advance(&t->seed, tl_mono_ms());
	make_keys(t);
}

static void keep_up(struct tls_tickets *t)
{
	uint64_t was = t->seed.period;

	tls_seed_advance(&t->seed, tl_mono_ms());
	if (t->seed.period != was)
		make_keys(t);
}

static bool use(const struct tls_ticket_key *k, unsigned char *iv,
		EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal)
{
	unsigned char key[32];
	OSSL_PARAM params[3];

	memcpy(key, k->mac, sizeof(key)); /* the parameter is not const */
	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key,
						      sizeof(key));
	params[1] = OSSL_PARAM_construct_utf8_string(
		OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0);
	params[2] = OSSL_PARAM_construct_end();
	return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv,
				 seal) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* -1: error, 0: not ours, 1: good, 2: good, and the client gets another. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv,
		     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	bool again = SSL_version(ssl) == TLS1_3_VERSION; /* used once each */

	keep_up(t);
	if (seal) {
		memcpy(name, t->now.name, TLS_TICKET_NAME_BYTES);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(
					   EVP_aes_256_cbc())) != 1)
			return -1;
		return use(&t->now, iv, cipher, mac, true) ? 1 : -1;
	}
	if (CRYPTO_memcmp(name, t->now.name, TLS_TICKET_NAME_BYTES) == 0)
		return !use(&t->now, iv, cipher, mac, false) ? -1
		       : again                               ? 2
							     : 1;
	if (CRYPTO_memcmp(name, t->last.name, TLS_TICKET_NAME_BYTES) == 0)
		return use(&t->last, iv, cipher, mac, false) ? 2 : -1;
	return 0;
}

void tls_tickets_install(SSL_CTX *ctx, struct tls_tickets *t)
{
	SSL_CTX_set_app_data(ctx, t);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	SSL_CTX_set_timeout(ctx, TLS_PERIOD_MS / 1000);
}
