// The stream: what is known of the views, and how fresh it is.
//
//   EventSource ──snapshot, delta──▶ views ──at most 4 times a second──▶ whoever watches
//
// While it is paused, or nobody can see the page, there is no connection and no timer at all.

import { ask } from "./ask.js";
import { begin, fold } from "./fold.js";

const STALE_MS = 5000;
const DRAW_MS = 250;
// Between two attempts when the browser has given up by itself.
const AGAIN_MS = 1500;

// `trouble` is why there is no connection, as far as that is known.
export const live = { views: null, paused: false, connected: false, last: null, trouble: "" };

const watchers = new Set();
const jobWatchers = new Set();
let source = null;
let retry = 0;
let drawing = 0;
// The least that an event was ever younger here than its moment there, and what the server's clock
// says of ours: the first is the more exact, the second knows of views that stand still.
let least = Infinity;
let skew = null;

export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

// Told which jobs have changed; null for more than can be listed.
export function watchJobs(watcher) {
  jobWatchers.add(watcher);
  return () => jobWatchers.delete(watcher);
}

// How old what is shown is, in ms; null when nothing is.
export function age() {
  if (!live.views?.asOf) return null;
  const offset = skew === null ? least : Math.min(least, skew + 1000);
  return Math.max(0, Date.now() - Date.parse(live.views.asOf) - offset);
}

export function standing() {
  if (live.paused) return "paused";
  if (!live.views) return "connecting";
  const old = age();
  if (old !== null && old > STALE_MS) return "stale";
  return live.connected ? "live" : "away";
}

function draw() {
  if (drawing || document.hidden) return;
  drawing = setTimeout(() => {
    drawing = 0;
    for (const watcher of watchers) watcher(live.views);
  }, DRAW_MS);
}

function took(event, data) {
  live.last = event.lastEventId || live.last;
  live.connected = true;
  live.trouble = "";
  if (data.asOf) least = Math.min(least, Date.now() - Date.parse(data.asOf));
  draw();
}

function open() {
  if (source || live.paused || document.hidden) return;
  clearTimeout(retry);
  source = new EventSource(live.views && live.last ? `/api/v1/stream?after=${encodeURIComponent(live.last)}` : "/api/v1/stream");
  source.addEventListener("snapshot", (event) => {
    const data = JSON.parse(event.data);
    live.views = begin(data);
    least = Infinity;
    took(event, data);
    for (const watcher of jobWatchers) watcher(null);
  });
  source.addEventListener("delta", (event) => {
    if (!live.views) return;
    const data = JSON.parse(event.data);
    fold(live.views, data);
    took(event, data);
    if (!data.more && data.changedJobs.length === 0) return;
    for (const watcher of jobWatchers) watcher(data.more ? null : data.changedJobs);
  });
  // The browser connects again by itself, unless it was given an answer that is no stream.
  source.addEventListener("error", () => {
    live.connected = false;
    draw();
    if (source?.readyState !== EventSource.CLOSED) return;
    close();
    retry = setTimeout(() => meet(true), AGAIN_MS);
  });
}

function close() {
  clearTimeout(retry);
  source?.close();
  source = null;
  live.connected = false;
}

// Learns what the server's clock says, and whether we are let in; then connects. Where the stream
// was refused, which says no reason, another read does.
async function meet(refused = false) {
  if (live.paused || document.hidden) return;
  try {
    const { value, date } = await ask("/api/v1/session");
    if (date) skew = Date.now() - Date.parse(date);
    if (refused || (value.required && !value.scope)) await ask("/api/v1/counts");
    open();
  } catch (error) {
    live.trouble = error.message;
    draw();
    if (error.status !== 401) retry = setTimeout(() => meet(refused), AGAIN_MS);
  }
}

export function start() {
  close();
  meet();
}

export function pause(paused) {
  live.paused = paused;
  if (paused) close();
  else meet();
  draw();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else if (!source) meet();
  draw();
});
