//! Publishing to and consuming from a real broker: what is confirmed, settled, redelivered and
//! dead-lettered, and what the faults do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contracts::{Micros, Reason};
use e2e::{Broker, Queue, Servers, Vhost};
use futures_util::future::join_all;
use ingress::amqp::consumer::{self, Raw, Settle};
use ingress::amqp::events::Events;
use ingress::amqp::topology::{CREATED, DEAD_LETTERS, EVENTS, JOBS, QUEUES};
use ingress::amqp::{Consumer, FaultKind, Message, PublishError, Publisher, State, Url, publisher};
use ingress::submit::Delivery;
use ingress::vocabulary::Vocabulary;
use tokio::sync::watch;

use crate::support::poison::fixtures;
use crate::support::{Amqp, dead_letters, soon, until};

/// 2026-11-21T10:00:00Z.
const NOW: Micros = Micros(1_795_255_200_000_000);

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn message(key: &'static str, body: &[u8]) -> Message {
    let (exchange, routing_key) = (JOBS.into(), key.into());
    Message { exchange, routing_key, body: body.into(), ..Message::default() }
}

fn numbered(n: usize) -> Message {
    message("job.completed", n.to_string().as_bytes())
}

async fn is(mut state: watch::Receiver<State>, expected: State) {
    soon(&format!("{expected:?}"), state.wait_for(|state| *state == expected)).await.unwrap();
}

async fn publisher(url: &str) -> Publisher {
    let publisher = Publisher::start(publisher::Config::new(self::url(url), "test"));
    is(publisher.state(), State::Connected).await;
    publisher
}

async fn publish(publisher: &Publisher, n: impl IntoIterator<Item = usize>) {
    let published = n.into_iter().map(|n| publisher.publish(numbered(n)));
    for result in soon("publishing", join_all(published)).await {
        result.unwrap();
    }
}

/// What a consumer has been given and has not settled.
#[derive(Clone, Default)]
struct Hands(Arc<Mutex<Vec<(Raw, Settle)>>>);

impl Hands {
    fn consume(&self, url: &str, prefetch: u16) -> Consumer {
        self.consume_queue(url, EVENTS, prefetch)
    }

