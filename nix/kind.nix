# Commands for a cluster of one's own in kind: the scripts of kind/, with what they call. Docker or
# Podman, which runs the cluster, is the machine's.
{
  lib,
  writeShellApplication,
  bash,
  coreutils,
  gnugrep,
  gnused,
  kind,
  kubectl,
  observatory-image,
}:
let
  files = (import ./sources.nix { inherit lib; }).cluster;
  # The image of this very source, unless another is named.
  image = ''export OBSERVATORY_IMAGE="''${OBSERVATORY_IMAGE:-${observatory-image}}"'';
  command =
    name: description: setup:
    writeShellApplication {
      inherit name;
      meta.description = description;
      runtimeInputs = [
        bash
        coreutils
        gnugrep
        gnused
        kind
        kubectl
      ];
      text = ''
        ${setup}
        exec bash ${files}/nix/kind/${name}.sh "$@"
      '';
    };
in
{
  kind-up = command "kind-up" "A cluster of one's own with everything in it" image;
  kind-load = command "kind-load" "Bring the image into that cluster" image;
  kind-down = command "kind-down" "Delete that cluster" "";
}
