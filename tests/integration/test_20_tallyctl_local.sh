#!/bin/bash
# tallyctl usage, config, completion and bench.
set -eu

srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

die() {
	echo "FAILED: $*"
	exit 1
}
# the words of a command, and what it must say (a regular expression)
says() {
	local want=$1 out
	shift
	out=$("$@" 2>&1) || true
	grep -Eq -- "$want" <<<"$out" || die "'$*' says: $out"
}
status() {
	local want=$1 got=0
	shift
	"$@" >/dev/null 2>&1 || got=$?
	[ "$got" = "$want" ] || die "'$*' ends with $got, want $want"
}

demo_up metering.flush_interval_ms=60000 metering.flush_interval_max_ms=60000
call() {
	curl -fsS -H "Authorization: Bearer $TALLYD_DEMO_KEY" "$TALLYD_URL$1"
}

# ---- usage: the API's own figures, pending ones too --------------------------
curl -fsS -o /dev/null -H "Authorization: Bearer $TALLYD_DEMO_KEY" \
	-H 'Content-Type: application/json' -d '{"credits":7,"prompt_tokens":1000}' \
	"$TALLYD_URL/api/usage/record"
api=$(call '/api/usage/history?days=30&fill=1')
ctl=$(tallyctl usage demo@codexible.me --json)
node -e '
const api = JSON.parse(process.argv[1]), ctl = JSON.parse(process.argv[2]);
require("assert").deepStrictEqual(ctl.days, api);
require("assert").strictEqual(ctl.total.credits_used,
	api.reduce((sum, day) => sum + day.credits_used, 0));
' "$api" "$ctl" || die "usage differs from the history"
today=$(date -u +%F)
[ "$(tallyctl usage b0000000-0000-0000-0000-000000000001 --days 2 --csv |
	grep -c "^$today,149,90,")" = 1 ] || die "csv of today"
tallyctl usage demo@codexible.me --days 3 --csv | grep -q $'\r$' ||
	die "lines of csv end in CR LF"
# all users are the sum of each of them, what is on its way included
all=$(tallyctl usage --all --days 30 --json)
users=$(psql -XAtc 'SELECT user_id FROM users' "$TALLYD_DATABASE_URL")
# shellcheck disable=SC2046,SC2086 # one argument for each user
node -e '
const assert = require("assert"), all = JSON.parse(process.argv[1]);
const sum = {};
for (const text of process.argv.slice(2))
	for (const day of JSON.parse(text).days) {
		const to = sum[day.date] ||= { credits: 0, requests: 0, cost: 0 };
		to.credits += day.credits_used;
		to.requests += day.request_count;
		to.cost += Math.round(day.cost_usd * 1e6);
	}
assert.strictEqual(all.email, null);
assert.strictEqual(all.days.length, 30);
for (const day of all.days)
	assert.deepStrictEqual({ credits: day.credits_used,
		requests: day.request_count,
		cost: Math.round(day.cost_usd * 1e6) }, sum[day.date]);
assert(all.days[0].credits_used >= 7);
' "$all" $(for user in $users; do tallyctl usage "$user" --json; done) ||
	die "all are not the sum of each"
status 2 tallyctl usage
status 2 tallyctl usage demo@codexible.me --all
LC_ALL=C.UTF-8 says '█' tallyctl usage demo@codexible.me --chart
LC_ALL=C says '#' tallyctl usage demo@codexible.me --chart
status 4 tallyctl usage nobody@example.org
status 2 tallyctl usage demo@codexible.me --days 0
status 2 tallyctl usage demo@codexible.me --csv --json

# ---- config ------------------------------------------------------------------
status 0 tallyctl config check
status 0 tallyctl config check "$TALLYD_CONF"
printf '[server]\nworkers = many\n' >"$demo_dir/bad.conf"
status 2 tallyctl config check "$demo_dir/bad.conf"
says 'bad.conf:2: .*many' tallyctl config check "$demo_dir/bad.conf"
for url in database.url database.direct_url; do
	for way in 'h password=hidden' 'host=h password=a hidden' \
		'postgres://u:hidden@[h'; do
		words=(tallyctl -o database.url=host=h -o "$url=$way"
			config check)
		status 2 "${words[@]}"
		says "$url: connection string" "${words[@]}"
		! "${words[@]}" 2>&1 | grep hidden ||
			die "the password is shown"
	done
done
says 'direct_url: there is no database.url' \
	tallyctl -o database.url= -o database.direct_url=host=h config check
tallyctl config dump >"$demo_dir/dump.conf"
status 0 tallyctl config check "$demo_dir/dump.conf"
diff <(grep -v '^;' "$demo_dir/dump.conf") \
	<(tallyctl -c "$demo_dir/dump.conf" config dump | grep -v '^;') ||
	die "a dump is read back as what it was"
# where each comes from; what comes later wins
says "^; $TALLYD_CONF:[0-9]+\$" tallyctl config dump
out=$(TALLYD_KEYS_MAX_PER_USER=7 TALLYD_SERVER_WORKERS=3 \
	tallyctl -o server.workers=1 config dump)
grep -A1 -x '; environment' <<<"$out" | grep -qx 'max_per_user = 7' ||
	die "environment: $out"
