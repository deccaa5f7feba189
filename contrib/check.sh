#!/bin/bash
# check.sh - all tests, as a change must pass them.
#
# Stages, in this order; give names to run only those:
#   lint      shellcheck, manual pages
#   check     gcc, warnings are errors; unit tests, other programs, browsers
#   chaos     kills of processes under load, the short run
#   sanitize  clang, warnings are errors, AddressSanitizer and UBSan; unit and
#             integration tests
#   fuzz      libFuzzer on all that reads foreign bytes, the short run
# and one that only its name runs, because it takes minutes and the network:
#   package   the Debian package from its making to its purge, and the steps of
#             the Containerfile
# The last line says how many checks passed and failed.
set -uo pipefail

usage() {
	cat <<-'EOF'
	usage: contrib/check.sh [--all] [--build DIR] [--jobs N] [STAGE ...]
	  --all        integration tests on both builds, which takes longer
	  --build DIR  where to build (default: build-check in the source tree)
	  --jobs N     default: one for each CPU
	  STAGE        lint check chaos sanitize fuzz (default: all of these), package
	EOF
}

source_dir=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=contrib/lib.sh
. "$source_dir/contrib/lib.sh"

build=$source_dir/build-check jobs=$(nproc) all='' stages=()
while [ $# -gt 0 ]; do
	case $1 in
	--build | --jobs)
		[ $# -ge 2 ] || die "$1 needs a value"
		if [ "$1" = --build ]; then build=$2; else jobs=$2; fi
		shift
		;;
	--all) all=1 ;;
	lint | check | chaos | sanitize | fuzz | package) stages+=("$1") ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 64
		;;
	esac
	shift
done
[ "${#stages[@]}" -gt 0 ] || stages=(lint check chaos sanitize fuzz)

passed=0 failed=0
# Settings of a running quickstart are none of the tests'.
while read -r name; do
	unset "$name"
done < <(compgen -e TALLYD_ || true)

pass() {
	passed=$((passed + 1))
}

fail() { # WORDS
	failed=$((failed + 1))
	echo "FAILED: $*"
}

# check_one NAME COMMAND... - output is shown when it fails.
check_one() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		pass
	else
		fail "$name"
		printf '%s\n' "$out" | tail -n 40
	fi
}

# One program's checks: libcheck's own count, else the program is one.
count_log() { # BASE
	local result line checks bad
	result=$(sed -n 's/^:test-result: *//p' "$1.trs" | head -n 1)
	line=$(grep -aE '^[0-9]+%: Checks: ' "$1.log" | tail -n 1)
	if [ "$result" = SKIP ]; then
		echo "skipped: ${1#"$build"/}"
	elif [[ $line =~ Checks:\ ([0-9]+),\ Failures:\ ([0-9]+),\ Errors:\ ([0-9]+) ]]; then
		checks=${BASH_REMATCH[1]}
		bad=$((BASH_REMATCH[2] + BASH_REMATCH[3]))
		[ "$result" = PASS ] || [ "$bad" -gt 0 ] || bad=1
		passed=$((passed + checks - bad))
		failed=$((failed + bad))
	elif [ "$result" = PASS ]; then
		pass
	else
		failed=$((failed + 1))
	fi
	if [ "$result" != PASS ] && [ "$result" != SKIP ]; then
		echo "FAILED: ${1#"$build"/}"
		failure_lines "$1.log"
		echo '...'
		tail -n 40 "$1.log"
	fi
}

build_in() { # DIR CONFIGURE-ARGUMENTS...
	local dir=$1 log=$1.log
	shift
	mkdir -p "$dir"
	if prepare_build "$source_dir" "$dir" --enable-werror "$@" >"$log" 2>&1 &&
		quiet_make "$dir" -j"$jobs" all >>"$log" 2>&1; then
		pass
	else
		fail "build in $dir"
		tail -n 40 "$log"
		return 1
	fi
}

failure_lines() { # LOG - which of its checks it was, however far up
	grep -aE '^[^ :]+:[0-9]+:[FE]:|FAILED|^ *not ok' "$1" | head -n 20 |
		grep . || tail -n 5 "$1"
}

