#!/usr/bin/env bash
# Deletes the cluster that kind-up made, with all that it holds; asks first.
set -euo pipefail
# shellcheck source=nix/kind/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: kind-down [--json] [--yes]"
yes=false
while (($#)); do
  case $1 in
    --yes) yes=true ;;
    *) common_option "$1" ;;
  esac
  shift
done

need_containers
need_program kind "run this by nix run .#kind-down, which brings it"
enough
if ! cluster_exists; then
  say down skipped "there is no cluster $cluster"
  exit
fi
if ! $yes; then
  [[ -t 0 ]] || usage_error "nobody is there to be asked whether to delete the cluster $cluster: say so with --yes"
  read -rp "Delete the kind cluster $cluster, with all jobs and metrics in it? [y/N] " answer || answer=
  if [[ $answer != [yY]* ]]; then
    say down skipped "$cluster stays"
    exit
  fi
fi
say down started "deleting $cluster"
kind delete cluster --name "$cluster" >&2 || fail down "kind could not delete it" "see what it says above"
say down 'done' "deleted"
