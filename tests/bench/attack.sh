#!/bin/sh
# attack.sh - how long a client that behaves waits beside 2,000 slow ones.
#
#	tests/bench/attack.sh [--build DIR]
#
# Five times its p99 in quiet and under attack; fails when the median of the
# ratios is above three.  The check runs the same attack and asserts what needs
# no clock.
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
export srcdir="$source" CK_RUN_CASE=slow
ratios=
for _ in 1 2 3 4 5; do
	line=$(tests/integration/test_56_attacks | grep '^p99')
	echo "$line"
	ratio=${line##*(}
	ratios="$ratios ${ratio%%x*}"
done
# shellcheck disable=SC2086 # words
printf '%s\n' $ratios | sort -n | awk '{ r[NR] = $1 } END {
	printf "median %.1fx\n", r[3]; exit r[3] > 3 }'
