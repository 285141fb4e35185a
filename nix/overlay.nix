# What we add to nixpkgs.
final: _: {
  observatory = final.callPackage ./package.nix { };
  observatory-image = final.callPackage ./image.nix { };
  observatory-kind = final.callPackage ./kind.nix { };
  observatory-stack = final.callPackage ./stack.nix { };
  observatory-tui = final.writeShellApplication {
    name = "observatory-tui";
    text = ''exec ${final.lib.getExe final.observatory} tui "$@"'';
    meta.description = "Look at jobs in the terminal";
  };
}
