/*
 * egress_rig.h - servers for calls to go wrong with, all on the test's loop.
 *
 * A name server, an HTTP server on 127.0.0.2, which the settings allow, and
 * its twin on the same port of 127.0.0.1, which they do not; one that accepts
 * and is mute, one that does not even accept, and TLS servers with right and
 * wrong certificates of an authority made for the test.
 */
#ifndef TALLY_TESTS_EGRESS_RIG_H
#define TALLY_TESTS_EGRESS_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "loop/co.h"
#include "net/fetch.h"
#include "net/net.h"

enum rig_port {
	RIG_HTTP,      /* 127.0.0.2 */
	RIG_FORBIDDEN, /* 127.0.0.1, same port as RIG_HTTP */
	RIG_MUTE,      /* accepts and reads */
	RIG_FULL,      /* connections are never accepted */
	RIG_TLS,       /* good.test */
	RIG_TLS_OTHER, /* the certificate says other.test */
	RIG_TLS_EXPIRED,
	RIG_TLS_SELF, /* signed by itself */
	RIG_PORTS
};

struct rig {
	struct event_base *base;
	struct conf *conf;
	uint16_t port[RIG_PORTS];
	unsigned accepted[RIG_PORTS];
	unsigned bytes[RIG_PORTS];    /* read by RIG_MUTE */
	unsigned requests;            /* of all servers */
	unsigned active, active_peak; /* requests without answer yet */
	unsigned questions;           /* for addresses, of any name */
	unsigned rebind_questions;
	char last_request[8192]; /* head and body, as received */
	char log_path[64];
};
extern struct rig rig;

/* options: of the configuration, in addition; NULL at the end. */
void rig_up(const char *const *options);
void rig_down(void); /* also asserts that nothing is left */

/*
 * A call that a coroutine of its own makes.  %P in url_format is replaced by
 * the port.
 */
struct rig_call {
	struct fetch_request rq;
	struct fetch_reply reply;
	struct tl_err err;
	enum tl_status st;
	struct co *co;
	bool done;
	char url[2048];
};
void rig_url(struct rig_call *c, const char *url_format, enum rig_port port);
void rig_start(struct rig_call *c, uint64_t deadline_mono_ms);
void rig_wait(struct rig_call *c); /* until it is done */
/* Both, GET without deadline. */
void rig_get(struct rig_call *c, const char *url_format, enum rig_port port);
void rig_free(struct rig_call *c);
/* One pass of the loop, or 20 ms. */
void rig_turn(void);
/* Lines of the log with this text. */
unsigned rig_log_lines(const char *text);

/* egress_certs.c */
struct ssl_ctx_st;
struct rig_certs {
	char ca_path[64];
	struct ssl_ctx_st *good, *other, *expired, *self;
};
void rig_certs_make(struct rig_certs *certs);
void rig_certs_free(struct rig_certs *certs);

#endif
