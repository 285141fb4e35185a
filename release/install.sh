#!/bin/sh
# Installs a release of observatory for this user, after comparing it with its checksum:
#
#   curl -fsSL https://github.com/task-observatory/observatory/releases/latest/download/install.sh | sh
#
#   OBSERVATORY_VERSION      which release, as 0.1.0; by default the newest
#   OBSERVATORY_INSTALL_DIR  where to; by default ~/.local/bin
#   OBSERVATORY_RELEASES     where releases are, for a mirror of them
set -eu

releases=${OBSERVATORY_RELEASES:-https://github.com/task-observatory/observatory/releases}
version=${OBSERVATORY_VERSION:-}
folder=${OBSERVATORY_INSTALL_DIR:-${HOME:?is not set: name a folder with OBSERVATORY_INSTALL_DIR}/.local/bin}

fail() {
  printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

target() {
  case $(uname -s) in
    Linux) system=unknown-linux-gnu ;;
    Darwin) system=apple-darwin ;;
    *) fail "there is no release for $(uname -s)" "build it: cargo install --locked --path observatory" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no release for $(uname -m)" "build it: cargo install --locked --path observatory" ;;
  esac
  if [ "$system" = unknown-linux-gnu ] && ldd --version 2>&1 | grep -qi musl; then
    fail "the releases for Linux need glibc, and this system has musl" "build it: cargo install --locked --path observatory"
  fi
  printf '%s-%s\n' "$machine" "$system"
}

fetch() {
  if has curl; then
    curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"
  elif has wget; then
    wget --quiet --output-document "$2" "$1"
  else
    fail "neither curl nor wget is there to fetch it with" "install one of them"
  fi || fail "$1 could not be fetched" "see that it is there, and that this machine may fetch it"
}

sha256() {
  if has sha256sum; then
    sha256sum "$1"
  elif has shasum; then
    shasum -a 256 "$1"
  else
    fail "neither sha256sum nor shasum is there to check it with" "install one of them"
  fi | cut -d ' ' -f 1
}

# In a function, so that nothing is done if only half of this script has come.
main() {
  # On a line of its own, as a failure in the middle of another would go unseen.
  target=$(target)
  archive=observatory-$target.tar.gz
  if [ -n "$version" ]; then
    from=$releases/download/v${version#v}
  else
    from=$releases/latest/download
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT

  fetch "$from/SHA256SUMS" "$work/SHA256SUMS"
  fetch "$from/$archive" "$work/$archive"
  expected=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$archive\$/\1/p" "$work/SHA256SUMS")
  [ -n "$expected" ] || fail "SHA256SUMS says nothing about $archive" "try another version: OBSERVATORY_VERSION"
  found=$(sha256 "$work/$archive")
  [ "$found" = "$expected" ] ||
    fail "$archive is not what was released: its sha256 is $found, not $expected" "fetch it again; if it stays so, tell the makers, and do not run it"

  tar -xzf "$work/$archive" -C "$work"
  program=$work/observatory-$target/observatory
  said=$("$program" --version) || fail "the program does not run here" "build it: cargo install --locked --path observatory"
  mkdir -p "$folder"
  # Beside where it will be and then renamed: a program that runs is not written over.
  cp "$program" "$folder/.observatory.new"
  mv -f "$folder/.observatory.new" "$folder/observatory"
  echo "$(printf '%s\n' "$said" | head -n 1) is in $folder"
  echo "completions and manual pages: observatory completions --help, observatory man --help"
  case :$PATH: in
    *:"$folder":*) ;;
    *) echo "add it to your PATH: export PATH=\"$folder:\$PATH\"" ;;
  esac
}

main
