#include "shm/layout_table.h"

#include <stdio.h>

#include "shm/layout.h"

#define SIZE(t, m)    sizeof(((struct t *)NULL)->m)
#define STRUCT(t)     { #t, NULL, 0, sizeof(struct t), NULL }
#define FIELD(t, m)   { #t, #m, offsetof(struct t, m), SIZE(t, m), NULL }
#define OF(t, m, e)   { #t, #m, offsetof(struct t, m), SIZE(t, m), #e }
#define TEXT_BYTES    16384

/* clang-format off */
const struct shm_fact SHM_FACTS[] = {
	STRUCT(shm_region),
	FIELD(shm_region, offset), FIELD(shm_region, size_bytes),
	FIELD(shm_region, stride), FIELD(shm_region, count),

	STRUCT(shm_constants),
	FIELD(shm_constants, magic), FIELD(shm_constants, layout),
	FIELD(shm_constants, slots), FIELD(shm_constants, layout_hash),
	FIELD(shm_constants, total_bytes),
	FIELD(shm_constants, text_offset), FIELD(shm_constants, text_bytes),
	FIELD(shm_constants, epoch), FIELD(shm_constants, created_mono_ns),
	FIELD(shm_constants, boot_id), FIELD(shm_constants, seed),
	FIELD(shm_constants, node_id), FIELD(shm_constants, window_ms),
	OF(shm_constants, regions, shm_region),
	FIELD(shm_constants, key_buckets), FIELD(shm_constants, user_buckets),
	FIELD(shm_constants, extras_buckets), FIELD(shm_constants, crc),

	STRUCT(shm_head),
	FIELD(shm_head, state), FIELD(shm_head, generation),
	FIELD(shm_head, database_id), FIELD(shm_head, gc_epoch),
	FIELD(shm_head, change_gen), FIELD(shm_head, policy_gen),
	FIELD(shm_head, max_period), FIELD(shm_head, wall_offset_us),
	FIELD(shm_head, loads_open), FIELD(shm_head, key_free),
	FIELD(shm_head, key_fresh), FIELD(shm_head, key_live),
	FIELD(shm_head, user_free), FIELD(shm_head, user_fresh),
	FIELD(shm_head, user_live), FIELD(shm_head, extras_free),
	FIELD(shm_head, extras_fresh), FIELD(shm_head, extras_live),
	FIELD(shm_head, sweep), FIELD(shm_head, ring_next),
	FIELD(shm_head, log_next), FIELD(shm_head, log_done),
	FIELD(shm_head, flush_gen), FIELD(shm_head, committed_gen),
	FIELD(shm_head, next_seq), FIELD(shm_head, flush_level),
	FIELD(shm_head, last_commit_mono_ms),
	FIELD(shm_head, last_scan_mono_ms), FIELD(shm_head, database_up),
	FIELD(shm_head, spool_bytes), FIELD(shm_head, spool_records),
	FIELD(shm_head, full_scan_wanted), FIELD(shm_head, refresh_wanted),
	FIELD(shm_head, usage_dropped), FIELD(shm_head, idem_floor_ms),
	FIELD(shm_head, task_sends), FIELD(shm_head, task_deaths),
	FIELD(shm_head, database_offset_us),
	FIELD(shm_head, database_asked_mono_ms),
	FIELD(shm_head, tasks_ready), FIELD(shm_head, tasks_delayed),

	STRUCT(shm_slot),
	FIELD(shm_slot, state), FIELD(shm_slot, identity),
	FIELD(shm_slot, pid), FIELD(shm_slot, start_ticks),
	FIELD(shm_slot, gc_epoch), FIELD(shm_slot, beat_mono_ms),
	FIELD(shm_slot, started_mono_ms), FIELD(shm_slot, conf_generation),
	FIELD(shm_slot, kind), FIELD(shm_slot, number),
	FIELD(shm_slot, strict_waiting), FIELD(shm_slot, task_due_mono_ms),
	FIELD(shm_slot, tasks_running),

	STRUCT(shm_metrics), FIELD(shm_metrics, counter),

	STRUCT(shm_stripe), FIELD(shm_stripe, mutex),

	STRUCT(shm_limit),
	FIELD(shm_limit, id64), FIELD(shm_limit, name),
	FIELD(shm_limit, name_len), FIELD(shm_limit, algorithm),
	FIELD(shm_limit, scope), FIELD(shm_limit, shadow),
  FIELD(shm_limit, count),
	FIELD(shm_limit, burst), FIELD(shm_limit, window_ms),
	FIELD(shm_limit, prev_window_ms),

	STRUCT(shm_plan),
	FIELD(shm_plan, plan_id), FIELD(shm_plan, name),
	FIELD(shm_plan, name_len), FIELD(shm_plan, used),
	FIELD(shm_plan, daily_credit_limit), FIELD(shm_plan, rate_limit),

	STRUCT(shm_policy),
	FIELD(shm_policy, n_limits), FIELD(shm_policy, n_plans),
	OF(shm_policy, limits, shm_limit), OF(shm_policy, plans, shm_plan),

	STRUCT(shm_bucket), FIELD(shm_bucket, word),

	STRUCT(shm_key),
	FIELD(shm_key, state), FIELD(shm_key, last_used_ms),
	FIELD(shm_key, digest), FIELD(shm_key, key_id), FIELD(shm_key, flags),
	FIELD(shm_key, user), FIELD(shm_key, expires_at_s),
	FIELD(shm_key, grace_until_s), FIELD(shm_key, rate_limit),
	FIELD(shm_key, daily_limit), FIELD(shm_key, extras),
	FIELD(shm_key, free_next), FIELD(shm_key, base), FIELD(shm_key, cell),
	FIELD(shm_key, flushed), FIELD(shm_key, flushed_used_ms),
	FIELD(shm_key, ring),

	STRUCT(shm_user),
	FIELD(shm_user, state), FIELD(shm_user, user_id),
	FIELD(shm_user, limit), FIELD(shm_user, quota), FIELD(shm_user, base),
	FIELD(shm_user, requests), FIELD(shm_user, requests_base),
	FIELD(shm_user, flags), FIELD(shm_user, plan),
	FIELD(shm_user, extras), FIELD(shm_user, free_next),
	FIELD(shm_user, last_used_ms), FIELD(shm_user, mark),
	FIELD(shm_user, refused), FIELD(shm_user, refused_flushed),

	STRUCT(shm_extras),
	FIELD(shm_extras, state), FIELD(shm_extras, hash),
	FIELD(shm_extras, free_next), FIELD(shm_extras, next),
	FIELD(shm_extras, has_scopes), FIELD(shm_extras, has_cidrs),
	FIELD(shm_extras, has_overrides),
	FIELD(shm_extras, mark), FIELD(shm_extras, items),

	STRUCT(shm_negative),
	FIELD(shm_negative, tag), FIELD(shm_negative, until_mono_ms),
	FIELD(shm_negative, owner),

	STRUCT(shm_window),
	FIELD(shm_window, tag), FIELD(shm_window, last_mono_ms),
	FIELD(shm_window, window_ms), FIELD(shm_window, subject),
  FIELD(shm_window, ring),

	STRUCT(shm_record),
	FIELD(shm_record, key_id), FIELD(shm_record, user_id),
	FIELD(shm_record, day), FIELD(shm_record, key),
	FIELD(shm_record, key_gen), FIELD(shm_record, flags),
	FIELD(shm_record, delta), FIELD(shm_record, snapshot),
	FIELD(shm_record, last_used_ms),

	STRUCT(shm_answer),
	FIELD(shm_answer, credits_charged), FIELD(shm_answer, day),
	FIELD(shm_answer, cost_micro_usd), FIELD(shm_answer, credits_used),
	FIELD(shm_answer, daily_limit), FIELD(shm_answer, request_count),

	STRUCT(shm_idem_record),
	FIELD(shm_idem_record, key_id), FIELD(shm_idem_record, body_hash),
	FIELD(shm_idem_record, name), FIELD(shm_idem_record, at_ms),
	OF(shm_idem_record, answer, shm_answer),

	STRUCT(shm_log_row),
	FIELD(shm_log_row, user_id), FIELD(shm_log_row, key_id),
	FIELD(shm_log_row, created_us), FIELD(shm_log_row, cost_micro_usd),
	FIELD(shm_log_row, prompt_tokens),
	FIELD(shm_log_row, completion_tokens), FIELD(shm_log_row, credits),
	FIELD(shm_log_row, day), FIELD(shm_log_row, model_len),

	STRUCT(shm_batch),
	FIELD(shm_batch, state), FIELD(shm_batch, seq),
	FIELD(shm_batch, epoch), FIELD(shm_batch, scan_gen),
	FIELD(shm_batch, n_records), FIELD(shm_batch, n_idems),
	FIELD(shm_batch, n_logs), FIELD(shm_batch, log_bytes),
	FIELD(shm_batch, crc), FIELD(shm_batch, n_logs_lost),
	FIELD(shm_batch, log_end), FIELD(shm_batch, idem_index),
	OF(shm_batch, idems, shm_idem_record),
	OF(shm_batch, records, shm_record), FIELD(shm_batch, logs),

	STRUCT(shm_idem),
	FIELD(shm_idem, state), FIELD(shm_idem, tag),
	OF(shm_idem, rec, shm_idem_record), FIELD(shm_idem, commit_gen),

	STRUCT(shm_log_slot),
	FIELD(shm_log_slot, word), FIELD(shm_log_slot, body),

	STRUCT(shm_task_place),
	FIELD(shm_task_place, tag), FIELD(shm_task_place, count),

	STRUCT(shm_task_places),
	OF(shm_task_places, place, shm_task_place),

	STRUCT(shm_decision),
	FIELD(shm_decision, seq), FIELD(shm_decision, wall_us),
	FIELD(shm_decision, duration_ns), FIELD(shm_decision, key_id),
	FIELD(shm_decision, user_id), FIELD(shm_decision, client),
	FIELD(shm_decision, trace_id),
	FIELD(shm_decision, request_id), FIELD(shm_decision, request_id_len),
	FIELD(shm_decision, door), FIELD(shm_decision, code),
	FIELD(shm_decision, reason), FIELD(shm_decision, http_status),
	FIELD(shm_decision, worker), FIELD(shm_decision, cost),
	FIELD(shm_decision, limit_name), FIELD(shm_decision, limit_count),
	FIELD(shm_decision, limit_sum), FIELD(shm_decision, reset_ms),
	FIELD(shm_decision, quota_limit), FIELD(shm_decision, quota_used),
};

