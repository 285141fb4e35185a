#!/usr/bin/env bash
# Alertmanager with the file of monitoring/; only where the API is may be another place.
set -euo pipefail
home=$STACK_DATA/alertmanager
ours=http://localhost:8080/
mkdir -p "$home"
grep -qF "$ours" "$STACK_MONITORING/alertmanager.yml" || {
    echo "error: alertmanager.yml does not send to $ours" >&2
    echo "  fix: name in $0 what it sends to" >&2
    exit 1
}
sed "s|$ours|http://127.0.0.1:$STACK_PORT_API/|" "$STACK_MONITORING/alertmanager.yml" >"$home/alertmanager.yml"
# Without an address for others it would look for them on a port that all have.
exec alertmanager --config.file="$home/alertmanager.yml" --storage.path="$home/data" \
    --web.listen-address="127.0.0.1:$STACK_PORT_ALERTMANAGER" --cluster.listen-address=
