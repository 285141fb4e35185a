//! One connection: where it is, and what it is sent next.

use std::sync::Arc;

use axum::body::Bytes;
use sinks::fold::Position;
use tokio::sync::watch;

use super::hub::Hub;
use super::{Seat, Woken, event, wait};
use crate::{Api, Readiness};

/// How a client begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Start {
    Snapshot,
    /// It has everything up to here.
    After(Position),
    /// It has something of which nothing is known.
    Reset,
}

pub(super) struct Client {
    hub: Arc<Hub>,
    api: Arc<Api>,
    news: watch::Receiver<u64>,
    ready: watch::Receiver<Readiness>,
    next: Next,
    /// The ring has begun anew so often when the client's place was last good.
    epoch: u64,
    _seat: Seat,
}

#[derive(Clone, Copy)]
enum Next {
    /// Says when to connect again.
    Greet(Start),
    Begin(Start),
    Snapshot,
    Delta(Position),
    End,
}

impl Client {
    pub(super) fn new(hub: Arc<Hub>, api: Arc<Api>, start: Start, seat: Seat) -> Client {
        let (news, ready) = (hub.listen(), api.app.ready.clone());
        Client { hub, api, news, ready, next: Next::Greet(start), epoch: 0, _seat: seat }
    }

    /// What to send; none when the connection is to end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.step() {
                Step::Send(bytes) => return Some(bytes),
                Step::Again => {}
                Step::End => return None,
                Step::Wait => match wait(&mut self.news, &mut self.ready).await {
                    Woken::News => {}
                    Woken::Silence => return Some(event::COMMENT),
                    Woken::Ends => return None,
                },
            }
        }
    }

    fn step(&mut self) -> Step {
        // Seen before the ring is looked at: what is said later wakes.
        self.news.mark_unchanged();
        let hub = Arc::clone(&self.hub);
        let ring = hub.ring();
        if ring.epoch == 0 {
            return Step::Wait;
        }
        match self.next {
            Next::Greet(start) => {
                self.next = Next::Begin(start);
                Step::Send(event::RETRY)
            }
            Next::Begin(Start::Snapshot) => {
                self.next = Next::Snapshot;
                Step::Again
            }
            Next::Begin(Start::After(at)) if ring.leads_on_from(at) => {
                self.next = Next::Delta(at);
                self.epoch = ring.epoch;
                Step::Again
            }
            Next::Begin(_) => self.reset(),
            Next::Snapshot => {
                self.epoch = ring.epoch;
                drop(ring);
                let (at, snapshot) = self.api.app.views.positioned();
                self.next = Next::Delta(at);
                Step::Send(event::snapshot(at, &snapshot))
            }
            Next::Delta(_) if ring.epoch != self.epoch => self.reset(),
            Next::Delta(at) if !ring.leads_on_from(at) => {
                self.api.metrics.lagged();
                self.next = Next::End;
                Step::Send(event::LAGGED)
            }
            Next::Delta(at) => match ring.after(at) {
                Some((to, bytes)) => {
                    self.next = Next::Delta(to);
                    Step::Send(bytes)
                }
                None => Step::Wait,
            },
            Next::End => Step::End,
        }
    }

    fn reset(&mut self) -> Step {
        self.next = Next::Snapshot;
        Step::Send(event::RESET)
    }
}

enum Step {
    Send(Bytes),
    Again,
    Wait,
    End,
}
