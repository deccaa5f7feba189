-- tallyctl doctor: what is to be copied, usage of the days that a segment
-- keeps.  What came for users and keys that were deleted belongs to it.
SELECT format('(SELECT user_id, key_id, date - DATE ''1970-01-01'','
	' credits_used, request_count, cost_micro_usd'
	' FROM public.daily_usage WHERE date >= DATE ''1970-01-01'' + %1$s'
	' UNION ALL'
	' SELECT user_id, key_id, date - DATE ''1970-01-01'','
	' credits_used, request_count, cost_micro_usd'
	' FROM tallyd.usage_orphan'
	' WHERE date >= DATE ''1970-01-01'' + %1$s)',
	current_setting('tallyd.first_day')::int);
