//! What manifests say, as values: the objects of an overlay, its pods, which Service leads to which.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use e2e::kept;
use serde_json::Value;

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap().join(path)
}

pub(crate) fn text(path: &str) -> String {
    let path = project(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A program that `cargo xtask test` has installed, of those that read manifests.
pub(crate) fn tool(name: &str) -> Command {
    let path = kept("manifest-tools/bin").join(name);
    assert!(path.exists(), "{} is missing; `cargo xtask test` installs it", path.display());
    Command::new(path)
}

/// A program of this machine.
pub(crate) fn found(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut folders = std::env::split_paths(&path);
    let found = folders.find_map(|folder| folder.join(program).canonicalize().ok());
    found.unwrap_or_else(|| panic!("{program} is not on the path"))
}

/// What a command prints, which must succeed.
#[track_caller]
pub(crate) fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(yaml);
    let documents = documents.map(|one| <Value as serde::Deserialize>::deserialize(one).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

/// The objects of an overlay.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) name: &'static str,
    pub(crate) yaml: String,
    pub(crate) objects: Vec<Value>,
}

/// A pod as its owner makes it.
pub(crate) struct Pod<'a> {
    /// Kind and name of the owner.
    pub(crate) owner: String,
    pub(crate) namespace: &'a str,
    pub(crate) labels: &'a Value,
    pub(crate) annotations: &'a Value,
    pub(crate) spec: &'a Value,
    pub(crate) replicas: u64,
    /// StatefulSets only: what its volumes are made from.
    pub(crate) claims: &'a [Value],
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The name of an object.
pub(crate) fn name(object: &Value) -> &str {
    word(&object["metadata"], "name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    word(&object["metadata"], "namespace")
}

impl Cluster {
    fn of(name: &'static str, yaml: String) -> Cluster {
        Cluster { name, objects: documents(&yaml), yaml }
    }

    pub(crate) fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    pub(crate) fn find(&self, kind: &str, of: &str) -> Option<&Value> {
        self.objects.iter().find(|object| object["kind"] == kind && name(object) == of)
    }

    /// The object of this kind and name, to be changed.
    pub(crate) fn edit(&mut self, kind: &str, of: &str) -> &mut Value {
        let found = |object: &&mut Value| object["kind"] == kind && name(object) == of;
        self.objects.iter_mut().find(found).unwrap_or_else(|| panic!("there is no {kind} {of}"))
    }

    pub(crate) fn pods(&self) -> Vec<Pod<'_>> {
        let kinds = ["Deployment", "StatefulSet", "DaemonSet", "Job"];
        let objects = self.objects.iter().filter(|object| kinds.contains(&word(object, "kind")));
        let pod = |object| {
            let object: &Value = object;
            let template = &object["spec"]["template"];
            Pod {
                owner: format!("{} {}", word(object, "kind"), name(object)),
                namespace: namespace(object),
                labels: &template["metadata"]["labels"],
                annotations: &object["metadata"]["annotations"],
                spec: &template["spec"],
                replicas: object["spec"]["replicas"].as_u64().unwrap_or(1),
                claims: list(&object["spec"], "volumeClaimTemplates"),
            }
        };
        objects.map(pod).collect()
    }

    /// The pods that a Service leads to.
    pub(crate) fn behind(&self, service: &Value) -> Vec<Pod<'_>> {
        let selector = service["spec"]["selector"].as_object().cloned().unwrap_or_default();
        let mut pods = self.pods();
        pods.retain(|pod| {
            pod.namespace == namespace(service)
                && !selector.is_empty()
                && selector.iter().all(|(key, value)| pod.labels[key] == *value)
        });
        pods
    }

    /// The Service that a host name stands for, said in the namespace `from`: its own name, that of
    /// a pod of it, or either with what comes behind in a cluster.
    pub(crate) fn service(&self, host: &str, from: &str) -> Option<&Value> {
        let short = host.strip_suffix(".svc.cluster.local");
        let (names, space) = match short {
            Some(short) => short.rsplit_once('.')?,
            None => (host, from),
        };
        let own = names.split('.').next_back()?;
        let mut services = self.kind("Service");
        services.find(|service| name(service) == own && namespace(service) == space)
    }
}

impl Pod<'_> {
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Value> {
        list(self.spec, "initContainers").iter().chain(list(self.spec, "containers"))
    }

    /// The number of a port, by its name or as it is.
    pub(crate) fn port(&self, port: &Value) -> Option<u64> {
        let ports = list(self.spec, "containers").iter().flat_map(|one| list(one, "ports"));
        let mut ports =
            ports.filter(|known| known["name"] == *port || known["containerPort"] == *port);
        ports.next()?["containerPort"].as_u64()
    }

    /// Its variables that are given as they are, and where others come from.
    pub(crate) fn variables(container: &Value) -> Vec<(&str, &Value)> {
        list(container, "env").iter().map(|variable| (word(variable, "name"), variable)).collect()
    }
}

