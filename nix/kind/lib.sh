# shellcheck shell=bash
# What kind-up, kind-load and kind-down share.
#
#   say PHASE STATE TEXT [FIX]   one line of progress: for people, or with --json for programs
#
# Lines for programs are on standard output, one JSON object each, and nothing else is there:
#   {"phase": …, "state": …, "text": …}           state: started, done, skipped, failed
#   … "fix": …                                    beside a failure: what to do about it
#   … "pages": [{"name": …, "url": …}, …]         in the last line of kind-up
# Whatever ends a script, its last line is a failure if it has not come to its end.
# What the programs that are called have to say goes to standard error.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cluster=${OBSERVATORY_KIND_CLUSTER:-observatory}
json=false
# An image archive, or a program that writes one; without it Nix makes one.
image=${OBSERVATORY_IMAGE:-}
# What runs the node.
runner=docker
# What is being done, and whether it has been told that it failed.
phase=prerequisites
told=false
# A folder that goes with the script.
work=

# A text as a JSON string.
quoted() {
  local text=$1
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  text=${text//$'\t'/\\t}
  # Of what else controls a terminal nothing is worth telling.
  text=${text//[$'\x01'-$'\x1f']/}
  printf '"%s"' "$text"
}

say() {
  local state=$2 text=$3 fix=${4:-}
  phase=$1
  [[ $state != failed ]] || told=true
  if $json; then
    printf '{"phase": %s, "state": %s, "text": %s' "$(quoted "$phase")" "$(quoted "$state")" "$(quoted "$text")"
    [[ -z $fix ]] || printf ', "fix": %s' "$(quoted "$fix")"
    printf '}\n'
    return
  fi
  local sign
  case $state in
    started) sign='…' ;;
    failed) sign='✗' ;;
    skipped) sign='–' ;;
    *) sign='✓' ;;
  esac
  printf '%s %s: %s\n' "$sign" "$phase" "$text" >&2
  [[ -z $fix ]] || printf '  fix: %s\n' "$fix" >&2
}

fail() {
  say "$1" failed "$2" "${3:-}"
  exit 1
}

# Also what nobody thought could fail is told of.
ended() {
  local code=$?
  [[ -z $work ]] || rm -rf "$work"
  if ((code != 0)) && ! $told; then
    # In a trap a `return` without a number has that of the script.
    say "$phase" failed "it has ended with $code" "see what is said above, and run it again" || true
    exit 1
  fi
}
trap ended EXIT

usage_error() {
  told=true
  echo "error: $1" >&2
  exit 2
}

# The options of every script; what is none of these is none at all. `usage` is the script's.
common_option() {
  case $1 in
    --json) json=true ;;
    --help)
      # shellcheck disable=SC2154 # The script that reads this one has it.
      echo "$usage"
      exit
      ;;
    *) usage_error "there is no option $1
$usage" ;;
  esac
}

# Our cluster, whatever the current context of kubectl is.
kubectl_() { kubectl --context "kind-$cluster" "$@"; }

# How many prerequisites are missing: all are told, not only the first.
missing=0

lack() {
  say prerequisites failed "$1" "$2"
  missing=$((missing + 1))
}

has() { command -v "$1" >/dev/null 2>&1; }

need_program() {
  has "$1" || lack "$1 is not on the PATH" "$2"
}

# What runs the node: Docker, or else Podman.
need_containers() {
  for runner in docker podman; do
    if has "$runner"; then
      [[ $runner == docker ]] || export KIND_EXPERIMENTAL_PROVIDER=podman
      "$runner" info >/dev/null 2>&1 || lack "$runner does not answer" "start it (systemctl start $runner), or let yourself use it (usermod --append --groups $runner \$USER, and log in again)"
      return
    fi
  done
  lack "neither docker nor podman is on the PATH" "install one of them: https://docs.docker.com/engine/install/"
}

need_cluster_programs() {
  need_containers
  need_program kind "run this by nix run .#kind-up, which brings it, or see https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
  need_program kubectl "run this by nix run .#kind-up, which brings it, or see https://kubernetes.io/docs/tasks/tools/"
}

need_image_source() {
  if [[ -n $image ]]; then
    # A name alone would be looked for on the PATH when it is run.
    [[ $image == /* ]] || image=$PWD/$image
    [[ -f $image ]] || lack "there is no image archive at $image" "name another with --image or OBSERVATORY_IMAGE, or none, to have it built"
  else
    need_program nix "install it (https://nixos.org/download/), or give an image archive with --image FILE"
  fi
}

enough() {
  ((missing == 0)) || exit 1
}

cluster_exists() {
  kind get clusters 2>/dev/null | grep --quiet --line-regexp --fixed-strings "$cluster"
}

# A cluster that was made earlier may be stopped, or known to another kubectl only.
need_answer() {
  kubectl_ get --raw /readyz --request-timeout 20s >/dev/null ||
    fail "$1" "the cluster $cluster is there and does not answer" "start its node: $runner start $cluster-control-plane; or have kubectl know it: kind export kubeconfig --name $cluster; or make it anew: kind-down --yes, then kind-up"
}

# Makes the image and brings it into the cluster, unless the one that is there is the same.
load_image() {
  local archive sha loaded running
  work=$(mktemp -d)
  archive=$work/image.tar
  if [[ -z $image ]]; then
    say image started "building it with Nix"
    nix build --extra-experimental-features "nix-command flakes" --out-link "$work/image" \
      "$root#image-observatory" >&2 || fail image "Nix could not build the image" "see what it says above"
    image=$work/image
  fi
  if [[ -x $image ]]; then
    say image started "having $image write it"
    "$image" >"$archive" || fail image "$image wrote no image" "see what it says above"
  else
    archive=$image
  fi
  sha=$(sha256sum "$archive" | cut -d ' ' -f 1)
  say image 'done' "sha256 $sha"

  loaded=$(kubectl_ get namespace kube-system --output 'jsonpath={.metadata.annotations.observatory\.dev/image}' 2>/dev/null) || loaded=
  if [[ $loaded == "$sha" ]]; then
    say load skipped "the cluster has this image"
    return
  fi
  say load started "into the node of $cluster"
  kind load image-archive "$archive" --name "$cluster" >&2 || fail load "the image could not be loaded" "see what kind says above; is there room: df -h"
  # Pods do not notice that a name has come to mean another image.
  running=$(kubectl_ --namespace observatory get statefulset pipeline --ignore-not-found --output name) ||
    fail load "the cluster does not tell whether the roles are there" "see what kubectl says above, and run it again"
  if [[ -n $running ]]; then
    kubectl_ --namespace observatory rollout restart deployment/gateway deployment/worker deployment/api statefulset/pipeline >&2 ||
      fail load "the roles could not be started anew" "see what kubectl says above, and run it again"
  fi
  # Kept with the node, which has the image as long as it is there.
  kubectl_ annotate --overwrite namespace kube-system "observatory.dev/image=$sha" >&2 ||
    fail load "the cluster does not take a note of the image" "see what kubectl says above, and run it again"
  say load 'done' "loaded"
}
