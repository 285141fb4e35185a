//! The overview and the list of jobs as tables, for browsers without scripts.
//!
//! # Invariants
//!
//! 1. Everything that goes between tags goes through [`text`].

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::Uri;
use contracts::snapshot::{Measure, Window};
use contracts::view::Page;
use contracts::{JobView, Micros, Snapshot, State};

use crate::problem::Problem;

/// A text that no browser takes for markup, also between quotes.
fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A table under its caption; cells are markup.
fn table(caption: &str, head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return format!("<h2>{caption}</h2><p>Nothing is here.</p>");
    }
    let mut html = format!("<h2>{caption}</h2><div class=\"wide\"><table><thead><tr>");
    for name in head {
        html += &format!("<th scope=\"col\">{name}</th>");
    }
    html.push_str("</tr></thead><tbody>");
    for row in rows {
        html.push_str("<tr>");
        for cell in row {
            html += &format!("<td>{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

fn moment(at: Option<Micros>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| text(&at.to_string()))
}

fn or_dash(value: Option<&str>) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

/// What somebody is shown who is not let in.
pub(super) fn closed() -> String {
    "<p>A token is needed here, and this page can ask for it with JavaScript only.</p>".to_owned()
}

/// What went wrong.
pub(super) fn trouble(problem: &Problem) -> String {
    format!("<p>{}</p><p><a href=\"/\">To the overview</a></p>", text(problem.detail()))
}

pub(super) fn overview(snapshot: &Snapshot) -> String {
    let mut by_state: BTreeMap<State, u64> = State::ALL.map(|state| (state, 0)).into();
    for row in &snapshot.counts {
        *by_state.entry(row.state).or_default() += row.jobs;
    }
    let states = by_state.iter().map(|(state, jobs)| {
        let state = state.as_str();
        vec![state.to_owned(), format!("<a href=\"/ui/jobs?state={state}\">{jobs}</a>")]
    });
    let alerts = snapshot.alerts.iter().map(|alert| {
        let labels: Vec<_> = alert.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let about = text(&labels.join(" "));
        vec![alert.state.as_str().to_owned(), text(&alert.alert), about, alert.value.to_string()]
    });
    let runs = snapshot
        .latency
        .iter()
        .filter(|row| row.measure == Measure::Run && row.window == Window::M5 && row.samples > 0);
    let runs = runs.map(|row| {
        let seconds = [row.p50, row.p95, row.p99].map(|s| format!("{s:.3} s"));
        let name = row.job_type.as_deref().map_or_else(|| "all types".to_owned(), text);
        [vec![name, row.samples.to_string()], seconds.to_vec()].concat()
    });
    let mut html =
        format!("<p>As of {}. Load the page again for later numbers.</p>", moment(snapshot.as_of));
    let caption = format!("{} jobs by state", snapshot.jobs);
    html += &table(&caption, &["State", "Jobs"], states.collect());
    html += &table("Alerts", &["State", "Alert", "About", "Value"], alerts.collect());
    let head = ["Type", "Samples", "p50", "p95", "p99"];
    html += &table("How long jobs run, last 5 minutes", &head, runs.collect());
    html
}

/// A page of the list that `query` asks for.
pub(super) fn jobs(list: &Page<JobView>, query: &str) -> String {
    let rows = list.items.iter().map(|job| {
        let id = job.id;
        let error = job.error.as_ref().map(|error| error.message.as_str());
        vec![
            format!("<a href=\"/api/v1/jobs/{id}\">{id}</a>"),
            text(&job.job_type),
            job.state.as_str().to_owned(),
            or_dash(job.queue.as_deref()),
            or_dash(job.worker.as_deref()),
            job.attempt.to_string(),
            moment(Some(job.created_at)),
            moment(job.finished_at),
            or_dash(error),
        ]
    });
    let head =
        ["Job", "Type", "State", "Queue", "Worker", "Attempt", "Created", "Finished", "Error"];
    let mut html = states(query);
    html += &format!("<p>Matching jobs: {}, as of {}.</p>", list.total, moment(list.as_of));
    html += &table("Jobs, newest first", &head, rows.collect());
    if let Some(cursor) = &list.next_cursor {
        let older = with(query, "cursor", cursor);
        html += &format!("<p><a href=\"/ui/jobs?{older}\">Older</a></p>");
    }
    html
}

/// The same list, of each state.
fn states(query: &str) -> String {
    let of = |state: &str, name: &str| {
        format!("<a href=\"/ui/jobs?{}\">{name}</a> ", with(query, "state", state))
    };
    let each: String = State::ALL.iter().map(|state| of(state.as_str(), state.as_str())).collect();
    format!("<p>{}{each}</p>", of("", "any state"))
}

/// A query with one parameter set anew, and from its first page on; as it goes between quotes.
fn with(query: &str, name: &str, value: &str) -> String {
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
    let params = uri.ok().and_then(|uri| Query::<Vec<(String, String)>>::try_from_uri(&uri).ok());
    let kept = params.map(|Query(params)| params).unwrap_or_default();
    let kept = kept.into_iter().filter(|(other, _)| other != name && other != "cursor");
    let all =
        kept.chain([(name.to_owned(), value.to_owned())]).filter(|(_, value)| !value.is_empty());
    form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish().replace('&', "&amp;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_text_stays_text() {
        let hostile = r#"<img src=x onerror='a("b")'>&"#;
        let shown = text(hostile);
        assert_eq!(shown, "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;");
    }

    #[test]
    fn a_link_keeps_the_filter_and_begins_with_its_first_page() {
        let query = "type=a%26b&state=FAILED&cursor=xyz";
        assert_eq!(with(query, "state", "RETRYING"), "type=a%26b&amp;state=RETRYING");
        assert_eq!(with(query, "state", ""), "type=a%26b");
        assert_eq!(with("q=%22%3E%3Cb%3E", "state", ""), "q=%22%3E%3Cb%3E");
    }
}