# A few that failed beside others run once more, alone: who starves is not
# wrong.  What failed the first time is told all the same.
run_again() { # DIR MAKE-ARGUMENTS...
	local dir=$1 trs one
	shift
	mapfile -t trs < <(find "$dir" -name '*.trs' -exec \
		grep -lE '^:test-result: *(FAIL|ERROR)' {} +)
	[ "${#trs[@]}" -gt 0 ] && [ "${#trs[@]}" -le 3 ] || return 0
	for one in "${trs[@]}"; do
		echo "UNSTEADY: ${one%.trs} failed beside others:"
		failure_lines "${one%.trs}.log"
	done
	quiet_make "$dir" recheck "$@" >>"$dir.check.log" 2>&1
}

# Test programs, then every result there is.
run_tests() { # DIR MAKE-ARGUMENTS...
	local dir=$1 trs
	shift
	find "$dir" -name '*.trs' -delete
	# tests wait for half of their time: for clocks, kills, other processes
	quiet_make "$dir" -j"$((2 * jobs))" check "$@" >"$dir.check.log" 2>&1
	if [ -z "$(find "$dir" -name '*.trs' -print -quit)" ]; then
		fail "make check in $dir"
		tail -n 40 "$dir.check.log"
		return
	fi
	run_again "$dir" "$@"
	while read -r trs; do
		count_log "${trs%.trs}"
	done < <(find "$dir" -name '*.trs' | sort)
}

stage_lint() {
	local f
	while read -r f; do
		check_one "shellcheck $f" shellcheck -x "$f"
	done < <(cd "$source_dir" && git ls-files | while read -r f; do
		head -c 64 "$f" 2>/dev/null | grep -aqE '^#!.*(/| )(ba)?sh' &&
			echo "$source_dir/$f"
	done)
	check_one "promtool check rules" "${TALLY_PROMTOOL:-promtool}" \
		check rules "$source_dir/contrib/prometheus/alerts.yml"
	for f in "$source_dir"/man/*.[1-9]; do
		check_one "mandoc ${f##*/}" mandoc -Tlint -Wwarning "$f"
	done
}

# Each test of the daemon runs on one build: the one with sanitizers, which sees
# more.  The optimised one gets the unit tests and these, whose subject is
# speed, no C of ours, or the whole of it: generated text, plans of statements,
# programs of others against the daemon, pages in a browser, what the manual
# shows.  --all runs on both what can run on both.
optimised=(test_08_exact test_17_openapi.sh test_24_clients.sh
	test_26_tallyctl_examples.sh test_43c_standardwebhooks.sh
	test_50b_testssl.sh test_51_recipes test_52_smuggling
	test_53b_systemd.sh test_57_faults.sh test_store_queries_fresh.sh
	test_store_queries_refused.sh test_store_plans.sh
	test_api_manual_fresh.sh test_api_manual_examples.sh)
both=(test_02_gate test_07_flush test_30_acceptance test_41b_task_deaths
	test_58_upgrade)

# names_of DIR MAKE-EXPRESSION - the tests that it gives.
names_of() {
	quiet_make "$1" --eval "names: ; @echo $2" names
}

patterns() { # NAME... - as make compares them
	printf '%%/%s ' "$@"
}

stage_check() {
	local tests
	build_in "$build" || return
	# shellcheck disable=SC2016 # make's own
	tests=$(names_of "$build" '$(filter-out tests/integration/%,$(TESTS)) \
		$(filter '"$(patterns "${optimised[@]}" "${both[@]}")"',$(TESTS))')
	[ -z "$all" ] || tests=$(names_of "$build" "\$(TESTS)")
	run_tests "$build" TESTS="$tests"
}

stage_sanitize() {
	local tests
	build_in "$build-sanitize" CC=clang --enable-sanitizers \
		CFLAGS='-g1 -O1' --without-dashboard || return
	# shellcheck disable=SC2016 # make's own
	tests=$(names_of "$build-sanitize" '$(filter-out tests/browser/% \
		contrib/dashboard/% '"$(patterns "${optimised[@]}")"',$(TESTS))')
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 \
		UBSAN_OPTIONS=print_stacktrace=1 \
		run_tests "$build-sanitize" TESTS="$tests"
}

