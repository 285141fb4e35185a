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

use sinks::decision::{Decision, What};
use sinks::store::Reader;

use crate::engine::{Msg, clock};
use crate::rules_file::{self, RulesFile};

/// Between two looks. A change is judged at the second that follows.
const PACE: Duration = Duration::from_millis(200);

/// Between two looks at the file, in looks at the store.
const FILE_PACE: usize = 5;

pub(crate) struct RulesWatch {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) engine: Sender<Msg>,
    /// What is being judged, as it was given.
    pub(crate) in_force: String,
    /// The file that was named at the start.
    pub(crate) file: Option<Watched>,
}

/// A rules file, and what it said when it was last read.
pub(crate) struct Watched {
    pub(crate) path: PathBuf,
    pub(crate) yaml: String,
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
        let Some(Watched { path, yaml }) = &mut self.file else { return };
        // While it is being replaced it may be away, or half written: it is looked at again.
        let Ok(now) = std::fs::read_to_string(&*path) else { return };
        if now == *yaml {
            return;
        }
        yaml.clone_from(&now);
        let origin = path.display().to_string();
        if let Err(error) = rules_file::parse(now.clone(), &origin) {
            tracing::error!("{error:#}; the rules stay as they are");
            return;
        }
        let decision = Decision { at: clock(), by: origin, what: What::Rules { yaml: now } };
        if let Err(error) = self.reader.decide(&decision) {
            tracing::error!(%error, "the changed rules can not be stored, and are looked at again");
            yaml.clear();
        }
    }
}
