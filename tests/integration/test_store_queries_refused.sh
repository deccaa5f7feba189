#!/bin/sh
# The generator names every fault of a query file, and writes nothing then.
# Runs in the build directory.
set -eu

srcdir=${srcdir:-.}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

cat >"$out/faults.sql" <<'SQL'
-- name: good :many
-- Labels in strings and comments are none.
SELECT email FROM users
 WHERE name = ':no' AND /* :nor this */ email = :email -- :nor
 LIMIT :max::int8;

-- name: typo :one
-- A column that is not there.
SELECT no_such FROM users;

-- name: numeric :one
-- A type without a C type.
SELECT 1.5 AS n;

-- name: interval :exec
-- A parameter that means something else than its author thinks.
DELETE FROM users WHERE created_at < now() - :delay;

-- name: varchars :many
-- An array whose items the wire names differently.
SELECT user_id FROM users WHERE email = ANY (:emails::varchar[]);

-- name: good :exec
-- A name twice.
DELETE FROM users;

-- name: columns :exec
-- Columns that nobody would see.
SELECT 1;

-- name: other :many row=good
-- Not the columns of the other.
SELECT name FROM users LIMIT 1;
SQL

if PG_TEMP_MIGRATIONS=$srcdir/db/migrations "$srcdir/contrib/devel/pg-temp.sh" \
	contrib/devel/qgen "$out" "$out/faults.sql" 2>"$out/said"; then
	echo "the generator took what it must refuse"
	exit 1
else
	status=$?
	[ "$status" -ne 77 ] || exit 77
fi
failed=0
for want in 'faults.sql:7: typo: ' ':11: numeric: .* numeric; cast it' \
	':15: interval: ' ':19: varchars: .*array of a plain type' \
	':23: good: there is another' ':27: columns: :exec gives no columns' \
	":31: other: its columns are not those of 'good'"; do
	grep -q "$want" "$out/said" || {
		echo "not said: $want"
		failed=1
	}
done
grep -q ':1: good' "$out/said" && failed=1
[ ! -e "$out/q_faults.h" ] || failed=1
[ "$failed" -eq 0 ] || cat "$out/said"
exit "$failed"
