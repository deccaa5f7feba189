#!/bin/sh
# The committed q_*.c and q_*.h are what the generator makes of db/queries on
# a freshly migrated database.  Runs in the build directory; srcdir is set by
# make check.
set -eu

srcdir=${srcdir:-.}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

PG_TEMP_MIGRATIONS=$srcdir/db/migrations "$srcdir/contrib/devel/pg-temp.sh" \
	contrib/devel/qgen "$out" "$srcdir"/db/queries/*.sql

stale=0
for file in "$out"/q_*; do
	diff -u "$srcdir/src/store/$(basename "$file")" "$file" || stale=1
done
for file in "$srcdir"/src/store/q_*; do
	[ -e "$out/$(basename "$file")" ] || {
		echo "$file: made by no file of db/queries"
		stale=1
	}
done
if [ "$stale" -ne 0 ]; then
	echo "src/store is stale: run 'make queries' and commit"
	exit 1
fi
