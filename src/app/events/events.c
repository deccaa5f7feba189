/*
 * events.c - the streams of a worker, and the one walk over the ring that
 * serves them.
 *
 * Each tick looks once at every record that came since the last: whose it is
 * stands in its first cache line, a small hash tells whether one of our
 * streams is that user's.  Each user has its turn every TURN_MS.  What concerns
 * it is then written once, whatever number of streams gets it, and no more
 * than LIVE_MAX requests: more than that nobody reads, and a busy key must not
 * cost the others.  A tick serves a part of the users only, because a thousand
 * sends at a time would hold up the gate for many milliseconds.
 *
 * A client that comes back with Last-Event-ID is behind: what it has missed is
 * looked for in slices, for all such streams in one walk, and given to it in
 * one piece.  From there on it is live.
 */
#include "app/events/events.h"

#include "app/metering/metering.h"
#include "base/list.h"
#include "shm/metrics.h"
#include "shm/ring.h"

#define BUCKETS      1024 /* a power of two */
#define TURN_MS      250
#define LIVE_MAX     32    /* requests a turn */
#define REPLAY_MAX   128   /* requests told again */
#define REPLAY_SLICE 2048  /* records a tick */
#define WALK_SLICE   16384 /* the same, of new ones */
#define STUCK_TICKS  40 /* a record that is not whole by then never will be */
#define RETRY_LINE   "retry: 2000\n"

struct user {
	struct user *next;   /* in the bucket */
	struct tl_list link; /* all users, by due_ms */
	uint64_t due_ms;     /* mono; its next turn */
	struct tl_list streams;
	uint32_t n_streams;
	struct tl_uuid id;
	struct decide_usage usage; /* as it was told last */
	struct events_recent live;
};
struct stream {
	struct tl_list link;   /* of the user */
	struct tl_list behind; /* those that are */
	struct user *user;
	struct sse *sse;
	struct tally_digest digest;
	struct tl_uuid key_id;
	struct tally_addr client;
	uint64_t keep_due_ms;
	uint64_t pos; /* of a stream that is behind: to be looked at next */
	struct events_recent missed; /* of such a stream */
};
struct hub {
	struct decide *decide;
	struct events_ring ring;
	uint64_t keep_each_ms;
	uint64_t at; /* all records before it have been looked at */
	uint64_t stuck_at;
	uint32_t stuck_ticks;
	struct user *buckets[BUCKETS];
	struct tl_list users, behind;
	uint32_t n_streams;
	struct tl_buf out;
};

/* ---- users ---- */

/* Demo ids and the like differ in their last bytes only. */
static struct user **bucket_of(struct hub *hub, const struct tl_uuid *id)
{
	uint64_t a, b;

	memcpy(&a, id->b, sizeof(a));
	memcpy(&b, id->b + 8, sizeof(b));
	a = (a ^ b * 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
	return &hub->buckets[(a >> 40) & (BUCKETS - 1)];
}

static struct user *user_find(struct hub *hub, const struct tl_uuid *id)
{
	struct user *u = *bucket_of(hub, id);

	while (u != NULL && !tl_uuid_eq(&u->id, id))
		u = u->next;
	return u;
}

static struct user *user_new(struct hub *hub, const struct tl_uuid *id)
{
	struct user *u = tl_alloc(sizeof(*u)), **bucket = bucket_of(hub, id);