/// Whether a container runs our image.
pub(crate) fn ours(container: &Value) -> bool {
    let image = word(container, "image");
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    repository == "observatory" || repository.ends_with("/observatory")
}

/// Runs kustomize on a folder of the project.
pub(crate) fn kustomize(folder: &Path) -> String {
    printed(tool("kubectl").arg("kustomize").arg(folder))
}

/// An overlay of components on another, which the project leaves to whoever wants it.
fn composed(base: &str, components: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    // Its loader takes no absolute paths.
    let up = "../".repeat(folder.path().canonicalize().unwrap().components().count() - 1);
    let at =
        |path: &str| format!("{up}{}", project(path).display().to_string().trim_start_matches('/'));
    let mut text = format!("resources: [{}]\ncomponents:\n", at(base));
    components.iter().for_each(|one| text.push_str(&format!("  - {}\n", at(one))));
    std::fs::write(folder.path().join("kustomization.yaml"), text).unwrap();
    kustomize(&folder.path().canonicalize().unwrap())
}

/// Every set of manifests that is offered; each is rendered once.
pub(crate) fn all() -> &'static [Cluster] {
    static ALL: OnceLock<Vec<Cluster>> = OnceLock::new();
    ALL.get_or_init(|| {
        let of = |folder| kustomize(&project(folder));
        let more = ["k8s/components/pipeline-cluster", "k8s/components/service-monitor"];
        vec![
            Cluster::of("kind", of("k8s/overlays/kind")),
            Cluster::of("production", of("k8s/overlays/production")),
            Cluster::of("production as a cluster", composed("k8s/overlays/production", &more)),
        ]
    })
}

pub(crate) fn kind() -> Cluster {
    all()[0].clone()
}

/// Each of them with the gate that is run in it.
pub(crate) fn with_gate() -> Vec<Cluster> {
    let with = |cluster: &Cluster| {
        let gate = if cluster.name == "kind" { "gate" } else { "overlays/production/gate" };
        let gate = kustomize(&project("k8s").join(gate));
        Cluster::of(cluster.name, format!("{}---\n{gate}", cluster.yaml))
    };
    all().iter().map(with).collect()
}

/// The roles where neither servers nor a Prometheus of ours are.
pub(crate) fn roles() -> Cluster {
    Cluster::of("roles", composed("k8s/base", &["k8s/components/service-monitor"]))
}

/// The secrets that `k8s/secrets.sh` makes, as name → key → value.
pub(crate) fn secrets(of: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut command = Command::new(project("k8s/secrets.sh"));
    command.arg(of).envs([
        ("RABBITMQ_URL", "amqps://ada:it's@broker.example:5671/%2f"),
        ("POSTGRES_URL", "postgres://ada:secret@db.example:5432/observatory"),
        ("REDIS_URL", "redis://:secret@cache.example:6379"),
        ("MONGODB_URL", "mongodb://ada:secret@archive.example:27017/?replicaSet=rs0"),
    ]);
    let objects = documents(&printed(&mut command));
    let data = |object: &Value| {
        let data = object["stringData"].as_object().unwrap().iter();
        data.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
    };
    objects.iter().map(|object| (name(object).to_owned(), data(object))).collect()
}
