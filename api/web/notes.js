// What people say of alerts: that they have seen one, or that some are to be quiet for a time; and
// what an Alertmanager tells us of others.
//
//   /api/v1/notes, /alerts/received ──▶ Notes ──▶ marks beside the alerts, tables below them
//   forms in a dialog ──POST, DELETE──▶ the same, read again

import { ask, read } from "./ask.js";
import { el, put, show, wide } from "./dom.js";
import { live } from "./live.js";
import { many, millis, time } from "./words.js";

const AGAIN_MS = 5000;
const HOUR_MS = 3600000;
const SPANS = [["1 hour", 1], ["4 hours", 4], ["1 day", 24], ["1 week", 168], ["30 days", 720]];
const OPS = { "=": [true, false], "!=": [false, false], "=~": [true, true], "!~": [false, true] };

const keyOf = ({ alert, labels }) => JSON.stringify([alert, Object.entries(labels).sort()]);
const opOf = ({ isEqual, isRegex }) => Object.keys(OPS).find((op) => OPS[op][0] === isEqual && OPS[op][1] === isRegex);
const written = (matcher) => el("span", { class: "tag" }, `${matcher.name} ${opOf(matcher)} `, el("b", {}, matcher.value || "\"\""));
const over = (note) => note.endedAt !== null || note.endsAt !== null && millis(note.endsAt) <= Date.now();

// What is known, read again now and then; `changed` is told when it differs.
export function notesOf(changed) {
  const known = { notes: null, received: [], all: false, trouble: "" };
  let ended = false;
  let text = "";

  async function again() {
    try {
      const [notes, received] = await Promise.all([read(`/api/v1/notes${known.all ? "?all=true" : ""}`), read("/api/v1/alerts/received")]);
      known.notes = notes.items;
      known.received = received.items;
      known.trouble = "";
    } catch (error) {
      known.trouble = error.message;
    }
    const now = JSON.stringify([known.notes, known.received, known.trouble, known.all]);
    if (ended || now === text) return;
    text = now;
    changed();
  }

  const timer = setInterval(() => {
    if (!document.hidden && !live.paused) again();
  }, AGAIN_MS);
  again();
  return {
    known,
    again,
    // The notes that are about an alert now.
    about(alert) {
      const key = keyOf(alert);
      return (known.notes ?? []).filter((note) => note.alerts.some((of) => keyOf(of) === key));
    },
    end() {
      ended = true;
      clearInterval(timer);
    },
  };
}

// Beside an alert: who has seen it, and until when it is quiet.
export function noteMarks(notes) {
  return notes.map((note) => note.kind === "silence"
    ? el("span", { class: "tag", title: note.comment || "Without a comment" }, "⊘ silent until ", time(note.endsAt))
    : el("span", { class: "tag", title: note.comment || "Without a comment" }, "✓ seen by ", el("b", {}, note.createdBy || "somebody")));
}

const field = (label, input) => el("div", { class: "field" }, el("label", { for: input.id }, label), input);