	u->id = *id;
	u->next = *bucket;
	*bucket = u;
	tl_list_prepend(&hub->users, &u->link); /* its turn is next */
	tl_list_init(&u->streams);
	u->live.max = LIVE_MAX;
	return u;
}

static void user_release(struct hub *hub, struct user *u)
{
	struct user **at = bucket_of(hub, &u->id);

	if (!tl_list_empty(&u->streams))
		return;
	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	tl_list_unlink(&u->link);
	tl_free(u->live.pos);
	tl_free(u);
}

/* ---- requests ---- */

static bool is_behind(const struct stream *s)
{
	return s->missed.pos != NULL;
}

static void send_live(struct user *u, struct tl_str events, uint32_t n)
{
	struct tl_list *at, *tmp;

	TL_LIST_EACH(at, tmp, &u->streams)
	{
		struct stream *s = TL_CONTAINER(at, struct stream, link);

		if (!is_behind(s))
			sse_send(s->sse, events, n);
	}
}

static void tell_requests(struct hub *hub, struct user *u)
{
	uint32_t n;

	if (u->live.seen == 0)
		return;
	tl_buf_reset(&hub->out);
	n = events_write_requests(&hub->ring, &u->live, &hub->out);
	u->live.seen = 0;
	send_live(u, tl_buf_str(&hub->out), n);
}

/* ---- streams that are behind ---- */

static void set_live(struct stream *s)
{
	tl_freep(&s->missed.pos);
	tl_list_unlink(&s->behind);
}

static void set_behind(struct hub *hub, struct stream *s, uint64_t pos)
{
	s->pos = pos;
	s->missed = (struct events_recent){
		.max = REPLAY_MAX,
		.pos = tl_alloc_array(REPLAY_MAX, sizeof(uint64_t)),
	};
	tl_list_append(&hub->behind, &s->behind);
}

/* It is told all that there is up to now; the usage it saw may be an old one.
 * What waits for the turn of its user is older, and was among it. */
static void caught_up(struct hub *hub, struct stream *s)
{
	uint32_t n;

	tell_requests(hub, s->user);
	tl_buf_reset(&hub->out);
	n = events_write_requests(&hub->ring, &s->missed, &hub->out);
	events_write_usage(&hub->ring, hub->at, &s->user->usage, &hub->out);
	set_live(s);
	sse_send(s->sse, tl_buf_str(&hub->out), n + 1);
}

static void reset(struct hub *hub, struct stream *s)
{
	if (is_behind(s))
		set_live(s);
	tl_buf_reset(&hub->out);
	events_write_reset(&hub->ring, hub->at, "too_old", &hub->out);
	sse_send(s->sse, tl_buf_str(&hub->out), 1);
}

static void note_missed(struct hub *hub, uint64_t pos,
			const struct tl_uuid *user_id)
{
	struct user *u = user_find(hub, user_id);
	struct tl_list *at, *tmp;

	if (u == NULL)
		return;
	TL_LIST_EACH(at, tmp, &u->streams)
	{
		struct stream *s = TL_CONTAINER(at, struct stream, link);

		if (is_behind(s) && s->pos <= pos)
			events_note(&hub->ring, &s->missed, pos);
	}
}

static uint64_t furthest_behind(struct hub *hub)
{
	uint64_t pos = hub->at;
	struct tl_list *at, *tmp;

	TL_LIST_EACH(at, tmp, &hub->behind)
	{
		struct stream *s = TL_CONTAINER(at, struct stream, behind);

		if (s->pos < pos)
			pos = s->pos;
	}
	return pos;
}

/* A slice of what they have missed, for all of them in one walk. */
static void replay(struct hub *hub)
{
	uint64_t pos = furthest_behind(hub), end = hub->at, gone = 0;
	struct tl_list *at, *tmp;
	struct tl_uuid user_id;

	if (end - pos > REPLAY_SLICE)
		end = pos + REPLAY_SLICE;
	for (; pos < end; pos++)
		switch (shm_ring_owner(hub->ring.shm, pos, &user_id)) {
		case SHM_RING_WHOLE:
			note_missed(hub, pos, &user_id);
			break;
		case SHM_RING_GONE:
			gone = pos + 1;
			break;
		case SHM_RING_NOT_YET: /* its writer died */
			break;
		}
	TL_LIST_EACH(at, tmp, &hub->behind)
	{
		struct stream *s = TL_CONTAINER(at, struct stream, behind);

		if (s->pos < gone) {
			reset(hub, s);
			continue;
		}
		if (s->pos < end)
			s->pos = end;
		if (s->pos == hub->at) /* it may be ahead of us */
			caught_up(hub, s);
	}
}

/* ---- live ---- */

static void note_live(struct hub *hub, uint64_t pos,
		      const struct tl_uuid *user_id)
{
	struct user *u = user_find(hub, user_id);

	if (u == NULL)
		return;
	if (u->live.pos == NULL)
		u->live.pos = tl_alloc_array(LIVE_MAX, sizeof(uint64_t));
	events_note(&hub->ring, &u->live, pos);
}

/* Writers were faster than we: nobody knows what was in there. */
static void lost(struct hub *hub)
{
	struct tl_list *at, *tmp, *s, *s_tmp;

	hub->at = shm_ring_next(hub->ring.shm);
	TL_LIST_EACH(at, tmp, &hub->users)
	{
		struct user *u = TL_CONTAINER(at, struct user, link);

		u->live.seen = 0;
		TL_LIST_EACH(s, s_tmp, &u->streams)
		reset(hub, TL_CONTAINER(s, struct stream, link));
	}
}

/* True: the record will never be whole; its writer was killed. */
static bool is_stuck(struct hub *hub)
{
	if (hub->stuck_at != hub->at) {
		hub->stuck_at = hub->at;
		hub->stuck_ticks = 0;
	}
	return ++hub->stuck_ticks > STUCK_TICKS;
}

static void walk(struct hub *hub)
{
	uint64_t next = shm_ring_next(hub->ring.shm);
	struct tl_uuid user_id;

	if (next - hub->at > WALK_SLICE)
		next = hub->at + WALK_SLICE;
	for (; hub->at < next; hub->at++)
		switch (shm_ring_owner(hub->ring.shm, hub->at, &user_id)) {
		case SHM_RING_WHOLE:
			note_live(hub, hub->at, &user_id);
			break;
		case SHM_RING_GONE:
			lost(hub);
			return;
		case SHM_RING_NOT_YET:
			if (!is_stuck(hub))
				return;
			break;
		}
}

static bool same_usage(const struct decide_usage *a,
		       const struct decide_usage *b)
{
	return a->credits_used == b->credits_used &&
	       a->credits_limit == b->credits_limit &&
	       a->request_count == b->request_count && a->day == b->day;
}

static void tell_usage(struct hub *hub, struct user *u, uint64_t mono_ns)
{
	struct decide_usage now;

	if (!decide_usage(hub->decide, &u->id, mono_ns, &now) ||
	    same_usage(&now, &u->usage))
		return;
	u->usage = now;
	tl_buf_reset(&hub->out);
	events_write_usage(&hub->ring, hub->at, &now, &hub->out);
	send_live(u, tl_buf_str(&hub->out), 1);
}

/* ---- is the key still good? ---- */

static void check(struct hub *hub, struct stream *s, uint64_t mono_ns)
{
	uint64_t now_ms = mono_ns / TL_NS_PER_MS;
	bool keep = now_ms >= s->keep_due_ms;

	if (keep)
		s->keep_due_ms = now_ms + hub->keep_each_ms;
	switch (decide_standing(hub->decide, &s->digest, &s->client, keep,
				mono_ns)) {
	case DECIDE_R_NONE:
		return;
	case DECIDE_R_EXPIRED:
		sse_end(s->sse, SSE_EXPIRED);
		return;
	case DECIDE_R_SUSPENDED:
		sse_end(s->sse, SSE_SUSPENDED);
		return;
	case DECIDE_R_UNKNOWN: /* not held any more: who comes back loads it */
		sse_end(s->sse, SSE_STOPPING);
		return;
	default:
		sse_end(s->sse, SSE_REVOKED);
	}
}

/* ---- turns ---- */

static void serve(struct hub *hub, struct user *u, uint64_t mono_ns)
{
	struct tl_list *at, *tmp;

	TL_LIST_EACH(at, tmp, &u->streams)
	check(hub, TL_CONTAINER(at, struct stream, link), mono_ns);
	tell_requests(hub, u);
	tell_usage(hub, u, mono_ns);
}

/* So many streams that all have had their turn within TURN_MS. */
static void serve_some(struct hub *hub, uint64_t mono_ns)
{
	uint32_t left = hub->n_streams * SSE_TICK_MS / TURN_MS + 1;
	uint64_t now_ms = mono_ns / TL_NS_PER_MS;

	while (left > 0) {
		struct user *u =
			TL_CONTAINER(hub->users.next, struct user, link);

		if (u->due_ms > now_ms)
			return;
		serve(hub, u, mono_ns);
		u->due_ms = now_ms + TURN_MS;
		tl_list_unlink(&u->link);
		tl_list_append(&hub->users, &u->link);
		left -= u->n_streams < left ? u->n_streams : left;
	}
}

static void tick(void *state, uint64_t mono_ns)
{
	struct hub *hub = state;

	if (!tl_list_empty(&hub->behind))
		replay(hub);
	walk(hub);
	serve_some(hub, mono_ns);
}

/* ---- the kind ---- */

static void *hub_new(struct req *req)
{
	struct decide *d = req_decide(req);
	struct hub *hub = tl_alloc(sizeof(*hub));

	hub->decide = d;
	hub->ring = (struct events_ring){ d->shm, d->rules.metering_enabled };
	/* four times before the janitor would take an idle key */
	hub->keep_each_ms = req_conf(req)->shm.idle_evict_s * 250ULL;
	hub->at = shm_ring_next(d->shm);
	hub->stuck_at = UINT64_MAX;
	tl_list_init(&hub->users);
	tl_list_init(&hub->behind);
	tl_buf_init(&hub->out);
	return hub;
}

static void hub_free(void *state)
{
	struct hub *hub = state;

	tl_buf_deinit(&hub->out);
	tl_free(hub);
}

static void gone(void *state, void *item)
{
	struct hub *hub = state;
	struct stream *s = item;

	if (is_behind(s))
		set_live(s);
	tl_list_unlink(&s->link);
	s->user->n_streams--;
	hub->n_streams--;
	user_release(hub, s->user);
	tl_free(s);
}

static void bye(void *state, void *item, enum sse_why why, struct tl_buf *b)
{
	(void)state;
	(void)item;
	events_write_bye(sse_why_name(why), b);
}

static const struct sse_kind KIND = { .hub_new = hub_new,
				      .tick = tick,
				      .hub_free = hub_free,
				      .gone = gone,
				      .bye = bye };

/* ---- GET /api/events ---- */

/* False: refused and answered. */
static bool has_room(struct req *req)
{
	uint32_t n = 0, max = req_conf(req)->events.max_per_key;
	struct hub *hub = sse_hub(req, &KIND);
	struct tl_list *at, *tmp;
	struct user *u = NULL;

	if (hub != NULL)
		u = user_find(hub, &req->d.user_id);
	if (u == NULL)
		return true;
	TL_LIST_EACH(at, tmp, &u->streams)
	n += tl_uuid_eq(&TL_CONTAINER(at, struct stream, link)->key_id,
			&req->d.key_id);
	if (n < max)
		return true;
	shm_count(req_decide(req)->shm, SHM_C_STREAMS_REFUSED, 1);
	req_header_add(req, "Retry-After", "1");
	req_fail(req, 429, "rate_limited",
		 "%u streams of this key are open; close one of them", n);
	return false;
}

/* What a stream begins with.  The usage's id is where it goes on, so a client
 * that loses it again at once has lost nothing. */
static void begin(struct hub *hub, struct stream *s,
		  const struct decide_usage *usage, const char *last_id)
{
	enum tl_status st = TL_OK;
	uint64_t pos = hub->at;
	uint32_t n = 1;

	if (last_id != NULL)
		st = events_resume(&hub->ring, tl_str_c(last_id), &pos);
	tl_buf_reset(&hub->out);
	tl_buf_adds(&hub->out, RETRY_LINE);
	if (st != TL_OK) {
		events_write_reset(&hub->ring, pos,
				   st == TL_NOT_FOUND ? "too_old" : "unknown",
				   &hub->out);
		n++;
	}
	if (pos != hub->at) /* or another worker was ahead of this one */
		set_behind(hub, s, pos);
	events_write_usage(&hub->ring, pos, usage, &hub->out);
	sse_send(s->sse, tl_buf_str(&hub->out), n);
}

static void join(struct stream *s, const struct tl_uuid *user_id,
		 const struct decide_usage *usage, const char *last_id)
{
	struct hub *hub = sse_hub_of(s->sse);

	s->user = user_find(hub, user_id);
	if (s->user == NULL) {
		s->user = user_new(hub, user_id);
		s->user->usage = *usage;
	}
	tell_requests(hub, s->user); /* not to the new one, too */
	tl_list_append(&s->user->streams, &s->link);
	s->user->n_streams++;
	hub->n_streams++;
	begin(hub, s, usage, last_id);
}

static void open_stream(struct req *req, const struct decide_usage *usage)
{
	/* the request and all that is in it will be gone */
	struct tl_str header = req_header(req, "Last-Event-ID");
	struct tl_uuid user_id = req->d.user_id;
	struct stream *s = tl_alloc(sizeof(*s));
	char *last_id = NULL;

	if (header.ptr != NULL)
		last_id = tl_strndup(header.ptr, header.len);
	s->digest = req->d.digest;
	s->key_id = req->d.key_id;
	s->client = req->client;
	tl_list_init(&s->behind);
	s->sse = sse_open(req, &KIND, s);
	if (s->sse != NULL)
		join(s, &user_id, usage, last_id);
	else
		tl_free(s);
	tl_free(last_id);
}

void events_handle(struct req *req)
{
	struct decide_usage usage;

	if (!has_room(req) || !metering_usage_now(req, &usage))
		return;
	if (req->method != HTTP_HEAD) {
		open_stream(req, &usage);
		return;
	}
	req_header_add(req, "Content-Type", "text/event-stream");
	req_reply_buf(req, 200, (struct tl_str){ NULL, 0 });
}
