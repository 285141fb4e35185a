//! A form that submits a job: checked before it is sent, and each fault told at its field.

use contracts::event::{MAX_NAME_BYTES, Object};
use contracts::view::JobAccepted;
use tui_input::Input;
use uuid::Uuid;

use crate::app::App;
use crate::fold::{Attribute, Views};
use crate::http::Trouble;
use crate::keys::Action;
use crate::look::Tone;
use crate::msg::Ask;
use crate::over::Over;
use crate::spot::Spot;

/// The longest delay that the built-in worker simulates, ms.
const MAX_DELAY: u64 = 600_000;

pub(crate) struct Form {
    pub(crate) fields: [Field; 6],
    pub(crate) focus: usize,
    pub(crate) trouble: Option<String>,
    pub(crate) sending: bool,
    /// The same for every try to send what is in the form, so that it becomes one job.
    key: String,
    pub(crate) known: Vec<String>,
}

pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) value: Value,
    pub(crate) fault: Option<String>,
}

pub(crate) enum Value {
    Text(Input),
    Yes(bool),
}

const TYPE: usize = 0;
const QUEUE: usize = 1;
const PAYLOAD: usize = 2;
const DELAY: usize = 3;
const FAILS: usize = 4;
const HANGS: usize = 5;

impl Form {
    pub(crate) fn new(views: Option<&Views>) -> Form {
        let text = |name, label, hint| {
            let value = Value::Text(Input::default());
            Field { name, label, hint, value, fault: None }
        };
        let yes =
            |name, label, hint| Field { name, label, hint, value: Value::Yes(false), fault: None };
        let known = views.map(|views| views.sums(Attribute::Type)).unwrap_or_default();
        Form {
            fields: [
                text("type", "Type", "what kind of job it is, like email.send"),
                text("queue", "Queue", "may be empty: it is then in none"),
                text("payload", "Payload", "may be empty, or a JSON object for the worker"),
                text("delay", "Takes ms", "simulated by the built-in worker; 50 to 500 if empty"),
                yes("fail", "Fails", "Space: simulated by the built-in worker"),
                yes("hang", "Hangs", "Space: simulated by the built-in worker"),
            ],
            focus: TYPE,
            trouble: None,
            sending: false,
            key: Uuid::now_v7().to_string(),
            known: known.keys().map(|name| (*name).to_owned()).collect(),
        }
    }

    pub(crate) fn input(&mut self) -> Option<&mut Input> {
        match &mut self.fields[self.focus].value {
            Value::Text(input) if !self.sending => Some(input),
            _ => None,
        }
    }

    pub(crate) fn focus(&mut self, at: usize) {
        self.focus = at.min(self.fields.len() - 1);
    }

    pub(crate) fn changed(&mut self) {
        self.fields[self.focus].fault = None;
        self.trouble = None;
    }

    pub(crate) fn act(&mut self, action: Action) {
        let n = self.fields.len();
        match (action, &mut self.fields[self.focus].value) {
            (Action::NextPart, _) => self.focus = (self.focus + 1) % n,
            (Action::PrevPart, _) => self.focus = (self.focus + n - 1) % n,
            (Action::Toggle, Value::Yes(yes)) => *yes = !*yes,
            (Action::Toggle, Value::Text(input)) if !self.sending => {
                input.handle(tui_input::InputRequest::InsertChar(' '));
                self.changed();
            }
            _ => {}
        }
    }

    fn text(&self, field: usize) -> &str {
        match &self.fields[field].value {
            Value::Text(input) => input.value().trim(),
            Value::Yes(_) => "",
        }
    }

    fn yes(&self, field: usize) -> bool {
        matches!(self.fields[field].value, Value::Yes(true))
    }

    /// What is to be sent; or the faults are told at their fields, and the first has the focus.
    fn body(&mut self) -> Option<String> {
        let name = |text: &str| match text {
            text if text.len() > MAX_NAME_BYTES => Err(format!("at most {MAX_NAME_BYTES} bytes")),
            text if text.contains(char::is_control) => Err("without control characters".to_owned()),
            _ => Ok(()),
        };
        let mut faults = Vec::new();
        match self.text(TYPE) {
            "" => faults.push((TYPE, "a job has a type".to_owned())),
            text => faults.extend(name(text).err().map(|fault| (TYPE, fault))),
        }
        faults.extend(name(self.text(QUEUE)).err().map(|fault| (QUEUE, fault)));
        let payload = self.text(PAYLOAD);
        let parsed = match payload {
            "" => Ok(Object::new()),
            text => serde_json::from_str::<Object>(text),
        };
        faults.extend(parsed.as_ref().err().map(|error| (PAYLOAD, object(payload, error))));
        let delay = match self.text(DELAY) {
            "" => Ok(None),
            text => text.parse::<u64>().ok().filter(|ms| *ms <= MAX_DELAY).map(Some).ok_or(()),
        };
        if delay.is_err() {
            faults.push((DELAY, format!("a whole number from 0 to {MAX_DELAY}")));
        }
        for field in &mut self.fields {
            field.fault = None;
        }
        if let Some((first, _)) = faults.first() {
            self.focus = *first;
        }
        let (Ok(parsed), Ok(delay), true) = (parsed, delay, faults.is_empty()) else {
            for (field, fault) in faults {
                self.fields[field].fault = Some(fault);
            }
            return None;
        };
        Some(self.written(&parsed, delay))
    }

