#!/bin/bash
# A receiver in node accepts deliveries with the package standardwebhooks.
set -eu

if ! command -v npm >/dev/null; then
	echo "npm is not here"
	exit 77
fi
srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

suite=$PWD/tests/clients/webhooks
if [ ! "$suite" -ef "$demo_srcdir/tests/clients/webhooks" ]; then
	mkdir -p "$suite"
	cp "$demo_srcdir"/tests/clients/webhooks/*.{json,mjs} "$suite/"
fi
npm ci --prefix "$suite" --no-audit --no-fund --silent

port=$(demo_port)
demo_up limits.enabled=no runner.count=1 egress.allow_http=yes \
	egress.private_allow=127.0.0.0/8 egress.allowed_ports="$port"
HOOK_PORT=$port node "$suite/receiver.mjs"
