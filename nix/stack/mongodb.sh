#!/usr/bin/env bash
# MongoDB as a replica set of one (mongodb-init.py): only a set confirms what is in the journal.
set -euo pipefail
mkdir -p "$STACK_DATA/mongodb"
# A quarter of a GB of cache, for a machine that does other things as well.
exec mongod --dbpath "$STACK_DATA/mongodb" --port "$STACK_PORT_MONGODB" --bind_ip 127.0.0.1 \
    --replSet rs0 --nounixsocket --wiredTigerCacheSizeGB 0.25
