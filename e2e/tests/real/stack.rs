//! The local stack of `nix/stack`, with the servers that are here: its own start scripts, in the order and
//! by the probes and signals of its process file, in the place of process-compose.
//!
//! ```text
//!   stack.sh ──▶ a stand-in for process-compose, which tells its environment and arguments
//!                                    │
//!   process-compose.yaml ──variables┴──▶ processes ──▶ ready in order ──▶ stopped backwards
//! ```
//!
//! Grafana is not here: of that one only what it is started with is looked at.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::built::program;
use super::compose::{Condition, Probe, ProcessFile};
use super::support::until;

const STACK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../nix/stack");

/// As process-compose, it tells what it was given.
const TELL: &str = r#"#!/bin/sh
printf '%s\n' "$@" >"$TOLD/arguments"
env -0 >"$TOLD/environment"
"#;

/// In the order in which `stack.sh` knows them.
const PORTS: [&str; 15] = [
    "api",
    "gateway",
    "worker",
    "pipeline",
    "rabbitmq",
    "rabbitmq-ui",
    "rabbitmq-metrics",
    "rabbitmq-nodes",
    "epmd",
    "postgresql",
    "redis",
    "mongodb",
    "prometheus",
    "alertmanager",
    "grafana",
];

/// A machine with all programs under the names that the stack has for them, and a folder for its data.
struct Machine {
    folder: TempDir,
    path: String,
    ports: HashMap<&'static str, u16>,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        // The user of the stack comes through, but not into the folders of whoever runs the tests.
        for open in [folder.path(), &bin] {
            fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mongod = std::env::var_os("OBSERVATORY_TEST_MONGOD");
        lend(&mongod.map_or_else(|| e2e::kept("mongod-6.0.5"), PathBuf::from), &bin.join("mongod"));
        lend(program(), &bin.join("observatory"));
        for name in ["process-compose", "grafana"] {
            fs::write(bin.join(name), TELL).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        if let Some(debian) =
            Some(Path::new("/usr/bin/prometheus-alertmanager")).filter(|p| p.exists())
        {
            std::os::unix::fs::symlink(debian, bin.join("alertmanager")).unwrap();
        }
        let theirs = std::env::var("PATH").unwrap_or_default();
        let postgresql =
            ["15", "16", "17"].map(|version| format!("/usr/lib/postgresql/{version}/bin"));
        // Before what is in /usr/sbin under that name, which is for root and one other user.
        let path = format!(
            "{}:{}:/usr/lib/rabbitmq/bin:{theirs}:/usr/sbin:/usr/bin:/sbin:/bin",
            bin.display(),
            postgresql.join(":"),
        );
        fs::create_dir(folder.path().join("home")).unwrap();
        if let Some(user) = user() {
            let given = Command::new("chown").arg(user).arg(folder.path().join("home")).status();
            assert!(given.unwrap().success());
        }
        let mut machine = Machine { folder, path, ports: HashMap::new() };
        machine.take_ports();
        machine
    }

    /// Has the next stack listen on ports that none has had.
    fn take_ports(&mut self) {
        self.ports = PORTS.into_iter().zip(e2e::free_ports(PORTS.len())).collect();
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A command as the user of the stack, who is not root. It ends with the test.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        if let Some(user) = user() {
            command.arg(format!("--reuid={user}")).arg(format!("--regid={user}"));
            command.arg("--clear-groups");
        }
        command.args(["--pdeathsig", "KILL", "--"]).args(arguments).env_clear();
        command.env("PATH", &self.path).env("HOME", self.home()).env("TOLD", self.home());
        command.current_dir(self.home()).stdin(Stdio::null());
        command
    }

    /// Runs `stack.sh` on its ports, which ends when process-compose would begin.
    fn stack(&self, arguments: &[&str]) -> Output {
        let data = self.home().join("data");
        let script = format!("{STACK}/stack.sh");
        let mut command = self.command(&["bash", &script, "--data", data.to_str().unwrap()]);
        for (name, port) in &self.ports {
            command.args(["--port", &format!("{name}={port}")]);
        }
        command.args(arguments).output().unwrap()
    }

    /// What process-compose would do now.
    fn prepared(&self) -> Stack<'_> {
        let output = self.stack(&["--", "--theme", "none"]);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{printed}");
        let told = |name| fs::read_to_string(self.home().join(name)).unwrap();
        let arguments = told("arguments");
        let arguments: Vec<_> = arguments.lines().collect();
        let [config, ..] = &arguments[..] else { panic!("{arguments:?}") };
        assert_eq!(*config, "--config");
        assert_eq!(arguments[4..7], ["--ordered-shutdown", "--no-server", "--disable-dotenv"]);
        assert_eq!(arguments[7..], ["--tui=false", "--theme", "none"]);
        let environment: HashMap<_, _> = told("environment")
            .split_terminator('\0')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let file = ProcessFile::read(Path::new(arguments[1]), &environment);
        Stack { machine: self, printed, environment, file, started: Vec::new() }
    }
}

