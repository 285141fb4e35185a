//! One connection of a consumer, from the first delivery to the fault that ends it.

use std::num::NonZeroU16;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Acker, Channel, Event};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, Sleep, timeout_at};

use super::backlog::Backlog;
use super::low_water::LowWater;
use super::{Config, Raw, Settle, Status, Supervisor, Tag, Verdict};
use crate::amqp::connection::{Connection, Fault, FaultKind, State};
use crate::amqp::{cloud_event, topology};

/// Deliveries acknowledged at once: with each on its own, the broker is five times slower.
const ACK_EVERY: u64 = 250;

/// How long a settled delivery may wait for others.
const ACK_WITHIN: Duration = Duration::from_millis(10);

/// Verdicts looked at in one go.
const VERDICTS: usize = 1_024;

/// When nothing is to be acknowledged.
const FAR: Duration = Duration::from_secs(3_600);

impl<H: FnMut(Raw, Settle) + Send> Supervisor<H> {
    /// Consumes until something goes wrong, or until it is stopped.
    pub(super) async fn session(
        &mut self,
        mut connection: Connection,
        stop: &mut oneshot::Receiver<Duration>,
    ) -> Result<(), Fault> {
        let ended = self.consume(&mut connection, stop).await;
        // What is unacknowledged comes again; a connection that stays would keep it.
        connection.close().await;
        ended
    }

    async fn consume(
        &mut self,
        connection: &mut Connection,
        stop: &mut oneshot::Receiver<Duration>,
    ) -> Result<(), Fault> {
        let Config { url: broker, queue, prefetch, .. } = &self.config;
        let channel = connection.channel.clone();
        let (mut deliveries, found) = tokio::select! {
            begun = begin(&channel, queue, *prefetch) => begun?,
            fault = lost(connection) => return Err(fault),
        };
        self.status.sessions.fetch_add(1, Ordering::Relaxed);
        self.status.backlog.store(found, Ordering::Relaxed);
        let backlog = Backlog::of(found);
        self.current.send_replace(backlog.is_done());
        self.state.send_replace(State::Connected);
        tracing::info!(%broker, %queue, backlog = found, "consumer connected");

        let (verdicts, mut decided) = mpsc::unbounded_channel();
        let most = u64::from(self.config.prefetch.get() / 4).clamp(1, ACK_EVERY);
        let mut acks = Acks::new(most, Arc::clone(&self.status));
        let grace = tokio::select! {
            fault = self.hand_out(&mut deliveries, &mut acks, verdicts, &mut decided, &channel, backlog) => {
                return Err(fault);
            }
            // Whatever is waited for just then: an ack on its way to a connection that is lost may
            // be waited for for ever.
            fault = lost(connection) => return Err(fault),
            grace = &mut *stop => grace.unwrap_or_default(),
        };

        let deadline = Instant::now() + grace;
        // Nothing new; what has been sent already and not handed out comes again.
        let cancel = channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default());
        drop(timeout_at(deadline, cancel).await);
        let drained = timeout_at(deadline + ACK_WITHIN, acks.drain(&mut decided, deadline)).await;
        if let Err(fault) = drained.unwrap_or_else(|_| Err(Fault::lost())) {
            let queue = &self.config.queue;
            tracing::warn!(%queue, "what was settled last comes again: {fault}");
        }
        Ok(())
    }

    /// Hands out deliveries and acknowledges them, until something goes wrong.
    async fn hand_out(
        &mut self,
        deliveries: &mut lapin::Consumer,
        acks: &mut Acks,
        verdicts: mpsc::UnboundedSender<(Tag, Verdict)>,
        decided: &mut mpsc::UnboundedReceiver<(Tag, Verdict)>,
        channel: &Channel,
        mut backlog: Backlog,
    ) -> Fault {
        let mut batch = Vec::with_capacity(VERDICTS);
        loop {
            let done = tokio::select! {
                (room, delivery) = next(deliveries, &self.room) => match delivery {
                    Some(Ok(delivery)) => {
                        let (acker, raw) = take_apart(delivery);
                        let tag = acks.deliver(acker, raw.redelivered);
                        (self.handler)(raw, Settle { tag, verdicts: verdicts.clone(), _room: room });
                        self.came_in(backlog.handed_out(1));
                        Ok(())
                    }
                    Some(Err(error)) => Err(Fault::during(&error)),
                    None => Err(cancelled()),
                },
                _ = decided.recv_many(&mut batch, VERDICTS) => acks.decide(&mut batch).await,
                () = acks.due() => acks.ack().await,
                () = backlog.due() => match ready(channel, &self.config.queue).await {
                    Ok(left) => {
                        self.came_in(backlog.only(left));
                        Ok(())
                    }
                    Err(fault) => Err(fault),
                },
            };
            if let Err(fault) = done {
                return fault;
            }
        }
    }
}

impl<H> Supervisor<H> {
    /// All of the backlog is in, if so.
    fn came_in(&self, done: bool) {
        if done {
            self.current.send_replace(true);
        }
    }
}

/// Waits until the connection is lost.
async fn lost(connection: &mut Connection) -> Fault {
    loop {
        match connection.events.next().await {
            Some(Event::Error(error)) => return Fault::during(&error),
            Some(_) => {}
            None => return Fault::lost(),
        }
    }
}

