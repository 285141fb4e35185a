//! The manifests: what a cluster would take, and what would work there. Each check is shown to see
//! what it is there to see.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use super::checks;
use super::cluster::{
    Cluster, all, documents, kind, list, name, project, roles, secrets, text, tool, with_gate, word,
};
use super::network::{Edge, called, leads, outside, refused};
use super::options::{told, unknown};
use super::watching::{self, Watching};

type Secrets = BTreeMap<String, BTreeMap<String, String>>;

/// The version of Kubernetes that manifests are held against: the oldest of the last three.
const KUBERNETES: &str = "1.35";

fn secrets_of(cluster: &Cluster) -> Secrets {
    secrets(if cluster.name == "kind" { "kind" } else { "production" })
}

/// Holds of all overlays.
#[track_caller]
fn holds(check: impl Fn(&Cluster) -> Vec<String>) {
    for cluster in with_gate() {
        assert_eq!(check(&cluster), [""; 0], "{}", cluster.name);
    }
}

/// Is seen by a check once it is broken.
#[track_caller]
fn seen(check: impl Fn(&Cluster) -> Vec<String>, wrong: &str, breaks: impl FnOnce(&mut Cluster)) {
    let mut cluster = kind();
    breaks(&mut cluster);
    let found = check(&cluster);
    assert!(found.iter().any(|one| one.contains(wrong)), "{wrong}: {found:?}");
}

fn container<'a>(cluster: &'a mut Cluster, kind: &str, of: &str) -> &'a mut Value {
    &mut cluster.edit(kind, of)["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn every_overlay_is_what_kubernetes_knows() {
    let folder = tempfile::tempdir().unwrap();
    for cluster in with_gate() {
        // Of kinds that are not its own it knows nothing.
        let own = cluster.yaml.split("---\n").filter(|one| !one.contains("monitoring.coreos.com"));
        let path = folder.path().join(format!("{}.yaml", cluster.name));
        std::fs::write(&path, own.collect::<Vec<_>>().join("---\n")).unwrap();
        let mut validate = tool("kubernetes-validate");
        let output = validate.args(["--strict", "-k", KUBERNETES]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let said = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && !said.contains("ERROR"), "{}: {said}", cluster.name);
    }
    let broken = text("k8s/base/gateway.yaml").replace("maxSurge: 1", "maxSurge: 1, maxPods: 2");
    let path = folder.path().join("broken.yaml");
    std::fs::write(&path, broken).unwrap();
    let mut validate = tool("kubernetes-validate");
    let output = validate.args(["--strict", "-k", KUBERNETES]).arg(path).output().unwrap();
    assert!(!output.status.success(), "{output:?}");
}

#[test]
fn checkov_has_nothing_against_the_manifests_but_what_is_excused_with_a_reason() {
    let checkov = |folder: &std::path::Path| {
        let mut checkov = tool("checkov");
        checkov.arg("-d").arg(folder).arg("--config-file").arg(project("k8s/checkov.yaml"));
        checkov.args(["--output", "json", "--quiet", "--skip-download"]);
        let output = checkov.output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let passed = found["summary"]["passed"].as_u64().unwrap();
        assert!(passed > 100, "{passed}");
        let failed = list(&found["results"], "failed_checks").iter();
        failed
            .map(|one| format!("{} {}", word(one, "check_id"), word(one, "resource")))
            .collect::<Vec<_>>()
    };
    // It looks into no folder that is hidden, as others are made.
    let folder = tempfile::Builder::new().prefix("manifests").tempdir().unwrap();
    for cluster in with_gate() {
        std::fs::write(folder.path().join(format!("{}.yaml", cluster.name)), &cluster.yaml)
            .unwrap();
        for object in &cluster.objects {
            let annotations = object["metadata"]["annotations"].as_object();
            for (key, reason) in
                annotations.into_iter().flatten().filter(|(key, _)| key.starts_with("checkov"))
            {
                let reason =
                    reason.as_str().unwrap().split_once('=').map_or("", |(_, reason)| reason);
                assert!(reason.contains(' '), "{} {key} has no reason", name(object));
            }
        }
    }
    assert_eq!(checkov(folder.path()), [""; 0]);

    let broken =
        kind().yaml.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false");
    std::fs::write(folder.path().join("kind.yaml"), broken).unwrap();
    let failed = checkov(folder.path());
    assert!(failed.iter().any(|one| one == "CKV_K8S_22 Deployment.observatory.api"), "{failed:?}");
}

