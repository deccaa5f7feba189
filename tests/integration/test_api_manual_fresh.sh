#!/bin/sh
# The route list in tallyd-api(7) is what the tables say: run
# `make api-manual` when this fails.
set -eu

srcdir=${srcdir:-.}
new=tests/integration/api-manual.new
mkdir -p tests/integration
contrib/devel/apiman "$srcdir/man/tallyd-api.7" >"$new"
diff -u "$srcdir/man/tallyd-api.7" "$new"
rm -f "$new"
