//! All that two stores can be asked, side by side.

use contracts::{JobId, Micros, State};
use rusqlite::types::Value;
use sinks::query::{Condition, Facet, Filter, Instant, Pattern, Place, Query, Retired};
use sinks::store::{Reader, Span, Store};

/// What a store answers, in words; the archive apart, which the servers keep elsewhere.
pub(crate) fn answers(
    store: &mut dyn Store,
    reader: &mut dyn Reader,
    jobs: &[JobId],
) -> Vec<String> {
    let mut answers = Vec::new();
    let recovery = store.recover().unwrap();
    let mut kept: Vec<_> = recovery.kept.iter().map(|kept| format!("{kept:?}")).collect();
    kept.sort();
    answers.extend(kept);
    answers.push(format!(
        "{} {} {:?} {:?}",
        recovery.frontier, recovery.jobs, recovery.youngest_retired, recovery.rules
    ));

    let mut inputs = Vec::new();
    let n = store.recover_jobs(&mut |jobs| inputs.extend(jobs)).unwrap();
    assert_eq!((n, n), (inputs.len() as u64, recovery.jobs));
    let mut inputs: Vec<_> = inputs.iter().map(|input| format!("{input:?}")).collect();
    inputs.sort();
    answers.extend(inputs);

    let mut asked = jobs.to_vec();
    // One that nobody knows, and one twice.
    asked.push(JobId::max());
    asked.extend(jobs.first());
    answers.extend(store.lookup(&asked).unwrap().iter().map(|found| format!("{found:?}")));

    for filter in filters(jobs) {
        for limit in [0, 3, 1_000] {
            let query = Query { filter: filter.clone(), after: None, limit };
            let listed = reader.jobs(&query).unwrap();
            // The total is that of the cube, or a count, and must be that of the list.
            assert!(
                limit < 1_000 || listed.more || listed.total == listed.jobs.len() as u64,
                "{filter:?}"
            );
            answers.push(format!("{listed:?}"));
        }
        answers.push(format!("{:?}", paged(reader, &filter)));
    }
    for by_type in [false, true] {
        for job_type in [None, Some("type-1".to_owned())] {
            let (from, to) = (Micros(0), Micros(i64::MAX / 2 / HOUR * HOUR));
            let span = Span { from, to, step: HOUR, job_type, by_type };
            answers.push(format!("{:?}", reader.history(&span).unwrap()));
        }
    }
    answers.push(format!("{:?}", reader.resolved(1_000).unwrap()));
    answers.push(format!("{:?}", reader.rules().unwrap()));
    for job in &asked {
        let told = reader.job(*job).unwrap().map(|told| (told.frontier, told.view));
        answers.push(format!("{told:?}"));
    }
    answers.push(format!("{:?}", reader.archive_stats().unwrap()));
    let mut rejections = reader.rejections().unwrap();
    rejections.sort_by_key(|(reason, _)| reason.as_str());
    answers.push(format!("{rejections:?}"));
    answers
}

/// µs.
const HOUR: i64 = 3_600_000_000;

/// Every kind of condition, by itself and with others.
fn filters(jobs: &[JobId]) -> Vec<Filter> {
    let is = |text: &str| Pattern::Is(text.to_owned());
    let begins = |text: &str| Pattern::Begins(text.to_owned());
    let text = |text: &str| Condition::Text(text.to_owned());
    let middle = Micros(1_795_255_200_000_000);
    let mut conditions = vec![
        Condition::Facet(Facet::Type, vec![is("type-1")]),
        Condition::Facet(Facet::Type, vec![is("nothing")]),
        Condition::Facet(Facet::Type, vec![begins("type-"), is("x")]),
        Condition::Facet(Facet::Type, vec![begins("")]),
        Condition::Facet(Facet::Queue, vec![is("")]),
        Condition::Facet(Facet::Worker, vec![begins("w"), is("' OR 1=1 --")]),
        Condition::Facet(Facet::Worker, Vec::new()),
        Condition::After(Instant::Created, middle),
        Condition::Before(Instant::Created, middle),
        Condition::After(Instant::Finished, middle),
        Condition::Before(Instant::Finished, middle),
        text("TYPE-"),
        text("%"),
        text("\""),
        text("time"),
    ];
    conditions.extend(jobs.first().map(|job| text(&job.to_string())));
    let states = State::ALL.map(|state| Condition::Facet(Facet::State, vec![is(state.as_str())]));
    conditions.extend(states.clone());
    let mut filters = vec![Filter::default()];
    for retired in [Retired::No, Retired::Only, Retired::Any] {
        let one = conditions.iter().map(|condition| vec![condition.clone()]);
        let two = conditions.iter().map(|condition| vec![condition.clone(), states[4].clone()]);
        filters.extend(one.chain(two).map(|conditions| Filter { conditions, retired }));
        filters.push(Filter { conditions: Vec::new(), retired });
    }
    filters
}

