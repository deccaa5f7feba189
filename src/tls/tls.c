/*
 * tls.c - see tls.h.
 *
 * One context for each pair of certificate and key; all agree in the rest, so
 * that a session may go on whichever name was asked for.
 */
#include "config.h"

#include "tls/tls.h"

#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "conf/conf.h"
#include "tls/tls_internal.h"

/* Curves that every client of the last ten years knows, fastest first. */
#define GROUPS "X25519:P-256:P-384"

/* Of a client's certificate, in each line of the log. */
#define NAME_BYTES_MAX 512

bool tls_is_address(const char *address)
{
	return strncmp(address, "tls:", 4) == 0;
}

bool tls_wanted(const struct conf *conf)
{
	for (size_t i = 0; i < conf->server.listen.n; i++)
		if (tls_is_address(conf->server.listen.items[i]))
			return true;
	return false;
}

/* ---- what is chosen in the handshake ------------------------------------- */

static const X509 *certificate_of(const SSL_CTX *ctx)
{
	return SSL_CTX_get0_certificate(ctx);
}

/* A name that a certificate spells out goes before one that a '*' covers. */
static SSL_CTX *context_for(const struct tls *t, const char *name)
{
	static const unsigned flags[] = {
		X509_CHECK_FLAG_NO_WILDCARDS,
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
	};

	for (size_t f = 0; f < 2; f++)
		for (uint32_t i = 0; i < t->n; i++)
			if (X509_check_host((X509 *)(uintptr_t)certificate_of(
						    t->ctx[i]),
					    name, 0, flags[f], NULL) == 1)
				return t->ctx[i];
	return NULL;
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *ctx = name != NULL ? context_for(arg, name) : NULL;

	(void)alert;
	ERR_clear_error();
	if (ctx == NULL) /* the first pair answers for all others */
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_set_SSL_CTX(ssl, ctx) != NULL ? SSL_TLSEXT_ERR_OK
						 : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Whoever wants none of these would not understand our answers. */
static int on_protocols(SSL *ssl, const unsigned char **out,
			unsigned char *out_len, const unsigned char *in,
			unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in,
				  in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- one context --------------------------------------------------------- */

static enum tl_status set_algorithms(SSL_CTX *ctx, const struct conf *conf,
				     struct tl_err *err)
{
	int min = conf->tls.min_version == CONF_TLS_1_3 ? TLS1_3_VERSION
							: TLS1_2_VERSION;

	if (SSL_CTX_set_min_proto_version(ctx, min) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, (char *)(uintptr_t)GROUPS) != 1)
		return tls_fail(err, "set up TLS");
	if (SSL_CTX_set_cipher_list(ctx, conf->tls.ciphers) != 1)
		return tls_fail(err,
				"tls.ciphers: '%s' names no cipher that "
				"OpenSSL knows",
				conf->tls.ciphers);
	if (SSL_CTX_set_ciphersuites(ctx, conf->tls.ciphersuites) != 1)
		return tls_fail(err,
				"tls.ciphersuites: '%s' is no list of TLS 1.3 "
				"cipher suites",
				conf->tls.ciphersuites);
	return TL_OK;
}

static void set_manners(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA |
					 SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* A queue may have moved when the rest of it is written, and idle
	 * connections, of which there are many, need no buffers. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(ctx, 1); /* one read(2) instead of two */
	/* No state in the server: tickets alone. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_alpn_select_cb(ctx, on_protocols, NULL);
}

/* What is resumed is not verified again, and with TLS 1.3 each resumption
 * makes a new ticket: the certificate's end has to be looked at here. */
static SSL_TICKET_RETURN on_unsealed(SSL *ssl, SSL_SESSION *session,
				     const unsigned char *name, size_t len,
				     SSL_TICKET_STATUS status, void *arg)
{
	X509 *x = session != NULL ? SSL_SESSION_get0_peer(session) : NULL;

	(void)ssl;
	(void)name;
	(void)len;
	(void)arg;
	if (x != NULL && X509_cmp_current_time(X509_get0_notAfter(x)) <= 0)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (status == SSL_TICKET_SUCCESS)
		return SSL_TICKET_RETURN_USE;
	return status == SSL_TICKET_SUCCESS_RENEW
		       ? SSL_TICKET_RETURN_USE_RENEW
		       : SSL_TICKET_RETURN_IGNORE_RENEW;
}

static enum tl_status set_client_ca(SSL_CTX *ctx, const struct conf *conf,
				    struct tl_err *err)
{
	int mode = SSL_VERIFY_PEER;
	const char *file = conf->tls.client_ca;
	STACK_OF(X509_NAME) * names;

	if (conf->tls.client_certificates == CONF_CLIENT_OFF)
		return TL_OK;
	if (access(file, R_OK) < 0)
		return tl_err_sys(err, "tls.client_ca: read '%s'", file);
	names = SSL_load_client_CA_file(file);
	if (names == NULL || SSL_CTX_load_verify_file(ctx, file) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return tls_fail(err,
				"tls.client_ca: '%s' has no certificate that "
				"can be used, as PEM",
				file);
	}
	SSL_CTX_set_client_CA_list(ctx, names); /* takes it */
	if (conf->tls.client_certificates == CONF_CLIENT_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, mode, NULL);
	(void)SSL_CTX_set_session_ticket_cb(ctx, NULL, on_unsealed, NULL);
	return TL_OK;
}

static enum tl_status add_context(struct tls *t, const struct conf *conf,
				  const char *pair, struct tl_buf *notes,
				  struct tl_err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	enum tl_status st;

	if (ctx == NULL)
		return tls_fail(err, "make a TLS context");
	t->ctx[t->n++] = ctx;
	set_manners(ctx);
	st = set_algorithms(ctx, conf, err);
	if (st == TL_OK)
		st = tls_files_load(ctx, pair, notes, err);
	if (st == TL_OK)
		st = set_client_ca(ctx, conf, err);
	if (st != TL_OK)
		return st;
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, t);
	tls_tickets_install(ctx, &t->tickets);
	return TL_OK;
}

/* ---- all of them --------------------------------------------------------- */

static void digest_certificate(EVP_MD_CTX *md, const X509 *x)
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (x != NULL && X509_digest(x, EVP_sha256(), sum, &len) == 1)
		(void)EVP_DigestUpdate(md, sum, len);
}

