/*
 * metering.h - usage of the caller: record, today, history, single requests;
 * the dashboard's overview, and validate of a key.
 */
#ifndef TALLY_APP_METERING_METERING_H
#define TALLY_APP_METERING_METERING_H

#include "http/http.h"

extern const struct route METERING_ROUTES[];
extern const struct shape RECORD_SHAPE, RECORD_REPLY_SHAPE;
extern const struct shape VALIDATE_SHAPE, VALIDATE_REPLY_SHAPE;
extern const struct shape USAGE_SUMMARY_SHAPE, USER_VIEW_SHAPE;
extern const struct shape OVERVIEW_SHAPE;
extern const struct shape HISTORY_QUERY_SHAPE, HISTORY_SHAPE;
extern const struct shape INSIGHTS_QUERY_SHAPE, INSIGHTS_SHAPE;
extern const struct shape REQUESTS_QUERY_SHAPE, REQUEST_VIEW_SHAPE;
extern const struct shape MODELS_QUERY_SHAPE, MODEL_SUM_SHAPE;
extern const struct shape HOURLY_QUERY_SHAPE, HOUR_SHAPE;

void record_handle(struct req *req);
void today_handle(struct req *req);
void validate_handle(struct req *req);
/* Suspend: */
void overview_handle(struct req *req);
void history_handle(struct req *req);
void insights_handle(struct req *req);
void detailed_handle(struct req *req);
void models_handle(struct req *req);
void hourly_handle(struct req *req);

/* Today's figures of the caller.  False: the 503 is sent. */
bool metering_usage_now(struct req *req, struct decide_usage *u_r);
/* UserView of metering.md 4.3. */
const struct doc *metering_user_view(struct tl_arena *a,
				     const struct req_profile *who);
/* UsageSummary of metering.md 4.3, the same in every reply. */
void metering_write_usage(struct doc_writer *w, uint64_t credits_used,
			  uint64_t daily_limit, uint64_t request_count,
			  uint32_t day);

#endif
