//! What must be so of manifests, and no schema knows. Each check gives what it has against them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::{Cluster, Pod, list, name, namespace, ours, word};

type Secrets = BTreeMap<String, BTreeMap<String, String>>;

/// Every Service leads to pods, and each of its ports to one that a container has.
pub(crate) fn services(cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    for service in cluster.kind("Service").filter(|one| one["spec"]["type"] != "ExternalName") {
        let pods = cluster.behind(service);
        if pods.is_empty() {
            wrong.push(format!("Service {} leads to no pod", name(service)));
        }
        for port in list(&service["spec"], "ports") {
            let target =
                if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
            if pods.iter().any(|pod| pod.port(target).is_none()) {
                wrong.push(format!("Service {}: its pods have no port {target}", name(service)));
            }
            if port["protocol"] != "TCP" {
                wrong.push(format!("Service {}: a port says no protocol", name(service)));
            }
        }
    }
    wrong
}

/// Every port that is spoken of is there: of probes, Ingresses, and what our own roles listen on.
pub(crate) fn ports(cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    for pod in cluster.pods() {
        for container in list(pod.spec, "containers") {
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                for how in ["httpGet", "tcpSocket"] {
                    let port = &container[probe][how]["port"];
                    if !port.is_null() && pod.port(port).is_none() {
                        wrong.push(format!("{}: {probe} asks at {port}", pod.owner));
                    }
                }
            }
            for port in list(container, "ports") {
                if !(1..65536).contains(&port["containerPort"].as_u64().unwrap_or(0)) {
                    wrong.push(format!("{}: {port} is no port", pod.owner));
                }
            }
            let listen = Pod::variables(container)
                .into_iter()
                .find(|(name, _)| *name == "OBSERVATORY_LISTEN");
            if let Some((_, listen)) = listen {
                let port = word(listen, "value").rsplit(':').next().unwrap_or_default();
                if pod.port(&json!("http")).map(|port| port.to_string()).as_deref() != Some(port) {
                    wrong.push(format!(
                        "{}: listens on {port}, which is not its port http",
                        pod.owner
                    ));
                }
            }
        }
    }
    for ingress in cluster.kind("Ingress") {
        for path in
            list(&ingress["spec"], "rules").iter().flat_map(|rule| list(&rule["http"], "paths"))
        {
            let (backend, own) = (&path["backend"]["service"], namespace(ingress));
            let service = cluster.service(word(backend, "name"), own);
            let ports = service.map_or(&[][..], |service| list(&service["spec"], "ports"));
            if !ports.iter().any(|port| port["port"] == backend["port"]["number"]) {
                wrong.push(format!("Ingress {}: there is no {backend}", name(ingress)));
            }
        }
    }
    wrong
}

/// Every ConfigMap, Secret, key of one and volume that a pod names is there, and no secret is in
/// the manifests.
pub(crate) fn references(cluster: &Cluster, secrets: &Secrets) -> Vec<String> {
    let mut wrong = Vec::new();
    for secret in cluster.kind("Secret") {
        wrong.push(format!("Secret {} is in the manifests", name(secret)));
    }
    for pod in cluster.pods() {
        let space = pod.namespace;
        let map = |of: &str| {
            let found =
                cluster.kind("ConfigMap").find(|map| name(map) == of && namespace(map) == space);
            found.map(|map| map["data"].as_object().cloned().unwrap_or_default())
        };
        let mut need_map = |source: &Value, keys: &[Value]| {
            let of = word(source, "name");
            let Some(data) = map(of) else {
                return wrong.push(format!("{}: no ConfigMap {of}", pod.owner));
            };
            let missing =
                keys.iter().map(|item| word(item, "key")).filter(|key| !data.contains_key(*key));
            wrong.extend(missing.map(|key| format!("{}: ConfigMap {of} has no {key}", pod.owner)));
        };
        let mut lacking = Vec::new();
        let mut need_secret = |of: &str, keys: &[Value]| {
            let Some(data) = secrets.get(of) else {
                return lacking.push(format!("{}: no Secret {of}", pod.owner));
            };
            let missing =
                keys.iter().map(|item| word(item, "key")).filter(|key| !data.contains_key(*key));
            lacking.extend(missing.map(|key| format!("{}: Secret {of} has no {key}", pod.owner)));
        };
        let mut volumes: Vec<&str> = pod.claims.iter().map(name).collect();
        for volume in list(pod.spec, "volumes") {
            volumes.push(word(volume, "name"));
            let projected = list(&volume["projected"], "sources").iter();
            for source in projected.chain([volume]) {
                if source["configMap"].is_object() {
                    need_map(&source["configMap"], list(&source["configMap"], "items"));
                }
                let secret = &source["secret"];
                if secret.is_object() {
                    let of = secret["secretName"].as_str().unwrap_or_else(|| word(secret, "name"));
                    need_secret(of, list(secret, "items"));
                }
            }
        }
        let mut unmounted = Vec::new();
        for container in pod.containers() {
            for from in list(container, "envFrom") {
                need_map(&from["configMapRef"], &[]);
            }
            for (_, variable) in Pod::variables(container) {
                let from = &variable["valueFrom"];
                if from["secretKeyRef"].is_object() {
                    let key = &from["secretKeyRef"];
                    need_secret(word(key, "name"), std::slice::from_ref(key));
                }
                if from["configMapKeyRef"].is_object() {
                    let key = &from["configMapKeyRef"];
                    need_map(key, std::slice::from_ref(key));
                }
            }
            let mounts = list(container, "volumeMounts").iter().map(|mount| word(mount, "name"));
            let missing = mounts.filter(|mount| !volumes.contains(mount));
            unmounted.extend(missing.map(|mount| format!("{}: no volume {mount}", pod.owner)));
        }
        wrong.extend(lacking);
        wrong.extend(unmounted);
    }
    wrong
}

