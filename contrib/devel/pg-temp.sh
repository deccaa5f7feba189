#!/bin/sh
# pg-temp.sh - runs a command beside a PostgreSQL of its own.
#
#	contrib/devel/pg-temp.sh COMMAND ARGUMENT...
#
# Makes a cluster in a new directory under TMPDIR, starts it on a Unix socket
# only, migrates it when PG_TEMP_MIGRATIONS names a directory of *.up.sql, runs
# the command with PGHOST, PGPORT, PGUSER and PGDATABASE set, then stops the
# server and removes everything.  Exit status: the command's; 77 when no
# PostgreSQL server is installed.  As root the server runs as user postgres.
# PG_TEMP_FAST=no keeps fsync on, for measuring.  PG_TEMP_KEEP=DIR moves the
# data directory of the stopped server there when the command went well.
set -eu

find_bindir() {
	for dir in "${PG_BINDIR:-}" "$(pg_config --bindir 2>/dev/null || true)" \
		/usr/lib/postgresql/*/bin; do
		if [ -n "$dir" ] && [ -x "$dir/initdb" ]; then
			echo "$dir"
			return
		fi
	done
	if command -v initdb >/dev/null; then
		dirname "$(command -v initdb)"
	fi
}

bindir=$(find_bindir)
if [ -z "$bindir" ]; then
	echo "pg-temp.sh: no PostgreSQL server found (initdb)" >&2
	exit 77
fi

# Socket names end at 107 bytes, so the directory's name stays short.
dir=$(mktemp -d "${TMPDIR:-/tmp}/pgt.XXXXXX")
as=
if [ "$(id -u)" -eq 0 ]; then
	chown postgres "$dir"
	as="runuser -u postgres --"
fi

cleanup() {
	status=$?
	trap - EXIT
	how=immediate
	if [ "$status" = 0 ] && [ -n "${PG_TEMP_KEEP:-}" ]; then
		how=fast
	fi
	if [ -f "$dir/data/postmaster.pid" ]; then
		(cd / && $as "$bindir/pg_ctl" -D "$dir/data" -m $how -w stop \
			>/dev/null 2>&1) || true
	fi
	if [ $how = fast ]; then
		mv "$dir/data" "$PG_TEMP_KEEP" || status=1
	fi
	rm -rf "$dir"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fast="-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
[ "${PG_TEMP_FAST:-yes}" = no ] && fast=
if ! (cd / && $as "$bindir/initdb" -D "$dir/data" -U postgres -A trust \
	-E UTF8 --locale=C.UTF-8 --wal-segsize=1 --no-sync) >"$dir/log" 2>&1 ||
	! (cd / && $as "$bindir/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w \
		-o "-c listen_addresses= -c unix_socket_directories=$dir \
-c timezone=UTC $fast" start) >>"$dir/log" 2>&1; then
	cat "$dir/log" >&2
	[ -f "$dir/data/log" ] && cat "$dir/data/log" >&2
	exit 1
fi

PGHOST=$dir PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
export PGHOST PGPORT PGUSER PGDATABASE
PGOPTIONS="-c client_min_messages=warning"
export PGOPTIONS
unset PGPASSWORD PGSERVICE || true
chmod 0755 "$dir" # the caller's client looks for the socket here

if [ -n "${PG_TEMP_MIGRATIONS:-}" ]; then
	"$bindir/psql" -X -q -v ON_ERROR_STOP=1 -c 'CREATE SCHEMA tallyd'
	for file in "$PG_TEMP_MIGRATIONS"/*.up.sql; do
		"$bindir/psql" -X -q -1 -v ON_ERROR_STOP=1 -f "$file" >/dev/null
	done
fi

PATH=$PATH:$bindir "$@"
