#!/usr/bin/env bash
# PostgreSQL. It has no socket in the file system, whose path would have to be short.
set -euo pipefail
exec postgres -D "$STACK_DATA/postgresql" -p "$STACK_PORT_POSTGRESQL" \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories=
