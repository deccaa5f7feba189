#!/bin/bash
# testssl.sh finds nothing of severity MEDIUM or above at a TLS listener with
# the default settings: protocols, ciphers, certificate, headers and the
# vulnerabilities that have a name.
set -eu

program=$(command -v testssl || command -v testssl.sh || true)
if [ -z "$program" ]; then
	echo "testssl.sh is not here; apt-get install testssl.sh"
	exit 77
fi
srcdir=${srcdir:-.}
# shellcheck source=tests/lib/demo.sh
. "$srcdir/tests/lib/demo.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/tally-testssl.XXXXXX")
"$srcdir/tests/lib/certs.sh" "$work"
port=$(demo_port)
demo_listen=tls:127.0.0.1:$port
demo_up "tls.certificates = $work/site.pem $work/site.key" \
	"tls.hsts_max_age_s = 31536000"
trap 'demo_down; rm -rf "$work"' EXIT

cd "$work"
# no name server and nobody outside is asked
"$program" --add-ca ca.pem --ip 127.0.0.1 --nodns none --warnings off \
	--quiet --color 0 -oj found.json -p -s -S -h -U "localhost:$port" \
	>found.txt 2>&1 </dev/null || true

# each finding is an object of a few lines; WARN is a test that could not run
awk '/^ *"id"/ { id = $0 } /^ *"severity"/ { severity = $0 }
	/^ *"finding"/ {
		n++
		if (severity ~ /"(MEDIUM|HIGH|CRITICAL|FATAL)"/)
			print severity, id, $0
	}
	END { if (n < 50) print "only " n + 0 " findings: not all was tried" }' \
	found.json >bad.txt
if [ -s bad.txt ]; then
	cat bad.txt
	tail -n 40 found.txt
	exit 1
fi
