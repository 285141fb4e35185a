//! `observatory up` as a process of its own: started, asked, stopped and killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use contracts::view::{BatchAccepted, JobAccepted, Page};
use contracts::{JobView, Snapshot, State};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::program::{arg, observatory};
use super::{PATIENCE, until, within};

/// What a service says when it takes connections; its address follows.
const LISTENING: &str = "listening on http://";

/// A running service; dropped, it is killed.
pub(crate) struct Service {
    child: Child,
    pub(crate) client: Client,
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

/// What becomes of the log.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Log {
    Read,
    /// Its reader goes away when it has found the address.
    Abandoned,
}

impl Service {
    /// A service on `folder` that takes submissions.
    #[track_caller]
    pub(crate) fn start(folder: &Path) -> Service {
        Service::start_with(folder, &[])
    }

    #[track_caller]
    pub(crate) fn start_with(folder: &Path, args: &[&str]) -> Service {
        let service = Service::spawn(&[&["--data-dir", arg(folder)], args].concat(), &[]);
        service.client.ready();
        service
    }

    /// A service that listens on a port of its own choice, and may not be ready yet.
    #[track_caller]
    pub(crate) fn spawn(args: &[&str], environment: &[(&str, &str)]) -> Service {
        Service::launch(args, environment, Log::Read)
    }

    #[track_caller]
    pub(crate) fn launch(args: &[&str], environment: &[(&str, &str)], log: Log) -> Service {
        let becomes = log;
        let mut command = observatory();
        command.arg("up").args(args);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.envs(environment.iter().copied()).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::<Mutex<String>>::default();
        let (listening, heard) = channel();
        let reading = {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                while let Some(line) = next_line(&mut stderr) {
                    let found = line.split_once(LISTENING).map(|(_, address)| address.to_owned());
                    log.lock().unwrap().push_str(&(line + "\n"));
                    let Some(address) = found else { continue };
                    if becomes == Log::Abandoned {
                        // Closed before anybody can ask for more.
                        drop(stderr);
                        drop(listening.send(address));
                        return;
                    }
                    // Nobody waits for a second one.
                    drop(listening.send(address));
                }
            })
        };
        let mut service =
            Service { child, client: Client::of(String::new()), log, reading: Some(reading) };
        // Without an address the log says why, when the service is dropped.
        service.client = Client::of(heard.recv_timeout(PATIENCE).unwrap());
        service
    }

    /// What it has said so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has said `text`.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        until(&format!("the log says `{text}`"), || self.log().contains(text).then_some(()));
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        // Every shell has it built in; a program of that name is not everywhere.
        let script = ["-c", "kill -s \"$0\" \"$1\"", name, &pid];
        let kill = Command::new("sh").args(script).status().unwrap();
        assert!(kill.success(), "cannot signal {pid}");
    }

    /// Stops it as an operator does; how it ended, and how long that took.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        self.signal("TERM");
        (self.ended(), began.elapsed())
    }

    /// Stops it, which must succeed in the time that a service manager leaves.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        let (status, took) = self.terminate();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        assert!(took < Duration::from_secs(10), "took {took:?}: {}", self.log());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        within(PATIENCE, "the service ends", || self.child.try_wait().unwrap())
    }

    /// Kills it, as a lack of memory or power would.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself, which whoever waits for it finds out.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        // Its end of the pipe is closed by now.
        drop(self.reading.take().map(JoinHandle::join));
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "shown with the test that failed")]
            {
                eprintln!("--- log of the service\n{}---", self.log());
            }
        }
    }
}

fn next_line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).unwrap_or(0);
    (read > 0).then(|| line.trim_end().to_owned())
}

/// Asks a service over HTTP.
pub(crate) struct Client {
    agent: ureq::Agent,
    pub(crate) address: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn with<T: DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    fn of(address: String) -> Client {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        Client { agent: agent.into(), address }
    }

    /// Another client of the same service, with connections of its own.
    pub(crate) fn another(&self) -> Client {
        Client::of(self.address.clone())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks; an error means that the service is not there, or not any more.
    pub(crate) fn try_get(&self, path: &str) -> Result<Answer, ureq::Error> {
        let mut response = self.agent.get(self.url(path)).call()?;
        let text = response.body_mut().read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), text })
    }

    /// Puts a text in the place of another.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, text: &str) -> Answer {
        let mut response = self.agent.put(self.url(path)).send(text).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        Answer { status: response.status().as_u16(), text }
    }

    pub(crate) fn try_post(&self, path: &str, body: &str) -> Result<Answer, ureq::Error> {
        self.try_post_as(None, path, body)
    }

    /// Posts under an idempotency key, if one is given.
    pub(crate) fn try_post_as(
        &self,
        key: Option<&str>,
        path: &str,
        body: &str,
    ) -> Result<Answer, ureq::Error> {
        let request = self.agent.post(self.url(path)).header("content-type", "application/json");
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        let mut response = request.send(body)?;
        let text = response.body_mut().read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), text })
    }

    #[track_caller]
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        self.try_get(path).unwrap().with(200)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, &body.to_string()).unwrap()
    }

    /// Waits until submissions are taken.
    #[track_caller]
    pub(crate) fn ready(&self) {
        until("the service is ready", || {
            self.try_get("/readyz").is_ok_and(|answer| answer.status == 200).then_some(())
        });
    }

    /// Submits a job; its id.
    #[track_caller]
    pub(crate) fn submit(&self, job: &Value) -> Uuid {
        self.post("/jobs", job).with::<JobAccepted>(202).job_id
    }

    /// Sends the lines of a stream in batches; all must be accepted.
    #[track_caller]
    pub(crate) fn send(&self, lines: &[String]) {
        for lines in lines.chunks(100) {
            let answer = self.try_post("/events", &batch(lines)).unwrap();
            assert_eq!(answer.with::<BatchAccepted>(202).rejected, []);
        }
    }

    #[track_caller]
    pub(crate) fn job(&self, id: Uuid) -> JobView {
        self.get(&format!("/api/v1/jobs/{id}"))
    }

    /// Waits until a job is in a state.
    #[track_caller]
    pub(crate) fn becomes(&self, id: Uuid, state: State) -> JobView {
        until(&format!("the job is {state}"), || {
            Some(self.job(id)).filter(|job| job.state == state)
        })
    }

    #[track_caller]
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.get("/api/v1/snapshot")
    }

    /// Waits for a snapshot of which `condition` is true.
    #[track_caller]
    pub(crate) fn snapshot_with(
        &self,
        what: &str,
        condition: impl Fn(&Snapshot) -> bool,
    ) -> Snapshot {
        until(what, || Some(self.snapshot()).filter(|snapshot| condition(snapshot)))
    }

    /// A list of jobs, with a query that begins with `?`.
    #[track_caller]
    pub(crate) fn list(&self, query: &str) -> Page<JobView> {
        self.get(&format!("/api/v1/jobs{query}"))
    }

    /// A number among the metrics; 0 for one that is not there.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.try_get("/metrics").unwrap().text;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Events as the body of a request.
pub(crate) fn batch(lines: &[String]) -> String {
    format!("[{}]", lines.join(","))
}

/// Where a service keeps its data.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("observatory.sqlite")
}
