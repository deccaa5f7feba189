#!/bin/bash
# The unit and what comes with it, checked offline; the daemon as a service:
# the socket that was passed, and what it says to its manager while it starts,
# reloads, upgrades, is watched and stops.
set -eu

for program in systemd-analyze systemd-socket-activate perl; do
	command -v "$program" >/dev/null || {
		echo "needs $program: apt-get install systemd perl-base"
		exit 77
	}
done
srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"
build=$PWD
source_dir=$(cd "$srcdir" && pwd)
dir=$(mktemp -d "$(demo_base)/tally-sd.XXXXXX")
chmod 755 "$dir"
daemon='' listener=''
finish() {
	[ -z "$daemon" ] || kill -TERM "$daemon" 2>/dev/null || true
	[ -z "$daemon" ] || wait "$daemon" || true
	[ -z "$listener" ] || kill "$listener" 2>/dev/null || true
	rm -rf "$dir" "/dev/shm/tallyd.sd$$."*
}
trap finish EXIT
trap 'exit 130' INT TERM

die() {
	echo "FAILED: $*"
	[ ! -f "$dir/words" ] || grep -vE 'WATCHDOG|STATUS' "$dir/words" || true
	[ ! -f "$dir/log" ] || tail -n 20 "$dir/log"
	exit 1
}
await() { # COMMAND...
	local i
	for ((i = 0; i < 1200; i++)); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.05
	done
	die "never: $*"
}

# ---- the files -----------------------------------------------------------------
make -s -C "$build" contrib/systemd/tallyd.service
mkdir "$dir/units"
sed "s,=[^=]*/tallyd\$,=$build/tallyd,;s,=[^=]*/tallyctl ,=$build/tallyctl ," \
	contrib/systemd/tallyd.service >"$dir/units/tallyd.service"
grep -q "^ExecStart=$build/tallyd$" "$dir/units/tallyd.service" || die "ExecStart"
cp "$source_dir/contrib/systemd/tallyd.socket" "$dir/units"
words=$(systemd-analyze verify --man=no "$dir/units/tallyd.service" \
	"$dir/units/tallyd.socket" 2>&1) || die "verify: $words"
[ -z "$words" ] || die "verify: $words"

# what is left open is meant: the internet, local sockets, the segment that
# stays, /proc for the name of the boot
words=$(systemd-analyze security --offline=true --no-pager --threshold=11 \
	"$dir/units/tallyd.service" 2>&1) || die "security: $words"
open=$(grep '^✗' <<<"$words" | awk '{ print $2 }' | sort | tr '\n' ' ')
[ "$open" = 'DeviceAllow= IPAddressDeny= PrivateNetwork= ProcSubset= RemoveIPC= RestrictAddressFamilies=~AF_(INET|INET6) RestrictAddressFamilies=~AF_UNIX RootDirectory=/RootImage= UMask= ' ] ||
	die "open: $open"

if [ "$(id -u)" = 0 ]; then # accounts and directories in a root of their own
	mkdir -p "$dir/root/etc"
	systemd-sysusers --root="$dir/root" \
		"$source_dir/contrib/systemd/tallyd.sysusers" >/dev/null 2>&1
	uid=$(awk -F: '$1 == "tallyd" { print $3 }' "$dir/root/etc/passwd")
	[ "$uid" -lt 1000 ] || die "account number '$uid' is not the system's"
	systemd-tmpfiles --root="$dir/root" --create \
		"$source_dir/contrib/systemd/tallyd.tmpfiles"
	for path in run/tallyd:755 var/lib/tallyd:750 var/log/tallyd:750; do
		[ "$(stat -c %u:%a "$dir/root/${path%:*}")" = "$uid:${path#*:}" ] ||
			die "$path: $(stat -c %u:%a "$dir/root/${path%:*}")"
	done
fi

# ---- the service -----------------------------------------------------------------
# One line a datagram; a word a column.
perl -MSocket -e '
	my $s;
	socket($s, AF_UNIX, SOCK_DGRAM, 0) && bind($s, sockaddr_un($ARGV[0]))
		|| die "$ARGV[0]: $!";
	open(my $out, ">", $ARGV[1]); select($out); $| = 1;
	while (defined recv($s, my $text, 4096, 0)) {
		$text =~ tr/\n/ /; print "$text\n";
	}' "$dir/notify" "$dir/words" &