// A form in a dialog of its own; `send` gives what is to be posted, and `done` is told when it was.
function asked(title, parts, word, send, done) {
  const fault = el("p", { class: "fault", role: "alert" });
  const close = () => {
    dialog.close();
    dialog.remove();
  };
  const form = el("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      put(fault, "");
      try {
        await ask("/api/v1/notes", { method: "POST", body: JSON.stringify(send()) });
        close();
        done();
      } catch (error) {
        put(fault, `Not done: ${error.message}.`);
      }
    },
  }, el("h2", {}, title), parts, fault, el("p", {}, el("button", { type: "submit", class: "primary" }, word), " ", el("button", { type: "button", onclick: close }, "Leave it")));
  const dialog = el("dialog", { "aria-label": title, class: "add" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const commentField = () => el("input", { id: "note-comment", autocomplete: "off", maxlength: 500, placeholder: "What is known of it" });

export function acknowledge({ alert, labels }, done) {
  const comment = commentField();
  asked(`Acknowledge ${alert}`, [
    el("p", {}, "Everybody sees that somebody is at it, until this episode is over."),
    el("p", {}, Object.entries(labels).map(([name, value]) => el("span", { class: "tag" }, `${name} `, el("b", {}, value)))),
    field("Comment (optional)", comment),
  ], "Acknowledge", () => ({ kind: "acknowledgement", alert, labels, comment: comment.value.trim() }), done);
}

export function silence({ alert, labels }, done) {
  const rows = [["alertname", alert], ...Object.entries(labels)].map(([name, value]) => ({
    name,
    use: el("input", { type: "checkbox", checked: true, "aria-label": `Match ${name}` }),
    op: el("select", { "aria-label": `How ${name} is compared` }, Object.keys(OPS).map((op) => el("option", { value: op }, op))),
    value: el("input", { value, autocomplete: "off", "aria-label": `Value of ${name}` }),
  }));
  const span = el("select", { id: "note-span" }, SPANS.map(([word, hours]) => el("option", { value: hours }, word)));
  const comment = commentField();
  asked("Silence alerts", [
    el("p", {}, "Nobody is told of alerts that match all of this: no webhook, and no Alertmanager of ours. They are still shown here."),
    el("table", { class: "matchers" }, el("tbody", {}, rows.map(({ name, use, op, value }) => el("tr", {}, el("td", {}, use), el("th", { scope: "row" }, name), el("td", {}, op), el("td", {}, value))))),
    field("For", span), field("Comment (optional)", comment),
  ], "Silence", () => ({
    kind: "silence",
    matchers: rows.filter(({ use }) => use.checked).map(({ name, op, value }) => ({ name, value: value.value, isEqual: OPS[op.value][0], isRegex: OPS[op.value][1] })),
    endsAt: new Date(Date.now() + Number(span.value) * HOUR_MS).toISOString(),
    comment: comment.value.trim(),
  }), done);
}

// Silences and acknowledgements, each with a way to end it.
export function noteTable(place, notes) {
  const { known } = notes;
  const fault = el("p", { class: "fault", role: "alert" });
  const end = (note) => async () => {
    try {
      await ask(`/api/v1/notes/${note.id}`, { method: "DELETE" });
      notes.again();
    } catch (error) {
      put(fault, `Not ended: ${error.message}.`);
    }
  };
  const until = (note) => {
    if (note.endedAt !== null) return ["ended ", time(note.endedAt), note.endedBy && ` by ${note.endedBy}`];
    if (note.endsAt === null) return "the episode is over";
    return [over(note) ? "over since " : "", time(note.endsAt)];
  };
  const row = (note) => el("tr", { "data-key": note.id },
    el("td", {}, note.kind === "silence" ? "⊘ Silence" : "✓ Acknowledged"), el("td", {}, note.matchers.map(written), note.comment && el("p", { class: "fine" }, note.comment)),
    el("td", {}, note.createdBy || "somebody", " ", el("small", {}, time(note.startsAt))), el("td", {}, until(note)),
    el("td", { class: "n" }, note.alerts.length > 0 ? many(note.alerts.length, "alert") : el("span", { class: "zero" }, "none")),
    el("td", { class: "n" }, !over(note) && el("button", { type: "button", class: "button", onclick: end(note) }, note.kind === "silence" ? "End" : "Take back")));
  const all = el("button", {
    type: "button", class: "button", "aria-pressed": String(known.all),
    onclick: () => {
      known.all = !known.all;
      notes.again();
    },
  }, known.all ? "Only those that stand" : "Also those that are over");
  show(place, el("div", { class: "heading" }, el("h2", {}, "Silences and acknowledgements"), all),
    known.trouble ? el("p", { class: "notice" }, `They can not be read: ${known.trouble}.`)
      : known.notes === null ? el("p", { class: "nothing", "aria-busy": "true" }, "Reading them.")
      : known.notes.length === 0 ? el("p", { class: "nothing" }, known.all ? "There was none yet." : "Nothing is silent, and nothing is acknowledged.")
      : wide("Silences and acknowledgements", el("table", {},
        el("thead", {}, el("tr", {}, [["What"], ["Of"], ["By"], ["Until"], ["Covers now", "n"], ["", "n"]].map(([name, className]) => el(name ? "th" : "td", { scope: name && "col", class: className }, name)))),
        el("tbody", {}, known.notes.map(row)))), fault);
}

const shown = ({ status }) => status === "firing";

// Alerts of others, as an Alertmanager told us of them.
export function receivedTable(place, { received }) {
  place.hidden = received.length === 0;
  if (place.hidden) return;
  const row = (alert) => {
    const { alertname = "?", ...labels } = alert.labels;
    const fires = shown(alert);
    return el("tr", { "data-key": alert.fingerprint },
      el("td", {}, el("span", { class: `state ${fires ? "bad" : "good"}` }, el("span", { class: "sign", "aria-hidden": "true" }, fires ? "▲" : "✓"), alert.status)),
      el("td", {}, alert.url ? el("a", { href: alert.url, target: "_blank", rel: "noopener noreferrer" }, alertname) : alertname, alert.annotations.summary && el("p", { class: "fine" }, alert.annotations.summary)),
      el("td", {}, Object.entries(labels).map(([name, value]) => el("span", { class: "tag" }, `${name} `, el("b", {}, value)))),
      el("td", { class: "n" }, time(alert.endsAt ?? alert.startsAt)), el("td", { class: "n" }, time(alert.receivedAt)));
  };
  const order = received.slice().sort((a, b) => shown(b) - shown(a) || (a.startsAt < b.startsAt ? 1 : -1));
  show(place, el("h2", {}, "From Alertmanager"), wide("Alerts of others", el("table", { class: "alerts" },
    el("thead", {}, el("tr", {}, [["State"], ["Alert"], ["About"], ["Since", "n"], ["Last told", "n"]].map(([name, className]) => el("th", { scope: "col", class: className }, name)))),
    el("tbody", {}, order.map(row)))),
  el("p", { class: "fine" }, "Alerts of other systems, as its webhook told us; our own are above."));
}
