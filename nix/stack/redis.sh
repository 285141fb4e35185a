#!/usr/bin/env bash
# Redis, without persistence: it has copies only, which the pipeline writes anew when it starts.
set -euo pipefail
mkdir -p "$STACK_DATA/redis"
exec redis-server --port "$STACK_PORT_REDIS" --bind 127.0.0.1 --dir "$STACK_DATA/redis" \
    --save '' --appendonly no --daemonize no
