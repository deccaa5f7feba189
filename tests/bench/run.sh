#!/bin/sh
# run.sh - measures tallyd and prints the table of what it is judged by.
#
#	tests/bench/run.sh [--rounds N] [--seconds S] [--only PART,...]
#
# Parts: start speed tls batch decide memory streams syscalls instructions import
# (default all of these), and three with a database of their own: reads
# (reads.sh), tasks (tasks.sh) and watch (watch.sh).
# The server runs on core 0 and the load on core 1, as contrib/quickstart.sh
# starts it with one worker and everything on.  Absolute figures drift from
# machine to machine, the ratio to stock evhttp of the same rounds holds.
# Needs two cores; strace and valgrind for the last two parts.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
rounds=5 seconds=4 only=speed,tls,batch,decide,memory,streams,start,syscalls,instructions,import
port=${BENCH_PORT:-13001} stock_port=$((${BENCH_PORT:-13001} + 1))
tls_port=$((port + 4))
listen=127.0.0.1:$port
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 && shift ;;
	--seconds) seconds=$2 && shift ;;
	--only) only=$2 && shift ;;
	*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p;}' "$0" >&2 && exit 2 ;;
	esac
	shift
done

keys=bench_key_%06u_0123456789abcdef
tmp=$(mktemp -d /tmp/tb.XXXXXX)
chmod 755 "$tmp"
stock_pid='' listen_pid=''
cleanup() {
	trap - EXIT INT TERM
	for p in $stock_pid $listen_pid $(cat "$tmp/cg.pid" 2>/dev/null); do
		kill "$p" 2>/dev/null || true
	done
	wait
	"$source/contrib/quickstart.sh" --state "$tmp/state" --stop \
		>/dev/null 2>&1 || true
	rm -f /dev/shm/tallyd.bench-$$-*
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

wants() { case ",$only," in *",$1,"*) ;; *) return 1 ;; esac; }
say() { printf '\n== %s\n' "$*"; }
# shows the command, then runs it
show() {
	printf '$ %s\n' "$*" >&2
	"$@"
}
field() { sed -n "s/.*\b$1=\([0-9.]*\).*/\1/p"; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
divide() { awk "BEGIN { printf \"%.${3:-2}f\", $1 / $2 }"; }
table=$tmp/table
# judge NAME VALUE UNIT RELATION BAR
judge() {
	awk -v n="$1" -v v="$2" -v u="$3" -v r="$4" -v b="$5" 'BEGIN {
		good = r == ">=" ? v + 0 >= b + 0 : v + 0 <= b + 0
		printf "%-44s %12s %-8s %s %-9s %s\n", n, v, u, r, b,
			good ? "good" : "MISSED" }' >>"$table"
}
note() { printf '%-44s %12s %s\n' "$1" "$2" "$3" >>"$table"; }

start_server() {
	taskset -c 0 "$source/contrib/quickstart.sh" --state "$tmp/state" \
		--listen "$listen" --workers 1 --detach \
		>"$tmp/quickstart.log" 2>&1 || {
		cat "$tmp/quickstart.log" >&2
		exit 1
	}
	# shellcheck disable=SC1091
	. "$tmp/state/env"
	worker=$(pgrep -P "$TALLYD_PID" -f 'tallyd: worker')
}

# what the TLS listener shows; the load believes anything
make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-subj /CN=localhost -days 2 -keyout "$tmp/tls.key" \
		-out "$tmp/tls.pem" 2>/dev/null
}

