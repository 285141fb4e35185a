#!/usr/bin/env bash
# The whole observatory on this machine: prepares a folder, checks the ports, says where everything
# will be, and becomes process-compose, which starts, watches and stops the processes of
# process-compose.yaml. The servers and `observatory` are looked for on PATH.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
registry=$root/contracts/ui-registry.json

# Where everything listens unless told otherwise: the defaults of each program, and of the registry.
names=(api gateway worker pipeline rabbitmq rabbitmq-ui rabbitmq-metrics rabbitmq-nodes epmd
    postgresql redis mongodb prometheus alertmanager grafana)
declare -A default=([api]=8080 [gateway]=3000 [worker]=8000 [pipeline]=9100
    [rabbitmq]=5672 [rabbitmq-ui]=15672 [rabbitmq-metrics]=15692 [rabbitmq-nodes]=25672 [epmd]=4369
    [postgresql]=5432 [redis]=6379 [mongodb]=27017
    [prometheus]=9090 [alertmanager]=9093 [grafana]=3002)

usage() {
    cat <<U
usage: observatory-stack [--data DIR] [--offset N] [--port NAME=PORT]... [-- ARGUMENTS]

Starts RabbitMQ, PostgreSQL, Redis, MongoDB, the roles of the observatory, Prometheus, Alertmanager
and Grafana, for this machine alone (127.0.0.1), until Ctrl-C.

  --data DIR        where all data is, and logs/ (\$OBSERVATORY_STACK_DATA;
                    else \$XDG_STATE_HOME/observatory-stack)
  --offset N        adds N to every port, so that two stacks can run side by side
  --port NAME=PORT  sets one port: ${names[*]}
  ARGUMENTS         are for process-compose, as --tui=false
U
}

# An error and what to do about it.
told() { printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2; }

fail() {
    told "$@"
    exit 1
}

misused() {
    told "$@"
    exit 2
}

# A whole number without a sign, small enough to be counted with.
is_number() { [[ $1 =~ ^(0|[1-9][0-9]{0,4})$ ]]; }

data=${OBSERVATORY_STACK_DATA:-${XDG_STATE_HOME:-${HOME:-}/.local/state}/observatory-stack}
offset=0
declare -A port=()
while [ $# -gt 0 ]; do
    case $1 in
    --data | --offset | --port)
        [ $# -ge 2 ] || misused "$1 needs a value" "see --help for what it is"
        case $1 in
        --data) data=$2 ;;
        --offset)
            is_number "$2" || misused "--offset $2 is no number" "give one that can be added to every port, as --offset 10000"
            offset=$2
            ;;
        --port)
            name=${2%%=*}
            if [ -z "$name" ] || [ -z "${default[$name]:-}" ]; then
                misused "--port $2: there is no port of that name" "name one of these: ${names[*]}"
            fi
            is_number "${2#*=}" || misused "--port $2 is no port" "give a number from 1 to 65535, as --port $name=${default[$name]}"
            port[$name]=${2#*=}
            ;;
        esac
        shift 2
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    --)
        shift
        break
        ;;
    *) misused "there is no option $1" "see --help for those that there are; what is for process-compose comes behind --" ;;
    esac
done
[ -n "$data" ] || misused "--data is empty" "name a folder"

# PostgreSQL refuses to be root, and nothing else here needs it.
[ "$(id -u)" -ne 0 ] || fail "the stack does not run as root" "run it as another user"

declare -A holder=()
taken=()
for name in "${names[@]}"; do
    number=${port[$name]:-$((default[$name] + offset))}
    if [ "$number" -lt 1 ] || [ "$number" -gt 65535 ]; then
        fail "port $number of $name does not exist" "choose one from 1 to 65535 with --port $name=PORT, or another --offset"
    fi
    [ -z "${holder[$number]:-}" ] || fail "$name and ${holder[$number]} would both listen on port $number" "give one of them another: --port $name=PORT"
    holder[$number]=$name
    port[$name]=$number
    variable=${name^^}
    declare -x "STACK_PORT_${variable//-/_}=$number"
    # Whoever takes a connection has the port.
    if (: <>"/dev/tcp/127.0.0.1/$number") 2>/dev/null; then
        taken+=("$number, for $name: --port $name=PORT; ss -ltnp 'sport = :$number' says who has it")
    fi