/// Has a program under another path, which others may be let in to.
fn lend(program: &Path, path: &Path) {
    if fs::hard_link(program, path).is_err() {
        fs::copy(program, path).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    }
}

/// Whom PostgreSQL has to be, if not who we are.
fn user() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("postgres")
}

/// The processes of a prepared stack, those in `started` in the order in which they were.
struct Stack<'m> {
    machine: &'m Machine,
    printed: String,
    environment: HashMap<String, String>,
    file: ProcessFile,
    started: Vec<(String, Child)>,
}

impl Stack<'_> {
    /// A command in the environment that process-compose gives.
    fn bash(&self, command: &str) -> Command {
        let mut bash = self.machine.command(&["bash", "-c", command]);
        bash.envs(&self.environment);
        bash
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(&self.file.processes[name].log_location).unwrap_or_default()
    }

    /// Starts everything but `left_out`, each when what it depends on is ready; returns when all are.
    fn start(&mut self, left_out: &str) {
        let began = Instant::now();
        let mut waiting: Vec<_> =
            self.file.processes.keys().filter(|name| *name != left_out).cloned().collect();
        let (mut healthy, mut completed) = (vec![left_out.to_owned()], Vec::new());
        let mut starting: HashMap<String, Instant> = HashMap::new();
        while !waiting.is_empty() || !starting.is_empty() {
            for name in std::mem::take(&mut waiting) {
                let free = self.file.processes[&name].depends_on.iter().all(|(on, how)| match how
                    .condition
                {
                    Condition::ProcessHealthy => healthy.contains(on),
                    Condition::ProcessCompletedSuccessfully => completed.contains(on),
                });
                if free {
                    let child = self.spawn(&name);
                    self.started.push((name.clone(), child));
                    starting.insert(name, Instant::now());
                } else {
                    waiting.push(name);
                }
            }
            for name in starting.keys().cloned().collect::<Vec<_>>() {
                let process = &self.file.processes[&name];
                let (_, child) = self.started.iter_mut().find(|(of, _)| *of == name).unwrap();
                if let Some(status) = child.try_wait().unwrap() {
                    let fine = status.success() && process.readiness_probe.is_none();
                    assert!(fine, "{name} has ended: {status}\n{}", self.log(&name));
                    self.started.retain(|(of, _)| *of != name);
                    starting.remove(&name);
                    completed.push(name);
                    continue;
                }
                // When process-compose would give it up.
                let patience = process.readiness_probe.as_ref().map_or(60, |probe| {
                    if self.ready(probe) {
                        0
                    } else {
                        probe.period_seconds * probe.failure_threshold
                    }
                });
                if patience == 0 {
                    starting.remove(&name);
                    healthy.push(name);
                } else {
                    let late = starting[&name].elapsed() > Duration::from_secs(patience);
                    assert!(!late, "{name} is not ready\n{}", self.log(&name));
                }
            }
            assert!(began.elapsed() < Duration::from_secs(240), "{waiting:?} wait for ever");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn spawn(&self, name: &str) -> Child {
        let process = &self.file.processes[name];
        let log = File::options().create(true).append(true).open(&process.log_location).unwrap();
        let mut command = self.bash(&process.command);
        command.current_dir(&process.working_dir).process_group(0);
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn ready(&self, probe: &Probe) -> bool {
        match (&probe.exec, &probe.http_get) {
            (Some(exec), None) => self.bash(&exec.command).output().unwrap().status.success(),
            (None, Some(get)) => {
                ureq::get(format!("http://{}:{}{}", get.host, get.port, get.path)).call().is_ok()
            }
            _ => panic!("a probe is one of the two"),
        }
    }

    /// Stops all of them as process-compose does in order: who depends on others first, by the signal
    /// and within the time that the file has for each.
    fn stop(mut self) {
        while let Some((name, mut child)) = self.started.pop() {
            let process = &self.file.processes[&name];
            let shutdown = process.shutdown.as_ref().unwrap();
            assert!(matches!(process.availability.restart.as_str(), "always" | "on_failure"));
            assert!(process.availability.backoff_seconds.is_some(), "{name} restarts at once");
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).unwrap();
            let signal = Signal::from_named_raw(shutdown.signal).unwrap();
            match shutdown.parent_only {
                true => kill_process(pid, signal).unwrap(),
                false => kill_process_group(pid, signal).unwrap(),
            }
            let began = Instant::now();
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                let late = began.elapsed() > Duration::from_secs(shutdown.timeout_seconds);
                assert!(!late, "{name} does not end\n{}", self.log(&name));
                std::thread::sleep(Duration::from_millis(20));
            };
            // The register of names has no last words.
            assert!(status.success() || name == "epmd", "{name}: {status}\n{}", self.log(&name));
        }
        until("nothing of it is left", || {
            let left = below(&self.machine.home());
            left.is_empty().then_some(())
        });
    }

    /// The address of a part.
    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}", self.machine.ports[name])
    }

    fn get(&self, name: &str, path: &str) -> Option<Value> {
        let mut answer = ureq::get(self.url(name) + path).call().ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
    }
}