make_data() {
	psql -X -q -v ON_ERROR_STOP=1 "$TALLYD_DATABASE_URL" <<-'END'
		INSERT INTO plans (plan_id, name, daily_credit_limit, price_cents)
		VALUES ('a0000000-0000-0000-0000-0000000000ff', 'Bench',
			2000000000, 0);
		INSERT INTO users (user_id, email, plan_id)
		SELECT ('b1000000-0000-0000-0000-' || lpad(to_hex(i), 12, '0'))
			::uuid, 'bench' || i || '@test',
			'a0000000-0000-0000-0000-0000000000ff'
		  FROM generate_series(0, 99999) i;
		INSERT INTO api_keys (key_id, user_id, key_prefix, key_hash,
			rate_limit)
		SELECT ('c1000000-0000-0000-0000-' || lpad(to_hex(i), 12, '0'))
			::uuid,
			('b1000000-0000-0000-0000-' || lpad(to_hex(i), 12, '0'))
			::uuid, 'bench_key_' || lpad(i::text, 6, '0'),
			encode(sha256(('bench_key_' || lpad(i::text, 6, '0') ||
				'_0123456789abcdef')::bytea), 'hex'), 2000000000
		  FROM generate_series(0, 99999) i;
		INSERT INTO daily_usage (user_id, key_id, date, credits_used,
			request_count)
		SELECT user_id, key_id, (now() AT TIME ZONE 'UTC')::date, 1, 1
		  FROM api_keys WHERE key_prefix LIKE 'bench%'
		 ORDER BY key_id LIMIT 10000;
		VACUUM ANALYZE;
	END
}

load() { tests/bench/load --cpu 1 "$@"; }
gate_load() {
	load --port "$port" --path /api/gate --keys "$keys" --key-count 1000 \
		--pid "$worker" "$@"
}
stock_load() {
	load --port "$stock_port" --path /api/gate --keys "$keys" \
		--key-count 1000 --pid "$stock_pid" "$@"
}
batch_load() {
	load --port "$port" --path /api/verify/batch --batch 100 \
		--keys "$keys" --key-count 100000 --pid "$worker" "$@"
}

# All keys into the segment: an answer never waits for the database later.
warm_up() { batch_load --msgpack --connections 2 --requests 1000; }

# Rounds of stock and gate in turn; every answer must have been 200.
part_speed() {
	say "speed of the gate, $rounds rounds of $seconds s each, in turn"
	i=0
	while [ $i -lt "$rounds" ]; do
		show stock_load --seconds "$seconds" | tee -a "$tmp/stock.out"
		show gate_load --seconds "$seconds" | tee -a "$tmp/gate.out"
		i=$((i + 1))
	done
	stock=$(field rps <"$tmp/stock.out" | median)
	gate=$(field rps <"$tmp/gate.out" | median)
	judge "gate over stock evhttp (requests/s)" \
		"$(divide "$gate" "$stock")" ratio '>=' 1.20
	note "  gate" "$gate" "requests/s (median)"
	note "  stock evhttp" "$stock" "requests/s (median)"
	# steadier than the rates where the machine has other work
	gate=$(field cpu_us <"$tmp/gate.out" | median)
	stock=$(field cpu_us <"$tmp/stock.out" | median)
	note "  server CPU a request, gate" "$gate" us
	note "  server CPU a request, stock" "$stock" us
	note "  server CPU, stock over gate" "$(divide "$stock" "$gate")" ratio
	note "  gate answers other than 2xx" \
		"$(field other <"$tmp/gate.out" | sort -n | tail -1)" \
		"(must be 0)"
}

# Plain and TLS in turn, both on connections that are kept.
part_tls() {
	say "the gate over TLS and plain, $rounds rounds of $seconds s each, in turn"
	i=0
	while [ $i -lt "$rounds" ]; do
		show gate_load --seconds "$seconds" | tee -a "$tmp/plain.out"
		show gate_load --port "$tls_port" --tls --seconds "$seconds" |
			tee -a "$tmp/tls.out"
		i=$((i + 1))
	done
	judge "gate over TLS to plain (requests/s)" "$(divide \
		"$(field rps <"$tmp/tls.out" | median)" \
		"$(field rps <"$tmp/plain.out" | median)")" ratio '>=' 0.80
	note "  server CPU a request, plain over TLS" "$(divide \
		"$(field cpu_us <"$tmp/plain.out" | median)" \
		"$(field cpu_us <"$tmp/tls.out" | median)")" ratio
	note "  answers other than 2xx" \
		"$(field other <"$tmp/tls.out" | sort -n | tail -1)" "(must be 0)"
}

