//! Which alerts a note is about.

use std::collections::BTreeMap;

use contracts::Micros;
use contracts::notes::{Matcher, Note};

use super::expr::Pattern;

/// The label that the alert's name is matched as.
const NAME: &str = "alertname";

/// What is wrong with the matchers of a silence, for who made them.
pub fn check(matchers: &[Matcher]) -> Result<(), String> {
    for matcher in matchers {
        if matcher.name.is_empty() {
            return Err("a matcher has no `name`: name a label, such as alertname".to_owned());
        }
        if matcher.is_regex {
            Pattern::new(&matcher.value).map_err(|error| {
                format!("`{}` is no regular expression: {error}", matcher.value)
            })?;
        }
    }
    // As Alertmanager has it: one that lets pass what is not there lets pass everything.
    if matchers.iter().all(|matcher| Test::of(matcher).admits("")) {
        let detail = "these matchers let pass every alert: one must ask for something, such as \
            {\"name\": \"alertname\", \"value\": \"JobsStuck\"}";
        return Err(detail.to_owned());
    }
    Ok(())
}

/// Which alerts a note is about, whenever it stands.
pub struct Cover {
    active_at: Option<Micros>,
    tests: Vec<Test>,
}

impl Cover {
    pub fn of(note: &Note) -> Cover {
        let tests = note.matchers.iter().map(Test::of).collect();
        Cover { active_at: note.active_at, tests }
    }

    /// Whether an episode is among them.
    pub fn has(&self, alert: &str, labels: &BTreeMap<String, String>, active_at: Micros) -> bool {
        let label = |name: &str| match name {
            NAME => alert,
            name => labels.get(name).map_or("", String::as_str),
        };
        self.active_at.is_none_or(|of| of == active_at)
            && self.tests.iter().all(|test| test.admits(label(&test.label)))
    }
}

/// A matcher whose pattern has been read.
struct Test {
    label: String,
    wanted: Wanted,
    is_equal: bool,
}

enum Wanted {
    Text(String),
    Pattern(Pattern),
    /// One that can not be read was not let in.
    Nothing,
}

impl Test {
    fn of(matcher: &Matcher) -> Test {
        let Matcher { name, value, is_regex, is_equal } = matcher;
        let wanted = match is_regex {
            true => Pattern::new(value).map_or(Wanted::Nothing, Wanted::Pattern),
            false => Wanted::Text(value.clone()),
        };
        Test { label: name.clone(), wanted, is_equal: *is_equal }
    }

    fn admits(&self, text: &str) -> bool {
        let matches = match &self.wanted {
            Wanted::Text(wanted) => wanted == text,
            Wanted::Pattern(pattern) => pattern.is_match(text),
            Wanted::Nothing => false,
        };
        matches == self.is_equal
    }
}

/// The matchers of one alert and no other with the same labels.
pub fn of_alert(alert: &str, labels: &BTreeMap<String, String>) -> Vec<Matcher> {
    let matcher = |name: &str, value: &str| Matcher {
        name: name.to_owned(),
        value: value.to_owned(),
        is_regex: false,
        is_equal: true,
    };
    let labels = labels.iter().map(|(name, value)| matcher(name, value));
    std::iter::once(matcher(NAME, alert)).chain(labels).collect()
}

#[cfg(test)]
mod tests {
    use contracts::notes::NoteKind;
    use uuid::Uuid;

    use super::*;

    fn matcher(name: &str, value: &str, is_regex: bool, is_equal: bool) -> Matcher {
        Matcher { name: name.to_owned(), value: value.to_owned(), is_regex, is_equal }
    }

    fn silence(matchers: Vec<Matcher>) -> Note {
        Note {
            id: Uuid::nil(),
            kind: NoteKind::Silence,
            matchers,
            active_at: None,
            starts_at: Micros(0),
            ends_at: None,
            comment: String::new(),
            created_by: String::new(),
            ended_at: None,
            ended_by: None,
        }
    }

    fn covers(
        note: &Note,
        alert: &str,
        labels: &BTreeMap<String, String>,
        active_at: Micros,
    ) -> bool {
        Cover::of(note).has(alert, labels, active_at)
    }

    #[test]
    fn an_alert_is_covered_when_all_matchers_let_it_pass() {
        let labels = [("type".to_owned(), "email.send".to_owned())].into();
        for (matchers, covered) in [
            (vec![matcher("alertname", "Stuck", false, true)], true),
            (vec![matcher("alertname", "Stuc", false, true)], false),
            (vec![matcher("type", "email.*", true, true)], true),
            (vec![matcher("type", "mail.*", true, true)], false),
            (vec![matcher("type", "sms", false, false)], true),
            (vec![matcher("queue", "x", false, true)], false),
            (vec![matcher("queue", "", false, true), matcher("type", ".+", true, true)], true),
        ] {
            let note = silence(matchers);
            assert_eq!(covers(&note, "Stuck", &labels, Micros(1)), covered, "{note:?}");
        }
    }

    #[test]
    fn an_acknowledgement_is_of_one_episode() {
        let labels = [("type".to_owned(), "a".to_owned())].into();
        let note = Note { active_at: Some(Micros(5)), ..silence(of_alert("Stuck", &labels)) };
        assert!(covers(&note, "Stuck", &labels, Micros(5)));
        assert!(!covers(&note, "Stuck", &labels, Micros(6)));
    }

    #[test]
    fn a_silence_of_everything_is_refused() {
        assert!(check(&[]).is_err());
        assert!(check(&[matcher("type", ".*", true, true)]).is_err());
        assert!(check(&[matcher("type", "a", false, false)]).is_err());
        assert!(check(&[matcher("type", "[", true, true)]).unwrap_err().contains("regular"));
        assert!(check(&[matcher("", "a", false, true)]).is_err());
        assert!(check(&[matcher("type", "a", false, true)]).is_ok());
    }
}
