/*
 * verify.h - POST /api/verify and /api/verify/batch.
 */
#ifndef TALLY_APP_GATE_VERIFY_H
#define TALLY_APP_GATE_VERIFY_H

#include "http/http.h"

#define VERIFY_ITEMS_MAX 1000

extern const struct shape VERIFY_ITEM_SHAPE, VERIFY_BATCH_SHAPE;
extern const struct shape VERIFY_REPLY_SHAPE, VERIFY_BATCH_REPLY_SHAPE;

struct verify_item { /* as read */
	struct tl_str key;
	bool has_cost, has_ip, dry_run;
	int64_t cost;
	struct shape_strs scopes;
	struct shape_array limits; /* of struct verify_limit */
	struct tl_str ip;
};
struct verify_limit {
	struct tl_str name;
	bool has_cost;
	int64_t cost;
};

/* One question, checked and ready. */
struct verify_question {
	struct decide_in in;
	struct decide_extra extras[DECIDE_EXTRAS_MAX];
};
void verify_question_make(struct req *req, const struct verify_item *item,
			  struct verify_question *q_r);
/* What the shape cannot say: addresses, names of limits.  False: the 400 is
 * sent.  index: of the item, -1 outside a batch. */
bool verify_question_check(struct req *req, const struct verify_item *item,
			   int index, const struct verify_question *q);
/* Writes the answer of one decided question. */
void verify_write(struct req *req, struct doc_writer *w,
		  const struct decide_out *d, struct tl_str request_id);
/*
 * May this caller ask?  Then next(req) runs, on the loop's stack or a
 * coroutine's; else the refusal is sent.
 */
void verify_caller(struct req *req, void (*next)(struct req *req));

#endif
