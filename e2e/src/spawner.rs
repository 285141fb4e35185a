//! A thread that starts servers and lives as long as the process.
//!
//! `PR_SET_PDEATHSIG` speaks of the *thread* that has started a process: servers that are started
//! by the thread of a test would be killed when that test ends, and the shared ones with them.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

struct Order {
    command: Command,
    reply: Sender<io::Result<Child>>,
}

pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, ordered) = channel::<Order>();
        thread::spawn(move || {
            for Order { mut command, reply } in ordered {
                // Whoever has ordered waits for the reply.
                drop(reply.send(command.spawn()));
            }
        });
        orders
    });
    let gone = || io::Error::other("the thread that starts servers is gone");
    let (reply, replied) = channel();
    orders.send(Order { command, reply }).map_err(|_| gone())?;
    replied.recv().map_err(|_| gone())?
}