listener=$!
await test -S "$dir/notify"
port=$(demo_port)
mkdir "$dir/state"
cat >"$dir/tallyd.conf" <<-EOF2
	[server]
	listen = 127.0.0.1:$port
	state_dir = $dir/state
	instance = sd$$
	workers = 2
	user = root
	[database]
	seed_demo = yes
	[log]
	file = $dir/log
EOF2
[ "$(id -u)" = 0 ] || sed -i '/^user/d' "$dir/tallyd.conf"
export TALLYD_CONF=$dir/tallyd.conf
activate() { # ADDRESS - one descriptor; the rest as systemd gives it
	systemd-socket-activate -l "$1" -E TALLY_DATADIR="$source_dir/db" \
		-E NOTIFY_SOCKET="$dir/notify" -E WATCHDOG_USEC=400000 \
		"$build/tallyd" -c "$dir/tallyd.conf" 2>>"$dir/log" &
	daemon=$!
}
heard() { # WORD-PATTERN [COUNT]
	[ "$(grep -cE "^$1" "$dir/words")" -ge "${2:-1}" ]
}
activate "127.0.0.1:$port"
await grep -q "Listening on" "$dir/log"
# Whoever comes first waits in the socket, and is served.
curl -fsS --max-time 60 -o /dev/null "http://127.0.0.1:$port/health" ||
	die "the first client"
await heard 'READY=1'
[ "$(readlink "/proc/$daemon/fd/"* | grep -c '^socket:')" -ge 1 ] || die "sockets"
heard 'STATUS=' || await heard 'STATUS=.*workers'
[ "$("$build/tallyctl" status --json | grep -Eo '"pid": *[0-9]+' | head -n 1 |
	tr -dc 0-9)" = "$daemon" ] || die "the program is another process"
# The watched process is the one that says so, and goes on saying it.
seen=$(grep -c WATCHDOG=1 "$dir/words") || true
await heard WATCHDOG=1 $((seen + 3))

# A reload begins and ends, with the time that Type=notify-reload compares.
"$build/tallyctl" reload >/dev/null || die "reload"
await heard 'READY=1' 2
grep -qE '^RELOADING=1 MONOTONIC_USEC=[0-9]+$' "$dir/words" || die "no RELOADING"

# A refused one ends as well, or the manager would wait for ever.
sed -i 's/^workers.*/workers = none/' "$dir/tallyd.conf"
kill -HUP "$daemon"
await heard 'READY=1' 3
sed -i 's/^workers.*/workers = 1/' "$dir/tallyd.conf"

# An upgrade: the same process and the same socket; the watchdog goes on.
"$build/tallyctl" upgrade >/dev/null || die "upgrade"
await heard 'READY=1' 4
grep -qE "(^| )MAINPID=$daemon( |\$)" "$dir/words" || die "no MAINPID=$daemon"
seen=$(grep -c WATCHDOG=1 "$dir/words") || true
await heard WATCHDOG=1 $((seen + 3))
curl -fsS -o /dev/null "http://127.0.0.1:$port/health" || die "after the upgrade"

kill -TERM "$daemon"
wait "$daemon" || die "ends with $?"
daemon=''
# The word about the stop comes after the last READY.
grep -E '^(READY|STOPPING)=1' "$dir/words" | tail -n 1 | grep -q '^STOPPING' ||
	die "no STOPPING"

# ---- a socket that no address names ------------------------------------------------
other=$(demo_port)
: >"$dir/log"
activate "127.0.0.1:$other"
await grep -q "Listening on" "$dir/log"
curl -fsS --max-time 20 -o /dev/null "http://127.0.0.1:$other/health" 2>/dev/null &
client=$!
await grep -q "passed a socket on '127.0.0.1:$other', which is not in" "$dir/log"
kill "$client" 2>/dev/null || true
! wait "$daemon" || die "a socket too many is taken"
daemon=''