grep -A1 -x '; -o' <<<"$out" | grep -qx 'workers = 1' || die "-o: $out"
node -e '
const assert = require("assert"), d = JSON.parse(process.argv[1]).settings;
const line = require("fs").readFileSync(process.env.TALLYD_CONF, "utf8")
	.split("\n").findIndex(l => l.startsWith("listen")) + 1;
assert.strictEqual(d["server.listen"].from, "file");
assert.strictEqual(d["server.listen"].line, line);
assert.deepStrictEqual(d["keys.prefix"],
	{ value: "codexible", from: "default", line: null });
assert.deepStrictEqual(d["server.workers"],
	{ value: "1", from: "option", line: null });
' "$(tallyctl -o server.workers=1 config dump --json)" || die "origins"
for url in 'postgresql://u:hidden@h/db' 'host=h password=hidden user=u' \
	"host=h password='hi hidden' user=u" 'postgresql://h/db?password=hidden'; do
	out=$(tallyctl -o "database.url=$url" -o "database.direct_url=$url" \
		config dump)
	! grep -q hidden <<<"$out" || die "the password of $url is shown"
	[ "$(grep -c '[*][*][*][*]' <<<"$out")" = 2 ] || die "no mask in $url"
	out=$(tallyctl -o "database.url=$url" config dump --secrets)
	grep -q hidden <<<"$out" || die "--secrets hides $url"
done
out=$(tallyctl -o 'tracing.headers=Authorization=Bearer hidden,x-b=c=d' \
	config dump)
grep -q '^headers = Authorization=[*]*, x-b=[*]*$' <<<"$out" ||
	die "the values of tracing.headers are shown"

# ---- completion --------------------------------------------------------------
status 2 tallyctl completion fish
touch "$demo_dir/README.md"
cd "$demo_dir"
tallyctl completion bash >"$demo_dir/bash"
# shellcheck disable=SC1091
. "$demo_dir/bash"
offers() { # WORD WORDS... - the last one is being written
	local want=$1
	shift
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	"_$1" || true
	[[ " ${COMPREPLY[*]} " = *" $want "* ]] ||
		die "'$*' offers: ${COMPREPLY[*]}"
}
# the same of zsh, which calls the function with $words, $CURRENT, $service
zsh_offers() {
	local want=$1 out
	shift
	out=$(zsh -f -c '
		compadd() { print -r -- "$@" }
		_files() { print FILES }
		file=$1 service=$2
		shift
		words=("$@") CURRENT=$#
		. $file' zsh "$demo_dir/zsh" "$@")
	[[ " ${out//$'\n'/ } " = *" $want "* ]] || die "zsh: '$*' offers: $out"
}
shells=(offers)
tallyctl completion zsh >"$demo_dir/zsh"
if command -v zsh >/dev/null; then
	shells+=(zsh_offers)
fi
for offers in "${shells[@]}"; do
	[ "$offers" = offers ] || file=FILES
	"$offers" explain tallyctl exp
	"$offers" create tallyctl key ''
	"$offers" --expires tallyctl -c x key create a@b --e
	"$offers" zsh tallyctl completion z
	"$offers" jsonl tallyctl key import keys --format ''
	"$offers" off tallyctl limit set images --shadow ''
	"$offers" shm.max_keys= tallyctl -o shm.max_k
	"$offers" "${file-README.md}" tallyctl -c READ
	"$offers" "${file-README.md}" tallyctl backup READ
	"$offers" metering.durability= tallyd -t -o metering.dur
	"$offers" "${file-README.md}" tallyd -c READ
	# every command is offered, by its first word and, if it has two, its
	# second; so is every option of tallyd
	while read -r first second; do
		"$offers" "$first" tallyctl "$first"
		[ -z "$second" ] || "$offers" "$second" tallyctl "$first" ''
	done < <(tallyctl -h | sed -nE 's/^  ([a-z]+)( ([a-z]+))?.*/\1 \3/p')
	while read -r option; do
		"$offers" "$option" tallyd -
	done < <(tallyd -h | sed -nE 's/^  (-[a-zA-Z]) .*/\1/p')
done
# a value that is anybody's own is not guessed
COMP_WORDS=(tallyctl key create a@b --label '') COMP_CWORD=5 COMPREPLY=()
_tallyctl
[ "${#COMPREPLY[@]}" = 0 ] || die "--label offers ${COMPREPLY[*]}"

# ---- bench: of its own, so nothing of the daemon changes ---------------------
before=$(tallyctl stats)
out=$(tallyctl bench --keys 1000 --json)
[ "$(tallyctl stats)" = "$before" ] || die "bench counts with the daemon"
! compgen -G '/dev/shm/tallyd.bench-*' >/dev/null || die "bench leaves a segment"
node -e '
const assert = require("assert"), b = JSON.parse(process.argv[1]);
assert.strictEqual(b.keys, 1000);
for (const figure of ["sha256_ns", "cold_read_ns", "decision_hot_ns",
		"decision_random_ns", "segment_bytes"])
	assert(b[figure] > 0, figure);
assert(b.decision_hot_ns > b.sha256_ns / 4); // it contains one
assert.deepStrictEqual(b.rates[0].processes, 1);
assert.deepStrictEqual(b.rates.at(-1).processes, b.cpus);
assert(b.rates.every(r => r.decisions_per_second > 0));
' "$out" || die "bench says $out"
says 'decision, hot key: +[0-9]+ ns' tallyctl bench --keys 1
status 2 tallyctl bench --keys 0
status 2 tallyctl bench --seconds 0
