//! Several processes that run one graph: timely's own cluster, over connections that are there.
//!
//! ```text
//!   process 0 ── workers 0 .. n     seals, writes, says what is durable
//!      │  ╲
//!      │   process 1 ── workers n .. 2n     takes in facts of its own
//!   process 2 ── …
//! ```
//!
//! A process that has gone takes the others along: none of them can make progress without it, and
//! all of them begin again from the store.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::zero_copy::stream::Stream;
use timely::communication::{AllocatorBuilder, Hooks};

/// Called with the place of a process whose connection has ended.
pub type Gone = Arc<dyn Fn(usize) + Send + Sync>;

/// The other processes.
pub struct Peers {
    /// The place of this process among them.
    pub index: usize,
    /// A connection to each, in their order; none at our own place.
    pub sockets: Vec<Option<TcpStream>>,
    pub gone: Gone,
}

/// What timely builds the workers of a process from, and what keeps its connections alive.
pub(crate) type Built = (Vec<AllocatorBuilder>, Box<dyn std::any::Any + Send>);

impl Peers {
    /// Builds `n_workers` workers; all processes have as many.
    pub(crate) fn build(self, n_workers: usize) -> io::Result<Built> {
        let Peers { index, sockets, gone } = self;
        let link = |(peer, socket): (usize, Option<TcpStream>)| {
            socket.map(|socket| Link { socket, peer, gone: Arc::clone(&gone) })
        };
        let links = sockets.into_iter().enumerate().map(link).collect();
        let hooks = Hooks::default();
        let inner = ProcessBuilder::new_typed_vector(n_workers, hooks.refill.clone(), None);
        let (builders, guard) =
            initialize_networking_from_sockets::<Link>(inner, links, index, n_workers, hooks)?;
        let builders = builders.into_iter().map(AllocatorBuilder::Tcp).collect();
        Ok((builders, Box::new(guard)))
    }
}

/// A connection that tells when it ends. The thread of timely that reads from it then panics, and
/// nobody else would notice.
struct Link {
    socket: TcpStream,
    peer: usize,
    gone: Gone,
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.read(buffer);
        if !matches!(read, Ok(1..)) {
            (self.gone)(self.peer);
        }
        read
    }
}

impl Write for Link {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.socket.write(buffer).inspect_err(|_| (self.gone)(self.peer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Stream for Link {
    fn try_clone(&self) -> io::Result<Link> {
        let Link { peer, gone, .. } = self;
        Ok(Link { socket: self.socket.try_clone()?, peer: *peer, gone: Arc::clone(gone) })
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.socket.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}
