#!/bin/sh
# On a filled database no statement reads a large table from end to end.
# Prints every plan.  Runs in the build directory.
set -eu

srcdir=${srcdir:-.}
if [ "${1:-}" != inside ]; then
	PG_TEMP_MIGRATIONS=$srcdir/db/migrations
	export PG_TEMP_MIGRATIONS
	exec "$srcdir/tools/pg-temp.sh" "$0" inside
fi

psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
INSERT INTO users (user_id, email, plan_id)
SELECT md5('u' || g)::uuid, 'u' || g || '@test',
       'a0000000-0000-0000-0000-000000000002'
  FROM generate_series(1, 20000) g;
INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash)
SELECT md5('k' || g)::uuid, md5('u' || g)::uuid, 'prefix-' || g,
       encode(sha256(('k' || g)::bytea), 'hex')
  FROM generate_series(1, 20000) g;
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
ANALYZE;
SQL

plans=$(tools/qgen --plans "$srcdir"/db/queries/*.sql)
printf '%s\n' "$plans"
large='users|api_keys|daily_usage|limit_overrides|change_log|idempotency_record'
if printf '%s\n' "$plans" | grep -E "Seq Scan on ($large)( |\$)"; then
	echo "a large table is read from end to end"
	exit 1
fi

# What stands inside functions.
inner=$(psql -X -q 2>&1 <<'SQL'
LOAD 'auto_explain';
SET client_min_messages = notice;
SET auto_explain.log_level = notice;
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SELECT tallyd.key_insert(md5('u1')::uuid, sha256('new'), 'p', 'l', 20, NULL,
	'{}', '{}', NULL, NULL, NULL);
SELECT tallyd.flush_node_open('n', 1);
SELECT tallyd.flush_apply('n', 1, 1, false, ARRAY[md5('u1')::uuid],
	ARRAY[md5('k1')::uuid], '{2024-10-05}', '{1}', '{1}', '{1}', '{1}',
	'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
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
