/*
 * exchange.c - one request and its answer: libcurl's options and callbacks.
 */
#include "config.h" /* PACKAGE_VERSION, SOCK_CLOEXEC */

#include <sys/socket.h>

#include <openssl/ssl.h>

#include "net/fetch_internal.h"

/* ---- the guard ---- */

/*
 * The socket that is about to be made.  Addresses were checked after the
 * look-up and are pinned with CURLOPT_RESOLVE, so this refuses only what
 * libcurl finds out by itself: it must not matter what that is.
 */
static curl_socket_t open_socket(void *arg, curlsocktype purpose,
				 struct curl_sockaddr *to)
{
	struct exchange *ex = arg;

	(void)purpose;
	if (net_sockaddr_check(&net.rules, &to->addr, &ex->rule, ex->err) !=
	    TL_OK) {
		ex->why = FETCH_REFUSED;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* The connection that is about to be used; a kept one was not opened now. */
static int before_request(void *arg, char *remote, char *local, int remote_port,
			  int local_port)
{
	struct exchange *ex = arg;
	struct tally_addr addr;

	(void)local;
	(void)local_port;
	if (!tally_addr_parse(tl_str_c(remote), &addr)) {
		ex->why = FETCH_REFUSED;
		ex->rule = "address.family";
		tl_err_set(ex->err, TL_DENIED, "'%.60s' is no address", remote);
		return CURL_PREREQFUNC_ABORT;
	}
	tally_addr_format(&addr, ex->reply->remote);
	ex->reply->remote_port = (uint16_t)remote_port;
	if (net_addr_check(&net.rules, &addr, &ex->rule, ex->err) == TL_OK)
		return CURL_PREREQFUNC_OK;
	ex->why = FETCH_REFUSED;
	return CURL_PREREQFUNC_ABORT;
}

static CURLcode use_authorities(CURL *easy, void *ssl_ctx, void *arg)
{
	struct exchange *ex = arg;

	(void)easy;
	ex->securing = true;
	SSL_CTX_set1_cert_store(ssl_ctx, net.authorities);
	return CURLE_OK;
}

void exchange_guard(struct exchange *ex)
{
	CURL *e = ex->easy;

	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, ex);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, ex);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_FUNCTION, use_authorities);
	curl_easy_setopt(e, CURLOPT_SSL_CTX_DATA, ex);
}

/* ---- the answer ---- */

static size_t end_with(struct exchange *ex, enum fetch_why why,
		       const char *words, size_t limit)
{
	ex->why = why;
	tl_err_set(ex->err, TL_UNAVAILABLE, "%s %zu", words, limit);
	return 0; /* libcurl: CURLE_WRITE_ERROR */
}

static void take_status_line(struct fetch_reply *reply, struct tl_str line)
{
	struct tl_str word;

	/* "HTTP/1.1 200 OK"; the number comes from libcurl */
	reply->n_headers = 0;
	reply->reason[0] = '\0';
	if (!tl_str_split(&line, ' ', &word) ||
	    !tl_str_split(&line, ' ', &word))
		return;
	line = tl_str_trim(line);
	if (line.len >= sizeof(reply->reason))
		line.len = sizeof(reply->reason) - 1;
	if (line.len > 0)
		memcpy(reply->reason, line.ptr, line.len);
	reply->reason[line.len] = '\0';
}

static void take_header(struct fetch_reply *reply, struct tl_str line)
{
	struct tl_str name;
	struct fetch_header *h;

	/* Lines that go on one before, as RFC 9112 5.2 forbids, are dropped. */
	if (line.ptr[0] == ' ' || line.ptr[0] == '\t' ||
	    !tl_str_split(&line, ':', &name) || name.len == 0)
		return;
	if (reply->headers == NULL)
		reply->headers = tl_arena_alloc(&reply->arena,
						FETCH_HEADERS_MAX * sizeof(*h));
	h = &reply->headers[reply->n_headers++];
	line = tl_str_trim(line);
	h->name = tl_arena_strndup(&reply->arena, name.ptr, name.len);
	h->value = line.len > 0
			   ? tl_arena_strndup(&reply->arena, line.ptr, line.len)
			   : "";
}

static size_t on_header(char *data, size_t one, size_t len, void *arg)
{
	struct exchange *ex = arg;
	struct tl_str line = tl_str_trim((struct tl_str){ data, len });

	(void)one;
	ex->head_bytes += len;
	if (ex->head_bytes > FETCH_HEAD_MAX_BYTES)
		return end_with(ex, FETCH_HEAD_TOO_LARGE,
				"the answer's headers have more bytes than",
				FETCH_HEAD_MAX_BYTES);
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0 && !ex->head_open) {
		/* also behind 100 and 103: only the last head counts */
		ex->head_open = true;
		take_status_line(ex->reply, line);
	} else if (line.len == 0) {
		ex->head_open = false;
	} else if (ex->head_open) { /* else a trailer */
		if (ex->reply->n_headers == FETCH_HEADERS_MAX)
			return end_with(ex, FETCH_HEAD_TOO_LARGE,
					"the answer has more headers than",
					FETCH_HEADERS_MAX);
		take_header(ex->reply, (struct tl_str){ data, len });
	}
	return len;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct exchange *ex = arg;

	(void)one;
	if (len > ex->body_max_bytes - ex->reply->body.len)
		return end_with(ex, FETCH_BODY_TOO_LARGE,
				"the answer's body has more bytes than",
				ex->body_max_bytes);
	tl_buf_add(&ex->reply->body, data, len);
	return len;
}

