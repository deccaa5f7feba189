#!/bin/bash
# run.sh - lets libFuzzer look for bytes that break a promise.
#
#	tests/fuzz/run.sh 60                    each harness for a minute
#	tests/fuzz/run.sh 600 guard json        two of them
#	tests/fuzz/run.sh --runs 10000000       each that many times
#	tests/fuzz/run.sh --runs 20000 --fresh  from the seeds alone, the same
#	                                        inputs each time (check.sh)
#
# A line a harness: executions, speed, coverage, inputs kept.  The last says
# how many findings there are; each is a file, which the harness takes as its
# argument to show it again.  Exit 1 with a finding, 77 without libFuzzer.
#
#	--build DIR  where to build (default: build-fuzz in the source tree);
#	             what was found to be new is kept below it for the next run
#	--jobs N     default: one for each CPU
set -euo pipefail

source_dir=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=contrib/lib.sh
. "$source_dir/contrib/lib.sh"

usage() {
	echo "usage:"
	sed -n '4,9s/^#//p' "$0"
	exit 64
}

build=$source_dir/build-fuzz jobs=$(nproc) runs=0 fresh='' seconds=''
while [ $# -gt 0 ]; do
	case $1 in
	--build | --jobs | --runs)
		[ $# -ge 2 ] || usage
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--fresh) fresh=1 ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
if [ "$runs" = 0 ]; then
	seconds=${1:-}
	shift || usage
	[[ $seconds =~ ^[1-9][0-9]*$ ]] || usage
fi

have_fuzzer() {
	echo 'int LLVMFuzzerTestOneInput(const char *, unsigned long);
		int LLVMFuzzerTestOneInput(const char *p, unsigned long n)
		{ return p == 0 && n > 0; }' |
		clang -fsanitize=fuzzer,address -x c -o /dev/null - 2>/dev/null
}
if ! have_fuzzer; then
	echo "skipped: no libFuzzer; install clang and libclang-rt-14-dev" \
		"(of clang's own version)"
	exit 77
fi

names=("$@")
if [ "${#names[@]}" = 0 ]; then
	for f in "$source_dir"/tests/fuzz/fuzz_*.c; do
		f=${f##*/fuzz_}
		names+=("${f%.c}")
	done
fi
mkdir -p "$build"
build=$(cd "$build" && pwd)
prepare_build "$source_dir" "$build" --without-web CC=clang >"$build/fuzz.log" 2>&1 ||
	die "configure failed: $build/fuzz.log"
quiet_make "$build" -j"$jobs" CFLAGS='-O1 -g1' \
	"${names[@]/#/tests/fuzz/fuzz_}" >>"$build/fuzz.log" 2>&1 || {
	tail -n 40 "$build/fuzz.log" >&2
	die "the harnesses do not build"
}

found=$build/fuzz-findings
mkdir -p "$found" "$build/fuzz-corpus"

# Longer inputs than these meet nothing new and are slower.
longest() {
	case $1 in
	segment) echo 256 ;;
	cron | url | zone) echo 400 ;;
	*) echo 1024 ;;
	esac
}

# Becomes one harness, to its end; its words go to a file.
fuzz() {
	local name=$1 corpus=$build/fuzz-corpus/$1
	local options=(-max_len="$(longest "$1")" -timeout=20 -rss_limit_mb=2048
		-artifact_prefix="$found/$name-" -print_final_stats=1)

	[ -z "$fresh" ] || corpus=$build/fuzz-fresh/$name
	[ -z "$fresh" ] || rm -rf "$corpus"
	mkdir -p "$corpus"
	[ -z "$fresh" ] || options+=(-seed=1)
	if [ "$runs" != 0 ]; then
		options+=(-runs="$runs")
	else
		options+=(-max_total_time="$seconds")
	fi
	if [ -f "$source_dir/tests/fuzz/dict/$name.dict" ]; then
		options+=(-dict="$source_dir/tests/fuzz/dict/$name.dict")
	fi
	# shallow stacks and a small quarantine: faster
	export ASAN_OPTIONS=${ASAN_OPTIONS:-malloc_context_size=4:quarantine_size_mb=16}
	exec nice "$build/tests/fuzz/fuzz_$name" "${options[@]}" "$corpus" \
		"$source_dir/tests/fuzz/corpus/$name" >"$found/$name.log" 2>&1
}

# The line of a harness, out of what it said.
report() { # NAME STATUS
	local log=$found/$1.log executed speed cover
	executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
	cover=$(grep -aoE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" |
		tail -n 1 || true)
	read -r _ cover _ features _ inputs <<<"$cover"
	if [ "$2" = 0 ]; then
		[ "$speed" = 0 ] || executed+=" ($speed/s)"
		printf '%-10s runs: %s, edges: %s, features: %s, inputs: %s\n' \
			"$1" "$executed" "$cover" "$features" "$inputs"
		return
	fi
	findings=$((findings + 1))
	echo "FOUND by $1:"
	grep -aE '"msg":"assertion|ERROR:|runtime error:|^    #[0-9] |Test unit written' \
		"$log" | head -n 20 || tail -n 20 "$log"
}

findings=0
declare -A running=()
# Its own children only, when somebody stops us.
trap 'kill "${!running[@]}" 2>/dev/null || true' EXIT

finish_one() {
	local pid status=0
	wait -n -p pid "${!running[@]}" || status=$?
	report "${running[$pid]}" "$status"
	unset "running[$pid]"
}

for name in "${names[@]}"; do
	[ "${#running[@]}" -lt "$jobs" ] || finish_one
	fuzz "$name" &
	running[$!]=$name
done
while [ "${#running[@]}" -gt 0 ]; do
	finish_one
done
echo "${#names[@]} harnesses, $findings with a finding"
[ "$findings" = 0 ]
