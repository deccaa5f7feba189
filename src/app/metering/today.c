#include "app/metering/metering.h"

bool metering_usage_now(struct req *req, struct decide_usage *u_r)
{
	if (decide_usage(req_decide(req), &req->d.user_id, req->start_mono_ns,
			 u_r))
		return true;
	/* the janitor took it between two lines of this turn */
	req_fail(req, 503, "service_unavailable",
		 "the account is being loaded; try again");
	return false;
}

void today_handle(struct req *req)
{
	struct decide_usage u;
	struct doc_writer w;
	struct tl_buf b;

	if (!req_charge_now(req) || !metering_usage_now(req, &u))
		return;
	tl_buf_init(&b);
	docw_init(&w, req->out_format, &b);
	metering_write_usage(&w, u.credits_used, u.credits_limit,
			     u.request_count, u.day);
	req_reply_buf(req, 200, tl_buf_str(&b));
	tl_buf_deinit(&b);
}
