//! How fast events are decoded: `cargo run --release -p contracts --example decode_speed`.
//!
//! Prints the best of ten rounds, as nanoseconds per event and as events per second on one core.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

/// Events per round: long enough for the clock, short enough to stay in the cache.
const EVENTS: u32 = 100_000;

const EVENT: &[u8] = br#"{"contractVersion":"1.1.0","eventType":"job.completed","eventId":"0193d5a8-1111-7aaa-8bbb-000000000001","occurredAt":"2026-11-21T10:00:00.123456Z","producer":{"service":"worker","instanceId":"w-1","version":"0.1.0"},"correlationId":"0193d5a8-3333-7aaa-8bbb-000000000003","idempotencyKey":"0193d5a8-2222-7aaa-8bbb-000000000002","payload":{"id":"0193d5a8-2222-7aaa-8bbb-000000000002","type":"email.send","status":"COMPLETED","createdAt":"2026-11-21T09:59:58.000000Z","queue":"default","worker":"w-1","attempt":1,"payload":{"to":"someone@example.com","template":"welcome","simulate":{"delayMs":250,"fail":false}},"metadata":{"tenant":"acme","trace":"00-4bf92f3577b34da6a3ce929d0e0e4736","priority":5}}}"#;

fn main() -> ExitCode {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..EVENTS {
            if contracts::decode(black_box(EVENT)).map(black_box).is_err() {
                return ExitCode::FAILURE;
            }
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(EVENTS));
    }
    #[expect(clippy::print_stdout, reason = "the measurement is the output")]
    {
        println!("{} bytes: {:.0} ns, {:.0} events/s", EVENT.len(), best * 1e9, 1.0 / best);
    }
    ExitCode::SUCCESS
}