part_batch() {
	say "verify/batch, 100 different keys of 100,000 in each request"
	i=0
	while [ $i -lt "$rounds" ]; do
		show batch_load --msgpack --connections 8 --seconds "$seconds" |
			tee -a "$tmp/msgpack.out"
		show batch_load --connections 8 --seconds "$seconds" |
			tee -a "$tmp/json.out"
		i=$((i + 1))
	done
	judge "verify/batch in MessagePack" \
		"$(field items <"$tmp/msgpack.out" | median)" items/s '>=' 300000
	judge "verify/batch in JSON" \
		"$(field items <"$tmp/json.out" | median)" items/s '>=' 150000
}

part_decide() {
	say "the decision alone, a segment of 1M keys"
	show taskset -c 0 ./tallyctl bench --keys 1000000 --seconds 5 |
		tee "$tmp/decide.out"
	ns() { sed -n "s/^$1[^:]*: *\([0-9]*\) ns.*/\1/p" "$tmp/decide.out"; }
	judge "decision, random key of 1M" "$(ns 'decision, random')" ns '<=' 1000
	judge "decision, hot key" "$(ns 'decision, hot')" ns '<=' 350
	note "  one SHA-256 of a key" "$(ns sha-256)" ns
	note "  one cold read of the segment" "$(ns 'cold read')" ns
}

part_memory() {
	say "memory"
	show ./tallyd -t -o shm.max_keys=1000000 -o shm.max_users=1000000 |
		tee "$tmp/size.out"
	bytes=$(sed -n 's/.* \([0-9]*\) bytes.*/\1/p' "$tmp/size.out")
	judge "segment, 1M keys and 1M users" "$(divide "$bytes" 1000000 0)" \
		"bytes/key" '<=' 640
	show gate_load --requests 1000000
	show grep -E '^(VmRSS|RssShmem)' "/proc/$worker/status"
	judge "worker after a million requests" "$(awk '/^VmRSS/ { rss = $2 }
		/^RssShmem/ { shm = $2 } END { printf "%.1f", (rss - shm) / 1024 }' \
		"/proc/$worker/status")" MiB '<=' 16
}

# listen_begin ARGUMENT...: streams in the background; listen_end closes them.
listen_begin() {
	mkfifo "$tmp/listen.in"
	tests/bench/listen --cpu 1 --port "$port" --keys "$keys" \
		--streams 1000 "$@" <"$tmp/listen.in" >"$tmp/listen.out" &
	listen_pid=$!
	exec 9>"$tmp/listen.in"
	rm "$tmp/listen.in"
	until grep -q streams= "$tmp/listen.out"; do
		kill -0 "$listen_pid"
		sleep 0.1
	done
}
listen_end() {
	exec 9>&-
	wait "$listen_pid"
	listen_pid=
	tail -1 "$tmp/listen.out" >&2
}
private_kib() {
	awk '/^VmRSS/ { rss = $2 } /^RssShmem/ { shm = $2 }
		END { print rss - shm }' "/proc/$worker/status"
}
# streams_round NAME LOAD...: the load, its line to NAME.out
streams_round() {
	name=$1
	shift
	show "$@" --seconds "$seconds" | tee -a "$tmp/$name.out"
}
hot_load() { gate_load --key-count 1 "$@"; }

# Streams of 1000 keys that do nothing, of the 1000 keys under load, and all of
# them of the one key under load; with the same load and no stream each.
part_streams() {
	say "1000 streams of /api/events open"
	gate_load --requests 100000 >/dev/null
	before=$(private_kib)
	listen_begin --key-first 5000 --key-count 1000
	sleep 1 # some ticks
	after=$(private_kib)
	listen_end
	judge "memory a stream, of 1000" \
		"$(divide "(($after - $before) * 1024)" 1000 0)" bytes \
		'<=' 24576
	i=0
	while [ $i -lt "$rounds" ]; do
		streams_round none gate_load
		listen_begin --key-first 5000 --key-count 1000
		streams_round idle gate_load
		listen_end
		listen_begin --key-count 1000
		streams_round each gate_load
		listen_end
		streams_round hot_none hot_load
		listen_begin --key-count 1
		streams_round hot hot_load
		listen_end
		i=$((i + 1))
	done
	for name in none idle each hot_none hot; do
		eval "${name}=$(field rps <"$tmp/$name.out" | median)"
		eval "${name}_us=$(field cpu_us <"$tmp/$name.out" | median)"
	done
	# CPU is judged: other work on the machine moves the rates more
	judge "gate CPU, 1000 streams of other keys, to none" \
		"$(divide "${idle_us:?}" "${none_us:?}")" ratio '<=' 1.10
	note "  requests/s, of other keys" \
		"$(divide "${idle:?}" "${none:?}")" "ratio to none"
	note "  requests/s, one of each key under load" \
		"$(divide "${each:?}" "$none")" "ratio to none"
	note "  requests/s, all of the one key under load" \
		"$(divide "${hot:?}" "${hot_none:?}")" "ratio to none"
	note "  server CPU a request: none, other, each" \
		"$none_us $idle_us ${each_us:?}" us
	note "  server CPU a request, one key: none, all" \
		"${hot_none_us:?} ${hot_us:?}" us
}

