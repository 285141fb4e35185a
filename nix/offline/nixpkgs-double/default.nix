{ system, overlays ? [ ], config ? { } }:
let
  lib = import ./lib.nix;
  hostPath = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
  cargoBin = "@CARGO_HOME@/bin";
  # By its own content: what is changed elsewhere in the double builds nothing anew.
  file = path: builtins.path { inherit path; name = baseNameOf path; };
  drvOf = args: derivation (removeAttrs args [ "meta" "passthru" "nativeBuildInputs" "buildInputs" "env" "cargoLock" ] // (args.env or { }) // {
    inherit system;
    builder = "/bin/bash";
    args = [ "-e" (file ./builder.sh) ];
    nativeBuildInputs = map toString ((args.nativeBuildInputs or [ ]) ++ (args.buildInputs or [ ]));
    name = args.name or "${args.pname}-${args.version}";
    PATH = hostPath;
  });
  # What nixpkgs checks when a package is used: the licence gate.
  gate = meta: name: drv:
    if (builtins.all (license: license.free or true) (let license = meta.license or [ ]; in if builtins.isList license then license else [ license ])) || (config.allowUnfree or false) || (config.allowUnfreePredicate or (_: false)) { inherit name; } then drv
    else throw "Package '${name}' has an unfree license, refusing to evaluate.";
  mkDerivation = args: let d = drvOf args; in gate (args.meta or { }) (lib.getName args) (d // (args.passthru or { }) // { meta = args.meta or { }; passthru = args.passthru or { }; } // lib.optionalAttrs (args ? pname) { inherit (args) pname version; });
  # A host program, as a store path with a bin/: version is whatever Debian has.
  host = name: { bins, names ? { }, meta ? { }, dirs ? [ ], passthru ? { } }: mkDerivation {
    # `names`: what Debian calls a program that has another name here.
    pname = name; version = "host"; inherit meta; passthru = passthru // { inherit bins; }; __hostBins = map (bin: "${bin}:${names.${bin} or bin}") bins; __hostDirs = dirs;
    buildCommand = ''
      mkdir -p $out/bin
      for names in $__hostBins; do
        b=''${names%:*} found=''${names#*:}
        for d in $__hostDirs ${cargoBin} /usr/lib/postgresql/15/bin /usr/lib/rabbitmq/bin /usr/bin /usr/sbin /bin; do
          if [ -x $d/$found ]; then ln -sf $d/$found $out/bin/$b; continue 2; fi
        done
        printf '#!/bin/sh\necho "%s: not on this host (test double)" >&2; exit 127\n' $b > $out/bin/$b; chmod +x $out/bin/$b
      done
    '';
  };
  base = self: {
    inherit lib system config;
    stdenv = let
      platform = { inherit system; isLinux = lib.hasSuffix "-linux" system; isDarwin = lib.hasSuffix "-darwin" system; canExecute = other: other.system == system; };
    in { inherit mkDerivation; hostPlatform = platform; buildPlatform = platform; };
    callPackage = path: overrides: let
      function = if builtins.isFunction path then path else import path;
    in function (builtins.intersectAttrs (builtins.functionArgs function) self // overrides);
    runCommand = name: env: buildCommand: mkDerivation (env // { inherit name buildCommand; });
    writeTextFile = { name, text, executable ? false, destination ? "", checkPhase ? "", meta ? { }, passthru ? { } }: mkDerivation {
      inherit name text meta passthru; passAsFile = [ "text" ];
      buildCommand = ''
        target=$out${destination}; mkdir -p $(dirname $target); cp "$textPath" $target
        ${lib.optionalString executable "chmod +x $target"}
        ${checkPhase}
      '';
    };
    writeText = name: text: self.writeTextFile { inherit name text; };
    writeShellApplication = { name, text, runtimeInputs ? [ ], meta ? { }, passthru ? { }, excludeShellChecks ? [ ], runtimeEnv ? { } }: self.writeTextFile {
      inherit name passthru; executable = true; destination = "/bin/${name}"; meta = meta // { mainProgram = name; };
      text = ''
        #!/bin/bash
        set -o errexit
        set -o nounset
        set -o pipefail

        ${lib.concatStringsSep "\n" (lib.mapAttrsToList (name: value: "export ${name}=${lib.escapeShellArg value}") runtimeEnv)}
        export PATH="${lib.makeBinPath runtimeInputs}:$PATH"

        ${text}
      '';
      checkPhase = "bash -n $target; if command -v shellcheck >/dev/null; then shellcheck $target; fi";
    };
    mkShell = { packages ? [ ], inputsFrom ? [ ], shellHook ? "", OBSERVATORY_TEST_MONGOD ? "" }: mkDerivation { name = "nix-shell"; inherit shellHook OBSERVATORY_TEST_MONGOD; nativeBuildInputs = packages; buildCommand = "echo $nativeBuildInputs > $out"; };
    importCargoLock = { lockFile, outputHashes ? { } }: let
      pk = builtins.filter (p: p ? source) (builtins.fromTOML (builtins.readFile lockFile)).package;
      crate = p: if !(lib.hasPrefix "registry+" p.source) then throw "double: ${p.name} is not from a registry" else derivation {
        # Fixed output: Nix itself checks the crate against Cargo.lock's checksum.
        name = "crate-${p.name}-${p.version}.tar.gz"; inherit system; builder = "/bin/bash";
        args = [ "-c" "for f in @CARGO_HOME@/registry/cache/*/${p.name}-${p.version}.crate; do cp $f $out && exit 0; done; echo 'run: cargo fetch --locked' >&2; exit 1" ];
        outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = p.checksum; PATH = hostPath;
      };
    in self.runCommand "cargo-vendor-dir" { crates = map crate pk; sums = map (p: p.checksum) pk; } ''
      mkdir -p $out; set -- $sums
      for c in $crates; do
        n=$(basename $c .tar.gz); n=''${n#*-crate-}; mkdir $out/$n
        tar xzf $c -C $out/$n --strip-components=1
        printf '{"files":{},"package":"%s"}' $1 > $out/$n/.cargo-checksum.json; shift
      done
    '';
    rustPlatform.buildRustPackage = { pname, version, src, cargoLock, cargoBuildFlags ? [ ], buildType ? "release", auditable ? true, doCheck ? true, nativeBuildInputs ? [ ], buildPhase ? null, checkPhase ? null, installPhase ? null, postInstall ? "", meta ? { }, passthru ? { } }: mkDerivation {
      inherit pname version src doCheck nativeBuildInputs postInstall meta passthru;
      cargoDeps = self.importCargoLock cargoLock;
      rust = "1";
      RUSTFLAGS = "-C target-feature=+crt-static"; CARGO_BUILD_TARGET = "${builtins.head (lib.splitString "-" system)}-unknown-linux-gnu"; # static: no libc of ours in the image
      buildPhase = if buildPhase != null then buildPhase else "cargo build --profile ${buildType} --frozen ${toString cargoBuildFlags}";
      checkPhase = if checkPhase != null then checkPhase else "cargo test --profile ${buildType} --frozen ${toString cargoBuildFlags}";
      # As nixpkgs does: debugging symbols go.
      installPhase = if installPhase != null then installPhase else ''
        mkdir -p $out/bin; find target/$CARGO_BUILD_TARGET/${buildType} -maxdepth 1 -type f -executable ! -name '*.so' -exec cp {} $out/bin/ \;
        strip --strip-debug $out/bin/*
        runHook postInstall
      '';
    };
    installShellFiles = self.runCommand "install-shell-files" { } "mkdir -p $out/nix-support; cp ${file ./install-shell-files.sh} $out/nix-support/setup-hook";
    closureInfo = { rootPaths }: self.runCommand "closure-info" {
      exportReferencesGraph = builtins.concatLists (builtins.genList (i: [ "closure${toString i}" (builtins.elemAt rootPaths i) ]) (builtins.length rootPaths));
    } ''
      mkdir -p $out; grep -h '^/nix/store/' closure* | sort -u > $out/store-paths
      du --apparent-size -bcs $(cat $out/store-paths) | tail -n 1 | cut -f 1 > $out/total-nar-size
    '';
    dockerTools = {
      caCertificates = self.runCommand "ca-certificates" { } "mkdir -p $out/etc/ssl/certs; cat /usr/share/ca-certificates/mozilla/*.crt > $out/etc/ssl/certs/ca-bundle.crt";
      streamLayeredImage = { name, tag ? null, contents ? [ ], config ? { }, created ? "1970-01-01T00:00:01Z", mtime ? created, maxLayers ? 100, architecture ? "amd64", fromImage ? null, uid ? 0, gid ? 0, uname ? "root", gname ? "root", extraCommands ? "", fakeRootCommands ? "", enableFakechroot ? false, includeStorePaths ? true, includeNixDB ? false, passthru ? { }, meta ? { }, layeringPipeline ? null, debug ? false }: let
        baseJson = self.writeText "${baseNameOf name}-base.json" (builtins.toJSON { inherit config architecture created; os = "linux"; });
        imageTag = if tag != null then tag else builtins.substring 0 32 (baseNameOf (builtins.unsafeDiscardStringContext baseJson.outPath));
      in self.runCommand "stream-${baseNameOf name}" {
        inherit baseJson contents; repoTag = "${lib.toLower name}:${imageTag}";
        exportReferencesGraph = [ "closure0" baseJson ] ++ builtins.concatLists (builtins.genList (i: [ "closure${toString (i + 1)}" (builtins.elemAt contents i) ]) (builtins.length contents));
        passthru = { imageName = lib.toLower name; inherit imageTag; isExe = true; };
      } ''
        paths=$(grep -h '^/nix/store/' closure* | sort -u | grep -v "^$baseJson$" || true)
        { echo '#!/bin/bash'; echo exec python3 ${file ./stream.py} $baseJson $repoTag \"$contents\" $paths; } > $out; chmod +x $out
      '';
    };
    process-compose = host "process-compose" { bins = [ "process-compose" ]; meta.mainProgram = "process-compose"; };
    bash = host "bash" { bins = [ "bash" "sh" ]; meta.mainProgram = "bash"; };
    coreutils = host "coreutils" { bins = [ "cat" "chmod" "cp" "cut" "head" "id" "install" "mkdir" "mv" "od" "readlink" "rm" "sleep" "tr" ]; };
    gnugrep = host "gnugrep" { bins = [ "grep" ]; meta.mainProgram = "grep"; };
    gnused = host "gnused" { bins = [ "sed" ]; meta.mainProgram = "sed"; };
    jq = host "jq" { bins = [ "jq" ]; meta.mainProgram = "jq"; };
    util-linux = host "util-linux" { bins = [ "flock" "setpriv" ]; };
    postgresql_17 = host "postgresql" { bins = [ "postgres" "initdb" "pg_ctl" "psql" "pg_isready" "createdb" ]; };
    redis = host "redis" { bins = [ "redis-server" "redis-cli" ]; meta.mainProgram = "redis-cli"; };
    rabbitmq-server = host "rabbitmq-server" { bins = [ "rabbitmq-server" "rabbitmqctl" "rabbitmq-plugins" ]; };
    beam27Packages = { erlang = host "erlang" { bins = [ "epmd" "erl" "erl_call" "erlc" "escript" ]; }; };
    mongodb-ce = host "mongodb-ce" { bins = [ "mongod" "mongos" ]; meta.license = [ lib.licenses.sspl ]; };
    # promtool is in an output of its own.
    prometheus = host "prometheus" { bins = [ "prometheus" ]; meta.mainProgram = "prometheus"; passthru.cli = host "prometheus-cli" { bins = [ "promtool" ]; }; };
    prometheus-alertmanager = host "prometheus-alertmanager" { bins = [ "alertmanager" "amtool" ]; names.alertmanager = "prometheus-alertmanager"; meta.mainProgram = "alertmanager"; };
    grafana = host "grafana" { bins = [ "grafana" ]; meta.mainProgram = "grafana"; };
    python3 = { withPackages = choose: host "python3-env" { bins = map (package: "python3") (choose { pip = 1; pymongo = 1; }); meta.mainProgram = "python3"; }; };
    cargo = host "cargo" { bins = [ "cargo" ]; }; rustc = host "rustc" { bins = [ "rustc" ]; };
    clippy = host "clippy" { bins = [ "cargo-clippy" "clippy-driver" ]; }; rustfmt = host "rustfmt" { bins = [ "cargo-fmt" "rustfmt" ]; };
    rust-analyzer = host "rust-analyzer" { bins = [ "rust-analyzer" ]; }; shellcheck = host "shellcheck" { bins = [ "shellcheck" ]; };
    chromium = host "chromium" { bins = [ "chromium" ]; }; chromedriver = host "chromedriver" { bins = [ "chromedriver" ]; }; tmux = host "tmux" { bins = [ "tmux" ]; };
    kubectl = host "kubectl" { bins = [ "kubectl" ]; }; kind = host "kind" { bins = [ "kind" ]; }; skopeo = host "skopeo" { bins = [ "skopeo" ]; };
    curl = host "curl" { bins = [ "curl" ]; }; git = host "git" { bins = [ "git" ]; };
    umoci = host "umoci" { bins = [ "umoci" ]; }; runc = host "runc" { bins = [ "runc" ]; };
    nixfmt-tree = host "nixfmt-tree" { bins = [ "treefmt" ]; meta.mainProgram = "treefmt"; };
  };
  fix = f: let x = f x; in x;
in
fix (self: builtins.foldl' (acc: o: acc // o self acc) (base self) overlays)
