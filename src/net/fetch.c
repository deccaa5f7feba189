/*
 * fetch.c - calls from top to bottom: check, turn, look-up, exchange,
 * redirects.  See fetch.h.
 */
#include "net/fetch.h"

#include <ctype.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/span.h"
#include "net/fetch_internal.h"

#define ADDRESSES_MAX    16
#define HEADER_MAX_BYTES 8192

struct call {
	const struct fetch_request *rq;
	struct fetch_reply *reply;
	struct tl_err *err;
	CURLU *url; /* of the present exchange */
	struct net_target target;
	/* these change at redirects */
	const char *method;
	const void *body;
	size_t body_bytes;
	const struct trace *trace; /* handed on; NULL: none */
	bool abroad; /* another origin than the one that was asked for */
	uint64_t due_mono_ms;
};

static const struct {
	const char *name, *text;
	enum tl_status status;
} whys[] = {
	[FETCH_DONE] = { "done", "answered", TL_OK },
	[FETCH_INVALID] = { "invalid_request", "the request is not valid",
			    TL_INVALID },
	[FETCH_REFUSED] = { "egress_refused",
			    "the egress rules refuse the call", TL_DENIED },
	[FETCH_BUSY] = { "busy", "too many calls are waiting", TL_FULL },
	[FETCH_STOPPED] = { "stopped", "the caller was stopped", TL_CANCELED },
	[FETCH_NAME_UNKNOWN] = { "name_unknown", "the host name does not exist",
				 TL_UNAVAILABLE },
	[FETCH_NAME_FAILED] = { "name_failed",
				"the host name could not be looked up",
				TL_UNAVAILABLE },
	[FETCH_CONNECT] = { "connect_failed", "no connection", TL_UNAVAILABLE },
	[FETCH_TLS] = { "tls_failed",
			"TLS failed, or the certificate is not valid",
			TL_UNAVAILABLE },
	[FETCH_TIMEOUT] = { "timeout", "no whole answer in time",
			    TL_UNAVAILABLE },
	[FETCH_BROKEN_OFF] = { "broken_off",
			       "the connection ended before the answer did",
			       TL_UNAVAILABLE },
	[FETCH_PROTOCOL] = { "protocol_error", "the answer is not HTTP",
			     TL_UNAVAILABLE },
	[FETCH_HEAD_TOO_LARGE] = { "head_too_large",
				   "the answer's headers are too large",
				   TL_UNAVAILABLE },
	[FETCH_BODY_TOO_LARGE] = { "body_too_large",
				   "the answer's body is too large",
				   TL_UNAVAILABLE },
	[FETCH_REDIRECTS] = { "too_many_redirects", "too many redirects",
			      TL_UNAVAILABLE },
	[FETCH_FAULT] = { "fault", "a fault of tallyd", TL_BROKEN },
};

const char *fetch_why_name(enum fetch_why why)
{
	return whys[why].name;
}

const char *fetch_why_text(enum fetch_why why)
{
	return whys[why].text;
}

/* Keeps the words that err has. */
static enum tl_status give_up(struct call *c, enum fetch_why why)
{
	c->reply->why = why;
	if (why != FETCH_STOPPED)
		c->err->status = whys[why].status;
	return c->err->status;
}

static enum tl_status invalid(struct call *c, const char *words)
{
	tl_err_set(c->err, TL_INVALID, "%s", words);
	return give_up(c, FETCH_INVALID);
}

/* What a wait came back with. */
static enum tl_status stopped(struct call *c, enum tl_status st)
{
	c->err->status = st;
	return give_up(c, FETCH_STOPPED);
}

static enum tl_status timed_out(struct call *c, const char *doing)
{
	tl_err_set(c->err, TL_UNAVAILABLE, "timed out while %s", doing);
	return give_up(c, FETCH_TIMEOUT);
}

/* ---- what may be asked ---- */

static bool is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) &&
		    strchr("!#$%&'*+-.^_`|~", *s) == NULL)
			return false;
	return true;
}