part_start() {
	say "start: fresh segment for 200,000 keys, 100k keys and 10k rows of today"
	i=0
	while [ $i -lt "$rounds" ]; do
		mkdir "$tmp/start$i"
		show tests/bench/ready $((port + 2)) ./tallyd \
			-o "server.listen=127.0.0.1:$((port + 2))" \
			-o "server.state_dir=$tmp/start$i" \
			-o "server.instance=bench-$$-start$i" \
			-o server.workers=1 -o shm.max_keys=200000 \
			-o "database.url=$TALLYD_DATABASE_URL" \
			2>"$tmp/start.log" | tee -a "$tmp/start.out"
		i=$((i + 1))
	done
	judge "exec to ready" "$(median <"$tmp/start.out")" ms '<=' 300
}

# calls_of PID LOAD: system calls of the process while the load runs
calls_of() {
	strace -f -c -U calls,name -o "$tmp/strace.out" -p "$1" 2>/dev/null &
	strace_pid=$!
	sleep 1
	"$2" --requests 20000 >/dev/null
	kill -INT "$strace_pid"
	wait "$strace_pid" || true
	cat "$tmp/strace.out" >&2
	awk '$2 == "total" { printf "%.2f", $1 / 20000 }' "$tmp/strace.out"
}

part_syscalls() {
	say "system calls a request (strace -c of 20,000 requests)"
	note "system calls a request, gate" "$(calls_of "$worker" gate_load)" ""
	note "system calls a request, stock" \
		"$(calls_of "$stock_pid" stock_load)" ""
}

# profile REQUESTS COMMAND...: instructions of the process that answered, from
# its start to its end, that many requests included.  A worker closes what
# callgrind_control would talk to, hence whole lives.
profile() {
	requests=$1
	shift
	rm -rf "$tmp/cg"
	mkdir "$tmp/cg"
	valgrind -q --tool=callgrind --callgrind-out-file="$tmp/cg/out.%p" "$@" \
		>/dev/null 2>&1 &
	cg=$!
	echo $cg >"$tmp/cg.pid" # we are a subshell; cleanup is not
	n=0
	until curl -sf -o /dev/null "http://127.0.0.1:$((port + 3))/health"; do
		n=$((n + 1))
		[ $n -lt 600 ] || {
			echo "not ready under valgrind" >&2
			exit 1
		}
		sleep 0.1
	done
	load --port $((port + 3)) --path /api/gate --keys "$keys" \
		--key-count 100 --requests "$requests" >/dev/null
	kill "$cg"
	wait "$cg" || true
	# valgrind hides titles, but a worker's own lines are in the log
	answerer=$(sed -n 's/.*"process":"worker[^,]*,"pid":\([0-9]*\).*/\1/p' \
		"$tmp/cg/log" 2>/dev/null | head -n 1)
	sed -n 's/^totals: //p' "$tmp/cg/out.${answerer:-$cg}"
	rm -f "$tmp/cg.pid"
}
gate_profile() {
	profile "$1" ./tallyd -o "server.listen=127.0.0.1:$((port + 3))" \
		-o "server.state_dir=$tmp/cg" -o "server.instance=bench-$$-cg" \
		-o server.workers=1 -o log.file="$tmp/cg/log" \
		-o "database.url=$TALLYD_DATABASE_URL"
	rm -f "/dev/shm/tallyd.bench-$$-cg"*
}
stock_profile() {
	profile "$1" tests/bench/stock_evhttp $((port + 3))
}

