#!/usr/bin/env bash
# observatory.sh ROLE: a role of the observatory on the servers of the stack.
set -euo pipefail
role=$1
# shellcheck source=/dev/null
. "$STACK_DATA/env"
port=STACK_PORT_${role^^}
# A config file of the user's is for other observatories.
export OBSERVATORY_CONFIG='' OBSERVATORY_LISTEN=127.0.0.1:${!port} \
    OBSERVATORY_PUBLIC_URL=http://localhost:$STACK_PORT_API \
    OBSERVATORY_ALERTMANAGER_URL=http://127.0.0.1:$STACK_PORT_ALERTMANAGER \
    OBSERVATORY_PROMETHEUS_URL=http://127.0.0.1:$STACK_PORT_PROMETHEUS \
    OBSERVATORY_PIPELINE_URL=http://127.0.0.1:$STACK_PORT_PIPELINE
exec observatory "$role"
