#!/usr/bin/env bash
# Grafana with the datasource and the dashboard of monitoring/. Who is on this machine may look;
# secrets/grafana has the password of `admin`.
set -euo pipefail
home=$STACK_DATA/grafana
mkdir -p "$home"
# These are its only settings: it has no file of its own.
export GF_PATHS_DATA=$home GF_PATHS_LOGS=$home/log GF_PATHS_PLUGINS=$home/plugins GF_LOG_MODE=console \
    GF_PATHS_PROVISIONING=$STACK_MONITORING/grafana/provisioning \
    GF_SERVER_HTTP_ADDR=127.0.0.1 GF_SERVER_HTTP_PORT=$STACK_PORT_GRAFANA \
    GF_SECURITY_ADMIN_PASSWORD="\$__file{$STACK_DATA/secrets/grafana}" \
    GF_AUTH_ANONYMOUS_ENABLED=true GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer \
    GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=$STACK_MONITORING/grafana/dashboards/observatory.json \
    GF_ANALYTICS_REPORTING_ENABLED=false GF_ANALYTICS_CHECK_FOR_UPDATES=false \
    GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false GF_PLUGINS_PREINSTALL_DISABLED=true \
    OBSERVATORY_DASHBOARDS=$STACK_MONITORING/grafana/dashboards \
    OBSERVATORY_PROMETHEUS_URL=http://127.0.0.1:$STACK_PORT_PROMETHEUS
exec grafana server --homepath "${GRAFANA_HOMEPATH:?where Grafana has its files, as /usr/share/grafana}"
