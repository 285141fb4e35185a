//! Two processes that are one pipeline, and everything in one process.

use std::io::Write;
use std::net::TcpListener;

use serde_json::json;
use tempfile::NamedTempFile;

use super::program::{Role, World};
use super::support::load::Load;
use super::support::until;

/// The processes of a cluster, on ports of their own.
struct Cluster<'a> {
    world: &'a World,
    hostfile: NamedTempFile,
}

impl Cluster<'_> {
    fn of_two(world: &World) -> Cluster<'_> {
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let mut hostfile = NamedTempFile::new().unwrap();
        for port in &ports {
            writeln!(hostfile, "{}", port.local_addr().unwrap()).unwrap();
        }
        Cluster { world, hostfile }
    }

    fn start(&self, process: &str) -> Role {
        self.world.start_with(
            "pipeline",
            &[
                ("OBSERVATORY_PROCESSES", "2"),
                ("OBSERVATORY_PROCESS", process),
                ("OBSERVATORY_HOSTFILE", self.hostfile.path().to_str().unwrap()),
            ],
        )
    }

    fn ready(&self) -> [Role; 2] {
        // Whoever is first waits for the other.
        let processes = ["1", "0"].map(|process| self.start(process));
        for process in &processes {
            until("the process is ready", || process.is_ready().then_some(()));
        }
        let [second, first] = processes;
        [first, second]
    }
}

fn takes(process: &Role) {
    until("it is given deliveries", || {
        (process.metric("observatory_deliveries_total")? > 0.0).then_some(())
    });
}

#[test]
fn two_processes_of_a_cluster_share_the_queue_and_show_what_one_does() {
    let world = World::new("cluster");
    let cluster = Cluster::of_two(&world);
    let processes = cluster.ready();
    let api = world.ready("api");
    let load = Load::start(&world.vhost, 300);
    load.confirms(1_000);
    processes.iter().for_each(takes);
    world.is_exactly(&api, &load.stop());
}

#[test]
fn when_a_process_of_a_cluster_is_killed_the_other_ends_and_both_go_on_again() {
    let world = World::new("cluster-kill");
    let cluster = Cluster::of_two(&world);
    let api = world.ready("api");
    let load = Load::start(&world.vhost, 300);
    for killed in [0, 1] {
        let mut processes = cluster.ready();
        processes.iter().for_each(takes);
        load.confirms(300);
        processes[killed].kill();
        let other = &mut processes[1 - killed];
        assert_eq!(other.ended().code(), Some(1), "{}", other.log());
        let told = format!("error: process {killed} of the cluster has gone");
        assert!(other.log().contains(&told), "{}", other.log());
    }
    let _processes = cluster.ready();
    world.is_exactly(&api, &load.stop());
}

#[test]
fn while_the_archive_is_away_both_processes_spill_and_all_of_it_gets_there() {
    let mut mongo = e2e::Mongo::start();
    let world = World { mongodb: mongo.database(), ..World::new("cluster-spill") };
    let cluster = Cluster::of_two(&world);
    let api = world.ready("api");
    let processes = cluster.ready();
    let load = Load::start(&world.vhost, 200);
    load.confirms(200);
    mongo.stop();
    load.confirms(600);
    processes.iter().for_each(takes);
    mongo.cont();
    world.is_exactly(&api, &load.stop());
}

#[test]
fn one_process_with_the_urls_of_all_servers_uses_them_all() {
    let world = World::new("up");
    let up = world.ready("up");
    let accepted = until("it takes jobs", || {
        let (status, answer) = up.post(&json!({"type": "email.send", "queue": "mail"}));
        (status == 202).then_some(answer)
    });
    let path = format!("/api/v1/jobs/{}", accepted["jobId"].as_str().unwrap());
    let job = until("the job has run", || {
        let job = up.get(&path)?;
        (job["timeline"].as_array()?.len() == 4 && job["state"] == "COMPLETED").then_some(job)
    });
    assert_eq!(job["queue"], "mail");
    // What others publish comes in as well, and into all stores.
    let load = Load::start(&world.vhost, 200);
    load.confirms(400);
    load.stop();
    until("everything is settled", || {
        let queue = world.vhost.queue("observatory.events")?;
        (queue.ready == 0 && queue.unacked == 0).then_some(())
    });
    let verified = world.tool(&["verify", "--output", "json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
