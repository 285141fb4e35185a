# The program, with what shells and `man` read.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
}:
rustPlatform.buildRustPackage {
  pname = "observatory";
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;
  src = (import ./sources.nix { inherit lib; }).programs;
  # All crates are from crates.io, so the sums in the lock file are all that is needed.
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [
    "--package"
    "observatory"
  ];
  # Tests are a check of the flake (checks.nix): who installs the program does not wait for them.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      "$out/bin/observatory" completions "$shell" > "observatory.$shell"
    done
    installShellCompletion observatory.{bash,fish,zsh}
    "$out/bin/observatory" man --dir man
    installManPage man/*.1
  '';

  meta = {
    description = "Exact, live answers about background jobs";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    mainProgram = "observatory";
  };
}
