#!/usr/bin/env bash
# Sees that everything of a release is in a folder, and writes its SHA256SUMS there: collect.sh FOLDER
set -euo pipefail
cd "$1"
complete=true
for file in \
  observatory-x86_64-unknown-linux-gnu.tar.gz \
  observatory-aarch64-unknown-linux-gnu.tar.gz \
  observatory-x86_64-apple-darwin.tar.gz \
  observatory-aarch64-apple-darwin.tar.gz \
  observatory.cdx.json \
  install.sh; do
  if [[ ! -s $file ]]; then
    echo "error: $file is missing from the release" >&2
    complete=false
  fi
done
$complete
rm -f SHA256SUMS
sums=$(sha256sum -- *)
printf '%s\n' "$sums" >SHA256SUMS
