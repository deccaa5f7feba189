#!/bin/bash
# Started by root: every process, file and socket is the account's, and all
# that a daemon does in its life works without root.
set -eu

[ "$(id -u)" = 0 ] || {
	echo "needs root"
	exit 77
}
user=daemon
id "$user" >/dev/null 2>&1 || {
	echo "needs an account '$user'"
	exit 77
}
srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"
for path in "$srcdir/db" .; do
	setpriv --reuid="$user" --regid="$user" --clear-groups \
		test -x "$(cd "$path" && pwd)" || {
		echo "needs a tree that '$user' can read"
		exit 77
	}
done

die() {
	echo "FAILED: $*"
	tail -n 20 "$logs/log" "$demo_dir/log" 2>/dev/null || true
	exit 1
}
await() { # COMMAND... - until it succeeds
	local i
	for ((i = 0; i < 800; i++)); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.05
	done
	die "never: $*"
}
logs=$(mktemp -d "$(demo_base)/tally-log.XXXXXX") # root's, as /var/log is
chmod 755 "$logs"

charge() {
	curl -fsS -o /dev/null -H "Authorization: Bearer $TALLYD_DEMO_KEY" \
		-H 'Content-Type: application/json' -d '{"credits":3}' \
		"$TALLYD_URL/api/usage/record"
}
used() { # what PostgreSQL knows
	psql -XAtc 'SELECT sum(credits_used) FROM daily_usage' \
		"$TALLYD_DATABASE_URL"
}
has_used() {
	[ "$(used)" = "$1" ]
}
field() { # PID NAME
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}
workers() {
	pgrep -P "$demo_pid" -f '^tallyd: worker'
}
new_workers() {
	[ "$(workers | wc -l)" = 2 ] &&
		! workers | grep -qxF -e "$1" -e "$2"
}
all_are_the_users() {
	local pid uid
	uid=$(id -u "$user")
	for pid in "$demo_pid" $(pgrep -P "$demo_pid"); do
		case $(field "$pid" Uid) in
		"$uid	$uid	$uid	$uid") ;;
		*) die "process $pid: $(field "$pid" Name) $(field "$pid" Uid)" ;;
		esac
		[ "$(field "$pid" NoNewPrivs)" = 1 ] || die "process $pid: new privileges"
		[ "$pid" = "$demo_pid" ] || [ $((0x$(field "$pid" CapPrm))) = 0 ] ||
			die "process $pid: capabilities $(field "$pid" CapPrm)"
	done
	# CAP_NET_BIND_SERVICE, number 10, alone
	[ $((0x$(field "$demo_pid" CapPrm))) = 1024 ] ||
		die "the master has $(field "$demo_pid" CapPrm)"
	[ -z "$(find "$demo_dir/state" /dev/shm/tallyd.demo$$.* "$logs/"* \
		! -user "$user" -print)" ] || die "not of '$user':" "$(find \
		"$demo_dir/state" /dev/shm/tallyd.demo$$.* ! -user "$user" -ls)"
}

# ---- a life of its own -------------------------------------------------------
demo_up "server.user=$user" "log.file=$logs/log" \
	metering.flush_interval_ms=100 runner.count=1
trap 'demo_down; rm -rf "$logs"' EXIT
all_are_the_users
[ "$(pgrep -P "$demo_pid" | wc -l)" = 6 ] || die "processes: $(ps f -u "$user")"
before=$(used)
charge
await has_used $((before + 3))

# reload: new processes, the account's as well
mapfile -t old < <(workers)
tallyctl reload >/dev/null || die "reload"
await new_workers "${old[@]}"
all_are_the_users

# the log moves, as logrotate does it
mv "$logs/log" "$logs/log.1"
install -o "$user" -m 640 /dev/null "$logs/log"
kill -USR1 "$demo_pid"
logged() {
	curl -fso /dev/null "$TALLYD_URL/health" &&
		grep -q '"process":"worker' "$logs/log"
}
await logged

# the database is out of reach: usage waits in the spool
before=$(used)
run=$demo_dir/state/pg/run
mv "$run" "$run.off"
pkill -TERM -P "$(head -n 1 "$demo_dir/state/pg/data/postmaster.pid")" \
	-f '^postgres: tallyd: tallyd' # sessions of this server alone
