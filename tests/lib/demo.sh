# shellcheck shell=bash
# demo.sh - a demo daemon for tests written in shell, as quickstart makes one.
#
# Source it in the build directory (bash, set -eu), then: demo_up [section.key=value ...].
# Gives: demo_dir, demo_pid and the variables of quickstart's DIR/env:
# TALLYD_URL TALLYD_DEMO_KEY TALLYD_DATABASE_URL TALLYD_PID TALLYD_CONF.
# The built tallyd and tallyctl are first in PATH.  All of it goes at the
# end of the script.  demo_listen: one address more, such as tls:127.0.0.1:443.

demo_srcdir=$(cd "${srcdir:-.}" && pwd)
demo_build=$PWD
demo_dir='' demo_pid='' demo_listen=''

demo_down() {
	if [ -n "$demo_pid" ] && kill -TERM "$demo_pid" 2>/dev/null; then
		wait "$demo_pid" || true
	fi
	demo_pid=''
	if [ -n "$demo_dir" ]; then
		rm -rf "$demo_dir" "/dev/shm/tallyd.demo$$."*
	fi
	demo_dir=''
}

# In memory, where there is enough: making a cluster's files takes long.
demo_base() {
	local free
	free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
	if [ "${free:-0}" -ge 4194304 ]; then
		echo /dev/shm
	else
		echo "${TMPDIR:-/tmp}"
	fi
}

# A free port: taken by nobody at this moment.
demo_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 30000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	echo "$port"
}

demo_die() {
	echo "$*" >&2
	[ -z "$demo_dir" ] || tail -n 30 "$demo_dir/log" >&2
	exit 1
}

demo_up() {
	local setting section='' tries name
	# what an earlier demo has exported would be taken for settings
	while read -r name; do
		unset "$name"
	done < <(compgen -e TALLYD_ || true)
	demo_dir=$(mktemp -d "$(demo_base)/tally-demo.XXXXXX")
	chmod 755 "$demo_dir"
	trap demo_down EXIT
	trap 'exit 130' INT TERM
	mkdir -m 755 "$demo_dir/state"
	TALLYD_URL=http://127.0.0.1:$(demo_port)
	TALLYD_CONF=$demo_dir/tallyd.conf
	TALLYD_DEMO_KEY=codexible_demo_pro_2026
	{
		cat <<-EOF
		[server]
		listen = ${TALLYD_URL#http://}${demo_listen:+, $demo_listen}
		state_dir = $demo_dir/state
		instance = demo$$
		workers = 2
		$(case " $*" in *" server.user="*) ;; *) echo "user = root" ;; esac)
		[database]
		seed_demo = yes
		EOF
		for setting; do
			section=${setting%%.*}
			printf '[%s]\n%s\n' "$section" "${setting#*.}"
		done
	} >"$TALLYD_CONF"
	PATH=$demo_build:$PATH
	export TALLYD_URL TALLYD_CONF TALLYD_DEMO_KEY PATH
	export TALLY_WEBDIR=${TALLY_WEBDIR:-$demo_build/web}
	export TALLY_DATADIR=${TALLY_DATADIR:-$demo_srcdir/db}
	tallyd -c "$TALLYD_CONF" >"$demo_dir/log" 2>&1 </dev/null &
	demo_pid=$!
	# the first worker answers before the control socket is there
	for ((tries = 0; tries < 600; tries++)); do
		curl -fso /dev/null --max-time 2 "$TALLYD_URL/health?ready=1" &&
			tallyctl -c "$TALLYD_CONF" database >/dev/null 2>&1 &&
			break
		kill -0 "$demo_pid" 2>/dev/null || demo_die "tallyd ended"
		sleep 0.1
	done
	[ "$tries" -lt 600 ] || demo_die "tallyd does not get ready"
	TALLYD_PID=$demo_pid
	TALLYD_DATABASE_URL=$(tallyctl -c "$TALLYD_CONF" database)
	export TALLYD_PID TALLYD_DATABASE_URL
}
