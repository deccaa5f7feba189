#!/bin/sh
# attack.sh - how long a client that behaves waits beside 2,000 slow ones.
#
#	tests/bench/attack.sh [--build DIR]
#
# Prints its p99 in quiet and under attack; fails above three times of it.
# The check runs the same attacks and asserts what needs no clock.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
build=.
if [ "${1:-}" = --build ]; then
	build=$2
fi
if [ ! -f "$build/config.status" ]; then
	echo "attack.sh: no build found; give --build DIR" >&2
	exit 2
fi
cd "$build"
make -s tallyd tallyctl tests/cluster/.stamp \
	tests/integration/test_56_attacks >/dev/null
export srcdir="$source" TALLY_ATTACK_STRICT=1
exec tests/integration/test_56_attacks
