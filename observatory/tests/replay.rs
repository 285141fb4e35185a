//! `observatory replay`: recorded streams in, a snapshot out, and what it says when it can not.
//!
//! `UPDATE_GOLDEN=1 cargo test -p observatory --test replay` rewrites what the recorded streams
//! come to; the diff is then to be judged.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use contracts::snapshot::{CountRow, Window};
use contracts::{JobView, Reason, Snapshot};
use flate2::Compression;
use flate2::write::GzEncoder;
use support::crowd::Crowd;
use support::program::{Run, arg, file, observatory, replay, run, run_on, snapshot};
use support::script::stream;
use support::{SECOND, TEN, assert_golden};

/// The recorded streams.
fn recorded() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut streams: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|found| found == "jsonl")).collect();
    streams.sort();
    assert!(!streams.is_empty(), "the recorded streams are where this test looks");
    streams
}

/// A recorded stream as text.
fn text(name: &str) -> String {
    let path = recorded().into_iter().find(|path| path.ends_with(name)).unwrap();
    std::fs::read_to_string(path).unwrap()
}

/// A stream long enough for several blocks of lines, and several ticks.
fn crowd() -> Vec<String> {
    Crowd { seed: 7, n_jobs: 800, start: TEN, span: 7_200 * SECOND }.lines()
}

fn text_of(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_recorded_stream_comes_to_its_snapshot() {
    for path in recorded() {
        let rules = path.with_extension("rules.yaml");
        let mut args = vec!["replay", arg(&path), "--output", "json"];
        if rules.exists() {
            args.extend(["--rules", arg(&rules)]);
        }
        let printed = run(&args).printed();
        assert_golden(&path.with_extension("json"), &printed);
        assert_eq!(run(&args).printed(), printed, "again");
        args.extend(["--workers", "2"]);
        assert_eq!(run(&args).printed(), printed, "{} on two workers", path.display());
    }
}

#[test]
fn every_job_of_a_recorded_stream_is_written_out() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("jobs");
    for path in recorded() {
        let stream = std::fs::read_to_string(&path).unwrap();
        let jobs = |stream: &str| {
            replay(stream, &["--jobs", arg(&out)]).printed();
            std::fs::read_to_string(&out).unwrap()
        };
        let once = jobs(&stream);
        assert_golden(&path.with_extension("jobs"), &once);
        let backwards = stream.lines().rev().collect::<Vec<_>>().join("\n");
        assert_eq!(jobs(&backwards), once, "{} backwards", path.display());
        assert_eq!(jobs(&stream.repeat(2)), once, "{} twice", path.display());
    }
}

#[test]
fn the_jobs_that_are_written_out_are_those_that_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("jobs");
    let run = replay(&text_of(&crowd()), &["--jobs", arg(&out)]);
    let snapshot: Snapshot = serde_json::from_str(&run.printed()).unwrap();
    let jobs = std::fs::read_to_string(&out).unwrap();
    let jobs: Vec<JobView> = jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(jobs.is_sorted_by(|a, b| a.id < b.id), "sorted by id, each once");
    assert_eq!(jobs.len() as u64, snapshot.jobs);
    for row in snapshot.counts {
        let in_cell = |job: &&JobView| {
            let CountRow { state, job_type, queue, worker, .. } = &row;
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            (job.state, &job.job_type) == (*state, job_type)
                && (text(&job.queue), text(&job.worker)) == (queue.clone(), worker.clone())
        };
        assert_eq!(jobs.iter().filter(in_cell).count() as u64, row.jobs, "{row:?}");
    }
}

#[test]
fn a_place_where_no_jobs_can_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("no/such/folder");
    let complaint = run(&["replay", "-", "--jobs", arg(&out)]).complaint();
    assert!(complaint.contains(arg(&out)), "{complaint}");
}

#[test]
fn people_are_shown_tables() {
    for path in recorded() {
        let rules = path.with_extension("rules.yaml");
        let mut args = vec!["replay", arg(&path)];
        if rules.exists() {
            args.extend(["--rules", arg(&rules)]);
        }
        assert_golden(&path.with_extension("txt"), &run(&args).printed());
    }
}

#[test]
fn a_stream_of_many_jobs_comes_to_the_same_bytes_on_any_number_of_workers() {
    let stream = text_of(&crowd());
    let once = replay(&stream, &[]);
    assert_eq!(once, replay(&stream, &[]));
    assert_eq!(once, replay(&stream, &["--workers", "2"]));
    assert_eq!(once, replay(&stream, &["--workers", "3"]));
    let Snapshot { jobs, latency, .. } = serde_json::from_str(&once.printed()).unwrap();
    assert_eq!(jobs, 800);
    assert!(latency.iter().any(|row| row.window == Window::M1), "the end of it is busy");
}

