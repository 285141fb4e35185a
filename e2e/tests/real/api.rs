//! The API on real stores: the suite that every kind of store has to pass.

use super::program::World;
use super::{stream, suite};

#[test]
fn everything_asked_is_answered_as_it_is() {
    let world = World::new("api");
    let _pipeline = world.ready("pipeline");
    let api = world.ready("api");
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
