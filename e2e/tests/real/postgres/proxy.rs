//! A cable between a program and its server, which can be cut at a moment of choice.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// When it is cut next, once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// Before the server is told to commit.
    BeforeCommit,
    /// When the server has been told to commit, without waiting.
    AtCommit,
    /// When the server has confirmed, and the confirmation is lost.
    AfterCommit,
    /// When so many more bytes have been sent to the server, in the middle of a message perhaps.
    Within(usize),
}

#[derive(Clone)]
pub(crate) struct Proxy {
    address: SocketAddr,
    next: Arc<Mutex<Option<Cut>>>,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn to(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy {
            address: listener.local_addr().unwrap(),
            next: Arc::default(),
            cuts: Arc::default(),
        };
        let serving = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(server) = TcpStream::connect(server) else { continue };
                serving.serve(client.unwrap(), server);
            }
        });
        proxy
    }

    /// The URL of a database, by way of this.
    pub(crate) fn url(&self, url: &str) -> String {
        let (head, rest) = url.split_once('@').unwrap();
        let (_, database) = rest.split_once('/').unwrap();
        format!("{head}@{}/{database}", self.address)
    }

    pub(crate) fn cut(&self, cut: Cut) {
        *self.next.lock().unwrap() = Some(cut);
    }

    /// How often it has been cut.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }

    fn serve(&self, client: TcpStream, server: TcpStream) {
        let deaf = Arc::new(AtomicBool::new(false));
        let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (proxy, is_deaf) = (self.clone(), Arc::clone(&deaf));
        thread::spawn(move || {
            let mut bytes = [0; 64 * 1024];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                let (send, close) = proxy.decide(&bytes[..n], &is_deaf);
                if to.write_all(&bytes[..send]).is_err() || close {
                    break;
                }
            }
            sever(&both);
        });
        let both = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        let (mut from, mut to) = (server, client);
        thread::spawn(move || {
            let mut bytes = [0; 64 * 1024];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                if deaf.load(Ordering::SeqCst) || to.write_all(&bytes[..n]).is_err() {
                    break;
                }
            }
            sever(&both);
        });
    }

    /// How many of the bytes go on, and whether the cable is cut then.
    fn decide(&self, bytes: &[u8], deaf: &AtomicBool) -> (usize, bool) {
        let commit = bytes.windows(7).any(|window| window == b"COMMIT\0");
        let mut next = self.next.lock().unwrap();
        let (send, close) = match *next {
            Some(Cut::BeforeCommit) if commit => (0, true),
            Some(Cut::AtCommit) if commit => (bytes.len(), true),
            Some(Cut::AfterCommit) if commit => {
                deaf.store(true, Ordering::SeqCst);
                (bytes.len(), false)
            }
            Some(Cut::Within(left)) if left >= bytes.len() => {
                *next = Some(Cut::Within(left - bytes.len()));
                return (bytes.len(), false);
            }
            Some(Cut::Within(left)) => (left, true),
            _ => return (bytes.len(), false),
        };
        *next = None;
        self.cuts.fetch_add(1, Ordering::SeqCst);
        (send, close)
    }
}

fn sever(both: &[TcpStream; 2]) {
    for end in both {
        // The other end may have gone first.
        end.shutdown(Shutdown::Both).unwrap_or(());
    }
}
