#!/usr/bin/env bash
# Writes the Secrets that the manifests name, with passwords and tokens made up on the spot, as YAML
# on standard output:
#
#   k8s/secrets.sh kind | kubectl apply -f -
#   RABBITMQ_URL=… POSTGRES_URL=… REDIS_URL=… MONGODB_URL=… k8s/secrets.sh production | kubectl apply -f -
#
# Each run makes up others, and servers keep the passwords that they began with: run it once. Where
# secrets come from elsewhere, what it prints is what is to be there.
set -euo pipefail

random() { head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

sha256() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

# A Secret of the name $1 with what standard input has, which is already indented.
secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: observatory\nstringData:\n' "$1"
  cat
}

# A value as a YAML string, which in single quotes has nothing special but these.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

servers() {
  secret observatory-servers <<END
  rabbitmq-url: $(quoted "$RABBITMQ_URL")
  postgres-url: $(quoted "$POSTGRES_URL")
  redis-url: $(quoted "$REDIS_URL")
  mongodb-url: $(quoted "$MONGODB_URL")
END
}

# Who is let in by gateway and API, and with what: only hashes for these two, and each token for
# whoever uses it. `admin` is for people.
tokens() {
  local prometheus alertmanager gate admin
  prometheus=$(random) alertmanager=$(random) gate=$(random) admin=$(random)
  secret observatory-tokens <<END
  tokens: |
    prometheus read $(sha256 "$prometheus")
    alertmanager write $(sha256 "$alertmanager")
    gate write $(sha256 "$gate")
    admin admin $(sha256 "$admin")
  prometheus: '$prometheus'
  alertmanager: '$alertmanager'
  gate: '$gate'
  admin: '$admin'
END
}

grafana() {
  secret observatory-grafana <<END
  password: '$(random)'
END
}

kind() {
  local rabbitmq postgres redis mongodb
  rabbitmq=$(random) postgres=$(random) redis=$(random) mongodb=$(random)
  RABBITMQ_URL="amqp://observatory:$rabbitmq@rabbitmq:5672/%2f"
  POSTGRES_URL="postgres://observatory:$postgres@postgres:5432/observatory"
  REDIS_URL="redis://:$redis@redis:6379"
  MONGODB_URL="mongodb://observatory:$mongodb@mongodb-0.mongodb.observatory.svc.cluster.local:27017/observatory?replicaSet=rs0&authSource=admin"
  servers
  tokens
  grafana
  secret observatory-rabbitmq <<END
  login.conf: |
    default_user = observatory
    default_pass = $rabbitmq
END
  secret observatory-postgres <<END
  password: '$postgres'
END
  secret observatory-redis <<END
  redis.conf: |
    requirepass $redis
    dir /data
    # A copy that is written anew: nothing of it is worth a file.
    save ""
    appendonly no
  password: '$redis'
END
  secret observatory-mongodb <<END
  password: '$mongodb'
  key: '$(random)'
END
  secret observatory-admin <<END
  password: '$(random)'
END
}

production() {
  local name missing=()
  for name in RABBITMQ_URL POSTGRES_URL REDIS_URL MONGODB_URL; do
    [[ -n ${!name:-} ]] || missing+=("$name")
  done
  if ((${#missing[@]})); then
    echo "error: where the servers are is not known: set ${missing[*]}" >&2
    exit 2
  fi
  servers
  tokens
  grafana
}

case ${1:-} in
  kind) kind ;;
  production) production ;;
  *)
    echo "usage: k8s/secrets.sh kind|production" >&2
    exit 2
    ;;
esac
