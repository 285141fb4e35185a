// Throughput and latency by job type, over a window.

import { adjust, jobsAt } from "./address.js";
import { el, svg, wide } from "./dom.js";
import { count, edge, millis, seconds } from "./words.js";

const MINUTES = { "1m": 1, "5m": 5, "15m": 15, "1h": 60 };
const MEASURES = {
  run: "from the start of the last attempt to its end",
  wait: "from creation to the start of the first attempt",
  total: "from creation to the end",
};
const byType = (a, b) => a.type === null ? -1 : b.type === null ? 1 : a.type < b.type ? -1 : 1;
// Types that have a row: more than anybody reads, and few enough to be drawn four times a second.
const MOST = 40;

// Those in which most happened, in the order of their names, after all of them together.
function most(rows, size) {
  const by = rows.slice().sort((a, b) => (a.type === null ? -1 : b.type === null ? 1 : size(b) - size(a)));
  return by.slice(0, MOST + 1).sort(byType);
}

const others = (rows) => rows.length > MOST + 1 && ` The ${MOST} types with the most, of ${count(rows.length - 1)}.`;
const named = (type) => el("th", { scope: "row", class: type === null ? "" : "mono" }, type === null ? "all types" : type);

// Where a window begins: it slides in sixtieths of its length.
function windowEdge(asOf, window) {
  const step = MINUTES[window] * 1000;
  return edge(Math.floor(millis(asOf) / step) * step - 60 * step);
}

function choice(label, names, chosen, choose) {
  return el("div", { class: "choice", role: "group", "aria-label": label }, names.map((name) =>
    el("button", { type: "button", "aria-pressed": String(name === chosen), onclick: () => choose(name) }, name)));
}

export function throughputs(views, params) {
  const window = MINUTES[params.get("rate")] ? params.get("rate") : "1m";
  const rows = [...views.throughput.values()].filter((row) => row.window === window);
  const from = views.asOf && windowEdge(views.asOf, window);
  const link = (filter, n) => n ? el("a", { href: jobsAt(filter) }, count(n)) : el("span", { class: "zero" }, "0");
  return [
    el("div", { class: "heading" }, el("h2", {}, "Throughput"),
      choice("Window", Object.keys(MINUTES), window, (name) => adjust({ rate: name === "1m" ? "" : name }))),
    rows.length === 0 && el("p", { class: "nothing" }, `Nothing was created or ended within ${window}: choose a longer window, or wait.`),
    rows.length > 0 && wide("Throughput", el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Type"), ["Created", "Ended", "Failed", "Per second"].map((name) => el("th", { scope: "col", class: "n" }, name)))),
      el("tbody", {}, most(rows, (row) => row.created + row.finished).map(({ type, created, finished, failed }) => el("tr", { "data-key": type ?? "" }, named(type),
        el("td", { class: "n" }, link({ type, createdAfter: from }, created)),
        el("td", { class: "n" }, link({ type, finishedAfter: from }, finished)),
        el("td", { class: failed ? "n bad" : "n" }, link({ type, state: "FAILED", finishedAfter: from }, failed)),
        el("td", { class: "n" }, (finished / MINUTES[window] / 60).toFixed(2))))))),
    el("p", { class: "fine" }, "Jobs that were created, and that ended, within the window.", others(rows)),
  ];
}

export function latencies(views, params) {
  const measure = MEASURES[params.get("measure")] ? params.get("measure") : "run";
  const windows = [...Object.keys(MINUTES), "all"];
  const window = windows.includes(params.get("window")) ? params.get("window") : "5m";
  const rows = [...views.latency.values()].filter((row) => row.measure === measure && row.window === window);
  const shown = most(rows, (row) => row.samples);
  const longest = Math.max(...shown.map((row) => row.p99), 1e-6);
  const behind = ({ type }) => window === "all"
    ? jobsAt({ type, q: "state:COMPLETED,FAILED,CANCELLED", retired: "any" })
    : jobsAt({ type, finishedAfter: windowEdge(views.asOf, window) });
  return [
    el("div", { class: "heading" }, el("h2", {}, "Latency"),
      choice("Measure", Object.keys(MEASURES), measure, (name) => adjust({ measure: name === "run" ? "" : name })),
      choice("Window", windows, window, (name) => adjust({ window: name === "5m" ? "" : name }))),
    rows.length === 0 && el("p", { class: "nothing" }, "No job ended in this window: choose a longer one, or wait."),
    rows.length > 0 && wide("Latency", el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Type"), el("th", { scope: "col", class: "n" }, "Samples"),
        ["p50", "p95", "p99", "max"].map((name) => el("th", { scope: "col", class: "n" }, name)), el("th", { scope: "col", class: "spread" }, "p50 – p95 – p99"))),
      el("tbody", {}, shown.map((row) => el("tr", { "data-key": row.type ?? "" }, named(row.type),
        el("td", { class: "n" }, el("a", { href: behind(row) }, count(row.samples))),
        [row.p50, row.p95, row.p99, row.max].map((s) => el("td", { class: "n" }, seconds(s))),
        el("td", { class: "spread" }, spread(row, longest))))))),
    el("p", { class: "fine" }, `${MEASURES[measure]}. Samples are exact, quantiles within 0.1 %.`.replace(/^./, (c) => c.toUpperCase()), others(rows)),
  ];
}

// Where the quantiles are, on one scale for all rows.
function spread({ p50, p95, p99 }, longest) {
  const x = (s) => (s / longest * 116 + 2).toFixed(1);
  return svg("svg", { class: "quantiles", viewBox: "0 0 120 14", "aria-hidden": "true" },
    svg("line", { class: "rail", x1: 2, x2: 118, y1: 7, y2: 7 }),
    svg("line", { class: "range", x1: x(p50), x2: x(p99), y1: 7, y2: 7 }),
    [p50, p95, p99].map((s, i) => svg("circle", { class: `q${i}`, cx: x(s), cy: 7, r: 3 })));
}
