// The page: asks for the snapshot and the newest jobs every second, and shows them.
//
// Whatever comes from a job is put on the page as text, never as markup. Rows stay where they are
// and only their texts change, so that nothing flickers and a selection survives.
"use strict";

const EVERY_MS = 1000;
const STALE_MS = 5000;
const PATIENCE_MS = 4000;
const ROWS = 20;

// A state is told by its sign and its name; the colour only repeats it.
const STATES = [
  ["PENDING", "○", ""], ["VALIDATED", "◔", ""], ["EXECUTING", "▶", ""], ["RETRYING", "↻", "warn"],
  ["COMPLETED", "✓", "good"], ["FAILED", "✗", "bad"], ["CANCELLED", "⊘", ""], ["ABANDONED", "?", "warn"],
];

const $ = (id) => document.getElementById(id);
const show = (element, shown) => { if (element.hidden === shown) element.hidden = !shown; };
const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const dress = (element, name) => { if (element.className !== name) element.className = name; };

const number = new Intl.NumberFormat("en");
const count = (n) => number.format(n);

function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 1) return `${(s * 1000).toPrecision(3)} ms`;
  if (s < 120) return `${s.toPrecision(3)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s / 60 % 60)} min`;
}

// "2026-11-21T10:00:00.123456Z" to what a clock on the wall says, in UTC.
const clock = (at) => at ? `${at.slice(11, 19)} UTC` : "–";
const date = (at) => at ? `${at.slice(0, 10)} ${at.slice(11, 19)}` : "–";
const between = (from, to) => from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : null;

// A cell is its text, or {text, class, link, title}.
function fill(cell, value) {
  const { text, name = "", link, title = "" } = typeof value === "object" ? value : { text: value };
  let place = cell;
  if (link) {
    place = cell.firstElementChild;
    if (!place) {
      cell.textContent = "";
      place = cell.appendChild(document.createElement("a"));
    }
    if (place.getAttribute("href") !== link) place.href = link;
  }
  put(place, text);
  dress(cell, name);
  if (cell.title !== title) cell.title = title;
}

function table(id, rows) {
  const body = $(id).tBodies[0];
  rows.forEach((row, i) => {
    const tr = body.rows[i] ?? body.insertRow();
    row.forEach((value, j) => fill(tr.cells[j] ?? tr.insertCell(), value));
  });
  while (body.rows.length > rows.length) body.deleteRow(-1);
  show($(id), rows.length > 0);
  show($(`no-${id}`), rows.length === 0);
}

const n = (text) => ({ text, name: "n" });
const allTypes = (type) => type === null ? { text: "all types", name: "" } : { text: type, name: "mono" };
const byType = (a, b) => a.type === null ? -1 : b.type === null ? 1 : a.type < b.type ? -1 : 1;

function stateCell(state) {
  const [, sign, name] = STATES.find(([other]) => other === state) ?? [state, "·", ""];
  return { text: `${sign} ${state}`, name: `state ${name}` };
}

// What was last received; kept when a request fails.
let snapshot = null;
let list = null;
let trouble = "";
// When the snapshot's moment was, by the clock of this page.
let momentAt = 0;

function drawStates() {
  const jobs = Object.fromEntries(STATES.map(([state]) => [state, 0]));
  for (const row of snapshot.counts) jobs[row.state] = (jobs[row.state] ?? 0) + row.jobs;
  put($("jobs"), count(snapshot.jobs));
  for (const [state] of STATES) {
    const button = $(`state-${state}`);
    put(button.firstElementChild, count(jobs[state]));
    const pressed = String($("state").value === state);
    if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
  }
}

function drawAlerts() {
  table("alerts", snapshot.alerts.map((alert) => [
    alert.state === "firing" ? { text: "▲ firing", name: "state bad" } : { text: `△ ${alert.state}`, name: "state warn" },
    alert.alert,
    Object.entries(alert.labels).map(([name, value]) => `${name}=${value}`).join(" "),
    n(Number(alert.value.toPrecision(4)).toString()),
    date(alert.firedAt ?? alert.activeAt),
  ]));
}

function drawLatency() {
  const [measure, window] = [$("measure").value, $("window").value];
  const rows = snapshot.latency.filter((row) => row.measure === measure && row.window === window && row.samples > 0);
  table("latency", rows.sort(byType).map((row) => [
    allTypes(row.type), n(count(row.samples)), ...[row.p50, row.p95, row.p99, row.max].map((s) => n(seconds(s))),
  ]));
}

function drawThroughput() {
  const rows = snapshot.throughput.filter((row) => row.window === "1m" && row.created + row.finished > 0);
  table("throughput", rows.sort(byType).map((row) => [
    allTypes(row.type), n(count(row.created)), n(count(row.finished)), n(count(row.failed)),
  ]));
}

