#include "tallyctl/import_piece.h"

#include "base/clock.h"
#include "base/hash.h"

struct import_piece *import_piece_new(void)
{
	struct import_piece *p = tl_alloc(sizeof(*p));
	uint64_t ms = (uint64_t)tl_wall_us() / 1000;

	tl_arena_init(&p->arena);
	p->first = tl_uuid_random();
	for (int i = 5; i >= 0; i--, ms >>= 8)
		p->first.b[i] = (uint8_t)ms;
	return p;
}

/*
 * Version 7 of RFC 9562: the time of the import, a counter of 32 bits where
 * the version and variant leave room, 42 random bits.  They rise from row to
 * row, see the migration.
 */
static struct tl_uuid next_id(struct import_piece *p)
{
	struct tl_uuid id = p->first;
	uint32_t n = p->counter++;

	id.b[6] = (uint8_t)(0x70 | n >> 28);
	id.b[7] = (uint8_t)(n >> 20);
	id.b[8] = (uint8_t)(0x80 | (n >> 14 & 0x3f));
	id.b[9] = (uint8_t)(n >> 6);
	id.b[10] = (uint8_t)((n & 0x3f) << 2 | (id.b[10] & 3));
	return id;
}

void import_piece_free(struct import_piece **pp)
{
	if (*pp == NULL)
		return;
	tl_arena_deinit(&(*pp)->arena);
	tl_freep(pp);
}

void import_piece_reset(struct import_piece *p)
{
	tl_arena_deinit(&p->arena);
	p->n = p->n_emails = 0;
	memset(p->email_slots, 0, sizeof(p->email_slots));
}

/* Its number from 1, as SQL counts. */
static int32_t owner_number(struct import_piece *p, struct tl_str email)
{
	static const uint8_t seed[16] = "owners of a file";
	const uint32_t mask = 4 * IMPORT_PIECE_ROWS - 1;
	uint32_t at = (uint32_t)tl_siphash13(seed, email.ptr, email.len) & mask;

	_Static_assert((IMPORT_PIECE_ROWS & (IMPORT_PIECE_ROWS - 1)) == 0,
		       "slots are a power of two");
	for (; p->email_slots[at] != 0; at = (at + 1) & mask) {
		if (tl_str_eq(p->emails[p->email_slots[at] - 1], email))
			return (int32_t)p->email_slots[at];
	}
	p->emails[p->n_emails++] = email;
	p->email_slots[at] = p->n_emails;
	return (int32_t)p->n_emails;
}

void import_piece_add(struct import_piece *p, const struct import_row *row)
{
	uint32_t i = p->n++;

	tl_assert(i < IMPORT_PIECE_ROWS);
	p->owners[i] = owner_number(p, row->email);
	p->lines[i] = (int32_t)row->line;
	p->ids[i] = next_id(p);
	p->bytes[i] = row->digest;
	p->digests[i] = (struct tl_str){ (const char *)p->bytes[i].b,
					 sizeof(p->bytes[i].b) };
	p->prefixes[i] = row->prefix;
	p->labels[i] = row->label;
	p->created_us[i] = row->created_us;
	p->expires_us[i] = row->expires_us;
	p->scopes[i] = row->scopes;
	p->networks[i] = row->networks;
	p->rates[i] = row->rate_limit;
	p->dailies[i] = row->daily_limit;
	p->metadata[i] = row->metadata;
	p->statuses[i] = row->status;
}

struct q_key_import_params import_piece_params(const struct import_piece *p)
{
#define ALL(items)                                                             \
	{                                                                      \
		p->n, (items)                                                  \
	}
	return (struct q_key_import_params){
		.emails = { p->n_emails, p->emails },
		.owners = ALL(p->owners),
		.lines = ALL(p->lines),
		.key_ids = ALL(p->ids),
		.digests = ALL(p->digests),
		.prefixes = ALL(p->prefixes),
		.labels = ALL(p->labels),
		.created_us = ALL(p->created_us),
		.expires_us = ALL(p->expires_us),
		.scopes = ALL(p->scopes),
		.allowed_ips = ALL(p->networks),
		.rate_limits = ALL(p->rates),
		.daily_limits = ALL(p->dailies),
		.metadata = ALL(p->metadata),
		.statuses = ALL(p->statuses),
	};
#undef ALL
}
