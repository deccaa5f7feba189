/*
 * decision.h - records of the decision ring in words and as documents.
 *
 * tallyctl reads the ring by itself, the API's /api/explain in a worker; both
 * say it in these words.
 */
#ifndef TALLY_CTL_DECISION_H
#define TALLY_CTL_DECISION_H

#include "base/mem.h"
#include "codec/doc.h"
#include "shm/layout.h"

/* Names in the ring are padded with NUL; those of 16 bytes have none. */
struct tl_str decision_limit(const struct shm_decision *d);
struct tl_str decision_request(const struct shm_decision *d);
/* One sentence: let in or refused, why, and when it will pass. */
void decision_words(const struct shm_decision *d, struct tl_buf *out);
/* All of the record; "text" holds the words. */
struct doc *decision_doc(const struct shm_decision *d, struct tl_arena *a);
/* The line of tail. */
void decision_line(const struct shm_decision *d, struct tl_buf *out);

#endif
