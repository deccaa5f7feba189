/*
 * tls_io.c - TLS between a socket and evhttp.
 *
 * libevent's own TLS bufferevent reads whenever reading is switched on, from
 * inside the call that switches it on, and so hands evhttp bytes while that
 * still writes, which ends the process ("illegal connection state").  So
 * evhttp gets a bufferevent without a socket, and everything that happens on
 * the socket happens here: decrypted bytes are put into its input when evhttp
 * wants some and at no other time, and what it queues is taken out of its
 * output.  A reply goes straight to OpenSSL, as a plain one goes to the
 * socket, and with OpenSSL's read-ahead a small request costs one read.
 *
 * The bufferevent has a negative number in the place of its descriptor, which
 * libevent does not watch, and from which the real one can be told.
 */
#include <errno.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "http/http_internal.h"
#include "tls/tls.h"

#define RECORD_BYTES 16384 /* the most that one record holds */
#define TURN_BYTES   65536 /* then others have their turn */
#define TURN_READS   8     /* of the socket, likewise */

struct http_tls {
	struct http_conn *conn;
	SSL *ssl;
	struct event *readable, *writable;
	bool open;   /* the handshake is done */
	bool ended;  /* nothing more can be read */
	bool paused; /* there is more to read, which evhttp does not want yet */
	bool stuck;  /* reading goes on when the socket can be written */
	int reads_left;    /* of this turn */
	bool *gone_r;      /* told when the connection is dropped */
	size_t held_bytes; /* OpenSSL has begun to write so many, and wants
			    * them again */
	struct tl_buf subject, serial; /* of the client's certificate */
};

/* One for all: nothing stays in it. */
static char scratch[RECORD_BYTES];

static int hidden(int fd)
{
	return -2 - fd;
}

int http_bev_fd(struct bufferevent *bev)
{
	int fd = bufferevent_getfd(bev);

	return fd < -1 ? hidden(fd) : fd;
}

/* SSL_get_error looks at what is left of others' errors.  There are none,
 * nearly always, and to clear all places for one takes longer than to look. */
static void forget_errors(void)
{
	if (ERR_peek_error() != 0)
		ERR_clear_error();
}

/* ---- writing ---- */

/* How much OpenSSL took; SIZE_MAX: the client is gone. */
static size_t put(struct http_tls *t, const char *p, size_t len)
{
	int n, why;

	forget_errors();
	n = SSL_write(t->ssl, p, (int)len);
	if (n > 0) {
		t->held_bytes = 0;
		return (size_t)n;
	}
	why = SSL_get_error(t->ssl, n);
	if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ) {
		t->held_bytes = len;
		return 0;
	}
	t->ended = true;
	return SIZE_MAX;
}

/* The next piece of both for one record. */
static struct tl_str piece_of(struct tl_str head, struct tl_str body,
			      size_t from)
{
	size_t n = 0;

	if (from >= head.len) {
		from -= head.len;
		n = body.len - from;
		return (struct tl_str){ body.ptr + from,
					n < RECORD_BYTES ? n : RECORD_BYTES };
	}
	n = head.len - from;
	if (n > RECORD_BYTES)
		n = RECORD_BYTES;
	memcpy(scratch, head.ptr + from, n);
	if (body.len > 0 && n < RECORD_BYTES) {
		size_t more = RECORD_BYTES - n;

		more = more < body.len ? more : body.len;
		memcpy(scratch + n, body.ptr, more);
		n += more;
	}
	return (struct tl_str){ scratch, n };
}

size_t http_tls_write(struct http_conn *c, struct tl_str head,
		      struct tl_str body)
{
	size_t sent = 0, n;

	while (sent < head.len + body.len) {
		struct tl_str piece = piece_of(head, body, sent);

		n = put(c->tls, piece.ptr, piece.len);
		if (n == SIZE_MAX)
			return SIZE_MAX;
		sent += n;
		if (n == 0) /* less than the piece: the client's records are
			     * small (max_fragment_length) */
			break;
	}
	return sent;
}

