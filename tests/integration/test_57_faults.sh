#!/bin/sh
# test_57_faults.sh - the faults of tests/chaos that no other test has: stops
# under load, a database that is frozen or slow, a full disk, a full /dev/shm,
# a worker without memory.
set -eu

exec tests/chaos/faults short
