//! The files of `monitoring/` as they are in a cluster: with other addresses, each of which is there.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::cluster::{Cluster, Pod, documents, list, name, printed, text, word};
use super::network::{leads, outside};
use super::options::host_of;

/// A file as an init container leaves it.
pub(crate) struct Watching {
    pub(crate) prometheus: String,
    pub(crate) alertmanager: String,
    pub(crate) datasource: String,
}

impl Watching {
    /// As they are in the manifests, with the script that is there.
    pub(crate) fn of(cluster: &Cluster) -> Watching {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("addresses.sed");
        fs::write(&script, given(cluster, "addresses-", "addresses.sed")).unwrap();
        let there = |map: &str, key: &str| replaced(&script, given(cluster, map, key));
        Watching {
            prometheus: there("prometheus-", "prometheus.yml"),
            alertmanager: there("alertmanager-", "alertmanager.yml"),
            datasource: there("grafana-provisioning-", "datasources.yml"),
        }
    }
}

/// A file of a ConfigMap, whose name begins so.
fn given<'a>(cluster: &'a Cluster, map: &str, key: &str) -> &'a str {
    let mut maps = cluster.kind("ConfigMap").filter(|one| name(one).starts_with(map));
    maps.find_map(|map| map["data"][key].as_str()).unwrap_or_else(|| panic!("no {key} in {map}"))
}

fn replaced(script: &Path, text: &str) -> String {
    let file = script.with_file_name("given");
    fs::write(&file, text).unwrap();
    printed(Command::new("sed").arg("-f").arg(script).arg(&file))
}

/// Where everything is that Prometheus asks, Alertmanager tells and Grafana draws from: `from`, and
/// `host:port`.
pub(crate) fn addresses(watching: &Watching) -> Vec<(&'static str, String)> {
    let prometheus = &documents(&watching.prometheus)[0];
    let mut found = Vec::new();
    let jobs = list(prometheus, "scrape_configs").iter();
    for job in jobs.chain(list(&prometheus["alerting"], "alertmanagers")) {
        for target in list(job, "dns_sd_configs") {
            let host = target["names"][0].as_str().unwrap_or_default();
            found.push(("prometheus", format!("{host}:{}", target["port"])));
        }
    }
    let receivers = &documents(&watching.alertmanager)[0];
    for receiver in list(receivers, "receivers") {
        for hook in list(receiver, "webhook_configs") {
            found.push(("alertmanager", host_of(word(hook, "url")).unwrap()));
        }
    }
    for source in list(&documents(&watching.datasource)[0], "datasources") {
        found.push(("grafana", host_of(word(source, "url")).unwrap()));
    }
    found
}

/// Addresses that lead nowhere, and tokens that nobody has put there.
pub(crate) fn lost(cluster: &Cluster, watching: &Watching) -> Vec<String> {
    let mut wrong = Vec::new();
    for (what, text) in [
        ("prometheus.yml", &watching.prometheus),
        ("alertmanager.yml", &watching.alertmanager),
        ("datasources.yml", &watching.datasource),
    ] {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for line in
            lines.filter(|line| line.contains("localhost") || line.contains("static_configs"))
        {
            wrong.push(format!("{what} still has {line}"));
        }
        for path in text
            .split_inclusive('\n')
            .filter(|line| !line.trim_start().starts_with('#'))
            .filter_map(|line| {
                let path = line.split_once("credentials_file: ")?.1;
                path.split([' ', '}']).next()
            })
        {
            let own = what.split('.').next().unwrap_or_default();
            let pods = cluster.pods();
            let pod = pods.iter().find(|pod| pod.owner == format!("StatefulSet {own}"));
            if !pod.is_some_and(|pod| has_file(pod, path)) {
                wrong.push(format!("{what}: nothing is at {path}"));
            }
        }
    }
    for (from, address) in addresses(watching) {
        let host = address.split(':').next().unwrap_or_default();
        let outside = outside(cluster, "observatory", &address);
        if !outside && leads(cluster, "observatory", &address).is_none() {
            wrong.push(format!("{from}: {address} leads nowhere"));
        }
        // Prometheus is to see every pod, and not one of them by turns.
        let service = cluster.service(host, "observatory");
        if from == "prometheus"
            && !outside
            && service.is_none_or(|one| one["spec"]["clusterIP"] != "None")
        {
            wrong.push(format!("{from}: {address} is not every pod by itself"));
        }
    }
    wrong
}

fn has_file(pod: &Pod<'_>, path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return false };
    list(pod.spec, "containers").iter().flat_map(|one| list(one, "volumeMounts")).any(|mount| {
        let volume = list(pod.spec, "volumes").iter().find(|one| one["name"] == mount["name"]);
        let items = volume.map_or(&[][..], |volume| list(&volume["secret"], "items"));
        mount["mountPath"] == folder && items.iter().any(|item| item["path"] == file)
    })
}

/// What Prometheus's and Alertmanager's own checks say of them.
pub(crate) fn checked(watching: &Watching) {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "token").unwrap();
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        let at = |who: &str| {
            content.replace(&format!("/run/secrets/token/{who}"), token.to_str().unwrap())
        };
        let content = if name == "prometheus.yml" { at("prometheus") } else { at("alertmanager") };
        fs::write(&path, content).unwrap();
        path
    };
    write("rules.yml", &text("monitoring/rules.yml"));
    let prometheus = write("prometheus.yml", &watching.prometheus);
    printed(Command::new("promtool").args(["check", "config"]).arg(prometheus));
    let alertmanager = write("alertmanager.yml", &watching.alertmanager);
    printed(Command::new("amtool").arg("check-config").arg(alertmanager));
}

/// The names of Prometheus's jobs, which rules and dashboard ask for.
pub(crate) fn jobs(prometheus: &str) -> Vec<String> {
    let prometheus = &documents(prometheus)[0];
    let jobs = list(prometheus, "scrape_configs").iter();
    jobs.map(|job: &Value| word(job, "job_name").to_owned()).collect()
}
