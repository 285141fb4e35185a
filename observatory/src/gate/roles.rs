//! Each role by itself: it answers, it is ready, and it tells Prometheus about itself.

use std::time::Duration;

use super::Deadline;
use super::findings::Findings;
use crate::client::Client;

/// How long a role may take to start, or to find its servers again.
const STARTING: Duration = Duration::from_secs(10);

/// What every role measures.
const MEASURED: &str = "observatory_build_info";

pub(super) fn check(findings: &mut Findings, role: &str, client: &Client, deadline: Deadline) {
    let [live, ready, metrics] = ["live", "ready", "metrics"].map(|what| format!("{role}.{what}"));
    let seen = deadline.at_most(STARTING).until(|| answer(client, "/livez"));
    let fix = "start the role, or name its address with the option of its name";
    if findings.note(&live, seen.map(|_| ((), "alive".to_owned())), fix).is_none() {
        return findings.skip(&[&ready, &metrics]);
    }
    let seen = deadline.at_most(STARTING).until(|| answer(client, "/readyz"));
    let fix = "see what the role waits for in what it says on standard error";
    findings.note(&ready, seen.map(|_| ((), "ready".to_owned())), fix);
    let seen = answer(client, "/metrics").and_then(|text| {
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        match text.contains(MEASURED) {
            true => Ok(((), format!("{samples} samples"))),
            false => Err(format!("{samples} samples, and no {MEASURED}")),
        }
    });
    findings.note(&metrics, seen, "name the role itself, not something before it");
}

/// The text of an answer that says that all is well.
pub(super) fn answer(client: &Client, path: &str) -> Result<String, String> {
    let answer = client.ask(path).map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(answer.text),
        status => Err(format!("{status}: {}", answer.text.trim())),
    }
}

/// The value of a sample in the text format of Prometheus.
pub(super) fn sample(metrics: &str, name: &str) -> Option<f64> {
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_found_by_its_whole_name() {
        let metrics = "# TYPE a counter\na{b=\"c\"} 1\na{b=\"cd\"} 2\nab 3\na 4.5\n";
        assert_eq!(sample(metrics, "a{b=\"c\"}"), Some(1.0));
        assert_eq!(sample(metrics, "a"), Some(4.5));
        assert_eq!(sample(metrics, "b"), None);
    }
}
