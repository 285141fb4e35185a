//! What a broker says of itself, to anybody, before it is told who asks.
//!
//! The client library keeps it to itself, so it is read here: one frame.

use std::io;
use std::time::Duration;

use amq_protocol::frame::{AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, connection};
use futures_util::{AsyncReadExt, AsyncWriteExt};
use lapin::tcp::AMQPUriTcpExt;
use tokio::time::timeout;

use super::Url;
use super::connection::{Fault, FaultKind};

/// Says which protocol we speak.
const PROTOCOL: &[u8] = b"AMQP\0\0\x09\x01";

/// Type, channel and size of a frame come before its payload, and a byte behind it.
const HEAD: usize = 7;

/// Bytes of a greeting: RabbitMQ's has some 500.
const MOST: u32 = 64 << 10;

/// Which broker it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub product: String,
    pub version: String,
}

/// Calls a broker, and hangs up when it has said who it is.
pub async fn greeting(limit: Duration, url: &Url) -> Result<Greeting, Fault> {
    let fault = |what: String| Fault::new(FaultKind::Unreachable, what);
    match timeout(limit, listen(url)).await {
        Ok(Ok(greeting)) => Ok(greeting),
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            Err(fault(format!("what answers at {} does not speak AMQP", url.address())))
        }
        Ok(Err(error)) => Err(fault(format!("{} is not to be had: {error}", url.address()))),
        Err(_) => Err(fault(format!("{} does not answer", url.address()))),
    }
}

async fn listen(url: &Url) -> io::Result<Greeting> {
    let runtime = lapin::runtime::default_runtime().map_err(io::Error::other)?;
    let mut stream = url.uri().connect_async(&runtime).await?;
    stream.write_all(PROTOCOL).await?;
    stream.flush().await?;
    let mut bytes = vec![0; HEAD];
    stream.read_exact(&mut bytes).await?;
    let size = bytes[3..].try_into().map(u32::from_be_bytes).map_err(io::Error::other)?;
    if size > MOST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.resize(HEAD + size as usize + 1, 0);
    stream.read_exact(&mut bytes[HEAD..]).await?;
    let Ok((_, AMQPFrame::Method(_, method))) = parse_frame(&bytes[..]) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let AMQPClass::Connection(connection::AMQPMethod::Start(start)) = method else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let text = |name: &str| {
        let value = start.server_properties.inner().get(name);
        value.and_then(|value| value.as_long_string()).map(ToString::to_string).unwrap_or_default()
    };
    Ok(Greeting { product: text("product"), version: text("version") })
}
