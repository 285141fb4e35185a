//! `observatory doctor`, with servers as they should be, and with each of them as it should not.

use std::time::{Duration, Instant};

use e2e::{Broker, Mongo, Postgres, Redis, Servers};
use ingress::amqp::topology::{EVENTS, QUEUES};
use serde_json::Value;

use super::program::{Ended, World};
use super::support::{self, Amqp, until};

/// How long it may take, whatever does not answer.
const LIMIT: Duration = Duration::from_secs(5);

/// What `doctor` says of a world; of an API it is to know nothing, whoever has one on this machine.
fn doctor(world: &World) -> Ended {
    world.tool(&["doctor", "--json", "--api", "http://127.0.0.1:1"])
}

/// The checks of one verdict: their ids.
#[track_caller]
fn ids(ended: &Ended, verdict: &str) -> Vec<String> {
    let json = ended.json();
    let checks = json["checks"].as_array().unwrap().iter();
    let found = checks.filter(|check| check["verdict"] == verdict);
    found.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
}

/// The check of this id.
#[track_caller]
fn check(ended: &Ended, id: &str) -> Value {
    let json = ended.json();
    let mut checks = json["checks"].as_array().unwrap().iter();
    checks.find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id}: {ended:?}")).clone()
}

/// Looks until exactly these fail, each with a command that repairs it; what was told then.
///
/// On a busy machine a server that is well may not answer in the time that it has.
#[track_caller]
fn fails(look: impl Fn() -> Ended, expected: &[&str]) -> Ended {
    let ended = until(&format!("{expected:?} fail, and nothing else"), || {
        Some(look()).filter(|ended| ids(ended, "fail") == expected)
    });
    let code = if expected.is_empty() { 0 } else { 3 };
    assert_eq!((ended.code, &*ended.stderr), (Some(code), ""), "{ended:#?}");
    for id in expected {
        let fix = check(&ended, id)["fix"].clone();
        assert!(fix.as_str().is_some_and(|fix| !fix.is_empty()), "{ended:#?}");
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wrong_before_a_role_was_there_nor_after_and_the_doctor_changes_nothing() {
    let world = World::new("doctor");
    let before = fails(|| doctor(&world), &[]);
    for queue in QUEUES {
        let id = format!("rabbitmq.queue.{}", queue.name);
        assert_eq!(check(&before, &id)["verdict"], "skipped");
        assert_eq!(world.vhost.queue(queue.name), None, "it was declared");
    }
    let client = support::postgres(&world.postgres).await;
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(support::number(&client, tables).await, 0);

    let _pipeline = world.ready("pipeline");
    let needed = [
        "rabbitmq",
        "rabbitmq.version",
        "rabbitmq.access",
        "rabbitmq.exchange.jobs",
        "rabbitmq.exchange.jobs.dlx",
        "rabbitmq.queue.observatory.events",
        "rabbitmq.queue.jobs.created",
        "rabbitmq.queue.jobs.failed.validation",
        "postgresql",
        "postgresql.version",
        "postgresql.schema",
        "postgresql.clock",
        "redis",
        "redis.version",
        "redis.clock",
        "mongodb",
        "mongodb.version",
        "mongodb.replica-set",
        "mongodb.clock",
    ];
    // A pipeline is ready before all that it needs in the broker is declared.
    until("all that a pipeline needs is as it should be", || {
        let passed = ids(&fails(|| doctor(&world), &[]), "pass");
        needed.iter().all(|id| passed.iter().any(|passed| passed == id)).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_other_arguments_is_found_and_stays_until_somebody_deletes_it() {
    let world = World::new("otherwise");
    let amqp = Amqp::connect(world.vhost.url()).await;
    amqp.declare(EVENTS).await;
    amqp.publish(EVENTS, "somebody's").await;

    let found = fails(|| doctor(&world), &["rabbitmq.queue.observatory.events"]);
    let found = check(&found, "rabbitmq.queue.observatory.events");
    assert!(found["seen"].as_str().unwrap().contains("x-queue-type"), "{found}");
    assert!(found["fix"].as_str().unwrap().ends_with("delete_queue --if-empty observatory.events"));
    assert_eq!(amqp.take(EVENTS).await.as_deref(), Some("somebody's"));

    world.vhost.delete_queue(EVENTS);
    fails(|| doctor(&world), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_what_lets_them_in() {
    let mut world = World::new("stranger");
    let url = world.vhost.url().replace("guest:guest", "guest:wrong");
    let as_a_stranger = || {
        let mut command = world.command(&["doctor", "--json", "--api", "http://127.0.0.1:1"]);
        command.env("RABBITMQ_URL", &url);
        Ended::of(command)
    };
    let ended = fails(as_a_stranger, &["rabbitmq.access"]);
    assert_eq!(check(&ended, "rabbitmq.access")["fix"], "rabbitmqctl change_password guest");
    assert!(!ended.stdout.contains("wrong"), "the password is shown: {ended:?}");

    let (server, _) = world.postgres.rsplit_once('/').unwrap();
    world.postgres = format!("{server}/nowhere");
    let ended = fails(|| doctor(&world), &["postgresql"]);
    assert_eq!(check(&ended, "postgresql")["fix"], "sudo -u postgres createdb nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_newer_program_are_found() {
    let world = World::new("newer");
    let client = support::postgres(&world.postgres).await;
    let history = "CREATE TABLE refinery_schema_history (version integer);
        INSERT INTO refinery_schema_history VALUES (1000)";
    client.batch_execute(history).await.unwrap();
    fails(|| doctor(&world), &["postgresql.schema"]);
}

/// A server that a test may harm.
trait Harm {
    fn harm(&mut self, how: How);
}

#[derive(Clone, Copy, Debug)]
enum How {
    Kill,
    Restart,
    Freeze,
    Thaw,
}

macro_rules! harm {
    ($($server:ty),+) => {
        $(impl Harm for $server {
            fn harm(&mut self, how: How) {
                match how {
                    How::Kill => self.kill(),
                    How::Restart => self.restart(),
                    How::Freeze => self.stop(),
                    How::Thaw => self.cont(),
                }
            }
        })+
    };
}

harm!(Broker, Postgres, Redis, Mongo);

#[test]
fn each_server_that_is_gone_or_stands_still_is_named_within_five_seconds() {
    let (mut broker, mut postgres) = (Broker::start(), Postgres::start());
    let (mut mongo, mut redis) = (Mongo::start(), Redis::start());
    let world = World {
        vhost: broker.vhost("down"),
        postgres: postgres.database(),
        redis: Servers::shared().redis(),
        mongodb: mongo.database(),
    };
    let redis_url = redis.url();
    let look = || {
        let mut command = world.command(&["doctor", "--json", "--api", "http://127.0.0.1:1"]);
        command.env("REDIS_URL", &redis_url);
        let began = Instant::now();
        let ended = Ended::of(command);
        assert!(began.elapsed() < LIMIT, "it took {:?}: {ended:#?}", began.elapsed());
        ended
    };
    fails(look, &[]);
    let servers: [(&str, &mut dyn Harm); 4] = [
        ("rabbitmq", &mut broker),
        ("postgresql", &mut postgres),
        ("redis", &mut redis),
        ("mongodb", &mut mongo),
    ];
    for (id, server) in servers {
        for (harm, heal) in [(How::Kill, How::Restart), (How::Freeze, How::Thaw)] {
            server.harm(harm);
            fails(look, &[id]);
            server.harm(heal);
            fails(look, &[]);
        }
    }
}

#[test]
fn with_everything_down_every_server_fails_and_that_is_all() {
    // Whoever has frozen takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap();
    for place in ["127.0.0.1:1".to_owned(), silent.to_string()] {
        let look = || {
            let mut command = super::program::observatory(&["doctor", "--json"]);
            command
                .env("OBSERVATORY_API", format!("http://{place}"))
                .env("RABBITMQ_URL", format!("amqp://guest:guest@{place}/%2f"))
                .env("POSTGRES_URL", format!("postgres://observatory@{place}/observatory"))
                .env("REDIS_URL", format!("redis://{place}"))
                .env("MONGODB_URL", format!("mongodb://{place}/?replicaSet=rs0"));
            Ended::of(command)
        };
        fails(look, &["rabbitmq", "postgresql", "redis", "mongodb"]);
    }
}
