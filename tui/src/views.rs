//! The views: each gives its panels, out of what is known.

use crate::app::App;
use crate::look::Tone;
use crate::panel::Panel;
use crate::spot::View;

pub(crate) mod alerts;
pub(crate) mod dataflow;
pub(crate) mod doctor;
pub(crate) mod job;
pub(crate) mod jobs;
pub(crate) mod kind;
pub(crate) mod letters;
pub(crate) mod log;
pub(crate) mod overview;
pub(crate) mod said;
pub(crate) mod server;
pub(crate) mod workers;

/// The panels of the view that somebody is at; their number does not depend on what is known.
pub(crate) fn panels(app: &App) -> Vec<Panel> {
    match app.view() {
        View::Overview => overview::panels(app),
        View::Jobs => vec![jobs::panel(app)],
        View::Job => vec![job::panel(app)],
        View::Alerts => alerts::panels(app),
        View::Dataflow => dataflow::panels(app),
        View::Letters => vec![letters::panel(app)],
        View::Log => vec![log::panel(app)],
        View::Doctor => vec![doctor::panel(app)],
        View::Server => vec![server::panel(app)],
        View::Workers => vec![workers::panel(app)],
    }
}

/// Words as long as nothing has arrived.
pub(crate) fn waiting(app: &App) -> (String, Tone) {
    let words = match &app.live.trouble {
        None => "Waiting for the first snapshot.",
        Some(_) => "Nothing has arrived yet; r tries again at once, 8 is about the server.",
    };
    (words.to_owned(), Tone::Fine)
}
