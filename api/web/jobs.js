// The list of jobs: a filter, the counts by state that follow it, and a page of rows.
//
// Rows, total and moment are of one read. The list is read again when jobs change, at most every
// two seconds, while its first page is shown.

import { address, go, jobAt } from "./address.js";
import { read } from "./ask.js";
import { el, show, wide } from "./dom.js";
import { filterBar } from "./filter.js";
import { live, watchJobs } from "./live.js";
import { STATES, between, count, many, seconds, stateMark, time } from "./words.js";

const AGAIN_MS = 2000;
const LIMIT = 50;
const CHIPS = {
  type: "type", queue: "queue", worker: "worker", createdAfter: "created after", finishedAfter: "ended after",
  finishedBefore: "ended before", retired: "retired",
};

function row(job) {
  const error = job.error && `${job.error.kind ? `${job.error.kind}: ` : ""}${job.error.message}`;
  return el("tr", { "data-key": job.id },
    // The end of an id tells jobs apart; the beginning of most is the time.
    el("td", { class: "mono" }, el("a", { href: jobAt(job.id), title: job.id }, `…${job.id.slice(-8)}`)),
    el("td", {}, stateMark(job.state), job.inferred && el("span", { class: "tag", title: "concluded from silence, not reported" }, "inferred")),
    el("td", { class: "mono" }, job.type),
    el("td", {}, job.queue ?? "–"), el("td", {}, job.worker ?? "–"),
    el("td", { class: "n" }, job.attempt), el("td", { class: "n" }, time(job.createdAt)),
    el("td", { class: "n" }, seconds(between(job.createdAt, job.startedAt))),
    el("td", { class: "n" }, seconds(between(job.startedAt, job.finishedAt))),
    el("td", { class: "error", title: error || null }, error || ""));
}

const HEAD = [["Job"], ["State"], ["Type"], ["Queue"], ["Worker"], ["Attempt", "n"], ["Created", "n"], ["Wait", "n", "from its creation to its first start"], ["Took", "n", "from its first start to its end"], ["Error"]];

