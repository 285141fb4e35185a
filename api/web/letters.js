// Dead letters: what was not accepted, why, and where it is.

import { copy } from "./copy.js";
import { el, show, wide } from "./dom.js";
import { live, watch } from "./live.js";
import { count, time } from "./words.js";

const REASONS = {
  too_large: "The body is larger than a delivery may be.",
  bad_utf8: "The body is not UTF-8.",
  bad_json: "The body is not JSON, has a key twice, or a number that no double holds.",
  too_deep: "The JSON is nested too deep.",
  unknown_type: "There is no such event type.",
  schema: "A field is missing, or is not what the contract says.",
  bad_time: "A time is not RFC 3339, or is too far from now.",
};

export function letters(place) {
  function draw(views) {
    const head = el("h1", {}, "Dead letters");
    if (!views) return show(place, head, el("p", { class: "nothing", "aria-busy": "true" }, "Waiting for the first snapshot."));
    const reasons = Object.entries(views.rejected).sort(([, a], [, b]) => b - a);
    const total = reasons.reduce((sum, [, n]) => sum + n, 0);
    return show(place, head,
      el("p", {}, el("strong", {}, count(total)), total === 1 ? " delivery was" : " deliveries were", " not accepted, as of ", time(views.asOf), ". They are kept byte for byte in the queue ", el("code", {}, "jobs.failed.validation"), ", each with its reason, where a broker is used."),
      reasons.length === 0
        ? el("section", { class: "card" }, el("p", { class: "nothing large" }, el("span", { class: "good" }, "✓ "), "Everything that came was accepted."))
        : el("section", { class: "card" }, wide("Reasons", el("table", {},
          el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Reason"), el("th", { scope: "col", class: "n" }, "Letters"), el("th", { scope: "col", class: "share" }, "Share"), el("th", { scope: "col" }, "What it means"), el("th", { scope: "col" }, "To see them"))),
          el("tbody", {}, reasons.map(([reason, n]) => el("tr", { "data-key": reason }, el("th", { scope: "row", class: "mono" }, reason), el("td", { class: "n" }, count(n)),
            el("td", { class: "share" }, el("meter", { min: 0, max: total, value: n, "aria-label": `${reason}, share` })), el("td", {}, REASONS[reason] ?? ""),
            el("td", {}, copy(() => `observatory dlq list --reason ${reason}`, "Copy command")))))))),
      el("section", { class: "card" }, el("h2", {}, "Beside the views"), el("dl", { class: "facts" },
        el("div", {}, el("dt", {}, "Late events"), el("dd", {}, count(views.late)), el("dd", { class: "fine" }, "Accepted, but older than jobs are kept for: they are archived, and in no number.")),
        el("div", {}, el("dt", {}, "Skewed clocks"), el("dd", {}, count(views.skewed)), el("dd", { class: "fine" }, "Jobs with a latency that came out negative, since two producers' clocks differ; it counts as zero.")))),
      el("section", { class: "card" }, el("h2", {}, "Once what was wrong is right"), el("p", {}, "They can be sent back to where they came from:"), el("pre", { tabindex: 0 }, "observatory dlq replay --reason schema")));
  }
  const stop = watch(draw);
  draw(live.views);
  return { end: stop };
}