static const char *const regions[SHM_REGIONS][2] = {
	[SHM_R_SLOTS] = { "slots", "shm_slot" },
	[SHM_R_METRICS] = { "metrics", "shm_metrics" },
	[SHM_R_POLICY] = { "policy", "shm_policy" },
	[SHM_R_STRIPES] = { "stripes", "shm_stripe" },
	[SHM_R_KEY_DIR] = { "key_dir", "shm_bucket" },
	[SHM_R_KEYS] = { "keys", "shm_key" },
	[SHM_R_USER_DIR] = { "user_dir", "shm_bucket" },
	[SHM_R_USERS] = { "users", "shm_user" },
	[SHM_R_EXTRAS_DIR] = { "extras_dir", "shm_bucket" },
	[SHM_R_EXTRAS] = { "extras", "shm_extras" },
	[SHM_R_NEGATIVE] = { "negative", "shm_negative" },
	[SHM_R_ADDRESSES] = { "addresses", "shm_window" },
	[SHM_R_WINDOWS] = { "windows", "shm_window" },
	[SHM_R_DIRTY] = { "dirty", "words" },
	[SHM_R_BATCHES] = { "batches", "shm_batch" },
	[SHM_R_RING] = { "ring", "shm_decision" },
	[SHM_R_IDEMS] = { "idems", "shm_idem" },
	[SHM_R_REQUEST_LOG] = { "request_log", "shm_log_slot" },
	[SHM_R_TASK_PLACES] = { "task_places", "shm_task_places" },
	[SHM_R_TEXT] = { "text", "words" },
};
/* clang-format on */

