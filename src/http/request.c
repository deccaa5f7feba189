/*
 * request.c - the life of a request: taken from the pool, named, handed on.
 *
 * The pool keeps request structs with their buffers and a first piece of
 * arena, so that an ordinary request takes no memory of ours.
 */
#include <strings.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

#include <sys/queue.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/span.h"
#include "http/http_internal.h"
#include "http/router.h"

#define POOL_MAX          256
#define BUFFER_KEPT_BYTES 65536

static void arena_borrow(struct req *req)
{
	struct http_req_priv *p = req->priv;

	tl_arena_init(&req->arena);
	req->arena.next = p->inline_mem;
	req->arena.left_bytes = sizeof(p->inline_mem);
}

/* What was used of the first piece is zeroed again: arenas promise that. */
static void arena_return(struct req *req)
{
	struct http_req_priv *p = req->priv;
	size_t used = sizeof(p->inline_mem);

	if (req->arena.chunks == NULL)
		used -= req->arena.left_bytes;
	memset(p->inline_mem, 0, used);
	tl_arena_deinit(&req->arena);
}

static struct req *req_take(struct http *h)
{
	struct http_req_priv *p;
	struct http_req *r;

	if (tl_list_empty(&h->pool_free)) {
		r = tl_alloc(sizeof(*r));
		r->req.http = h;
		r->req.priv = &r->priv;
		p = &r->priv;
		tl_buf_init(&p->extra);
		tl_buf_init(&p->body);
		tl_list_init(&p->link);
		tl_list_init(&p->parked);
	} else {
		p = TL_CONTAINER(h->pool_free.next, struct http_req_priv, link);
		tl_list_unlink(&p->link);
		h->n_pooled--;
	}
	tl_list_append(&h->open, &p->link);
	h->n_open++;
	arena_borrow(req_of(p));
	return req_of(p);
}

static void req_free(struct http_req_priv *p)
{
	struct http_req *r = TL_CONTAINER(p, struct http_req, priv);

	tl_list_unlink(&p->link);
	tl_list_unlink(&p->parked);
	tl_buf_deinit(&p->extra);
	tl_buf_deinit(&p->body);
	tl_free(r);
}

static void buffer_return(struct tl_buf *b)
{
	if (b->cap > BUFFER_KEPT_BYTES)
		tl_buf_deinit(b);
	else
		tl_buf_reset(b);
}

void http_request_done(struct req *req)
{
	struct http_req_priv *p = req->priv;
	struct http *h = req->http;

	arena_return(req);
	buffer_return(&p->extra);
	buffer_return(&p->body);
	tl_list_unlink(&p->link);
	h->n_open--;
	if (h->n_pooled >= POOL_MAX) {
		req_free(p);
	} else {
		tl_list_prepend(&h->pool_free, &p->link);
		h->n_pooled++;
	}
	if (h->draining && h->n_open == 0)
		event_active(h->adopt, 0, 0);
}

static unsigned method_bit(enum evhttp_cmd_type type)
{
	switch (type) {
	case EVHTTP_REQ_GET:
		return HTTP_GET;
	case EVHTTP_REQ_HEAD:
		return HTTP_HEAD;
	case EVHTTP_REQ_POST:
		return HTTP_POST;
	case EVHTTP_REQ_PUT:
		return HTTP_PUT;
	case EVHTTP_REQ_DELETE:
		return HTTP_DELETE;
	case EVHTTP_REQ_OPTIONS:
		return HTTP_OPTIONS;
	case EVHTTP_REQ_PATCH:
		return HTTP_PATCH;
	default:
		return HTTP_OTHER;
	}
}

bool http_request_id_good(struct tl_str s)
{
	if (s.len < 1 || s.len > 64)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		      (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
		      c == '-'))
			return false;
	}
	return true;
}

