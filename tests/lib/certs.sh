#!/bin/sh
# certs.sh - an authority and certificates of a test, by openssl(1).
#
#	tests/lib/certs.sh DIR
#
# ca.pem signs: site (localhost, 127.0.0.1), other (other.test, *.wild.test),
# client, old (localhost, expired).  stranger is a client's of nobody, as its
# own authority stranger.pem.  Each NAME is NAME.pem with its key NAME.key.
set -eu

dir=$1
mkdir -p "$dir"
cd "$dir"
umask 077
export RANDFILE=/dev/null

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 \
	-out "$1.key" 2>/dev/null; }

# authority NAME CN: signs itself
authority() {
	key "$1"
	openssl req -x509 -new -key "$1.key" -subj "/CN=$2" -days 365 \
		-out "$1.pem"
}

# leaf NAME CN ALTNAMES [DAYS]
leaf() {
	key "$1"
	{
		echo "subjectAltName=$3"
		echo "extendedKeyUsage=serverAuth,clientAuth"
		echo "crlDistributionPoints=URI:http://ca.test/crl"
	} >ext
	openssl req -new -key "$1.key" -subj "/O=tallyd test/CN=$2" |
		openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial \
			-days "${4:-120}" -extfile ext -out "$1.pem" 2>/dev/null
}

authority ca 'authority of a test'
authority stranger 'a stranger'
leaf site localhost DNS:localhost,IP:127.0.0.1
leaf other other.test 'DNS:other.test,DNS:*.wild.test'
leaf client 'client, number 7' DNS:client.test
leaf old localhost DNS:localhost -1
rm ext
