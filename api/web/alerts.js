// Alerts: those that are pending or fire, those that were resolved, and the rules that judge.

import { jobsAt } from "./address.js";
import { read } from "./ask.js";
import { el, show, wide } from "./dom.js";
import { live, watch } from "./live.js";
import { acknowledge, noteMarks, notesOf, noteTable, receivedTable, silence } from "./notes.js";
import { count, many, rounded, seconds, time } from "./words.js";

const MARKS = {
  firing: ["▲", "bad", "firing"],
  pending: ["△", "warn", "pending"],
  resolved: ["✓", "good", "resolved"],
};

// The jobs that an alert is about; one about dead letters or the program leads to them.
function behind({ jobs, expr = "" }) {
  if (jobs !== undefined) return jobsAt(Object.fromEntries(new URLSearchParams(jobs)));
  return expr.startsWith("dead_letters") ? "/ui/letters" : "/ui/dataflow";
}

// Those that fire before those that are pending, the newest first; those that were resolved come so.
const order = (a, b) => a.state === "resolved" ? 0 : (a.state === b.state ? (a.activeAt < b.activeAt ? 1 : -1) : a.state === "firing" ? -1 : 1);

function mark({ state }) {
  const [sign, tone, word] = MARKS[state] ?? ["·", "mute", state];
  return el("span", { class: `state ${tone}` }, el("span", { class: "sign", "aria-hidden": "true" }, sign), word);
}

const about = ({ labels }) => Object.entries(labels).map(([name, value]) => el("span", { class: "tag" }, `${name} `, el("b", {}, value)));
const value = (alert) => el("a", { href: behind(alert), title: "The jobs that it is about" }, rounded(alert.value));
const summary = ({ annotations = {} }) => annotations.summary && el("p", { class: "fine" }, annotations.summary);
const since = (alert) => time(alert.resolvedAt ?? alert.firedAt ?? alert.activeAt);

// For where there is little room.
export function alertList(alerts) {
  return el("ul", { class: "alert-list" }, alerts.slice().sort(order).map((alert) => el("li", {},
    el("p", {}, mark(alert), el("strong", {}, alert.alert), el("span", { class: "spring" }, value(alert))),
    el("p", {}, about(alert), el("small", {}, "since ", since(alert))), summary(alert))));
}

// With `notes`, what people have said of each, and ways to say something.
export function alertRows(alerts, notes) {
  const said = (alert) => {
    const of = notes.about(alert);
    const seen = of.some(({ kind }) => kind === "acknowledgement");
    const quiet = of.some(({ kind }) => kind === "silence");
    return [el("td", {}, noteMarks(of)), el("td", { class: "n" }, !seen && el("button", { type: "button", class: "button", onclick: () => acknowledge(alert, notes.again) }, "Acknowledge"), " ",
      !quiet && el("button", { type: "button", class: "button", onclick: () => silence(alert, notes.again) }, "Silence"))];
  };
  const heads = [["State"], ["Alert"], ["About"], ["Value", "n"], ["Since", "n"], ...notes ? [["Said"]] : []];
  return wide("Alerts", el("table", { class: "alerts" },
    el("thead", {}, el("tr", {}, heads.map(([name, className]) => el("th", { scope: "col", class: className }, name)), notes && el("td", {}))),
    el("tbody", {}, alerts.slice().sort(order).map((alert) => el("tr", { "data-key": alert.alert + JSON.stringify(alert.labels) }, el("td", {}, mark(alert)), el("td", {}, alert.alert, summary(alert)), el("td", {}, about(alert)),
      el("td", { class: "n" }, value(alert)), el("td", { class: "n" }, since(alert)), notes && said(alert))))));
}

function ruleItem(rule) {
  return el("li", {}, el("h3", {}, rule.alert), el("pre", { tabindex: 0 }, rule.expr),
    el("p", { class: "fine" }, rule.for > 0 ? `Must hold for ${seconds(rule.for)}. ` : "Fires at once. ", rule.keepFiringFor > 0 && `Keeps firing for ${seconds(rule.keepFiringFor)}. `,
      Object.entries(rule.labels).map(([name, value]) => el("span", { class: "tag" }, `${name} `, el("b", {}, value)))),
    rule.annotations.summary && el("p", { class: "fine" }, `${rule.annotations.summary}.`.replace(/^./, (c) => c.toUpperCase()).replace(/\.\.$/, ".")));
}

export function alerts(place) {
  const card = () => el("section", { class: "card" });
  const parts = { active: card(), notes: card(), received: card(), resolved: card(), rules: card() };
  show(place, el("h1", {}, "Alerts"), parts.active, parts.received, parts.notes, parts.resolved, parts.rules);
  parts.received.hidden = true;
  const notes = notesOf(() => {
    draw(live.views);
    noteTable(parts.notes, notes);
    receivedTable(parts.received, notes.known);
  });
  let ended = false;
  let known = "";

  function draw(views) {
    const active = views ? [...views.alerts.values()] : [];
    show(parts.active, el("h2", {}, "Now"), !views ? el("p", { class: "nothing" }, "Waiting for the first snapshot.")
      : active.length ? alertRows(active, notes) : el("p", { class: "nothing large" }, el("span", { class: "good" }, "✓ "), "No alert is pending or fires."),
    views && el("p", { class: "fine" }, "As of ", time(views.asOf), "."));
    // One that went has been resolved.
    const now = active.map((alert) => alert.alert + alert.state).sort().join();
    if (views && now !== known) {
      known = now;
      readResolved();
      notes.again();
    }
  }

  async function readResolved() {
    try {
      const { alerts, asOf } = await read("/api/v1/alerts?state=resolved");
      if (ended) return;
      show(parts.resolved, el("h2", {}, "Resolved"), alerts.length ? alertRows(alerts) : el("p", { class: "nothing" }, "None was resolved yet."),
        el("p", { class: "fine" }, `The newest ${count(alerts.length)}, as of `, time(asOf), "."));
    } catch (error) {
      if (!ended) show(parts.resolved, el("h2", {}, "Resolved"), el("p", { class: "notice" }, `They can not be read: ${error.message}.`));
    }
  }

  async function readRules() {
    try {
      const { rules, appliedAt } = await read("/api/v1/rules");
      if (ended) return;
      show(parts.rules, el("div", { class: "heading" }, el("h2", {}, many(rules.length, "rule")), el("a", { href: "/ui/rules" }, "Change and try them")), el("p", { class: "fine" }, appliedAt ? ["In force since ", time(appliedAt), "."] : "Those that the program brings along."),
        el("ul", { class: "rules" }, rules.map(ruleItem)));
    } catch (error) {
      if (!ended) show(parts.rules, el("h2", {}, "Rules"), el("p", { class: "notice" }, `They can not be read: ${error.message}.`));
    }
  }

  const stop = watch(draw);
  draw(live.views);
  noteTable(parts.notes, notes);
  if (!live.views) readResolved();
  readRules();
  return {
    end() {
      ended = true;
      stop();
      notes.end();
    },
  };
}
