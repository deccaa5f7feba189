/*
 * cost.c - see cost.h.
 */
#include "tally/cost.h"

#include "base/mem.h"

#define NANO_PER_USD  1000000000ULL
#define MICRO_PER_USD 1000000ULL
#define MAX_USD       1000
#define DECIMALS      9

bool tally_cost_parse_usd(struct tl_str s, uint64_t *nano_r)
{
	struct tl_str whole, fraction;
	uint64_t usd, part = 0;

	if (!tl_str_split(&s, '.', &whole) ||
	    !tl_parse_u64(whole, 0, MAX_USD, &usd))
		return false;
	if (s.ptr != whole.ptr + whole.len) { /* there was a point */
		fraction = s;
		if (fraction.len > DECIMALS ||
		    !tl_parse_u64(fraction, 0, NANO_PER_USD - 1, &part))
			return false;
		for (size_t i = fraction.len; i < DECIMALS; i++)
			part *= 10;
	}
	if (usd == MAX_USD && part > 0)
		return false;
	*nano_r = usd * NANO_PER_USD + part;
	return true;
}

static const struct tally_cost_rate *find_rate(const struct tally_cost_table *t,
					       struct tl_str model)
{
	for (uint32_t i = 0; i < t->n_models; i++)
		if (tl_str_eq(model, tl_str_c(t->models[i].name)))
			return &t->models[i].rate;
	return &t->def;
}

uint64_t tally_cost_micro_usd(const struct tally_cost_table *t,
			      struct tl_str model, uint32_t prompt_tokens,
			      uint32_t completion_tokens)
{
	const struct tally_cost_rate *rate = find_rate(t, model);
	/* Nano-USD times 1000; 2^32 tokens at 1000 USD pass 64 bits. */
	unsigned __int128 sum =
		(unsigned __int128)rate->prompt_nano_per_1k * prompt_tokens +
		(unsigned __int128)rate->completion_nano_per_1k *
			completion_tokens;

	return (uint64_t)((sum + 500000) / 1000000);
}

void tally_cost_table_deinit(struct tally_cost_table *t)
{
	for (uint32_t i = 0; i < t->n_models; i++)
		tl_free(t->models[i].name);
	tl_freep(&t->models);
	t->n_models = 0;
}

size_t tally_cost_format_usd(uint64_t micro_usd, char dst[32])
{
	uint64_t part = micro_usd % MICRO_PER_USD;
	size_t n = tl_fmt_u64(dst, micro_usd / MICRO_PER_USD);

	if (part > 0) {
		dst[n++] = '.';
		for (uint64_t unit = MICRO_PER_USD / 10; part > 0; unit /= 10) {
			dst[n++] = (char)('0' + part / unit);
			part %= unit;
		}
	}
	dst[n] = '\0';
	return n;
}