/// Our image has the version of the workspace, and no other is whatever is newest.
pub(crate) fn images(cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    let pods = cluster.pods();
    let mut all = pods.iter().flat_map(Pod::containers);
    let first = all.find(|container| ours(container)).map(|container| word(container, "image"));
    for pod in &pods {
        for container in pod.containers() {
            let image = word(container, "image");
            if ours(container) && Some(image) != first {
                wrong.push(format!("{}: {image} is not the image of the others", pod.owner));
            }
            let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
            let fine = match ours(container) {
                true => tag == env!("CARGO_PKG_VERSION"),
                false => {
                    tag.starts_with(|c: char| c.is_ascii_digit() || c == 'v') && tag.contains('.')
                }
            };
            if !fine {
                wrong.push(format!("{}: {image} is not the version that is meant", pod.owner));
            }
        }
    }
    wrong
}

/// Everything runs under the restricted standard, on a read-only root, within limits, and ours as
/// user 65532.
pub(crate) fn restrictions(cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    for pod in cluster.pods() {
        let own = &pod.spec["securityContext"];
        let mut must = |fine: bool, what: &str| {
            if !fine {
                wrong.push(format!("{}: {what}", pod.owner));
            }
        };
        must(own["runAsNonRoot"] == true, "may run as root");
        must(own["seccompProfile"]["type"] == "RuntimeDefault", "has no seccomp profile");
        must(pod.spec["enableServiceLinks"] == false, "gets variables for each Service");
        let asks = pod.owner == "Deployment traefik";
        must(pod.spec["automountServiceAccountToken"] == asks, "has a token of the cluster's");
        for host in ["hostNetwork", "hostPID", "hostIPC"] {
            must(pod.spec[host] != true, "is in a namespace of the node's");
        }
        for container in pod.containers() {
            let context = &container["securityContext"];
            must(context["allowPrivilegeEscalation"] == false, "may get more rights");
            let added = list(&context["capabilities"], "add").iter();
            let bare = context["capabilities"]["drop"] == json!(["ALL"]);
            // The one that the standard lets pass.
            must(bare && added.clone().all(|one| one == "NET_BIND_SERVICE"), "has capabilities");
            must(added.count() == 0 || !ours(container), "has capabilities");
            let annotations = pod.annotations.as_object().into_iter().flatten();
            let excused = annotations
                .filter_map(|(_, reason)| reason.as_str()?.split_once('='))
                .any(|(check, _)| check == "CKV_K8S_22");
            must(context["readOnlyRootFilesystem"] == true || excused, "may write to its root");
            for kind in ["requests", "limits"] {
                let resources = &container["resources"][kind];
                must(
                    resources["cpu"].is_string() && resources["memory"].is_string(),
                    "has no limits",
                );
            }
            if ours(container) {
                must(own["runAsUser"] == 65532 && own["runAsGroup"] == 65532, "is not 65532");
            }
        }
        if !pod.owner.starts_with("Job ") {
            for container in list(pod.spec, "containers") {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    must(container[probe].is_object(), probe);
                }
            }
        }
    }
    let restricted = cluster.kind("Namespace").all(|space| {
        space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    });
    if !restricted {
        wrong.push("a namespace lets in what is not restricted".to_owned());
    }
    wrong
}

/// The roles are asked what is theirs to answer: whether they live at `/livez`, whether they do
/// their work at `/readyz`; a pipeline has an hour to read back its state.
pub(crate) fn probes(cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    for pod in cluster.pods().iter().filter(|pod| !pod.owner.starts_with("Job ")) {
        for container in list(pod.spec, "containers").iter().filter(|container| ours(container)) {
            let path = |probe: &str| word(&container[probe]["httpGet"], "path").to_owned();
            let starts = if word(container, "name") == "pipeline" { "/readyz" } else { "/livez" };
            if [path("startupProbe"), path("livenessProbe"), path("readinessProbe")]
                != [starts, "/livez", "/readyz"]
            {
                wrong.push(format!("{}: its probes ask for what is not theirs", pod.owner));
            }
            let start = &container["startupProbe"];
            let seconds = start["periodSeconds"].as_u64().unwrap_or(10)
                * start["failureThreshold"].as_u64().unwrap_or(3);
            let needed = if starts == "/readyz" { 3_600 } else { 60 };
            if seconds < needed {
                wrong.push(format!("{}: has {seconds} s to start", pod.owner));
            }
        }
    }
    wrong
}