#[test]
fn neither_order_nor_repetition_changes_the_snapshot() {
    let lines = crowd();
    let once = replay(&text_of(&lines), &[]);
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shuffled = lines.clone();
        shuffled.extend(random.choose_multiple(&lines, lines.len() / 3).into_iter().cloned());
        random.shuffle(&mut shuffled);
        assert_eq!(replay(&text_of(&shuffled), &[]), once, "shuffled with seed {seed}");
        assert_eq!(replay(&text_of(&shuffled), &["--workers", "2"]), once, "seed {seed}");
        assert_eq!(replay(&text_of(&shuffled), &["--sort"]), once, "seed {seed}");
    }
}

#[test]
fn facts_that_disagree_are_settled_the_same_in_any_order() {
    let stream = text("facts-that-disagree.jsonl");
    let mut lines: Vec<_> = stream.lines().map(str::to_owned).collect();
    let once = replay(&stream, &[]);
    lines.reverse();
    assert_eq!(replay(&text_of(&lines), &[]), once, "backwards");
    for seed in 0..5 {
        fastrand::Rng::with_seed(seed).shuffle(&mut lines);
        assert_eq!(replay(&text_of(&lines), &[]), once, "shuffled with seed {seed}");
    }
}

#[test]
fn a_stream_may_come_from_a_file_a_pipe_or_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let text = text_of(&crowd());
    let json = ["--output", "json"];
    let from_pipe = replay(&text, &[]).printed();
    let from = |path: &Path| run(&[&["replay", arg(path)][..], &json].concat()).printed();

    assert_eq!(from(&file(folder.path(), "plain.jsonl", &text)), from_pipe);
    let zipped = gzip(text.as_bytes());
    assert_eq!(from(&file(folder.path(), "zipped.jsonl.gz", &zipped)), from_pipe);
    assert_eq!(from(&file(folder.path(), "by-its-content", &zipped)), from_pipe);
    let (head, tail) = text.as_bytes().split_at(text.len() / 2);
    let two = [gzip(head), gzip(tail)].concat();
    assert_eq!(from(&file(folder.path(), "in-two-members.gz", two)), from_pipe);
    let piped = run_on(&["replay", "-", "--output", "json"], &zipped);
    assert_eq!(piped.printed(), from_pipe);
}

#[test]
fn blank_lines_and_either_kind_of_line_end_are_nothing() {
    let text = text("a-morning-in-the-bakery.jsonl");
    let once = replay(&text, &[]);
    for same in [
        text.replace('\n', "\r\n"),
        text.replace('\n', "\n\n   \n\t\r\n"),
        format!("\n\r\n{text}"),
        text.trim_end().to_owned(),
    ] {
        assert_eq!(replay(&same, &[]), once);
    }
}

#[test]
fn an_empty_stream_is_of_no_time() {
    for nothing in ["", "\n", "\r\n  \n"] {
        let run = replay(nothing, &[]);
        assert_eq!(run.stderr, "");
        let snapshot: Snapshot = serde_json::from_str(&run.printed()).unwrap();
        assert_eq!(snapshot, Snapshot::default());
    }
    assert_eq!(run_on(&["replay", "-"], b"").printed(), "no events\n");
    let zipped = run_on(&["replay", "-", "--output", "json"], &gzip(b""));
    assert_eq!(zipped, replay("", &[]));
}

#[test]
fn a_stream_of_nothing_but_rubbish_is_of_no_time_and_counted() {
    let run = replay("rubbish\n{}\n", &[]);
    let snapshot: Snapshot = serde_json::from_str(&run.printed()).unwrap();
    assert_eq!((snapshot.as_of, snapshot.jobs), (None, 0));
    assert_eq!(snapshot.rejected, [(Reason::BadJson, 1), (Reason::Schema, 1)].into());
}

#[test]
fn the_first_rejected_lines_are_told_with_their_numbers() {
    let run = replay(&text("half-of-it-rubbish.jsonl"), &[]);
    let told: Vec<_> = run.stderr.lines().collect();
    let expected = [
        r#"line 2: bad_json at "/eventType": "#,
        r#"line 3: bad_json at "/": "#,
        r#"line 5: schema at "/payload/id": "#,
        r#"line 7: schema at "/payload/type": "#,
        r#"line 8: schema at "/payload/attempt": "#,
        "more rejected lines are only counted",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.into_iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}");
    }
    assert_eq!(run.code, Some(0));
}

