//! The jobs behind an alert: those that the first measure of its expression counts.

use std::collections::BTreeMap;

use contracts::snapshot::Measure as Latency;
use contracts::{Micros, State};

use super::expr::{Expr, Label, Matcher, Measure, Rate, Standing, To};
use crate::row::Row;
use crate::summary::UNKNOWN;
use crate::views::alerts::slot;

const UNFINISHED: [State; 4] =
    [State::Pending, State::Validated, State::Executing, State::Retrying];
const WAITING: [State; 3] = [State::Pending, State::Validated, State::Retrying];

/// What jobs must be to be behind an alert; all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Behind {
    /// In one of these, unless there are none.
    states: Vec<State>,
    /// Of a type, a queue or a state.
    matchers: Vec<Matcher>,
    /// All in µs since the epoch.
    created_after: Option<i64>,
    finished_after: Option<i64>,
    decided_before: Option<i64>,
    /// A latency of at least so many µs.
    slow: Option<(Latency, i64)>,
}

impl Behind {
    /// The jobs behind an alert with these labels and this value, of a rule judged at `at`, µs since
    /// the epoch. None if it is about something else.
    pub fn of(
        expr: &Expr,
        labels: &BTreeMap<String, String>,
        value: f64,
        at: i64,
    ) -> Option<Behind> {
        let reading = expr.first()?;
        let mut behind = Behind {
            states: Vec::new(),
            matchers: reading.matchers.clone(),
            created_after: None,
            finished_after: None,
            decided_before: None,
            slow: None,
        };
        match reading.measure {
            Measure::Rate(Rate::Created, window) => behind.created_after = window.edge(at),
            Measure::Rate(Rate::Finished | Rate::Throughput, window) => {
                behind.finished_after = window.edge(at);
            }
            Measure::Rate(Rate::Failed | Rate::FailureRatio, window) => {
                behind.states = vec![State::Failed];
                behind.finished_after = window.edge(at);
            }
            Measure::Quantile(latency, _, window) => {
                behind.finished_after = window.edge(at);
                behind.slow = Some((latency, (value * 1e6) as i64));
            }
            Measure::Standing(Standing::Jobs | Standing::OldestAge) => {
                behind.states = UNFINISHED.to_vec();
            }
            Measure::Standing(Standing::Backlog) => behind.states = WAITING.to_vec(),
            Measure::Standing(Standing::Stuck(longer)) => {
                let says_state = reading.matchers.iter().any(|known| known.label == Label::State);
                behind.states =
                    if says_state { UNFINISHED.to_vec() } else { vec![State::Executing] };
                behind.decided_before = Some(at.saturating_sub_unsigned(longer));
            }
            Measure::DeadLetters(_) | Measure::Lag | Measure::StoreUp => return None,
        }
        for label in &reading.by {
            if let Some(text) = labels.get(label.as_str()) {
                let (label, to) = (*label, To::Text(text.clone()));
                behind.matchers.push(Matcher { label, negated: false, to });
            }
        }
        behind.matchers.sort();
        behind.matchers.dedup();
        Some(behind)
    }

    /// Whether a job is one of them.
    pub fn has(&self, row: &Row) -> bool {
        let after = |at: i64, edge: Option<i64>| edge.is_none_or(|edge| at != UNKNOWN && at > edge);
        let slow = |(latency, least): (Latency, i64)| {
            let micros = match latency {
                Latency::Wait => row.wait(),
                Latency::Run => row.run(),
                Latency::Total => row.total(),
            };
            // As near as latencies are shown.
            micros.is_some_and(|micros| micros.max(0) as f64 >= least as f64 * 0.999)
        };
        !row.retired
            && (self.states.is_empty() || self.states.contains(&row.state))
            && after(row.created, self.created_after)
            && after(row.finished, self.finished_after)
            && self.decided_before.is_none_or(|before| slot(row.decided) < before)
            && self.slow.is_none_or(slow)
            && self.matchers.iter().all(|matcher| match matcher.label {
                Label::State => matcher.admits(row.state.as_str()),
                Label::Type => matcher.admits(&row.job_type.text()),
                Label::Queue => matcher.admits(&row.queue.text()),
                Label::Reason | Label::Store => true,
            })
    }

    /// The parameters with which the list of jobs shows them. It knows neither patterns nor what is
    /// not to be, and neither latencies nor the age of a state, and then shows more.
    pub fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let is = |label: Label| {
            self.matchers.iter().find_map(|matcher| match &matcher.to {
                To::Text(text) if matcher.label == label && !matcher.negated => Some(text.as_str()),
                _ => None,
            })
        };
        match (is(Label::State), self.states.as_slice()) {
            (Some(state), _) => drop(query.append_pair("state", state)),
            (None, [state]) => drop(query.append_pair("state", state.as_str())),
            (None, []) => {}
            (None, states) => {
                let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
                query.append_pair("q", &format!("state:{}", states.join(",")));
            }
        }
        for label in [Label::Type, Label::Queue] {
            if let Some(text) = is(label) {
                query.append_pair(label.as_str(), text);
            }
        }
        let times = [("createdAfter", self.created_after), ("finishedAfter", self.finished_after)];
        for (name, at) in times {
            if let Some(at) = at {
                query.append_pair(name, &Micros(at).to_string());
            }
        }
        query.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(expr: &str, labels: &[(&str, &str)]) -> Option<String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let labels = labels.iter().map(owned).collect();
        let at = Micros::parse("2026-11-21T10:00:07Z").unwrap();
        Some(Behind::of(&Expr::parse(expr).unwrap(), &labels, 1.5, at.0)?.query())
    }

    #[test]
    fn the_list_is_asked_for_what_the_measure_counts() {
        let ratio = "failure_ratio{type=~\"e.*\"}[5m] by (type) > 0.05 and finished[5m] > 20";
        assert_eq!(
            query(ratio, &[("severity", "warning"), ("type", "e mail&")]).as_deref(),
            Some("state=FAILED&type=e+mail%26&finishedAfter=2026-11-21T09%3A55%3A05.000000Z")
        );
        assert_eq!(
            query("backlog by (queue) > 1", &[("queue", "q")]).as_deref(),
            Some("q=state%3APENDING%2CVALIDATED%2CRETRYING&queue=q")
        );
        assert_eq!(
            query("jobs{state=\"RETRYING\"} > 1", &[("state", "RETRYING")]).as_deref(),
            Some("state=RETRYING")
        );
        assert_eq!(
            query("stuck{longer_than=\"15m\"} by (type) > 0", &[("type", "a")]).as_deref(),
            Some("state=EXECUTING&type=a")
        );
        assert_eq!(query("dead_letters[5m] > 0", &[]), None);
    }
}