/// What says how many pods there are to be finds them.
pub(crate) fn numbers(cluster: &Cluster) -> Vec<String> {
    let mut wrong = Vec::new();
    for budget in cluster.kind("PodDisruptionBudget") {
        let labels = &budget["spec"]["selector"]["matchLabels"];
        let service = json!({ "metadata": budget["metadata"], "spec": { "selector": labels } });
        if cluster.behind(&service).is_empty() {
            wrong.push(format!("PodDisruptionBudget {} is about no pod", name(budget)));
        }
    }
    for scaler in cluster.kind("HorizontalPodAutoscaler") {
        let target = &scaler["spec"]["scaleTargetRef"];
        match cluster.find(word(target, "kind"), word(target, "name")) {
            None => wrong.push(format!("HorizontalPodAutoscaler {} scales nothing", name(scaler))),
            Some(object) if !object["spec"]["replicas"].is_null() => {
                wrong.push(format!("{} has a number of its own beside its scaler", name(object)));
            }
            Some(_) => {}
        }
    }
    wrong
}

/// What holds data holds it on a volume that outlives the pod.
pub(crate) fn volumes(cluster: &Cluster) -> Vec<String> {
    let holders = [
        ("rabbitmq", "/var/lib/rabbitmq"),
        ("postgres", "/var/lib/postgresql/data"),
        ("mongodb", "/data/db"),
        ("prometheus", "/prometheus"),
        ("alertmanager", "/alertmanager"),
        ("grafana", "/var/lib/grafana"),
    ];
    let mut wrong = Vec::new();
    for pod in cluster.pods() {
        for container in list(pod.spec, "containers") {
            let own = word(container, "name");
            let Some((_, path)) = holders.iter().find(|(holder, _)| *holder == own) else {
                continue;
            };
            let mounts = list(container, "volumeMounts").iter();
            let mut at = mounts.filter(|mount| mount["mountPath"] == *path);
            let kept =
                at.any(|mount| pod.claims.iter().any(|claim| name(claim) == word(mount, "name")));
            if !kept {
                wrong.push(format!("{}: {path} ends with the pod", pod.owner));
            }
        }
    }
    wrong
}

/// A pipeline of several processes has as many pods as processes, and as many addresses, each of
/// a pod.
pub(crate) fn processes(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.pods();
    let Some(pod) = pods.iter().find(|pod| pod.owner == "StatefulSet pipeline") else {
        return vec!["there is no pipeline".to_owned()];
    };
    let variables = Pod::variables(&pod.spec["containers"][0]);
    let value =
        |of: &str| variables.iter().find(|(name, _)| *name == of).map(|(_, variable)| *variable);
    let n = value("OBSERVATORY_PROCESSES").map_or("", |variable| word(variable, "value"));
    let mut wrong = Vec::new();
    if n != pod.replicas.to_string() {
        wrong.push(format!("{} pods are to be {n} processes", pod.replicas));
    }
    let index = value("OBSERVATORY_PROCESS")
        .map(|variable| &variable["valueFrom"]["fieldRef"]["fieldPath"]);
    if index != Some(&json!("metadata.labels['apps.kubernetes.io/pod-index']")) {
        wrong.push("a process does not know its place".to_owned());
    }
    let volumes = list(pod.spec, "volumes").iter();
    let map =
        volumes.map(|volume| word(&volume["configMap"], "name")).find(|name| !name.is_empty());
    let map = map.and_then(|map| cluster.find("ConfigMap", map));
    let hosts = map.map_or("", |map| word(&map["data"], "hosts"));
    let hosts: Vec<_> = hosts.lines().filter(|line| !line.starts_with('#')).collect();
    let peers = pod.port(&json!("peers")).unwrap_or_default();
    let expected: Vec<_> = (0..pod.replicas)
        .map(|i| format!("pipeline-{i}.pipeline.{}.svc.cluster.local:{peers}", pod.namespace))
        .collect();
    if hosts != expected {
        wrong.push(format!("the hosts of the pipeline are {hosts:?} and not {expected:?}"));
    }
    let service = cluster.find("Service", "pipeline");
    let early = service.is_some_and(|one| {
        one["spec"]["clusterIP"] == "None" && one["spec"]["publishNotReadyAddresses"] == true
    });
    if !early {
        wrong.push("processes can not find each other before they are ready".to_owned());
    }
    wrong
}
