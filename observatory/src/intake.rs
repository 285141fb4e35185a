//! Events from RabbitMQ, into the engine.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use contracts::Micros;
use ingress::amqp;
use ingress::amqp::events::Events;
use ingress::amqp::publisher::Publisher;
use tokio::sync::watch;

use crate::engine::{self, Msg};
use crate::metrics::{self, Metrics};

/// Starts to consume. While there is no broker, and until what waited there is in, no alert changes.
pub(crate) fn start(
    broker: amqp::Url,
    prefetch: Option<NonZeroU16>,
    name: &'static str,
    inbox: &Sender<Msg>,
    metrics: &Metrics,
) -> anyhow::Result<Events> {
    let publisher = Publisher::start(amqp::publisher::Config::new(broker.clone(), name));
    let mut consumer = amqp::consumer::Config::new(broker, name);
    consumer.prefetch = prefetch.unwrap_or(consumer.prefetch);
    let (delivered, rejected) = (inbox.clone(), inbox.clone());
    metrics::publisher(&metrics.registry, Arc::clone(publisher.counters()))?;
    let dead_letters = metrics.dead_letters.clone();
    let events = Events::start(
        consumer,
        publisher,
        || Micros(i64::try_from(engine::now()).unwrap_or(i64::MAX)),
        // Without an engine the process is about to end, and all of it comes again.
        move |delivery| drop(delivered.send(Msg::Deliver(delivery))),
        move |reason| {
            dead_letters.with_label_values(&[reason.as_str()]).inc();
            drop(rejected.send(Msg::Rejected(reason)));
        },
    );
    metrics::consumer(&metrics.registry, Arc::clone(events.status()))?;
    tokio::spawn(follow(events.current(), inbox.clone()));
    Ok(events)
}

/// Tells the engine whether it knows what the broker knows.
async fn follow(mut current: watch::Receiver<bool>, inbox: Sender<Msg>) {
    loop {
        let behind = !*current.borrow_and_update();
        if inbox.send(Msg::Suspend(behind)).is_err() || current.changed().await.is_err() {
            return;
        }
    }
}
