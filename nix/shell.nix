# What `cargo xtask test` and `lint` use, but for what they fetch themselves.
{ pkgs }:
let
  inherit (pkgs) lib;
in
pkgs.mkShell (
  {
    packages = [
      pkgs.cargo
      pkgs.clippy
      pkgs.git
      pkgs.rust-analyzer
      pkgs.rustc
      pkgs.rustfmt
      pkgs.shellcheck
    ]
    ++ lib.optionals pkgs.stdenv.hostPlatform.isLinux [
      pkgs.beam27Packages.erlang # epmd and erl_call, of the release that runs RabbitMQ
      pkgs.chromedriver
      pkgs.chromium
      pkgs.curl
      pkgs.jq
      pkgs.kind
      pkgs.kubectl
      pkgs.mongodb-ce
      pkgs.postgresql_17
      pkgs.prometheus
      pkgs.prometheus-alertmanager
      pkgs.prometheus.cli
      (pkgs.python3.withPackages (python: [
        python.pip
        python.pymongo
      ]))
      pkgs.rabbitmq-server
      pkgs.redis
      pkgs.runc
      pkgs.skopeo
      pkgs.tmux
      pkgs.umoci
      pkgs.util-linux
    ];
  }
  // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
    OBSERVATORY_TEST_MONGOD = lib.getExe' pkgs.mongodb-ce "mongod";
  }
)
