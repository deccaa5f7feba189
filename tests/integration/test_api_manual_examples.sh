#!/bin/bash
# Every line of the EXAMPLES of tallyd-api(7), in order, on a demo daemon.
set -eu

srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

examples() {
	awk '
	/^\.Sh/ { inside = ($2 == "EXAMPLES"); next }
	/^\.Bd/ { display = inside; next }
	/^\.Ed/ { display = 0; next }
	display { gsub(/\\e/, "\\"); print }
	' "$demo_srcdir/man/tallyd-api.7"
}

# shellcheck disable=SC2119 # settings of its own it has none
demo_up
script=$demo_dir/examples.sh
{
	echo 'set -eu'
	echo 'set -o pipefail'
	# a refusal fails; what was answered comes one an example
	echo 'curl() { command curl -f "$@"; echo; }'
	# the page speaks of the address that quickstart gives
	examples | sed "s|http://127.0.0.1:3001|$TALLYD_URL|"
	echo 'echo all of them'
} >"$script"
n=$(grep -c 'curl -s' "$script")
[ "$n" -ge 8 ] || {
	echo "only $n examples were found"
	exit 1
}
out=$(bash -x "$script") || {
	echo "the example named last failed"
	exit 1
}
says() {
	grep -Eq "$1" <<<"$out" || {
		printf 'no answer has %s:\n%s\n' "$1" "$out"
		exit 1
	}
}
# what the words around the examples promise
says '^all of them$'
says '"email":"demo@codexible\.me"'
says '^X-Tally-User: '
says '"valid":true,"code":"ok"'
says '^Link: <.*rel="next"'
says '"key":"codexible_[0-9a-f]{32}"'
charged=$(grep -o '"recorded":true.*' <<<"$out" | sort -u | wc -l)
[ "$charged" = 1 ] || {
	printf 'the request that was sent twice has two answers:\n%s\n' "$out"
	exit 1
}
