#!/usr/bin/env bash
# Prometheus with the files of monitoring/, at the ports of the stack.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$STACK_DATA/prometheus
mkdir -p "$home"
bash "$here/addresses.sh" "$STACK_MONITORING/prometheus.yml" >"$home/prometheus.yml"
# Named without a folder in there, so it is looked for beside it.
cat "$STACK_MONITORING/rules.yml" >"$home/rules.yml"
exec prometheus --config.file="$home/prometheus.yml" --storage.tsdb.path="$home/data" \
    --web.listen-address="127.0.0.1:$STACK_PORT_PROMETHEUS"
