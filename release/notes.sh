#!/usr/bin/env bash
# Prints what CHANGELOG.md says of a version: notes.sh VERSION [CHANGELOG]
set -euo pipefail
version=$1 changelog=${2:-$(dirname "${BASH_SOURCE[0]}")/../CHANGELOG.md}
notes=$(awk -v heading="## $version" '
  /^## / { inside = $0 == heading || index($0, heading " ") == 1; next }
  inside
' "$changelog" | sed '/./,$!d')
if [[ -z $notes ]]; then
  echo "error: $changelog has nothing under '## $version': say what is new in it" >&2
  exit 1
fi
printf '%s\n' "$notes"
