#!/usr/bin/env bash
# Prometheus with the files of monitoring/; only where its targets are is said here.
set -euo pipefail
home=$STACK_DATA/prometheus
rm -rf "$home/config"
mkdir -p "$home/config/targets"
install -m 644 "$STACK_MONITORING/prometheus.yml" "$STACK_MONITORING/rules.yml" "$home/config"
target() {
    printf -- '- targets: ["127.0.0.1:%s"]\n' "$2" >"$home/config/targets/$1.yml"
}
target gateway "$STACK_PORT_GATEWAY"
target worker "$STACK_PORT_WORKER"
target pipeline "$STACK_PORT_PIPELINE"
target api "$STACK_PORT_API"
target rabbitmq "$STACK_PORT_RABBITMQ_METRICS"
target prometheus "$STACK_PORT_PROMETHEUS"
target alertmanager "$STACK_PORT_ALERTMANAGER"
exec prometheus --config.file="$home/config/prometheus.yml" --storage.tsdb.path="$home/data" \
    --web.listen-address="127.0.0.1:$STACK_PORT_PROMETHEUS"
