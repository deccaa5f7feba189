/*
 * trace.c - a request as part of a trace: W3C Trace Context in, a span out.
 *
 * A valid traceparent of somebody whom tracing.parents lets is followed, and
 * its decision whether the trace is recorded; else a trace of our own begins,
 * when spans are exported and its id is chosen.  The context is handed on by
 * whatever the request sets going: queries, tasks and their calls.
 */
#include <strings.h>
#include <sys/queue.h>

#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

#include "base/span.h"
#include "decide/decide.h"
#include "http/http_internal.h"
#include "loop/co.h"

struct http_trace {
	struct trace own;
	uint8_t parent[8];
	bool has_parent;
};

static bool may_lead(const struct req *req)
{
	const struct conf *conf = req->http->conf;

	switch (conf->tracing.parents) {
	case CONF_PARENTS_ANY:
		return true;
	case CONF_PARENTS_TRUSTED:
		return tally_cidr_list_has(&conf->server.trusted_proxies,
					   &req->peer);
	case CONF_PARENTS_NONE:
		break;
	}
	return false;
}

/* Of two traceparents nobody knows which one counts.  Several tracestates are
 * one list; one that is not valid is none. */
static bool read_context(struct req *req, struct trace *t)
{
	const struct evkeyval *kv;
	unsigned parents = 0;
	bool good = true;

	if (!trace_parse(req->priv->g.h[GH_TRACEPARENT], t))
		return false;
	TAILQ_FOREACH(kv, req->ev->input_headers, next)
	{
		if (strcasecmp(kv->key, "traceparent") == 0)
			parents++;
		else if (strcasecmp(kv->key, "tracestate") == 0 && good)
			good = trace_state_add(t, tl_str_c(kv->value));
	}
	return parents == 1;
}

void http_trace_begin(struct req *req)
{
	struct http_trace *keep;
	struct trace t;
	bool follows = req->priv->g.h[GH_TRACEPARENT].ptr != NULL &&
		       may_lead(req) && read_context(req, &t);

	if (!follows) {
		if (!span_recording)
			return;
		trace_begin(&t);
		t.sampled = trace_chosen(&t, req->http->sample_ppm);
		if (!t.sampled)
			return;
	}
	keep = tl_arena_alloc(&req->arena, sizeof(*keep));
	keep->own = t;
	keep->has_parent = follows;
	memcpy(keep->parent, t.span_id, sizeof(keep->parent));
	if (span_recording) /* else we are no part of it, and only hand it on */
		trace_span_id(keep->own.span_id);
	req->priv->trace = keep;
}

const uint8_t *req_trace_id(const struct req *req)
{
	const struct http_trace *t = req->priv->trace;

	return t != NULL ? t->own.trace_id : NULL;
}

void http_trace_text(const struct req *req, char dst[TRACE_ID_TEXT])
{
	const uint8_t *id = req_trace_id(req);

	dst[0] = '\0';
	if (id != NULL)
		tl_hex(id, 16, dst);
}

/* A copy: a coroutine may outlive its request.  None takes the place of one:
 * the load of a key goes on with each request that waited for it. */
void http_trace_lend(struct req *req)
{
	const struct http_trace *t = req->priv->trace;

	co_local_take(t != NULL ? tl_memdup(&t->own, sizeof(t->own)) : NULL);
}

static void add_caller(struct span *s, const struct req *req)
{
	char text[TALLY_ADDR_TEXT], uuid[TL_UUID_TEXT];

	tally_addr_format(&req->client, text);
	span_attr_str(s, "client.address", tl_str_c(text));
	if (!req->d_valid)
		return;
	span_attr_str(s, "tallyd.decision",
		      tl_str_c(decide_code_name(req->d.code)));
	if (req->d.code != DECIDE_OK)
		span_attr_str(s, "tallyd.reason",
			      tl_str_c(decide_reason_name(req->d.reason)));
	if (!req->d.have_key)
		return;
	tl_uuid_format(&req->d.user_id, uuid);
	span_attr_str(s, "tallyd.user_id", tl_str_c(uuid));
	tl_uuid_format(&req->d.key_id, uuid);
	span_attr_str(s, "tallyd.key_id", tl_str_c(uuid));
}

static void add_request(struct span *s, const struct req *req)
{
	const struct http_req_priv *p = req->priv;
	const char *method = req->method == HTTP_OTHER
				     ? "_OTHER"
				     : http_method_name(req->method);

	span_attr_str(s, "http.request.method", tl_str_c(method));
	span_attr_str(s, "url.path", req->path); /* never the query */
	if (p->match.route != NULL)
		span_attr_str(s, "http.route", tl_str_c(p->match.route->path));
	span_attr_int(s, "http.response.status_code", p->status);
	span_attr_str(s, "network.protocol.version",
		      tl_str_c(req->ev != NULL && req->ev->minor == 0 ? "1.0"
								      : "1.1"));
	span_attr_str(s, "tallyd.request_id", req->request_id);
}

void http_trace_end(struct req *req, uint64_t end_mono_ns)
{
	const struct http_trace *t = req->priv->trace;
	const struct route *route = req->priv->match.route;
	const char *method = req->method == HTTP_OTHER
				     ? "HTTP"
				     : http_method_name(req->method);
	struct span s = {
		.trace = &t->own,
		.parent = t->has_parent ? t->parent : NULL,
		.kind = SPAN_SERVER,
		.failed = req->priv->status >= 500,
	};
	struct tl_buf name;

	if (!t->own.sampled || !span_recording)
		return;
	s.start_us = http_wall_us(req->http, req->start_mono_ns);
	s.end_us = http_wall_us(req->http, end_mono_ns);
	tl_buf_init(&name);
	tl_buf_adds(&name, method);
	if (route != NULL)
		tl_buf_addf(&name, " %s", route->path);
	s.name = tl_buf_str(&name);
	add_request(&s, req);
	add_caller(&s, req);
	span_add(&s);
	tl_buf_deinit(&name);
}
