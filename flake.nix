# What Nix makes of this repository; this file only wires, `nix/` has the parts.
{
  description = "Exact, live answers about background jobs";

  # The only input: what it pins pins everything.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      ours = nixpkgs.lib.genAttrs systems (system: import ./nix { inherit nixpkgs system; });
      of = part: builtins.mapAttrs (_: outputs: outputs.${part}) ours;
    in
    {
      overlays.default = import ./nix/overlay.nix;
      packages = of "packages";
      apps = of "apps";
      checks = of "checks";
      devShells = of "devShells";
      formatter = of "formatter";
    };
}