#[test]
fn five_rejected_lines_are_all_told_and_no_more_are_promised() {
    let run = replay(&"rubbish\n".repeat(5), &[]);
    assert_eq!(run.stderr.lines().count(), 5, "{}", run.stderr);
}

#[test]
fn a_line_that_is_too_long_or_no_text_is_rejected_alone() {
    let good = stream("00:01 rye created");
    let most = 256 * 1024;
    let sized = |n: usize| {
        let padding = " ".repeat(n - good.trim_end().len());
        format!("{}{padding}\n", good.trim_end())
    };
    let lines = [
        sized(most).into_bytes(),
        sized(most + 1).into_bytes(),
        b"\xFF\xFE\n".to_vec(),
        // Longer than any block that is read at a time.
        [vec![b'x'; 3 * most], b"\r\n".to_vec()].concat(),
        stream("00:02 spelt created").into_bytes(),
        vec![b'y'; 2 * most],
    ];
    let run = run_on(&["replay", "-", "--output", "json"], &lines.concat());
    let numbers: Vec<_> = run.stderr.lines().map(|line| &line[..17]).collect();
    assert_eq!(
        numbers,
        ["line 2: too_large", "line 3: bad_utf8 ", "line 4: too_large", "line 6: too_large"],
    );
    let snapshot: Snapshot = serde_json::from_str(&run.printed()).unwrap();
    assert_eq!(snapshot.rejected, [(Reason::TooLarge, 3), (Reason::BadUtf8, 1)].into());
    assert_eq!(snapshot.jobs, 2);
}

#[test]
fn what_was_sent_is_not_repeated_in_what_is_told_of_it() {
    let secret = "hunter2";
    let lines = [
        format!("{secret}\n"),
        format!("{{\"eventType\":\"{secret}\"}}\n"),
        stream("00:01 rye created").replace("bread.bake", &format!("{secret}\\u0007")),
        stream("00:01 rye created").replace("2026-11-21T10", secret),
    ];
    let run = replay(&lines.concat(), &[]);
    assert_eq!(run.stderr.lines().count(), lines.len(), "{}", run.stderr);
    assert!(!run.stderr.contains(secret), "{}", run.stderr);
}

#[test]
fn a_file_that_can_not_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.jsonl");
    let complaint = run(&["replay", arg(&missing)]).complaint();
    assert!(complaint.contains("cannot open"), "{complaint}");
    assert!(complaint.contains(arg(&missing)), "{complaint}");

    let complaint = run(&["replay", arg(folder.path())]).complaint();
    assert!(complaint.contains("is a directory"), "{complaint}");
    assert!(complaint.contains(arg(folder.path())), "{complaint}");
}

#[test]
fn a_gzip_that_is_cut_short_is_not_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let zipped = gzip(text_of(&crowd()).as_bytes());
    // Within the header, the data, and the checksum at the end.
    for length in [5, zipped.len() / 2, zipped.len() - 3] {
        let path = file(folder.path(), "cut.gz", &zipped[..length]);
        for output in ["table", "json"] {
            let complaint = run(&["replay", arg(&path), "--output", output]).complaint();
            assert!(complaint.contains("ends in the middle of its gzip stream"), "{complaint}");
            assert!(complaint.contains("cut.gz"), "{complaint}");
        }
    }
}

#[test]
fn a_gzip_that_is_damaged_is_not_taken_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let text = text_of(&crowd());
    let zipped = gzip(text.as_bytes());
    let with = |at: usize| {
        let mut damaged = zipped.clone();
        damaged[at] ^= 0x55;
        damaged
    };
    let garbage_behind = [&zipped[..], b"and something else"].concat();
    let wrong_checksum = with(zipped.len() - 6);
    for (name, bytes) in [("garbage-behind.gz", garbage_behind), ("checksum.gz", wrong_checksum)] {
        let path = file(folder.path(), name, bytes);
        let complaint = run(&["replay", arg(&path), "--output", "json"]).complaint();
        assert!(complaint.contains("cannot read"), "{complaint}");
        assert!(complaint.contains(name), "{complaint}");
        let lines = format!("after {} lines", text.lines().count());
        assert!(complaint.contains(&lines), "{complaint}");
    }
}

