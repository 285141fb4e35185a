# What the compiler reads, and nothing else: whoever edits a document or a test builds no program anew.
{ lib }:
let
  programs = [
    "api"
    "contracts"
    "ingress"
    "observatory"
    "pipeline"
    "sinks"
    "tui"
  ];
  tools = [
    "e2e"
    "xtask"
  ];
  folder = name: ../. + "/${name}";
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
    lib.concatMap (crate: [
      (folder "${crate}/Cargo.toml")
      (folder "${crate}/src")
    ]) programs
    # Cargo wants to see all members of the workspace, and of each where it begins.
    ++ map (crate: folder "${crate}/Cargo.toml") tools
    ++ [
      ../Cargo.toml
      ../Cargo.lock
      ../api/web
      ../contracts/openapi.json
      ../contracts/ui-registry.json
      ../e2e/src/bin
      ../e2e/src/lib.rs
      ../observatory/build.rs
      ../pipeline/benches
      ../xtask/src/main.rs
    ]
  );
  # Of the checks: everything that Rust and its tests are about.
  workspace = of (
    map folder (programs ++ tools)
    ++ [
      ../Cargo.toml
      ../Cargo.lock
      ../clippy.toml
      ../docs/cloudevents-example.yaml # as tests have it
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