/// The ids of all that matches, page by page.
fn paged(reader: &mut dyn Reader, filter: &Filter) -> Vec<JobId> {
    let mut ids = Vec::new();
    let mut query = Query { filter: filter.clone(), after: None, limit: 7 };
    loop {
        let listed = reader.jobs(&query).unwrap();
        ids.extend(listed.jobs.iter().map(|job| job.id));
        let last = listed.jobs.last().filter(|_| listed.more);
        query.after = last.map(|job| Place { created_at: job.created_at, id: job.id });
        if query.after.is_none() {
            assert_eq!(ids.len() as u64, listed.total, "{filter:?}");
            return ids;
        }
    }
}

/// What both are to have of minutes, of alerts, and of texts as they were received; and which
/// columns are times.
const TABLES: [(&str, &[&str]); 3] = [
    (
        "SELECT minute, type, created, finished, failed, cancelled, waits, wait_micros, runs,
             run_micros FROM minute_stats ORDER BY minute, type",
        &["minute"],
    ),
    (
        "SELECT alert, labels, active_at, state, fired_at, resolved_at, value FROM alerts
         ORDER BY alert, labels, active_at",
        &["active_at", "fired_at", "resolved_at"],
    ),
    ("SELECT id, error, metadata, metadata_standing FROM jobs ORDER BY id", &[]),
];

/// The tables that no answer shows in full.
pub(crate) fn tables_of_sqlite(folder: &std::path::Path) -> Vec<String> {
    let path = folder.join(sinks::sqlite::FILE);
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut lines = Vec::new();
    for (sql, _) in TABLES {
        let mut statement = connection.prepare(sql).unwrap();
        let n = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells = (0..n).map(|column| match row.get(column).unwrap() {
                Value::Null => String::new(),
                Value::Integer(n) => n.to_string(),
                Value::Real(n) => n.to_string(),
                Value::Text(text) => text,
                Value::Blob(bytes) => hex(&bytes),
            });
            lines.push(cells.collect::<Vec<_>>().join(" | "));
        }
    }
    lines
}

pub(crate) fn tables_of_postgres(url: &str) -> Vec<String> {
    super::ask(url, async |client| {
        let mut lines = Vec::new();
        for (sql, times) in TABLES {
            let mut sql = sql.to_owned();
            for time in times {
                let micros = format!("(extract(epoch FROM {time}) * 1000000)::bigint");
                sql = sql.replacen(time, &micros, 1);
            }
            for message in client.simple_query(&sql).await.unwrap() {
                if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                    let cells = (0..row.len()).map(|column| {
                        let cell = row.get(column).unwrap_or_default();
                        let cell = cell.strip_prefix("\\x").unwrap_or(cell);
                        match row.columns()[column].name() {
                            "id" => cell.replace('-', ""),
                            _ => cell.to_owned(),
                        }
                    });
                    lines.push(cells.collect::<Vec<_>>().join(" | "));
                }
            }
        }
        lines
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So that a difference can be read.
#[track_caller]
pub(crate) fn same(postgres: &[String], sqlite: &[String]) {
    for (postgres, sqlite) in postgres.iter().zip(sqlite) {
        assert_eq!(postgres, sqlite);
    }
    assert_eq!(postgres.len(), sqlite.len());
}