    /// The payload goes as it was typed, so that numbers keep their digits.
    fn written(&self, parsed: &Object, delay: Option<u64>) -> String {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let mut parts = vec![format!("\"type\":{}", json(self.text(TYPE)))];
        if !self.text(QUEUE).is_empty() {
            parts.push(format!("\"queue\":{}", json(self.text(QUEUE))));
        }
        let simulated: Vec<_> = [
            delay.map(|ms| format!("\"delayMs\":{ms}")),
            self.yes(FAILS).then(|| "\"fail\":true".to_owned()),
            self.yes(HANGS).then(|| "\"hang\":true".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let payload = self.text(PAYLOAD);
        let inner =
            payload.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or("").trim();
        let simulate = (!simulated.is_empty() && !parsed.contains_key("simulate"))
            .then(|| format!("\"simulate\":{{{}}}", simulated.join(",")));
        if !payload.is_empty() || simulate.is_some() {
            let inner = (!inner.is_empty()).then(|| inner.to_owned());
            let inner: Vec<_> = inner.into_iter().chain(simulate).collect();
            parts.push(format!("\"payload\":{{{}}}", inner.join(",")));
        }
        format!("{{{}}}", parts.join(","))
    }

    fn refused(&mut self, trouble: Trouble) {
        self.sending = false;
        for error in &trouble.errors {
            let name = error.pointer.split('/').nth(1).unwrap_or_default();
            if let Some(at) = self.fields.iter().position(|field| field.name == name) {
                self.fields[at].fault = Some(error.detail.clone());
                self.focus = at;
            }
        }
        // What was refused may be corrected, and is then another one.
        if (400..500).contains(&trouble.status) {
            self.key = Uuid::now_v7().to_string();
        }
        self.trouble = Some(format!("Not added: {trouble}."));
    }
}

fn object(text: &str, error: &serde_json::Error) -> String {
    match error.is_data() || !text.starts_with('{') {
        true => "it must be an object: {…}".to_owned(),
        false => format!("at character {}: it is not JSON", error.column()),
    }
}

/// Sends what is in the form, if it can be sent; the form stays until there is an answer.
pub(crate) fn send(app: &mut App, mut form: Box<Form>) {
    if !form.sending
        && let Some(body) = form.body()
    {
        form.sending = true;
        form.trouble = None;
        let key = form.key.clone();
        app.ask(Ask::Submit { key, body });
    }
    app.over = Some(Over::Form(form));
}

pub(crate) fn submitted(app: &mut App, found: Result<JobAccepted, Trouble>) {
    match (found, &mut app.over) {
        (Ok(JobAccepted { job_id, .. }), over) => {
            if matches!(over, Some(Over::Form(form)) if form.sending) {
                app.over = None;
                app.go(Spot::Job(job_id));
            }
            app.say(format!("Added: job {job_id}"), Tone::Good);
        }
        (Err(trouble), Some(Over::Form(form))) => form.refused(trouble),
        (Err(trouble), _) => app.say(format!("The task was not added: {trouble}"), Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use contracts::view::ProblemError;

    use super::*;

    fn form(values: [&str; 4]) -> Form {
        let mut form = Form::new(None);
        for (field, value) in form.fields.iter_mut().zip(values) {
            field.value = Value::Text(Input::new(value.to_owned()));
        }
        form
    }

    #[test]
    fn what_is_wrong_is_told_at_its_field_and_nothing_is_sent() {
        let mut form = form(["", "q", "[1]", "x"]);
        assert_eq!(form.body(), None);
        let faults: Vec<_> = form.fields.iter().map(|field| field.fault.as_deref()).collect();
        let object = Some("it must be an object: {…}");
        let number = Some("a whole number from 0 to 600000");
        assert_eq!(faults, [Some("a job has a type"), None, object, number, None, None]);
        assert_eq!(form.focus, TYPE);
    }

    #[test]
    fn the_payload_goes_as_it_was_typed() {
        let mut form = form(["email.send", "", "{\"n\": 1.10 }", "5"]);
        form.fields[FAILS].value = Value::Yes(true);
        assert_eq!(
            form.body().as_deref(),
            Some(
                "{\"type\":\"email.send\",\"payload\":{\"n\": 1.10,\"simulate\":{\"delayMs\":5,\"fail\":true}}}"
            )
        );
    }

    #[test]
    fn a_job_without_more_is_its_type() {
        assert_eq!(
            form([" a ", " b ", "", ""]).body().as_deref(),
            Some("{\"type\":\"a\",\"queue\":\"b\"}")
        );
    }

    #[test]
    fn what_the_server_refuses_is_told_at_its_field_and_the_next_try_is_another_job() {
        let mut form = form(["a", "", "", ""]);
        let key = form.key.clone();
        let error = ProblemError {
            pointer: "/type".to_owned(),
            detail: "no such type".to_owned(),
            parameter: None,
            position: None,
        };
        form.refused(Trouble { status: 400, errors: vec![error], ..Trouble::new("refused") });
        assert_eq!(form.fields[TYPE].fault.as_deref(), Some("no such type"));
        assert_ne!(form.key, key);
        let key = form.key.clone();
        form.refused(Trouble::new("the server did not answer in time"));
        assert_eq!(form.key, key);
    }
}
