//! Recorded bodies: what must be read, and how; what must not, and why.
//!
//! `UPDATE_GOLDEN=1 cargo test -p contracts --test fixtures` rewrites what the golden bodies are
//! read as; the diff is then to be judged.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::path::{Path, PathBuf};

use contracts::{Event, Reason, decode, elements};

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the fixtures are where this test looks");
    files
}

fn golden_event() -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::fs::read(fixtures.join("golden/contract-1.0.0.json")).unwrap()
}

/// One line that says how an event was read.
fn reading(event: &Event<'_>) -> String {
    let Event { kind, event_id, occurred_at, job, .. } = event;
    let error = job.error.as_ref().map(|error| (&error.kind, &error.message));
    format!(
        "{kind} {event_id} at {occurred_at} job {} {:?} {:?} attempt {} created {} queue {:?} \
         worker {:?} error {error:?} payload {:?} metadata {}\n",
        job.id,
        job.job_type,
        job.status,
        job.attempt,
        job.created_at,
        job.queue,
        job.worker,
        job.payload,
        // One golden body nests to the limit.
        job.metadata
            .map_or("None".to_owned(), |json| format!("{:.60}", json.replace(['\n', ' '], ""))),
    )
}

#[test]
fn golden_bodies_are_read_as_recorded() {
    for path in files("golden", "json") {
        let body = std::fs::read(&path).unwrap();
        let read: String = elements(&body)
            .unwrap()
            .elements()
            .iter()
            .map(|element| {
                reading(&decode(element).unwrap_or_else(|why| panic!("{path:?}: {why}")))
            })
            .collect();
        let recorded = path.with_extension("read");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&recorded, &read).unwrap();
        }
        assert_eq!(read, std::fs::read_to_string(&recorded).unwrap(), "{path:?}");
    }
}

#[test]
fn negative_bodies_are_rejected_for_the_reason_of_their_folder() {
    for reason in Reason::ALL.into_iter().filter(|&reason| reason != Reason::TooLarge) {
        for path in files(&format!("negative/{reason}"), "json") {
            let body = std::fs::read(&path).unwrap();
            let rejection = decode(&body).map(|event| reading(&event)).unwrap_err();
            assert_eq!(rejection.reason, reason, "{path:?}: {rejection}");
            assert!(rejection.detail.len() <= contracts::decode::MAX_DETAIL_BYTES, "{rejection}");
        }
    }
}

#[test]
fn a_body_beyond_256_kib_is_too_large_whatever_is_in_it() {
    let golden = golden_event();
    let padded = |len: usize| {
        let mut body = golden.clone();
        body.resize(len, b' ');
        body
    };
    let limit = contracts::decode::MAX_BODY_BYTES;
    assert!(decode(&padded(limit)).is_ok());
    assert_eq!(decode(&padded(limit + 1)).unwrap_err().reason, Reason::TooLarge);
    assert_eq!(elements(&padded(limit + 1)).unwrap_err().reason, Reason::TooLarge);
    assert_eq!(decode(&vec![0xFF; limit + 1]).unwrap_err().reason, Reason::TooLarge);
}

#[test]
fn one_bad_element_of_a_batch_is_rejected_alone() {
    let good = golden_event();
    let bad = std::fs::read(&files("negative/schema", "json")[0]).unwrap();
    let body = [b"[", &good[..], b",", &bad, b",", &good, b"]"].concat();
    let batch = elements(&body).unwrap();
    let verdicts: Vec<bool> =
        batch.elements().iter().map(|element| decode(element).is_ok()).collect();
    assert_eq!(verdicts, [true, false, true]);
}
