#!/usr/bin/env bash
# A cluster of one's own with everything in it, in kind: made if it is not there, brought up to date
# if it is. Safe to repeat. Progress is documented in lib.sh and docs/running.md.
set -euo pipefail
# shellcheck source=nix/kind/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: kind-up [--json] [--image FILE] [--timeout SECONDS] [--no-gate]

  --json             progress as a JSON object a line on standard output
  --image FILE       an image archive, or a program that writes one, instead of building it with Nix
  --timeout SECONDS  how long the pods may take until they are ready; by default 600
  --no-gate          do not send a job through all of it at the end"
timeout=600
gate=true
while (($#)); do
  case $1 in
    --image | --timeout)
      [[ -n ${2:-} ]] || usage_error "$1 needs a value
$usage"
      if [[ $1 == --image ]]; then image=$2; else timeout=$2; fi
      shift
      ;;
    --no-gate) gate=false ;;
    *) common_option "$1" ;;
  esac
  shift
done
[[ $timeout =~ ^[1-9][0-9]*$ ]] || usage_error "--timeout is a number of seconds, and not $timeout"

config=$root/nix/kind/cluster.yaml

# The ports of this machine that the cluster maps, with the page at each: PORT NAME.
ports() { sed -n 's/.*hostPort: \([0-9]*\),.*# \(.*\)/\1 \2/p' "$config"; }

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

prerequisites() {
  say prerequisites started "looking for what is needed"
  need_cluster_programs
  need_image_source
  local port name
  # Where the cluster is there it has them itself.
  if ! has kind || ! cluster_exists; then
    while read -r port name; do
      if taken "$port"; then
        lack "port $port of this machine, for $name, is taken" "stop what listens there: ss -ltnp 'sport = :$port' names it"
      fi
    done < <(ports)
  fi
  enough
  say prerequisites 'done' "all there"
}

make_cluster() {
  if cluster_exists; then
    need_answer cluster
    say cluster skipped "$cluster is there"
    return
  fi
  say cluster started "making $cluster; the first time its node image of a gigabyte is fetched"
  kind create cluster --name "$cluster" --config "$config" --wait 120s >&2 || fail cluster "kind could not make the cluster" "see what it says above; what is left of it: kind delete cluster --name $cluster"
  say cluster 'done' "made"
}

make_secrets() {
  kubectl_ apply --filename "$root/k8s/base/namespace.yaml" >&2 || fail secrets "the cluster does not answer" "kubectl --context kind-$cluster get nodes"
  # The servers keep the passwords that they began with: nobody makes others who does not know.
  local there
  there=$(kubectl_ --namespace observatory get secret observatory-servers --ignore-not-found --output name) ||
    fail secrets "the cluster does not tell whether they are there" "see what kubectl says above, and run it again"
  if [[ -n $there ]]; then
    say secrets skipped "they stay as they are"
    return
  fi
  "$root/k8s/secrets.sh" kind | kubectl_ apply --filename - >&2 || fail secrets "the secrets could not be made" "see what kubectl says above"
  say secrets 'done' "made up"
}

apply() {
  say manifests started "k8s/overlays/kind"
  # On the server: a dashboard is longer than what kubectl would note of it in an annotation.
  kubectl_ apply --server-side --force-conflicts --kustomize "$root/k8s/overlays/kind" >&2 || fail manifests "the cluster does not take the manifests" "see what kubectl says above"
  say manifests 'done' "applied"
}

wait_ready() {
  local until=$((SECONDS + timeout)) all what left
  say ready started "waiting for the pods, whose images are fetched the first time"
  for namespace in observatory-ingress observatory; do
    all=$(kubectl_ --namespace "$namespace" get deployments,statefulsets --output name) ||
      fail ready "the cluster does not tell what is in $namespace" "see what kubectl says above, and run it again"
    [[ -n $all ]] || fail ready "there is nothing in $namespace" "kubectl --context kind-$cluster get all --all-namespaces"
    while read -r what; do
      what=${what/.apps/}
      left=$((until - SECONDS))
      say ready started "waiting for ${what#*/}"
      kubectl_ --namespace "$namespace" rollout status "$what" --timeout "$((left > 1 ? left : 1))s" >&2 ||
        fail ready "${what#*/} is not ready after $timeout s" "kubectl --context kind-$cluster --namespace $namespace describe $what; or give it more time with --timeout"
    done <<<"$all"
  done
  say ready 'done' "all pods are ready"
}

