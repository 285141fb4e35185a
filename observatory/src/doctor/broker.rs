//! RabbitMQ: whether it is there, lets us in, and has exchanges and queues as we declare them.
//!
//! How its clock goes it tells nobody over AMQP.

use ingress::amqp::topology::{self, CELERY, EXCHANGES, QUEUES};
use ingress::amqp::{self, Fault, FaultKind, Form, Visit};
use tokio::time::{Instant, timeout_at};

use super::check::{Checks, Verdict, place, start, word};
use super::{ALL, LIMIT, at_least};

const ID: &str = "rabbitmq";
const VERSION: &str = "rabbitmq.version";
const ACCESS: &str = "rabbitmq.access";

/// Quorum queues with a limit of deliveries, and streams of confirms as we use them.
const NEEDED: (u32, u32) = (3, 10);

pub(super) async fn check(url: Option<&str>) -> Checks {
    let mut checks = Checks::default();
    let parts: Vec<_> = parts().collect();
    let later: Vec<&str> =
        [VERSION, ACCESS].into_iter().chain(parts.iter().map(|(id, _)| &**id)).collect();
    let Some(text) = url else {
        checks.skip(&[ID], "not named: --rabbitmq-url or RABBITMQ_URL");
        return checks;
    };
    let url: amqp::Url = match text.parse() {
        Ok(url) => url,
        Err(error) => {
            let fix = "export RABBITMQ_URL=amqp://USER:PASSWORD@HOST:5672/%2f";
            checks.fail(ID, error.to_string(), fix);
            checks.skip(&later, "no address");
            return checks;
        }
    };
    let by = Instant::now() + ALL;
    let greeting = match amqp::greeting(LIMIT, &url).await {
        Ok(greeting) => greeting,
        Err(fault) => {
            let (host, port) = place(text, 5672);
            checks.fail(ID, fault.to_string(), start(&host, port, "rabbitmq-server"));
            checks.skip(&later, "not reached");
            return checks;
        }
    };
    checks.pass(ID, format!("{} at {}", greeting.product, url.address()));
    at_least(&mut checks, VERSION, &greeting.version, NEEDED, "rabbitmq-server");
    if timeout_at(by, inside(&mut checks, &url, &parts)).await.is_err() {
        checks.fail(ACCESS, "it has stopped to answer", "rabbitmqctl status");
    }
    checks
}

/// What has to be in it, and by which id it is told.
fn parts() -> impl Iterator<Item = (String, Part)> {
    let exchanges =
        EXCHANGES.map(|name| (format!("rabbitmq.exchange.{name}"), Part::Exchange(name)));
    let queues = QUEUES.into_iter().chain([CELERY]);
    let queues = queues.map(|queue| (format!("rabbitmq.queue.{}", queue.name), Part::Queue(queue)));
    exchanges.into_iter().chain(queues)
}

#[derive(Clone, Copy)]
enum Part {
    Exchange(&'static str),
    Queue(topology::Queue),
}

/// What only those see who are let in.
async fn inside(checks: &mut Checks, url: &amqp::Url, parts: &[(String, Part)]) {
    let visit = match Visit::begin_within(LIMIT, url, "observatory doctor").await {
        Ok(visit) => visit,
        Err(fault) => {
            checks.fail(ACCESS, fault.to_string(), let_in(url, &fault));
            let ids: Vec<&str> = parts.iter().map(|(id, _)| &**id).collect();
            checks.skip(&ids, "not let in");
            return;
        }
    };
    checks.pass(ACCESS, format!("{url}"));
    for (id, part) in parts {
        let found = match part {
            Part::Exchange(name) => visit.exchange(name).await,
            Part::Queue(queue) => visit.queue(*queue).await,
        };
        judge(checks, id, *part, found, url);
    }
    visit.end().await;
}

fn judge(checks: &mut Checks, id: &str, part: Part, found: Result<Form, Fault>, url: &amqp::Url) {
    match found {
        Ok(Form::AsNeeded) => checks.pass(id, "as it is needed"),
        Ok(Form::Absent) => {
            let who = match part {
                Part::Queue(CELERY) => "not there: a pipeline with --celery declares it",
                Part::Queue(_) | Part::Exchange(_) => "not there yet: a role declares it",
            };
            checks.note(id, Verdict::Skipped, who, None);
        }
        Ok(Form::Other(how)) => {
            let vhost = word(url.vhost());
            let fix = match part {
                // Not with messages in it: they are somebody's.
                Part::Queue(queue) => {
                    format!("rabbitmqctl --vhost {vhost} delete_queue --if-empty {}", queue.name)
                }
                Part::Exchange(name) => format!(
                    "rabbitmqctl --vhost {vhost} eval 'rabbit_exchange:delete(rabbit_misc:r(<<\"{}\">>, exchange, <<\"{name}\">>), false, <<\"doctor\">>).'",
                    url.vhost().replace(['"', '\'', '\\'], "?")
                ),
            };
            checks.fail(id, format!("it is there in another form: {how}"), fix);
        }
        Err(fault) => checks.fail(id, fault.to_string(), permit(url)),
    }
}

/// What lets us in.
fn let_in(url: &amqp::Url, fault: &Fault) -> String {
    match fault.kind {
        FaultKind::Refused if fault.to_string().contains("virtual host") => {
            format!("rabbitmqctl add_vhost {}; {}", word(url.vhost()), permit(url))
        }
        FaultKind::Refused => format!("rabbitmqctl change_password {}", word(url.user())),
        _ => "rabbitmqctl status".to_owned(),
    }
}

fn permit(url: &amqp::Url) -> String {
    let (vhost, user) = (word(url.vhost()), word(url.user()));
    format!("rabbitmqctl set_permissions --vhost {vhost} {user} '.*' '.*' '.*'")
}