function drawDropped() {
  const rejected = Object.entries(snapshot.rejected);
  const total = rejected.reduce((sum, [, jobs]) => sum + jobs, 0);
  const why = rejected.map(([reason, jobs]) => `${reason} ${count(jobs)}`).join(", ");
  put($("dropped"), `Rejected events: ${count(total)}${why && ` (${why})`}. Late events: ${count(snapshot.late)}. Jobs with skewed clocks: ${count(snapshot.skewed)}.`);
}

function drawList() {
  table("recent", list.items.map((job) => [
    // The end of an id tells jobs apart; the beginning of most is the time.
    { text: `…${job.id.slice(-8)}`, name: "mono", link: `/api/v1/jobs/${encodeURIComponent(job.id)}`, title: job.id },
    { text: job.type, name: "mono" },
    stateCell(job.state),
    job.queue ?? "–",
    job.worker ?? "–",
    n(String(job.attempt)),
    date(job.createdAt),
    n(seconds(between(job.startedAt, job.finishedAt))),
  ]));
  put($("no-recent"), $("state").value ? "No job is in this state." : "No job is here.");
  put($("recent-note"), list.items.length ? `newest ${count(list.items.length)} of ${count(list.total)}, as of ${clock(list.asOf)}` : "");
}

// Told every second, whatever the network does.
function drawAge() {
  const old = snapshot !== null && Date.now() - momentAt > STALE_MS;
  const stale = old || trouble !== "";
  const asOf = snapshot === null ? "no data yet" : snapshot.asOf === null ? "nothing has happened yet" : `as of ${clock(snapshot.asOf)}`;
  put($("as-of"), stale ? `STALE · ${asOf}` : asOf);
  dress($("as-of"), stale ? "stale" : "");
  const notice = trouble || (old ? "These numbers are older than 5 seconds: the views do not move." : "");
  put($("trouble"), notice);
  show($("trouble"), notice !== "");
}

function draw() {
  if (snapshot) {
    drawStates();
    drawAlerts();
    drawLatency();
    drawThroughput();
    drawDropped();
    show($("empty"), snapshot.jobs === 0);
  }
  if (list) drawList();
  drawAge();
}

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail ?? `${path}: ${response.status}`);
  return { body, date: response.headers.get("date") };
}

let asked = 0;

async function refresh() {
  const turn = ++asked;
  const state = $("state").value;
  try {
    const [views, jobs] = await Promise.all([
      get("/api/v1/snapshot"),
      get(`/api/v1/jobs?limit=${ROWS}&state=${encodeURIComponent(state)}`),
    ]);
    // A slow answer must not take the place of a later one.
    if (turn !== asked) return;
    [snapshot, list, trouble] = [views.body, jobs.body, ""];
    // A view that stands still ages from its moment on, by the server's clock, which need not be ours.
    const age = snapshot.asOf === null ? 0 : Date.parse(views.date) - Date.parse(snapshot.asOf);
    momentAt = Date.now() - Math.max(0, age || 0);
  } catch (error) {
    if (turn !== asked) return;
    const why = error.name === "TimeoutError" ? "no answer in time" : error.message;
    trouble = `Cannot refresh: ${why}. Trying again${snapshot ? "; what is shown is the last that arrived" : ""}.`;
  }
  draw();
}

let timer = 0;

async function loop() {
  clearTimeout(timer);
  if (document.hidden) return;
  await refresh();
  clearTimeout(timer);
  timer = setTimeout(loop, EVERY_MS);
}

function choose(state) {
  $("state").value = state;
  loop();
}

for (const [state, sign] of STATES) {
  $("state").append(new Option(state, state));
  const button = document.createElement("button");
  button.type = "button";
  button.id = `state-${state}`;
  button.append(document.createElement("b"), document.createElement("span"));
  button.lastElementChild.textContent = `${sign} ${state}`;
  button.firstElementChild.textContent = "–";
  button.addEventListener("click", () => choose($("state").value === state ? "" : state));
  $("states").appendChild(document.createElement("li")).append(button);
}
$("state").addEventListener("change", loop);
for (const id of ["measure", "window"]) $(id).addEventListener("change", draw);
$("curl").textContent = `curl -X POST ${location.origin}/jobs -H 'Content-Type: application/json' -d '{"type":"email.send"}'`;
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    put($("copy"), "Copied");
  } catch {
    getSelection().selectAllChildren($("curl"));
    put($("copy"), "Selected");
  }
  setTimeout(() => put($("copy"), "Copy"), 2000);
});
document.addEventListener("visibilitychange", loop);
setInterval(() => document.hidden || drawAge(), EVERY_MS);
loop();