/* 12 random characters of this process, a dash, the count in hex. */
static struct tl_str id_make(struct http *h, char dst[HTTP_REQUEST_ID_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	uint64_t n = h->id_next++;
	size_t len = sizeof(h->id_prefix);
	int shift = 28;

	memcpy(dst, h->id_prefix, len);
	dst[len++] = '-';
	while (shift < 36 && (n >> (shift + 4)) != 0)
		shift += 4;
	for (; shift >= 0; shift -= 4)
		dst[len++] = hex[(n >> shift) & 15];
	return (struct tl_str){ dst, len };
}

static struct tl_str forwarded_for(struct req *req)
{
	struct http_req_priv *p = req->priv;
	const struct evkeyval *kv;
	struct tl_buf joined;
	struct tl_str s;

	if (p->g.n_forwarded_for <= 1)
		return p->g.h[GH_FORWARDED_FOR];
	tl_buf_init(&joined);
	TAILQ_FOREACH(kv, req->ev->input_headers, next)
	{
		if (strcasecmp(kv->key, "x-forwarded-for") != 0)
			continue;
		if (joined.len > 0)
			tl_buf_addc(&joined, ',');
		tl_buf_adds(&joined, kv->value);
	}
	s.ptr = tl_arena_strndup(&req->arena, joined.ptr, joined.len);
	s.len = joined.len;
	tl_buf_deinit(&joined);
	return s;
}

static void read_addresses(struct req *req)
{
	const struct guard_out *g = &req->priv->g;

	if (req->priv->conn != NULL)
		req->peer = req->priv->conn->peer;
	else
		memset(&req->peer, 0, sizeof(req->peer));
	req->client = req->peer;
	req->client_told = false;
	req->forwarded = g->h[GH_FORWARDED_FOR].ptr != NULL ||
			 g->h[GH_REAL_IP].ptr != NULL ||
			 g->h[GH_FORWARDED].ptr != NULL;
	if (req->forwarded)
		req->client = tally_addr_client(
			&req->peer, &req->http->conf->server.trusted_proxies,
			forwarded_for(req), g->h[GH_REAL_IP],
			&req->client_told);
}

unsigned http_weight_of(struct tl_str params)
{
	unsigned milli = 0, digit = 1000;
	struct tl_str p;

	while (tl_str_split(&params, ';', &p)) {
		p = tl_str_trim(p);
		if (p.len < 3 || (p.ptr[0] | 0x20) != 'q' || p.ptr[1] != '=')
			continue;
		for (size_t i = 2; i < p.len && digit > 0; i++) {
			if (p.ptr[i] >= '0' && p.ptr[i] <= '9') {
				milli += digit * (unsigned)(p.ptr[i] - '0');
				digit /= 10;
			} else if (p.ptr[i] != '.') {
				break;
			}
		}
		return milli;
	}
	return 1000;
}

/* MessagePack where it is named and nothing else of ours weighs more; of
 * equals the first one. */
static enum doc_format accepted_format(struct tl_str accept)
{
	unsigned json = 0, msgpack = 0, weight;
	struct tl_str range, type;

	while (accept.len > 0 && tl_str_split(&accept, ',', &range)) {
		if (!tl_str_split(&range, ';', &type))
			continue;
		type = tl_str_trim(type);
		weight = http_weight_of(range);
		if (tl_str_ieq(type, TL_STR("application/msgpack")))
			msgpack = weight > json ? weight : 0;
		else if (tl_str_ieq(type, TL_STR("application/json")))
			json = weight;
	}
	return msgpack > 0 && msgpack >= json ? DOC_MSGPACK : DOC_JSON;
}

static void read_path(struct req *req)
{
	struct http_req_priv *p = req->priv;

	req->path = p->g.path;
	req->query = p->g.query;
	if (p->g.encoded) {
		char *copy = tl_arena_alloc(&req->arena, p->g.path.len);

		req->path.ptr = copy;
		req->path.len = http_percent_decode(p->g.path, false, copy);
	}
	p->api = req->path.len >= 5 && memcmp(req->path.ptr, "/api/", 5) == 0;
}

static void clear(struct req *req)
{
	struct http_req_priv *p = req->priv;

	req->route = NULL;
	req->caller = CALLER_NONE;
	req->d_valid = false;
	req->commit_gen = 0;
	req->body = (struct tl_str){ NULL, 0 };
	p->status = 0;
	p->close = p->endless = false;
	p->has_cache_control = p->has_content_type = false;
	p->cors = p->api = p->metered = false;
	req->record = false;
	req->door = DECIDE_D_API;
	req->state = NULL;
	p->retry_after_s = 0;
	p->again = NULL;
	p->spawned = NULL;
	p->reply_body = (struct tl_str){ NULL, 0 };
	p->kept = NULL;
	p->trace = NULL;
	p->match.route = NULL; /* a refusal comes before it is looked for */
}

static const struct guard_refusal *read_request(struct req *req,
						struct evhttp_request *ev)
{
	struct http *h = req->http;
	struct http_req_priv *p = req->priv;
	size_t body_bytes = evbuffer_get_length(ev->input_buffer);
	const struct guard_refusal *why;
	uint64_t since_ms;

	clear(req);
	req->ev = ev;
	req->start_mono_ns = tl_mono_ns();
	p->conn = http_conn_of(h, ev);
	since_ms = req->start_mono_ns / TL_NS_PER_MS;
	if (p->conn != NULL) {
		p->conn->req = req;
		if (p->conn->reading_since_ms != 0)
			since_ms = p->conn->reading_since_ms;
	}
	req->deadline_mono_ms = since_ms + h->conf->server.request_timeout_ms;
	req->method = method_bit(ev->type);
	why = guard_check(&(struct guard_in){ .method = req->method,
					      .major = ev->major,
					      .minor = ev->minor,
					      .target = ev->uri,
					      .headers = ev->input_headers,
					      .body_bytes = body_bytes },
			  &p->g);
	p->close = p->g.close || h->draining || p->conn == NULL;
	req->request_id = http_request_id_good(p->g.h[GH_REQUEST_ID])
				  ? p->g.h[GH_REQUEST_ID]
				  : id_make(h, p->id);
	req->out_format = accepted_format(p->g.h[GH_ACCEPT]);
	read_path(req);
	read_addresses(req);
	if (span_recording || p->g.h[GH_TRACEPARENT].ptr != NULL)
		http_trace_begin(req);
	if (body_bytes > 0 && why == NULL)
		req->body = (struct tl_str){ (const char *)evbuffer_pullup(
						     ev->input_buffer, -1),
					     body_bytes };
	return why;
}

void http_on_request(struct evhttp_request *ev, void *arg)
{
	struct http *h = arg;
	struct req *req = req_take(h);
	const struct guard_refusal *why = read_request(req, ev);

	http_cors_note(req); /* a browser is to see a refusal too */
	if (why != NULL) {
		/* Where the next request begins is no longer certain. */
		http_count(h, SHM_C_REFUSED_FRAMING);
		req->priv->close = true;
		if (req->priv->conn != NULL)
			req->priv->conn->linger = true;
		req_fail(req, why->status, why->code, "%s", why->why);
		return;
	}
	http_middleware(req);
}

struct tl_str req_header(struct req *req, const char *name)
{
	const char *v = evhttp_find_header(req->ev->input_headers, name);

	return tl_str_c(v);
}

enum tl_status req_credential(struct req *req, struct tl_str *key_r)
{
	struct tl_str bearer = req->priv->g.h[GH_AUTHORIZATION];
	struct tl_str api_key = req->priv->g.h[GH_API_KEY], key;

	if (bearer.ptr == NULL) {
		if (api_key.ptr == NULL)
			return TL_NOT_FOUND;
		key = tl_str_trim(api_key);
	} else if (!tally_key_from_bearer(bearer, &key)) {
		return TL_INVALID;
	} else if (api_key.ptr != NULL &&
		   !tl_str_eq(key, tl_str_trim(api_key))) {
		return TL_CONFLICT;
	}
	if (key.len == 0)
		return TL_INVALID;
	*key_r = key;
	return TL_OK;
}

struct decide *req_decide(struct req *req)
{
	return &req->http->decide;
}

const struct conf *req_conf(struct req *req)
{
	return req->http->conf;
}

void http_requests_init(struct http *h)
{
	uint8_t random[6];

	tl_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++) {
		char two[3];

		tl_hex(&random[i], 1, two);
		memcpy(h->id_prefix + 2 * i, two, 2);
	}
	tl_list_init(&h->open);
	tl_list_init(&h->pool_free);
}

void http_requests_deinit(struct http *h)
{
	struct tl_list *pos, *tmp;

	if (h->open.next == NULL)
		return;
	TL_LIST_EACH(pos, tmp, &h->open)
	{ /* evhttp_free took their ev */
		struct http_req_priv *p =
			TL_CONTAINER(pos, struct http_req_priv, link);

		arena_return(req_of(p));
		req_free(p);
	}
	TL_LIST_EACH(pos, tmp, &h->pool_free)
	req_free(TL_CONTAINER(pos, struct http_req_priv, link));
}
