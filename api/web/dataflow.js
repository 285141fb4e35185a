// The dataflow: its operators and the ways between them, what each holds and how busy it is.

import { read } from "./ask.js";
import { el, show, wide } from "./dom.js";
import { graph } from "./graph.js";
import { live } from "./live.js";
import { count, seconds, time } from "./words.js";

const AGAIN_MS = 1000;

export function dataflow(place) {
  let timer = 0;
  let ended = false;
  let before = null;

  // What happened since the last time, of a second.
  function rates(now, readAt) {
    const span = before ? (readAt - before.readAt) / 1000 : 0;
    const rate = (name, of) => {
      const old = span > 0 && before[name].get(of.key);
      return old === undefined || old === false ? null : Math.max(0, of.value - old) / span;
    };
    const busy = new Map(now.operators.map(({ id, busySeconds }) => [id, rate("busy", { key: id, value: busySeconds })]));
    const flow = new Map(now.edges.map((edge) => [wayOf(edge), rate("flow", { key: wayOf(edge), value: edge.records })]));
    before = {
      readAt,
      busy: new Map(now.operators.map(({ id, busySeconds }) => [id, busySeconds])),
      flow: new Map(now.edges.map((edge) => [wayOf(edge), edge.records])),
    };
    return { busy, flow };
  }

  function draw(now, { busy, flow }) {
    const scopes = new Set(now.operators.map(({ scope }) => scope));
    // The innermost picture that has everything: what is directly in the dataflow.
    const top = now.operators.find(({ scope }) => scope === null)?.id;
    const inside = now.operators.filter(({ scope }) => scope === (top ?? null));
    const ids = new Set(inside.map(({ id }) => id));
    const edges = now.edges.filter(({ from, to }) => ids.has(from) && ids.has(to));
    const most = Math.max(1, ...edges.map((edge) => flow.get(wayOf(edge)) ?? 0));
    const share = (id) => busy.get(id) === null ? "–" : `${(busy.get(id) * 100).toFixed(1)} %`;
    const nodes = inside.map(({ id, name, records }) => ({ id, name: scopes.has(id) ? `${name} ▸` : name, note: `${share(id)} busy · holds ${count(records)}`, weight: Math.min(1, busy.get(id) ?? 0) }));
    const ways = edges.map((edge) => ({ ...edge, note: `${count(edge.records)} records, ${count(Math.round(flow.get(wayOf(edge)) ?? 0))} a second`, weight: (flow.get(wayOf(edge)) ?? 0) / most }));
    const listed = now.operators.filter(({ id }) => !scopes.has(id)).sort((a, b) => (busy.get(b.id) ?? 0) - (busy.get(a.id) ?? 0) || b.busySeconds - a.busySeconds);
    const records = now.operators.reduce((sum, operator) => sum + operator.records, 0);
    show(place, el("h1", {}, "Dataflow"),
      el("dl", { class: "facts" },
        el("div", {}, el("dt", {}, "Lag"), el("dd", {}, seconds(now.lagSeconds))), el("div", {}, el("dt", {}, "Workers"), el("dd", {}, count(now.workers))),
        el("div", {}, el("dt", {}, "Operators"), el("dd", {}, count(now.operators.length))), el("div", {}, el("dt", {}, "Records held"), el("dd", {}, count(records))),
        el("div", {}, el("dt", {}, "As of"), el("dd", {}, time(now.asOf)))),
      el("section", { class: "card" }, el("h2", {}, "The graph"), el("p", { class: "fine" }, "From left to right; a wider way has more records a second, a longer bar below a name is a busier operator."),
        wide("The graph", graph(nodes, ways, `The dataflow: ${inside.length} operators and ${edges.length} ways; the table below has the same.`))),
      el("section", { class: "card" }, el("h2", {}, "Operators"), wide("Operators", el("table", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Operator"), ["Busy", "Busy in all", "Turns", "Holds", "Waiting", "Bytes waiting"].map((name) => el("th", { scope: "col", class: "n" }, name)))),
        el("tbody", {}, listed.map((operator) => el("tr", { "data-key": operator.id }, el("th", { scope: "row" }, operator.name, el("small", {}, ` ${operator.id}`)),
          el("td", { class: "n" }, share(operator.id)), el("td", { class: "n" }, seconds(operator.busySeconds)), el("td", { class: "n" }, count(operator.activations)),
          el("td", { class: "n" }, count(operator.records)), el("td", { class: "n" }, count(operator.pendingRecords)), el("td", { class: "n" }, count(operator.pendingBytes)))))))));
  }

  async function refresh() {
    clearTimeout(timer);
    if (ended || live.paused || document.hidden) return;
    try {
      const now = await read("/api/v1/dataflow");
      if (ended) return;
      draw(now, rates(now, Date.now()));
    } catch (error) {
      if (ended) return;
      if (!before) show(place, el("h1", {}, "Dataflow"), el("p", { class: "notice" }, error.code === "not_configured" ? "The dataflow runs in the process of the pipeline, and nobody has said where that is: give --pipeline-url." : `It can not be read: ${error.message}. Trying again.`));
      if (error.code === "not_configured") return;
    }
    timer = setTimeout(refresh, AGAIN_MS);
  }

  const seen = () => refresh();
  document.addEventListener("visibilitychange", seen);
  show(place, el("h1", {}, "Dataflow"), el("p", { class: "nothing", "aria-busy": "true" }, "Reading the graph."));
  refresh();
  return {
    resume: refresh,
    end() {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    },
  };
}

const wayOf = (edge) => `${edge.from}.${edge.fromPort}-${edge.to}.${edge.toPort}`;