    fn consume_queue(&self, url: &str, queue: &'static str, prefetch: u16) -> Consumer {
        let hands = self.clone();
        let config = consumer::Config {
            queue: queue.into(),
            prefetch: NonZeroU16::new(prefetch).unwrap(),
            ..consumer::Config::new(self::url(url), "test")
        };
        Consumer::start(config, move |raw, settle| hands.0.lock().unwrap().push((raw, settle)))
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    #[track_caller]
    fn wait_for(&self, n: usize) {
        until(&format!("{n} are delivered"), || (self.len() == n).then_some(()));
    }

    fn take(&self) -> Vec<(Raw, Settle)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Settles what is there, and gives the bodies.
    fn settle(&self) -> Vec<usize> {
        let settle = |(raw, settle): (Raw, Settle)| {
            settle.settle();
            number(&raw)
        };
        self.take().into_iter().map(settle).collect()
    }
}

fn number(raw: &Raw) -> usize {
    str::from_utf8(&raw.body).unwrap().parse().unwrap()
}

#[track_caller]
fn holds(vhost: &Vhost, queue: &str, ready: u64, unacked: u64) {
    until(&format!("{queue} holds {ready} ready and {unacked} unacknowledged"), || {
        let found = vhost.queue(queue)?;
        ((found.ready, found.unacked) == (ready, unacked)).then_some(())
    });
}

/// That a queue still holds so much when the statistics have been renewed a few times.
#[track_caller]
fn still_holds(vhost: &Vhost, queue: &str, ready: u64, unacked: u64) {
    holds(vhost, queue, ready, unacked);
    std::thread::sleep(Duration::from_secs(1));
    let Queue { ready: now_ready, unacked: now_unacked, .. } = vhost.queue(queue).unwrap();
    assert_eq!((now_ready, now_unacked), (ready, unacked));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_acknowledged_whatever_the_order_in_which_they_are_settled() {
    let vhost = Servers::shared().vhost("order");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let consumer = hands.consume(vhost.url(), 2_000);
    publish(&publisher, 0..1_000).await;
    hands.wait_for(1_000);

    let mut held = hands.take();
    let bodies: Vec<_> = held.iter().map(|(raw, _)| number(raw)).collect();
    assert_eq!(bodies, (0..1_000).collect::<Vec<_>>());
    // All but the first, from several threads: the mark does not move.
    let (_, first) = held.remove(0);
    fastrand::shuffle(&mut held);
    std::thread::scope(|scope| {
        while !held.is_empty() {
            let some = held.split_off(held.len().saturating_sub(250));
            scope.spawn(move || some.into_iter().for_each(|(_, settle)| settle.settle()));
        }
    });
    still_holds(&vhost, EVENTS, 0, 1_000);
    first.settle();
    holds(&vhost, EVENTS, 0, 0);
    assert_eq!(consumer.status().acked.load(Ordering::Relaxed), 1_000);
    assert_eq!(consumer.status().unacked.load(Ordering::Relaxed), 0);
    assert_eq!(publisher.counters().confirmed.load(Ordering::Relaxed), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_deliveries_never_exceed_the_prefetch() {
    let vhost = Servers::shared().vhost("prefetch");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let consumer = hands.consume(vhost.url(), 50);
    publish(&publisher, 0..500).await;
    still_holds(&vhost, EVENTS, 450, 50);
    let mut seen = BTreeSet::new();
    until("all are settled", || {
        let n = hands.len();
        let unacked = consumer.status().unacked.load(Ordering::Relaxed);
        assert!(n <= 50 && unacked <= 50, "{n} in hands, {unacked} unacknowledged");
        seen.extend(hands.settle());
        (seen.len() == 500).then_some(())
    });
    holds(&vhost, EVENTS, 0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_settled_in_time_comes_again_after_a_stop() {
    let vhost = Servers::shared().vhost("stop");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let consumer = hands.consume(vhost.url(), 100);
    publish(&publisher, 0..10).await;
    hands.wait_for(10);
    let mut held = hands.take();
    // Number 7 is dropped: the mark never passes it.
    drop(held.remove(7));
    let later = held.split_off(3);
    held.into_iter().for_each(|(_, settle)| settle.settle());
    let stopping = tokio::spawn(consumer.stop(Duration::from_secs(1)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Settled within the grace period.
    later.into_iter().for_each(|(_, settle)| settle.settle());
    soon("the stop", stopping).await.unwrap();
    holds(&vhost, EVENTS, 3, 0);

    let consumer = hands.consume(vhost.url(), 100);
    hands.wait_for(3);
    assert!(hands.0.lock().unwrap().iter().all(|(raw, _)| raw.redelivered));
    assert_eq!(hands.settle(), [7, 8, 9]);
    soon("the stop", consumer.stop(Duration::from_secs(1))).await;
    holds(&vhost, EVENTS, 0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_given_back_goes_to_another() {
    let vhost = Servers::shared().vhost("requeue");
    let publisher = publisher(vhost.url()).await;
    let (mine, yours) = (Hands::default(), Hands::default());
    let me = mine.consume_queue(vhost.url(), CREATED, 10);
    let created = |n: usize| message("job.created", n.to_string().as_bytes());
    for n in 0..4 {
        publisher.publish(created(n)).await.unwrap();
    }
    mine.wait_for(4);
    let _you = yours.consume_queue(vhost.url(), CREATED, 10);
    until("both consume", || vhost.queue(CREATED).filter(|queue| queue.consumers == 2).map(drop));
    let mut held = mine.take();
    held.remove(2).1.requeue();
    let (_, settle) = held.remove(0);
    settle.settle();
    until("it is delivered again", || {
        let mut all = mine.0.lock().unwrap();
        all.extend(yours.take());
        (all.len() == 1).then_some(())
    });
    assert_eq!(number(&mine.0.lock().unwrap()[0].0), 2);
    assert_eq!(me.status().requeued.load(Ordering::Relaxed), 1);
    // What was requeued no longer holds the mark.
    held.into_iter().for_each(|(_, settle)| settle.settle());
    mine.settle();
    holds(&vhost, CREATED, 0, 0);
    assert_eq!(me.status().faults.get(FaultKind::Channel), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_confirmed_outlives_the_broker() {
    let mut broker = Broker::start();
    let vhost = broker.vhost("kill");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let consumer = hands.consume(vhost.url(), 30);
    publish(&publisher, 0..100).await;
    hands.wait_for(30);
    let old = hands.take();

    broker.kill();
    until("the publisher has noticed", || {
        matches!(*publisher.state().borrow(), State::Away(_)).then_some(())
    });
    let refused = publisher.publish(numbered(100)).await;
    assert!(matches!(refused, Err(PublishError::Away(_))), "{refused:?}");
    broker.restart();

    is(publisher.state(), State::Connected).await;
    is(consumer.state(), State::Connected).await;
    publish(&publisher, 100..110).await;
    // The hands are full of what the old session brought; settling that acknowledges nothing.
    assert_eq!(hands.len(), 0);
    old.into_iter().for_each(|(_, settle)| settle.settle());
    hands.wait_for(30);
    still_holds(&vhost, EVENTS, 80, 30);
    assert_eq!(consumer.status().acked.load(Ordering::Relaxed), 0);

    let mut seen = BTreeSet::new();
    until("all have come again", || {
        seen.extend(hands.settle());
        (seen.len() == 110).then_some(())
    });
    holds(&vhost, EVENTS, 0, 0);
    assert!(consumer.status().faults.get(FaultKind::Lost) >= 1);
    assert!(publisher.counters().faults.get(FaultKind::Unreachable) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closed_by_force_is_made_again() {
    let vhost = Servers::shared().vhost("force");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let consumer = hands.consume(vhost.url(), 100);
    publish(&publisher, 0..10).await;
    hands.wait_for(10);
    let old = hands.take();
    until("both connections are listed", || (vhost.connections().len() == 2).then_some(()));
    assert_eq!(vhost.close_all(), 2);
    hands.wait_for(10);
    old.into_iter().for_each(|(_, settle)| settle.settle());
    still_holds(&vhost, EVENTS, 0, 10);
    assert_eq!(hands.settle(), (0..10).collect::<Vec<_>>());
    holds(&vhost, EVENTS, 0, 0);
    assert_eq!(consumer.status().faults.get(FaultKind::Lost), 1);
    assert_eq!(consumer.status().sessions.load(Ordering::Relaxed), 2);
    assert_eq!(consumer.status().backlog.load(Ordering::Relaxed), 10);
    is(publisher.state(), State::Connected).await;
    publish(&publisher, 10..20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_deleted_under_its_consumer_is_a_fault_that_heals() {
    let vhost = Servers::shared().vhost("deleted");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let consumer = hands.consume(vhost.url(), 100);
    publish(&publisher, 0..3).await;
    hands.wait_for(3);
    assert!(vhost.delete_queue(EVENTS));
    until("the consumer is back", || {
        let sessions = consumer.status().sessions.load(Ordering::Relaxed);
        (sessions == 2).then_some(())
    });
    assert_eq!(consumer.status().faults.get(FaultKind::Cancelled), 1);
    hands.settle();
    publish(&publisher, 3..6).await;
    hands.wait_for(3);
    assert_eq!(hands.settle(), [3, 4, 5]);
    holds(&vhost, EVENTS, 0, 0);
}

/// Publishes messages of which every seventh is unroutable, and compares the answers; gives the
/// number of those that arrive.
async fn publish_mixed(publisher: &Publisher, n: usize) -> u64 {
    let key = |n: usize| if n.is_multiple_of(7) { "nobody.wants" } else { "job.completed" };
    let message = |n: usize| message(key(n), n.to_string().as_bytes());
    let results = join_all((0..n).map(|n| publisher.publish(message(n))));
    for (n, result) in soon("publishing", results).await.into_iter().enumerate() {
        match key(n) {
            "job.completed" => assert_eq!(result, Ok(()), "{n}"),
            key => {
                let (exchange, routing_key) = (JOBS.to_owned(), key.to_owned());
                assert_eq!(result, Err(PublishError::Unroutable { exchange, routing_key }), "{n}");
            }
        }
    }
    (n - n.div_ceil(7)) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_no_queue_wants_is_told_from_those_around_it() {
    let mut broker = Broker::start();
    let vhost = broker.vhost("unroutable");
    let publisher = publisher(vhost.url()).await;
    let mut arrived = publish_mixed(&publisher, 2_000).await;
    for _ in 0..15 {
        // When it goes on it finds all of them at once, and acknowledges many with one answer.
        broker.stop();
        let publishing = tokio::spawn({
            let publisher = publisher.clone();
            async move { publish_mixed(&publisher, 1_000).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        broker.cont();
        arrived += publishing.await.unwrap();
    }
    holds(&vhost, EVENTS, arrived, 0);
    assert_eq!(publisher.counters().sessions.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_were_deleted_are_declared_again_when_a_message_comes_back() {
    let vhost = Servers::shared().vhost("redeclare");
    let publisher = publisher(vhost.url()).await;
    publish(&publisher, 0..1).await;
    for queue in QUEUES {
        until("it is listed", || vhost.queue(queue.name));
        assert!(vhost.delete_queue(queue.name));
    }
    let first = publisher.publish(numbered(1)).await;
    assert!(matches!(first, Err(PublishError::Unroutable { .. })), "{first:?}");
    let again = async {
        while publisher.publish(numbered(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon("the queues are declared again", again).await;
    assert_eq!(publisher.counters().sessions.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lacks_memory_is_told_at_once() {
    let mut broker = Broker::start();
    let vhost = broker.vhost("block");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let _consumer = hands.consume(vhost.url(), 100);
    publish(&publisher, 0..10).await;
    broker.block();
    // The broker tells a connection when it publishes.
    let began = std::time::Instant::now();
    let blocked = join_all((10..20).map(|n| publisher.publish(numbered(n)))).await;
    assert!(blocked.iter().all(|result| *result == Err(PublishError::Blocked)), "{blocked:?}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(*publisher.state().borrow(), State::Blocked);
    let began = std::time::Instant::now();
    assert_eq!(publisher.publish(numbered(20)).await, Err(PublishError::Blocked));
    assert!(began.elapsed() < Duration::from_millis(100));
    // Consumers are not concerned.
    hands.wait_for(10);
    hands.settle();
    holds(&vhost, EVENTS, 0, 0);

    broker.unblock();
    is(publisher.state(), State::Connected).await;
    publish(&publisher, 20..30).await;
    // Those that were under way come after all.
    until("the last has come", || {
        let held = hands.0.lock().unwrap();
        held.iter().any(|(raw, _)| number(raw) == 29).then_some(())
    });
    assert_eq!(publisher.counters().sessions.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_does_not_hang_who_publishes() {
    let mut broker = Broker::start();
    let vhost = broker.vhost("hang");
    let deadline = Duration::from_millis(500);
    let config = publisher::Config {
        window: 20,
        deadline,
        ..publisher::Config::new(url(vhost.url()), "test")
    };
    let publisher = Publisher::start(config);
    is(publisher.state(), State::Connected).await;
    publish(&publisher, 0..10).await;
    broker.stop();
    let began = std::time::Instant::now();
    // More than there is room for.
    let late = join_all((10..60).map(|n| publisher.publish(numbered(n)))).await;
    assert!(late.iter().all(|result| *result == Err(PublishError::TimedOut(deadline))), "{late:?}");
    assert!(began.elapsed() < 3 * deadline, "{:?}", began.elapsed());
    broker.cont();
    until("the window has emptied", || {
        let publish = publisher.publish(numbered(60));
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(publish)).ok()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_to_do_and_never_the_password() {
    let vhost = Servers::shared().vhost("refused");
    let amqp = Amqp::connect(vhost.url()).await;
    // Not of our form.
    amqp.declare(EVENTS).await;
    let port = vhost.url().split(':').nth(3).unwrap().split('/').next().unwrap();
    for (url, kind, advice) in [
        (vhost.url().to_owned(), FaultKind::Refused, "refused a declaration"),
        (vhost.url().replace(":guest@", ":s3cret@"), FaultKind::Refused, "check user and password"),
        (format!("amqp://guest:guest@127.0.0.1:{port}/nowhere"), FaultKind::Refused, "`nowhere`"),
        ("amqp://guest:s3cret@127.0.0.1:1/v".to_owned(), FaultKind::Unreachable, "cannot reach"),
        (
            "amqp://guest:s3cret@nowhere.invalid/v".to_owned(),
            FaultKind::Unreachable,
            "cannot reach",
        ),
        (
            "amqps://guest:s3cret@127.0.0.1:".to_owned() + port + "/v",
            FaultKind::Unreachable,
            "cannot reach",
        ),
    ] {
        let publisher = Publisher::start(publisher::Config::new(self::url(&url), "test"));
        let consumer = Hands::default().consume(&url, 10);
        for mut state in [publisher.state(), consumer.state()] {
            let told =
                |state: &State| matches!(state, State::Away(reason) if reason != "connecting");
            let state = soon("a fault", state.wait_for(told)).await.unwrap().clone();
            let State::Away(reason) = state else { unreachable!() };
            assert!(reason.contains(advice), "{url}: {reason}");
            assert!(!reason.contains("s3cret"), "{reason}");
        }
        assert!(publisher.counters().faults.get(kind) >= 1, "{url}");
        let error = publisher.publish(numbered(0)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

/// What [`Events`] has handed out, and what it has counted.
#[derive(Clone, Default)]
struct Taken {
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    rejected: Arc<Mutex<BTreeMap<Reason, usize>>>,
}

impl Taken {
    async fn start(&self, vhost: &Vhost, publisher: &Publisher) -> Events {
        let (deliveries, rejected) = (Arc::clone(&self.deliveries), Arc::clone(&self.rejected));
        let events = Events::start(
            consumer::Config::new(url(vhost.url()), "test"),
            Vocabulary::default(),
            publisher.clone(),
            || NOW,
            move |delivery| deliveries.lock().unwrap().push(delivery),
            |_| {},
            move |reason| *rejected.lock().unwrap().entry(reason).or_default() += 1,
        );
        is(events.state(), State::Connected).await;
        events
    }

    fn settle(&self) -> Vec<Vec<u8>> {
        let deliveries = std::mem::take(&mut *self.deliveries.lock().unwrap());
        let settle = |delivery: Delivery| {
            delivery.receipt.settle();
            delivery.event.body
        };
        deliveries.into_iter().map(settle).collect()
    }

    fn n_rejected(&self) -> usize {
        self.rejected.lock().unwrap().values().sum()
    }
}

fn event(n: usize, occurred_at: &str) -> Vec<u8> {
    format!(
        r#"{{"contractVersion":"1.1.0","eventType":"job.created","eventId":"01936a3e-0000-7000-8000-{n:012}","occurredAt":"{occurred_at}","producer":{{"service":"s","instanceId":"i","version":"1"}},"correlationId":"01936a3e-0000-7000-8000-000000000002","idempotencyKey":"k","payload":{{"id":"01936a3e-0000-7000-8000-000000000003","type":"t","status":"PENDING","createdAt":"2026-11-21T10:00:00Z"}}}}"#
    )
    .into_bytes()
}

fn good(n: usize) -> Vec<u8> {
    event(n, "2026-11-21T10:00:00Z")
}

/// The negative fixtures with their reasons, and what files cannot hold.
fn poison() -> Vec<(Reason, Vec<u8>)> {
    let mut poison = fixtures();
    poison.extend([
        (Reason::TooLarge, [b"{".to_vec(), b" ".repeat(256 * 1024), b"}".to_vec()].concat()),
        (Reason::BadTime, event(999_999, "2026-11-21T11:00:00.000001Z")),
        (Reason::BadJson, Vec::new()),
    ]);
    poison
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_put_aside_once_and_what_is_good_goes_on() {
    let vhost = Servers::shared().vhost("poison");
    let publisher = publisher(vhost.url()).await;
    let taken = Taken::default();
    let events = taken.start(&vhost, &publisher).await;
    let poison = poison();
    let n_good = 20 * poison.len();

    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for (at, (_, body)) in poison.iter().enumerate() {
        bodies.push(body.clone());
        bodies.extend((20 * at..20 * at + 20).map(good));
    }
    let published = bodies.iter().map(|body| publisher.publish(message("job.created", body)));
    for result in soon("publishing", join_all(published)).await {
        result.unwrap();
    }
    let mut seen = BTreeSet::new();
    until("the good ones are delivered", || {
        seen.extend(taken.settle());
        (seen.len() == n_good).then_some(())
    });
    assert_eq!(seen, (0..n_good).map(good).collect());
    until("the bad ones are counted", || (taken.n_rejected() == poison.len()).then_some(()));
    holds(&vhost, EVENTS, 0, 0);
    assert_eq!(events.status().sessions.load(Ordering::Relaxed), 1);

    let letters = dead_letters(vhost.url()).await;
    for (reason, _, headers) in &letters {
        assert_eq!(headers["x-reason"], *reason);
        assert!((1..=512).contains(&headers["x-detail"].len()), "{headers:?}");
        assert_eq!((&*headers["x-exchange"], &*headers["x-routing-key"]), ("jobs", "job.created"));
    }
    let sorted = |mut all: Vec<(String, Vec<u8>)>| {
        all.sort();
        all
    };
    let expected = poison.into_iter().map(|(reason, body)| (reason.to_string(), body)).collect();
    let found = letters.into_iter().map(|(reason, body, _)| (reason, body)).collect();
    assert_eq!(sorted(found), sorted(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bad_elements_of_a_batch_go_alone_and_it_is_settled_with_the_last() {
    let vhost = Servers::shared().vhost("batch");
    let publisher = publisher(vhost.url()).await;
    let taken = Taken::default();
    let _events = taken.start(&vhost, &publisher).await;
    let elements: [&[u8]; 4] = [&good(1), br#"{"eventType": "no"}"#, &good(2), b"7"];
    let body = [b"[".to_vec(), elements.join(&b','), b" ]".to_vec()].concat();
    publisher.publish(message("job.created", &body)).await.unwrap();
    until("two are good", || (taken.deliveries.lock().unwrap().len() == 2).then_some(()));
    until("two are bad", || (taken.n_rejected() == 2).then_some(()));
    let first = taken.deliveries.lock().unwrap().pop().unwrap();
    first.receipt.settle();
    still_holds(&vhost, EVENTS, 0, 1);
    assert_eq!(taken.settle(), [good(1)]);
    holds(&vhost, EVENTS, 0, 0);
    let mut letters: Vec<_> = dead_letters(vhost.url())
        .await
        .into_iter()
        .map(|(reason, body, _)| (reason, body))
        .collect();
    letters.sort();
    assert_eq!(
        letters,
        [
            ("schema".to_owned(), b"7".to_vec()),
            ("unknown_type".to_owned(), br#"{"eventType": "no"}"#.to_vec())
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_waits_for_its_queue_and_its_delivery_waits_for_it() {
    let vhost = Servers::shared().vhost("patience");
    let publisher = publisher(vhost.url()).await;
    until("it is listed", || vhost.queue(DEAD_LETTERS));
    assert!(vhost.delete_queue(DEAD_LETTERS));
    let taken = Taken::default();
    // Its connection declares the queue again, so it is deleted once more.
    let _events = taken.start(&vhost, &publisher).await;
    until("it is listed", || vhost.queue(DEAD_LETTERS));
    assert!(vhost.delete_queue(DEAD_LETTERS));
    publisher.publish(message("job.created", b"{")).await.unwrap();
    until("it is put aside", || (taken.n_rejected() == 1).then_some(()));
    assert!(publisher.counters().unroutable.load(Ordering::Relaxed) >= 1);
    holds(&vhost, EVENTS, 0, 0);
    assert_eq!(dead_letters(vhost.url()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_random_cuts_nothing_is_lost() {
    /// Connections of each side until it is enough.
    const CUTS: u64 = 4;
    let vhost = Servers::shared().vhost("cuts");
    let publisher = publisher(vhost.url()).await;
    let hands = Hands::default();
    let consumer = hands.consume(vhost.url(), 500);
    let enough = || {
        let sessions = [&consumer.status().sessions, &publisher.counters().sessions];
        sessions.iter().all(|sessions| sessions.load(Ordering::Relaxed) >= CUTS)
    };

    let next = AtomicUsize::new(0);
    // At the same time from a hundred places.
    let publishing = join_all(std::iter::repeat_n((), 100).map(|()| async {
        while !enough() {
            let n = next.fetch_add(1, Ordering::Relaxed);
            while publisher.publish(numbered(n)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }));
    let mut seen = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            until("enough cuts", || {
                std::thread::sleep(Duration::from_millis(fastrand::u64(300..900)));
                vhost.close_all();
                enough().then_some(())
            });
        });
        scope.spawn(|| {
            let mut held = Vec::new();
            while !enough() {
                held.extend(hands.take());
                fastrand::shuffle(&mut held);
                // Some are kept over the end of their session.
                for (raw, settle) in held.split_off(held.len() / 10) {
                    seen.insert(number(&raw));
                    settle.settle();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            // Dropped in a session that lasts, they would not come again.
            hands.0.lock().unwrap().extend(held);
        });
        let publishing = soon("publishing", publishing);
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(publishing));
    });
    // What nobody has settled comes again, with what has not come yet.
    until("all that was confirmed has come", || {
        seen.extend(hands.settle());
        (seen.len() == next.load(Ordering::Relaxed)).then_some(())
    });
    until("the queue is empty", || {
        hands.settle();
        vhost.queue(EVENTS).filter(|queue| queue.ready + queue.unacked == 0)
    });
}
