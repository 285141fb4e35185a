// One job: where it stands and why, its attempts, its events as they came.

import { jobsAt } from "./address.js";
import { read } from "./ask.js";
import { copy } from "./copy.js";
import { el, show, wide } from "./dom.js";
import { pretty } from "./json.js";
import { live, watchJobs } from "./live.js";
import { timeline, took } from "./timeline.js";
import { ago, between, many, seconds, stateMark, stateOf, time } from "./words.js";

const AGAIN_MS = 500;
// Of one job, also milliseconds tell something.
const FINE = { fine: true };
const REASONS = {
  alone: () => "It is the only event that has arrived.",
  attempt: (beat) => `Its attempt is the higher one: the strongest other event is ${told(beat)}.`,
  eventType: (beat) => `It comes later in a job's life than the strongest other event, ${told(beat)}.`,
  occurredAt: (beat) => `It happened later than the strongest other event, ${told(beat)}.`,
  eventId: (beat) => `It ties with ${told(beat)}, and the greater event id decides.`,
  content: (beat) => `It came twice under one event id with two contents, and the greater one counts: ${told(beat)} is the other.`,
  silence: () => "Nothing was heard after it, and the state is concluded from that silence.",
};
const told = (event) => event ? `${event.eventType} of attempt ${event.attempt}` : "none";

function why(job) {
  if (!job.why) return null;
  const { decidedBy, eventType, attempt, occurredAt, beat } = job.why;
  return el("p", { class: "why" }, el("strong", {}, `Why ${stateOf(job.state).word.toLowerCase()}? `),
    "The event ", el("code", {}, eventType), ` of attempt ${attempt}, of `, time(occurredAt, FINE), ", decides. ", (REASONS[decidedBy] ?? (() => ""))(beat));
}

function facts(job) {
  const link = (name, value) => value === null ? "–" : el("a", { href: jobsAt({ [name]: value }) }, value);
  const fact = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el("dl", { class: "facts" },
    fact("Type", link("type", job.type)), fact("Queue", link("queue", job.queue)), fact("Worker", link("worker", job.worker)),
    fact("Attempt", String(job.attempt)), fact("Created", time(job.createdAt, FINE), el("small", {}, ` ${ago(job.createdAt)}`)),
    fact("Started", time(job.startedAt, FINE)), fact("Ended", time(job.finishedAt, FINE)),
    fact("Wait", seconds(between(job.createdAt, job.startedAt))), fact("Total", seconds(between(job.createdAt, job.finishedAt))));
}

function error(job) {
  if (!job.error) return null;
  const text = `${job.error.kind ? `${job.error.kind}: ` : ""}${job.error.message}`;
  return el("section", { class: "card" }, el("div", { class: "heading" }, el("h2", {}, "Error"), copy(() => text, "Copy the error")), el("pre", { class: "bad", tabindex: 0 }, text));
}

// An attempt that is over, and after which there was to be another, has failed.
function attemptMark({ state, finishedAt }) {
  if (state !== "RETRYING" || !finishedAt) return stateMark(state);
  return el("span", { class: "state warn" }, el("span", { class: "sign", "aria-hidden": "true" }, "↻"), "Failed, to be retried");
}

function attempts(job) {
  return wide("Attempts", el("table", {},
    el("thead", {}, el("tr", {}, [["Attempt"], ["State"], ["Worker"], ["Started", "n"], ["Ran", "n"], ["Error"]].map(([name, className]) => el("th", { scope: "col", class: className }, name)))),
    el("tbody", {}, job.attempts.map((attempt) => el("tr", {}, el("td", {}, attempt.attempt), el("td", {}, attemptMark(attempt)), el("td", {}, attempt.worker ?? "–"),
      el("td", { class: "n" }, time(attempt.startedAt, FINE)), el("td", { class: "n" }, took(attempt)),
      el("td", { class: "error" }, attempt.error ? `${attempt.error.kind ? `${attempt.error.kind}: ` : ""}${attempt.error.message}` : ""))))));
}

