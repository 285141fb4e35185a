//! The reference worker on a queue of the broker.
//!
//! ```text
//!   jobs.created ──▶ decode ──▶ ReferenceWorker ──events, confirmed──▶ jobs
//!        ▲                            │
//!        └──── ack when it has ended ◀┘      (stopped before: back into the queue)
//! ```

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use ingress::amqp::consumer::{Raw, Settle, Status};
use ingress::amqp::{self, Consumer, Publisher, topology};
use ingress::gateway;
use ingress::submit::Submitter;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::metrics::Metrics;
use crate::reference_worker::{Habits, ReferenceWorker};

/// How long running jobs are given to end when the worker stops; then they go back.
const GRACE: Duration = Duration::from_secs(5);

/// A running worker; dropped, it stops at once.
pub(crate) struct QueueWorker {
    state: watch::Receiver<amqp::State>,
    status: Arc<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl QueueWorker {
    /// Starts to consume and execute.
    pub(crate) fn start(
        broker: amqp::Url,
        name: &'static str,
        concurrency: NonZeroU16,
        habits: Habits,
        metrics: Metrics,
    ) -> QueueWorker {
        let publisher = Publisher::start(amqp::publisher::Config::new(broker.clone(), name));
        let submitter = Submitter::to_broker(publisher);
        let worker = ReferenceWorker::new(submitter, habits, concurrency.get().into(), metrics);
        let config = amqp::consumer::Config {
            queue: topology::CREATED.into(),
            prefetch: concurrency,
            ..amqp::consumer::Config::new(broker, name)
        };
        let (jobs, received) = unbounded_channel();
        let consumer = Consumer::start(config, move |raw, settle| drop(jobs.send((raw, settle))));
        let (state, status) = (consumer.state(), Arc::clone(consumer.status()));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(worker, consumer, received, stopped));
        QueueWorker { state, status, stop, task }
    }

    /// How things stand with the broker.
    pub(crate) fn state(&self) -> watch::Receiver<amqp::State> {
        self.state.clone()
    }

    /// How its consumer is doing.
    pub(crate) fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Lets running jobs end, or gives them back; and whatever has not begun.
    pub(crate) async fn stop(self) {
        // Either way it ends; a panic has been reported.
        self.stop.send(()).unwrap_or_default();
        drop(self.task.await);
    }
}

async fn run(
    worker: ReferenceWorker,
    consumer: Consumer,
    mut received: UnboundedReceiver<(Raw, Settle)>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut running = JoinSet::new();
    let (give_back, giving_back) = watch::channel(false);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some((raw, settle)) = received.recv() => {
                running.spawn(execute(worker.clone(), raw, settle, giving_back.clone()));
            }
            Some(ended) = running.join_next() => drop(ended),
        }
    }
    let ended = async { while running.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        give_back.send_replace(true);
        while running.join_next().await.is_some() {}
    }
    while let Ok((_, settle)) = received.try_recv() {
        settle.requeue();
    }
    consumer.stop(Duration::from_secs(1)).await;
}

/// Executes the job of a delivery, unless the worker stops or the delivery goes to another.
async fn execute(
    worker: ReferenceWorker,
    raw: Raw,
    settle: Settle,
    mut stopping: watch::Receiver<bool>,
) {
    // The pipeline has the same bodies, and dead-letters those that are no events. CloudEvents are
    // for those who watch: what is to be executed is submitted.
    let Ok(event) = contracts::decode(&raw.body) else { return settle.settle() };
    let work = gateway::work(&event);
    let session = settle.session();
    tokio::select! {
        done = worker.execute(work) => match done {
            Ok(()) => settle.settle(),
            Err(error) => {
                tracing::warn!(%error, "a job goes back into the queue");
                settle.requeue();
            }
        },
        // Another worker gets it.
        () = session.over() => {}
        _ = stopping.wait_for(|stop| *stop) => settle.requeue(),
    }
}