run_gate() {
  $gate || return 0
  say gate started "sending a job through all of it"
  # What a job is to do can not be changed, so the one of the last time goes first.
  kubectl_ --namespace observatory delete job gate --ignore-not-found >&2 || fail gate "the gate of the last time could not be deleted" "see what kubectl says above, and run it again"
  kubectl_ apply --kustomize "$root/k8s/gate" >&2 || fail gate "the gate could not be started" "see what kubectl says above"
  local until=$((SECONDS + 330)) ended=
  while [[ -z $ended ]] && ((SECONDS < until)); do
    # Who does not answer once may do so the next time.
    ended=$(kubectl_ --namespace observatory get job gate --output 'jsonpath={.status.conditions[?(@.status=="True")].type}') || ended=
    case $ended in
      *Complete*) ended=passed ;;
      *Failed*) ended=failed ;;
      *)
        ended=
        sleep 1
        ;;
    esac
  done
  kubectl_ --namespace observatory logs job/gate >&2 || true
  [[ $ended == passed ]] || fail gate "the gate has not passed" "see what it found above, or: kubectl --context kind-$cluster --namespace observatory logs job/gate"
  say gate 'done' "a job has gone through all of it"
}

# Where the pages are, from the registry of pages, as far as the cluster maps their ports.
tell_pages() {
  local text pages=() names=() urls=() name port path i
  text="up; the token for the page: $(reads observatory-tokens admin)"
  while IFS=$'\t' read -r name port path; do
    names+=("$name")
    urls+=("http://localhost:$port$path")
  done < <(sed -n 's/^      "name": "\(.*\)",$/name \1/p; s/^      "port": \([0-9]*\),$/port \1/p; s/^      "path": "\(.*\)",$/path \1/p' "$root/contracts/ui-registry.json" |
    while read -r what value; do
      case $what in
        name) name=$value ;;
        port) port=$value ;;
        path) printf '%s\t%s\t%s\n' "$name" "$port" "$value" ;;
      esac
    done)
  if $json; then
    for i in "${!names[@]}"; do
      pages+=("{\"name\": $(quoted "${names[i]}"), \"url\": $(quoted "${urls[i]}")}")
    done
    printf '{"phase": "up", "state": "done", "text": %s, "pages": [%s]}\n' "$(quoted "$text")" "$(IFS=,; echo "${pages[*]}")"
    return
  fi
  say up 'done' "$text"
  for i in "${!names[@]}"; do
    printf '%-18s %s\n' "${names[i]}" "${urls[i]}"
  done
  tell_logins >&2
}

# What prints a key of a Secret.
reads() { echo "kubectl --context kind-$cluster --namespace observatory get secret $1 -o jsonpath='{.data.${2//./\\.}}' | base64 -d"; }

# Who is let in to the other pages: PAGE USER PASSWORD.
tell_logins() {
  printf '%-18s %-24s %s\n' Grafana observatory "$(reads observatory-grafana password)" \
    RabbitMQ observatory "$(reads observatory-rabbitmq login.conf)" \
    pgAdmin observatory@example.com "$(reads observatory-admin password)" \
    '  PostgreSQL in it' observatory "$(reads observatory-postgres password)" \
    'Mongo Express' observatory "$(reads observatory-admin password)"
  echo "Prometheus, Alertmanager and Redis Insight ask nobody."
}

prerequisites
make_cluster
load_image
make_secrets
apply
wait_ready
run_gate
tell_pages