function event({ eventId, acceptedAt, late, event: body }) {
  const text = () => pretty(body);
  return el("li", { "data-key": eventId }, el("details", {},
    el("summary", {}, el("code", {}, body.eventType), " ", time(body.occurredAt, FINE),
      el("small", {}, ` attempt ${body.payload?.attempt ?? 1} · accepted ${seconds(Math.max(0, between(body.occurredAt, acceptedAt)))} later`), late && el("span", { class: "tag" }, "late: in no view")),
    copy(text, "Copy the event"), el("pre", { tabindex: 0 }, text())));
}

export function job(place, { id }) {
  let [found, events, trouble] = [null, null, null];
  let timer = 0;
  let turn = 0;

  function draw() {
    if (!found) {
      show(place, el("h1", {}, "Job"), el("p", { class: "nothing mono" }, id),
        trouble ? el("p", { class: "notice" }, `${trouble.message}. `.replace(/^./, (c) => c.toUpperCase()), el("a", { href: "/ui/jobs" }, "To the list"))
          : el("p", { class: "nothing", "aria-busy": "true" }, "Reading the job."));
      return;
    }
    const width = Math.max(300, Math.min(place.clientWidth - 42, 1760));
    show(place,
      el("p", { class: "crumbs" }, el("a", { href: "/ui/jobs" }, "Jobs"), " › ", el("span", { class: "mono" }, id)),
      el("div", { class: "heading" }, el("h1", { class: "mono" }, found.type), stateMark(found.state),
        found.inferred && el("span", { class: "tag" }, "inferred"), found.retired && el("span", { class: "tag", title: "in the totals, and no longer in the live counts" }, "retired"),
        el("span", { class: "spring" }), copy(() => id, "Copy the id"), copy(() => location.href, "Copy the link")),
      trouble && el("p", { class: "notice" }, `Can not be read again: ${trouble.message}. What is shown is as of `, time(found.asOf), "."),
      found.incomplete && el("p", { class: "notice" }, "The archive does not answer: attempts and events may be missing."),
      why(found),
      el("section", { class: "card" }, el("h2", {}, "Timeline"), timeline(found, width)),
      facts(found),
      error(found),
      el("section", { class: "card" }, el("h2", {}, many(found.attempts.length, "attempt")), found.attempts.length ? attempts(found) : el("p", { class: "nothing" }, "No attempt has begun.")),
      found.payload && el("section", { class: "card" }, el("div", { class: "heading" }, el("h2", {}, "Payload"), copy(() => pretty(found.payload), "Copy the payload")), el("pre", { tabindex: 0 }, pretty(found.payload))),
      el("section", { class: "card" }, el("h2", {}, events ? many(events.total, "event") : "Events"),
        events ? el("ol", { class: "events" }, events.items.map(event)) : el("p", { class: "nothing" }, "Reading the events.")),
      el("p", { class: "fine" }, "As of ", time(found.asOf), "."));
  }

  async function refresh() {
    timer = 0;
    const mine = ++turn;
    const path = `/api/v1/jobs/${encodeURIComponent(id)}`;
    try {
      const both = await Promise.all([read(path), read(`${path}/events`)]);
      if (mine !== turn) return;
      [found, events, trouble] = [...both, null];
    } catch (error) {
      if (mine !== turn) return;
      trouble = error;
    }
    draw();
    // It may be so new that nothing of it can be read yet; and an open bar grows.
    if (trouble?.status === 404 && !found) later(4);
    else if (found && ["EXECUTING", "RETRYING", "PENDING", "VALIDATED"].includes(found.state)) later(4);
  }

  function later(times = 1) {
    if (timer || live.paused || document.hidden) return;
    timer = setTimeout(() => {
      timer = 0;
      // It may have been paused, or hidden, since.
      if (!live.paused && !document.hidden) refresh();
    }, AGAIN_MS * times);
  }

  const stop = watchJobs((ids) => {
    if (ids && !ids.includes(id)) return;
    clearTimeout(timer);
    timer = 0;
    later();
  });
  draw();
  refresh();
  return {
    redraw: draw,
    resume: refresh,
    end() {
      stop();
      turn += 1;
      clearTimeout(timer);
    },
  };
}
