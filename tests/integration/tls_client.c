#include "config.h" /* _GNU_SOURCE */

#include "tls_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "lib/world.h"

uint16_t tls_port;

/* ---- the daemon ---- */

char *tls_file(const char *name)
{
	char *dir = world_path("certs");
	char *path = tl_asprintf("%s/%s", dir, name);

	tl_free(dir);
	return path;
}

static void make_certificates(void)
{
	char *dir = world_path("certs");
	char *command =
		tl_asprintf("'%s/tests/lib/certs.sh' '%s'", TEST_SRCDIR, dir);

	if (access(dir, F_OK) < 0)
		ck_assert_int_eq(system(command), 0);
	tl_free(command);
	tl_free(dir);
}

void tls_configure(const char *text)
{
	char *path = tl_asprintf("%s/tallyd.conf", d->state_dir);
	char *dir = world_path("certs");
	struct tl_err err;
	struct tl_buf b;

	tl_buf_init(&b);
	tl_buf_adds(&b, "[tls]\n");
	for (; *text != '\0'; text++)
		if (*text == '@')
			tl_buf_adds(&b, dir);
		else
			tl_buf_addc(&b, *text);
	tl_buf_addc(&b, '\n');
	ck_assert_int_eq(tl_file_replace(path, b.ptr, b.len, 0644, &err),
			 TL_OK);
	tl_buf_deinit(&b);
	tl_free(dir);
	tl_free(path);
}

void tls_up(const char *text, const char *more)
{
	char *setting;

	signal(SIGPIPE, SIG_IGN); /* of those who are hung up on */
	make_certificates();
	prepare(FREE_RATE);
	tls_port = daemon_free_port();
	setting = tl_asprintf("server.listen=127.0.0.1:%u,tls:127.0.0.1:%u",
			      d->port, tls_port);
	daemon_set(d, setting);
	tl_free(setting);
	if (more != NULL)
		daemon_set(d, more);
	tls_configure(text);
	fixture_again();
}

/* ---- a connection ---- */

static int connect_tcp(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(tls_port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = CLIENT_TIMEOUT_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static void show(SSL_CTX *ctx, const char *name)
{
	char *cert = tl_asprintf("%s.pem", name);
	char *key = tl_asprintf("%s.key", name);
	char *cert_path = tls_file(cert), *key_path = tls_file(key);

	ck_assert_int_eq(SSL_CTX_use_certificate_chain_file(ctx, cert_path), 1);
	ck_assert_int_eq(
		SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM),
		1);
	tl_free(cert_path);
	tl_free(key_path);
	tl_free(cert);
	tl_free(key);
}

static SSL_CTX *context(const struct tls_how *how)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char *ca = tls_file("ca.pem");

	/* or the client would not even offer what must be refused */
	SSL_CTX_set_security_level(ctx, 0);
	ck_assert_int_eq(SSL_CTX_load_verify_file(ctx, ca), 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (how->version != 0) {
		SSL_CTX_set_min_proto_version(ctx, how->version);
		SSL_CTX_set_max_proto_version(ctx, how->version);
	}
	if (how->ciphers != NULL)
		ck_assert_int_eq(SSL_CTX_set_cipher_list(ctx, how->ciphers), 1);
	if (how->alpn != NULL)
		SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)how->alpn,
					(unsigned)strlen(how->alpn));
	if (how->cert != NULL)
		show(ctx, how->cert);
	tl_free(ca);
	return ctx;
}

bool tls_open(struct tls_conn *t, const struct tls_how *how)
{
	static const struct tls_how plainly = { .name = "localhost" };

	*t = (struct tls_conn){ .fd = connect_tcp() };
	how = how != NULL ? how : &plainly;
	t->ctx = context(how);
	t->ssl = SSL_new(t->ctx);
	SSL_set_fd(t->ssl, t->fd);
	if (how->name != NULL) /* the macro would cast its const away */
		SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME,
			 TLSEXT_NAMETYPE_host_name,
			 (void *)(uintptr_t)how->name);
	if (how->session != NULL)
		SSL_set_session(t->ssl, how->session);
	ERR_clear_error();
	return SSL_connect(t->ssl) == 1;
}

void tls_close(struct tls_conn *t)
{
	if (SSL_is_init_finished(t->ssl)) /* or its session is lost */
		SSL_shutdown(t->ssl);
	SSL_free(t->ssl);
	SSL_CTX_free(t->ctx);
	close(t->fd);
	tl_free(t->text);
	*t = (struct tls_conn){ .fd = -1 };
}

void tls_put(struct tls_conn *t, const void *p, size_t len)
{
	ck_assert_int_eq(SSL_write(t->ssl, p, (int)len), (int)len);
}

/* Byte by byte as far as the head goes: what follows is the next answer's. */
int tls_answer(struct tls_conn *t)
{
	size_t len = 0, want = 0, cap = 1 << 20;
	const char *at;
	int n;

	tl_free(t->text);
	t->text = tl_alloc(cap);
	while (want == 0 || len < want) {
		n = SSL_read(t->ssl, t->text + len,
			     want == 0 ? 1 : (int)(want - len));
		if (n <= 0)
			return 0;
		len += (size_t)n;
		t->text[len] = '\0';
		if (want > 0 || strstr(t->text, "\r\n\r\n") == NULL)
			continue;
		at = strstr(t->text, "\r\nContent-Length: ");
		want = len + (at != NULL ? strtoul(at + 18, NULL, 10) : 0);
		ck_assert_uint_lt(want, cap);
	}
	t->len = len;
	return atoi(t->text + 9);
}

int tls_get(struct tls_conn *t, const char *target, const char *key)
{
	char *text =
		tl_asprintf("GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s"
			    "\r\n",
			    target, key != NULL ? "Authorization: Bearer " : "",
			    key != NULL ? key : "", key != NULL ? "\r\n" : "");

	tls_put(t, text, strlen(text));
	tl_free(text);
	return tls_answer(t);
}

int tls_once(struct tls_conn *t, const struct tls_how *how, const char *target)
{
	return tls_open(t, how) ? tls_get(t, target, NULL) : 0;
}

char *tls_subject(const struct tls_conn *t)
{
	char name[128] = "";

	X509_NAME_get_text_by_NID(
		X509_get_subject_name(SSL_get0_peer_certificate(t->ssl)),
		NID_commonName, name, sizeof(name));
	return tl_strdup(name);
}

/* ---- what the daemon counts ---- */

double tls_metric(const char *name)
{
	char *line = tl_asprintf("\n%s ", name);
	const char *at;
	double v;

	ck_assert(client_get(c, "/metrics", NULL, &r));
	at = strstr(r.body, line);
	ck_assert_ptr_nonnull(at);
	v = atof(at + strlen(line));
	tl_free(line);
	return v;
}

void tls_wait_metric(const char *name, double at_least)
{
	WAIT_UNTIL(tls_metric(name) >= at_least);
	ck_assert_double_ge(tls_metric(name), at_least);
}
