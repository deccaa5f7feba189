/*
 * judge.c - what becomes of a task whose attempt failed.
 */
#include "config.h"

#include "bus/bus_internal.h"

#define BACKOFF_MAX 15 /* doublings */

static int64_t retry_delay_ms(const struct job *j, uint32_t dice)
{
	int32_t n = j->t.failures < BACKOFF_MAX ? j->t.failures : BACKOFF_MAX;
	int64_t ms = j->retry_delay_ms;

	if (j->t.retry_after_ms > 0)
		return (int64_t)j->t.retry_after_ms;
	if (j->retry_backoff) {
		ms <<= n;
		ms += (int64_t)((double)ms * dice / UINT32_MAX);
	}
	if (j->t.def->retry_max_ms > 0 && ms > j->t.def->retry_max_ms)
		ms = j->t.def->retry_max_ms;
	return ms;
}

void judge_failure(const struct job *j, enum tl_status st, uint64_t now_mono_ms,
		   uint32_t dice, struct ending *e)
{
	bool expired = st == TL_DEADLINE && now_mono_ms >= j->deadline_mono_ms;

	e->outcome = expired ? "expired" : "failed";
	e->action = ACT_DEAD;
	if (j->cancelled) {
		e->outcome = "cancelled";
	} else if (j->postpone_ms > 0) {
		e->action = ACT_BACK;
		e->delay_ms = (int64_t)j->postpone_ms;
	} else if (j->dropped && st == TL_CANCELED) {
		e->action = ACT_BACK;
	} else if (st != TL_INVALID && !j->t.hopeless &&
		   j->t.failures < j->retry_limit) {
		e->action = ACT_AGAIN;
		e->delay_ms = retry_delay_ms(j, dice);
	}
}
