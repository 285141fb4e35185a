//! A publisher that sends what no client library would: names of any bytes.

use std::io::{Read, Write};
use std::net::TcpStream;

use e2e::Vhost;

/// A connection with one channel, on which messages are confirmed.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) fn connect(vhost: &Vhost) -> Raw {
        let address = vhost.url().split(['@', '/']).nth(3).unwrap();
        let mut raw = Raw(TcpStream::connect(address).unwrap());
        raw.0.write_all(b"AMQP\0\0\x09\x01").unwrap();
        raw.read();
        // Start-ok without properties; tune-ok: one channel, frames of 128 KiB, no heartbeats.
        let login = [&[0; 4][..], &short(b"PLAIN"), b"\0\0\0\x0C\0guest\0guest", &short(b"en_US")];
        raw.method(0, [10, 11], &login.concat());
        raw.read();
        raw.method(0, [10, 31], &[0, 1, 0, 2, 0, 0, 0, 0]);
        raw.method(0, [10, 40], &[&short(vhost.name().as_bytes())[..], &[0, 0]].concat());
        raw.read();
        raw.method(1, [20, 10], &[0]);
        raw.read();
        raw.method(1, [85, 10], &[0]);
        raw.read();
        raw
    }

    /// Publishes to `jobs`, with one header; returns when the broker has it.
    pub(crate) fn publish(&mut self, key: &[u8], header: &[u8], body: &[u8]) {
        let to = [&[0, 0][..], &short(b"jobs"), &short(key), &[0]].concat();
        self.method(1, [60, 40], &to);
        let table = [&short(header)[..], b"t\x01"].concat();
        let size = (body.len() as u64).to_be_bytes();
        let table_size = (table.len() as u32).to_be_bytes();
        // With headers, and a delivery mode of 2.
        let head = [&[0, 60, 0, 0][..], &size, &[0x30, 0], &table_size, &table, &[2]].concat();
        self.frame(2, 1, &head);
        self.frame(3, 1, body);
        let answer = self.read();
        assert_eq!(answer[..4], [0, 60, 0, 80], "it was not acknowledged: {answer:?}");
    }

    fn method(&mut self, channel: u16, [class, method]: [u8; 2], arguments: &[u8]) {
        self.frame(1, channel, &[&[0, class, 0, method], arguments].concat());
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let size = (payload.len() as u32).to_be_bytes();
        let frame = [&[kind][..], &channel.to_be_bytes(), &size, payload, &[0xCE]].concat();
        self.0.write_all(&frame).unwrap();
    }

    /// The payload of the next frame.
    fn read(&mut self) -> Vec<u8> {
        let mut head = [0; 7];
        self.0.read_exact(&mut head).unwrap();
        let size = u32::from_be_bytes(head[3..].try_into().unwrap());
        let mut payload = vec![0; size as usize + 1];
        self.0.read_exact(&mut payload).unwrap();
        payload.pop();
        payload
    }
}

fn short(text: &[u8]) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}
