#!/bin/sh
# watch.sh - what it costs a batch that somebody wants to be told of its usage.
#
#	tests/bench/watch.sh [--rounds N] [--rows N]
#
# Two databases of one PostgreSQL with fsync on: in one of them every user of a
# full batch has a webhook, in the other nobody has.  In each round both take
# eight batches one after the other; the ratio of the medians of a round counts.
# Then the first batch of a day, in which each user is looked at.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
rounds=5 rows=8192
while [ $# -gt 1 ]; do
	case $1 in
	--rounds) rounds=$2 ;;
	--rows) rows=$2 ;;
	*) break ;;
	esac
	shift 2
done
if [ $# -gt 0 ]; then
	sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p;}' "$0" >&2
	exit 2
fi
if [ -z "${WATCH_INSIDE:-}" ]; then
	export WATCH_INSIDE=1 PG_TEMP_FAST=no
	export PG_TEMP_MIGRATIONS="$source/db/migrations"
	exec "$source/contrib/devel/pg-temp.sh" "$0" --rounds "$rounds" \
		--rows "$rows"
fi

ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

ask -v rows="$rows" <<'SQL'
INSERT INTO plans (name, daily_credit_limit, price_cents)
VALUES ('Bench', 2000000000, 0);
INSERT INTO users (user_id, email, plan_id)
SELECT md5('u' || n)::uuid, n || '@test', plan_id
  FROM plans, generate_series(1, :rows) n WHERE name = 'Bench';
INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash)
SELECT md5('k' || n)::uuid, md5('u' || n)::uuid, 'p',
       encode(sha256(n::text::bytea), 'hex')
  FROM generate_series(1, :rows) n;
CREATE TABLE batch AS
SELECT array_agg(md5('u' || n)::uuid ORDER BY n) AS users,
       array_agg(md5('k' || n)::uuid ORDER BY n) AS keys,
       array_agg((now() AT TIME ZONE 'UTC')::date) AS days,
       array_agg(1::int8) AS ones, array_agg(0::int8) AS zeros
  FROM generate_series(1, :rows) n;
CREATE SEQUENCE batch_seq;
CREATE FUNCTION batch() RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	begun TIMESTAMPTZ := clock_timestamp();
BEGIN
	PERFORM tallyd.flush_apply('n', 1, nextval('batch_seq'), true, users,
		keys, days, ones, ones, ones, zeros, '{}', '{}', '{}', '{}',
		'{}', '{}', '{}', '{}', '{}', '{}', '2020-01-01', '{}', '{}',
		'{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')
	   FROM batch;
	RETURN extract(epoch FROM clock_timestamp() - begun) * 1000;
END $$;
SELECT batch() \g /dev/null
CHECKPOINT;
CREATE DATABASE watched TEMPLATE postgres;
SQL
ask -d watched <<'SQL' 2>&1 ||
INSERT INTO webhook_endpoints (user_id, url, events, secret)
SELECT user_id, 'https://h/', '{*}', decode(repeat('00', 32), 'hex')
  FROM users;
SQL
	exit 1
vacuum() {
	ask -c 'VACUUM ANALYZE'
	ask -d watched -c 'VACUUM ANALYZE'
}
# eight batches, each its own transaction; the median in ms
eight() {
	i=0
	while [ $i -lt 8 ]; do
		echo 'SELECT batch();'
		i=$((i + 1))
	done | ask -d "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[4] }'
}

vacuum
first=$(ask -d watched -c 'SELECT round(batch())')
vacuum
eight postgres >/dev/null
eight watched >/dev/null
ratios=$(mktemp)
trap 'rm -f "$ratios"' EXIT
i=0
while [ $i -lt "$rounds" ]; do
	plain=$(eight postgres) watched=$(eight watched)
	awk -v p="$plain" -v w="$watched" 'BEGIN {
		printf "unwatched %.1f ms, watched %.1f ms, ratio %.2f\n",
			p, w, w / p }' | tee -a "$ratios"
	i=$((i + 1))
done
echo "median of the ratios: $(sed 's/.* //' "$ratios" | sort -n |
	awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')"
echo "first batch of a day: $first ms"
