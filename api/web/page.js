// The page: which view is shown, and how fresh it is.
//
//   address ──▶ view(place, at) ──▶ { move, redraw, resume, end }
//   stream ──▶ live.views ──▶ the view draws what it is of

import { add } from "./add.js";
import { here, onMove } from "./address.js";
import { alerts } from "./alerts.js";
import { dataflow } from "./dataflow.js";
import { el, put, show } from "./dom.js";
import { job } from "./job.js";
import { jobs } from "./jobs.js";
import { letters } from "./letters.js";
import { age, live, pause, standing, start, watch } from "./live.js";
import { helped, keys, launched, themed } from "./menu.js";
import { overview } from "./overview.js";
import { rules } from "./rules.js";
import { guardBy } from "./session.js";
import { count } from "./words.js";
import { workers } from "./workers.js";

const VIEWS = { overview, jobs, job, alerts, rules, workers, dataflow, letters, add };
// Views that belong to one in the menu.
const WITHIN = { job: "jobs", rules: "alerts" };
const TITLES = { overview: "Overview", jobs: "Jobs", job: "Job", alerts: "Alerts", rules: "Rules", workers: "Workers", dataflow: "Dataflow", letters: "Dead letters", add: "Add a task" };
const AGE_MS = 500;
const RESIZED_MS = 150;

const $ = (id) => document.getElementById(id);
const main = $("main");
let shown = null;
let name = "";

function nowhere(place) {
  show(place, el("h1", {}, "Nothing is here"), el("p", {}, "There is no such view. ", el("a", { href: "/" }, "To the overview")));
  return { end() {} };
}

function enter(at) {
  shown?.end();
  main.replaceChildren();
  name = `${at.view} ${at.id ?? ""}`;
  document.title = `${at.view === "job" ? `Job …${at.id.slice(-8)}` : TITLES[at.view] ?? "?"} · Task Observatory`;
  for (const link of document.querySelectorAll("header nav a")) {
    const current = link.dataset.view === (WITHIN[at.view] ?? at.view);
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  shown = (VIEWS[at.view] ?? nowhere)(main, at);
}

onMove((inPlace) => {
  const at = here();
  if (`${at.view} ${at.id ?? ""}` === name && shown.move) {
    shown.move(at);
    return;
  }
  enter(at);
  if (inPlace) return;
  scrollTo(0, 0);
  // Whoever hears the page instead of seeing it is told that there is another one.
  put($("told"), document.title);
});

const WORDS = { paused: "PAUSED", connecting: "connecting", stale: "STALE", away: "reconnecting", live: "live" };
let told = "";

// What is wrong, if anything is, and what becomes of it.
function wrong(how) {
  const reason = live.trouble || "the server does not answer";
  if (how === "stale") return live.connected ? "These numbers are older than 5 seconds: the views do not move." : `These numbers are the last that arrived: ${reason}. Trying again.`;
  return how === "connecting" && live.trouble ? `Nothing can be shown yet: ${reason}. Trying again.` : "";
}

// Drawn again twice a second, as long as anybody can see it.
function drawAge() {
  const how = standing();
  const ms = age();
  const old = ms === null ? "" : ms < 10000 ? `${(ms / 1000).toFixed(1)} s ago` : `${count(Math.round(ms / 1000))} s ago`;
  $("standing").className = `standing ${how}`;
  put($("standing-word"), WORDS[how]);
  put($("standing-age"), ms === null ? "–" : old);
  const notice = wrong(how);
  document.body.classList.toggle("old", how === "stale");
  put($("notice"), notice);
  $("notice").hidden = notice === "";
  if (how !== told) {
    if (told !== "" && how !== "connecting") put($("told"), `The page is ${WORDS[how].toLowerCase()}.`);
    told = how;
  }
  const firing = live.views ? [...live.views.alerts.values()].filter(({ state }) => state === "firing").length : 0;
  put($("firing"), firing ? String(firing) : "");
  $("firing").hidden = firing === 0;
}

let clock = 0;
function tick() {
  clearInterval(clock);
  drawAge();
  if (!document.hidden && !live.paused) clock = setInterval(drawAge, AGE_MS);
}

$("pause").onclick = () => {
  pause(!live.paused);
  const words = live.paused ? "Go on" : "Pause";
  put($("pause"), live.paused ? "▶" : "❚❚");
  $("pause").title = `${words} (p)`;
  $("pause").setAttribute("aria-label", words);
  $("pause").setAttribute("aria-pressed", String(live.paused));
  tick();
  if (!live.paused) shown?.resume?.();
};

let resized = 0;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(() => shown?.redraw?.(), RESIZED_MS);
});

themed($("theme"));
helped($("help"), $("help-button"));
launched($("launcher"));
keys({ help: $("help-button"), theme: $("theme"), pause: $("pause") });
guardBy($("session"), () => enter(here()));
document.addEventListener("visibilitychange", tick);
watch(drawAge);
start();
enter(here());
tick();
