#!/bin/sh
# run.sh - kills processes of a loaded tallyd and compares the sums.
#
#	tests/chaos/run.sh [--build DIR] [OPTIONS OF chaos ...]
#
# Without options: the short run of check.sh.  The long one:
#
#	tests/chaos/run.sh --kills 500 --seconds 180 --outage 60 --kill-postgres 3
#	tests/chaos/run.sh --kills 500 --seconds 180 --strict
#
# And of the task bus, whose short run is part of the one without options:
#
#	tests/chaos/run.sh tasks --tasks 100000 --kills 300 --seconds 300 \
#		--kill-postgres 10
#
# And of what users are told of their usage, likewise:
#
#	tests/chaos/run.sh events --users 100 --credits 3000 --kills 200 \
#		--seconds 240 --kill-postgres 5
#
# All kinds of kills and faults at once, which the short run leaves out:
#
#	tests/chaos/run.sh mixed --kills 2000 --seconds 600 --seed 1
#
# And one fault after the other, see README.md:
#
#	tests/chaos/run.sh faults [NAME ...]
#
# DIR is where tallyd was built (default: the current directory, else
# build/ of the source tree).
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
build=
if [ "${1:-}" = --build ]; then
	build=$2
	shift 2
fi
for dir in "$build" . "$source/build" "$source"; do
	if [ -n "$dir" ] && [ -f "$dir/config.status" ]; then
		build=$dir
		break
	fi
done
if [ ! -f "${build:-/nonexistent}/config.status" ]; then
	echo "run.sh: no build found; give --build DIR" >&2
	exit 2
fi
cd "$build"
make -s tallyd tallyctl tests/chaos/chaos tests/chaos/tasks tests/chaos/events \
	tests/chaos/mixed tests/chaos/faults >/dev/null
case "${1:-}" in
tasks | events | mixed | faults)
	program=tests/chaos/$1
	shift
	exec "$program" "$@"
	;;
esac
if [ $# -eq 0 ]; then
	tests/chaos/tasks
	tests/chaos/events
	set -- --kills 25 --seconds 15
fi
exec tests/chaos/chaos "$@"