static bool one_of(const char *name, const char *const *list)
{
	for (; *list != NULL; list++)
		if (tl_str_ieq(tl_str_c(name), tl_str_c(*list)))
			return true;
	return false;
}

static bool header_valid(const struct fetch_header *h)
{
	/* framing and the connection are libcurl's */
	static const char *const ours[] = { "host",       "content-length",
					    "connection", "transfer-encoding",
					    "upgrade",    "expect",
					    "te",         "trailer",
					    "keep-alive", NULL };

	return is_token(h->name) && !one_of(h->name, ours) &&
	       strnlen(h->value, HEADER_MAX_BYTES) < HEADER_MAX_BYTES &&
	       !tl_has_control(tl_str_c(h->value));
}

static enum tl_status check_request(struct call *c)
{
	static const char *const methods[] = { "GET",     "HEAD",  "POST",
					       "PUT",     "PATCH", "DELETE",
					       "OPTIONS", NULL };
	const struct fetch_request *rq = c->rq;
	bool known = false;

	for (const char *const *m = methods; *m != NULL; m++)
		known = known || strcmp(rq->method, *m) == 0;
	if (!known)
		return invalid(c, "the method is none of GET, HEAD, POST, PUT, "
				  "PATCH, DELETE, OPTIONS");
	if (rq->body != NULL &&
	    (strcmp(rq->method, "GET") == 0 || strcmp(rq->method, "HEAD") == 0))
		return invalid(c, "GET and HEAD have no body");
	if (rq->n_headers > FETCH_HEADERS_MAX)
		return invalid(c, "there are too many headers");
	for (uint32_t i = 0; i < rq->n_headers; i++)
		if (!header_valid(&rq->headers[i]))
			return invalid(c, "a header's name or value is not "
					  "valid, or it is not the caller's "
					  "to set");
	return TL_OK;
}

/* ---- refusals ---- */

static void log_refusal(CURLU *url, const char *rule, const struct tl_err *err)
{
	struct tl_buf fields;
	char *host = NULL;

	/* The host alone: paths and queries carry secrets. */
	if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		host = NULL;
	tl_buf_init(&fields);
	tl_buf_adds(&fields, "\"host\":");
	tl_buf_add_json(&fields, tl_str_c(host != NULL ? host : ""));
	tl_buf_adds(&fields, ",\"rule\":");
	tl_buf_add_json(&fields, tl_str_c(rule));
	log_write(LOG_LV_WARN, fields.ptr, "call of '%.253s' refused: %s",
		  host != NULL ? host : "", err->text);
	tl_buf_deinit(&fields);
	curl_free(host);
}

static enum tl_status refuse(struct call *c)
{
	log_refusal(c->url, c->reply->rule, c->err);
	return give_up(c, FETCH_REFUSED);
}

/* Absolute or relative text to c->url and c->target. */
static enum tl_status go_to(struct call *c, const char *text)
{
	struct fetch_reply *reply = c->reply;
	enum tl_status st = net_url_set(c->url, text, &reply->rule, c->err);

	if (st == TL_OK)
		st = net_url_judge(&net.rules, c->url, &c->target, &reply->rule,
				   c->err);
	if (st == TL_DENIED)
		return refuse(c);
	return st == TL_OK ? TL_OK : give_up(c, FETCH_FAULT);
}

/* ---- look-up ---- */

/*
 * Each address of the host is checked, since libcurl may take any of them.
 * list: "host:port:addr,[addr]" as CURLOPT_RESOLVE has it, or nothing for an
 * address, which was judged with the URL.
 */
static enum tl_status look_up(const struct net_target *target,
			      uint64_t due_mono_ms, struct tl_buf *list,
			      const char **rule, struct tl_err *err)
{
	struct co_addr addrs[ADDRESSES_MAX];
	struct tally_addr addr;
	uint32_t n = ADDRESSES_MAX;
	enum tl_status st;

	if (target->literal)
		return TL_OK;
	st = co_resolve_until(net.names, target->host, due_mono_ms, addrs, &n,
			      err);
	if (st != TL_OK)
		return st;
	/* '+': libcurl forgets it after a minute; a later list replaces it */
	tl_buf_addf(list, "+%s:%u:", target->host, (unsigned)target->port);
	for (uint32_t i = 0; i < n && st == TL_OK; i++) {
		bool v6 = addrs[i].family != AF_INET;

		tl_assert(tally_addr_parse(tl_str_c(addrs[i].text), &addr));
		st = net_addr_check(&net.rules, &addr, rule, err);
		tl_buf_addf(list, v6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "",
			    addrs[i].text);
	}
	return st;
}