part_instructions() {
	say "user instructions a request (callgrind: 6000 requests less 1000)"
	for who in gate stock; do
		few=$("${who}_profile" 1000)
		many=$("${who}_profile" 6000)
		note "user instructions a request, $who" \
			"$(divide "($many - $few)" 5000000 1)" k
	done
}

# Last: a million keys more make everything else slower.
part_import() {
	say "import of 1,000,000 keys of 100,000 new owners beside the daemon"
	psql -X -q -v ON_ERROR_STOP=1 "$TALLYD_DATABASE_URL" \
		>"$tmp/keys.csv" <<-'END'
		COPY (SELECT encode(sha256(('imported_key_' || i)::bytea),
				'hex') AS key_hash,
			'owner' || i % 100000 || '@import.test' AS email,
			'Key ' || i AS label, 'imported_' || i AS prefix,
			'read;write' AS scopes
		  FROM generate_series(1, 1000000) i)
		TO STDOUT CSV HEADER;
	END
	from=$(date +%s.%N)
	show ./tallyctl -c "$tmp/state/tallyd.conf" key import "$tmp/keys.csv" \
		--plan Pro
	to=$(date +%s.%N)
	judge "import of 1,000,000 keys" "$(divide "($to - $from)" 1 1)" s \
		'<=' 60
	note "  keys a second" "$(divide 1000000 "($to - $from)" 0)" 1/s
}

export TALLY_DATADIR="$source/db"
if [ "$only" = tasks ]; then
	exec "$source/tests/bench/tasks.sh" --rounds "$rounds"
fi
if [ "$only" = watch ]; then
	exec "$source/tests/bench/watch.sh" --rounds "$rounds"
fi
if [ "$only" = reads ]; then
	exec "$source/tests/bench/reads.sh" --rounds "$rounds" \
		--seconds "$seconds"
fi
cd "${BENCH_BUILD:-.}"
[ -f config.status ] || {
	echo "run.sh: run it in a build directory, or set BENCH_BUILD" >&2
	exit 2
}
make -s tallyd tallyctl bench-programs >/dev/null
: >"$table"
say "start as quickstart does, 100k keys"
start_server
make_data
"$source/contrib/quickstart.sh" --state "$tmp/state" --stop >/dev/null
make_certificate
listen=$listen,tls:127.0.0.1:$tls_port
cat >>"$tmp/state/tallyd.conf" <<-END

	[tls]
	certificates = $tmp/tls.pem $tmp/tls.key
	[server]
	max_connections_per_address = 4096
	[events]
	max_per_key = 1000
	[shm]
	max_keys = 200000
END
start_server
taskset -c 0 tests/bench/stock_evhttp "$stock_port" &
stock_pid=$!
# first, while no more than 10,000 keys have usage of today
if wants start; then
	part_start
fi
batch_load --msgpack --connections 2 --requests 1000
for part in speed tls batch decide memory streams syscalls instructions import; do
	if wants "$part"; then
		"part_$part"
	fi
done
if wants reads; then
	say "dashboard reads"
	BENCH_BUILD=. "$source/tests/bench/reads.sh" --rounds "$rounds" \
		--seconds "$seconds" | tee "$tmp/reads.out"
	judge "overview, keys, history: rounds over 3 ms at p95" \
		"$(sed -n 's/^rounds over.*: \([0-9]*\) of.*/\1/p' \
			"$tmp/reads.out")" rounds '<=' $((rounds / 2))
fi
if wants tasks; then
	say "tasks"
	BENCH_BUILD=. "$source/tests/bench/tasks.sh" --rounds "$rounds" |
		tee "$tmp/tasks.out" || true
	grep -E ' (good|MISSED)$' "$tmp/tasks.out" >>"$table"
fi
if wants watch; then
	say "a batch whose users are all told of their usage"
	"$source/tests/bench/watch.sh" --rounds "$rounds" |
		tee "$tmp/watch.out"
	judge "such a batch, to one of nobody" \
		"$(sed -n 's/^median of the ratios: //p' "$tmp/watch.out")" \
		times '<=' 1.3
fi
say "table"
cat "$table"
! grep -q MISSED "$table"