#[test]
fn every_service_leads_to_pods_and_every_port_is_there() {
    holds(checks::services);
    seen(checks::services, "Service api leads to no pod", |cluster| {
        cluster.edit("Service", "api")["spec"]["selector"] =
            json!({ "app.kubernetes.io/name": "apis" });
    });
    seen(checks::services, "Service gateway: its pods have no port", |cluster| {
        cluster.edit("Service", "gateway")["spec"]["ports"][0]["targetPort"] = json!("https");
    });
    holds(checks::ports);
    seen(checks::ports, "StatefulSet pipeline: livenessProbe asks", |cluster| {
        container(cluster, "StatefulSet", "pipeline")["livenessProbe"]["httpGet"]["port"] =
            json!("web");
    });
    seen(checks::ports, "is no port", |cluster| {
        container(cluster, "Deployment", "api")["ports"][0]["containerPort"] = json!(99_999);
    });
    seen(checks::ports, "listens on 8080", |cluster| {
        container(cluster, "Deployment", "api")["ports"][0]["containerPort"] = json!(8081);
    });
    seen(checks::ports, "Ingress grafana", |cluster| {
        let rule = &mut cluster.edit("Ingress", "grafana")["spec"]["rules"][0];
        rule["http"]["paths"][0]["backend"]["service"]["port"]["number"] = json!(3002);
    });
}

#[test]
fn every_file_and_secret_that_a_pod_names_is_there_and_no_secret_is_in_the_manifests() {
    let check = |cluster: &Cluster| checks::references(cluster, &secrets_of(cluster));
    holds(check);
    seen(check, "no ConfigMap observatory", |cluster| {
        cluster
            .objects
            .retain(|one| one["kind"] != "ConfigMap" || !name(one).starts_with("observatory-"));
    });
    seen(check, "Secret observatory-tokens has no token", |cluster| {
        let volumes = &mut cluster.edit("Deployment", "api")["spec"]["template"]["spec"]["volumes"];
        volumes[1]["secret"]["items"][0]["key"] = json!("token");
    });
    seen(check, "no volume tokens", |cluster| {
        let spec = &mut cluster.edit("Deployment", "api")["spec"]["template"]["spec"];
        spec["volumes"].as_array_mut().unwrap().pop();
    });
    seen(check, "is in the manifests", |cluster| {
        cluster.objects.push(json!({ "kind": "Secret", "metadata": { "name": "password" } }));
    });
}

#[test]
fn every_variable_is_an_option_of_the_program_and_its_value_is_one_that_it_takes() {
    let check = |cluster: &Cluster| unknown(&told(cluster, &secrets_of(cluster)));
    holds(check);
    let roles = told(&kind(), &secrets("kind")).into_iter().map(|one| one.role);
    assert_eq!(
        roles.collect::<BTreeSet<_>>(),
        ["api", "gateway", "pipeline", "worker"].map(str::to_owned).into()
    );
    seen(check, "api has no option OBSERVATORY_TOKEN_FILES", |cluster| {
        let env = &mut container(cluster, "Deployment", "api")["env"];
        env.as_array_mut()
            .unwrap()
            .push(json!({ "name": "OBSERVATORY_TOKEN_FILES", "value": "x" }));
    });
    seen(check, "no role has an option OBSERVATORY_LOGS", |cluster| {
        let maps = cluster.objects.iter_mut().filter(|one| one["kind"] == "ConfigMap");
        let mut ours = maps.filter(|one| name(one).starts_with("observatory-"));
        ours.next().unwrap()["data"]["OBSERVATORY_LOGS"] = json!("info");
    });
    seen(check, "invalid value", |cluster| {
        container(cluster, "Deployment", "worker")["env"][0]["value"] = json!("everywhere");
    });
    seen(check, "nothing is at /run/secrets/servers/broker-url", |cluster| {
        container(cluster, "Deployment", "worker")["env"][1]["value"] =
            json!("/run/secrets/servers/broker-url");
    });
}

#[test]
fn our_image_has_the_version_of_the_workspace() {
    holds(checks::images);
    seen(checks::images, "observatory:0.0.9", |cluster| {
        container(cluster, "Deployment", "api")["image"] = json!("observatory:0.0.9");
    });
    seen(checks::images, "is not the image of the others", |cluster| {
        container(cluster, "Deployment", "worker")["image"] =
            json!(format!("example.com/observatory:{}", env!("CARGO_PKG_VERSION")));
    });
    seen(checks::images, "redis:latest", |cluster| {
        container(cluster, "StatefulSet", "redis")["image"] = json!("redis:latest");
    });
}

