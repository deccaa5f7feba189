/*
 * client.h - a small HTTP/1.1 client over a raw socket, for tests.
 *
 * One connection, kept alive, opened anew when it is gone.  Blocks.  It is
 * written against the wire, not against tallyd's own code, so that both
 * cannot be wrong in the same way.  Bodies may be any bytes; JSON and
 * MessagePack replies are handed out as one kind of tree (json-c).
 */
#ifndef TALLY_TESTS_CLIENT_H
#define TALLY_TESTS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

#define CLIENT_HEAD_MAX  16384
#define CLIENT_BODY_MAX  (2 * 1024 * 1024)
#define CLIENT_TIMEOUT_S 20

struct client {
	const char *host;   /* NULL: 127.0.0.1 */
	const char *source; /* its own address; NULL: as the system chooses */
	uint16_t port;
	int fd;
	bool msgpack; /* client_call sends and asks for MessagePack */
	char *buf;    /* what was read and not yet used */
	size_t len;
};

struct reply {
	int status;                 /* 0: no answer */
	char head[CLIENT_HEAD_MAX]; /* status line and headers, as sent */
	char *body;                 /* NUL-terminated copy; may be NULL */
	size_t body_len;
	struct json_object *json; /* of a JSON or MessagePack body; or NULL */
	uint64_t sent_mono_ns, got_mono_ns;
};

/* Looks at each answer of client_request and client_raw when set: fixture.c
 * sets it.  Both texts are empty for bytes that are no request line. */
extern void (*client_on_reply)(const char *method, const char *target,
			       const struct reply *r);

struct client *client_new(uint16_t port);
void client_close(struct client *c); /* the next request connects anew */
void client_free(struct client **c);

/*
 * One request, one answer.  `headers` is "Name: value\r\n..." or "" or NULL;
 * Host is added, and Content-Length when there is a body.  False: no whole
 * answer came (refused, reset, closed, timed out); r_r->status is 0 then.
 * Of a stream of events only the first one is the body; then it hangs up.
 */
bool client_request(struct client *c, const char *method, const char *target,
		    const char *headers, const void *body, size_t body_len,
		    struct reply *r_r);
/* Raw bytes out, one answer in; closes the connection before and after. */
bool client_raw(struct client *c, const void *bytes, size_t len,
		struct reply *r_r);
/* Pieces: only connects; only reads the next answer (to a GET). */
bool client_connect(struct client *c);
bool client_read(struct client *c, struct reply *r_r);
void reply_deinit(struct reply *r);

/* The shapes tests use.  All free what *r held before; false as above. */
bool client_get(struct client *c, const char *target, const char *key,
		struct reply *r);
/* POST of a JSON text, sent as MessagePack when c->msgpack. */
bool client_call(struct client *c, const char *target, const char *key,
		 const char *json_text, const char *headers, struct reply *r);

/* Value of a header, NULL when absent; valid until the next header_of. */
const char *header_of(const struct reply *r, const char *name);
long header_num(const struct reply *r, const char *name); /* -1: absent */

/* "usage.credits_used", "results.2.code"; NULL when it is not there. */
struct json_object *json_at(struct json_object *o, const char *path);
const char *json_str(const struct reply *r, const char *path); /* NULL */
int64_t json_num(const struct reply *r, const char *path);     /* INT64_MIN */
bool json_true(const struct reply *r, const char *path);

/* MessagePack <-> json-c, by msgpack-c.  _pack's result is the caller's. */
char *mp_pack(struct json_object *o, size_t *len_r);
struct json_object *mp_unpack(const void *p, size_t len);

uint64_t test_mono_ns(void);
void test_sleep_ms(unsigned ms);

#endif
