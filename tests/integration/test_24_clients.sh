#!/bin/bash
# Client programs in node: one suite in JSON and MessagePack (with
# @msgpack/msgpack), and the calls of the earlier system's web client.
set -eu

if ! command -v npm >/dev/null; then
	echo "npm is not here"
	exit 77
fi
srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

suite=$PWD/tests/clients/suite
if [ ! "$suite" -ef "$demo_srcdir/tests/clients/suite" ]; then
	mkdir -p "$suite"
	cp "$demo_srcdir"/tests/clients/suite/*.{json,mjs} "$suite/"
fi
npm ci --prefix "$suite" --no-audit --no-fund --silent

origin=http://app.example:3000
demo_up limits.enabled=no admin.emails=demo@codexible.me \
	server.allowed_origins="$origin"
node "$suite/suite.mjs"
demo_down

# with its limits, as people have it
demo_up server.allowed_origins="$origin"
TALLYD_ORIGIN=$origin node "$suite/legacy.mjs"