static enum tl_status look_up_failed(struct call *c, enum tl_status st)
{
	switch (st) {
	case TL_DENIED:
		return refuse(c);
	case TL_NOT_FOUND:
		return give_up(c, FETCH_NAME_UNKNOWN);
	case TL_DEADLINE:
	case TL_CANCELED:
		return stopped(c, st);
	case TL_UNAVAILABLE:
		if (tl_mono_ms() >= c->due_mono_ms)
			return timed_out(c, "looking up the host name");
		return give_up(c, FETCH_NAME_FAILED);
	default:
		return give_up(c, FETCH_FAULT);
	}
}

/* ---- exchange ---- */

static struct curl_slist *add_line(struct curl_slist *list, const char *line)
{
	list = curl_slist_append(list, line);
	tl_assert(list != NULL);
	return list;
}

/* Who is called may go on with our trace. */
static struct curl_slist *add_trace(struct curl_slist *list,
				    const struct trace *t)
{
	char line[sizeof("traceparent: ") + TRACE_STATE_MAX];

	memcpy(line, "traceparent: ", 13);
	trace_format(t, line + 13);
	list = add_line(list, line);
	if (t->state[0] == '\0')
		return list;
	snprintf(line, sizeof(line), "tracestate: %s", t->state);
	return add_line(list, line);
}

static struct curl_slist *make_headers(const struct call *c)
{
	static const char *const harmless[] = { "accept", "accept-language",
						"content-type", "user-agent",
						NULL };
	struct curl_slist *list = add_line(NULL, "Expect:");
	bool typed = false;
	struct tl_buf line;

	tl_buf_init(&line);
	for (uint32_t i = 0; i < c->rq->n_headers; i++) {
		const struct fetch_header *h = &c->rq->headers[i];

		if (c->abroad && !one_of(h->name, harmless))
			continue;
		typed = typed ||
			tl_str_ieq(tl_str_c(h->name), TL_STR("content-type"));
		tl_buf_reset(&line);
		tl_buf_adds(&line, h->name);
		/* libcurl takes "Name:" as an order to leave it out */
		tl_buf_adds(&line, *h->value != '\0' ? ": " : ";");
		tl_buf_adds(&line, h->value);
		list = add_line(list, line.ptr);
	}
	tl_buf_deinit(&line);
	if (c->trace != NULL && !c->abroad)
		list = add_trace(list, c->trace);
	/* else libcurl calls every body a form */
	return typed ? list : add_line(list, "Content-Type:");
}

static enum tl_status take_outcome(struct call *c, struct exchange *ex,
				   enum tl_status st)
{
	enum fetch_why why;

	exchange_facts(ex);
	if (st == TL_BROKEN)
		return give_up(c, FETCH_FAULT);
	if (st != TL_OK)
		return stopped(c, st);
	if (!ex->done)
		return timed_out(c, exchange_phase(ex));
	why = exchange_outcome(ex);
	if (why == FETCH_DONE)
		return TL_OK;
	if (why == FETCH_TIMEOUT) /* of connecting */
		return timed_out(c, exchange_phase(ex));
	if (why != FETCH_REFUSED)
		return give_up(c, why);
	c->reply->rule = ex->rule;
	return refuse(c);
}