#[test]
fn everything_runs_with_as_few_rights_as_it_can_and_within_limits() {
    holds(checks::restrictions);
    seen(checks::restrictions, "Deployment api: is not 65532", |cluster| {
        cluster.edit("Deployment", "api")["spec"]["template"]["spec"]["securityContext"]["runAsUser"] =
            json!(0);
    });
    seen(checks::restrictions, "StatefulSet mongodb: may write to its root", |cluster| {
        container(cluster, "StatefulSet", "mongodb")["securityContext"]["readOnlyRootFilesystem"] =
            json!(false);
    });
    seen(checks::restrictions, "StatefulSet redis: has no limits", |cluster| {
        container(cluster, "StatefulSet", "redis")["resources"]["limits"] = json!({ "cpu": "1" });
    });
    seen(checks::restrictions, "StatefulSet redis: startupProbe", |cluster| {
        container(cluster, "StatefulSet", "redis").as_object_mut().unwrap().remove("startupProbe");
    });
    holds(checks::probes);
    seen(checks::probes, "Deployment api: its probes", |cluster| {
        container(cluster, "Deployment", "api")["livenessProbe"]["httpGet"]["path"] =
            json!("/readyz");
    });
    seen(checks::probes, "StatefulSet pipeline: has 60 s", |cluster| {
        container(cluster, "StatefulSet", "pipeline")["startupProbe"]["failureThreshold"] =
            json!(30);
    });
}

#[test]
fn what_holds_data_has_a_volume_and_numbers_of_pods_agree() {
    let with_stores = |cluster: &Cluster| checks::volumes(cluster);
    holds(with_stores);
    seen(with_stores, "StatefulSet postgres: /var/lib/postgresql/data", |cluster| {
        cluster.edit("StatefulSet", "postgres")["spec"]["volumeClaimTemplates"] = json!([]);
    });
    holds(checks::numbers);
    seen(checks::numbers, "PodDisruptionBudget worker", |cluster| {
        cluster.objects.retain(|one| one["kind"] != "Deployment" || name(one) != "worker");
    });
    holds(checks::processes);
    seen(checks::processes, "2 pods are to be 1 processes", |cluster| {
        cluster.edit("StatefulSet", "pipeline")["spec"]["replicas"] = json!(2);
    });
    let cluster = &all()[2];
    let pipeline = cluster.find("StatefulSet", "pipeline").unwrap();
    assert_eq!(pipeline["spec"]["replicas"], 2);
    // The production overlay has numbers that move, and no servers of its own.
    let production = &all()[1];
    assert_eq!(production.kind("HorizontalPodAutoscaler").count(), 3);
    assert!(production.find("StatefulSet", "postgres").is_none());
    assert_eq!(kind().kind("HorizontalPodAutoscaler").count(), 0);
}

#[test]
fn prometheus_alertmanager_and_grafana_find_what_their_files_name() {
    let check = |cluster: &Cluster| watching::lost(cluster, &Watching::of(cluster));
    holds(check);
    for cluster in all() {
        let there = Watching::of(cluster);
        watching::checked(&there);
        assert_eq!(
            watching::jobs(&there.prometheus),
            watching::jobs(&text("monitoring/prometheus.yml"))
        );
        // What is not an address is as it was.
        let map =
            cluster.kind("ConfigMap").find(|one| name(one).starts_with("prometheus-")).unwrap();
        assert_eq!(map["data"]["rules.yml"], text("monitoring/rules.yml"));
        let map = cluster
            .kind("ConfigMap")
            .find(|one| name(one).starts_with("grafana-dashboards"))
            .unwrap();
        let dashboard = text("monitoring/grafana/dashboards/observatory.json");
        assert_eq!(map["data"]["observatory.json"], dashboard);
    }
    seen(check, "gateway-pods:3000 leads nowhere", |cluster| {
        cluster.objects.retain(|one| one["kind"] != "Service" || name(one) != "gateway-pods");
    });
    seen(check, "prometheus.yml: nothing is at /run/secrets/token/prometheus", |cluster| {
        let spec = &mut cluster.edit("StatefulSet", "prometheus")["spec"]["template"]["spec"];
        spec["containers"][0]["volumeMounts"].as_array_mut().unwrap().pop();
    });
    seen(check, "still has", |cluster| {
        let maps = cluster.objects.iter_mut().filter(|one| one["kind"] == "ConfigMap");
        let mut ours = maps.filter(|one| name(one).starts_with("addresses-"));
        let script = &mut ours.next().unwrap()["data"]["addresses.sed"];
        *script = json!(script.as_str().unwrap().replace("localhost:8000", "localhost:8001"));
    });
}

