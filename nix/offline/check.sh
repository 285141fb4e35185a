#!/usr/bin/env bash
# check.sh [eval | build ATTR... | image]: checks the flake where nixpkgs cannot be downloaded. It works
# on the repository that it is in; of a git repository Nix sees the files that git knows.
#
#   eval    (default) parses every .nix file and evaluates all outputs for all systems against
#           nixpkgs-double (seconds)
#   build   builds the named outputs for real in Nix's sandbox, without network, with the host's cargo
#           and the crates that `cargo fetch --locked` brought; prints each output path; as root
#   image   builds the image, runs it as nobody without a right, and builds it again; as root
#
# nixpkgs-double stands in for the functions and packages of nixpkgs that the flake uses; where the
# flake uses one more, add it there with a CLOSED argument set and its real list of programs, or the
# check proves nothing.
# What this cannot show: that the real nixpkgs evaluates and builds, that the lock's hash downloads,
# that `nix run` starts.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
mode=${1:-eval}
shift || true
lab=${NIX_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/observatory-nix}
mkdir -p "$lab/conf"
"$here/get-nix.sh" "$lab/nix" >/dev/null
export PATH=$lab/nix/bin:$PATH NIX_CONF_DIR=$lab/conf
cargo_home=${CARGO_HOME:-$HOME/.cargo} rustup_home=${RUSTUP_HOME:-$HOME/.rustup}
for kind in CACHE CONFIG STATE DATA; do
    mkdir -p "$lab/xdg-$kind"
    export "XDG_${kind}_HOME=$lab/xdg-$kind"
done
cat >"$NIX_CONF_DIR/nix.conf" <<C
experimental-features = nix-command flakes
substituters =
build-users-group =
sandbox = true
sandbox-fallback = false
store = $lab/root
flake-registry =
warn-dirty = false
build-hook =
max-jobs = 2
sandbox-paths = /bin /usr /lib /lib64 /sbin /etc/alternatives $cargo_home $rustup_home
C
double=$lab/double
rm -rf "$double"
cp -r "$here/nixpkgs-double" "$double"
toolchain=$(rustup show active-toolchain 2>/dev/null | cut -d ' ' -f 1 || true)
sed -i "s|@CARGO_HOME@|$cargo_home|g; s|@RUSTUP_HOME@|$rustup_home|g; s|@TOOLCHAIN@|$toolchain|g" \
    "$double"/*.nix "$double"/*.sh
override=(--override-input nixpkgs "path:$double" --no-write-lock-file)

# Builds an output; arguments after it are Nix's. In a mount namespace of its own, in which the host's
# directories are read-only: a build that is checked by its result alone must not touch them.
build() {
    local attr=$1
    shift
    # shellcheck disable=SC2016
    unshare --mount --propagation private bash -euc '
        for folder in /etc /usr /opt /var "$HOME"; do
            [ -d "$folder" ] || continue
            mount --rbind "$folder" "$folder"
            mount -o remount,ro,bind "$folder"
        done
        mount --rbind "$1" "$1"
        mount -o remount,rw,bind "$1"
        cd "$2"
        shift 2
        exec "$@"' safe "$lab" "$PWD" \
        nix build ".#$attr" "${override[@]}" --no-link --print-out-paths --print-build-logs "$@"
}

# The image as a docker-archive. What writes it lies in the lab's store and knows only the names that
# things have inside, where Nix runs it.
archive() { nix shell "$1" --command "$1"; }

# Runs the unpacked image with these arguments.
image() {
    python3 "$here/container.py" "$bundle" "$scratch/data" "$@"
    runc --root "$scratch/runc" run --bundle "$bundle" "observatory-check-$$"
}

try_image() {
    local stream sum again version port up answer tries
    stream=$(build image-observatory)
    scratch=$(mktemp -d)
    bundle=$scratch/bundle
    trap 'rm -rf "$scratch"' EXIT
    archive "$stream" >"$scratch/image.tar"
    sum=$(sha256sum <"$scratch/image.tar")
    skopeo --override-os linux copy --quiet "docker-archive:$scratch/image.tar" "oci:$scratch/oci:dev"
    umoci unpack --image "$scratch/oci:dev" "$bundle" >/dev/null
    install -d -o 65532 -g 65532 -m 700 "$scratch/data"

    version=$(image --version | head -n 1)
    echo "image: $version, $(stat -c %s "$scratch/image.tar") bytes, sha256 ${sum%% *}"

    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    image up --listen "127.0.0.1:$port" --data-dir /data >"$scratch/log" 2>&1 &
    up=$!
    tries=300 # of a tenth of a second
    until answer=$(python3 "$here/container.py" --ask "$port") || [ $tries -eq 0 ] || ! kill -0 $up 2>/dev/null; do
        tries=$((tries - 1))
        sleep 0.1
    done
    if [ -z "$answer" ]; then
        echo "error: the image does not serve /livez:" >&2
        cat "$scratch/log" >&2
        exit 1
    fi
    echo "image: as $(python3 "$here/container.py" --who "$bundle"), /livez: $answer"
    runc --root "$scratch/runc" kill "observatory-check-$$" TERM
    wait $up || {
        echo "error: the container ended with $?:" >&2
        cat "$scratch/log" >&2
        exit 1
    }

    build observatory --rebuild >/dev/null
    again=$(archive "$(build image-observatory)" | sha256sum)
    if [ "$sum" != "$again" ]; then
        echo "error: the image is another when it is built again: ${again%% *}" >&2
        exit 1
    fi
    echo "image: built again, the same"
}

case $mode in
eval)
    find flake.nix nix -name '*.nix' -print0 | xargs -0 -n1 nix-instantiate --parse >/dev/null
    nix flake check --no-build --all-systems "${override[@]}"
    echo "flake: evaluates against the double"
    ;;
build | image)
    if [ "$(id -u)" -ne 0 ]; then
        echo "error: builds mount a sandbox, and that takes root" >&2
        echo "  fix: run $0 $mode as root" >&2
        exit 1
    fi
    cargo fetch --locked --quiet
    case $mode in
    build) for attr in "$@"; do build "$attr"; done ;;
    image) try_image ;;
    esac
    ;;
*)
    echo "usage: check.sh [eval | build ATTR... | image]" >&2
    exit 2
    ;;
esac