/* ---- the request ---- */

static void set_method(CURL *e, const struct exchange_plan *plan)
{
	const char *m = plan->method;
	bool posts = plan->body != NULL || strcmp(m, "POST") == 0 ||
		     strcmp(m, "PUT") == 0 || strcmp(m, "PATCH") == 0;

	if (strcmp(m, "HEAD") == 0) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		return;
	}
	if (posts) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)plan->body_bytes);
		curl_easy_setopt(e, CURLOPT_POSTFIELDS,
				 plan->body != NULL ? plan->body : "");
	}
	if (strcmp(m, posts ? "POST" : "GET") != 0)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, m);
}

void exchange_open(struct exchange *ex, const struct exchange_plan *plan)
{
	CURL *e = curl_easy_init();

	tl_assert(e != NULL);
	ex->easy = e;
	ex->done = false;
	ex->words[0] = '\0';
	exchange_guard(ex);
	curl_easy_setopt(e, CURLOPT_CURLU, plan->url);
	set_method(e, plan);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, plan->headers);
	curl_easy_setopt(e, CURLOPT_RESOLVE, plan->addresses);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "tallyd/" PACKAGE_VERSION);
	/* One request at a time on a connection: a fault hits one caller. */
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)plan->connect_timeout_ms);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* Not waiting for a resolver's thread, should there ever be one. */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, ex->words);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, ex);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, ex);
}

/* ---- what came of it ---- */

static enum fetch_why why_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return FETCH_DONE;
	case CURLE_COULDNT_RESOLVE_HOST:
		return FETCH_NAME_FAILED;
	case CURLE_COULDNT_CONNECT:
		return FETCH_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		return FETCH_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return FETCH_TLS;
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		return FETCH_BROKEN_OFF;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9 */
	case CURLE_BAD_CONTENT_ENCODING: /* chunks */
	case CURLE_WRITE_ERROR:          /* libcurl's own cap of headers */
	case CURLE_HTTP2:
		return FETCH_PROTOCOL;
	default:
		return FETCH_FAULT;
	}
}

enum fetch_why exchange_outcome(struct exchange *ex)
{
	if (ex->why == FETCH_DONE) {
		ex->why = why_of(ex->result);
		if (ex->why != FETCH_DONE)
			tl_err_set(ex->err, TL_UNAVAILABLE, "%s",
				   ex->words[0] != '\0'
					   ? ex->words
					   : curl_easy_strerror(ex->result));
	}
	return ex->why;
}

static uint64_t time_of(CURL *easy, CURLINFO what)
{
	curl_off_t us = 0;

	curl_easy_getinfo(easy, what, &us);
	return us > 0 ? (uint64_t)us : 0;
}

static uint64_t span(uint64_t from_us, uint64_t to_us)
{
	return to_us > from_us ? to_us - from_us : 0;
}

void exchange_facts(struct exchange *ex)
{
	uint64_t looked = time_of(ex->easy, CURLINFO_NAMELOOKUP_TIME_T);
	uint64_t connected = time_of(ex->easy, CURLINFO_CONNECT_TIME_T);
	uint64_t secured = time_of(ex->easy, CURLINFO_APPCONNECT_TIME_T);
	uint64_t ready = time_of(ex->easy, CURLINFO_PRETRANSFER_TIME_T);
	uint64_t first = time_of(ex->easy, CURLINFO_STARTTRANSFER_TIME_T);
	struct fetch_times *t = &ex->reply->times;
	long status = 0, connects = 0;

	curl_easy_getinfo(ex->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(ex->easy, CURLINFO_NUM_CONNECTS, &connects);
	ex->reply->status = (uint16_t)status;
	ex->reply->reused = connects == 0 && *ex->reply->remote != '\0';
	t->connect_us = connects > 0 ? span(looked, connected) : 0;
	t->tls_us = connects > 0 ? span(connected, secured) : 0;
	t->first_byte_us = span(ready, first);
}

const char *exchange_phase(struct exchange *ex)
{
	/* libcurl tells the time of connecting only when TLS is there too */
	if (*ex->reply->remote == '\0')
		return ex->securing ? "agreeing on TLS" : "connecting";
	if (time_of(ex->easy, CURLINFO_STARTTRANSFER_TIME_T) == 0)
		return "waiting for the answer";
	return "reading the answer";
}