static enum tl_status exchange(struct call *c, struct curl_slist *addresses)
{
	const struct fetch_request *rq = c->rq;
	struct exchange_plan plan = {
		.url = c->url,
		.method = c->method,
		.body = c->body,
		.body_bytes = c->body_bytes,
		.headers = make_headers(c),
		.addresses = addresses,
		.connect_timeout_ms = rq->connect_timeout_ms > 0
					      ? rq->connect_timeout_ms
					      : FETCH_CONNECT_TIMEOUT_MS,
	};
	struct exchange ex = { .reply = c->reply,
			       .err = c->err,
			       .body_max_bytes =
				       rq->response_max_bytes > 0
					       ? rq->response_max_bytes
					       : FETCH_RESPONSE_MAX_BYTES };
	enum tl_status st;

	exchange_open(&ex, &plan);
	st = take_outcome(c, &ex, net_run(&ex, c->due_mono_ms, c->err));
	curl_easy_cleanup(ex.easy);
	curl_slist_free_all(plan.headers);
	return st;
}

static uint64_t since_us(uint64_t from_mono_ns)
{
	return (tl_mono_ns() - from_mono_ns) / 1000;
}

/* Look-up and exchange with where c->url points to. */
static enum tl_status hop(struct call *c)
{
	struct curl_slist *addresses = NULL;
	uint64_t from = tl_mono_ns();
	struct tl_buf list;
	enum tl_status st;

	tl_buf_init(&list);
	st = look_up(&c->target, c->due_mono_ms, &list, &c->reply->rule,
		     c->err);
	c->reply->times.resolve_us += since_us(from);
	if (st == TL_OK && list.len > 0)
		addresses = add_line(NULL, list.ptr);
	tl_buf_deinit(&list);
	if (st != TL_OK)
		return look_up_failed(c, st);
	st = exchange(c, addresses);
	curl_slist_free_all(addresses);
	return st;
}

/* ---- redirects ---- */

static bool redirects(const struct fetch_reply *reply)
{
	switch (reply->status) {
	case 301:
	case 302:
	case 303:
	case 307:
	case 308:
		return fetch_reply_header(reply, "location") != NULL;
	default:
		return false;
	}
}

static void forget_answer(struct fetch_reply *reply)
{
	tl_arena_deinit(&reply->arena);
	reply->headers = NULL;
	reply->n_headers = 0;
	reply->reason[0] = '\0';
	reply->status = 0;
	tl_buf_reset(&reply->body);
	reply->remote[0] = '\0';
	reply->remote_port = 0;
	reply->reused = false;
}

static void become_get(struct call *c)
{
	c->method = "GET";
	c->body = NULL;
	c->body_bytes = 0;
}

static enum tl_status follow(struct call *c)
{
	struct net_target from = c->target;
	unsigned status = c->reply->status;
	enum tl_status st;
	char *location;

	if (c->reply->redirects == c->rq->max_redirects) {
		tl_err_set(c->err, TL_UNAVAILABLE, "more than %u redirects",
			   c->rq->max_redirects);
		return give_up(c, FETCH_REDIRECTS);
	}
	location = tl_strdup(fetch_reply_header(c->reply, "location"));
	forget_answer(c->reply);
	c->reply->redirects++;
	st = go_to(c, location);
	tl_free(location);
	if (st != TL_OK)
		return st;
	if ((status == 303 && strcmp(c->method, "HEAD") != 0) ||
	    (status < 303 && strcmp(c->method, "POST") == 0))
		become_get(c);
	if (strcmp(from.host, c->target.host) != 0 ||
	    from.port != c->target.port || from.https != c->target.https)
		c->abroad = true;
	return hop(c);
}

/* ---- the call ---- */

static enum tl_status turn_failed(struct call *c, enum tl_status st)
{
	if (st == TL_FULL)
		return give_up(c, FETCH_BUSY);
	if (st != TL_OK)
		return stopped(c, st);
	return timed_out(c, "waiting for its turn");
}

static enum tl_status run(struct call *c)
{
	uint64_t from = tl_mono_ns();
	enum tl_status st = check_request(c);
	bool got = false;

	if (st == TL_OK)
		st = go_to(c, c->rq->url);
	if (st != TL_OK)
		return st;
	st = net_turn_take(c->due_mono_ms, &got, c->err);
	c->reply->times.queue_us = since_us(from);
	if (!got)
		return turn_failed(c, st);
	st = hop(c);
	while (st == TL_OK && c->rq->max_redirects > 0 && redirects(c->reply))
		st = follow(c);
	net_turn_give();
	return st;
}