done

for program in alertmanager epmd flock grafana initdb jq mongod observatory pg_isready postgres \
    process-compose prometheus python3 rabbitmq-server redis-cli redis-server; do
    command -v "$program" >/dev/null || fail "there is no $program on PATH" "start the stack with nix run, which brings all programs"
done

umask 077
mkdir -p "$data"/{logs,secrets} || fail "cannot make the folder $data" "choose another with --data"
data=$(cd "$data" && pwd)
# The folder's name goes into the process file, and from there into commands; and RabbitMQ 3.10 does
# not see how much room there is in a folder with a space.
case $data$here in
*[\"\'\\\$\`\#:\{\}\&\*\!\|\<\>%[:space:]]*)
    fail "the name of the folder $data, or that of $here, has characters that mean something to a shell or to YAML" "choose another with --data, or have this repository elsewhere" ;;
esac
# Held by process-compose and by all that it starts, for as long as one of them lives.
exec 9>"$data/lock"
flock --nonblock 9 || fail "a stack on $data is running already, or something of it is" \
    "stop it, or start this one on another folder and other ports: --data DIR --offset 10000"

if [ ${#taken[@]} -gt 0 ]; then
    fail "these ports of 127.0.0.1 are taken:$(printf '\n    %s' "${taken[@]}")" \
        "stop who has them, choose others as said, or all of them with --offset 10000"
fi

# A password that nobody has to remember; the second time it is the same.
secret() {
    [ -s "$data/secrets/$1" ] || head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$data/secrets/$1"
    cat "$data/secrets/$1"
}
postgresql_password=$(secret postgresql)
secret grafana >/dev/null
printf 'postgres://observatory:%s@127.0.0.1:%s/observatory' \
    "$postgresql_password" "${port[postgresql]}" >"$data/secrets/postgres-url"

# What the roles and the tools of `observatory` read.
cat >"$data/env" <<V
export RABBITMQ_URL='amqp://guest:guest@127.0.0.1:${port[rabbitmq]}/%2f'
export POSTGRES_URL_FILE='$data/secrets/postgres-url'
export REDIS_URL='redis://127.0.0.1:${port[redis]}/0'
export MONGODB_URL='mongodb://127.0.0.1:${port[mongodb]}/observatory?replicaSet=rs0'
export OBSERVATORY_API='http://127.0.0.1:${port[api]}'
export OBSERVATORY_GATEWAY='http://127.0.0.1:${port[gateway]}'
export OBSERVATORY_PIPELINE='http://127.0.0.1:${port[pipeline]}'
export OBSERVATORY_WORKER='http://127.0.0.1:${port[worker]}'
V

export STACK_DATA=$data STACK_SCRIPTS=$here STACK_MONITORING=$root/monitoring

# The registry names ports; those of the stack may be others, and what is not in the stack is left out.
ports={}
for name in "${names[@]}"; do
    ports=$(jq --compact-output --arg default "${default[$name]}" --argjson port "${port[$name]}" \
        '. + {($default): $port}' <<<"$ports")
done
{
    jq --raw-output --argjson ports "$ports" '
        .baseUrl as $base | .entries[] | . as $entry | $ports[.port | tostring] | select(.)
        | "  \($entry.name + " " * ([17 - ($entry.name | length), 1] | max))\($base):\(.)\($entry.path)  \($entry.description)"' "$registry"
    cat <<S

  a first job      curl -X POST localhost:${port[gateway]}/jobs -H 'content-type: application/json' -d '{"type": "email.send"}'
  a check          . ${data@Q}/env; observatory gate
  data, logs       $data
  Grafana's admin  $data/secrets/grafana
S
} >"$data/places"
printf '\n%s\n\n' "$(cat "$data/places")" >&2

arguments=(--config "$here/process-compose.yaml" --log-file "$data/logs/process-compose.log"
    --ordered-shutdown --no-server --disable-dotenv)
# Without a terminal there is nobody to look at a screen.
[ -t 0 ] && [ -t 1 ] || arguments+=(--tui=false)
exec process-compose "${arguments[@]}" "$@"
