//! Tests that need real servers, in one binary, so that they share one set of them.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[path = "real/alertmanager.rs"]
mod alertmanager;
#[path = "real/amqp.rs"]
mod amqp;
#[path = "real/api.rs"]
mod api;
#[path = "support/built.rs"]
mod built;
#[path = "real/celery.rs"]
mod celery;
#[path = "real/cloudevents.rs"]
mod cloudevents;
#[path = "real/cluster.rs"]
mod cluster;
#[path = "real/compose.rs"]
mod compose;
#[path = "real/crash_points.rs"]
mod crash_points;
#[path = "real/doctor.rs"]
mod doctor;
#[path = "real/faults.rs"]
mod faults;
#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "../../sinks/tests/support/folded.rs"]
mod folded;
#[path = "real/frozen.rs"]
mod frozen;
#[path = "real/harness.rs"]
mod harness;
#[path = "real/judged.rs"]
mod judged;
#[path = "real/kills.rs"]
mod kills;
#[path = "real/leftovers.rs"]
mod leftovers;
#[path = "real/mongo.rs"]
mod mongo;
#[path = "real/monitoring.rs"]
mod monitoring;
#[path = "real/order.rs"]
mod order;
#[path = "real/page.rs"]
mod page;
#[path = "real/poison.rs"]
mod poison;
#[path = "real/postgres.rs"]
mod postgres;
#[path = "real/program.rs"]
mod program;
#[path = "real/redis.rs"]
mod redis;
#[path = "real/roles.rs"]
mod roles;
#[path = "real/stack.rs"]
mod stack;
#[path = "real/stores.rs"]
mod stores;
#[path = "../../api/tests/suite/stream.rs"]
mod stream;
#[path = "../../api/tests/suite/suite.rs"]
mod suite;
#[path = "real/support.rs"]
mod support;
#[path = "real/terminal.rs"]
mod terminal;
#[path = "real/tools.rs"]
mod tools;
#[path = "real/webhook.rs"]
mod webhook;
#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "../../sinks/tests/support/world.rs"]
mod world;
