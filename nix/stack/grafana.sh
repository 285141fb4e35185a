#!/usr/bin/env bash
# Grafana with the datasource and the dashboard of monitoring/, at the ports of the stack. Who is on
# this machine may look; secrets/grafana has the password of `admin`.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$STACK_DATA/grafana
given=$STACK_MONITORING/grafana
# It looks for all four.
mkdir -p "$home"/provisioning/{datasources,dashboards,plugins,alerting}
bash "$here/addresses.sh" "$given/provisioning/datasources/prometheus.yml" >"$home/provisioning/datasources/prometheus.yml"
cat "$given/provisioning/dashboards/observatory.yml" >"$home/provisioning/dashboards/observatory.yml"
# Its only settings: it has no file of its own.
export GF_PATHS_DATA=$home GF_PATHS_LOGS=$home/log GF_PATHS_PLUGINS=$home/plugins GF_LOG_MODE=console \
    GF_PATHS_PROVISIONING=$home/provisioning OBSERVATORY_DASHBOARDS=$given/dashboards \
    GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=$given/dashboards/observatory.json \
    GF_SERVER_HTTP_ADDR=127.0.0.1 GF_SERVER_HTTP_PORT=$STACK_PORT_GRAFANA \
    GF_SECURITY_ADMIN_PASSWORD="\$__file{$STACK_DATA/secrets/grafana}" \
    GF_AUTH_ANONYMOUS_ENABLED=true GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer \
    GF_ANALYTICS_REPORTING_ENABLED=false GF_ANALYTICS_CHECK_FOR_UPDATES=false \
    GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false GF_PLUGINS_PREINSTALL_DISABLED=true
exec grafana server --homepath "${GRAFANA_HOMEPATH:?where Grafana has its files, as /usr/share/grafana}"
