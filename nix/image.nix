# The image of all roles: the program is its entry point, and the first argument says the role.
#
# Nothing in it comes from the clock or from the commit, so what is built twice is the same twice.
# It has no shell, no user database and no writable place but what is mounted.
{
  lib,
  dockerTools,
  observatory,
}:
dockerTools.streamLayeredImage {
  name = "observatory";
  tag = observatory.version;
  config = {
    Entrypoint = [ (lib.getExe observatory) ];
    # Nobody: no account of a distribution has this number.
    User = "65532:65532";
    Env = [ "SSL_CERT_FILE=${dockerTools.caCertificates}/etc/ssl/certs/ca-bundle.crt" ];
    Labels = {
      "org.opencontainers.image.title" = "Task Observatory";
      "org.opencontainers.image.version" = observatory.version;
      "org.opencontainers.image.licenses" = "MIT OR Apache-2.0";
    };
  };
}