/// Who has to speak to whom, and what leads nowhere of all that somebody is told to speak to.
#[derive(Default)]
struct Spoken {
    edges: BTreeSet<Edge>,
    lost: Vec<String>,
}

impl Spoken {
    fn add(&mut self, cluster: &Cluster, from: &str, address: &str) {
        if let Some((to, port)) = leads(cluster, "observatory", address) {
            self.edges.insert(Edge { from: from.to_owned(), to, port });
        } else if !outside(cluster, "observatory", address) {
            self.lost.push(format!("{from}: {address} leads nowhere"));
        }
    }

    fn add_roles(&mut self, cluster: &Cluster) {
        for one in told(cluster, &secrets_of(cluster)) {
            let own = one.owner.split(' ').next_back().unwrap();
            one.addresses().iter().for_each(|address| self.add(cluster, own, address));
        }
    }
}

/// Everybody who has to speak to somebody.
fn spoken(cluster: &Cluster) -> Spoken {
    let mut spoken = Spoken::default();
    spoken.add_roles(cluster);
    let mut add = |from: &str, address: &str| spoken.add(cluster, from, address);
    for (from, address) in watching::addresses(&Watching::of(cluster)) {
        add(from, &address);
    }
    for ingress in cluster.kind("Ingress").filter(|_| cluster.name == "kind") {
        let backend = &ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
        add("traefik", &format!("{}:{}", word(backend, "name"), backend["port"]["number"]));
    }
    add("pipeline", "pipeline:2101");
    if cluster.name == "kind" {
        add("mongodb", "mongodb:27017");
        add("pgadmin", "postgres:5432");
        add("mongo-express", "mongodb:27017");
        add("redisinsight", "redis:6379");
    }
    spoken
}

#[test]
fn the_network_lets_through_what_has_to_be_said_and_nothing_else_by_default() {
    let check = |cluster: &Cluster| {
        let Spoken { edges, lost } = spoken(cluster);
        let edges: Vec<_> = edges.into_iter().collect();
        [lost, refused(cluster, &edges)].concat()
    };
    holds(check);
    let [kind, ..] = &with_gate()[..] else { unreachable!() };
    let edges = spoken(kind).edges;
    let edge = |from: &str, to: &str, port| Edge { from: from.to_owned(), to: to.to_owned(), port };
    for known in [
        edge("gateway", "rabbitmq", 5672),
        edge("api", "alertmanager", 9093),
        edge("alertmanager", "api", 8080),
        edge("prometheus", "pipeline", 9100),
        edge("traefik", "grafana", 3000),
        edge("gate", "postgres", 5432),
    ] {
        assert!(edges.contains(&known), "{known:?} is not among {edges:?}");
    }
    let strangers = [
        edge("worker", "postgres", 5432),
        edge("grafana", "api", 8080),
        edge("traefik", "postgres", 5432),
        edge("gateway", "redis", 6379),
        edge("api", "worker", 8000),
    ];
    for stranger in strangers {
        assert!(!refused(kind, std::slice::from_ref(&stranger)).is_empty(), "{stranger:?}");
    }
    seen(check, "api: prometheus:9090 leads nowhere", |cluster| {
        cluster.objects.retain(|one| one["kind"] != "Service" || name(one) != "prometheus");
    });
    seen(check, "egress of api", |cluster| {
        cluster.objects.retain(|one| one["kind"] != "NetworkPolicy" || name(one) != "api");
    });
    // Whatever comes without a policy of its own is shut off.
    for cluster in all() {
        for pod in cluster.pods().iter().filter(|pod| pod.namespace == "observatory") {
            let policy = cluster.find("NetworkPolicy", "default-deny").unwrap();
            assert_eq!(policy["spec"]["podSelector"], json!({}), "{}", called(pod));
        }
    }
}

