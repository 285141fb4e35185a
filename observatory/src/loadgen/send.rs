//! Sending: what is due goes out, as long as there is room in the window of unconfirmed messages.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use indicatif::ProgressBar;
use ingress::amqp::{PublishError, Publisher, State};
use tokio::time::{Instant, sleep_until, timeout};

use super::lines::Journals;
use super::parcel::{Packing, Parcel};
use super::report;
use super::stream::Stream;
use crate::signals::Signals;

/// Messages that may be unconfirmed: what the publisher takes at once.
const WINDOW: usize = 1_000;

/// A message that is not full goes out after so many µs.
const LINGER: u64 = 50_000;

/// Between two flushes of the journal, and two looks of whoever watches.
const PAUSE: Duration = Duration::from_millis(50);

/// How long outstanding confirms are waited for at an early end.
const GRACE: Duration = Duration::from_secs(10);

/// How long it is waited for a broker to come back before it is tried again all the same.
const AWAY: Duration = Duration::from_secs(1);

/// What came of it all.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) jobs: u64,
    /// Events handed to the broker, each counted once, the intended duplicates too.
    pub(super) published: u64,
    pub(super) duplicates: u64,
    pub(super) confirmed: u64,
    /// Events handed to it once more, as it had not confirmed them.
    pub(super) republished: u64,
    pub(super) elapsed: Duration,
    /// What it refuses for good.
    pub(super) failed: Option<PublishError>,
    /// There was a second signal.
    pub(super) impatient: bool,
}

pub(super) struct Sending {
    publisher: Publisher,
    stream: Stream,
    /// Events are sent when they are due, not as fast as they are confirmed.
    paced: bool,
    packing: Packing,
    journals: Journals,
    began: Instant,
    flushed: Instant,
    sent: Sent,
}

/// A parcel that was confirmed, or never will be; and how often it was published again.
type Outcome = (Parcel, u64, Result<(), PublishError>);

impl Sending {
    pub(super) fn new(
        publisher: Publisher,
        stream: Stream,
        paced: bool,
        batch: usize,
        journals: Journals,
    ) -> Sending {
        let began = Instant::now();
        let (packing, sent) = (Packing::new(batch), Sent::default());
        Sending { publisher, stream, paced, packing, journals, began, flushed: began, sent }
    }

    /// Sends until the stream ends, somebody stops it, or the broker refuses for good.
    pub(super) async fn run(
        mut self,
        signals: &mut Signals,
        bar: &ProgressBar,
    ) -> anyhow::Result<Sent> {
        let mut under_way = FuturesUnordered::new();
        let mut deadline = None;
        loop {
            if self.sent.failed.is_some() {
                deadline = deadline.or(Some(Instant::now() + GRACE));
            }
            if deadline.is_none() {
                let parcels = self.due(WINDOW.saturating_sub(under_way.len()));
                self.journals.attempt(&parcels)?;
                for parcel in parcels {
                    self.sent.published += parcel.n_events();
                    under_way.push(until_confirmed(self.publisher.clone(), parcel));
                }
                if under_way.is_empty() && self.stream.next_at().is_none() {
                    break;
                }
            } else if under_way.is_empty() {
                break;
            }
            let wake = self.wake(under_way.len() < WINDOW && deadline.is_none());
            tokio::select! {
                Some(outcome) = under_way.next() => {
                    self.take(outcome)?;
                    while let Some(Some(outcome)) = under_way.next().now_or_never() {
                        self.take(outcome)?;
                    }
                }
                () = sleep_until(wake) => {}
                () = signals.stop() => match deadline {
                    None => deadline = Some(Instant::now() + GRACE),
                    Some(_) => {
                        self.sent.impatient = true;
                        break;
                    }
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                break;
            }
            if self.flushed.elapsed() >= PAUSE {
                self.flushed = Instant::now();
                self.journals.flush()?;
                self.show(bar);
            }
        }
        self.journals.flush()?;
        self.sent.elapsed = self.began.elapsed();
        self.sent.jobs = self.stream.n_jobs();
        Ok(self.sent)
    }

    /// At most `room` parcels that are due now.
    fn due(&mut self, room: usize) -> Vec<Parcel> {
        let now = self.began.elapsed().as_micros() as u64;
        let mut parcels = VecDeque::new();
        while parcels.len() < room
            && let Some(at) = self.stream.next_at()
            && (at <= now || !self.paced)
            && let Some(due) = self.stream.next()
        {
            self.sent.duplicates += u64::from(due.repeat);
            parcels.extend(self.packing.put(due));
        }
        let ended = self.stream.next_at().is_none();
        let waited = self.packing.since().is_some_and(|since| since + LINGER <= now);
        if parcels.len() < room && (ended || self.paced && waited) {
            parcels.extend(self.packing.take());
        }
        parcels.into()
    }

    /// When to look again, if nothing happens before.
    fn wake(&mut self, room: bool) -> Instant {
        let soon = Instant::now() + PAUSE;
        match self.stream.next_at() {
            Some(at) if room => soon.min(self.began + Duration::from_micros(at)),
            _ => soon,
        }
    }

    fn take(&mut self, (parcel, again, result): Outcome) -> anyhow::Result<()> {
        self.sent.republished += again * parcel.n_events();
        match result {
            Ok(()) => {
                self.sent.confirmed += parcel.n_events();
                self.journals.confirm(&parcel)?;
            }
            Err(error) => self.sent.failed = self.sent.failed.take().or(Some(error)),
        }
        Ok(())
    }

    fn show(&self, bar: &ProgressBar) {
        bar.set_position(self.stream.n_jobs());
        bar.set_message(report::progress(&self.sent, self.began.elapsed()));
    }
}

/// Publishes until the broker has confirmed it, or refuses it for good.
async fn until_confirmed(publisher: Publisher, parcel: Parcel) -> Outcome {
    let mut again = 0;
    loop {
        match publisher.publish(parcel.message()).await {
            Ok(()) => return (parcel, again, Ok(())),
            Err(error @ PublishError::Unroutable { .. }) => return (parcel, again, Err(error)),
            Err(_) => again += 1,
        }
        let mut state = publisher.state();
        let back = state.wait_for(|state| *state == State::Connected);
        // A queue without a leader refuses at once: then a pause is what it needs.
        drop(timeout(AWAY, back).await);
        tokio::time::sleep(PAUSE).await;
    }
}
