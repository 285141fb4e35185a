// Workers: who is there, what each says of itself, and where its jobs are.

import { adjust, here, jobsAt } from "./address.js";
import { read } from "./ask.js";
import { el, show, wide } from "./dom.js";
import { live } from "./live.js";
import { STATES, between, count, many, rounded, seconds, time } from "./words.js";

// As often as workers tell of themselves by default is every two seconds.
const AGAIN_MS = 1000;

const PRESENCES = {
  online: ["●", "good", "online", "it tells of itself"],
  silent: ["○", "bad", "silent", "it has missed several heartbeats: killed, cut off, or too busy to tell"],
  offline: ["⊘", "mute", "offline", "it said that it ends"],
  unheard: ["·", "mute", "unheard", "it tells nothing of itself, and is known by its jobs"],
};

function mark(presence) {
  const [sign, tone, word, means] = PRESENCES[presence] ?? ["·", "mute", presence, ""];
  return el("span", { class: `state ${tone}`, title: means }, el("span", { class: "sign", "aria-hidden": "true" }, sign), word);
}

const orDash = (value) => value ?? el("span", { class: "zero" }, "–");
const since = (at, now) => {
  const s = Math.round(between(at, now));
  return s < 1 ? "now" : `${seconds(s)} ago`;
};
const sum = (jobs) => Object.values(jobs).reduce((all, n) => all + n, 0);

function row(one, states, now) {
  const { worker, last } = one;
  const jobs = (state, n) => el("td", { class: "n" }, n ? el("a", { href: jobsAt({ worker, state }) }, count(n)) : el("span", { class: "zero" }, "0"));
  const said = (value) => el("td", { class: "n" }, orDash(value));
  const about = last && [last.software, last.version, last.process !== null && `process ${last.process}`].filter(Boolean).join(" ");
  return el("tr", { "data-key": worker }, el("th", { scope: "row", class: "mono" }, worker, about && el("div", { class: "fine" }, about)), el("td", {}, mark(one.presence)),
    said(last && last.active !== null ? count(last.active) : null), states.map(({ name }) => jobs(name, one.jobs[name])), jobs(undefined, sum(one.jobs)),
    said(last && last.processed !== null ? count(last.processed) : null), said(last?.load?.length ? el("span", { title: last.load.map(rounded).join(" ") }, rounded(last.load[0])) : null),
    said(one.heardAt && el("time", { datetime: one.heardAt, title: one.heardAt }, since(one.heardAt, now))), said(one.onlineAt && time(one.onlineAt)));
}

function table({ items, asOf }) {
  const states = STATES.filter(({ name }) => items.some(({ jobs }) => jobs[name]));
  const head = (name, className, title) => el("th", { scope: "col", class: className, title }, name);
  return wide("Workers", el("table", { class: "matrix" },
    el("thead", {}, el("tr", {}, head("Worker"), head("Presence"), head("Active", "n", "Jobs that it works on, by its own account"),
      states.map((state) => el("th", { scope: "col", class: `n ${state.tone}` }, el("span", { class: "sign", "aria-hidden": "true" }, state.sign), state.word)), head("All", "n"),
      head("Processed", "n", "Since it began, by its own account"), head("Load", "n", "Processes that wanted a core of its machine, over the last minute"), head("Heard", "n"), head("Online since", "n"))),
    el("tbody", {}, items.map((one) => row(one, states, asOf)))));
}

export function workers(place) {
  let timer = 0;
  let ended = false;
  // How often they were asked for, so that only the last answer is drawn; and what was found last.
  let asked = 0;
  let last = null;

  function choice(presences) {
    const wanted = here().params.get("presence") ?? "";
    const all = Object.values(presences).reduce((sum, n) => sum + n, 0);
    const button = (name, words, n) => el("button", { type: "button", "aria-pressed": String(name === wanted), onclick: () => adjust({ presence: name }) }, `${words} ${count(n)}`);
    return el("div", { class: "choice", role: "group", "aria-label": "Presence" }, button("", "all", all),
      Object.entries(PRESENCES).filter(([name]) => presences[name] || name === wanted).map(([name, [, , word]]) => button(name, word, presences[name] ?? 0)));
  }

  function draw(found, trouble) {
    const { total, items, presences, asOf } = found;
    const none = Object.keys(presences).length === 0;
    show(place, el("div", { class: "heading" }, el("h1", {}, "Workers"), !none && choice(presences)),
      trouble && el("p", { class: "notice" }, `They can not be read: ${trouble}. These are the last that were, as of `, time(asOf), ". Trying again."),
      none && el("section", { class: "card" }, el("p", { class: "nothing large" }, "No worker has been heard of."),
        el("p", {}, "Workers of Celery are, if they run with ", el("code", {}, "-E"), " and their broker is watched with ", el("code", {}, "--celery"), "; others as soon as an event of a job names them.")),
      !none && items.length === 0 && el("p", { class: "nothing" }, "None is so."),
      items.length > 0 && el("section", { class: "card" }, table(found), el("p", { class: "fine" }, total > items.length ? `The first ${count(items.length)} of ${many(total, "worker")}, ` : `${many(total, "worker")}, `, "as of ", time(asOf),
        ". Jobs are those that were counted, not what workers say of them; one that has not been heard of for seven days is forgotten.")));
  }

  async function refresh() {
    clearTimeout(timer);
    if (ended || live.paused || document.hidden) return;
    const presence = here().params.get("presence") ?? "";
    const mine = ++asked;
    try {
      const found = await read(`/api/v1/workers?limit=500${presence && `&presence=${encodeURIComponent(presence)}`}`);
      if (ended || mine !== asked) return;
      last = found;
      draw(found);
    } catch (error) {
      if (ended || mine !== asked) return;
      if (last) draw(last, error.message);
      else show(place, el("h1", {}, "Workers"), el("p", { class: "notice" }, `They can not be read: ${error.message}. Trying again.`));
    }
    timer = setTimeout(refresh, AGAIN_MS);
  }

  document.addEventListener("visibilitychange", refresh);
  show(place, el("h1", {}, "Workers"), el("p", { class: "nothing", "aria-busy": "true" }, "Reading the workers."));
  refresh();
  return {
    move: refresh,
    resume: refresh,
    end() {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", refresh);
    },
  };
}
