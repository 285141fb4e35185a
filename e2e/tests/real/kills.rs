//! Kills of the pipeline at random moments under load, of which `verify` is the judge.
//!
//! `OBSERVATORY_TEST_KILLS=25` kills so often, instead of three times; a failure prints the seed of
//! the load, which makes the same jobs again.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::program::World;
use super::support::until;

/// Between a start and the next kill, in ms: while it is starting, restoring, or at work.
const BETWEEN: std::ops::Range<u64> = 100..3_000;

#[test]
fn a_pipeline_killed_at_random_under_load_agrees_with_the_journal_of_what_was_confirmed() {
    let kills = std::env::var("OBSERVATORY_TEST_KILLS").map_or(3, |kills| kills.parse().unwrap());
    let seed = fastrand::u32(..).to_string();
    let world = World::new("kills-judged");
    let (mut pipeline, api) = (world.ready("pipeline"), world.ready("api"));
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (confirmed, attempted) = (file("confirmed"), file("attempted"));
    let journals = ["--journal", &*confirmed, "--attempts", &*attempted];
    let rough = ["--rate", "1000", "--seed", &seed, "--duplicates", "20", "--disorder", "500"];
    let mut load = world.command(&[&["loadgen"], &journals[..], &rough[..]].concat());
    let mut load = load.stdout(Stdio::null()).spawn().unwrap();

    let n_confirmed = || Some(std::fs::read_to_string(&confirmed).ok()?.lines().count());
    until("the load has begun", || (n_confirmed()? > 0).then_some(()));
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(fastrand::u64(BETWEEN)));
        pipeline.kill();
        pipeline = world.start("pipeline");
    }
    kill_process(Pid::from_child(&load), Signal::TERM).unwrap();
    assert!(load.wait().unwrap().success(), "the load has failed (seed {seed})");

    let address = format!("http://{}", api.address);
    let within = ["--api", &*address, "--within", "5m"];
    let verified = world.tool(&[&["verify"], &journals[..], &within[..]].concat());
    assert_eq!(verified.code, Some(0), "seed {seed}, {kills} kills:\n{}", verified.stdout);
}