#[test]
fn roles_without_a_prometheus_of_ours_are_not_sent_to_it() {
    let mut spoken = Spoken::default();
    spoken.add_roles(&roles());
    assert_eq!(spoken.lost, [""; 0]);
    assert!(!spoken.edges.is_empty());
}

#[test]
fn who_waits_for_mongod_gives_up_some_time_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    for (name, script) in [
        ("sleep", ""),
        (
            "mongosh",
            r#"echo >>"$STATE/calls"
[ "$(wc -l <"$STATE/calls")" -ge "$READY" ] || { echo "no mongod yet"; exit 1; }"#,
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut kind = kind();
    let hook = container(&mut kind, "StatefulSet", "mongodb")["lifecycle"]["postStart"].take();
    let command = list(&hook["exec"], "command").iter().map(|word| word.as_str().unwrap());
    // What is in the container's is in a folder of this test.
    let command: Vec<_> = command
        .map(|word| word.replace("/tmp/", &format!("{}/", folder.path().display())))
        .collect();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    for (ready, succeeds, said) in [(3, true, ""), (10_000, false, "no mongod yet\n")] {
        let mut hook = Command::new(&command[0]);
        hook.args(&command[1..]).env("PATH", &path).env("STATE", folder.path());
        let output = hook.env("READY", ready.to_string()).output().unwrap();
        assert_eq!(output.status.success(), succeeds, "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), said);
    }
}

#[test]
fn every_page_of_the_registry_is_at_its_port_of_this_machine() {
    let kind = kind();
    let config = &documents(&text("nix/kind/cluster.yaml"))[0];
    let mapped = list(&config["nodes"][0], "extraPortMappings");
    let service = kind.find("Service", "traefik").unwrap();
    let registry: Value = serde_json::from_str(&text("contracts/ui-registry.json")).unwrap();
    let pages: BTreeSet<u64> =
        list(&registry, "entries").iter().map(|page| page["port"].as_u64().unwrap()).collect();
    let hosts: BTreeSet<u64> = mapped.iter().map(|one| one["hostPort"].as_u64().unwrap()).collect();
    assert_eq!(hosts, pages);
    for one in mapped {
        assert_eq!(one["listenAddress"], "127.0.0.1", "{one}");
        let mut ports = list(&service["spec"], "ports").iter();
        let port = ports
            .find(|port| port["nodePort"] == one["containerPort"])
            .unwrap_or_else(|| panic!("{one}"));
        assert_eq!(port["port"], one["hostPort"], "{one}");
        let entry = word(port, "name");
        let mut args = list(
            &kind.find("Deployment", "traefik").unwrap()["spec"]["template"]["spec"]["containers"]
                [0],
            "args",
        )
        .iter();
        let listens = format!("--entrypoints.{entry}.address=:{}", one["hostPort"]);
        assert!(args.any(|arg| *arg == listens), "{listens}");
        let annotation = "traefik.ingress.kubernetes.io/router.entrypoints";
        let led = kind
            .kind("Ingress")
            .filter(|ingress| ingress["metadata"]["annotations"][annotation] == entry);
        assert_eq!(led.count(), 1, "{entry}");
    }
}

#[test]
fn secrets_are_other_ones_each_time_and_tell_nobody_a_token() {
    let (one, other) = (secrets("kind"), secrets("kind"));
    assert_ne!(one, other);
    for token in ["prometheus", "alertmanager", "gate", "admin"] {
        let tokens = &one["observatory-tokens"];
        assert!(!tokens["tokens"].contains(&tokens[token]), "{token}");
    }
    // What is special in YAML is still there.
    let servers = &secrets("production")["observatory-servers"];
    assert_eq!(servers["rabbitmq-url"], "amqps://ada:it's@broker.example:5671/%2f");
    let output = Command::new(project("k8s/secrets.sh"))
        .arg("production")
        .env_remove("REDIS_URL")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("REDIS_URL"), "{output:?}");
}

#[test]
fn the_image_that_the_manifests_name_is_the_one_that_the_flake_makes() {
    let scripts = text("nix/kind/lib.sh");
    assert!(scripts.contains("$root#image-observatory"), "the scripts build another");
    let image = text("nix/image.nix");
    for line in ["name = \"observatory\";", "tag = observatory.version;", "User = \"65532:65532\";"]
    {
        assert!(image.contains(line), "nix/image.nix has no {line}");
    }
    let outputs = text("nix/default.nix");
    assert!(outputs.contains("image-observatory ="), "the flake has no such output");
}
