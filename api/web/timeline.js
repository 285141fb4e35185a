// The life of a job as a picture: a lane for each attempt, what was waited, what was run, and the
// events on it.

import { el, svg } from "./dom.js";
import { between, millis, seconds, stateOf } from "./words.js";

const LANE = 34;
const LEFT = 84;
const RIGHT = 16;
const TOP = 8;
const SIGNS = {
  "job.created": "○", "job.validated": "◔", "job.executed": "▶", "job.retried": "↻", "job.completed": "✓",
  "job.failed": "✗", "job.cancelled": "⊘",
};

export function timeline(job, width) {
  const moments = [job.createdAt, ...job.timeline.map((event) => event.occurredAt)].map(millis);
  const open = !["COMPLETED", "FAILED", "CANCELLED"].includes(job.state);
  const from = Math.min(...moments);
  const to = Math.max(...moments, ...(open ? [Date.now()] : []), from + 1);
  const attempts = job.attempts.length ? job.attempts : [{ attempt: job.attempt, state: job.state, startedAt: null, finishedAt: null }];
  const height = TOP + attempts.length * LANE + 26;
  const x = (at) => LEFT + (at - from) / (to - from) * (width - LEFT - RIGHT);
  const tick = (part) => from + part * (to - from);

  const lanes = attempts.map((attempt, i) => {
    const y = TOP + i * LANE + LANE / 2;
    const before = i === 0 ? millis(job.createdAt) : millis(attempts[i - 1].finishedAt ?? attempt.startedAt ?? job.createdAt);
    const began = attempt.startedAt ? millis(attempt.startedAt) : null;
    const ended = attempt.finishedAt ? millis(attempt.finishedAt) : null;
    const until = ended ?? (open && i === attempts.length - 1 ? to : began ?? to);
    const { tone, word } = stateOf(attempt.state);
    const wait = began ?? until;
    const events = job.timeline.filter((event) => event.attempt === attempt.attempt);
    return svg("g", {},
      svg("text", { class: "tick", x: 0, y: y + 4 }, `attempt ${attempt.attempt}`),
      svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      wait > before && svg("line", { class: "waited", x1: x(before), x2: x(wait), y1: y, y2: y }, svg("title", {}, `waited ${seconds((wait - before) / 1000)}`)),
      began !== null && svg("rect", { class: `ran ${tone}${ended === null && open ? " open" : ""}`, x: x(began), y: y - 8, width: Math.max(2, x(until) - x(began)), height: 16, rx: 3 },
        svg("title", {}, `${word}, ran ${seconds((until - began) / 1000)}`)),
      events.map((event) => svg("g", { class: "event" },
        svg("circle", { class: "dot", cx: x(millis(event.occurredAt)), cy: y, r: 4 }),
        svg("title", {}, `${SIGNS[event.eventType] ?? "·"} ${event.eventType} at ${event.occurredAt}`))));
  });

  const words = `${job.timeline.length} events and ${attempts.length} attempts in ${seconds((to - from) / 1000)}.`;
  return el("figure", { class: "chart" }, svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Timeline: ${words}` },
    svg("title", {}, "Timeline"), svg("desc", {}, words),
    lanes,
    [0, 0.25, 0.5, 0.75, 1].filter((part) => width > 500 || part % 0.5 === 0).map((part) => [
      svg("line", { class: "cross", x1: x(tick(part)), x2: x(tick(part)), y1: TOP, y2: height - 20 }),
      svg("text", { class: "tick", x: x(tick(part)), y: height - 4, "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" },
        part === 0 ? "created" : `+${seconds((tick(part) - from) / 1000)}`),
    ])),
  el("p", { class: "fine keys" }, el("span", { class: "key" }, el("i", { class: "waits" }), "waited"), el("span", { class: "key" }, el("i", { class: "busy" }), "ran"), el("span", { class: "key" }, el("i", { class: "happened" }), "event")));
}

export const took = (attempt) => seconds(between(attempt.startedAt, attempt.finishedAt));
