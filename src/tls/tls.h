/*
 * tls.h - what TLS listeners need: contexts out of the configuration.
 *
 * Certificates and keys are read by each worker as it starts and live in its
 * memory alone; a reload starts new workers, so it takes new files or, when
 * they are bad, leaves the old workers with the old ones.
 *
 * Session tickets are sealed with keys that all workers derive from one seed,
 * so that a client may resume at any of them.  The seed moves on by itself,
 * and nobody can move it back: what was sealed two periods ago is lost to us,
 * too.
 * Runs in: worker, master (the seed alone), tallyctl.  Suspends: no.
 * Blocks: on reading files.
 */
#ifndef TALLY_TLS_TLS_H
#define TALLY_TLS_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct conf;
struct ssl_st;
struct tls;

/* ---- the seed of the ticket keys; tls_ticket.c ---- */

#define TLS_PERIOD_MS 3600000 /* a ticket is good for one to two of them */

struct tls_seed {
	uint64_t period;
	uint8_t key[32];
};
void tls_seed_init(struct tls_seed *seed, uint64_t now_mono_ms);
/* Forgets what is older than the last period. */
void tls_seed_advance(struct tls_seed *seed, uint64_t now_mono_ms);

/* ---- contexts; tls.c ---- */

/* Does a listener of the configuration speak TLS? */
bool tls_wanted(const struct conf *conf);
/* Is this address of server.listen one? */
bool tls_is_address(const char *address);
/*
 * Reads all files.  notes: gets a line for each certificate that is not good
 * at the moment but will be served all the same; may be NULL.
 */
enum tl_status tls_new(const struct conf *conf, const struct tls_seed *seed,
		       struct tls **tls_r, struct tl_buf *notes,
		       struct tl_err *err) TL_MUST_CHECK;
void tls_free(struct tls **tls);
/* The same and nothing else, if TLS is wanted at all. */
enum tl_status tls_check(const struct conf *conf, struct tl_buf *notes,
			 struct tl_err *err) TL_MUST_CHECK;

/* A server's half of a connection, the caller's: SSL_free. */
struct ssl_st *tls_accept(struct tls *tls);

/*
 * What the client's certificate says of it, verified, for the log: adds
 * nothing when there was none.  subject: RFC 2253; serial: in hex.
 */
void tls_client(const struct ssl_st *ssl, struct tl_buf *subject,
		struct tl_buf *serial);

#endif
