//! `dlq replay`: what was rejected goes where it came from once more, when what was wrong has been
//! put right: a program that was too old, a clock that was off.

use std::process::ExitCode;

use anyhow::{Context, bail};
use ingress::amqp::publisher::Config;
use ingress::amqp::{Letter, Message, PublishError, Publisher, State, dead_letter, is_attribute};
use serde_json::json;
use tokio::time::{Duration, timeout};

use super::{NAME, Which};

/// How long the publisher may take to connect, after a visit could.
const CONNECT: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Replay at most so many.
    #[arg(long, env = "OBSERVATORY_LIMIT")]
    limit: Option<u64>,
}

/// What became of the dead letters.
#[derive(Default)]
struct Done {
    replayed: u64,
    /// Of another reason.
    passed_over: u64,
    /// Without a place to go back to: of another broker, or of nobody.
    homeless: u64,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let visit = args.which.visit().await?;
    let (letters, depth) = args.which.letters(&visit).await?;
    let publisher = Publisher::start(Config::new(args.which.urls.rabbitmq()?, NAME));
    let mut state = publisher.state();
    let connected = state.wait_for(|state| *state == State::Connected);
    timeout(CONNECT, connected).await.context("the broker takes no messages")??;

    let limit = args.limit.unwrap_or(u64::MAX);
    let mut done = Done::default();
    let mut failed = None;
    // Those that are not wanted stay ours, so that they are not taken again; then they go back.
    for _ in 0..depth {
        if done.replayed >= limit {
            break;
        }
        let Some(letter) = letters.next().await? else { break };
        if !args.which.wants(&letter) {
            done.passed_over += 1;
            continue;
        }
        let Some(message) = message(&letter) else {
            done.homeless += 1;
            continue;
        };
        match publisher.publish(message).await {
            Ok(()) => {
                letter.ack().await.context("it was published, and may be replayed again")?;
                done.replayed += 1;
            }
            Err(PublishError::Unroutable { .. }) => done.homeless += 1,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    visit.end().await;
    let Done { replayed, passed_over, homeless } = done;
    let told = json!({
        "inQueue": depth, "replayed": replayed, "passedOver": passed_over, "unroutable": homeless,
    });
    let text = || {
        format!(
            "{replayed} of {depth} dead letters replayed, {passed_over} of another reason, \
            {homeless} without a place to go back to"
        )
    };
    args.which.output.print(&told, text)?;
    if let Some(error) = failed {
        return Err(error).context("the rest stays where it is");
    }
    if homeless > 0 {
        bail!(
            "{homeless} dead letters have no queue to go to: bind one to their exchange, or \
            take them out by hand; those with a header x-source are of that broker"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The message that it was; none if it does not say where it came from.
fn message(letter: &Letter) -> Option<Message> {
    if letter.header(dead_letter::SOURCE).is_some() {
        return None;
    }
    let exchange = letter.header(dead_letter::EXCHANGE)?.to_owned();
    let routing_key = letter.header(dead_letter::ROUTING_KEY)?.to_owned();
    // Our own headers are of the dead letter.
    let attributes = letter.headers.iter().filter(|(name, _)| is_attribute(name)).cloned();
    Some(Message {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        body: letter.body.as_slice().into(),
        message_id: letter.message_id.clone(),
        content_type: letter.content_type.clone(),
        headers: attributes.map(|(name, text)| (name.into(), text)).collect(),
    })
}