static void digest_client_ca(EVP_MD_CTX *md, SSL_CTX *ctx)
{
	STACK_OF(X509_OBJECT) *all =
		X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx));

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++)
		digest_certificate(md, X509_OBJECT_get0_X509(
					       sk_X509_OBJECT_value(all, i)));
}

/* A session of other certificates, or of other rules for clients, is none of
 * ours any more. */
static void set_session_context(struct tls *t, const struct conf *conf)
{
	int mode = (int)conf->tls.client_certificates;
	unsigned char sum[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned len = 0;

	tl_assert(md != NULL &&
		  EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(md, &mode, sizeof(mode)) == 1);
	for (uint32_t i = 0; i < t->n; i++)
		digest_certificate(md, certificate_of(t->ctx[i]));
	digest_client_ca(md, t->ctx[0]);
	tl_assert(EVP_DigestFinal_ex(md, sum, &len) == 1);
	for (uint32_t i = 0; i < t->n; i++)
		tl_assert(SSL_CTX_set_session_id_context(t->ctx[i], sum, len) ==
			  1);
	EVP_MD_CTX_free(md);
}

enum tl_status tls_new(const struct conf *conf, const struct tls_seed *seed,
		       struct tls **tls_r, struct tl_buf *notes,
		       struct tl_err *err)
{
	const struct conf_strings *pairs = &conf->tls.certificates;
	struct tls *t = tl_alloc(sizeof(*t));
	enum tl_status st = TL_OK;

	t->ctx = tl_alloc_array(pairs->n, sizeof(SSL_CTX *));
	tls_tickets_init(&t->tickets, seed);
	for (size_t i = 0; i < pairs->n && st == TL_OK; i++)
		st = add_context(t, conf, pairs->items[i], notes, err);
	if (st != TL_OK) {
		tls_free(&t);
		return st;
	}
	set_session_context(t, conf);
	*tls_r = t;
	return TL_OK;
}

void tls_free(struct tls **tp)
{
	struct tls *t = *tp;

	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->n; i++)
		SSL_CTX_free(t->ctx[i]);
	OPENSSL_cleanse(&t->tickets, sizeof(t->tickets));
	tl_free(t->ctx);
	tl_freep(tp);
}

enum tl_status tls_check(const struct conf *conf, struct tl_buf *notes,
			 struct tl_err *err)
{
	struct tls_seed seed = { 0, { 0 } };
	struct tls *t = NULL;
	enum tl_status st;

	if (!tls_wanted(conf))
		return TL_OK;
	st = tls_new(conf, &seed, &t, notes, err);
	tls_free(&t);
	return st;
}

struct ssl_st *tls_accept(struct tls *t)
{
	SSL *ssl = SSL_new(t->ctx[0]);

	if (ssl != NULL)
		SSL_set_accept_state(ssl);
	return ssl;
}

/* ---- the client's certificate -------------------------------------------- */

static void add_bio(struct tl_buf *b, BIO *bio)
{
	char *text;
	long len = BIO_get_mem_data(bio, &text);

	if (len > 0)
		tl_buf_add(b, text,
			   len < NAME_BYTES_MAX ? (size_t)len : NAME_BYTES_MAX);
}

void tls_client(const struct ssl_st *ssl, struct tl_buf *subject,
		struct tl_buf *serial)
{
	const X509 *x = SSL_get0_peer_certificate(ssl);
	BIO *bio;

	if (x == NULL)
		return;
	bio = BIO_new(BIO_s_mem());
	tl_assert(bio != NULL);
	(void)X509_NAME_print_ex(bio, X509_get_subject_name(x), 0,
				 XN_FLAG_RFC2253);
	add_bio(subject, bio);
	(void)BIO_reset(bio);
	(void)i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(x));
	add_bio(serial, bio);
	BIO_free(bio);
	ERR_clear_error();
}
