//! Whether the policies of the network let through what has to be said, as a cluster would decide.

use serde_json::{Value, json};

use super::cluster::{Cluster, Pod, list, name, namespace, word};

/// Somebody who speaks to somebody: names of pods, by their label, and a port of the second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) port: u64,
}

/// The label that pods are called by.
pub(crate) fn called(pod: &Pod<'_>) -> String {
    word(pod.labels, "app.kubernetes.io/name").to_owned()
}

/// Where an address leads, if that is in the cluster: the pods behind it, and their port.
pub(crate) fn leads(cluster: &Cluster, from: &str, address: &str) -> Option<(String, u64)> {
    let (host, port) = address.rsplit_once(':')?;
    let service = cluster.service(host, from)?;
    let ports = list(&service["spec"], "ports");
    let port: u64 = port.parse().ok()?;
    // Without an address of its own a Service is only names: whoever asks reaches the pods' ports.
    let target = match service["spec"]["clusterIP"] == "None" {
        true => json!(port),
        false => ports.iter().find(|one| one["port"] == port)?["targetPort"].clone(),
    };
    let pods = cluster.behind(service);
    let pod = pods.first()?;
    Some((called(pod), pod.port(&target)?))
}

/// Whether an address is of a server elsewhere: of a Service that is only another name for it, or as
/// the URLs of these tests have them.
pub(crate) fn outside(cluster: &Cluster, from: &str, address: &str) -> bool {
    let host = address.split(':').next().unwrap_or_default();
    let service = cluster.service(host, from);
    host.ends_with(".example")
        || service.is_some_and(|service| service["spec"]["type"] == "ExternalName")
}

/// Which of them no policy lets through.
pub(crate) fn refused(cluster: &Cluster, edges: &[Edge]) -> Vec<String> {
    let pods = cluster.pods();
    let find = |of: &str| pods.iter().find(|pod| called(pod) == of);
    let mut wrong = Vec::new();
    for edge @ Edge { from, to, port } in edges {
        let (Some(from), Some(to)) = (find(from), find(to)) else {
            wrong.push(format!("{edge:?}: there are no such pods"));
            continue;
        };
        for (way, own, other) in [("egress", from, to), ("ingress", to, from)] {
            if !lets(cluster, way, own, other, to, *port) {
                wrong.push(format!("{way} of {}: {edge:?}", called(own)));
            }
        }
    }
    wrong
}

/// Whether the policies that apply to `own` let it speak with `other`, at a port of `to`.
fn lets(
    cluster: &Cluster,
    way: &str,
    own: &Pod<'_>,
    other: &Pod<'_>,
    to: &Pod<'_>,
    port: u64,
) -> bool {
    let kind = if way == "egress" { "Egress" } else { "Ingress" };
    let applies = |policy: &&Value| {
        namespace(policy) == own.namespace
            && list(&policy["spec"], "policyTypes").contains(&json!(kind))
            && selects(&policy["spec"]["podSelector"], own.labels)
    };
    let policies: Vec<_> = cluster.kind("NetworkPolicy").filter(applies).collect();
    let peers = if way == "egress" { "to" } else { "from" };
    policies.is_empty()
        || policies.iter().flat_map(|policy| list(&policy["spec"], way)).any(|rule| {
            let ports = list(rule, "ports");
            let fits = |one: &Value| to.port(&one["port"]) == Some(port) || one["port"] == port;
            let by_port = ports.is_empty() || ports.iter().any(fits);
            let by_peer = rule[peers].is_null()
                || list(rule, peers).iter().any(|peer| is(cluster, peer, other, own.namespace));
            by_port && by_peer
        })
}

fn is(cluster: &Cluster, peer: &Value, pod: &Pod<'_>, here: &str) -> bool {
    // An address of a node's, and no pod's.
    if !peer["ipBlock"].is_null() {
        return false;
    }
    let space = &peer["namespaceSelector"];
    let in_space = match space.is_null() {
        true => pod.namespace == here,
        false => {
            let object = cluster.kind("Namespace").find(|one| name(one) == pod.namespace);
            let labels = object.map_or(&Value::Null, |one| &one["metadata"]["labels"]);
            selects(space, labels)
        }
    };
    in_space && (peer["podSelector"].is_null() || selects(&peer["podSelector"], pod.labels))
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let exact = selector["matchLabels"].as_object().into_iter().flatten();
    let any = list(selector, "matchExpressions").iter();
    exact.into_iter().all(|(key, value)| labels[key] == *value)
        && any.into_iter().all(|one| {
            assert_eq!(one["operator"], "In", "this check knows no other");
            list(one, "values").contains(&labels[word(one, "key")])
        })
}
