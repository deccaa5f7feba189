# shellcheck shell=bash
# root.sh - a small Debian of their own for the tests of packages.
#
# Source it (bash, set -eu) as root with `dir` set.  What is made there once is
# used again: remove dir to begin anew.

# where this machine has its packages from
# shellcheck disable=SC2016 # apt's own
MIRROR=${TALLY_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' \
	'Created-By: Packages' 'Codename: bookworm' | head -n 1)}

say() {
	echo "[$((SECONDS - begun)) s] $*"
}
begun=$SECONDS

die() {
	echo "FAILED: $*"
	exit 1
}

skip() {
	echo "skipped: $*"
	exit 77
}

# Mounts of its own, which end with the script: run again inside of them.
own_mounts() { # ARGUMENTS OF THE SCRIPT...
	[ "$(id -u)" = 0 ] || skip "needs root"
	command -v debootstrap >/dev/null || skip "apt-get install debootstrap"
	[ -z "${IN_OWN_MOUNTS:-}" ] || return 0
	unshare --mount true 2>/dev/null || skip "cannot make mounts here"
	IN_OWN_MOUNTS=1 exec unshare --mount --pid --fork --kill-child \
		--mount-proc bash "$0" "$@"
}

# A fresh copy of a minimal system with these packages at NAME.
root_make() { # NAME PACKAGE...
	local base=${dir:?}/base root=${dir:?}/$1
	shift
	if [ ! -e "$base/done" ]; then
		rm -rf "$base"
		debootstrap --variant=minbase bookworm "$base" "$MIRROR" \
			>"$dir/debootstrap.log" || die "see $dir/debootstrap.log"
		touch "$base/done"
	fi
	rm -rf "$root"
	cp -a "$base" "$root"
	root_mount "$root"
	if [ "$#" -gt 0 ]; then
		in_root "$root" apt-get -q update
		in_root "$root" apt-get -qy --no-install-recommends install "$@"
	fi >"$dir/apt.log" 2>&1 || die "see $dir/apt.log"
}

root_mount() { # ROOT
	mount -t proc proc "$1/proc"
	mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
	cp /etc/resolv.conf "$1/etc/resolv.conf"
}

# Nothing of the tests' environment comes along.
in_root() { # ROOT COMMAND...
	local root=$1
	shift
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
		chroot "$root" "$@"
}

await() { # COMMAND...
	local i
	for ((i = 0; i < 600; i++)); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.1
	done
	die "never: $*"
}
