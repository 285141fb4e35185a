# What the compiler reads, and nothing else: whoever edits a document or a test builds no program anew.
{ lib }:
let
  crates = [
    "api"
    "contracts"
    "e2e"
    "ingress"
    "observatory"
    "pipeline"
    "sinks"
    "tui"
    "xtask"
  ];
  # Cargo wants to see all members of the workspace, also those that are not built.
  built = lib.concatMap (crate: [
    (../. + "/${crate}/Cargo.toml")
    (../. + "/${crate}/src")
  ]) crates;
  of =
    files:
    lib.fileset.toSource {
      root = ../.;
      fileset = lib.fileset.unions files;
    };
in
{
  # Of the programs.
  programs = of (
    built
    ++ [
      ../Cargo.toml
      ../Cargo.lock
      ../api/web
      ../contracts/openapi.json
      ../contracts/ui-registry.json
      ../observatory/build.rs
      ../pipeline/benches
    ]
  );
  # Of the checks: everything that Rust and its tests are about.
  workspace = of (
    map (crate: ../. + "/${crate}") crates
    ++ [
      ../Cargo.toml
      ../Cargo.lock
      ../clippy.toml
      ../rustfmt.toml
    ]
  );
  cluster = of [
    ./kind
    ../k8s
    ../monitoring
    ../contracts/ui-registry.json
  ];
  monitoring = of [ ../monitoring ];
  stack = of [
    ./stack
    ../monitoring
    ../contracts/ui-registry.json
  ];
}
