#!/bin/sh
# cluster.sh - the cluster that each test program copies, made once a build.
#
#	tests/lib/cluster.sh DIR
#
# In the build directory, after tallyctl.  DIR/data is a stopped server with
# two databases to be copied: tally_schema, migrated, and tally_demo with the
# demo data of the day that DIR/day names.  Where no server is installed, DIR
# stays empty and each test says so.
set -eu

dir=$1
src=${srcdir:-.}
case $src in
/*) ;;
*) src=$PWD/$src ;;
esac

if [ "${2:-}" = inside ]; then
	TALLY_DATADIR=$src/db
	export TALLY_DATADIR
	psql -Xqc 'CREATE DATABASE tally_schema'
	printf '[database]\nurl = host=%s user=%s dbname=tally_schema\n' \
		"$PGHOST" "$PGUSER" >"$dir/tallyctl.conf"
	./tallyctl -c "$dir/tallyctl.conf" migrate up >/dev/null
	psql -Xqc 'CREATE DATABASE tally_demo TEMPLATE tally_schema'
	date -u +%F >"$dir/day"
	psql -Xq1v ON_ERROR_STOP=1 -d tally_demo -f "$src/db/seed/demo.sql" \
		>/dev/null
	exit
fi

rm -rf "$dir"
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
status=0
PG_TEMP_KEEP=$dir/data "$src/contrib/devel/pg-temp.sh" "$0" "$dir" inside ||
	status=$?
[ "$status" = 77 ] || exit "$status"
