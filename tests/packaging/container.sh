#!/bin/bash
# container.sh [--dir DIR] BUILD - the steps of the Containerfile, without an
# engine.
#
# Each FROM is a small Debian in DIR (default BUILD/packaging), in which the
# stage's RUN and COPY lines are carried out as they stand there; then the CMD
# runs as its USER with its ENV, as process 1 of its own.  What an engine alone
# does is not tried: layers, volumes, networks, compose.yaml.
set -eu

dir=''
[ "${1:-}" != --dir ] || { dir=$2 && shift 2; }
[ "$#" = 1 ] || {
	echo "usage: tests/packaging/container.sh [--dir DIR] BUILD" >&2
	exit 64
}
build=$(cd "$1" && pwd)
dir=${dir:-$build/packaging}
# shellcheck source=tests/packaging/root.sh
. "$(dirname "$0")/root.sh"
own_mounts --dir "$dir" "$build"
pg=$(echo /usr/lib/postgresql/*/bin | awk '{ print $NF }')
[ -x "$pg/initdb" ] || skip "apt-get install postgresql"
mkdir -p "$dir"
chmod 755 "$dir"
file=$(cd "$(dirname "$0")/../.." && pwd)/contrib/container/Containerfile

# ---- the steps -------------------------------------------------------------------
declare -A stages=() args=([CONFIGURE]=--without-web [EXTRA]='')
environment=() user=root root='' steps=0 command='' health=''

copy() { # ARGUMENTS of COPY
	local from to
	case $1 in
	--from=*)
		from=${stages[${1#--from=}]}
		[ "${3}" = / ] && to=$root/ || to=$root$3
		cp -a "$from$2." "$to"
		;;
	.) # the context is what a release has
		mkdir -p "$root$2"
		tar -C "$root$2" --strip-components=1 -xf "$build"/tallyd-*.tar.xz
		;;
	*) die "COPY $*" ;;
	esac
}

run() { # the rest of the line, as the shell form takes it
	local name exports=''
	for name in "${!args[@]}"; do
		exports+="export $name='${args[$name]}'; "
	done
	in_root "$root" /bin/sh -c "$exports$1" >>"$dir/steps.log" 2>&1 || {
		tail -n 20 "$dir/steps.log"
		die "RUN $1"
	}
}

step() { # INSTRUCTION REST
	local words
	read -ra words <<<"$2"
	case $1 in
	FROM)
		root=$dir/stage${#stages[@]}
		root_make "${root##*/}"
		stages[${words[2]:-last}]=$root
		;;
	ARG) [ -n "${args[${2%%=*}]+set}" ] || args[${2%%=*}]=${2#*=} ;;
	RUN) run "$2" ;;
	COPY) copy "${words[@]}" ;;
	USER) user=$2 ;;
	ENV) environment+=("$2") ;;
	CMD) command=$2 ;;
	HEALTHCHECK) health=${2#*CMD } ;;
	VOLUME) in_root "$root" test -d "$2" || die "VOLUME $2" ;;
	EXPOSE | STOPSIGNAL) ;;
	*) die "what is $1?" ;;
	esac
	steps=$((steps + 1))
	say "$1 ${2:0:60}"
}

make -s -C "$build" dist-xz >"$dir/make.log" 2>&1 || die "make dist: $(tail "$dir/make.log")"
: >"$dir/steps.log"
while IFS= read -r line; do
	[[ $line =~ ^[A-Z] ]] || continue
	step "${line%% *}" "${line#* }"
done < <(sed -e '/^#/d' -e :a -e '/\\$/N; s/\\\n[ \t]*//; ta' "$file")
[ "$steps" -ge 15 ] || die "only $steps steps"

# ---- the database of compose.yaml ----------------------------------------------------
data=$dir/database
rm -rf "$data"
install -d -o postgres "$data"
as_postgres() {
	runuser -u postgres -- "$@"
}
dbport=$((20000 + RANDOM % 30000))
as_postgres "$pg/initdb" -D "$data" -A trust -U tallyd >/dev/null
as_postgres "$pg/pg_ctl" -D "$data" -w -l "$data/log" -o \
	"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -p $dbport" \
	start >/dev/null
trap 'as_postgres "$pg/pg_ctl" -D "$data" -m fast stop >/dev/null' EXIT
as_postgres "$pg/createdb" -h 127.0.0.1 -p "$dbport" -U tallyd tallyd

# ---- the daemon ------------------------------------------------------------------------
exec_form() { # ["a", "b"] - the words, in `words`
	local text=${1#[}
	text=${text%]}
	mapfile -t words < <(grep -oE '"[^"]*"' <<<"$text" | tr -d '"')
}
exec_form "$command"
port=$((20000 + RANDOM % 30000))
# The port of the image is the only thing that differs here: the network is the
# host's.
environment=("${environment[@]/3001/$port}")
cat >"$dir/one.sh" <<-'EOF2'
	mount -t proc proc "$1/proc"
	root=$1 user=$2
	shift 2
	exec chroot --userspec="$user" "$root" "$@"
EOF2
unshare --pid --mount --fork --kill-child bash "$dir/one.sh" "$root" "$user" \
	/usr/bin/env -i PATH=/usr/sbin:/usr/bin "${environment[@]}" \
	TALLYD_DATABASE_URL="postgresql://tallyd@127.0.0.1:$dbport/tallyd" \
	"${words[@]}" >"$dir/daemon.log" 2>&1 &
outer=$!
exec_form "${health/3001/$port}"
healthy() {
	in_root "$root" "${words[@]}"
}
await healthy
pid=$(pgrep -P "$outer")
[ "$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")" = 1 ] || die "it is not process 1"
[ "$(awk '/^Uid/ { print $2 }' "/proc/$pid/status")" = 990 ] || die "it is not $user"
say "healthy"

# Whose parent ended comes to process 1, which must not leave it a zombie.
inside() {
	nsenter --target "$pid" --pid --mount chroot "$root" "$@"
}
inside sh -c '(sleep 0.3; exit 3) & exit 0'
sleep 1
zombies=$(pgrep --runstates Z -l -P "$pid" || true)
[ -z "$zombies" ] || die "zombies: $zombies"

kill -TERM "$pid"
wait "$outer" || die "stop: status $?: $(tail -n 5 "$dir/daemon.log")"
grep -q '"stopped"' "$dir/daemon.log" || die "no orderly stop"
say "stopped"
