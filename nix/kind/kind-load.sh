#!/usr/bin/env bash
# Builds the image, and brings it into the cluster that kind-up made; the roles start anew if it is
# another one.
set -euo pipefail
# shellcheck source=nix/kind/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: kind-load [--json] [--image FILE]"
while (($#)); do
  case $1 in
    --image)
      [[ -n ${2:-} ]] || usage_error "--image needs a file
$usage"
      image=$2
      shift
      ;;
    *) common_option "$1" ;;
  esac
  shift
done

need_cluster_programs
need_image_source
enough
cluster_exists || fail load "there is no cluster $cluster" "make it with kind-up"
need_answer load
load_image
