#!/bin/bash
# quickstart.sh - from a fresh clone to a running tallyd with demo data.
#
# Installs what is missing (Debian, apt), builds out of tree, starts the daemon
# with an embedded PostgreSQL, and says what to try.  All of it stays in one
# directory, but for the segment in /dev/shm, which the next start goes on with.
set -euo pipefail

usage() {
	cat <<-'EOF'
	usage: contrib/quickstart.sh [--state DIR] [--listen ADDR:PORT]
	                             [--workers N] [--detach | --stop]
	  --state DIR         where everything is kept (default ./.tallyd)
	  --listen ADDR:PORT  default 127.0.0.1:3001
	  --workers N         default: one for each CPU
	  --detach            go to the background once ready; DIR/env tells more
	  --stop              stop what runs in DIR
	EOF
}

source_dir=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=contrib/lib.sh
. "$source_dir/contrib/lib.sh"

state=./.tallyd listen='' workers='' mode=foreground running=''
while [ $# -gt 0 ]; do
	case $1 in
	--state | --listen | --workers)
		[ $# -ge 2 ] || die "$1 needs a value"
		case $1 in
		--state) state=$2 ;;
		--listen) listen=$2 ;;
		--workers) workers=$2 ;;
		esac
		shift
		;;
	--detach) mode=detach ;;
	--stop) mode=stop ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 64
		;;
	esac
	shift
done

# What an earlier DIR/env left in this shell are no settings.
while read -r name; do
	unset "$name"
done < <(compgen -e TALLYD_ || true)

# ---- processes -------------------------------------------------------------