/// Asks for deliveries; also gives what is in the queue.
async fn begin(
    channel: &Channel,
    queue: &str,
    prefetch: NonZeroU16,
) -> Result<(lapin::Consumer, u64), Fault> {
    if queue == topology::CELERY.name {
        let declared = topology::declare_celery(channel).await;
        declared.map_err(|error| Fault::during(&error))?;
    }
    let qos = channel.basic_qos(prefetch.get(), BasicQosOptions::default()).await;
    qos.map_err(|error| Fault::during(&error))?;
    let found = ready(channel, queue).await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    let consumer = channel.basic_consume(name(queue)?, tag, options, FieldTable::default()).await;
    Ok((consumer.map_err(|error| Fault::during(&error))?, found))
}

/// Messages of the queue that nobody has been given.
async fn ready(channel: &Channel, queue: &str) -> Result<u64, Fault> {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let found = channel.queue_declare(name(queue)?, options, FieldTable::default()).await;
    Ok(found.map_err(|error| Fault::during(&error))?.message_count().into())
}

fn name(queue: &str) -> Result<ShortString, Fault> {
    ShortString::try_new(queue)
        .map_err(|error| Fault::new(FaultKind::Refused, format!("the queue's name: {error}")))
}

/// The next delivery, when there is room for it.
async fn next(
    deliveries: &mut lapin::Consumer,
    room: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, Option<lapin::Result<Delivery>>) {
    match Arc::clone(room).acquire_owned().await {
        Ok(room) => (room, deliveries.next().await),
        // It is never closed.
        Err(_) => std::future::pending().await,
    }
}

fn take_apart(delivery: Delivery) -> (Acker, Raw) {
    let Delivery { exchange, routing_key, redelivered, properties, data, acker, .. } = delivery;
    let raw = Raw {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        message_id: properties.message_id().clone().map(String::from),
        content_type: properties.content_type().clone().map(String::from),
        cloud_event: properties.headers().as_ref().map(cloud_event::headers).unwrap_or_default(),
        redelivered,
        body: data,
    };
    (acker, raw)
}

/// The end of the stream is no error for the library.
fn cancelled() -> Fault {
    let text = "the broker ended the consumer: its queue was deleted, or is moving";
    Fault::new(FaultKind::Cancelled, text)
}

/// A delivery that the broker waits for.
#[derive(Clone, Debug)]
struct Unacked {
    acker: Acker,
    delivered: Instant,
}

/// What has been delivered, and what of it is to be acknowledged when.
struct Acks {
    low_water: LowWater<Unacked>,
    /// An ack is not about more than so many, unless they are settled at once.
    most: u64,
    timer: Pin<Box<Sleep>>,
    status: Arc<Status>,
}

impl Acks {
    fn new(most: u64, status: Arc<Status>) -> Acks {
        let timer = Box::pin(tokio::time::sleep(FAR));
        Acks { low_water: LowWater::default(), most, timer, status }
    }

    fn deliver(&mut self, acker: Acker, redelivered: bool) -> Tag {
        self.status.deliveries.fetch_add(1, Ordering::Relaxed);
        self.status.redelivered.fetch_add(redelivered.into(), Ordering::Relaxed);
        let tag = self.low_water.deliver(Unacked { acker, delivered: Instant::now() });
        self.status.unacked.store(self.low_water.n_unacked(), Ordering::Relaxed);
        tag
    }

    async fn decide(&mut self, verdicts: &mut Vec<(Tag, Verdict)>) -> Result<(), Fault> {
        let waiting = self.low_water.n_settled() > 0;
        for (tag, verdict) in verdicts.drain(..) {
            if let Some(Unacked { acker, .. }) = self.low_water.decide(tag, verdict) {
                let options = BasicNackOptions { requeue: true, multiple: false };
                sent(acker.nack(options).await)?;
                self.status.requeued.fetch_add(1, Ordering::Relaxed);
            }
        }
        if self.low_water.n_settled() >= self.most {
            return self.ack().await;
        }
        if !waiting && self.low_water.n_settled() > 0 {
            self.timer.as_mut().reset(Instant::now() + ACK_WITHIN);
        }
        self.status.unacked.store(self.low_water.n_unacked(), Ordering::Relaxed);
        Ok(())
    }

    /// Waits until what is settled has waited long enough.
    async fn due(&mut self) {
        match self.low_water.n_settled() {
            0 => std::future::pending().await,
            _ => self.timer.as_mut().await,
        }
    }

    /// Takes in what is still settled until `deadline`, and acknowledges it.
    async fn drain(
        &mut self,
        decided: &mut mpsc::UnboundedReceiver<(Tag, Verdict)>,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let mut batch = Vec::new();
        while !self.low_water.is_settled()
            && let Ok(1..) = timeout_at(deadline, decided.recv_many(&mut batch, VERDICTS)).await
        {
            self.decide(&mut batch).await?;
        }
        self.ack().await
    }

    async fn ack(&mut self) -> Result<(), Fault> {
        let settled = self.low_water.take_mark();
        if let Some(Unacked { acker, .. }) = settled.last() {
            sent(acker.ack(BasicAckOptions { multiple: true }).await)?;
            self.status.acked.fetch_add(settled.len() as u64, Ordering::Relaxed);
            for Unacked { delivered, .. } in &settled {
                self.status.ack_seconds.observe(delivered.elapsed().as_secs_f64());
            }
        }
        self.status.unacked.store(self.low_water.n_unacked(), Ordering::Relaxed);
        Ok(())
    }
}

/// Whether an ack was sent: it is not if the channel has gone.
fn sent(result: lapin::Result<bool>) -> Result<(), Fault> {
    match result {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::lost()),
        Err(error) => Err(Fault::during(&error)),
    }
}
