/*
 * events_write.c - events as bytes, and their ids.
 *
 * An id is "EPOCH-GENERATION-POSITION", in hex: the segment, and the first
 * position of its ring that whoever has got the event has not been told of.
 */
#include <inttypes.h>
#include <stdio.h>

#include "app/events/events.h"
#include "app/metering/metering.h"
#include "shm/ring.h"

#define US_PER_DAY 86400000000LL

/* ---- ids ---- */

static void put_head(const struct events_ring *ring, uint64_t pos,
		     const char *name, struct tl_buf *b)
{
	const struct shm_head *h = ring->shm->head;

	tl_buf_addf(
		b, "id: %" PRIx64 "-%" PRIx64 "-%" PRIx64 "\nevent: %s\ndata: ",
		h->k.epoch, atomic_load(&h->generation), pos, name);
}

static bool parse_hex(struct tl_str s, uint64_t *v_r)
{
	char text[17] = "0000000000000000";
	uint8_t bytes[8];

	if (s.len < 1 || s.len > 16)
		return false;
	memcpy(text + 16 - s.len, s.ptr, s.len);
	if (!tl_unhex((struct tl_str){ text, 16 }, bytes, sizeof(bytes)))
		return false;
	*v_r = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		*v_r = *v_r << 8 | bytes[i];
	return true;
}

enum tl_status events_resume(const struct events_ring *ring, struct tl_str id,
			     uint64_t *pos_r)
{
	const struct shm_head *h = ring->shm->head;
	uint64_t part[3], next = shm_ring_next(ring->shm);
	struct tl_str piece;

	for (int i = 0; i < 3; i++)
		if (!tl_str_split(&id, '-', &piece) ||
		    !parse_hex(piece, &part[i]))
			return TL_INVALID;
	if (id.len > 0 || part[0] != h->k.epoch ||
	    part[1] != atomic_load(&h->generation) || part[2] > next)
		return TL_INVALID;
	if (next - part[2] > ring->shm->n_ring)
		return TL_NOT_FOUND;
	*pos_r = part[2];
	return TL_OK;
}

/* ---- events ---- */

static void put_name_str(struct doc_writer *w, struct tl_str name,
			 struct tl_str value)
{
	docw_name(w, name);
	docw_str(w, value);
}

void events_write_usage(const struct events_ring *ring, uint64_t pos,
			const struct decide_usage *u, struct tl_buf *b)
{
	struct doc_writer w;

	put_head(ring, pos, "usage", b);
	docw_init(&w, DOC_JSON, b);
	metering_write_usage(&w, u->credits_used, u->credits_limit,
			     u->request_count, u->day);
	tl_buf_adds(b, "\n\n");
}

void events_write_reset(const struct events_ring *ring, uint64_t pos,
			const char *reason, struct tl_buf *b)
{
	put_head(ring, pos, "reset", b);
	tl_buf_addf(b, "{\"reason\":\"%s\"}\n\n", reason);
}

void events_write_bye(const char *reason, struct tl_buf *b)
{
	tl_buf_addf(b, "event: bye\ndata: {\"reason\":\"%s\"}\n\n", reason);
}

static void put_when(struct doc_writer *w, int64_t wall_us)
{
	char text[TL_RFC3339_TEXT], date[11];
	size_t len = tl_rfc3339_format(wall_us, text);

	put_name_str(w, TL_STR("created_at"), (struct tl_str){ text, len });
	tl_day_format((int32_t)(wall_us / US_PER_DAY), date);
	put_name_str(w, TL_STR("date"), (struct tl_str){ date, 10 });
}

static void put_request(const struct events_ring *ring,
			const struct shm_decision *d, struct tl_buf *b)
{
	bool charged = d->code == DECIDE_OK && ring->metering;
	struct tl_uuid key_id;
	char text[TL_UUID_TEXT];
	struct doc_writer w;

	memcpy(key_id.b, d->key_id, sizeof(key_id.b));
	tl_uuid_format(&key_id, text);
	docw_init(&w, DOC_JSON, b);
	docw_object(&w, 9);
	put_name_str(&w, TL_STR("request_id"),
		     (struct tl_str){ d->request_id, d->request_id_len });
	put_name_str(&w, TL_STR("key_id"),
		     (struct tl_str){ text, TL_UUID_TEXT - 1 });
	put_name_str(&w, TL_STR("door"),
		     tl_str_c(decide_door_name((enum decide_door)d->door)));
	put_name_str(&w, TL_STR("code"),
		     tl_str_c(decide_code_name((enum decide_code)d->code)));
	docw_name(&w, TL_STR("reason"));
	if (d->reason == DECIDE_R_NONE)
		docw_null(&w);
	else
		docw_str(&w, tl_str_c(decide_reason_name(
				     (enum decide_reason)d->reason)));
	docw_name(&w, TL_STR("status"));
	docw_uint(&w, d->http_status);
	docw_name(&w, TL_STR("credits"));
	docw_uint(&w, charged ? d->cost : 0);
	put_when(&w, d->wall_us);
}

void events_note(const struct events_ring *ring, struct events_recent *r,
		 uint64_t pos)
{
	struct shm_decision d;

	if (!shm_ring_read(ring->shm, pos, &d))
		return;
	/* pages that are looked at are no news, but when they cost something */
	if (d.door == DECIDE_D_GATE || d.door == DECIDE_D_VERIFY ||
	    d.door == DECIDE_D_RECORD || (d.door == DECIDE_D_API && d.cost > 0))
		r->pos[r->seen++ % r->max] = pos;
}

static void put_skipped(const struct events_ring *ring, uint64_t pos,
			uint64_t requests, struct tl_buf *b)
{
	put_head(ring, pos, "skipped", b);
	tl_buf_addf(b, "{\"requests\":%" PRIu64 "}\n\n", requests);
}

uint32_t events_write_requests(const struct events_ring *ring,
			       const struct events_recent *r, struct tl_buf *b)
{
	uint64_t from = r->seen > r->max ? r->seen - r->max : 0, pos = 0;
	uint64_t skipped = from;
	struct shm_decision d;
	uint32_t n = 0;

	for (; from < r->seen; from++) {
		pos = r->pos[from % r->max];
		if (!shm_ring_read(ring->shm, pos, &d)) {
			skipped++; /* overwritten meanwhile */
			continue;
		}
		if (skipped > 0) {
			put_skipped(ring, pos, skipped, b);
			skipped = 0;
			n++;
		}
		put_head(ring, pos + 1, "request", b);
		put_request(ring, &d, b);
		tl_buf_adds(b, "\n\n");
		n++;
	}
	if (skipped > 0) {
		put_skipped(ring, pos + 1, skipped, b);
		n++;
	}
	return n;
}
