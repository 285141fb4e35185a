//! A machine for the scripts of kind: a copy of the project, and programs in place of Docker, kind,
//! kubectl and Nix which note how they are called, and remember what they were told.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::free_ports;
use serde_json::Value;
use tempfile::TempDir;

use super::cluster::{documents, found, list, project, text, word};

/// What the scripts use besides: nothing else is on their path, whatever this machine has.
const USUAL: [&str; 17] = [
    "bash",
    "base64",
    "cat",
    "cut",
    "dirname",
    "env",
    "grep",
    "head",
    "mktemp",
    "od",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "touch",
    "tr",
];

/// Beginning of each program: it notes its call.
const NOTES: &str = r#"#!/usr/bin/env bash
name=${0##*/}
echo "$name $*" >>"$STATE/calls"
"#;

const KIND: &str = r#"
case "$1 $2" in
  "get clusters") [[ ! -e $STATE/cluster ]] || echo observatory ;;
  "create cluster") touch "$STATE/cluster" ;;
  "delete cluster") rm "$STATE/cluster" ;;
  "load image-archive") cat "$3" >"$STATE/loaded" ;;
esac
"#;

const KUBECTL: &str = r#"
[[ $1 == --context && $2 == kind-observatory ]] || { echo "not our cluster" >&2; exit 1; }
shift 2
case "$*" in
  *"$REFUSED"*) echo "the server does not answer" >&2; exit 1 ;;
  *"get namespace kube-system"*) cat "$STATE/image" 2>/dev/null ;;
  *"annotate --overwrite namespace kube-system"*) last=${!#} && printf %s "${last#*=}" >"$STATE/image" ;;
  *"get statefulset pipeline"*) [[ ! -e $STATE/applied ]] || echo statefulset.apps/pipeline ;;
  *"get secret observatory-servers"*) [[ ! -e $STATE/secrets ]] || echo secret/observatory-servers ;;
  "apply --filename -") cat >"$STATE/secrets" ;;
  *"--kustomize "*overlays/kind) touch "$STATE/applied" ;;
  "--namespace observatory get deployments,statefulsets"*) printf '%s\n' deployment.apps/api statefulset.apps/pipeline ;;
  "--namespace observatory-ingress get deployments,statefulsets"*) echo deployment.apps/traefik ;;
  *"rollout status $BROKEN"*) echo "1 old replicas are pending" >&2; exit 1 ;;
  *"get job gate"*) printf %s "${GATE:-SuccessCriteriaMet Complete}" ;;
  *"logs job/gate"*) echo "the journey of a job" ;;
esac
"#;

const NIX: &str = r#"
while [[ $1 != --out-link ]]; do shift; done
printf '#!/usr/bin/env bash\necho "an image of %s"\n' "${IMAGE:-today}" >"$2"
chmod_() { :; }
"#;

/// A copy of the project, as far as the scripts go, and a path of its own.
pub(super) struct Machine {
    pub(super) folder: TempDir,
    /// The ports that its cluster maps.
    pub(super) ports: Vec<u16>,
}

impl Machine {
    pub(super) fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        for path in ["nix/kind", "k8s", "contracts/ui-registry.json"] {
            copy(&project(path), &root.join(path));
        }
        // Other tests, and whoever uses this machine, may be at the ports that are meant.
        let mut config = text("nix/kind/cluster.yaml");
        let mapped = documents(&config);
        let mapped = list(&mapped[0]["nodes"][0], "extraPortMappings").to_vec();
        let ports = free_ports(mapped.len());
        for (one, port) in mapped.iter().zip(&ports) {
            config = config
                .replace(&format!("hostPort: {},", one["hostPort"]), &format!("hostPort: {port},"));
        }
        fs::write(root.join("nix/kind/cluster.yaml"), config).unwrap();

        let (bin, usual) = (folder.path().join("bin"), folder.path().join("usual"));
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(&usual).unwrap();
        fs::create_dir_all(folder.path().join("state")).unwrap();
        for program in USUAL {
            symlink(found(program), usual.join(program)).unwrap();
        }
        let nix =
            NIX.replace("chmod_() { :; }", &format!("{} +x \"$2\"", found("chmod").display()));
        for (name, rest) in [("docker", ""), ("kind", KIND), ("kubectl", KUBECTL), ("nix", &nix)] {
            let path = bin.join(name);
            fs::write(&path, format!("{NOTES}{rest}")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Machine { folder, ports }
    }

    pub(super) fn command(&self, script: &str, args: &[&str]) -> Command {
        let at = |path: &str| self.folder.path().join(path);
        let mut command = Command::new(at("project/nix/kind").join(script));
        command.args(args).env_clear().stdin(Stdio::null());
        command.env("PATH", format!("{}:{}", at("bin").display(), at("usual").display()));
        command
            .env("STATE", at("state"))
            .env("BROKEN", "nothing")
            .env("REFUSED", "nothing")
            .env("TMPDIR", self.folder.path());
        command
    }

    pub(super) fn run(&self, script: &str, args: &[&str]) -> Ran {
        Ran::of(self.command(script, args).output().unwrap())
    }

    pub(super) fn run_with(&self, script: &str, args: &[&str], env: (&str, &str)) -> Ran {
        Ran::of(self.command(script, args).env(env.0, env.1).output().unwrap())
    }

    /// The calls since the last look.
    pub(super) fn calls(&self) -> String {
        let path = self.folder.path().join("state/calls");
        let calls = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, "").unwrap();
        calls
    }

    pub(super) fn without(&self, program: &str) {
        fs::remove_file(self.folder.path().join("bin").join(program)).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// What a script has done and said.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    pub(super) fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its lines for programs.
    #[track_caller]
    pub(super) fn lines(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
            })
            .collect()
    }

    /// How its phases have ended.
    #[track_caller]
    pub(super) fn phases(&self) -> Vec<String> {
        let lines = self.lines();
        let ended = lines.iter().filter(|line| line["state"] != "started");
        ended.map(|line| format!("{} {}", word(line, "phase"), word(line, "state"))).collect()
    }
}
