#!/bin/bash
# deb.sh [--dir DIR] BUILD - the Debian package from its making to its purge.
#
# BUILD is a configured build directory.  The package is made there, looked at
# by lintian, and lives its life in a small Debian in DIR (default
# BUILD/packaging): installed, started by hand because no systemd runs there,
# upgraded while it serves, removed, purged.
set -eu

dir=''
[ "${1:-}" != --dir ] || { dir=$2 && shift 2; }
[ "$#" = 1 ] || {
	echo "usage: tests/packaging/deb.sh [--dir DIR] BUILD" >&2
	exit 64
}
build=$(cd "$1" && pwd)
dir=${dir:-$build/packaging}
# shellcheck source=tests/packaging/root.sh
. "$(dirname "$0")/root.sh"
own_mounts --dir "$dir" "$build"
for program in dpkg-buildpackage dh lintian; do
	command -v "$program" >/dev/null || skip "apt-get install debhelper lintian"
done
mkdir -p "$dir"

# ---- made ----------------------------------------------------------------------
DEB_BUILD_PROFILES=noweb make -s -C "$build" deb >"$dir/make.log" 2>&1 || {
	tail -n 30 "$dir/make.log"
	die "make deb"
}
package=$(echo "$build"/deb/tallyd_*.deb)
words=$(lintian --fail-on error,warning "$package" 2>&1) || die "lintian: $words"
say "made: ${package##*/}"

# The next version: another number, another line in the configuration.
next() { # LINE OUT
	local tree=$dir/next
	rm -rf "$tree"
	dpkg-deb -R "$package" "$tree"
	sed -i 's/^Version: .*/&+next/' "$tree/DEBIAN/control"
	echo "$1" >>"$tree/etc/tallyd/tallyd.conf"
	(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -print |
		sed 's,^\./,,' | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
	dpkg-deb --root-owner-group -b "$tree" "$2" >/dev/null
}

# ---- installed --------------------------------------------------------------------
root=$dir/root
root_make root adduser curl procps postgresql-15 logrotate
cp "$package" "$root/tallyd.deb"
in_root "$root" apt-get -qy --no-install-recommends install /tallyd.deb \
	>"$dir/install.log" 2>&1 || die "install: $(tail "$dir/install.log")"
owned() { # PATH WANT - mode, owner, group
	local got
	got=$(in_root "$root" stat -c '%a %U %G' "$1")
	[ "$got" = "$2" ] || die "$1: $got, want $2"
}
owned /etc/tallyd/tallyd.conf '640 root tallyd'
owned /var/lib/tallyd '750 tallyd tallyd'
owned /var/log/tallyd '750 tallyd tallyd'
in_root "$root" test -L /etc/systemd/system/multi-user.target.wants/tallyd.service ||
	die "the unit is not enabled"
in_root "$root" tallyd -t >/dev/null || die "tallyd -t"
in_root "$root" logrotate -d /etc/logrotate.d/tallyd >"$dir/rotate.log" 2>&1 ||
	die "logrotate: $(cat "$dir/rotate.log")"
say "installed"

# ---- started ------------------------------------------------------------------------
# A change of the operator's, which no upgrade may touch.
port=$((20000 + RANDOM % 30000))
in_root "$root" sh -c "printf '[server]\nlisten = 127.0.0.1:$port\n[log]\nfile = /var/log/tallyd/tallyd.log\n' >>/etc/tallyd/tallyd.conf"
in_root "$root" tallyd -D || die "start: $(tail "$root/var/log/tallyd/tallyd.log")"
health() {
	in_root "$root" curl -fsS "http://127.0.0.1:$port/health"
}
health >/dev/null || die "health"
pid=$(in_root "$root" pgrep -f '^tallyd: master')
[ "$(stat -c %U "/proc/$pid")" != root ] || die "root runs it"
[ -z "$(in_root "$root" find /var/lib/tallyd /var/log/tallyd /dev/shm -mindepth 1 \
	! -user tallyd)" ] || die "files of others: $(in_root "$root" find \
	/var/lib/tallyd /var/log/tallyd /dev/shm ! -user tallyd -ls)"
say "started"

# The log moves, and the account's processes find the new one.
in_root "$root" logrotate -f /etc/logrotate.d/tallyd >"$dir/rotate.log" 2>&1 ||
	die "logrotate: $(cat "$dir/rotate.log")"
in_root "$root" test -s /var/log/tallyd/tallyd.log.1 || die "no log was moved"
logged() {
	health && in_root "$root" test -s /var/log/tallyd/tallyd.log
}
await logged
owned /var/log/tallyd/tallyd.log '640 tallyd tallyd'
say "log rotated"

# ---- upgraded -------------------------------------------------------------------------
cp "$root/etc/tallyd/tallyd.conf" "$dir/kept.conf"
next '# a line of the next release' "$root/next.deb"
inode=$(stat -L -c %i "/proc/$pid/exe")
in_root "$root" dpkg --force-confdef --force-confold -i /next.deb \
	>"$dir/upgrade.log" 2>&1 || die "upgrade: $(cat "$dir/upgrade.log")"
cmp -s "$dir/kept.conf" "$root/etc/tallyd/tallyd.conf" || die "the configuration changed"
[ -e "$root/etc/tallyd/tallyd.conf.dpkg-dist" ] || die "no new configuration beside"
owned /etc/tallyd/tallyd.conf '640 root tallyd'
[ "$(stat -L -c %i "/proc/$pid/exe")" != "$inode" ] ||
	die "the old program still runs: $(cat "$dir/upgrade.log")"
case $(readlink "/proc/$pid/exe") in *deleted*) die "the program that runs is gone" ;; esac
health >/dev/null || die "health after the upgrade"
say "upgraded in place, process $pid"

# ---- removed and purged -------------------------------------------------------------------
in_root "$root" dpkg -r tallyd >"$dir/remove.log" 2>&1 || die "remove: $(cat "$dir/remove.log")"
[ ! -e "/proc/$pid" ] || die "still runs after the removal"
[ -e "$root/etc/tallyd/tallyd.conf" ] || die "the configuration went with the package"
in_root "$root" test -d /var/lib/tallyd/pg/data || die "data went with the package"
in_root "$root" dpkg -P tallyd >"$dir/purge.log" 2>&1 || die "purge: $(cat "$dir/purge.log")"
grep -q '/var/lib/tallyd is kept' "$dir/purge.log" || die "not told what is kept"
in_root "$root" test -d /var/lib/tallyd/pg/data || die "a database was purged"
left=$(in_root "$root" sh -c 'ls -d /etc/tallyd /var/log/tallyd /etc/logrotate.d/tallyd \
	/etc/systemd/system/*/tallyd.service /dev/shm/tallyd.* /usr/sbin/tallyd 2>/dev/null' || true)
[ -z "$left" ] || die "left behind: $left"
# without a database of its own nothing stays
in_root "$root" dpkg -i /tallyd.deb >"$dir/again.log" 2>&1 || die "again: $(cat "$dir/again.log")"
in_root "$root" rm -rf /var/lib/tallyd/pg
in_root "$root" dpkg -P tallyd >"$dir/purge.log" 2>&1 || die "purge: $(cat "$dir/purge.log")"
in_root "$root" test ! -e /var/lib/tallyd || die "an empty state directory stays"
say "removed and purged"