# The seeds, and the same few changes of them each time; long runs are
# tests/fuzz/run.sh's own.
stage_fuzz() {
	local out status=0
	out=$("$source_dir/tests/fuzz/run.sh" --build "$build-fuzz" \
		--jobs "$jobs" --runs 5000 --fresh 2>&1) || status=$?
	case $status in
	0) passed=$((passed + $(sed -n 's/ harnesses.*//p' <<<"$out"))) ;;
	77) echo "$out" ;;
	*)
		fail "fuzz"
		tail -n 60 <<<"$out"
		;;
	esac
}

stage_chaos() {
	if [ ! -f "$build/config.status" ]; then
		build_in "$build" || return
	fi
	check_one "chaos" "$source_dir/tests/chaos/run.sh" --build "$build"
}

stage_package() {
	local name status
	install_packages debhelper debootstrap lintian || return
	if [ ! -f "$build/config.status" ]; then
		build_in "$build" || return
	fi
	for name in deb container; do
		status=0
		"$source_dir/tests/packaging/$name.sh" "$build" \
			>"$build.$name.log" 2>&1 || status=$?
		case $status in
		0) pass ;;
		77) tail -n 1 "$build.$name.log" ;;
		*)
			fail "tests/packaging/$name.sh"
			tail -n 40 "$build.$name.log"
			;;
		esac
	done
}

lacks_libraries() { # PROGRAM
	ldd "$1" 2>&1 | grep -q 'not found'
}

unpack() { # PACKAGE - into the current directory
	apt-get download -q "$1" && dpkg-deb -x "$1"_*.deb . && rm "$1"_*.deb
}

install_libraries_of() { # PACKAGE - they start nothing
	local libraries
	mapfile -t libraries < <(apt-cache depends --no-recommends \
		--no-suggests "$1" | sed -n 's/^  Depends: \(lib[^<]*\)$/\1/p')
	install_packages "${libraries[@]}"
}

# fetch PROGRAM PACKAGE PATH - prints where it is.  Packages that would start a
# server of theirs here: the program is taken out of them instead.
fetch() {
	local dir=$build/$1
	command -v "$1" && return
	if [ ! -x "$dir/$3" ] || lacks_libraries "$dir/$3"; then
		mkdir -p "$dir"
		(cd "$dir" && { [ -x "$3" ] || unpack "$2"; } &&
			{ ! lacks_libraries "$3" || install_libraries_of "$2"; }) \
			>"$dir.log" 2>&1 </dev/null || {
			cat "$dir.log" >&2
			return 1
		}
	fi
	echo "$dir/$3"
}

begun=$SECONDS
install_packages "${BUILD_PACKAGES[@]}" check clang libfaketime mandoc shellcheck \
	git libc-ares2 lua-socket openssl systemd testssl.sh || die "packages are missing"
# The sanitizers and libFuzzer, of clang's own version.
install_packages "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" ||
	die "clang's runtime is missing"
# The browser without windows and menus is half the work, where there is one;
# who cannot get it and has the other goes on with that.
browser=chromium
if apt-cache show chromium-headless-shell >/dev/null 2>&1; then
	browser=chromium-headless-shell
fi
(install_packages "$browser") || echo "no $browser"
mkdir -p "$build"
build=$(cd "$build" && pwd)
while read -r variable program package path; do
	if place=$(fetch "$program" "$package" "$path"); then
		export "$variable=$place"
		pass
	else
		fail "$program"
	fi
done <<-'EOF'
	TALLY_PROMTOOL promtool prometheus usr/bin/promtool
	TALLY_PGBOUNCER pgbouncer pgbouncer usr/sbin/pgbouncer
	TALLY_NGINX nginx nginx usr/sbin/nginx
	TALLY_HAPROXY haproxy haproxy usr/sbin/haproxy
	TALLY_CADDY caddy caddy usr/bin/caddy
	TALLY_APACHE apache2 apache2-bin usr/sbin/apache2
EOF
for stage in "${stages[@]}"; do
	at=$SECONDS
	"stage_$stage"
	echo "$stage: $((SECONDS - at)) s"
done
echo "all of it: $((SECONDS - begun)) s"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
