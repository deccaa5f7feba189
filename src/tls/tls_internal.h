/*
 * tls_internal.h - what the files of this room share with each other.
 */
#ifndef TALLY_TLS_TLS_INTERNAL_H
#define TALLY_TLS_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "tls/tls.h"

#define TLS_TICKET_NAME_BYTES 16

struct tls_ticket_key {
	uint8_t name[TLS_TICKET_NAME_BYTES];
	uint8_t cipher[32], mac[32];
};
/* The last period's, which still opens tickets, and the one that seals. */
struct tls_tickets {
	struct tls_seed seed;
	struct tls_ticket_key last, now;
};

struct tls { /* as many contexts as pairs of certificate and key */
	SSL_CTX **ctx;
	uint32_t n;
	struct tls_tickets tickets;
};

/* tls_files.c */
/* "CERT KEY", or one file that holds both. */
enum tl_status tls_files_load(SSL_CTX *ctx, const char *pair,
			      struct tl_buf *notes,
			      struct tl_err *err) TL_MUST_CHECK;
/* Adds what OpenSSL says to the words, and forgets it. */
enum tl_status tls_fail(struct tl_err *err, const char *fmt, ...)
	TL_PRINTF(2, 3);

/* tls_ticket.c */
void tls_tickets_init(struct tls_tickets *t, const struct tls_seed *seed);
void tls_tickets_install(SSL_CTX *ctx, struct tls_tickets *t);

#endif