size_t http_tls_held(const struct http_conn *c)
{
	return c->tls != NULL ? c->tls->held_bytes : 0;
}

/* ---- the end ---- */

/*
 * evhttp hears that the client has left, and closes.  Our events go first:
 * the number of the descriptor may be another connection's soon.
 */
static void tell_end(struct http_tls *t)
{
	struct http_conn *c = t->conn;

	event_del(t->readable);
	event_del(t->writable);
	if (c->linger || !t->open)
		http_swallow_input(c->fd);
	bufferevent_trigger_event(c->bev, BEV_EVENT_READING | BEV_EVENT_EOF, 0);
}

void http_tls_bye(struct http_conn *c)
{
	if (c->tls == NULL || !c->tls->open)
		return;
	forget_errors();
	(void)SSL_shutdown(c->tls->ssl);
	forget_errors();
}

/* ---- the handshake ---- */

static void opened(struct http_tls *t)
{
	struct http_conn *c = t->conn;

	t->open = true;
	c->last_ms = tl_mono_ms();
	http_count(c->http, SHM_C_TLS_HANDSHAKES);
	if (SSL_session_reused(t->ssl))
		http_count(c->http, SHM_C_TLS_RESUMED);
	if (c->http->conf->tls.client_certificates != CONF_CLIENT_OFF)
		tls_client(t->ssl, &t->subject, &t->serial);
}

