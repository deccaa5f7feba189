/*
 * tls_files.c - a certificate with its chain, and the key that belongs to it.
 *
 * The key's file is looked at through the descriptor that is read, so nobody
 * can put another one in its place in between.
 */
#include "config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "tls/tls_internal.h"

enum tl_status tls_fail(struct tl_err *err, const char *fmt, ...)
{
	unsigned long code = ERR_peek_error(); /* the cause is the oldest */
	const char *why = ERR_reason_error_string(code);
	char words[384];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	ERR_clear_error();
	if (code == 0)
		return tl_err_set(err, TL_INVALID, "%s", words);
	return tl_err_set(err, TL_INVALID, "%s: %s", words,
			  why != NULL ? why : "OpenSSL gives no reason");
}

/*
 * Whoever reads the key can pose as us.  A group may read a file of root's, as
 * Debian's ssl-cert does.
 */
static enum tl_status check_mode(const char *path, const struct stat *sb,
				 struct tl_err *err)
{
	bool others = (sb->st_mode & (S_IRWXO | S_IWGRP | S_IXGRP)) != 0;
	bool group = (sb->st_mode & S_IRGRP) != 0 && sb->st_uid != 0;

	if (!S_ISREG(sb->st_mode))
		return tl_err_set(err, TL_INVALID,
				  "tls.certificates: the key '%s' is no "
				  "regular file",
				  path);
	if (!others && !group)
		return TL_OK;
	return tl_err_set(err, TL_DENIED,
			  "tls.certificates: the private key '%s' has mode "
			  "%04o, so others may read or change it; set it to "
			  "0600, or to 0640 with root as its owner",
			  path, (unsigned)(sb->st_mode & 07777));
}

/* A daemon has nobody to ask. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static enum tl_status read_key(const char *path, EVP_PKEY **key_r,
			       struct tl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	enum tl_status st = TL_OK;
	struct stat sb;
	BIO *bio;

	if (fd < 0 || fstat(fd, &sb) < 0)
		st = tl_err_sys(err, "tls.certificates: open the key '%s'",
				path);
	else
		st = check_mode(path, &sb, err);
	if (st != TL_OK)
		goto out;
	bio = BIO_new_fd(fd, BIO_NOCLOSE);
	tl_assert(bio != NULL);
	*key_r = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (*key_r == NULL)
		st = tls_fail(err,
			      "tls.certificates: '%s' has no private key that "
			      "can be read, as PEM and without a passphrase",
			      path);
out:
	if (fd >= 0)
		close(fd);
	return st;
}

static void note_time(const char *path, const char *what, const ASN1_TIME *when,
		      struct tl_buf *notes)
{
	char date[64] = "";
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	tl_assert(bio != NULL);
	(void)ASN1_TIME_print(bio, when);
	n = BIO_read(bio, date, sizeof(date) - 1);
	date[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
	tl_buf_addf(notes, "the certificate '%s' %s %s\n", path, what, date);
}

static void look_at_dates(SSL_CTX *ctx, const char *path, struct tl_buf *notes)
{
	const X509 *x = SSL_CTX_get0_certificate(ctx);

	if (notes == NULL)
		return;
	if (X509_cmp_current_time(X509_get0_notAfter(x)) < 0)
		note_time(path, "has expired on", X509_get0_notAfter(x), notes);
	if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0)
		note_time(path, "is not valid before", X509_get0_notBefore(x),
			  notes);
}

static enum tl_status use_key(SSL_CTX *ctx, const char *cert, const char *key,
			      struct tl_err *err)
{
	EVP_PKEY *pkey = NULL;
	enum tl_status st = read_key(key, &pkey, err);

	if (st != TL_OK)
		return st;
	if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), pkey) != 1)
		st = tls_fail(err,
			      "tls.certificates: the key '%s' does not belong "
			      "to the certificate '%s'",
			      key, cert);
	else if (SSL_CTX_use_PrivateKey(ctx, pkey) != 1)
		st = tls_fail(err, "tls.certificates: cannot use the key '%s'",
			      key);
	EVP_PKEY_free(pkey);
	return st;
}

enum tl_status tls_files_load(SSL_CTX *ctx, const char *pair,
			      struct tl_buf *notes, struct tl_err *err)
{
	size_t cut = strcspn(pair, " \t");
	char *cert = tl_strndup(pair, cut);
	const char *key = pair + cut + strspn(pair + cut, " \t");
	enum tl_status st = TL_OK;

	if (*key == '\0')
		key = cert;
	ERR_clear_error();
	if (access(cert, R_OK) < 0)
		st = tl_err_sys(err,
				"tls.certificates: read the certificate '%s'",
				cert);
	else if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		st = tls_fail(err,
			      "tls.certificates: '%s' has no certificate that "
			      "can be used, as PEM",
			      cert);
	if (st == TL_OK)
		st = use_key(ctx, cert, key, err);
	if (st == TL_OK)
		look_at_dates(ctx, cert, notes);
	tl_free(cert);
	return st;
}
