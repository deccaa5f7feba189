#!/bin/sh
# On a filled database every statement of db/queries finds its rows by an index:
# no table is read from end to end, and no index either, but where `allowed`
# says why.  A statement that is added is looked at as well; if its table is
# new, fill it below.  Prints every plan.  Runs in the build directory.
set -eu

srcdir=${srcdir:-.}
if [ "${1:-}" != inside ]; then
	PG_TEMP_MIGRATIONS=$srcdir/db/migrations
	export PG_TEMP_MIGRATIONS
	exec "$srcdir/contrib/devel/pg-temp.sh" "$0" inside
fi

# As large as makes the planner choose; whatever they are, the tables that
# are small for ever (plans, limits, the instance) stay so.
psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
INSERT INTO users (user_id, email, plan_id, created_at)
SELECT md5('u' || g)::uuid, 'u' || g || '@test',
       'a0000000-0000-0000-0000-000000000002', now() - g * INTERVAL '1 minute'
  FROM generate_series(1, 20000) g;
ALTER TABLE api_keys DISABLE TRIGGER USER;
INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash, created_at)
SELECT md5('k' || g)::uuid, md5('u' || g)::uuid, 'prefix-' || g,
       encode(sha256(('k' || g)::bytea), 'hex'), now() - g * INTERVAL '1 minute'
  FROM generate_series(1, 20000) g;
ALTER TABLE api_keys ENABLE TRIGGER USER;
INSERT INTO daily_usage (user_id, key_id, date, credits_used)
SELECT user_id, key_id, '2024-10-04'::date - d, 5
  FROM api_keys, generate_series(0, 3) d;
INSERT INTO limits (name, count, window_ms)
SELECT 'limit-' || g, g, 1000 FROM generate_series(1, 10) g;
INSERT INTO limit_overrides (limit_id, user_id, count)
SELECT limit_id, user_id, 1 FROM limits, users LIMIT 20000;
INSERT INTO limit_overrides (limit_id, key_id, count)
SELECT limit_id, key_id, 1 FROM limits, api_keys LIMIT 20000;
INSERT INTO tallyd.idempotency_record
SELECT key_id, 'x', '', '2024-10-04', 1, 1, 1, 1, 1, now() FROM api_keys;
INSERT INTO tallyd.flush_node (node_id, epoch)
SELECT 'n', g FROM generate_series(1, 5000) g;
INSERT INTO audit_log (actor, action, target, details)
SELECT 'a@test', 'token.create', key_id::text, '' FROM api_keys;
SELECT count(tallyd.request_logs_ensure('2024-09-02'::date + 7 * w))
  FROM generate_series(0, 4) w \g /dev/null
INSERT INTO request_logs (user_id, key_id, credits, created_at, date)
SELECT user_id, key_id, 1, '2024-09-02 12:00Z'::timestamptz
		+ 7 * w * INTERVAL '1 day', '2024-09-02'::date + 7 * w
  FROM api_keys, generate_series(0, 4) w WHERE key_prefix LIKE '%0';
INSERT INTO tallyd.change_log (kind, key_hash)
SELECT 'key', decode(key_hash, 'hex') FROM api_keys;
INSERT INTO tallyd.task (state, name, queue, tenant, payload, retry_limit,
	retry_delay_ms, retry_backoff, timeout_ms, owner_epoch, owner_spawn,
	lease_until, run_at)
SELECT g % 4, 'n' || g % 5, 'q' || g % 3, 't' || g % 7, '{}', 3, 1, false, 1,
	g % 50, g % 70, now(), now() + g * INTERVAL '1 s'
  FROM generate_series(1, 20000) g;
INSERT INTO tallyd.task_attempt
SELECT g, 1, 'completed', 'n', 'q', '', now(), now(),
       now() + g % 2 * INTERVAL '7 days', 1, 1, NULL
  FROM generate_series(1, 20000) g;
INSERT INTO tallyd.task_dead
SELECT g, 'failed', 1, 'n' || g % 5, 'q' || g % 3, '', '{}', NULL, 0, 3, 1,
       false, 1, NULL, now(), now() + g % 2 * INTERVAL '7 days', 'e'
  FROM generate_series(1, 20000) g;
INSERT INTO tallyd.task_selftest SELECT g, 1, 1 FROM generate_series(1, 20000) g;
INSERT INTO tallyd.cron_jobs (job, decided_until)
SELECT 'j' || g, now() FROM generate_series(1, 10) g;
INSERT INTO tallyd.cron_runs (job, slot, outcome)
SELECT 'j' || g % 10, now() - g * INTERVAL '1 minute', 'done'
  FROM generate_series(1, 20000) g;
INSERT INTO webhook_endpoints (webhook_id, user_id, url, events, secret)
SELECT md5('w' || g)::uuid, md5('u' || g)::uuid, 'https://h/', '{*}',
       decode(repeat('00', 32), 'hex')
  FROM generate_series(1, 20000) g;
INSERT INTO tallyd.webhook_delivery (delivery_id, webhook_id, message_id, event,
	body, state, task_id, created_at)
SELECT md5('d' || g)::uuid, md5('w' || g)::uuid, 'm', 'e', '', 'failed', g,
       now() - g * INTERVAL '1 minute'
  FROM generate_series(1, 20000) g;
INSERT INTO tallyd.webhook_attempt (delivery_id, attempt, started_at,
	duration_ms, request)
SELECT delivery_id, 1, now(), 1, '{}' FROM tallyd.webhook_delivery;
INSERT INTO tallyd.usage_alert (user_id, day, percent)
SELECT user_id, date, 50 FROM daily_usage;
ANALYZE;
SQL

