/*
 * egress_certs.c - an authority and certificates that live as long as a test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "egress_rig.h"

#define DAY_S 86400L

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ck_assert_ptr_nonnull(ext);
	ck_assert_int_eq(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* ca NULL: signed by itself. */
static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *ca,
		       EVP_PKEY *ca_key, long from_s, long until_s)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	char san[128];

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(cert), until_s);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert,
			     ca != NULL ? X509_get_subject_name(ca) : subject);
	snprintf(san, sizeof(san), "DNS:%s", name);
	add_extension(cert, ca != NULL ? ca : cert, NID_subject_alt_name, san);
	add_extension(cert, ca != NULL ? ca : cert, NID_basic_constraints,
		      ca_key == key ? "critical,CA:TRUE" : "CA:FALSE");
	ck_assert_int_gt(X509_sign(cert, ca_key, EVP_sha256()), 0);
	return cert;
}

static SSL_CTX *make_ctx(const char *name, X509 *ca, EVP_PKEY *ca_key,
			 long from_s, long until_s)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = make_cert(name, key, ca, ca != NULL ? ca_key : key, from_s,
			       until_s);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

void rig_certs_make(struct rig_certs *certs)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256");
	X509 *ca = make_cert("authority of a test", ca_key, NULL, ca_key,
			     -DAY_S, DAY_S);
	FILE *out;
	int fd;

	snprintf(certs->ca_path, sizeof(certs->ca_path),
		 "/tmp/tallyd-egress-ca-XXXXXX");
	fd = mkstemp(certs->ca_path);
	ck_assert_int_ge(fd, 0);
	out = fdopen(fd, "w");
	ck_assert_int_eq(PEM_write_X509(out, ca), 1);
	fclose(out);
	certs->good = make_ctx("good.test", ca, ca_key, -DAY_S, DAY_S);
	certs->other = make_ctx("other.test", ca, ca_key, -DAY_S, DAY_S);
	certs->expired = make_ctx("good.test", ca, ca_key, -2 * DAY_S, -DAY_S);
	certs->self = make_ctx("good.test", NULL, NULL, -DAY_S, DAY_S);
	X509_free(ca);
	EVP_PKEY_free(ca_key);
}

void rig_certs_free(struct rig_certs *certs)
{
	unlink(certs->ca_path);
	SSL_CTX_free(certs->good);
	SSL_CTX_free(certs->other);
	SSL_CTX_free(certs->expired);
	SSL_CTX_free(certs->self);
}
