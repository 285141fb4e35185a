//! The workflow of a release, as far as it can be followed without the machines that run it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::cluster::{documents, list, printed, project, text, tool, word};

fn workflow() -> Value {
    documents(&text(".github/workflows/release.yml")).remove(0)
}

#[test]
fn the_workflows_are_what_github_knows_and_each_job_waits_for_ones_that_are_there() {
    let folder = project(".github/workflows");
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    printed(
        tool("check-jsonschema").args(["--builtin-schema", "vendor.github-workflows"]).args(files),
    );

    let workflow = workflow();
    let jobs = workflow["jobs"].as_object().unwrap();
    for (name, job) in jobs {
        let needs = match &job["needs"] {
            Value::String(one) => vec![one.as_str()],
            several => {
                several.as_array().into_iter().flatten().map(|one| one.as_str().unwrap()).collect()
            }
        };
        assert!(needs.iter().all(|need| jobs.contains_key(*need)), "{name}: {needs:?}");
        // Nothing is released, and no image told about, that has not been tested.
        assert!(name == "check" || needs.contains(&"check"), "{name}: {needs:?}");
        assert!(job["timeout-minutes"].is_u64(), "{name}");
        let writes = job["permissions"].as_object().into_iter().flatten();
        let writes = writes.filter(|(_, right)| *right == "write").map(|(what, _)| what.as_str());
        let writes: BTreeSet<_> = writes.collect();
        assert_eq!(writes.contains("contents"), name == "release", "{name}: {writes:?}");
    }
    assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }));
}

#[test]
fn shellcheck_has_nothing_against_what_the_workflows_run() {
    for file in ["ci.yml", "release.yml"] {
        let workflow = &documents(&text(&format!(".github/workflows/{file}")))[0];
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            for run in list(job, "steps").iter().filter_map(|step| step["run"].as_str()) {
                // What GitHub puts in before a shell sees it should go through a variable.
                assert!(!run.contains("${{"), "{name}: {run}");
                let mut shellcheck = Command::new("shellcheck");
                shellcheck
                    .args(["--shell", "bash", "-"])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped());
                let mut child = shellcheck.spawn().unwrap();
                child.stdin.take().unwrap().write_all(run.as_bytes()).unwrap();
                let output = child.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{name}: {said}");
            }
        }
    }
}

#[test]
fn what_is_installed_for_tests_is_said_in_one_place() {
    for file in ["ci.yml", "release.yml"] {
        let workflow = documents(&text(&format!(".github/workflows/{file}"))).remove(0);
        let jobs = workflow["jobs"].as_object().unwrap().values();
        let steps = jobs.flat_map(|job| list(job, "steps")).map(|step| word(step, "run"));
        let steps: Vec<_> = steps.filter(|run| !run.is_empty()).collect();
        assert!(!steps.iter().any(|run| run.contains("apt-get")), "{file}: {steps:?}");
        let run = steps.iter().position(|run| *run == ".ci/run").unwrap();
        assert_eq!(steps[run - 1], ".ci/install", "{file}");
    }
}

#[test]
fn a_release_is_made_only_of_everything() {
    let collect = project("release/collect.sh");
    let script = text("release/collect.sh");
    let workflow = workflow();
    let targets = list(&workflow["jobs"]["program"]["strategy"]["matrix"], "include").iter();
    let targets: Vec<_> = targets.map(|one| word(one, "target").to_owned()).collect();
    let named = script.lines().filter(|line| line.contains(".tar.gz")).count();
    assert_eq!(targets.len(), named, "{targets:?}");

    let folder = tempfile::tempdir().unwrap();
    let files = targets.iter().map(|target| format!("observatory-{target}.tar.gz"));
    let files: Vec<_> =
        files.chain(["observatory.cdx.json".to_owned(), "install.sh".to_owned()]).collect();
    for file in &files {
        let output = Command::new(&collect).arg(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(&format!("{file} is missing")), "{said}");
        fs::write(folder.path().join(file), file).unwrap();
    }
    printed(Command::new(&collect).arg(folder.path()));
    // Of a second time no more than of the first.
    printed(Command::new(&collect).arg(folder.path()));
    let sums = printed(
        Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(folder.path()),
    );
    assert_eq!(sums.lines().count(), files.len(), "{sums}");
}

#[test]
fn the_notes_of_a_release_are_what_the_changelog_says_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let changelog = folder.path().join("CHANGELOG.md");
    fs::write(&changelog, "# Changelog\n\n## Unreleased\n\n- next\n\n## 0.2.0 (2026-12-01)\n\n- one\n- two\n\n## 0.2\n\n- old\n").unwrap();
    let notes = |version: &str| {
        let mut command = Command::new(project("release/notes.sh"));
        command.arg(version).arg(&changelog).output().unwrap()
    };
    assert_eq!(String::from_utf8_lossy(&notes("0.2.0").stdout), "- one\n- two\n");
    assert_eq!(String::from_utf8_lossy(&notes("0.2").stdout), "- old\n");
    let missing = notes("0.3.0");
    assert!(!missing.status.success() && missing.stdout.is_empty(), "{missing:?}");
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(said.contains("say what is new"), "{said}");
}
