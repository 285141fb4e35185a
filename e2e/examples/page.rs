//! The page with many jobs in a browser: `cargo run --release -p e2e --example page [-- JOBS]`.
//!
//! ```text
//!   JOBS open jobs ──▶ observatory up ──stream──▶ the page in Chromium: first paint, frames, long tasks
//!   1,000 events/s ──▶
//! ```
//!
//! A frame that takes more than 50 ms can be felt; the browser calls a task of that length long.

#![expect(clippy::unwrap_used, reason = "a measurement that fails should say where")]
#![expect(clippy::print_stdout, reason = "the numbers")]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};

#[expect(dead_code, reason = "the tests do more with a page")]
#[path = "../tests/real/support/browser.rs"]
mod browser;
#[allow(dead_code, reason = "not everyone needs all of it")]
mod released;

use browser::Page;
use released::{program, send, until, up};

/// How long each view is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Events of a request.
const BATCH: u32 = 500;

/// For the browser.
fn runtime() -> Handle {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.handle().clone()
}

fn main() {
    let jobs: u32 = std::env::args().nth(1).map_or(100_000, |jobs| jobs.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let (mut service, address) = up(&program(), folder.path());
    (0..jobs / BATCH).for_each(|n| send(&address, n * BATCH, BATCH));

    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            for n in 0.. {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                let due = Duration::from_millis(500) * n;
                std::thread::sleep(due.saturating_sub(began.elapsed()));
                send(&address, jobs, BATCH);
            }
        });
        println!("{jobs} open jobs, and 1,000 events a second");
        for (view, path) in [("the overview", "/"), ("the jobs", "/ui/jobs")] {
            look_at(&address, view, path);
        }
        enough.store(true, Ordering::Relaxed);
    });
    service.kill().unwrap();
    service.wait().unwrap();
}

/// Prints how a view feels.
fn look_at(address: &str, view: &str, path: &str) {
    let page = Page::open(address, path);
    page.shows("#standing-word", "live");
    page.shows("main", "as of");
    let paint = page
        .run("return performance.getEntriesByName('first-contentful-paint')[0].startTime", vec![]);
    let watch = "window.frames_ms = []; window.tasks_ms = []; let last = performance.now();
        const frame = (now) => { frames_ms.push(now - last); last = now; requestAnimationFrame(frame); };
        requestAnimationFrame(frame);
        new PerformanceObserver((list) => tasks_ms.push(...list.getEntries().map((e) => e.duration)))
            .observe({ type: 'longtask' });";
    page.run(watch, vec![]);
    std::thread::sleep(LOOK);
    let seen = page.run("return [frames_ms.slice(2), tasks_ms]", vec![]);
    let sorted = |which: usize| {
        let numbers = seen[which].as_array().unwrap().iter();
        let mut numbers: Vec<f64> = numbers.map(|ms| ms.as_f64().unwrap()).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let (frames, tasks) = (sorted(0), sorted(1));
    let at = |quantile: f64| frames[(quantile * (frames.len() - 1) as f64) as usize];
    println!(
        "{view}: first paint after {:.0} ms; {} frames, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; \
         {} tasks over 50 ms, the longest {:.0} ms",
        paint.as_f64().unwrap(),
        frames.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        tasks.len(),
        tasks.last().copied().unwrap_or(0.0),
    );
}
