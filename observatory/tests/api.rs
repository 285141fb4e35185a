//! The API of `up`, on the embedded store: the suite that every kind of store has to pass.

#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

#[allow(dead_code, reason = "not everyone needs all of it")]
#[path = "../../sinks/tests/support/folded.rs"]
mod folded;
#[path = "../../api/tests/suite/stream.rs"]
mod stream;
#[path = "../../api/tests/suite/suite.rs"]
mod suite;
mod support;

use support::service::Service;

#[test]
fn everything_asked_is_answered_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    suite::everything_asked_is_answered_as_it_is(&suite::Service::at(&service.client.address));
    service.stop();
}

#[test]
fn a_hundred_clients_of_the_stream_twenty_of_which_do_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path());
    let address = &service.client.address;
    let asked = suite::Service::at(address);
    stream::clients_that_read_have_all_of_it_whatever_the_others_do(&asked, address, 79, 20);
    service.stop();
}
