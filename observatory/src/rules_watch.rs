//! Rules that change while we run: whoever writes them into the store, or edits their file, has them
//! judged from the next second on.
//!
//! ```text
//!   PUT /rules, `rules apply` ──▶ store ──every 200 ms──▶ engine ──▶ dataflow
//!   rules file, when it changes ──▶ ▲
//! ```
//!
//! The store is the one place that says which rules are in force, so those of an API in another
//! process arrive the same way, and a restart finds them.

use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use sinks::store::Reader;

use crate::engine::{Msg, clock};
use crate::rules_file::{self, RulesFile};

/// Between two looks. A change is judged at the second that follows.
const PACE: Duration = Duration::from_millis(200);

/// Between two looks at the file, in looks at the store.
const FILE_PACE: usize = 2;

pub(crate) struct RulesWatch {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) engine: Sender<Msg>,
    /// What is being judged, as it was given.
    pub(crate) in_force: String,
    /// The file that was named at the start.
    pub(crate) file: Option<Watched>,
}

/// A rules file.
pub(crate) struct Watched {
    path: PathBuf,
    /// What it said when it was last taken, or refused.
    taken: String,
    /// What it said at the last look.
    seen: String,
}

impl Watched {
    pub(crate) fn new(path: PathBuf, yaml: &str) -> Watched {
        Watched { path, taken: yaml.to_owned(), seen: yaml.to_owned() }
    }
}

impl RulesWatch {
    /// Looks until the engine has gone.
    pub(crate) fn run(mut self) {
        for look in 1.. {
            std::thread::sleep(PACE);
            if look % FILE_PACE == 0 {
                self.look_at_file();
            }
            match self.reader.rules() {
                Ok((_, Some(kept))) if kept.yaml != self.in_force => {
                    if !self.take(kept.yaml, &kept.applied_by) {
                        return;
                    }
                }
                Ok(_) => {}
                // Whoever writes there tells it.
                Err(error) => tracing::debug!(%error, "cannot look for new rules"),
            }
        }
    }

    /// Has these rules judged; whether there is still somebody to do so.
    fn take(&mut self, yaml: String, by: &str) -> bool {
        let rules = rules_file::parse(yaml.clone(), "the rules in the store");
        self.in_force = yaml;
        match rules {
            Ok(RulesFile { rules, .. }) => {
                tracing::info!(rules = rules.len(), by, "these rules are judged from now on");
                self.engine.send(Msg::Rules(rules)).is_ok()
            }
            // Whoever wrote them knows more of rules than this program.
            Err(error) => {
                tracing::error!(%error, "the rules stay as they are");
                true
            }
        }
    }

    /// Writes what the file says into the store, if it says something new that is good.
    fn look_at_file(&mut self) {
        let Some(Watched { path, taken, seen }) = &mut self.file else { return };
        let Ok(now) = std::fs::read_to_string(&*path) else { return };
        // A file that is just being written is half a file, or an empty one, which is no fault: it is
        // taken when two looks have seen the same.
        let rests = now == *seen;
        seen.clone_from(&now);
        if !rests || now == *taken {
            return;
        }
        match rules_file::read(path) {
            // Written again meanwhile: another look.
            Ok(file) if file.yaml != now => {}
            Ok(file) => match self.reader.apply_rules(&file.kept(clock())) {
                Ok(()) => *taken = now,
                Err(error) => tracing::error!(%error, "changed rules can not be stored now"),
            },
            Err(error) => {
                *taken = now;
                tracing::error!("{error:#}; the rules stay as they are");
            }
        }
    }
}
