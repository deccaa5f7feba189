/*
 * top.h - what the daemon does now: two looks at the segment and what lies
 * between them, as a document and as a page.
 *
 * Only reads; nothing of it waits, and the daemon takes no part.
 * Runs in: tallyctl.
 */
#ifndef TALLY_TALLYCTL_TOP_H
#define TALLY_TALLYCTL_TOP_H

#include "codec/doc.h"
#include "conf/conf.h"
#include "shm/metrics.h"
#include "tallyctl/busy.h"

struct top_sample { /* figures that only rise */
	uint64_t mono_ns;
	uint64_t counter[SHM_C_COUNT];
	uint64_t reason[SHM_REASONS];
	struct shm_histogram_sum door[SHM_H_COUNT];
	struct {
		uint64_t pid, cpu_ticks; /* pid 0: not known */
	} process[SHM_SLOTS];
};
void top_sample_take(const struct shm *s, struct top_sample *s_r);
/* b: what was seen between the two; queues: top_queues_doc. */
const struct doc *top_doc(const struct shm *s, const struct conf *conf,
			  const struct top_sample *from,
			  const struct top_sample *to, const struct busy *b,
			  const struct doc *queues, struct tl_arena *a);
/* For so many rows of a terminal; bold: heads stand out. */
void top_page(const struct doc *d, uint32_t rows, bool bold, struct tl_arena *a,
	      struct tl_buf *out);

#endif
