//! As much of AMQP 0-9-1 as it takes to get messages whose frames need not be readable.

use std::io;

use amq_protocol::auth::Credentials;
use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic, channel, connection};
use amq_protocol::types::{FieldTable, ShortString};
use amq_protocol::uri::AMQPUri;
use futures_util::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Raw;

/// Says which protocol we speak.
const PROTOCOL: &[u8] = b"AMQP\0\0\x09\x01";

/// Type, channel and size of a frame come before its payload.
const HEAD: usize = 7;

/// Bytes of a frame: what RabbitMQ proposes.
const FRAME_MAX: u32 = 131_072;

/// Class and method of the answer that brings a message.
const GET_OK: [u8; 4] = [0, 60, 0, 71];

/// The only channel.
const CHANNEL: u16 = 1;

/// A message as it came.
pub(super) struct Message {
    pub(super) tag: u64,
    /// With what is not UTF-8 replaced, but for the body.
    pub(super) raw: Raw,
    /// Whether the client library can read it.
    pub(super) readable: bool,
}

/// A connection with a channel.
pub(super) struct Wire<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Says who we are, as far as a broker has to know.
    pub(super) async fn open(stream: S, uri: &AMQPUri) -> io::Result<Wire<S>> {
        let mut wire = Wire(stream);
        wire.0.write_all(PROTOCOL).await?;
        // Its proposals are what every RabbitMQ proposes.
        wire.read().await?;
        let user = &uri.authority.userinfo;
        let credentials =
            Credentials::new(user.username.clone().into(), user.password.clone().into());
        let mechanism = uri.query.auth_mechanism.unwrap_or_default();
        wire.connection(connection::AMQPMethod::StartOk(connection::StartOk {
            client_properties: FieldTable::default(),
            mechanism: mechanism.name().into(),
            response: credentials.sasl_auth_string(mechanism),
            locale: "en_US".into(),
        }))
        .await?;
        wire.read().await?;
        // Without heartbeats: it is a matter of seconds.
        let tuned = connection::TuneOk { channel_max: CHANNEL, frame_max: FRAME_MAX, heartbeat: 0 };
        wire.connection(connection::AMQPMethod::TuneOk(tuned)).await?;
        let virtual_host = short(&uri.vhost)?;
        wire.connection(connection::AMQPMethod::Open(connection::Open { virtual_host })).await?;
        wire.read().await?;
        let open = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
        wire.write(AMQPFrame::Method(CHANNEL, open)).await?;
        wire.read().await?;
        Ok(wire)
    }

    /// The next message, which stays unacknowledged; none if the queue is empty.
    pub(super) async fn get(&mut self, queue: &str) -> io::Result<Option<Message>> {
        let get = basic::Get { queue: short(queue)?, no_ack: false };
        self.basic(basic::AMQPMethod::Get(get)).await?;
        let method = self.read().await?;
        let Some(mut ok) = method.strip_prefix(&GET_OK) else { return Ok(None) };
        let tag = u64::from_be_bytes(number(&mut ok)?);
        let [redelivered] = number(&mut ok)?;
        let (exchange, routing_key) = (text(&mut ok)?, text(&mut ok)?);
        let header = self.read().await?;
        let readable = method.readable && header.readable;
        // Class and weight, then the size.
        let mut size = header.payload.get(4..).unwrap_or_default();
        let size = u64::from_be_bytes(number(&mut size)?);
        let mut body = Vec::new();
        while (body.len() as u64) < size {
            body.extend(self.read().await?.payload);
        }
        let redelivered = redelivered != 0;
        let raw = Raw { exchange, routing_key, redelivered, body, ..Raw::default() };
        Ok(Some(Message { tag, raw, readable }))
    }

    pub(super) async fn ack(&mut self, delivery_tag: u64) -> io::Result<()> {
        let ack = basic::Ack { delivery_tag, multiple: false };
        self.basic(basic::AMQPMethod::Ack(ack)).await
    }

    /// Waits until the broker has heard all of it.
    pub(super) async fn close(mut self) -> io::Result<()> {
        let close = connection::Close {
            reply_code: 200,
            reply_text: "bye".into(),
            class_id: 0,
            method_id: 0,
        };
        self.connection(connection::AMQPMethod::Close(close)).await?;
        self.read().await.map(drop)
    }

    async fn connection(&mut self, method: connection::AMQPMethod) -> io::Result<()> {
        self.write(AMQPFrame::Method(0, AMQPClass::Connection(method))).await
    }

    async fn basic(&mut self, method: basic::AMQPMethod) -> io::Result<()> {
        self.write(AMQPFrame::Method(CHANNEL, AMQPClass::Basic(method))).await
    }

    async fn write(&mut self, frame: AMQPFrame) -> io::Result<()> {
        let written = gen_frame(&frame)(WriteContext::from(Vec::new()));
        let (bytes, _) = written.map_err(io::Error::other)?.into_inner();
        self.0.write_all(&bytes).await?;
        self.0.flush().await
    }

    async fn read(&mut self) -> io::Result<Frame> {
        let mut bytes = vec![0; HEAD];
        self.0.read_exact(&mut bytes).await?;
        let size = u32::from_be_bytes(number(&mut &bytes[3..])?);
        if size > FRAME_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // One byte ends it.
        bytes.resize(HEAD + size as usize + 1, 0);
        self.0.read_exact(&mut bytes[HEAD..]).await?;
        let read = parse_frame(&bytes[..]);
        if let Ok((_, AMQPFrame::Method(_, method))) = &read
            && let AMQPClass::Connection(connection::AMQPMethod::Close(close)) = method
        {
            return Err(io::Error::other(close.reply_text.to_string()));
        }
        let readable = read.is_ok();
        bytes.pop();
        Ok(Frame { payload: bytes.split_off(HEAD), readable })
    }
}

/// A frame as it came.
struct Frame {
    payload: Vec<u8>,
    readable: bool,
}

impl Frame {
    fn strip_prefix(&self, prefix: &[u8]) -> Option<&[u8]> {
        self.payload.strip_prefix(prefix)
    }
}

fn short(text: &str) -> io::Result<ShortString> {
    ShortString::try_new(text).map_err(io::Error::other)
}

/// Takes the bytes of a number.
fn number<const N: usize>(bytes: &mut &[u8]) -> io::Result<[u8; N]> {
    let (number, rest) = bytes.split_first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
    *bytes = rest;
    Ok(*number)
}

/// Takes a short string.
fn text(bytes: &mut &[u8]) -> io::Result<String> {
    let [length] = number(bytes)?;
    let (text, rest) = bytes.split_at_checked(length.into()).ok_or(io::ErrorKind::UnexpectedEof)?;
    *bytes = rest;
    Ok(String::from_utf8_lossy(text).into_owned())
}