plans=$(contrib/devel/qgen --plans "$srcdir"/db/queries/*.sql)
printf '%s\n' "$plans"

names=$(cat "$srcdir"/db/queries/*.sql | grep -c '^-- name: ')
shown=$(printf '%s\n' "$plans" | grep -c '^[a-z_0-9]*:$')
if [ "$names" != "$shown" ]; then
	echo "$names statements, but $shown plans"
	exit 1
fi

# statement, what is read from end to end, why that is all right
allowed='
audit_trim audit_log_pkey     from the oldest on, ends with the first that stays
cron_asked cron_runs_asked_key the index holds one row a job at most
cron_begin cron_runs_open_idx the index holds what is asked for or runs
cron_finish cron_runs_open_idx the index holds what is asked for or runs
cron_history cron_runs_pkey   newest first, ends with the page
cron_lost cron_runs_open_idx  the index holds what is asked for or runs
key_list api_keys_created_at_idx newest first, ends with the page
task_expire flush_node        one row for each start of a machine
queue_page task               counts, for an operator
queue_page task_dead          counts, for an operator
task_stats task               counts, for an operator
task_stats task_active_idx    counts, for an operator
task_depth task               counts, up to a bound, every 10 s
task_depth task_delayed_idx   counts, up to a bound, every 10 s
webhook_hurry task_delayed_idx what waits, oldest first, for an operator
usage_totals api_keys         counts, kept by the route for 20 times their time
usage_totals users            counts, kept by the route for 20 times their time
'
small='^(plans|limits|instance|task_queue|task_definition|cron_jobs)$'

# "statement table-or-index" of each scan without a condition
wide=$(printf '%s\n' "$plans" | awk -v small="$small" '
	function flush() {
		if (scan != "")
			print name, scan
		scan = ""
	}
	/^[a-z_0-9]+:$/ { flush(); name = substr($1, 1, length($1) - 1); next }
	/(Seq Scan|Index Scan|Index Only Scan)/ {
		flush()
		for (i = 1; i <= NF; i++) {
			if ($i == "on")
				table = $(i + 1)
			if ($i == "using")
				index_ = $(i + 1)
		}
		if (table ~ small && $0 !~ /Bitmap/)
			next
		scan = $0 ~ /Seq Scan/ ? table : $0 ~ /Bitmap/ ? table : index_
		next
	}
	/Index Cond:/ { scan = "" }
	END { flush() }' | sed 's/_20[0-9]\{6\}//' | sort -u)

bad=$(printf '%s\n' "$wide" | while read -r name what; do
	[ -n "$name" ] || continue
	printf '%s\n' "$allowed" | grep -q "^$name $what  *[a-z]" ||
		echo "$name: reads $what from end to end"
done)
stale=$(printf '%s\n' "$allowed" | while read -r name what _; do
	[ -n "$name" ] || continue
	printf '%s\n' "$wide" | grep -qx "$name $what" ||
		echo "$name: is allowed to read $what, and does not"
done)
if [ -n "$bad$stale" ]; then
	printf '%s\n' "$bad" "$stale"
	exit 1
fi
large='users|api_keys|daily_usage|limit_overrides|change_log|idempotency_record'
large="$large|flush_node|audit_log|request_logs[_0-9]*|task|task_dead[_0-9]*"

# What stands inside functions.
inner=$(psql -X -q 2>&1 <<'SQL'
LOAD 'auto_explain';
SET client_min_messages = notice;
SET auto_explain.log_level = notice;
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SELECT tallyd.key_insert('a', md5('u1')::uuid, sha256('new'), 'p', 'l', 20,
	NULL, '{}', '{}', NULL, NULL, NULL);
SELECT tallyd.key_rotate('a', md5('k2')::uuid, NULL, sha256('newer'), 'p', 0);
SELECT tallyd.flush_node_open('n', 1);
SELECT tallyd.flush_apply('n', 1, 1, false, ARRAY[md5('u1')::uuid],
	ARRAY[md5('k1')::uuid], '{2024-10-05}', '{1}', '{1}', '{1}', '{1}',
	'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
	'2024-09-01', ARRAY[md5('u1')::uuid], ARRAY[md5('k1')::uuid], '{m}',
	'{1}', '{1}', '{1}', '{1}', ARRAY[1725278400000000], '{2024-09-02}');
SELECT tallyd.task_register('{n1}', '{q1}', '{""}', '{1}', '{1}', '{f}', '{1}');
SELECT tallyd.task_look(10, '{n1,n2}');
SELECT tallyd.task_claim(1, 1, '{n1}', 10, '{}', '{}', '{}', '{}', '{}', '{}');
SELECT tallyd.task_finish(1, 1, '{2,6}', '{0,0}', '{0,1}', '{completed,failed}',
	'{0,0}', '{0,0}', ARRAY[us, us], '{"",""}', true)
  FROM (SELECT (extract(epoch FROM now()) * 1000000)::int8 AS us) AS u;
SELECT tallyd.task_lose('{10}', '{0}', 10, 'e'), tallyd.task_cancel(1),
	tallyd.task_retry(4), tallyd.task_replay(NULL, 'n1', '{failed}',
	now(), 0, 10);
SQL
)
if ! printf '%s\n' "$inner" | grep -q 'Insert on daily_usage'; then
	printf '%s\n' "$inner"
	echo "the plans of functions were not shown"
	exit 1
fi
if printf '%s\n' "$inner" | grep -E "Seq Scan on ($large)( |\$)"; then
	echo "a large table is read from end to end inside a function"
	exit 1
fi
