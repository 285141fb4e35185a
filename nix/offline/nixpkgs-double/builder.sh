# shellcheck shell=bash disable=SC1090,SC1091,SC2086,SC2154,SC2164
# The double's builder: what stdenv's setup would do, on the host's tools. Nix gives it its variables,
# and bash -e ends it at the first failure.
export HOME=$NIX_BUILD_TOP/home RUSTUP_HOME=@RUSTUP_HOME@ RUSTUP_TOOLCHAIN=@TOOLCHAIN@ CARGO_HOME=$NIX_BUILD_TOP/cargo; mkdir -p $HOME $CARGO_HOME
for i in $nativeBuildInputs; do
  [ -d "$i/bin" ] && PATH=$i/bin:$PATH
  [ -f "$i/nix-support/setup-hook" ] && source "$i/nix-support/setup-hook"
done
runHook() { if [ -n "${!1:-}" ]; then eval "${!1}"; fi; }
if [ -n "${buildCommandPath:-}" ]; then source "$buildCommandPath"; exit; fi
if [ -n "${buildCommand:-}" ]; then eval "$buildCommand"; exit; fi
cp -r "$src" source; chmod -R u+w source; cd source
if [ -n "${rust:-}" ]; then
  export PATH=@CARGO_HOME@/bin:$PATH CARGO_HOME=$NIX_BUILD_TOP/cargo RUSTUP_HOME=@RUSTUP_HOME@
  mkdir -p $CARGO_HOME; cp -rL "$cargoDeps" "$NIX_BUILD_TOP/cargo-vendor-dir" # as nixpkgs does: else panic locations pull the whole vendor dir into the closure
  printf '[source.crates-io]\nreplace-with = "vendored-sources"\n[source.vendored-sources]\ndirectory = "%s"\n' "$NIX_BUILD_TOP/cargo-vendor-dir" > $CARGO_HOME/config.toml
fi
for p in build check install; do
  [ $p = check ] && [ "${doCheck:-}" != 1 ] && continue
  v=${p}Phase; eval "${!v:-true}"
done
