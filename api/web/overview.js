// The overview: how many jobs are in which state, how fast they come and go, how long they take,
// and what is wrong. Each number leads to the jobs behind it.

import { adjust, address, jobsAt } from "./address.js";
import { alertList } from "./alerts.js";
import { read } from "./ask.js";
import { chart, spark } from "./chart.js";
import { el, show } from "./dom.js";
import { sums } from "./fold.js";
import { live, watch } from "./live.js";
import { matrix } from "./matrix.js";
import { latencies, throughputs } from "./rates.js";
import { STATES, count, edge, justBefore, many, millis, seconds, time } from "./words.js";

const RANGES = { "15m": 900, "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800 };
// The history moves once a minute; its last step moves all the time.
const HISTORY_MS = 10000;
// What each state's small line shows: a value a second, since the page was opened.
const SAMPLES = 120;

const samples = new Map(STATES.map(({ name }) => [name, []]));
let sampledAt = 0;

watch((views) => {
  if (!views || Date.now() - sampledAt < 1000) return;
  sampledAt = Date.now();
  const jobs = sums(views, "state");
  for (const [name, values] of samples) {
    values.push(jobs.get(name) ?? 0);
    if (values.length > SAMPLES) values.shift();
  }
});

function tile({ name, word, sign, tone, means }, jobs) {
  return el("a", { class: `tile ${tone}`, href: jobsAt({ state: name }), title: means },
    el("span", { class: "what" }, el("span", { class: "sign", "aria-hidden": "true" }, sign), word),
    el("b", {}, count(jobs)), spark(samples.get(name)));
}

function states(views) {
  const jobs = sums(views, "state");
  const sum = [...jobs.values()].reduce((a, n) => a + n, 0);
  return [
    el("div", { class: "tiles" }, STATES.map((state) => tile(state, jobs.get(state.name) ?? 0))),
    el("p", { class: "fine conserved" },
      el("span", { class: sum === views.jobs ? "good" : "bad", "aria-hidden": "true" }, sum === views.jobs ? "✓ " : "✗ "),
      `The states add up to ${count(sum)}, and there are `, el("a", { href: jobsAt({}) }, many(views.jobs, "job")), ", as of ", time(views.asOf), "."),
  ];
}

function trouble(views) {
  const refused = Object.values(views.rejected).reduce((a, n) => a + n, 0);
  const alerts = [...views.alerts.values()];
  return [
    el("h2", {}, el("a", { href: "/ui/alerts" }, "Alerts")),
    alerts.length ? alertList(alerts) : el("p", { class: "nothing" }, el("span", { class: "good" }, "✓ "), "No alert is pending or fires."),
    el("dl", { class: "facts" },
      fact("Dead letters", el("a", { href: "/ui/letters" }, count(refused)), "deliveries that were not accepted"),
      fact("Late events", el("a", { href: "/ui/letters" }, count(views.late)), "older than jobs are kept for, and in no number here"),
      fact("Skewed clocks", count(views.skewed), "jobs with a negative latency, which counts as zero")),
  ];
}

const fact = (name, value, means) => el("div", { title: means }, el("dt", {}, name), el("dd", {}, value));

function empty() {
  const curl = `curl -X POST ${location.origin}/jobs -H 'content-type: application/json' -d '{"type": "email.send"}'`;
  return el("section", { class: "card empty" }, el("h2", {}, "No jobs yet"),
    el("p", {}, "Submit one, and it appears here within a second: with ", el("a", { href: "/ui/add" }, "the form"), ", or with"),
    el("pre", { tabindex: 0 }, curl));
}

// The two charts over time.
function history(place) {
  const step = { ms: 60000 };
  const between = (point) => ({ finishedAfter: justBefore(point.at), finishedBefore: edge(point.at + step.ms), retired: "any" });
  const filters = [{ state: "COMPLETED" }, { state: "FAILED" }, { state: "CANCELLED" }];
  const ends = chart({
    kind: "area", title: "Jobs that ended", write: (n) => count(Math.round(n * 10) / 10),
    series: [{ name: "completed", tone: "good" }, { name: "failed", tone: "bad" }, { name: "cancelled", tone: "mute" }],
    cell: (n, point, s) => el("a", { href: jobsAt({ ...between(point), ...filters[s] }) }, count(n)),
  });
  const means = chart({
    kind: "line", title: "Mean wait and run", write: seconds,
    series: [{ name: "wait", tone: "warn" }, { name: "run", tone: "busy" }],
  });
  show(place, ends.node, means.node);
  return {
    step,
    draw({ series: [{ points: all }], step: length }) {
      step.ms = length * 1000;
      // A step that is not over yet would look like a fall.
      const points = all.filter((point) => millis(point.at) + step.ms <= Date.now());
      const per = length === 60 ? "minute" : `${seconds(length)}`;
      const sum = (name) => points.reduce((a, point) => a + point[name], 0);
      ends.draw(points.map((p) => ({ at: millis(p.at), values: [p.finished - p.failed - p.cancelled, p.failed, p.cancelled] })),
        `${many(sum("finished"), "job")} ended, ${count(sum("failed"))} failed; per full ${per}`);
      means.draw(points.map((p) => ({ at: millis(p.at), values: [p.waitMean, p.runMean] })), `of the jobs that ended; per full ${per}`);
    },
  };
}

export function overview(place, at) {
  const parts = {};
  for (const name of ["states", "trouble", "range", "history", "matrix", "throughput", "latency"]) parts[name] = el("div");
  show(place,
    el("h1", { class: "unseen" }, "Overview"),
    el("section", { "aria-label": "Jobs by state" }, parts.states),
    el("div", { class: "split" },
      el("section", { class: "card" }, parts.range, parts.history),
      el("section", { class: "card" }, parts.trouble)),
    el("section", { class: "card" }, parts.matrix),
    el("div", { class: "pair" },
      el("section", { class: "card" }, parts.throughput),
      el("section", { class: "card" }, parts.latency)));

  const charts = history(parts.history);
  let params = at.params;
  let timer = 0;
  let ended = false;

  const range = () => RANGES[params.get("range")] ? params.get("range") : "1h";
  const drawRange = () => show(parts.range, el("div", { class: "heading" }, el("h2", {}, "Over time"),
    el("div", { class: "choice", role: "group", "aria-label": "Range" }, Object.keys(RANGES).map((name) =>
      el("button", { type: "button", "aria-pressed": String(name === range()), onclick: () => adjust({ range: name === "1h" ? "" : name }) }, name)))));

  // Asked for by somebody, it is read also while all else is paused.
  async function readHistory(asked = false) {
    clearTimeout(timer);
    if (ended || document.hidden || (live.paused && !asked)) return;
    try {
      const from = edge(Date.now() - RANGES[range()] * 1000);
      const found = await read(address("/api/v1/history", { from }));
      if (!ended) charts.draw(found);
    } catch {
      // What was drawn stays; the bar above says how things stand.
    }
    clearTimeout(timer);
    if (!ended) timer = setTimeout(() => readHistory(), HISTORY_MS);
  }

  function draw(views) {
    if (!views) {
      show(parts.states, el("div", { class: "tiles loading", "aria-busy": "true" }, STATES.map(({ word, sign, tone }) =>
        el("div", { class: `tile ${tone}` }, el("span", { class: "what" }, el("span", { class: "sign" }, sign), word), el("b", {}, "…")))));
      show(parts.trouble, el("h2", {}, "Alerts"), el("p", { class: "nothing" }, "Waiting for the first snapshot."));
      return;
    }
    show(parts.states, views.jobs === 0 && empty(), states(views));
    show(parts.trouble, trouble(views));
    show(parts.matrix, matrix(views, params));
    show(parts.throughput, throughputs(views, params));
    show(parts.latency, latencies(views, params));
  }

  const seen = () => { if (!document.hidden) readHistory(); };
  document.addEventListener("visibilitychange", seen);
  const stop = watch(draw);
  drawRange();
  draw(live.views);
  readHistory(true);
  return {
    move(to) {
      params = to.params;
      drawRange();
      draw(live.views);
      readHistory(true);
    },
    redraw: () => readHistory(true),
    resume: () => readHistory(),
    end() {
      ended = true;
      stop();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    },
  };
}
