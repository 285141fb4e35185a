#!/usr/bin/env bash
# Alertmanager with the file of monitoring/, at the ports of the stack.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$STACK_DATA/alertmanager
mkdir -p "$home"
bash "$here/addresses.sh" "$STACK_MONITORING/alertmanager.yml" >"$home/alertmanager.yml"
# Without an address for others it would look for them on a port that all have.
exec alertmanager --config.file="$home/alertmanager.yml" --storage.path="$home/data" \
    --web.listen-address="127.0.0.1:$STACK_PORT_ALERTMANAGER" --cluster.listen-address=
