//! Where somebody can be: a view, and for some views of what.

use contracts::{JobId, Micros};

use crate::filter::Filter;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum View {
    Overview,
    Jobs,
    Alerts,
    Dataflow,
    Letters,
    Log,
    Doctor,
    Server,
    Workers,
    Job,
}

impl View {
    /// Those that a digit leads to, from 1 on; to the last, 0 does, as 9 is for a task.
    pub(crate) const NUMBERED: [View; 9] = [
        View::Overview,
        View::Jobs,
        View::Alerts,
        View::Dataflow,
        View::Letters,
        View::Log,
        View::Doctor,
        View::Server,
        View::Workers,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            View::Overview => "Overview",
            View::Jobs => "Jobs",
            View::Alerts => "Alerts",
            View::Dataflow => "Dataflow",
            View::Letters => "Dead letters",
            View::Log => "Log",
            View::Doctor => "Doctor",
            View::Server => "Server",
            View::Workers => "Workers",
            View::Job => "Job",
        }
    }

    /// For where there is little room.
    pub(crate) fn short(self) -> &'static str {
        match self {
            View::Overview => "Over",
            View::Alerts => "Alert",
            View::Dataflow => "Flow",
            View::Letters => "DLQ",
            View::Doctor => "Doc",
            View::Server => "Srv",
            View::Workers => "Wrk",
            view => view.title(),
        }
    }
}

/// A view and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spot {
    View(View),
    /// The jobs that match.
    Jobs(Filter),
    Job(JobId),
}

impl Spot {
    pub(crate) fn view(&self) -> View {
        match self {
            Spot::View(view) => *view,
            Spot::Jobs(_) => View::Jobs,
            Spot::Job(_) => View::Job,
        }
    }
}

/// The last moment before a window begins: it slides in sixtieths of its length.
pub(crate) fn window_edge(as_of: Micros, window: contracts::snapshot::Window) -> Option<Micros> {
    window.edge(as_of.0).map(Micros)
}

#[cfg(test)]
mod tests {
    use contracts::snapshot::Window;

    use super::*;

    #[test]
    fn a_window_slides_in_its_own_steps() {
        let as_of = Micros::parse("2026-11-21T10:00:07.5Z").unwrap();
        let edge = |window| window_edge(as_of, window).map(|at| at.to_string());
        assert_eq!(edge(Window::M5).as_deref(), Some("2026-11-21T09:55:05.000000Z"));
        assert_eq!(edge(Window::H1).as_deref(), Some("2026-11-21T09:00:00.000000Z"));
        assert_eq!(edge(Window::All), None);
    }
}
