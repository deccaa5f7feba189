/*
 * strict.c - answers that wait until their charge is safe (gate.md 7).
 *
 * With metering.durability = strict the flusher tells each worker by its
 * eventfd when committed_gen has risen.  A charge belongs at the latest to
 * the scan after the one that may be running, so its answer waits for
 * flush_gen + 1 as read after the charge.  Too long: 503, still charged.
 */
#include <stdatomic.h>
#include <unistd.h>

#include <event2/event.h>

#include "http/http_internal.h"

#define LOOK_MS 50 /* also when an eventfd's word was lost to a kill */

struct http_strict {
	struct http *http;
	struct tl_list parked; /* in order of arrival */
	struct event *committed, *timer;
};

static bool committed(const struct http *h, uint64_t gen)
{
	return atomic_load(&h->shm->head->committed_gen) >= gen;
}

static void unpark(struct req *req)
{
	tl_list_unlink(&req->priv->parked);
	shm_strict_wait(req->http->shm, -1);
}

static void time_out(struct req *req)
{
	struct http_req_priv *p = req->priv;
	unsigned status = 503;

	http_count(req->http, SHM_C_STRICT_TIMEOUTS);
	/* nor are the lines that went with the answer not given */
	tl_buf_reset(&p->extra);
	p->has_cache_control = p->has_content_type = false;
	if (req->route->on_error != NULL)
		status = req->route->on_error(req, 503, "service_unavailable");
	tl_buf_reset(&p->body);
	http_error_body(&p->body, req->out_format, status,
			"service_unavailable",
			TL_STR("the charge stands but is not yet confirmed; "
			       "ask again with the same Idempotency-Key"),
			req->request_id);
	p->status = status;
	p->reply_body = tl_buf_str(&p->body);
	p->retry_after_s = HTTP_SOON_S;
}

static void look(struct http_strict *s)
{
	struct http *h = s->http;
	uint64_t now_ms = tl_mono_ms();
	struct tl_list *pos, *tmp;

	TL_LIST_EACH(pos, tmp, &s->parked)
	{
		struct req *req =
			req_of(TL_CONTAINER(pos, struct http_req_priv, parked));

		if (!committed(h, req->commit_gen)) {
			if (now_ms < req->priv->parked_until_ms)
				continue;
			time_out(req);
		}
		unpark(req);
		http_reply_now(req);
	}
	if (tl_list_empty(&s->parked))
		event_del(s->timer);
}

static void on_committed(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) >= 0)
		look(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look(arg);
}

bool http_strict_park(struct req *req)
{
	static const struct timeval tv = { 0, LOOK_MS * 1000 };
	struct http *h = req->http;
	struct http_req_priv *p = req->priv;
	uint64_t one = 1;

	if (h->strict == NULL || committed(h, req->commit_gen))
		return false;
	if (p->reply_body.ptr != p->body.ptr) { /* the handler's own memory */
		tl_buf_reset(&p->body);
		tl_buf_add(&p->body, p->reply_body.ptr, p->reply_body.len);
		p->reply_body = tl_buf_str(&p->body);
	}
	p->parked_until_ms = tl_mono_ms() + h->conf->metering.strict_timeout_ms;
	if (tl_list_empty(&h->strict->parked))
		event_add(h->strict->timer, &tv);
	tl_list_append(&h->strict->parked, &p->parked);
	shm_strict_wait(h->shm, 1);
	/*
	 * Only now: a flusher that is woken before it can see somebody wait
	 * goes back to sleep until its interval is over.
	 */
	if (h->flusher_eventfd >= 0) /* full: it is awake already */
		(void)!write(h->flusher_eventfd, &one, sizeof(one));
	return true;
}

void req_charged(struct req *req, const struct decide_out *d)
{
	struct http *h = req->http;

	if (d->charged && h->strict != NULL)
		req->commit_gen = atomic_load(&h->shm->head->flush_gen) + 1;
}

enum tl_status http_strict_init(struct http *h, struct tl_err *err)
{
	struct http_strict *s;

	if (h->conf->metering.durability != CONF_STRICT || h->shm == NULL)
		return TL_OK;
	s = tl_alloc(sizeof(*s));
	s->http = h;
	tl_list_init(&s->parked);
	h->strict = s;
	s->timer = event_new(h->base, -1, EV_PERSIST, on_timer, s);
	if (s->timer == NULL)
		return tl_err_set(err, TL_SYSTEM, "cannot make a timer");
	if (h->commit_eventfd < 0)
		return TL_OK; /* the timer looks often enough */
	s->committed = event_new(h->base, h->commit_eventfd,
				 EV_READ | EV_PERSIST, on_committed, s);
	if (s->committed == NULL || event_add(s->committed, NULL) < 0)
		return tl_err_set(err, TL_SYSTEM,
				  "cannot watch the commit eventfd");
	return TL_OK;
}

void http_strict_deinit(struct http *h)
{
	struct http_strict *s = h->strict;

	if (s == NULL)
		return;
	while (!tl_list_empty(&s->parked))
		unpark(req_of(TL_CONTAINER(s->parked.next, struct http_req_priv,
					   parked)));
	if (s->committed != NULL)
		event_free(s->committed);
	if (s->timer != NULL)
		event_free(s->timer);
	tl_freep(&h->strict);
}
