//! Processes by their working directory, which is how those of a server are found.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// What a killed or frozen process may take to be so, even on a busy machine.
const PROMPTLY: Duration = Duration::from_secs(20);

/// Until a server has ended of which that was asked; then it is killed.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(5);

/// All that work below `folder`. One that has ended and was not waited for has no directory.
pub(crate) fn below(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let directory = fs::read_link(entry.path().join("cwd")).ok()?;
            directory.starts_with(folder).then_some(pid)
        })
        .collect()
}

/// Ends those whose parent is gone: frozen ones get what they were sent then, and time to heed it.
pub(crate) fn end_below(folder: &Path) {
    thaw_below(folder);
    wait::until(LAST_WORDS, || below(folder).is_empty().then_some(()).ok_or(()))
        .unwrap_or_default();
    kill_below(folder);
}

/// Kills them until there is none: one may have started another after it was seen.
pub(crate) fn kill_below(folder: &Path) {
    // Some cannot be killed when they are another user's, and the caller would wait for ever.
    wait::until(PROMPTLY, || {
        let pids = below(folder);
        signal(&pids, Signal::KILL);
        pids.is_empty().then_some(()).ok_or(())
    })
    .unwrap_or_default();
}

/// Freezes them; returns when all of them stand still.
pub(crate) fn freeze_below(folder: &Path) {
    wait::until(PROMPTLY, || {
        let running: Vec<_> = below(folder).into_iter().filter(|pid| !frozen(*pid)).collect();
        signal(&running, Signal::STOP);
        running.is_empty().then_some(()).ok_or(())
    })
    .unwrap_or_default();
}

pub(crate) fn thaw_below(folder: &Path) {
    signal(&below(folder), Signal::CONT);
}

pub(crate) fn signal(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // It may have ended since it was seen.
        kill_process(*pid, signal).unwrap_or_default();
    }
}

fn frozen(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may itself have any character.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}