/* The host alone, as in logs: paths and queries carry secrets. */
static void record(const struct call *c, const struct trace *own,
		   const struct trace *parent, int64_t start_us)
{
	const struct fetch_reply *reply = c->reply;
	struct span s = {
		.trace = own,
		.parent = parent->span_id,
		.kind = SPAN_CLIENT,
		.name = tl_str_c(c->rq->method),
		.start_us = start_us,
		.end_us = start_us + (int64_t)reply->times.total_us,
		.failed = reply->why != FETCH_DONE || reply->status >= 400,
	};

	span_attr_str(&s, "http.request.method", s.name);
	span_attr_str(&s, "server.address", tl_str_c(c->target.host));
	span_attr_int(&s, "server.port", c->target.port);
	if (reply->status != 0)
		span_attr_int(&s, "http.response.status_code", reply->status);
	if (reply->why != FETCH_DONE)
		span_attr_str(&s, "error.type",
			      tl_str_c(fetch_why_name(reply->why)));
	span_add(&s);
}

enum tl_status fetch(const struct fetch_request *rq, struct fetch_reply *reply,
		     struct tl_err *err)
{
	const struct trace *parent = co_local();
	bool recorded = parent != NULL && parent->sampled && span_recording;
	int64_t start_us = recorded ? tl_wall_us() : 0;
	struct trace own;
	uint32_t timeout_ms =
		rq->timeout_ms > 0 ? rq->timeout_ms : FETCH_TIMEOUT_MS;
	uint64_t from = tl_mono_ns();
	struct tl_err words = { .status = TL_OK };
	struct call c = { .rq = rq,
			  .reply = reply,
			  .err = err != NULL ? err : &words,
			  .method = rq->method,
			  .body = rq->body,
			  .body_bytes = rq->body_bytes,
			  .due_mono_ms = tl_mono_ms() + timeout_ms };
	enum tl_status st;

	tl_assert(co_self() != NULL && net.multi != NULL);
	memset(reply, 0, sizeof(*reply));
	tl_arena_init(&reply->arena);
	tl_buf_init(&reply->body);
	c.url = curl_url();
	tl_assert(c.url != NULL);
	c.trace = parent;
	if (recorded) {
		own = *parent;
		trace_span_id(own.span_id);
		c.trace = &own;
	}
	st = run(&c);
	curl_url_cleanup(c.url);
	reply->times.total_us = since_us(from);
	if (recorded)
		record(&c, &own, parent, start_us);
	return st;
}

void fetch_reply_deinit(struct fetch_reply *reply)
{
	tl_arena_deinit(&reply->arena);
	tl_buf_deinit(&reply->body);
	reply->headers = NULL;
	reply->n_headers = 0;
}

const char *fetch_reply_header(const struct fetch_reply *reply,
			       const char *name)
{
	for (uint32_t i = 0; i < reply->n_headers; i++)
		if (tl_str_ieq(tl_str_c(reply->headers[i].name),
			       tl_str_c(name)))
			return reply->headers[i].value;
	return NULL;
}

enum tl_status fetch_check(const char *url, uint32_t timeout_ms,
			   const char **rule, struct tl_err *err)
{
	struct tl_err words = { .status = TL_OK };
	struct net_target target;
	CURLU *parsed = curl_url();
	struct tl_buf list;
	enum tl_status st;

	tl_assert(co_self() != NULL && net.multi != NULL && parsed != NULL);
	if (err == NULL)
		err = &words;
	tl_buf_init(&list);
	st = net_url_set(parsed, url, rule, err);
	if (st == TL_OK)
		st = net_url_judge(&net.rules, parsed, &target, rule, err);
	if (st == TL_OK)
		st = look_up(&target, tl_mono_ms() + timeout_ms, &list, rule,
			     err);
	if (st == TL_DENIED)
		log_refusal(parsed, *rule, err);
	tl_buf_deinit(&list);
	curl_url_cleanup(parsed);
	return st;
}