const size_t SHM_N_FACTS = sizeof(SHM_FACTS) / sizeof(SHM_FACTS[0]);

const char *shm_region_name(uint32_t i)
{
	return regions[i][0];
}

const char *shm_region_type(uint32_t i)
{
	return regions[i][1];
}

static size_t write_text(char *dst, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < SHM_N_FACTS && at < size; i++) {
		const struct shm_fact *f = &SHM_FACTS[i];

		if (f->name == NULL)
			at += (size_t)snprintf(dst + at, size - at,
					       "struct %s %u\n", f->of,
					       f->size_bytes);
		else
			at += (size_t)snprintf(
				dst + at, size - at, "%s %u %u%s%s\n", f->name,
				f->offset, f->size_bytes,
				f->type != NULL ? " " : "",
				f->type != NULL ? f->type : "");
	}
	for (uint32_t i = 0; i < SHM_REGIONS && at < size; i++)
		at += (size_t)snprintf(dst + at, size - at,
				       "region %u %s %s\n", i, regions[i][0],
				       regions[i][1]);
	return at;
}

struct tl_str shm_layout_text(void)
{
	static char text[TEXT_BYTES];
	static size_t len;

	if (len == 0) {
		len = write_text(text, sizeof(text));
		tl_assert(len < sizeof(text));
	}
	return (struct tl_str){ text, len };
}

/* FNV-1a, 64 bit (Fowler, Noll, Vo): the job needs no more than spread. */
uint64_t shm_layout_hash(void)
{
	struct tl_str s = shm_layout_text();
	uint64_t h = 0xcbf29ce484222325ULL;

	h = (h ^ SHM_LAYOUT) * 0x100000001b3ULL;
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.ptr[i]) * 0x100000001b3ULL;
	return h;
}
