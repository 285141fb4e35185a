//! `kind-up`, `kind-load` and `kind-down`, as people and programs run them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::cluster::{documents, found, kind, list, secrets, text, word};
use super::machine::{Machine, Ran};

#[test]
fn one_command_makes_a_cluster_with_everything_in_it_and_says_where_the_pages_are() {
    let machine = Machine::new();
    let ran = machine.run("kind-up.sh", &["--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let phases = [
        "prerequisites done",
        "cluster done",
        "image done",
        "load done",
        "secrets done",
        "manifests done",
        "ready done",
        "gate done",
        "up done",
    ];
    assert_eq!(ran.phases(), phases);
    let last = ran.lines().pop().unwrap();
    let registry: Value = serde_json::from_str(&text("contracts/ui-registry.json")).unwrap();
    let pages = list(&registry, "entries").iter().map(|page| {
        (
            word(page, "name").to_owned(),
            format!("http://localhost:{}{}", page["port"], word(page, "path")),
        )
    });
    let told = list(&last, "pages").iter();
    let told = told.map(|page| (word(page, "name").to_owned(), word(page, "url").to_owned()));
    assert_eq!(told.collect::<Vec<_>>(), pages.collect::<Vec<_>>());

    let calls = machine.calls();
    let mut rest = calls.as_str();
    for call in [
        "docker info",
        "kind create cluster --name observatory --config ",
        "nix build ",
        "kind load image-archive ",
        "apply --filename ",
        "apply --filename -",
        "apply --server-side --force-conflicts --kustomize ",
        "--namespace observatory-ingress rollout status deployment/traefik",
        "--namespace observatory rollout status deployment/api",
        "--namespace observatory rollout status statefulset/pipeline",
        "delete job gate --ignore-not-found",
        "k8s/gate",
        "logs job/gate",
    ] {
        let at =
            rest.find(call).unwrap_or_else(|| panic!("no {call:?} after the others in {calls}"));
        rest = &rest[at + call.len()..];
    }
    assert_eq!(
        fs::read_to_string(machine.folder.path().join("state/loaded")).unwrap(),
        "an image of today\n"
    );
    // The node was told of the whole set of secrets, and nobody else of any.
    let secrets =
        documents(&fs::read_to_string(machine.folder.path().join("state/secrets")).unwrap());
    assert_eq!(secrets.len(), 8);
    for secret in &secrets {
        for value in secret["stringData"].as_object().unwrap().values() {
            let value = value.as_str().unwrap().trim();
            assert!(!format!("{ran:?}").contains(value), "{value}");
        }
    }
    // Nothing is left of the image.
    let left: BTreeSet<_> =
        fs::read_dir(machine.folder.path()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn it_may_be_repeated_and_does_only_what_is_new() {
    let machine = Machine::new();
    assert_eq!(machine.run("kind-up.sh", &["--json"]).code, Some(0));
    let secrets = fs::read(machine.folder.path().join("state/secrets")).unwrap();
    machine.calls();

    let again = machine.run("kind-up.sh", &["--json"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    for phase in
        ["cluster skipped", "load skipped", "secrets skipped", "manifests done", "gate done"]
    {
        assert!(again.phases().contains(&phase.to_owned()), "{phase}: {:?}", again.phases());
    }
    let calls = machine.calls();
    assert!(!calls.contains("kind create") && !calls.contains("kind load"), "{calls}");
    assert!(!calls.contains("rollout restart"), "{calls}");
    assert_eq!(fs::read(machine.folder.path().join("state/secrets")).unwrap(), secrets);

    // Another image of the same name: pods have to be told.
    let newer = machine.run_with("kind-load.sh", &["--json"], ("IMAGE", "tomorrow"));
    assert_eq!(newer.phases(), ["image done", "load done"], "{newer:?}");
    let calls = machine.calls();
    assert!(calls.contains("kind load") && calls.contains("rollout restart"), "{calls}");
}

#[test]
fn every_prerequisite_that_is_missing_is_named_with_its_fix_before_anything_is_done() {
    let machine = Machine::new();
    for program in ["docker", "kind", "kubectl", "nix"] {
        machine.without(program);
    }
    let taken = TcpListener::bind(("127.0.0.1", machine.ports[2])).unwrap();
    let ran = machine.run("kind-up.sh", &["--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines = ran.lines();
    let failed: Vec<_> = lines.iter().filter(|line| line["state"] == "failed").collect();
    for (what, fix) in [
        ("neither docker nor podman", "install one"),
        ("kind is not on the PATH", "nix run .#kind-up"),
        ("kubectl is not on the PATH", "nix run .#kind-up"),
        ("nix is not on the PATH", "--image FILE"),
        (&format!("port {} of this machine, for rabbitmq, is taken", machine.ports[2]), "ss -ltnp"),
    ] {
        let mut named = failed.iter().filter(|line| word(line, "text").contains(what));
        let line = named.next().unwrap_or_else(|| panic!("{what}: {failed:?}"));
        assert!(word(line, "fix").contains(fix), "{line}");
    }
    assert_eq!(failed.len(), 5, "{failed:?}");
    assert_eq!(machine.calls(), "");
    drop(taken);

    let machine = Machine::new();
    fs::write(machine.folder.path().join("bin/docker"), "#!/usr/bin/env bash\nexit 1\n").unwrap();
    let ran = machine.run("kind-up.sh", &[]);
    assert!(
        ran.stderr.contains("docker does not answer") && ran.stderr.contains("fix: start it"),
        "{ran:?}"
    );
    assert!(!machine.calls().contains("create cluster"));
}

#[test]
fn what_goes_wrong_ends_it_with_what_to_do() {
    for (env, args, phase, fix) in [
        (
            ("BROKEN", "statefulset/pipeline"),
            &["--json"][..],
            "ready",
            "describe statefulset/pipeline",
        ),
        (("GATE", "FailureTarget Failed"), &["--json"], "gate", "logs job/gate"),
        (("IMAGE", "x"), &["--json", "--image", "/no/such/image"], "prerequisites", "--image"),
    ] {
        let machine = Machine::new();
        let ran = machine.run_with("kind-up.sh", args, env);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let last = ran.lines().pop().unwrap();
        assert_eq!((word(&last, "phase"), word(&last, "state")), (phase, "failed"), "{last}");
        assert!(word(&last, "fix").contains(fix), "{last}");
    }
    // Whatever the cluster refuses: the last line says so, also where there is a cluster already.
    let machine = Machine::new();
    assert_eq!(machine.run("kind-up.sh", &["--json"]).code, Some(0));
    for (refused, phase, fix) in [
        ("get --raw /readyz", "cluster", "kind export kubeconfig --name observatory"),
        ("get secret", "secrets", "run it again"),
        ("--namespace observatory get deployments", "ready", "run it again"),
        ("delete job gate", "gate", "run it again"),
        ("get statefulset pipeline", "load", "run it again"),
        ("rollout restart", "load", "run it again"),
        ("annotate", "load", "run it again"),
    ] {
        let mut command = machine.command("kind-up.sh", &["--json"]);
        // As there is a new image, it is loaded.
        let ran = Ran::of(command.env("REFUSED", refused).env("IMAGE", refused).output().unwrap());
        assert_eq!(ran.code, Some(1), "{refused}: {ran:?}");
        let last = ran.lines().pop().unwrap();
        assert_eq!((word(&last, "phase"), word(&last, "state")), (phase, "failed"), "{last}");
        assert!(word(&last, "fix").contains(fix), "{last}");
    }
    let secrets = fs::read_to_string(machine.folder.path().join("state/calls")).unwrap();
    assert_eq!(secrets.matches("apply --filename -\n").count(), 1, "{secrets}");

    // And what nobody thought of.
    fs::remove_file(machine.folder.path().join("usual/sha256sum")).unwrap();
    let ran = machine.run("kind-load.sh", &["--json"]);
    let last = ran.lines().pop().unwrap();
    assert_eq!((word(&last, "phase"), word(&last, "state")), ("image", "failed"), "{ran:?}");
    assert_eq!(ran.code, Some(1), "{ran:?}");

    let machine = Machine::new();
    for args in [&["--jsn"][..], &["--timeout", "soon"], &["--image"]] {
        let ran = machine.run("kind-up.sh", args);
        assert_eq!((ran.code, machine.calls().as_str()), (Some(2), ""), "{ran:?}");
    }
}

#[test]
fn people_read_progress_beside_the_addresses() {
    let machine = Machine::new();
    let image = machine.folder.path().join("image.tar");
    fs::write(&image, "an archive").unwrap();
    // By its name alone, as it is in the folder where one is.
    let mut command = machine.command("kind-up.sh", &["--no-gate", "--image", "image.tar"]);
    let ran = Ran::of(command.current_dir(machine.folder.path()).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let registry: Value = serde_json::from_str(&text("contracts/ui-registry.json")).unwrap();
    assert_eq!(ran.stdout.lines().count(), list(&registry, "entries").len());
    assert!(ran.stdout.contains("http://localhost:8080/"), "{ran:?}");
    assert!(ran.stderr.contains("✓ cluster: made"), "{ran:?}");
    let calls = machine.calls();
    assert!(!calls.contains("nix build") && !calls.contains("job"), "{calls}");
    assert_eq!(
        fs::read_to_string(machine.folder.path().join("state/loaded")).unwrap(),
        "an archive"
    );
    // A program that writes one as well.
    let nix = Command::new(found("sh"))
        .args(["-c", "printf '#!/usr/bin/env bash\necho written\n' >image && chmod +x image"])
        .current_dir(machine.folder.path())
        .status();
    assert!(nix.unwrap().success());
    let mut command = machine.command("kind-load.sh", &["--image", "image"]);
    let ran = Ran::of(command.current_dir(machine.folder.path()).output().unwrap());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let loaded = fs::read_to_string(machine.folder.path().join("state/loaded")).unwrap();
    assert_eq!(loaded, "written\n");
}

#[test]
fn who_is_let_in_to_the_pages_is_told_as_the_manifests_have_it() {
    let machine = Machine::new();
    let said = machine.run("kind-up.sh", &[]).stderr;
    let kind = kind();
    let env = |kind_of: &str, of: &str, variable: &str| {
        let pod = &kind.find(kind_of, of).unwrap()["spec"]["template"]["spec"];
        let mut env = list(&pod["containers"][0], "env").iter();
        word(env.find(|one| one["name"] == variable).unwrap(), "value").to_owned()
    };
    let secrets = secrets("kind");
    let login = &secrets["observatory-rabbitmq"]["login.conf"];
    let broker = login.lines().find_map(|line| line.strip_prefix("default_user = ")).unwrap();
    for (page, user, secret, key) in [
        ("Grafana", env("StatefulSet", "grafana", "GF_SECURITY_ADMIN_USER"), "grafana", "password"),
        ("RabbitMQ", broker.to_owned(), "rabbitmq", "login.conf"),
        ("pgAdmin", env("Deployment", "pgadmin", "PGADMIN_DEFAULT_EMAIL"), "admin", "password"),
        (
            "PostgreSQL in it",
            env("StatefulSet", "postgres", "POSTGRES_USER"),
            "postgres",
            "password",
        ),
        (
            "Mongo Express",
            env("Deployment", "mongo-express", "ME_CONFIG_BASICAUTH_USERNAME"),
            "admin",
            "password",
        ),
    ] {
        let secret = format!("observatory-{secret}");
        assert!(secrets[&secret].contains_key(key), "{secret} {key}");
        let mut lines = said.lines().map(str::trim_start);
        let line = lines.find(|line| line.starts_with(&format!("{page} ")));
        let line = line.unwrap_or_else(|| panic!("{page}: {said}"));
        let read =
            format!("get secret {secret} -o jsonpath='{{.data.{}}}'", key.replace('.', "\\."));
        assert!(line.contains(&format!(" {user} ")) && line.contains(&read), "{line}");
        assert!(text("docs/running.md").contains(&format!("`{secret}`")), "{secret}");
    }
}

#[test]
fn a_cluster_is_deleted_only_when_somebody_says_so() {
    let machine = Machine::new();
    let ran = machine.run("kind-down.sh", &["--json"]);
    assert_eq!(ran.phases(), ["down skipped"], "{ran:?}");
    fs::write(machine.folder.path().join("state/cluster"), "").unwrap();
    let ran = machine.run("kind-down.sh", &[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--yes"), "{ran:?}");

    // At a terminal, which `script` makes.
    let answered = |answer: &str| {
        let own = machine.command("kind-down.sh", &[]);
        let line = own.get_program().to_str().unwrap().to_owned();
        let mut script = Command::new(found("script"));
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        for (name, value) in own.get_envs() {
            script.env(name, value.unwrap());
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = script.spawn().unwrap();
        child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    };
    let ran = answered("n\n");
    assert!(ran.stdout.contains("observatory stays") && ran.code == Some(0), "{ran:?}");
    assert!(!machine.calls().contains("delete"));
    let ran = answered("y\n");
    assert!(ran.stdout.contains("deleted") && ran.code == Some(0), "{ran:?}");
    assert!(machine.calls().contains("kind delete cluster --name observatory\n"));

    fs::write(machine.folder.path().join("state/cluster"), "").unwrap();
    let ran = machine.run("kind-down.sh", &["--yes", "--json"]);
    assert_eq!(ran.phases(), ["down done"], "{ran:?}");
}

#[test]
fn an_image_is_loaded_only_where_there_is_a_cluster() {
    let machine = Machine::new();
    let ran = machine.run("kind-load.sh", &["--json"]);
    assert_eq!((ran.code, ran.phases()), (Some(1), vec!["load failed".to_owned()]), "{ran:?}");
    assert_eq!(ran.lines()[0]["fix"], "make it with kind-up");
}
