//! What the program is told in manifests, as the program itself takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::built::program;
use super::cluster::{Cluster, Pod, list, namespace, ours, word};

/// Variables that are no options.
const NO_OPTIONS: [&str; 1] = ["OBSERVATORY_LOG"];

/// What one container of ours is told.
pub(crate) struct Told {
    pub(crate) owner: String,
    pub(crate) role: String,
    /// Variables of its own.
    own: BTreeMap<String, String>,
    /// Those that it has in common with others: not every role has a use for each.
    shared: BTreeMap<String, String>,
    /// Whichever of them are options of its role.
    taken: BTreeSet<String>,
    /// What is in the files that variables name.
    secret: BTreeMap<String, String>,
    complaint: Option<String>,
}

/// All containers of our image, as they are told; files of secrets have what `secrets` has.
pub(crate) fn told(
    cluster: &Cluster,
    secrets: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<Told> {
    let files = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for pod in cluster.pods() {
        for container in list(pod.spec, "containers").iter().filter(|container| ours(container)) {
            let mut told = Told {
                owner: pod.owner.clone(),
                role: list(container, "args")
                    .first()
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                own: BTreeMap::new(),
                shared: BTreeMap::new(),
                taken: BTreeSet::new(),
                secret: BTreeMap::new(),
                complaint: None,
            };
            for (name, variable) in Pod::variables(container) {
                let value = match word(variable, "value") {
                    // Of a StatefulSet's pod, its number.
                    "" => "0".to_owned(),
                    path if path.starts_with("/run/secrets/") => {
                        let of = mounted(&pod, container, path);
                        let text = of.and_then(|(secret, key)| secrets.get(secret)?.get(key));
                        let Some(text) = text else {
                            told.complaint =
                                Some(format!("{}: {name}: nothing is at {path}", pod.owner));
                            continue;
                        };
                        let file = files.path().join(name);
                        std::fs::write(&file, text).unwrap();
                        told.secret.insert(name.to_owned(), text.clone());
                        file.display().to_string()
                    }
                    value => value.to_owned(),
                };
                told.own.insert(name.to_owned(), value);
            }
            for from in list(container, "envFrom") {
                let of = word(&from["configMapRef"], "name");
                let map = cluster.kind("ConfigMap").find(|map| {
                    word(&map["metadata"], "name") == of && namespace(map) == pod.namespace
                });
                let data = map.and_then(|map| map["data"].as_object()).cloned().unwrap_or_default();
                let texts =
                    data.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned()));
                told.shared.extend(texts);
            }
            told.ask(list(container, "args"));
            all.push(told);
        }
    }
    all
}

/// Which key of which Secret a container finds at a path.
fn mounted<'a>(pod: &Pod<'a>, container: &Value, path: &'a str) -> Option<(&'a str, &'a str)> {
    let (folder, file) = path.rsplit_once('/')?;
    let mut mounts = list(container, "volumeMounts").iter();
    let mount = mounts.find(|mount| mount["mountPath"] == folder)?;
    let mut volumes = list(pod.spec, "volumes").iter();
    let volume = volumes.find(|volume| volume["name"] == mount["name"])?;
    let mut items = list(&volume["secret"], "items").iter();
    let item = items.find(|item| item["path"] == file)?;
    Some((word(&volume["secret"], "secretName"), word(item, "key")))
}

impl Told {
    /// Asks the program what it makes of all this.
    fn ask(&mut self, args: &[Value]) {
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("OBSERVATORY_CONFIG", "")
            .args(["config", "show", "--output", "json"]);
        command.args(["--origin", "--"]).args(args.iter().map(|arg| arg.as_str().unwrap()));
        let output = command.envs(&self.shared).envs(&self.own).output().unwrap();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            self.complaint.get_or_insert(format!("{}: {said}", self.owner));
            return;
        }
        let settings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        for setting in settings.iter().filter(|setting| setting["origin"] == "env") {
            // Behind the variable is the file that it names.
            let variable = word(setting, "place").split(' ').next().unwrap_or_default();
            self.taken.insert(variable.to_owned());
        }
    }
}

/// Variables that the program does not know, and values that it does not take.
pub(crate) fn unknown(told: &[Told]) -> Vec<String> {
    let mut wrong: Vec<String> = told.iter().filter_map(|one| one.complaint.clone()).collect();
    for one in told.iter().filter(|one| one.complaint.is_none()) {
        let unknown = one.own.keys().filter(|name| !one.taken.contains(name.as_str()));
        wrong.extend(
            unknown.map(|name| format!("{}: {} has no option {name}", one.owner, one.role)),
        );
        let nobodys = one.shared.keys().filter(|name| {
            !NO_OPTIONS.contains(&name.as_str())
                && !told.iter().any(|other| other.taken.contains(name.as_str()))
        });
        wrong.extend(nobodys.map(|name| format!("{}: no role has an option {name}", one.owner)));
    }
    wrong
}

impl Told {
    /// `host:port` of all that its role is told to speak to.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let all = self
            .own
            .iter()
            .chain(&self.shared)
            .filter(|(name, _)| self.taken.contains(name.as_str()))
            // That is where people open the page.
            .filter(|(name, _)| *name != "OBSERVATORY_PUBLIC_URL");
        let texts = all.map(|(name, value)| self.secret.get(name).unwrap_or(value));
        texts.filter_map(|text| host_of(text)).collect()
    }
}

/// `host:port` of a URL.
pub(crate) fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let place = rest.split(['/', '?']).next()?;
    let place = place.rsplit('@').next()?;
    place.contains(':').then(|| place.to_owned())
}
