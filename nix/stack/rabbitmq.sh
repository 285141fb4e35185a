#!/usr/bin/env bash
# RabbitMQ with its management page and its metrics for Prometheus. Who is on this machine is guest.
set -euo pipefail
home=$STACK_DATA/rabbitmq
mkdir -p "$home"/{mnesia,log,schema,generated}
cat >"$home/rabbitmq.conf" <<C
listeners.tcp.1 = 127.0.0.1:$STACK_PORT_RABBITMQ
management.tcp.ip = 127.0.0.1
management.tcp.port = $STACK_PORT_RABBITMQ_UI
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = $STACK_PORT_RABBITMQ_METRICS
log.console = true
log.console.level = info
log.file = false
C
echo '[rabbitmq_management,rabbitmq_prometheus].' >"$home/enabled_plugins"
: >"$home/env.conf"
# What nodes and tools know each other by. Never written over: a file that is half there is no cookie.
if [ ! -s "$home/.erlang.cookie" ]; then
    head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$home/cookie"
    chmod 400 "$home/cookie"
    mv -f "$home/cookie" "$home/.erlang.cookie"
fi
# As under systemd the script becomes the broker; otherwise it would stay as its parent, and take
# seconds to pass on the signal to stop. Schedulers that wait actively would take a core for nothing.
export HOME=$home LANG=C.UTF-8 RUNNING_UNDER_SYSTEMD=true \
    ERL_EPMD_PORT=$STACK_PORT_EPMD ERL_EPMD_ADDRESS=127.0.0.1 ERL_CRASH_DUMP_SECONDS=0 \
    RABBITMQ_NODENAME=observatory@localhost RABBITMQ_DIST_PORT=$STACK_PORT_RABBITMQ_NODES \
    RABBITMQ_CONF_ENV_FILE=$home/env.conf RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf \
    RABBITMQ_ADVANCED_CONFIG_FILE=$home/advanced.config \
    RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins \
    RABBITMQ_MNESIA_BASE=$home/mnesia RABBITMQ_MNESIA_DIR=$home/mnesia/db \
    RABBITMQ_PLUGINS_EXPAND_DIR=$home/expand RABBITMQ_FEATURE_FLAGS_FILE=$home/feature_flags \
    RABBITMQ_LOG_BASE=$home/log RABBITMQ_LOGS=- RABBITMQ_SCHEMA_DIR=$home/schema \
    RABBITMQ_GENERATED_CONFIG_DIR=$home/generated RABBITMQ_PID_FILE=$home/pid \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}'
exec rabbitmq-server
