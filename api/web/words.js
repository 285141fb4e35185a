// What things are called, and how numbers and times are written.

import { el } from "./dom.js";

// A state is told by its sign and its word; the colour only repeats it.
export const STATES = [
  { name: "PENDING", word: "Pending", sign: "○", tone: "calm", means: "accepted, and nobody has looked at it yet" },
  { name: "VALIDATED", word: "Validated", sign: "◔", tone: "calm", means: "found to be well formed, and waits for a worker" },
  { name: "EXECUTING", word: "Executing", sign: "▶", tone: "busy", means: "a worker is at it" },
  { name: "RETRYING", word: "Retrying", sign: "↻", tone: "warn", means: "an attempt failed, and another one follows" },
  { name: "COMPLETED", word: "Completed", sign: "✓", tone: "good", means: "done" },
  { name: "FAILED", word: "Failed", sign: "✗", tone: "bad", means: "given up after its last attempt" },
  { name: "CANCELLED", word: "Cancelled", sign: "⊘", tone: "mute", means: "stopped by somebody" },
  { name: "ABANDONED", word: "Abandoned", sign: "?", tone: "warn", means: "nobody has told how it ended" },
];

const known = new Map(STATES.map((state) => [state.name, state]));
export const stateOf = (name) => known.get(name) ?? { name, word: name, sign: "·", tone: "mute", means: "" };

export function stateMark(name) {
  const { sign, word, tone, means } = stateOf(name);
  return el("span", { class: `state ${tone}`, title: means }, el("span", { class: "sign", "aria-hidden": "true" }, sign), word);
}

const numbers = new Intl.NumberFormat("en");
export const count = (n) => numbers.format(n);
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;
export const rounded = (n) => Number(n.toPrecision(4)).toString();

export function seconds(s) {
  if (s === null || s === undefined || Number.isNaN(s)) return "–";
  if (Number.isInteger(s) && s < 120) return `${s} s`;
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 1) return `${trimmed(s * 1000)} ms`;
  if (s < 120) return `${trimmed(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60 % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600 % 24)} h`;
}

const trimmed = (n) => n >= 100 ? String(Math.round(n)) : n.toPrecision(3);

const two = (n) => String(n).padStart(2, "0");
const clockOf = (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
const dayOf = (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;

export const millis = (at) => Date.parse(at);
// Times come in microseconds, of which Date.parse drops three digits.
const micros = (at) => Math.floor(millis(at) / 1000) * 1e6 + Number((at.match(/\.(\d+)/)?.[1] ?? "").padEnd(6, "0").slice(0, 6));
export const between = (from, to) => from && to ? (micros(to) - micros(from)) / 1e6 : null;

// A time by the clock of whoever looks at it, without the day if that is today; UTC when pointed at.
export function time(at, { fine = false } = {}) {
  if (!at) return "–";
  const d = new Date(millis(at));
  const clock = clockOf(d) + (fine ? `.${String(d.getMilliseconds()).padStart(3, "0")}` : "");
  const text = dayOf(d) === dayOf(new Date()) ? clock : `${dayOf(d)} ${clock}`;
  return el("time", { datetime: at, title: `${at.replace("T", " ").replace("Z", "")} UTC` }, text);
}

export const shortClock = (ms) => clockOf(new Date(ms)).slice(0, 5);
export const shortDay = (ms) => dayOf(new Date(ms)).slice(5);

export const ago = (at) => {
  const s = (Date.now() - millis(at)) / 1000;
  if (s < 0) return "just now";
  return s < 10 ? "a moment ago" : `${s < 120 ? `${Math.floor(s)} s` : seconds(s)} ago`;
};

// Milliseconds since the epoch as the API writes times, and the last microsecond before them.
export const edge = (ms) => new Date(ms).toISOString().replace("Z", "000Z");
export const justBefore = (ms) => new Date(ms - 1).toISOString().replace("Z", "999Z");
