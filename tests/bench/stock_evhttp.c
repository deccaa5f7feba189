/*
 * stock_evhttp.c - the measure: a plain evhttp program, constant answer.
 *
 *	stock_evhttp PORT
 *
 * One process, libevent's defaults, nothing set, nothing looked at.
 */
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

static void answer(struct evhttp_request *req, void *arg)
{
	struct evbuffer *body = arg;

	evbuffer_add(body, "ok\n", 3);
	evhttp_send_reply(req, 200, "OK", body);
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);

	if (argc != 2 ||
	    evhttp_bind_socket(http, "127.0.0.1",
			       (ev_uint16_t)strtoul(argv[1], NULL, 10)) != 0) {
		fputs("usage: stock_evhttp PORT (free)\n", stderr);
		return 1;
	}
	evhttp_set_gencb(http, answer, evbuffer_new());
	return event_base_dispatch(base);
}