# Runs, and is no zombie that nobody waits for.
alive() {
	local state_line
	{ state_line=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	case ${state_line##*) } in
	Z* | X*) return 1 ;;
	esac
}

master_pid() {
	local pid
	pid=$(cat "$state/tallyd.pid" 2>/dev/null) || return 1
	alive "$pid" &&
		grep -q '^tallyd: master' "/proc/$pid/cmdline" 2>/dev/null &&
		echo "$pid"
}

# The embedded server that outlived a killed master.
server_pid() {
	local pid
	pid=$(head -n 1 "$state/pg/data/postmaster.pid" 2>/dev/null) || return 1
	alive "$pid" && [ "/proc/$pid/cwd" -ef "$state/pg/data" ] && echo "$pid"
}

await_end() { # PID SECONDS
	local i
	for ((i = 0; i < $2 * 20; i++)); do
		alive "$1" || return 0
		sleep 0.05
	done
	return 1
}

# Children of a killed master, which deliver usage once more and leave.
await_orphans() {
	local exe pid
	for exe in /proc/[0-9]*/exe; do
		[ "$exe" -ef "$state/install/sbin/tallyd" ] || continue
		pid=${exe#/proc/}
		await_end "${pid%/exe}" 70 || true
	done
}

stop() {
	local pid
	if pid=$(master_pid); then
		kill -TERM "$pid"
		await_end "$pid" 90 || die "process $pid does not stop"
		echo "stopped"
	else
		echo "not running"
	fi
	await_orphans
	# They end by themselves, the database does not.
	if pid=$(server_pid); then
		kill -INT "$pid"
		await_end "$pid" 30 || kill -QUIT "$pid"
		await_end "$pid" 10 || die "database process $pid does not stop"
		echo "stopped the database of a master that was killed"
	fi
	rm -f "$state/env"
}

# ---- what there is to try --------------------------------------------------

setting() { # KEY - as the configuration has it
	sed -nE "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*(.*[^[:space:]])[[:space:]]*$/\1/p" \
		"$conf" | tail -n 1
}

url() { # of the first TCP address
	local address='' list=${listen:-$(setting listen)} part
	if [ -n "$running" ]; then
		echo "$running"
		return
	fi
	while read -r part; do
		case $part in
		'' | unix:* | tls:*) ;;
		*) address=${address:-$part} ;;
		esac
	done < <(tr , '\n' <<<"${list:-127.0.0.1:3001}")
	[ -n "$address" ] || die "no ADDR:PORT to listen on; give one with --listen"
	address=${address/#0.0.0.0:/127.0.0.1:}
	address=${address/#\[::\]:/[::1]:}
	echo "http://$address"
}

await_ready() { # PID
	while alive "$1"; do
		curl -gfso /dev/null --max-time 2 "$(url)/health?ready=1" &&
			return 0
		sleep 0.05
	done
	return 1
}

banner() {
	local u
	u=$(url)
	cat <<-EOF

	tallyd serves at $u

	dashboard  $u/dashboard  (log in with one of the demo keys)
	the API    $u/docs, to try it $u/docs/api

	demo keys  Pro       codexible_demo_pro_2026
	           Business  codexible_demo_business_2026
	           Starter   codexible_demo_starter_2026

	try        curl -i -H 'Authorization: Bearer codexible_demo_pro_2026' '$u/api/gate'
	           curl -i -H 'Authorization: Bearer codexible_demo_starter_2026' '$u/api/gate?cost=1000000'
	           curl -s -H 'Authorization: Bearer codexible_demo_pro_2026' '$u/api/usage/today'
	           curl -s '$u/health'

	(let in and charged; refused, over its credits; what was used; health)

	EOF
}

# For a shell's "."; plain where nothing needs quoting, for simpler readers.
env_line() { # NAME VALUE
	if [[ $2 =~ ^[A-Za-z0-9_./:@%?=,+-]*$ ]]; then
		printf '%s=%s\n' "$1" "$2"
	else
		printf '%s=%q\n' "$1" "$2"
	fi
}

write_env() { # PID
	local db
	db=$("$state/install/sbin/tallyctl" -c "$conf" database) ||
		die "tallyctl does not know the database"
	{
		env_line TALLYD_URL "$(url)"
		env_line TALLYD_DEMO_KEY codexible_demo_pro_2026
		env_line TALLYD_DATABASE_URL "$db"
		env_line TALLYD_PID "$1"
		env_line TALLYD_CONF "$conf"
	} >"$state/env.new"
	mv "$state/env.new" "$state/env"
}

# ---- build and configuration -----------------------------------------------

build() {
	local build=$state/build install=$state/install
	install_packages "${BUILD_PACKAGES[@]}"
	prepare_build "$source_dir" "$build" --prefix="$install" \
		--localstatedir="$state/var" ${CC:+"CC=$CC"}
	[ -x "$install/sbin/tallyd" ] || echo "building in $build"
	quiet_make "$build" -j"$(nproc)" all ||
		die "the build failed, see above"
	if [ ! -x "$install/sbin/tallyd" ] ||
		[ -n "$(find "$build" -maxdepth 1 -name 'tally*' -type f \
			-newer "$install/sbin/tallyd")" ]; then
		quiet_make "$build" install >/dev/null
	fi
}

# A line of the file holds 190 bytes; a longer value goes on in the next.
conf_line() { # KEY VALUE
	local rest=$2
	printf '%s = ' "$1"
	while [ "${#rest}" -gt 80 ]; do
		printf '%s\\\n\t' "${rest:0:80}"
		rest=${rest:80}
	done
	printf '%s\n' "$rest"
}

write_conf() {
	[ -f "$conf" ] && return
	{
		cat <<-'EOF'
		# Made by quickstart.sh; yours from now on.  See tallyd.conf(5);
		# install/etc/tallyd/tallyd.conf beside this file has all settings.
		[server]
		EOF
		conf_line listen "${listen:-127.0.0.1:3001}"
		conf_line state_dir "$state"
		conf_line pid_file "$state/tallyd.pid"
		[ -z "$workers" ] || conf_line workers "$workers"
		cat <<-'EOF'

		[database]
		# empty: a private PostgreSQL in pg/, beside this file
		url =
		seed_demo = yes
		EOF
	} >"$conf.new"
	mv "$conf.new" "$conf"
}

# ---- go --------------------------------------------------------------------

if [ "$mode" = stop ]; then
	[ -d "$state" ] || die "there is no '$state'"
	state=$(cd "$state" && pwd -P)
	stop
	exit 0
fi

mkdir -p "$state"
state=$(cd "$state" && pwd -P)
conf=$state/tallyd.conf
args=(-c "$conf")
[ -z "$listen" ] || args+=(-o "server.listen=$listen")
[ -z "$workers" ] || args+=(-o "server.workers=$workers")

if pid=$(master_pid); then
	[ "$mode" = detach ] || die "process $pid runs on '$state' already; stop it with --stop"
	echo "process $pid runs on '$state' already"
	# It may serve elsewhere than the options and the file say by now.
	wanted=$(url)
	running=$(cat "$state/url" 2>/dev/null) || running=$wanted
	[ -z "$listen" ] || [ "$running" = "$wanted" ] ||
		die "it serves at $running; stop it first to have it at $wanted"
	[ -z "$workers" ] || echo "--workers counts from the next start on"
	await_ready "$pid" || die "it does not get ready"
	write_env "$pid"
	banner
	exit 0
fi

build
write_conf
tallyd=$state/install/sbin/tallyd
url >"$state/url"

if [ "$mode" = detach ]; then
	log=$state/tallyd.log
	if ! "$tallyd" -D "${args[@]}" -o "log.file=$log"; then
		tail -n 5 "$log" >&2 || true
		die "tallyd did not start; the log is $log"
	fi
	pid=$(master_pid) || die "tallyd ended; the log is $log"
	await_ready "$pid" || die "tallyd did not get ready; the log is $log"
	write_env "$pid"
	banner
	echo "process $pid; log $log; stop it with: $0 --state $state --stop"
	exit 0
fi

# The daemon takes this process's place, so Ctrl-C and signals are its own.
(
	trap '' INT
	await_ready $$ && banner
) &
exec "$tallyd" "${args[@]}"
