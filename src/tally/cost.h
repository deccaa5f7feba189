/*
 * cost.h - what tokens cost, in integers of micro-USD.
 *
 * metering.md 5.3: prompt/1000 * prompt_rate + completion/1000 *
 * completion_rate, rounded half up to 6 decimals.  A rate is kept in
 * micro-USD per 1000 tokens times 1000 (nano-USD), so three decimals more
 * than the result: rates with up to 9 decimals are exact.
 */
#ifndef TALLY_TALLY_COST_H
#define TALLY_TALLY_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct tally_cost_rate {
	uint64_t prompt_nano_per_1k; /* nano-USD per 1000 tokens */
	uint64_t completion_nano_per_1k;
};
struct tally_cost_model {
	char *name; /* owned; exact match */
	struct tally_cost_rate rate;
};
struct tally_cost_table {
	struct tally_cost_rate def;
	struct tally_cost_model *models; /* owned */
	uint32_t n_models;
};

/* "0.03" USD to nano-USD; at most 9 decimals, at most 1000 USD. */
bool tally_cost_parse_usd(struct tl_str s, uint64_t *nano_r);
uint64_t tally_cost_micro_usd(const struct tally_cost_table *t,
			      struct tl_str model, uint32_t prompt_tokens,
			      uint32_t completion_tokens);
void tally_cost_table_deinit(struct tally_cost_table *t);
/* "1.2045" for 1204500; digits of the JSON number.  Returns the length. */
size_t tally_cost_format_usd(uint64_t micro_usd, char dst[32]);

#endif
