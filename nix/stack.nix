# The local stack: the plain files of stack/, with every program that they call.
#
# Nothing is generated: what the tests of this repository run with other servers of the same names
# is byte for byte what runs here.
{
  lib,
  writeShellApplication,
  bash,
  beam27Packages,
  coreutils,
  gnugrep,
  gnused,
  grafana,
  jq,
  mongodb-ce,
  observatory,
  postgresql_17,
  process-compose,
  prometheus,
  prometheus-alertmanager,
  python3,
  rabbitmq-server,
  redis,
  util-linux,
}:
writeShellApplication {
  name = "observatory-stack";
  meta.description = "The whole observatory with its servers, on this machine";
  runtimeInputs = [
    bash
    beam27Packages.erlang # epmd, of the release that runs RabbitMQ
    coreutils
    gnugrep
    gnused
    grafana
    jq
    mongodb-ce
    observatory
    postgresql_17
    process-compose
    prometheus
    prometheus-alertmanager
    (python3.withPackages (python: [ python.pymongo ]))
    rabbitmq-server
    redis
    util-linux
  ];
  runtimeEnv.GRAFANA_HOMEPATH = "${grafana}/share/grafana";
  text = ''exec bash ${(import ./sources.nix { inherit lib; }).stack}/nix/stack/stack.sh "$@"'';
}
