#!/bin/bash
# The API's description: lints without an error or a warning, and a typed
# client made from it compiles and is served.
set -eu

if ! command -v npm >/dev/null; then
	echo "npm is not here"
	exit 77
fi
srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

work=$PWD/tests/clients/openapi
if [ ! "$work" -ef "$demo_srcdir/tests/clients/openapi" ]; then
	mkdir -p "$work"
	cp "$demo_srcdir"/tests/clients/openapi/*.{json,ts} "$work/"
fi
npm ci --prefix "$work" --no-audit --no-fund --silent
# shellcheck disable=SC2119 # settings of its own it has none
demo_up
cd "$work"
curl -fsS "$TALLYD_URL/openapi.json" -o openapi.json

# no telemetry, no look for a newer version
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
npx redocly lint --extends recommended --format json openapi.json >lint.json
node -e '
const { totals } = JSON.parse(require("fs").readFileSync("lint.json"));
if (totals.errors + totals.warnings > 0) {
	console.error(require("fs").readFileSync("lint.json", "utf8"));
	process.exit(1);
}'

npx openapi-typescript openapi.json -o schema.ts >/dev/null
npx tsc
node out/client.js

# the viewer: its page and all that the page names, from here alone
page=$(curl -fsS "$TALLYD_URL/docs/api")
if grep -Eq '(src|href)="(https?:)?//' <<<"$page"; then
	echo "the viewer names something elsewhere"
	exit 1
fi
while read -r file; do
	curl -fsSo /dev/null "$TALLYD_URL$file"
done < <(grep -Eo '(src|href)="/[^"]*"' <<<"$page" | cut -d '"' -f 2)
csp=$(curl -fsSI "$TALLYD_URL/docs/api" | grep -i '^content-security-policy:')
grep -q "default-src 'self'" <<<"$csp"
grep -q "frame-ancestors 'none'" <<<"$csp"
if grep -q "unsafe" <<<"$csp"; then
	echo "$csp"
	exit 1
fi