/* Somebody speaks plain HTTP to us: say so in words that can be read. */
static void answer_plain(int fd)
{
	static const char words[] = "HTTP/1.1 400 Bad Request\r\n"
				    "Content-Type: text/plain\r\n"
				    "Content-Length: 34\r\n"
				    "Connection: close\r\n\r\n"
				    "this port speaks TLS: use https://";

	(void)!send(fd, words, sizeof(words) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void failed(struct http_tls *t)
{
	struct http_conn *c = t->conn;
	unsigned long why = ERR_peek_error();
	const char *words = ERR_reason_error_string(why);
	char peer[TALLY_ADDR_TEXT];

	/* who connects and leaves without a word is a health check */
	if (BIO_number_read(SSL_get_rbio(t->ssl)) > 0) {
		http_count(c->http, SHM_C_TLS_FAILURES);
		tally_addr_format(&c->peer, peer);
		log_debug("TLS handshake with '%s' failed: %s", peer,
			  words != NULL ? words : "the client left");
	}
	if (ERR_GET_REASON(why) == SSL_R_HTTP_REQUEST)
		answer_plain(c->fd);
	forget_errors();
	t->ended = true;
	tell_end(t);
}

static void wait_to_write(struct http_tls *t)
{
	t->stuck = true;
	event_del(t->readable);
	event_add(t->writable, NULL);
}

/* True: it is done now. */
static bool shake_hands(struct http_tls *t)
{
	int n;

	forget_errors();
	n = SSL_do_handshake(t->ssl);
	if (n == 1) {
		opened(t);
		return true;
	}
	switch (SSL_get_error(t->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_WANT_WRITE:
		wait_to_write(t);
		break;
	default:
		failed(t);
	}
	return false;
}

/* ---- reading ---- */

static bool is_reading(const struct http_tls *t)
{
	return (bufferevent_get_enabled(t->conn->bev) & EV_READ) != 0;
}

static void pause_reading(struct http_tls *t)
{
	t->paused = true;
	event_del(t->readable);
}

void http_tls_resume(struct http_conn *c)
{
	struct http_tls *t = c->tls;

	if (t == NULL || !t->paused)
		return;
	t->paused = false;
	if (!t->ended)
		event_add(t->readable, NULL);
	/* later: evhttp is not done with the last request yet */
	event_active(t->readable, EV_READ, 0);
}

/* One record.  False: there is no more at the moment. */
static bool take_record(struct http_tls *t, struct evbuffer *in, size_t *got)
{
	int n;

	forget_errors();
	n = SSL_read(t->ssl, scratch, sizeof(scratch));
	if (n > 0) {
		*got += (size_t)n;
		evbuffer_add(in, scratch, (size_t)n);
		return SSL_has_pending(t->ssl) == 1;
	}
	switch (SSL_get_error(t->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		break;
	case SSL_ERROR_WANT_WRITE:
		wait_to_write(t);
		break;
	default:
		forget_errors();
		t->ended = true;
	}
	return false;
}

static bool has_said_bye(const struct http_tls *t)
{
	return (SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

static void take(struct http_tls *t)
{
	struct http_conn *c = t->conn;
	struct evbuffer *in = bufferevent_get_input(c->bev);
	bool gone = false, moved = false, more = !t->ended;
	size_t got = 0, had;

	while (more && got < TURN_BYTES)
		more = take_record(t, in, &got);
	had = evbuffer_get_length(in);
	/* evhttp takes one request at a time; those that lie here when the
	 * client has nothing more to say are answered, too */
	if (got > 0 || (had > 0 && t->ended && has_said_bye(t))) {
		t->gone_r = &gone;
		bufferevent_trigger(c->bev, EV_READ,
				    BEV_TRIG_IGNORE_WATERMARKS);
		if (gone)
			return;
		t->gone_r = NULL;
		moved = evbuffer_get_length(in) < had;
	}
	if (!more && !t->ended)
		return;
	if (!is_reading(t))
		pause_reading(t);
	else if (more || moved)
		event_active(t->readable, EV_READ, 0);
	else
		tell_end(t);
}

/*
 * SSL_read returns with data of the application or when the socket is empty:
 * a client that sends KeyUpdates (or, with TLS 1.2, ClientHellos) without end
 * would keep it from returning.
 */
static long on_bio(BIO *b, int oper, const char *p, size_t len, int argi,
		   long argl, int ret, size_t *done)
{
	struct http_tls *t = (struct http_tls *)(void *)BIO_get_callback_arg(b);

	(void)p;
	(void)len;
	(void)argi;
	(void)argl;
	(void)done;
	if (oper != BIO_CB_READ)
		return ret;
	if (t->reads_left-- > 0)
		return 1;
	t->reads_left = 0;
	BIO_clear_retry_flags(b);
	BIO_set_retry_read(b);
	return -1;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct http_tls *t = arg;

	(void)fd;
	(void)what;
	t->reads_left = TURN_READS;
	if (!t->open && !shake_hands(t))
		return;
	/* what lies in the input has to be worked off first */
	if (is_reading(t) &&
	    evbuffer_get_length(bufferevent_get_input(t->conn->bev)) <
		    t->conn->http->read_mark_bytes)
		take(t);
	else
		pause_reading(t);
}

/* ---- what evhttp has queued ---- */

static void flush(struct http_tls *t)
{
	struct http_conn *c = t->conn;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	bool gone = false;
	size_t len, n;

	len = evbuffer_get_length(out);
	if (len == 0)
		return;
	for (; len > 0; len = evbuffer_get_length(out)) {
		len = len < RECORD_BYTES ? len : RECORD_BYTES;
		n = put(t, (const char *)evbuffer_pullup(out, (ssize_t)len),
			len);
		if (n == SIZE_MAX) {
			tell_end(t);
			return;
		}
		evbuffer_drain(out, n);
		if (n == 0) {
			event_add(t->writable, NULL);
			return;
		}
	}
	t->gone_r = &gone;
	bufferevent_trigger(c->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS);
	if (gone)
		return;
	t->gone_r = NULL;
	http_tls_resume(c); /* evhttp may want the next request now */
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct http_tls *t = arg;

	(void)fd;
	(void)what;
	if (t->stuck) {
		t->stuck = false;
		event_add(t->readable, NULL);
		event_active(t->readable, EV_READ, 0);
	}
	if (t->open)
		flush(t);
}

static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info,
		      void *arg)
{
	struct http_tls *t = arg;

	(void)out;
	if (info->n_added > 0) /* later: the caller may have more to say */
		event_active(t->writable, EV_WRITE, 0);
}

/* ---- its life ---- */

void http_tls_new(struct http_conn *c)
{
	struct http_tls *t = tl_alloc(sizeof(*t));

	t->conn = c;
	t->ssl = tls_accept(c->http->tls);
	if (t->ssl == NULL)
		tl_out_of_memory();
	tl_buf_init(&t->subject);
	tl_buf_init(&t->serial);
	c->tls = t;
}

void http_tls_begin(struct http_conn *c)
{
	struct http_tls *t = c->tls;

	/* both ends of its buffers are ours from here on */
	bufferevent_setfd(c->bev, hidden(c->fd));
	tl_assert(SSL_set_fd(t->ssl, c->fd) == 1);
	BIO_set_callback_ex(SSL_get_rbio(t->ssl), on_bio);
	BIO_set_callback_arg(SSL_get_rbio(t->ssl), (char *)t);
	t->readable = event_new(c->http->base, c->fd, EV_READ | EV_PERSIST,
				on_readable, t);
	t->writable = event_new(c->http->base, c->fd, EV_WRITE, on_writable, t);
	if (t->readable == NULL || t->writable == NULL)
		tl_out_of_memory();
	evbuffer_add_cb(bufferevent_get_output(c->bev), on_output, t);
	event_add(t->readable, NULL);
}

void http_tls_free(struct http_conn *c)
{
	struct http_tls *t = c->tls;

	if (t == NULL)
		return;
	if (t->gone_r != NULL)
		*t->gone_r = true;
	if (t->readable != NULL) {
		evbuffer_remove_cb(bufferevent_get_output(c->bev), on_output,
				   t);
		event_free(t->readable);
		event_free(t->writable);
	}
	SSL_free(t->ssl);
	forget_errors();
	tl_buf_deinit(&t->subject);
	tl_buf_deinit(&t->serial);
	tl_freep(&c->tls);
}

bool http_tls_shaking(const struct http_conn *c)
{
	return c->tls != NULL && !c->tls->open;
}

/* Bytes that OpenSSL holds: the socket does not tell of them any more. */
bool http_tls_has_input(const struct http_conn *c)
{
	return c->tls != NULL && SSL_has_pending(c->tls->ssl) == 1;
}

struct http_tls_client http_tls_client(const struct http_conn *c)
{
	struct http_tls_client none = { { NULL, 0 }, { NULL, 0 } };

	if (c == NULL || c->tls == NULL || c->tls->serial.len == 0)
		return none;
	return (struct http_tls_client){ tl_buf_str(&c->tls->subject),
					 tl_buf_str(&c->tls->serial) };
}

/* ---- the server's ---- */

static void tell_notes(const struct http *h, const struct tl_buf *notes)
{
	struct tl_str rest = tl_buf_str(notes), line;

	/* one for all workers */
	while (h->worker == 0 && tl_str_split(&rest, '\n', &line))
		if (line.len > 0)
			log_warn("%.*s", (int)line.len, line.ptr);
}

enum tl_status http_tls_init(struct http *h, const struct tls_seed *seed,
			     struct tl_err *err)
{
	enum tl_status st;
	struct tl_buf notes;

	tl_buf_init(&h->hsts);
	if (!tls_wanted(h->conf))
		return TL_OK;
	tl_buf_init(&notes);
	st = tls_new(h->conf, seed, &h->tls, &notes, err);
	if (st == TL_OK)
		tell_notes(h, &notes);
	tl_buf_deinit(&notes);
	if (h->conf->tls.hsts_max_age_s > 0)
		tl_buf_addf(&h->hsts,
			    "Strict-Transport-Security: max-age=%u\r\n",
			    h->conf->tls.hsts_max_age_s);
	return st;
}

void http_tls_deinit(struct http *h)
{
	tls_free(&h->tls);
	tl_buf_deinit(&h->hsts);
}
