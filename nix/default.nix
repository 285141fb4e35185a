# The outputs of the flake for one system.
#
#   package.nix ──▶ observatory ──▶ image.nix ──▶ kind.nix ◀── kind/*.sh, ../k8s, ../monitoring
#                        └────────▶ stack.nix ◀── stack/*.sh, ../monitoring
#
# The image and the stack are for Linux; elsewhere there are the program, and a shell to work in.
{ nixpkgs, system }:
let
  pkgs = import nixpkgs {
    inherit system;
    overlays = [ (import ./overlay.nix) ];
    # MongoDB's licence is not a free one, and nothing else that we use has such a licence.
    config.allowUnfreePredicate = package: lib.getName package == "mongodb-ce";
  };
  inherit (pkgs) lib;
  linux = lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux;
  app = description: package: {
    type = "app";
    program = lib.getExe package;
    meta = { inherit description; };
  };
in
{
  packages = {
    default = pkgs.observatory;
    inherit (pkgs) observatory;
  }
  // linux {
    image-observatory = pkgs.observatory-image;
    stack = pkgs.observatory-stack;
  };

  apps = {
    tui = app "Look at jobs in the terminal" pkgs.observatory-tui;
  }
  // linux (
    {
      default = app "The whole observatory with its servers, on this machine" pkgs.observatory-stack;
    }
    // lib.mapAttrs (_: package: app package.meta.description package) {
      inherit (pkgs.observatory-kind) kind-down kind-load kind-up;
    }
  );

  checks = import ./checks.nix { inherit pkgs; };
  devShells.default = import ./shell.nix { inherit pkgs; };
  formatter = pkgs.nixfmt-tree;
}