charge
spooled() {
	[ -n "$(find "$demo_dir/state/spool" -name '*.*' -type f -user "$user")" ]
}
await spooled
mv "$run.off" "$run"
await has_used $((before + 3))
all_are_the_users

# tallyctl: root and the account, nobody else
as() { # USER GROUP COMMAND...
	setpriv --reuid="$1" --regid="$2" --clear-groups "${@:3}"
}
as "$user" "$user" tallyctl status >/dev/null || die "tallyctl of '$user'"
! as nobody "$user" tallyctl status >/dev/null 2>&1 || die "a group's tallyctl"
demo_stop() {
	kill -TERM "$demo_pid"
	wait "$demo_pid" || die "ends with status $?"
	demo_pid=''
}
start() { # SETTING... - the same state once more
	env -u TALLYD_DATABASE_URL tallyd -c "$TALLYD_CONF" "$@" \
		>"$demo_dir/log" 2>&1 </dev/null &
	demo_pid=$!
	await tallyctl status
	await curl -fso /dev/null "$TALLYD_URL/health?ready=1"
}
demo_stop
total=$((before + 3))

# ---- root's daemon, then the account's: all is handed over --------------------
rm -f /dev/shm/tallyd.demo$$.* "$logs/log"
rm -rf "$demo_dir/state/spool" "$demo_dir/state/database_id"
start -o server.user=root
[ "$(field "$demo_pid" Uid | cut -f1)" = 0 ] || die "root was not kept"
charge
await has_used $((total + 3))
demo_stop
[ -n "$(find "$demo_dir/state/spool" "$logs/log" -user root)" ] || die "nothing is root's"
ln "$logs/log" "$demo_dir/state/second" # a second name: never given away
chown root "$demo_dir/state"
port=$((600 + RANDOM % 400))
start -o server.group="$user" -o log.file="$logs/other.log" \
	-o server.pid_file="$demo_dir/state/pid" \
	-o server.listen="${TALLYD_URL#http://},127.0.0.1:$port"
[ "$(stat -c %U "$logs/log")" = root ] || die "a file with two names was given away"
rm "$demo_dir/state/second" "$logs/log"
all_are_the_users
[ "$(cat "$demo_dir/state/pid")" = "$demo_pid" ] || die "no pid file"
curl -fso /dev/null "http://127.0.0.1:$port/health" || die "a port below 1024"
charge
await has_used $((total + 6))
as nobody "$user" tallyctl status >/dev/null || die "tallyctl of server.group"
setpriv --reuid=nobody --regid=nogroup --groups="$user" \
	tallyctl status >/dev/null || die "tallyctl of a member of server.group"
! as nobody nogroup tallyctl status >/dev/null 2>&1 || die "anybody's tallyctl"
# another program in place of this one: the same process, the same account,
# even where the log can not be opened again
mv "$logs/other.log" "$logs/moved.log"
tallyctl upgrade >/dev/null || die "upgrade"
all_are_the_users
curl -fso /dev/null "http://127.0.0.1:$port/health" || die "the port is lost"
as nobody "$user" tallyctl status >/dev/null || die "the group is lost"
grep -q "other.log'.*; logging to stderr" "$demo_dir/log" || die "nothing about the log"
demo_stop

# ---- what cannot work is said -------------------------------------------------
refused() { # WORDS SETTING...
	local status=0 out
	out=$(timeout 20 tallyd -c "$TALLYD_CONF" "${@:2}" 2>&1) || status=$?
	[ "$status" = 78 ] || die "status $status for: $1"
	grep -q -- "$1" <<<"$out" || die "no '$1' in: $out"
}
refused "there is no user 'no-such-user'" -o server.user=no-such-user
refused "there is no user 'no-such-user'" -t -o server.user=no-such-user
refused "there is no group 'no-such-group'" -o server.group=no-such-group
refused "belongs to another account" -o server.user=nobody
refused "it may not write into '$logs'" -o server.pid_file="$logs/pid"
chmod 600 "$TALLYD_CONF"
refused "it may not read '$TALLYD_CONF'"
