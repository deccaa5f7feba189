#!/bin/sh
# test.sh - the unit tests of the dashboard, where make has put its tools.
dir=web/npm/dashboard
if [ ! -e "$dir/.built" ]; then
	echo "built --without-dashboard"
	exit 77
fi
cd "$dir" && exec node test/run.mjs
