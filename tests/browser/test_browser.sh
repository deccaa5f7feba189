#!/bin/bash
# The pages in a real browser, against a daemon with a PostgreSQL that can be
# stopped.  Pictures of all pages stay in tests/browser/screenshots.
#
#	tests/browser/test_browser.sh [WORD]   only tests with WORD in their name
set -eu

# The one without windows and menus: half of the other's processor time.
CHROMIUM=$(command -v chromium-headless-shell || command -v chromium || true)
if [ -z "$CHROMIUM" ] || ! command -v npm >/dev/null; then
	echo "needs npm, and chromium-headless-shell or chromium"
	exit 77
fi
if [ ! -f web/dashboard/index.html ]; then
	echo "built without the dashboard"
	exit 77
fi
srcdir=${srcdir:-.}
if [ -z "${BROWSER_PG:-}" ]; then
	export BROWSER_PG=1 srcdir
	exec "$srcdir/contrib/devel/pg-temp.sh" "$0" "$@"
fi
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

work=$PWD/tests/browser
if [ ! "$work" -ef "$demo_srcdir/tests/browser" ]; then
	mkdir -p "$work"
	cp "$demo_srcdir"/tests/browser/*.{json,mjs} "$work/"
fi
npm ci --prefix "$work" --no-audit --no-fund --silent --ignore-scripts \
	--prefer-offline

# The one that outage.mjs has started is nobody's child any more.
down() {
	local pid
	pid=$(cat "$demo_dir/pid" 2>/dev/null) || pid=''
	[ -z "$pid" ] || kill -TERM "$pid" 2>/dev/null || true
	while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; do
		sleep 0.05
	done
	demo_down
}

# A short window, so that a rate limit can be watched passing.
demo_up "database.url=host=$PGHOST port=$PGPORT user=$PGUSER dbname=$PGDATABASE" \
	admin.emails=team@codexible.me keys.max_per_user=20 \
	limits.key_count=100000 limits.address_count=100000 \
	limits.window_ms=4000 metering.flush_interval_ms=100 \
	metering.flush_interval_max_ms=1000
trap down EXIT

cat >"$demo_dir/orders" <<'EOF'
#!/bin/bash
# database|daemon stop|start
set -eu
gone() {
	while kill -0 "$1" 2>/dev/null; do sleep 0.02; done
}
ready() {
	until curl -fso /dev/null --max-time 2 "$TALLYD_URL/health?ready=1"; do
		kill -0 "$1" || { tail -n 5 "$DEMO_DIR/log"; exit 1; }
		sleep 0.05
	done
}
case "$1 $2" in
"database stop")
	pid=$(head -n 1 "$PGHOST/data/postmaster.pid")
	kill -QUIT "$pid"
	gone "$pid"
	;;
"database start")
	eval "set -- $(cat "$PGHOST/data/postmaster.opts")"
	[ "$(id -u)" != 0 ] || set -- runuser -u postgres -- "$@"
	cd /
	setsid "$@" >>"$PGHOST/data/log" 2>&1 </dev/null &
	until pg_isready -q; do sleep 0.05; done
	;;
"daemon stop")
	pid=$(cat "$DEMO_DIR/pid")
	kill -TERM "$pid"
	gone "$pid"
	;;
"daemon start")
	setsid tallyd -c "$TALLYD_CONF" >>"$DEMO_DIR/log" 2>&1 </dev/null &
	echo $! >"$DEMO_DIR/pid"
	ready "$!"
	;;
esac
EOF
chmod 755 "$demo_dir/orders"
echo "$demo_pid" >"$demo_dir/pid"
# not of this shell, which would have to wait for it
export DEMO_DIR=$demo_dir ORDERS=$demo_dir/orders SHOTS=$work/screenshots CHROMIUM
node "$work/run.mjs" "$@"
