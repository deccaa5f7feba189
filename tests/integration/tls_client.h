/*
 * tls_client.h - a TLS client of a test, and certificates for both sides.
 *
 * Blocks; a read that gets nothing within CLIENT_TIMEOUT_S ends the test.
 * tls_up makes the certificates in a directory and starts the daemon with a
 * plain listener, a TLS one, and a configuration file that a test may change.
 */
#ifndef TALLY_TESTS_TLS_CLIENT_H
#define TALLY_TESTS_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "lib/fixture.h"

extern uint16_t tls_port;

/* What tls_open may be told; all may be 0 or NULL. */
struct tls_how {
	const char *name;     /* SNI */
	int version;          /* this one alone */
	const char *ciphers;  /* of TLS 1.2 */
	const char *alpn;     /* "\x02h2" */
	const char *cert;     /* "client": shows it */
	SSL_SESSION *session; /* to go on with */
};
struct tls_conn {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	char *text; /* what was read last, NUL-terminated */
	size_t len;
};

/* text: what stands in [tls], after the certificates; more: settings for -o. */
void tls_up(const char *text, const char *more);
void tls_configure(const char *text); /* the file alone; no reload */
char *tls_file(const char *name);     /* in the directory; the caller's */
/* Certificates that text may name are in "@/", as "@/site.pem". */

/* False: no handshake. */
bool tls_open(struct tls_conn *t, const struct tls_how *how);
void tls_close(struct tls_conn *t);
void tls_put(struct tls_conn *t, const void *p, size_t len);
#define TLS_PUT(t, lit) tls_put((t), (lit), sizeof(lit) - 1)
/* One answer by its Content-Length, into t->text; its status, 0 at the end. */
int tls_answer(struct tls_conn *t);
/* GET with the key of the demo (NULL: none), and its answer. */
int tls_get(struct tls_conn *t, const char *target, const char *key);
/* The same on a connection of its own; the caller closes it. */
int tls_once(struct tls_conn *t, const struct tls_how *how, const char *target);
/* CN of what the server shows; the caller's. */
char *tls_subject(const struct tls_conn *t);
/* A series of /metrics, by a plain connection; and until it is so much. */
double tls_metric(const char *series);
void tls_wait_metric(const char *series, double at_least);

#endif
