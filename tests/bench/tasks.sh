#!/bin/sh
# tasks.sh - how fast the task bus is, beside one job per transaction.
#
#	tests/bench/tasks.sh [--tasks N] [--rounds N] [--clients N]
#
# One daemon with its own PostgreSQL, fsync on.  In each round pgbench takes
# jobs from a table, one per transaction, and the runners do as many tasks
# that do nothing, with the audit of failures only and with the whole audit;
# the ratio of the same round counts.  Then tasks are sent one by one to the
# idle daemon: the time from the row's own clock, so the sender's COMMIT is in
# it, to the start of the handler; how long the sends themselves took is
# printed beside it.  Run in a build directory; needs pgbench.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
tasks=50000 rounds=3 clients=8
while [ $# -gt 1 ]; do
	case $1 in
	--tasks) tasks=$2 ;;
	--rounds) rounds=$2 ;;
	--clients) clients=$2 ;;
	*) break ;;
	esac
	shift 2
done
if [ $# -gt 0 ]; then
	sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p;}' "$0" >&2
	exit 2
fi

cd "${BENCH_BUILD:-.}"
[ -f config.status ] || {
	echo "tasks.sh: run it in a build directory, or set BENCH_BUILD" >&2
	exit 2
}
for dir in "${PG_BINDIR:-}" /usr/lib/postgresql/*/bin; do
	[ -x "$dir/pgbench" ] && PATH=$PATH:$dir
done
make -s tallyd tallyctl >/dev/null
export TALLY_DATADIR="$source/db"
port=${BENCH_PORT:-13009}
instance=bench-$$-tasks daemon=''
tmp=$(mktemp -d /tmp/tt.XXXXXX)
chmod 755 "$tmp"
cat >"$tmp/conf" <<END
[server]
listen = 127.0.0.1:$port
state_dir = $tmp/state
instance = $instance
workers = 1
[runner]
selftest = yes
END

stop() {
	if [ -n "$daemon" ]; then
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" || true
	fi
	daemon=''
}
cleanup() {
	trap - EXIT INT TERM
	stop
	rm -f "/dev/shm/tallyd.$instance"*
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

start() { # AUDIT
	: >"$tmp/log"
	./tallyd -c "$tmp/conf" -o "runner.audit=$1" >"$tmp/log" 2>&1 &
	daemon=$!
	n=0
	until grep -q '"serving"' "$tmp/log"; do
		n=$((n + 1))
		if [ $n -gt 600 ] || ! kill -0 "$daemon" 2>/dev/null; then
			tail -n 20 "$tmp/log" >&2
			exit 1
		fi
		sleep 0.1
	done
	url=$(./tallyctl -c "$tmp/conf" database)
}
ask() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1" "$url"; }
now_ms() { date +%s%3N; }
divide() { awk "BEGIN { printf \"%.${3:-2}f\", $1 / $2 }"; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

cat >"$tmp/one.sql" <<'END'
BEGIN;
DELETE FROM bench_job WHERE id = (SELECT id FROM bench_job ORDER BY id LIMIT 1
	FOR UPDATE SKIP LOCKED) RETURNING payload;
COMMIT;
END
# Both leave tasks per second in $tmp/rate: a subshell could not stop what it
# has started.
one_by_one() {
	ask "DROP TABLE IF EXISTS bench_job" 2>/dev/null
	ask "CREATE TABLE bench_job (id BIGSERIAL PRIMARY KEY,
		payload JSONB NOT NULL);
	     INSERT INTO bench_job (payload)
	     SELECT '{}' FROM generate_series(1, $tasks)"
	ask "VACUUM ANALYZE bench_job"
	pgbench -n -M prepared -c "$clients" -j 2 -t $((tasks / clients)) \
		-f "$tmp/one.sql" "$url" >"$tmp/pgbench"
	sed -n 's/^tps = \([0-9]*\).*/\1/p' "$tmp/pgbench" >"$tmp/rate"
}
by_bus() { # AUDIT
	start "$1"
	ask "SELECT tallyd.queue_pause('selftest', true)" >/dev/null
	ask "INSERT INTO tallyd.task (name, queue, payload, retry_limit,
		retry_delay_ms, retry_backoff, timeout_ms)
	     SELECT 'tallyd.selftest.nothing', 'selftest', '{}', 3, 100, false,
		10000 FROM generate_series(1, $tasks)"
	ask "VACUUM ANALYZE tallyd.task"
	began=$(now_ms)
	ask "SELECT tallyd.queue_pause('selftest', false)" >/dev/null
	until [ "$(ask 'SELECT EXISTS (SELECT FROM tallyd.task)')" = f ]; do
		sleep 0.05
	done
	divide "$((tasks * 1000))" "$(($(now_ms) - began))" 0 >"$tmp/rate"
	stop
}

i=0
while [ $i -lt "$rounds" ]; do
	i=$((i + 1))
	start all
	one_by_one
	stop
	base=$(cat "$tmp/rate")
	by_bus failures
	some=$(cat "$tmp/rate")
	by_bus all
	whole=$(cat "$tmp/rate")
	divide "$some" "$base" >>"$tmp/some"
	echo >>"$tmp/some"
	divide "$whole" "$base" >>"$tmp/whole"
	echo >>"$tmp/whole"
	echo "round $i: one by one $base, audit of failures $some," \
		"whole audit $whole tasks per second"
done

start all
printf '%s\n%s\n' "SELECT tallyd.enqueue('tallyd.selftest.nothing');" \
	'\sleep 20 ms' >"$tmp/send.sql"
ask "TRUNCATE tallyd.task_attempt"
pgbench -n -r -c 1 -t 500 -f "$tmp/send.sql" "$url" >"$tmp/sends"
until [ "$(ask 'SELECT EXISTS (SELECT FROM tallyd.task)')" = f ]; do
	sleep 0.05
done
lag() { # SHARE; ms
	ask "SELECT round((percentile_cont($1) WITHIN GROUP (ORDER BY
		extract(epoch FROM started_at - created_at)) * 1000)::numeric,
		2) FROM tallyd.task_attempt"
}
p50=$(lag 0.5) p99=$(lag 0.99)
echo "a send with its COMMIT takes $(awk '/enqueue/ { print $1 }' \
	"$tmp/sends") ms on average, which is part of what follows"

failed=0
judge() { # NAME VALUE RELATION BAR
	awk -v n="$1" -v v="$2" -v r="$3" -v b="$4" 'BEGIN {
		good = r == ">=" ? v + 0 >= b + 0 : v + 0 <= b + 0
		printf "%-44s %10s %s %-6s %s\n", n, v, r, b,
			good ? "good" : "MISSED"
		exit !good }' || failed=1
}
judge "tasks to one by one, audit of failures" "$(median <"$tmp/some")" '>=' 3.6
judge "tasks to one by one, whole audit" "$(median <"$tmp/whole")" '>=' 2
judge "send to start, ms, half of them" "$p50" '<=' 2
judge "send to start, ms, 99 in 100" "$p99" '<=' 15
[ "$failed" -eq 0 ]
