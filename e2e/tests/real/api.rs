//! The API on real stores: the suite that every kind of store has to pass.

use super::program::World;
use super::support::until;
use super::{stream, suite};

#[test]
fn everything_asked_is_answered_as_it_is() {
    let world = World::new("api");
    let pipeline = world.ready("pipeline");
    let beside = format!("http://{}", pipeline.address);
    let api = world.start_with("api", &[("OBSERVATORY_PIPELINE_URL", &beside)]);
    until("the role is ready", || api.is_ready().then_some(()));
    suite::everything_asked_is_answered_as_it_is(&suite::Service::at(&api.address));
}

#[test]
fn clients_of_the_stream_read_what_the_pipeline_did_in_another_process() {
    let world = World::new("stream");
    let _pipeline = world.ready("pipeline");
    let api = world.ready("api");
    let asked = suite::Service::at(&api.address);
    stream::clients_that_read_have_all_of_it_whatever_the_others_do(&asked, &api.address, 10, 3);
}