#[test]
fn a_wrong_command_line_is_a_fault_of_its_own() {
    for args in [
        &["replay", "-", "--outptu", "json"][..],
        &["replay", "-", "--output", "xml"],
        &["replay", "-", "--workers", "two"],
        &["replay"],
        &["repaly", "-"],
        &[],
    ] {
        let Run { code, stdout, stderr } = run(args);
        assert_eq!((code, &*stdout), (Some(2), ""), "{args:?}");
        assert!(stderr.contains("--help"), "{args:?}: {stderr}");
    }
    let complaint = run(&["replay", "-", "--outptu", "json"]).stderr;
    assert!(complaint.contains("--outptu") && complaint.contains("--output"), "{complaint}");
}

#[test]
fn who_stops_reading_is_not_told_of_a_failure() {
    for output in ["table", "json"] {
        let mut child = observatory()
            .args(["replay", "-", "--output", output])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        // Nobody reads; only then it is given the rest of its input, so that it has not printed yet.
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text("a-morning-in-the-bakery.jsonl").as_bytes()).unwrap();
        drop(stdin);
        let Run { code, stderr, .. } = Run::of(child.wait_with_output().unwrap());
        assert_eq!((code, &*stderr), (Some(0), ""), "{output}");
    }
}

#[test]
fn who_stops_reading_the_complaints_still_gets_the_result() {
    let stream = text("half-of-it-rubbish.jsonl");
    let expected = replay(&stream, &[]).printed();
    let mut child = observatory()
        .args(["replay", "-", "--output", "json"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    child.stdin.take().unwrap().write_all(stream.as_bytes()).unwrap();
    let Run { code, stdout, .. } = Run::of(child.wait_with_output().unwrap());
    assert_eq!((code, stdout), (Some(0), expected));
}

#[test]
fn a_result_that_can_not_be_printed_is_a_failure() {
    // A disk on which nothing finds room.
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let output = observatory().args(["replay", "-"]).stdout(full).output().unwrap();
    let complaint = Run::of(output).complaint();
    assert!(complaint.contains("standard output"), "{complaint}");

    let complaint = run_on(&["replay", "-", "--jobs", "/dev/full"], crowd().join("\n").as_bytes());
    assert!(complaint.complaint().contains("/dev/full"));
}

#[test]
fn a_stream_is_not_overwritten_by_its_own_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let stream = text("a-morning-in-the-bakery.jsonl");
    let path = file(folder.path(), "stream.jsonl", &stream);
    let linked = folder.path().join("linked.jsonl");
    std::os::unix::fs::symlink(&path, &linked).unwrap();
    let in_other_words = folder.path().join(".").join("stream.jsonl");
    for out in [&path, &linked, &in_other_words] {
        let complaint = run(&["replay", arg(&path), "--jobs", arg(out)]).complaint();
        assert!(complaint.contains("--jobs"), "{complaint}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), stream);
    }
}

#[test]
fn jobs_are_written_for_whoever_may_read_what_is_written_here() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("jobs");
    replay("", &["--jobs", arg(&out)]).printed();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&out), mode(&file(folder.path(), "any", "")));
}

#[test]
fn jobs_of_before_stay_when_the_replay_fails() {
    let folder = tempfile::tempdir().unwrap();
    let out = file(folder.path(), "jobs", "of before");
    let zipped = gzip(text("a-morning-in-the-bakery.jsonl").as_bytes());
    let cut = file(folder.path(), "cut.gz", &zipped[..zipped.len() / 2]);
    run(&["replay", arg(&cut), "--jobs", arg(&out)]).complaint();
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "of before");
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "nothing else is left behind");
}

#[test]
fn windows_are_those_at_the_greatest_time_and_not_at_the_last_line() {
    let lines = "
        00:01  rye    completed
        30:00  wheat  completed
        59:59  spelt  completed
    ";
    let finished = |script: &str| {
        let Snapshot { as_of, throughput, .. } = snapshot(&stream(script));
        let all = throughput.into_iter().filter(|row| row.job_type.is_none());
        (as_of, all.map(|row| (row.window, row.finished)).collect::<Vec<_>>())
    };
    let (as_of, windows) = finished(lines);
    assert_eq!(as_of, Some(support::script::at("59:59")));
    let expected = [(Window::M1, 1), (Window::M5, 1), (Window::M15, 1), (Window::H1, 3)];
    assert_eq!(windows, expected);
    let backwards = lines.lines().rev().collect::<Vec<_>>().join("\n");
    assert_eq!(finished(&backwards), (as_of, windows));
}
