# What `nix flake check` builds: everything that can be judged without servers.
{ pkgs }:
let
  inherit (pkgs) lib;
  sources = import ./sources.nix { inherit lib; };

  # A command of cargo's over the whole workspace, on the crates of the lock file.
  cargo =
    name: inputs: command:
    pkgs.rustPlatform.buildRustPackage {
      pname = "observatory-${name}";
      inherit (pkgs.observatory) version;
      src = sources.workspace;
      cargoLock.lockFile = ../Cargo.lock;
      nativeBuildInputs = inputs;
      buildPhase = ''
        runHook preBuild
        # Tests look for a config file of the user's.
        export HOME=$TMPDIR
        ${command}
        runHook postBuild
      '';
      doCheck = false;
      # What records the crates in a program comes between cargo and its commands.
      auditable = false;
      installPhase = "touch $out";
    };
in
{
  tests = cargo "tests" [ ] "cargo test --frozen --workspace --exclude e2e --no-fail-fast";
  clippy = cargo "clippy" [
    pkgs.clippy
  ] "cargo clippy --frozen --workspace --all-targets -- -D warnings";
  fmt = cargo "fmt" [ pkgs.rustfmt ] "cargo fmt --all --check";

  # The schemas that are checked in are those that the types give.
  schemas = cargo "schemas" [ ] ''
    cargo run --frozen --package xtask -- schemas
    diff -r ${sources.workspace}/contracts contracts
  '';

  # Rules on jobs, rules on ourselves, and the files of what reads those.
  rules =
    pkgs.runCommand "observatory-rules"
      {
        nativeBuildInputs = [
          pkgs.observatory
          pkgs.prometheus-alertmanager
          pkgs.prometheus.cli
        ];
      }
      ''
        export HOME=$TMPDIR
        for rules in ${sources.programs}/observatory/src/rules/*.yaml; do
          observatory rules check "$rules"
        done
        cd ${sources.monitoring}/monitoring
        promtool check config prometheus.yml
        promtool check rules rules.yml
        promtool test rules rules_test.yml
        amtool check-config alertmanager.yml
        touch $out
      '';

  # What the program drags along wherever it is installed: the C library, and nothing of what built it.
  closure =
    pkgs.runCommand "observatory-closure"
      {
        closure = pkgs.closureInfo { rootPaths = [ pkgs.observatory ]; };
      }
      ''
        if grep -E -e '-(cargo|rustc|crate|vendor|binutils|gcc-wrapper)' "$closure/store-paths"; then
          echo "the program refers to what it was built with: see above, and nix why-depends" >&2
          exit 1
        fi
        size=$(cat "$closure/total-nar-size")
        echo "$size bytes"
        if [ "$size" -gt 150000000 ]; then
          echo "the closure has grown over 150 MB: see nix path-info -rsh" >&2
          cat "$closure/store-paths" >&2
          exit 1
        fi
        touch $out
      '';
}
// lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
  # The process file is what process-compose expects, with the environment that it gets.
  stack =
    pkgs.runCommand "observatory-stack-check" { nativeBuildInputs = [ pkgs.observatory-stack ]; }
      ''
        export HOME=$TMPDIR
        observatory-stack --data "$TMPDIR/data" -- --dry-run
        touch $out
      '';
}
