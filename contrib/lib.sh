# shellcheck shell=bash
# lib.sh - what quickstart.sh and check.sh share: Debian packages, the build.

# shellcheck disable=SC2034 # used by those who read this file
BUILD_PACKAGES=(gcc make autoconf automake pkg-config libc6-dev libevent-dev
	libpq-dev libmsgpack-dev libjson-c-dev libssl-dev libinih-dev
	libcurl4-openssl-dev ca-certificates curl)

# The viewer at /docs/api comes from npm; a node that is there already, by
# whatever way, brings it along.
command -v npm >/dev/null || BUILD_PACKAGES+=(npm)

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "needs root for: $* (no sudo here)"
	fi
}

# Those of the arguments that are not installed, one a line.
missing_packages() {
	local p
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q ' installed$' || echo "$p"
	done
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
		--no-install-recommends "$@"
}

have_server() {
	local f
	for f in /usr/lib/postgresql/*/bin/postgres; do
		[ -x "$f" ] && return 0
	done
	return 1
}

# Debian makes and starts a cluster of its own with the server's package;
# ours is private, so none may be left running beside it.
install_server() {
	local conf=/etc/postgresql-common/createcluster.conf
	apt_install postgresql-common
	if grep -Eq '^[[:space:]]*#?[[:space:]]*create_main_cluster' "$conf"; then
		as_root sed -Ei \
			's/^[[:space:]]*#?[[:space:]]*create_main_cluster.*/create_main_cluster = false/' \
			"$conf"
	else
		echo 'create_main_cluster = false' |
			as_root tee -a "$conf" >/dev/null
	fi
	if apt-cache show postgresql-15 >/dev/null 2>&1; then
		apt_install postgresql-15
	else
		apt_install postgresql
	fi
}

# install_packages PACKAGE... - also the PostgreSQL server; silent when all
# is there.
install_packages() {
	local missing
	command -v dpkg-query >/dev/null || return 0 # not Debian: configure tells
	mapfile -t missing < <(missing_packages "$@")
	if [ "${#missing[@]}" = 0 ] && have_server; then
		return 0
	fi
	echo "installing: ${missing[*]} $(have_server || echo postgresql)"
	as_root apt-get update -q
	[ "${#missing[@]}" = 0 ] || apt_install "${missing[@]}"
	have_server || install_server
}

# prepare_build SOURCE BUILD CONFIGURE-ARGUMENTS... - up to a Makefile that is
# newer than configure.
prepare_build() {
	local source=$1 build=$2
	shift 2
	case "$source$build" in
	*[[:space:]]*) die "make and configure cannot build in a path with blanks: $source, $build" ;;
	esac
	if [ ! -x "$source/configure" ] || [ ! -f "$source/Makefile.in" ]; then
		(cd "$source" && autoreconf -fi >/dev/null)
	fi
	mkdir -p "$build"
	if [ ! -f "$build/config.status" ] ||
		[ "$source/configure" -nt "$build/config.status" ]; then
		(cd "$build" && "$source/configure" -q "$@")
	fi
}

quiet_make() { # DIR ARGUMENTS...
	local dir=$1
	shift
	make -s -C "$dir" --no-print-directory V=1 ARFLAGS=cr "$@"
}
