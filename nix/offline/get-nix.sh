#!/usr/bin/env bash
# get-nix.sh DIR: a Nix under DIR/bin: the one on the PATH if it will do, else a self-contained one from
# the packages of Debian or Ubuntu, leaving the host's libraries, its dpkg and its root alone. Does
# nothing when DIR already holds one.
set -euo pipefail
dir=$1
if [ -x "$dir/bin/nix" ] && "$dir/bin/nix" --version; then exit 0; fi
# Earlier ones have no `nix flake check --all-systems`.
oldest=2.16
version=$(nix --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+' | head -n 1) || version=
if [ -n "$version" ] && printf '%s\n' "$oldest" "$version" | sort --check=quiet --version-sort; then
    mkdir -p "$dir/bin"
    for program in nix nix-instantiate; do
        ln -sfn "$(command -v "$program")" "$dir/bin/$program"
    done
    "$dir/bin/nix" --version
    exit
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "error: Nix for the offline checks comes from Debian's packages, and there is no apt here" >&2
    echo "  fix: run them on Debian or Ubuntu, or put a Nix of release $oldest or later on the PATH" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,state,none} "$dir"
# A status without packages, so that apt brings every library.
: >"$work/state/status"
# shellcheck source=/dev/null
. /etc/os-release
if [ "$ID" = debian ] && [ "${VERSION_ID:-13}" -lt 13 ]; then
    # Its own Nix is too old; the next release has one that will do.
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
        grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ' || true)
    if [ -z "$mirror" ]; then
        echo "error: no Debian mirror in /etc/apt" >&2
        echo "  fix: name one in /etc/apt/sources.list" >&2
        exit 1
    fi
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
    sources="Dir::Etc::sourcelist \"$work/sources.list\"; Dir::Etc::sourceparts \"$work/none\";"
else
    sources=
fi
cat >"$work/apt.conf" <<C
Dir::State "$work/state"; Dir::State::lists "$work/lists"; Dir::State::status "$work/state/status";
Dir::Cache "$work/cache"; $sources
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"; Acquire::Languages "none";
APT::Sandbox::User "$(id -un)";
C
export APT_CONFIG=$work/apt.conf
apt-get -qq update
apt-get -qq -y --no-install-recommends --download-only install nix-bin patchelf
for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$dir"; done
lib=$(dirname "$(find "$dir/usr/lib" -mindepth 2 -maxdepth 2 -name 'ld-linux-*.so.*' -print -quit)")
loader=$(find "$lib" -maxdepth 1 -name 'ld-linux-*.so.*' -print -quit)
"$loader" --library-path "$lib" "$dir/usr/bin/patchelf" \
    --set-interpreter "$loader" --force-rpath --set-rpath "$lib" "$dir/usr/bin/nix"
mkdir -p "$dir/bin"
for program in "$dir"/usr/bin/nix*; do
    name=$(basename "$program")
    ln -sfn "../usr/bin/$name" "$dir/bin/$name"
done
"$dir/bin/nix" --version
