//! The program as it is released, and jobs for it to count.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use uuid::Uuid;

/// The program, built from what is here now.
pub(crate) fn program() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--bin", "observatory"]);
    assert!(
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().unwrap().success()
    );
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("observatory")
}

/// The creation of the n-th job, of one of twenty types and three queues.
pub(crate) fn created(n: u32) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = contracts::Micros(i64::try_from(now.as_micros()).unwrap());
    let id = Uuid::now_v7();
    json!({
        "contractVersion": "1.1.0", "eventType": "job.created", "eventId": Uuid::now_v7(),
        "occurredAt": now, "producer": { "service": "bench", "instanceId": "1", "version": "1" },
        "correlationId": id, "idempotencyKey": n.to_string(),
        "payload": { "id": id, "type": format!("type-{}", n % 20), "status": "PENDING",
                     "createdAt": now, "queue": format!("queue-{}", n % 3) },
    })
}

/// Waits for `condition` to give something.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts `observatory up` on a folder; gives it with its address when it is ready.
pub(crate) fn up(program: &Path, folder: &Path) -> (Child, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program).args(["up", "--listen", &address]);
    command.arg("--data-dir").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let service = command.spawn().unwrap();
    until("it is ready", || ureq::get(format!("http://{address}/readyz")).call().ok());
    (service, address)
}

/// Sends the creations of so many jobs.
pub(crate) fn send(address: &str, from: u32, n: u32) {
    let events: Vec<Value> = (from..from + n).map(created).collect();
    let request = ureq::post(format!("http://{address}/events"));
    request.header("content-type", "application/json").send(json!(events).to_string()).unwrap();
}