export function jobs(place, at) {
  const parts = {};
  for (const name of ["chips", "states", "summary", "table", "pages"]) parts[name] = el("div", { class: name });
  let params = at.params;
  let turn = 0;
  let timer = 0;
  let readAt = 0;
  let list = null;
  let counts = null;
  let trouble = null;

  const filter = () => {
    const { cursor, ...rest } = Object.fromEntries(params);
    return rest;
  };
  const withFilter = (changes) => address("/ui/jobs", { ...filter(), ...changes });
  const bar = filterBar(params.get("q") ?? "", (q) => go(withFilter({ q })));

  function states() {
    if (counts === null) return null;
    if (counts.words) return el("p", { class: "fine" }, counts.words);
    const chosen = params.get("state");
    const jobs = new Map(counts.counts.map((row) => [row.state, row.jobs]));
    return el("ul", { class: "pills", "aria-label": "States" },
      el("li", {}, el("a", { href: withFilter({ state: "" }), "aria-current": chosen ? null : "true" }, "Any ", el("b", {}, count(counts.jobs)))),
      STATES.map(({ name, word, sign, tone }) => el("li", {}, el("a", { class: tone, href: withFilter({ state: chosen === name ? "" : name }), "aria-current": chosen === name ? "true" : null },
        el("span", { class: "sign", "aria-hidden": "true" }, sign), `${word} `, el("b", {}, count(jobs.get(name) ?? 0))))));
  }

  function summary() {
    if (!list && trouble) return trouble.code === "bad_q" && el("p", { class: "nothing" }, "Nothing is listed as long as the filter can not be read.");
    if (!list) return el("p", { class: "nothing", "aria-busy": "true" }, "Reading the list.");
    return el("p", { class: "fine" }, el("strong", {}, count(list.total)), list.total === 1 ? " job matches" : " jobs match", list.total > 0 && `${params.get("cursor") ? ", an older page of" : ", the newest"} ${count(list.items.length)} shown`, ", as of ", time(list.asOf), ".");
  }

  function rows() {
    if (trouble && trouble.code !== "bad_q") {
      return el("p", { class: "notice" }, `The list can not be read: ${trouble.message}. `, el("a", { href: "/ui/jobs" }, "All jobs"));
    }
    if (!list) return null;
    if (list.items.length === 0) {
      const filtered = [...params.keys()].length > 0;
      return el("p", { class: "nothing large" }, filtered ? "No job matches this filter. " : "No jobs yet. ",
        filtered ? el("a", { href: "/ui/jobs" }, "Show all jobs") : el("a", { href: "/ui/add" }, "Add the first"));
    }
    return wide("Jobs", el("table", { class: trouble ? "list old" : "list" },
      el("thead", {}, el("tr", {}, HEAD.map(([name, className, title]) => el("th", { scope: "col", class: className, title }, name)))),
      el("tbody", {}, list.items.map(row))));
  }

  function draw() {
    show(parts.chips, Object.entries(CHIPS).filter(([name]) => params.get(name)).map(([name, words]) =>
      el("span", { class: "chip" }, `${words} `, el("b", {}, params.get(name)), el("a", { href: withFilter({ [name]: "" }), "aria-label": `Without ${words}`, title: "Take it away" }, "×"))));
    show(parts.states, states());
    show(parts.summary, summary());
    show(parts.table, rows());
    show(parts.pages, list && (params.get("cursor") || list.nextCursor) && el("nav", { class: "pager", "aria-label": "Pages" },
      params.get("cursor") && el("a", { class: "button", href: withFilter({}) }, "« Newest"),
      list.nextCursor && el("a", { class: "button", rel: "next", href: withFilter({ cursor: list.nextCursor }) }, "Older ›")));
    bar.complain(trouble?.code === "bad_q" ? trouble : null);
  }

  // Counts can be had by what the cube has; of other filters the list alone knows.
  async function readCounts() {
    const { state, limit, ...rest } = filter();
    try {
      return await read(address("/api/v1/counts", { by: "state", ...rest }));
    } catch (error) {
      if (error.code !== "not_in_view" && error.code !== "unknown_parameter") return null;
      return { words: "Counts by state are kept by type, queue and worker only; the total below is of this filter." };
    }
  }

  async function refresh() {
    clearTimeout(timer);
    timer = 0;
    const mine = ++turn;
    readAt = Date.now();
    try {
      const [found, sums] = await Promise.all([read(address("/api/v1/jobs", { limit: LIMIT, ...Object.fromEntries(params) })), readCounts()]);
      // A slow answer must not take the place of a later one.
      if (mine !== turn) return;
      [list, counts, trouble] = [found, sums ?? counts, null];
    } catch (error) {
      if (mine !== turn) return;
      trouble = error;
      if (error.code === "bad_q") list = null;
    }
    draw();
  }

  // It may have been paused, or hidden, since.
  function again() {
    timer = 0;
    if (!live.paused && !document.hidden) refresh();
  }

  function later() {
    // A filter that can not be read is not read better the next time.
    if (timer || trouble?.status === 400 || params.get("cursor") || live.paused || document.hidden) return;
    timer = setTimeout(again, Math.max(0, readAt + AGAIN_MS - Date.now()));
  }

  show(place, el("div", { class: "heading" }, el("h1", {}, "Jobs"), el("a", { class: "button", href: "/ui/add" }, "+ Add a task")),
    bar.node, bar.fault, parts.chips, parts.states, parts.summary, parts.table, parts.pages);
  const stop = watchJobs(later);
  draw();
  refresh();
  return {
    move(to) {
      params = to.params;
      [list, counts, trouble] = [null, null, null];
      bar.set(params.get("q") ?? "");
      refresh();
    },
    resume: refresh,
    end() {
      stop();
      turn += 1;
      clearTimeout(timer);
    },
  };
}