impl Drop for Stack<'_> {
    fn drop(&mut self) {
        // Only after a failure is there anything left; backwards, as an epmd that goes first has the
        // broker make another.
        for (_, child) in self.started.iter_mut().rev() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The command lines of those that work below a folder.
fn below(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    entries
        .filter(|process| {
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
        })
        .map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default())
        .collect()
}

#[test]
fn the_stack_works_tells_where_it_is_and_goes_on_after_a_stop_on_other_ports() {
    let mut machine = Machine::new();
    let mut stack = machine.prepared();
    stack.start("grafana");

    let gate = stack.bash(r#". "$STACK_DATA/env"; exec observatory gate"#).output().unwrap();
    assert!(gate.status.success(), "{}", String::from_utf8_lossy(&gate.stdout));
    let told_at_the_end = stack.log("ready");
    assert!(stack.printed.contains(told_at_the_end.trim_end()), "{told_at_the_end}");
    let places: Vec<_> =
        told_at_the_end.split_whitespace().filter(|word| word.starts_with("http://")).collect();
    // Those of the registry that the stack has: what is in a cluster only is not among them.
    assert_eq!(places.len(), 7, "{told_at_the_end}");
    for place in places {
        if !place.ends_with(&format!(":{}/", machine.ports["grafana"])) {
            assert!(ureq::get(place).call().is_ok(), "nobody is at {place}");
        }
    }

    let labels = json!({"alertname": "PipelineLag", "severity": "critical", "service": "pipeline"});
    let alert = json!([{ "labels": labels, "annotations": {"summary": "late"} }]);
    let sent = ureq::post(stack.url("alertmanager") + "/api/v2/alerts")
        .header("content-type", "application/json")
        .send(alert.to_string());
    assert!(sent.is_ok(), "{sent:?}");
    until("Prometheus reads all of them", || {
        let up = stack.get("prometheus", "/api/v1/query?query=count(up==1)")?;
        (up["data"]["result"][0]["value"][1] == "8").then_some(())
    });
    let rules = stack.get("prometheus", "/api/v1/rules").unwrap();
    assert_ne!(rules["data"]["groups"], json!([]));
    until("Prometheus knows the Alertmanager", || {
        let known = stack.get("prometheus", "/api/v1/alertmanagers")?;
        let url = known["data"]["activeAlertmanagers"][0]["url"].as_str()?.to_owned();
        url.starts_with(&stack.url("alertmanager")).then_some(())
    });
    let taken =
        r#"observatory_http_requests_total{method="POST",route="/webhook/alerts",status="200"} 1"#;
    until("the API has taken the alert", || {
        let mut metrics = ureq::get(stack.url("api") + "/metrics").call().ok()?;
        metrics.body_mut().read_to_string().ok()?.contains(taken).then_some(())
    });

    let before = stack.get("api", "/api/v1/jobs").unwrap();
    assert_ne!(before["total"], 0);
    stack.stop();

    machine.take_ports();
    let mut again = machine.prepared();
    again.start("grafana");
    let after = again.get("api", "/api/v1/jobs").unwrap();
    assert_eq!(after["items"], before["items"]);
    again.stop();
}

#[test]
fn who_waits_for_an_init_also_depends_on_its_server_so_that_it_is_stopped_before() {
    let machine = Machine::new();
    let stack = machine.prepared();
    let mut inits = 0;
    for (name, process) in &stack.file.processes {
        for on in process.depends_on.keys() {
            // What an init works on is what it waits for itself.
            let init = &stack.file.processes[on];
            if init.shutdown.is_none() {
                inits += 1;
                let servers = init.depends_on.keys();
                let missing: Vec<_> =
                    servers.filter(|server| !process.depends_on.contains_key(*server)).collect();
                assert!(missing.is_empty(), "{name} waits for {on}, and may outlive {missing:?}");
            }
        }
    }
    assert_eq!(inits, 4, "PostgreSQL, and three roles that write to MongoDB");
}

#[test]
fn a_port_that_is_taken_is_told_with_the_option_for_another_before_anything_starts() {
    let mut machine = Machine::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    machine.ports.insert("redis", taken.local_addr().unwrap().port());
    let output = machine.stack(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{}, for redis: --port redis=PORT", machine.ports["redis"])));
    assert!(!machine.home().join("arguments").exists(), "it has started");

    drop(taken);
    machine.prepared();
}

#[test]
fn what_is_no_port_and_what_two_want_is_told() {
    let machine = Machine::new();
    let gateway = format!("api={}", machine.ports["gateway"]);
    for (arguments, code, what) in [
        (["--port", "api=99999"], 1, "port 99999 of api does not exist"),
        (["--port", "api=x"], 2, "--port api=x is no port"),
        (["--port", "web=80"], 2, "--port web=80: there is no port of that name"),
        (["--prot", "web=80"], 2, "there is no option --prot"),
        (["--port", &gateway], 1, "would both listen on port"),
        (["--offset", "-1"], 2, "--offset -1 is no number"),
        (["--data", "a\"b"], 1, "characters that mean something"),
        (["--data", "a b"], 1, "characters that mean something"),
    ] {
        let output = machine.stack(&arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(what) && said.contains("fix: "), "{arguments:?}: {said}");
    }
}

#[test]
fn a_second_stack_on_the_same_folder_is_refused() {
    let machine = Machine::new();
    let stack = machine.prepared();
    let lock =
        format!(r#"exec 9>"{}/lock"; flock 9; echo; read -r _"#, stack.environment["STACK_DATA"]);
    let mut holder = stack.bash(&lock);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let said = String::from_utf8(machine.stack(&[]).stderr).unwrap();
    assert!(said.contains("is running already"), "{said}");
    drop(holder.stdin.take());
    assert!(holder.wait().is_ok());
}

#[test]
fn grafana_gets_our_datasource_at_the_port_of_this_stack_and_the_dashboard() {
    let machine = Machine::new();
    let mut stack = machine.prepared();
    stack.environment.insert("GRAFANA_HOMEPATH".to_owned(), "/its/files".to_owned());
    let command = stack.file.processes["grafana"].command.clone();
    let output = stack.bash(&command).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = |name| fs::read_to_string(machine.home().join(name)).unwrap();
    assert_eq!(told("arguments"), "server\n--homepath\n/its/files\n");
    let environment = told("environment");
    let of = |name: &str| {
        let mut pairs = environment.split('\0').filter_map(|pair| pair.split_once('='));
        pairs.find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no {name}")).1
    };
    assert_eq!(of("GF_SERVER_HTTP_PORT"), machine.ports["grafana"].to_string());
    let provisioning = Path::new(of("GF_PATHS_PROVISIONING"));
    let source = fs::read_to_string(provisioning.join("datasources/prometheus.yml")).unwrap();
    let source: Value = serde_yaml_ng::from_str(&source).unwrap();
    assert_eq!(source["datasources"][0]["url"], stack.url("prometheus"));
    assert!(provisioning.join("dashboards/observatory.yml").exists());
    assert!(Path::new(of("OBSERVATORY_DASHBOARDS")).join("observatory.json").exists());
}
