// The rules, to be changed and tried: when would they have fired over what has happened?
//
//   text ──(a pause)──▶ POST /rules/test ──▶ episodes of both, in force and as edited
//     ▲                                            └──▶ a picture and a table, what is new and what is gone
//     └── sliders over the thresholds in it        PUT /rules puts it in force

import { adjust, here, jobAt } from "./address.js";
import { ask, read } from "./ask.js";
import { el, put, show, svg, wide } from "./dom.js";
import { count, edge, many, millis, rounded, shortClock, time } from "./words.js";

const PAUSE_MS = 500;
const BUSY_MS = 1500;
const MINUTE_MS = 60000;
const SPANS = { "15m": ["15 minutes", 15], "1h": ["1 hour", 60], "6h": ["6 hours", 360], "24h": ["24 hours", 1440] };
const WIDTH = 1000;

// The thresholds in the text of a rules file: where each is, and whose.
export function thresholds(text) {
  const found = [];
  let alert = "";
  let at = 0;
  for (const line of text.split("\n")) {
    alert = /\balert:\s*["']?([\w-]+)/.exec(line)?.[1] ?? alert;
    const expr = /\bexpr:\s*(.+)$/.exec(line);
    if (expr) {
      const begins = at + line.length - expr[1].length;
      for (const match of expr[1].matchAll(/(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)?)(?![\w"])/g)) {
        found.push({ alert, op: match[1], value: match[2], at: begins + match.index + match[0].length - match[2].length, expr: expr[1] });
      }
    }
    at += line.length + 1;
  }
  return found;
}

const keyOf = ({ alert, labels }) => JSON.stringify([alert, ["state", "type", "queue"].map((name) => labels[name] ?? "")]);
const fired = ({ firedAt }) => firedAt !== null;
const overlap = (a, b) => (a.endedAt === null || a.endedAt >= b.firedAt) && (b.endedAt === null || b.endedAt >= a.firedAt);

// What each set of episodes has and the other has not.
export function compared(inForce, edited) {
  const alone = (some, others) => some.filter((one) => !others.some((other) => keyOf(one) === keyOf(other) && overlap(one, other)));
  const [before, after] = [inForce.filter(fired), edited.filter(fired)];
  return { before, after, added: new Set(alone(after, before)), gone: new Set(alone(before, after)) };
}

// One alert and subject: above when it fires as it is, below when it would.
function lanes(name, labels, before, after, from, to) {
  const x = (at) => Math.max(0, Math.min(WIDTH, (millis(at) - from) / (to - from) * WIDTH));
  const bar = (tone, y) => (episode) => {
    const begin = x(episode.firedAt);
    const end = episode.endedAt === null ? WIDTH : x(episode.endedAt);
    return svg("rect", { class: `area ${tone}`, x: begin.toFixed(1), width: Math.max(2, end - begin).toFixed(1), y, height: 8 });
  };
  const words = `in force: ${many(before.length, "episode")}; as edited: ${many(after.length, "episode")}`;
  return el("div", { class: "lanes", "data-key": name + JSON.stringify(labels) },
    el("p", {}, el("strong", {}, name), " ", Object.entries(labels).filter(([label]) => ["state", "type", "queue"].includes(label)).map(([label, value]) => el("span", { class: "tag" }, `${label} `, el("b", {}, value))), el("small", {}, words)),
    svg("svg", { viewBox: `0 0 ${WIDTH} 22`, preserveAspectRatio: "none", role: "img", "aria-label": words },
      svg("line", { class: "rail", x1: 0, x2: WIDTH, y1: 11, y2: 11 }), before.map(bar("mute", 1)), after.map(bar("bad", 13))));
}

function outcome(place, { from, to, events, episodes, inForce }) {
  const { before, after, added, gone } = compared(inForce, episodes);
  const groups = new Map();
  for (const [of, list] of [["before", before], ["after", after]]) {
    for (const episode of list) {
      const key = keyOf(episode);
      if (!groups.has(key)) groups.set(key, { name: episode.alert, labels: episode.labels, before: [], after: [] });
      groups.get(key)[of].push(episode);
    }
  }
  const word = (episode) => added.has(episode) ? el("b", { class: "bad" }, "new") : gone.has(episode) ? el("b", { class: "good" }, "gone") : "as before";
  const rows = [...after, ...gone].sort((a, b) => a.firedAt < b.firedAt ? 1 : -1).slice(0, 200);
  const [begin, end] = [millis(from), millis(to)];
  show(place, el("h2", {}, "What would have fired"),
    el("p", { role: "status" }, el("strong", {}, many(added.size, "episode")), " more, ", el("strong", {}, count(gone.size)), " fewer, ", count(after.length - added.size), " as before; tried on ", many(events, "event"), "."),
    groups.size === 0 ? el("p", { class: "nothing large" }, "Neither fires in this time.") : [
      el("p", { class: "said" }, el("span", { class: "key mute" }, el("i", {}), "in force"), el("span", { class: "key bad" }, el("i", {}), "as edited"), `${shortClock(begin)} to ${shortClock(end)}`),
      [...groups.values()].slice(0, 40).map(({ name, labels, before, after }) => lanes(name, labels, before, after, begin, end)),
      groups.size > 40 && el("p", { class: "fine" }, `and ${count(groups.size - 40)} more alerts`),
      wide("Episodes", el("table", {},
        el("thead", {}, el("tr", {}, [["Fires from"], ["Until"], ["Alert"], ["About"], ["Value", "n"], ["Jobs", "n"], [""]].map(([name, className]) => el(name ? "th" : "td", { scope: name && "col", class: className }, name)))),
        el("tbody", {}, rows.map((episode) => el("tr", {}, el("td", {}, time(episode.firedAt)), el("td", {}, episode.endedAt === null ? "still" : time(episode.endedAt)), el("td", {}, episode.alert),
          el("td", {}, Object.entries(episode.labels).map(([name, value]) => el("span", { class: "tag" }, `${name} `, el("b", {}, value)))), el("td", { class: "n" }, rounded(episode.value)),
          el("td", { class: "n" }, episode.jobs ? [episode.jobs.ids.length > 0 && el("a", { href: jobAt(episode.jobs.ids[0]), title: "One of them" }, count(episode.jobs.n)), episode.jobs.ids.length === 0 && "0"] : "·"), el("td", {}, word(episode))))))),
    ]);
}

export function rules(place) {
  const text = el("textarea", { id: "rules-text", rows: 22, spellcheck: "false", autocomplete: "off", class: "mono", disabled: true, oninput: () => typed() });
  const fault = el("pre", { class: "bad", role: "alert", hidden: true });
  const told = el("p", { class: "fine", role: "status" });
  const sliders = el("div", { class: "sliders" });
  const result = el("section", { class: "card", "aria-live": "off" }, el("p", { class: "nothing", "aria-busy": "true" }, "Trying them."));
  const versions = el("section", { class: "card" });
  const span = el("select", { id: "rules-span", onchange: () => adjust({ span: span.value }) }, Object.entries(SPANS).map(([name, [word]]) => el("option", { value: name }, word)));
  const choose = ({ params }) => {
    const given = params.get("span");
    span.value = given in SPANS ? given : "1h";
  };
  choose(here());
  const apply = el("button", { type: "button", class: "button primary", disabled: true, onclick: () => putInForce() }, "Put in force");
  const back = el("button", { type: "button", class: "button", disabled: true, onclick: () => edit(inForce) }, "Back to those in force");
  let inForce = "";
  let ended = false;
  let timer = 0;
  let number = 0;

  show(place, el("p", { class: "crumbs" }, el("a", { href: "/ui/alerts" }, "Alerts")), el("h1", {}, "Rules"),
    el("section", { class: "card" }, el("div", { class: "heading" }, el("label", { for: "rules-text" }, "The rules file"), el("span", {}, back, " ", apply)), text, fault, told, el("h2", {}, "Thresholds"), sliders),
    el("section", { class: "card" }, el("label", { for: "rules-span" }, "Tried on the last "), span), result, versions);

  // `keep` when a slider is being moved: it stays where it is.
  function typed(keep = false) {
    const changed = text.value !== inForce;
    apply.disabled = !changed;
    back.disabled = !changed;
    put(told, "");
    if (!keep) drawSliders();
    clearTimeout(timer);
    timer = setTimeout(attempt, PAUSE_MS);
  }

  function edit(yaml) {
    text.value = yaml;
    typed();
  }

  function drawSliders() {
    const found = thresholds(text.value);
    const rows = found.map((threshold, i) => {
      const value = Number(threshold.value);
      const most = value > 0 ? value * 4 : 10;
      const step = most <= 1 ? 0.005 : most <= 10 ? 0.1 : 1;
      const output = el("output", {}, threshold.value);
      const slider = el("input", {
        type: "range", min: 0, max: most, step, value, "aria-label": `${threshold.alert}: ${threshold.op} ${threshold.value}`,
        oninput: () => {
          // Where it is now: those before it may have become longer.
          const now = thresholds(text.value)[i];
          if (!now) return;
          const written = String(Number(Number(slider.value).toPrecision(6)));
          text.value = text.value.slice(0, now.at) + written + text.value.slice(now.at + now.value.length);
          put(output, written);
          typed(true);
        },
      });
      slider.value = value;
      return el("label", {}, el("span", {}, el("strong", {}, threshold.alert), " ", el("code", {}, threshold.expr)), el("span", { class: "slide" }, threshold.op, slider, output));
    });
    sliders.replaceChildren(...(rows.length > 0 ? rows : [el("p", { class: "nothing" }, "There is no number to compare with.")]));
  }

  function wrong(words) {
    put(fault, words);
    fault.hidden = words === "";
    text.setAttribute("aria-invalid", String(words !== ""));
  }

  async function attempt() {
    const mine = number += 1;
    const to = Date.now();
    const path = `/api/v1/rules/test?from=${edge(to - SPANS[span.value][1] * MINUTE_MS)}&to=${edge(to)}`;
    try {
      const { value } = await ask(path, { method: "POST", body: text.value, headers: { "content-type": "application/yaml" } });
      if (ended || mine !== number) return;
      wrong("");
      outcome(result, value);
    } catch (error) {
      if (ended || mine !== number) return;
      if (error.status === 429) timer = setTimeout(attempt, BUSY_MS);
      else if (error.code === "bad_rules") wrong(error.message);
      else show(result, el("h2", {}, "What would have fired"), el("p", { class: "notice" }, `They can not be tried: ${error.message}.`));
    }
  }

  async function putInForce() {
    apply.disabled = true;
    try {
      const { value } = await ask("/api/v1/rules", { method: "PUT", body: text.value, headers: { "content-type": "application/yaml" } });
      if (ended) return;
      inForce = value.yaml;
      typed();
      put(told, `${many(value.rules.length, "rule")} in force from the next second on.`);
      readVersions();
    } catch (error) {
      apply.disabled = false;
      if (error.code === "bad_rules") wrong(error.message);
      else put(told, `Not put in force: ${error.message}.`);
    }
  }

  async function readVersions() {
    try {
      const { items } = await read("/api/v1/rules/history");
      if (ended) return;
      const row = (version, i) => el("li", { "data-key": version.appliedAt }, el("details", {}, el("summary", {}, time(version.appliedAt), ` by ${version.appliedBy || "somebody"}`, i === 0 && ", in force"),
        el("pre", { tabindex: 0 }, version.yaml), el("p", {}, el("button", { type: "button", class: "button", onclick: () => edit(version.yaml) }, "Take it up again"))));
      show(versions, el("h2", {}, "Earlier"), items.length > 0 ? el("ul", { class: "events" }, items.map(row)) : el("p", { class: "nothing" }, "None was ever given: those in force come with the program."));
    } catch (error) {
      if (!ended) show(versions, el("h2", {}, "Earlier"), el("p", { class: "notice" }, `They can not be read: ${error.message}.`));
    }
  }

  (async () => {
    try {
      const { yaml } = await read("/api/v1/rules");
      if (ended) return;
      inForce = yaml;
      text.disabled = false;
      edit(yaml);
      attempt();
    } catch (error) {
      if (!ended) show(result, el("p", { class: "notice" }, `The rules can not be read: ${error.message}.`));
    }
    readVersions();
  })();
  return {
    move(at) {
      choose(at);
      attempt();
    },
    end() {
      ended = true;
      clearTimeout(timer);
    },
  };
}
