#!/bin/sh
# reads.sh - how long the dashboard's reads wait on a full database.
#
#	tests/bench/reads.sh [--users N] [--days N] [--rate N] [--seconds S]
#	                     [--rounds N] [--keys N] [--state DIR]
#	                     [--buffers SIZE]
#
# Fills a database (100,000 users, three keys each, 34 days: 10.2 million rows
# of usage), starts one worker, and asks for overview, keys and history in turn
# at a constant rate with random keys of all users (--keys: of so many).  The
# bar is 3 ms for 95 in 100 of each.  With --state the filled database stays
# there and is taken again.  PostgreSQL gets a quarter of the memory for its
# buffers, as its manual advises (--buffers 128MB: its default, with which every
# second page of a month is copied from the kernel).  The load has core 1; worker, flusher and
# PostgreSQL share core 0 and what is left of core 1.  Run in a build directory.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
users=100000 days=34 rate=2000 seconds=20 rounds=3 keys='' state=''
buffers=$(awk '/^MemTotal/ { printf "%dMB", $2 / 4096 }' /proc/meminfo)
port=${BENCH_PORT:-13007}
while [ $# -gt 1 ]; do
	case $1 in
	--users) users=$2 ;;
	--days) days=$2 ;;
	--rate) rate=$2 ;;
	--seconds) seconds=$2 ;;
	--rounds) rounds=$2 ;;
	--keys) keys=$2 ;;
	--state) state=$2 ;;
	--buffers) buffers=$2 ;;
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
	echo "reads.sh: run it in a build directory, or set BENCH_BUILD" >&2
	exit 2
}
make -s tallyd tallyctl tests/bench/reads >/dev/null
export TALLY_DATADIR="$source/db"
tmp=$(mktemp -d /tmp/tr.XXXXXX)
chmod 755 "$tmp"
state=${state:-$tmp/state}
mkdir -p "$state"
instance=bench-$$-reads daemon=''

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

cat >"$tmp/conf" <<END
[server]
listen = 127.0.0.1:$port
state_dir = $state
instance = $instance
workers = 1
[shm]
max_keys = 400000
[limits]
enabled = no
[log]
access = no
END
start() {
	./tallyd -c "$tmp/conf" >"$tmp/log" 2>&1 &
	daemon=$!
	n=0
	until curl -sf -o /dev/null "http://127.0.0.1:$port/health?ready=1"; do
		n=$((n + 1))
		if [ $n -gt 1200 ] || ! kill -0 "$daemon" 2>/dev/null; then
			tail -n 20 "$tmp/log" >&2
			exit 1
		fi
		sleep 0.1
	done
	url=$(./tallyctl -c "$tmp/conf" database)
}

start
if [ ! -f "$state/filled" ]; then
	echo "filling: $users users, $((users * 3)) keys, $days days of usage"
	psql -X -q -v users="$users" -v days="$days" \
		-f "$source/tests/bench/reads.sql" "$url"
	echo "$users" >"$state/filled"
fi
# from now on as any day that goes on: what is used today is read at the start
psql -X -q -c "ALTER SYSTEM SET shared_buffers = '$buffers'" "$url"
stop
rm -f "/dev/shm/tallyd.$instance"*
start
psql -X -q -A -t -c "SELECT 'shared_buffers ' ||
	current_setting('shared_buffers')" "$url"
# into the kernel's memory, as it is after days
psql -X -q -A -t -c "SELECT 'usage rows ' || count(*) FROM daily_usage" "$url"
users=$(cat "$state/filled")
keys=${keys:-$((users * 3))}

# CPU time in ticks: of the worker, of the PostgreSQL processes that serve it.
worker=$(pgrep -P "$daemon" -f 'tallyd: worker')
ticks() {
	for pid; do
		sed 's/.*) //' "/proc/$pid/stat"
	done | awk '{ sum += $12 + $13 } END { print sum + 0 }'
}
backends() {
	psql -X -A -t -c "SELECT pid FROM pg_stat_activity
		WHERE application_name LIKE 'tallyd worker%'" "$url"
}

missed=0
for round in $(seq "$rounds"); do
	echo "round $round: $rate requests/s for $seconds s, $keys keys"
	cpu_worker=$(ticks "$worker")
	# shellcheck disable=SC2046
	cpu_pg=$(ticks $(backends))
	tests/bench/reads --port "$port" --cpu 1 --rate "$rate" \
		--seconds "$seconds" --keys read_key_%06u_0123456789abcdef \
		--key-count "$keys" --path /api/dashboard/overview \
		--path /api/keys --path /api/usage/history | tee "$tmp/out"
	# shellcheck disable=SC2046
	awk -v n="$((rate * (seconds + 2)))" -v hz="$(getconf CLK_TCK)" \
		-v w="$(($(ticks "$worker") - cpu_worker))" \
		-v p="$(($(ticks $(backends)) - cpu_pg))" 'BEGIN {
		printf "CPU a request: worker %.0f us, PostgreSQL %.0f us\n",
			w * 1e6 / hz / n, p * 1e6 / hz / n }'
	awk -F'p95_ms=' '/^path=/ { split($2, v, " "); if (v[1] > 3) bad = 1 }
		END { exit bad }' "$tmp/out" || missed=$((missed + 1))
done
echo "rounds over 3 ms at the 95th percentile: $missed of $rounds"
[ "$missed" -lt "$rounds" ]
