// Where jobs are: an attribute against the states. Each number is a link to its jobs.

import { adjust, jobsAt } from "./address.js";
import { el, wide } from "./dom.js";
import { STATES, count } from "./words.js";

const ATTRIBUTES = ["type", "queue", "worker"];
// More rows than a screen has tell less than a filter does.
const MOST = 30;

export function matrix(views, params) {
  const by = ATTRIBUTES.includes(params.get("by")) ? params.get("by") : "type";
  const rows = new Map();
  for (const row of views.counts.values()) {
    const value = row[by];
    if (!rows.has(value)) rows.set(value, { jobs: 0 });
    const of = rows.get(value);
    of[row.state] = (of[row.state] ?? 0) + row.jobs;
    of.jobs += row.jobs;
  }
  const sorted = [...rows].sort(([a, x], [b, y]) => y.jobs - x.jobs || (a < b ? -1 : 1));
  const shown = sorted.slice(0, MOST);
  const cell = (value, state, jobs) => el("td", { class: "n" }, jobs
    ? el("a", { href: jobsAt({ [by]: value, state }) }, count(jobs))
    : el("span", { class: "zero" }, "0"));
  const head = (state) => el("th", { scope: "col", class: `n ${state.tone}` }, el("span", { class: "sign", "aria-hidden": "true" }, state.sign), state.word);
  return [
    el("div", { class: "heading" }, el("h2", {}, `Jobs by ${by} and state`),
      el("div", { class: "choice", role: "group", "aria-label": "By" }, ATTRIBUTES.map((name) =>
        el("button", { type: "button", "aria-pressed": String(name === by), onclick: () => adjust({ by: name === "type" ? "" : name }) }, name)))),
    shown.length === 0 && el("p", { class: "nothing" }, "No job is here."),
    shown.length > 0 && wide(`Jobs by ${by} and state`, el("table", { class: "matrix" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, by), STATES.map(head), el("th", { scope: "col", class: "n" }, "All"))),
      el("tbody", {}, shown.map(([value, jobs]) => el("tr", { "data-key": value },
        el("th", { scope: "row", class: "mono" }, value === "" ? el("i", {}, `no ${by}`) : value),
        STATES.map(({ name }) => cell(value, name, jobs[name])), cell(value, undefined, jobs.jobs)))))),
    sorted.length > MOST && el("p", { class: "fine" }, `The ${MOST} with the most jobs, of ${count(sorted.length)}.`),
  ];
}
