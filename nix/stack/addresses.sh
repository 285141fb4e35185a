#!/usr/bin/env bash
# addresses.sh FILE: a file of monitoring/, which has the default ports of this machine, with those of
# the stack. An address that it does not know is an error: nobody would be there.
set -euo pipefail
text=$(sed -E \
    -e "s/localhost:3000\b/127.0.0.1:$STACK_PORT_GATEWAY/g" \
    -e "s/localhost:8000\b/127.0.0.1:$STACK_PORT_WORKER/g" \
    -e "s/localhost:9100\b/127.0.0.1:$STACK_PORT_PIPELINE/g" \
    -e "s/localhost:8080\b/127.0.0.1:$STACK_PORT_API/g" \
    -e "s/localhost:15692\b/127.0.0.1:$STACK_PORT_RABBITMQ_METRICS/g" \
    -e "s/localhost:9090\b/127.0.0.1:$STACK_PORT_PROMETHEUS/g" \
    -e "s/localhost:9093\b/127.0.0.1:$STACK_PORT_ALERTMANAGER/g" "$1")
if unknown=$(grep -vE '^ *#' <<<"$text" | grep -oE 'localhost:[0-9]+'); then
    echo "error: $1 has addresses that the stack does not know: ${unknown//$'\n'/, }" >&2
    echo "  fix: name them in addresses.sh" >&2
    exit 1
fi
printf '%s\n' "$text"
