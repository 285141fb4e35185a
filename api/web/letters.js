// Dead letters: what was not accepted, why, and where it is.

import { adjust, here } from "./address.js";
import { read } from "./ask.js";
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

// Those that wait in their queue, one by one. They are asked for when somebody looks, and not again
// and again: each look takes them out and puts them back.
function oneByOne(place) {
  const reason = here().params.get("reason") ?? "";
  const again = el("button", { type: "button", class: "button", onclick: () => oneByOne(place) }, "Look again");
  const head = el("div", { class: "heading" }, el("h2", {}, reason ? ["In the queue: ", el("code", {}, reason)] : "In the queue"),
    el("span", {}, reason && el("button", { type: "button", class: "button", onclick: () => adjust({ reason: "" }) }, "All reasons"), " ", again));
  show(place, head, el("p", { class: "nothing", "aria-busy": "true" }, "Asking the broker."));
  read(`/api/v1/deadletters/letters?limit=50${reason && `&reason=${encodeURIComponent(reason)}`}`).then(({ inQueue, letters }) => {
    if (inQueue === null) return show(place, head, el("p", { class: "nothing" }, "There is no broker here: what is refused is told to whoever sends it, and not kept."));
    const row = (letter, i) => el("tr", { "data-key": i }, el("th", { scope: "row", class: "mono" }, letter.reason), el("td", {}, letter.detail), el("td", {}, letter.exchange || "·"), el("td", {}, letter.routingKey || "·"),
      el("td", { class: "n" }, count(letter.bytes)), el("td", {}, el("code", {}, letter.start)));
    return show(place, head, letters.length === 0 ? el("p", { class: "nothing large" }, el("span", { class: "good" }, "✓ "), reason ? "None of this reason waits there." : "None waits there.")
      : wide("Dead letters", el("table", {}, el("thead", {}, el("tr", {}, [["Reason"], ["What is wrong"], ["Exchange"], ["Key"], ["Bytes", "n"], ["Begins with"]].map(([name, className]) => el("th", { scope: "col", class: className }, name)))), el("tbody", {}, letters.map(row)))),
    el("p", { class: "fine" }, `The oldest ${count(letters.length)} of ${count(inQueue)} that wait there.`));
  }).catch((error) => show(place, head, el("p", { class: "notice" }, `They can not be looked at: ${error.message}.`)));
}

export function letters(place) {
  const queue = el("section", { class: "card" });
  const summary = el("div", {});
  const beside = el("div", {});
  show(place, summary, queue, beside);
  oneByOne(queue);
  function draw(views) {
    const head = el("h1", {}, "Dead letters");
    if (!views) return show(summary, head, el("p", { class: "nothing", "aria-busy": "true" }, "Waiting for the first snapshot."));
    const reasons = Object.entries(views.rejected).sort(([, a], [, b]) => b - a);
    const total = reasons.reduce((sum, [, n]) => sum + n, 0);
    show(summary, head,
      el("p", {}, el("strong", {}, count(total)), total === 1 ? " delivery was" : " deliveries were", " not accepted, as of ", time(views.asOf), ". They are kept byte for byte in the queue ", el("code", {}, "jobs.failed.validation"), ", each with its reason, where a broker is used."),
      reasons.length === 0
        ? el("section", { class: "card" }, el("p", { class: "nothing large" }, el("span", { class: "good" }, "✓ "), "Everything that came was accepted."))
        : el("section", { class: "card" }, wide("Reasons", el("table", {},
          el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Reason"), el("th", { scope: "col", class: "n" }, "Letters"), el("th", { scope: "col", class: "share" }, "Share"), el("th", { scope: "col" }, "What it means"), el("th", { scope: "col" }, "To see them"))),
          el("tbody", {}, reasons.map(([reason, n]) => el("tr", { "data-key": reason }, el("th", { scope: "row", class: "mono" }, reason), el("td", { class: "n" }, count(n)),
            el("td", { class: "share" }, el("meter", { min: 0, max: total, value: n, "aria-label": `${reason}, share` })), el("td", {}, REASONS[reason] ?? ""),
            el("td", {}, el("button", { type: "button", class: "button", onclick: () => adjust({ reason }) }, "Show"), " ", copy(() => `observatory dlq list --reason ${reason}`, "Copy command")))))))),
    );
    return show(beside,
      el("section", { class: "card" }, el("h2", {}, "Beside the views"), el("dl", { class: "facts" },
        el("div", {}, el("dt", {}, "Late events"), el("dd", {}, count(views.late)), el("dd", { class: "fine" }, "Accepted, but older than jobs are kept for: they are archived, and in no number.")),
        el("div", {}, el("dt", {}, "Skewed clocks"), el("dd", {}, count(views.skewed)), el("dd", { class: "fine" }, "Jobs with a latency that came out negative, since two producers' clocks differ; it counts as zero.")))),
      el("section", { class: "card" }, el("h2", {}, "Once what was wrong is right"), el("p", {}, "They can be sent back to where they came from:"), el("pre", { tabindex: 0 }, "observatory dlq replay --reason schema")));
  }
  const stop = watch(draw);
  draw(live.views);
  return { end: stop, move: () => oneByOne(queue) };
}
