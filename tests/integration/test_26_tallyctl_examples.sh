#!/bin/bash
# Every line of the EXAMPLES of tallyctl(8), in order, on a demo daemon.
set -eu

srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

# One example a line, NUL at its end: "$ ..." and the lines that go on with it.
examples() {
	awk '
	/^\.Sh/ { inside = ($2 == "EXAMPLES"); next }
	!inside { next }
	/^\.Dl \$ / { flush(); cmd = substr($0, 7); flush(); next }
	/^\$ / { flush(); cmd = substr($0, 3); next }
	/^\./ { flush(); next }
	cmd != "" { cmd = cmd "\n" $0 }
	END { flush() }
	function flush() {
		gsub(/\\e/, "\\", cmd)
		gsub(/\\\(dq/, "\"", cmd)
		gsub(/\\-/, "-", cmd)
		if (cmd != "")
			printf "%s%c", cmd, 0
		cmd = ""
	}' "$demo_srcdir/man/tallyctl.8"
}

demo_up admin.emails=demo@codexible.me
# the page speaks of the address that quickstart gives
port=${TALLYD_URL##*:}
mkdir -p "$demo_dir/work/.tallyd"
cd "$demo_dir/work"
ln -s "$TALLYD_CONF" .tallyd/tallyd.conf # where quickstart has it

n=0 script=$demo_dir/examples.sh
{
	echo 'set -eu'
	echo 'set -o pipefail'
	while IFS= read -r -d '' line; do
		line=${line//127.0.0.1:3001/127.0.0.1:$port}
		# these run until somebody stops them
		case $line in
		'tallyctl tail '* | 'tallyctl top' | 'tallyctl top '*)
			case $line in
			*--once* | *--count*) ;;
			*) line="$line --once" ;;
			esac
			;;
		esac
		printf 'echo %q >&2\n%s\n' "example: $line" "$line"
		n=$((n + 1))
	done < <(examples)
	echo "echo all of them"
} >"$script"
n=$(grep -c '^echo .*example:' "$script")
[ "$n" -ge 15 ] || {
	echo "only $n examples were found"
	exit 1
}
out=$(bash "$script") || {
	echo "the example named last failed"
	exit 1
}
grep -q '^all of them$' <<<"$out"
echo "$n examples"
