#!/usr/bin/env bash
# Packs a program for a target into FOLDER/observatory-TARGET.tar.gz, with its licences, completions
# and manual pages: package.sh TARGET PROGRAM FOLDER
set -euo pipefail
target=$1 program=$(realpath "$2") folder=$(realpath "$3")
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
place=$work/observatory-$target
mkdir -p "$place/completions" "$place/man"
install -m 755 "$program" "$place/observatory"
cp "$root/LICENSE-MIT" "$root/LICENSE-APACHE" "$root/README.md" "$root/CHANGELOG.md" "$place"
for shell in bash zsh fish; do
  "$program" completions "$shell" >"$place/completions/observatory.$shell"
done
"$program" man --dir "$place/man"
tar -czf "$folder/observatory-$target.tar.gz" -C "$work" "observatory-$target"
