// Charts: SVG with a title, a description, values at the pointer or the arrow keys, and a table of
// the same numbers below.
//
//   points: [{ at: ms, values: [n or null, …] }], series: [{ name, tone }]

import { el, show, svg, wide } from "./dom.js";
import { shortClock, shortDay } from "./words.js";

const HEIGHT = 180;
const LEFT = 46;
const BOTTOM = 22;
const TOP = 8;
const DAY_MS = 86400000;

// A small line without axes; its words are beside it.
export function spark(values, { width = 96, height = 24 } = {}) {
  const most = Math.max(...values, 1);
  const least = Math.min(...values, most);
  const range = most - least || 1;
  const x = (i) => (i / Math.max(values.length - 1, 1)) * (width - 2) + 1;
  const y = (v) => most === least ? height - 2 : height - 2 - ((v - least) / range) * (height - 4);
  const line = values.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    values.length > 1 && svg("path", { d: `${line}L${x(values.length - 1)} ${height}L${x(0)} ${height}Z`, class: "under" }),
    values.length > 1 && svg("path", { d: line, class: "line" }));
}

// A round number at or above `n`.
export function ceiling(n) {
  if (!(n > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 2.5, 5, 10].map((step) => step * unit).find((step) => step >= n * 0.9999);
}

// What is drawn of the points, by kind. `sum` tells how high a point is.
const KINDS = {
  area: { sum: (values) => values.reduce((a, v) => a + (v ?? 0), 0), marks: areas },
  bars: { sum: (values) => values.reduce((a, v) => a + (v ?? 0), 0), marks: bars },
  line: { sum: (values) => Math.max(0, ...values.map((v) => v ?? 0)), marks: lines },
};

function areas({ points, series, x, y }) {
  const below = points.map(() => 0);
  return series.map(({ tone }, s) => {
    const upper = points.map((point, i) => `${x(i).toFixed(1)} ${y(below[i] + (point.values[s] ?? 0)).toFixed(1)}`);
    const lower = points.map((_, i) => `${x(i).toFixed(1)} ${y(below[i]).toFixed(1)}`).reverse();
    points.forEach((point, i) => { below[i] += point.values[s] ?? 0; });
    return svg("path", { class: `area ${tone}`, d: `M${upper.join("L")}L${lower.join("L")}Z` });
  });
}

function bars({ points, series, x, y, step }) {
  const width = Math.max(1, step - 2);
  return points.flatMap((point, i) => {
    let below = 0;
    return series.map(({ tone }, s) => {
      const value = point.values[s] ?? 0;
      const [from, to] = [below, below += value];
      return value > 0 && svg("rect", { class: `area ${tone}`, x: (x(i) - width / 2).toFixed(1), width: width.toFixed(1), y: y(to).toFixed(1), height: (y(from) - y(to)).toFixed(1) });
    });
  });
}

function lines({ points, series, x, y }) {
  return series.flatMap(({ tone }, s) => {
    let d = "";
    let broken = true;
    const dots = [];
    points.forEach((point, i) => {
      const value = point.values[s];
      if (value === null || value === undefined) {
        broken = true;
        return;
      }
      d += `${broken ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      // A value between two gaps would be a line of no length.
      const lone = (points[i - 1]?.values[s] ?? null) === null && (points[i + 1]?.values[s] ?? null) === null;
      if (lone) dots.push(svg("circle", { class: `dot ${tone}`, cx: x(i), cy: y(value), r: 2.5 }));
      broken = false;
    });
    return [svg("path", { class: `stroke ${tone}`, d }), dots];
  });
}

// A chart that is drawn again into the same place, and remembers what is pointed at.
//
// `write` writes a value; `cell`, if given, makes a table's cell of a value, its point and its series.
export function chart({ kind, title, series, write, cell }) {
  const picture = el("div", { class: "picture" });
  const said = el("p", { class: "said", "aria-live": "off" });
  const rows = el("details", { class: "rows" }, el("summary", {}, "Table"), wide("The values"));
  const node = el("figure", { class: "chart" }, el("figcaption", {}, title), said, picture, rows);
  let picked = null;
  let points = [];
  let takeaway = "";

  const when = (at) => (points.length && points.at(-1).at - points[0].at > DAY_MS ? `${shortDay(at)} ` : "") + shortClock(at);
  const legend = () => {
    const at = picked === null ? null : points[picked];
    return [
      el("span", { class: "when" }, at ? when(at.at) : takeaway),
      series.map(({ name, tone }, s) => el("span", { class: "key" }, el("i", { class: tone }), name, at && el("b", {}, ` ${at.values[s] === null ? "–" : write(at.values[s])}`))),
    ];
  };

  function table() {
    if (!rows.open) return;
    show(rows.lastChild, el("table", {},
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "From"), series.map(({ name }) => el("th", { scope: "col", class: "n" }, name)))),
      el("tbody", {}, points.slice().reverse().map((point) => el("tr", {}, el("td", {}, when(point.at)),
        point.values.map((value, s) => el("td", { class: "n" }, value === null ? "–" : cell ? cell(value, point, s) : write(value))))))));
  }

  function draw() {
    const width = Math.max(260, picture.clientWidth || 640);
    const { sum, marks } = KINDS[kind];
    const most = ceiling(Math.max(0, ...points.map((point) => sum(point.values))));
    const inner = width - LEFT - 6;
    const step = inner / Math.max(points.length - (kind === "bars" ? 0 : 1), 1);
    const x = (i) => LEFT + (kind === "bars" ? (i + 0.5) * step : points.length > 1 ? i * step : inner / 2);
    const y = (v) => TOP + (1 - v / most) * (HEIGHT - TOP - BOTTOM);
    const ticks = Math.max(2, Math.min(7, Math.floor(width / 110)));
    const places = [...Array(ticks).keys()].map((n) => Math.round(n * (points.length - 1) / (ticks - 1)));
    const pick = (to) => {
      picked = to === null ? null : Math.max(0, Math.min(points.length - 1, to));
      draw();
    };
    show(picture, points.length > 0 && svg("svg", {
      viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", tabindex: 0, "aria-label": `${title}. ${takeaway} Arrow keys tell single values; the table below has all.`,
      onpointermove: (event) => {
        const box = event.currentTarget.getBoundingClientRect();
        pick(Math.round(((event.clientX - box.left) * width / box.width - x(0)) / step));
      },
      onpointerleave: () => pick(null),
      onkeydown: (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (by) pick((picked ?? points.length) + by);
        else if (event.key === "Escape") pick(null);
        else return;
        event.preventDefault();
      },
    },
    svg("title", {}, title), svg("desc", {}, takeaway),
    [0, 0.5, 1].map((part) => [
      svg("line", { class: "grid", x1: LEFT, x2: width - 6, y1: y(part * most), y2: y(part * most) }),
      svg("text", { class: "tick", x: LEFT - 6, y: y(part * most) + 4, "text-anchor": "end" }, write(part * most)),
    ]),
    places.map((i, n) => svg("text", { class: "tick", x: x(i), y: HEIGHT - 5, "text-anchor": n === 0 ? "start" : n === ticks - 1 ? "end" : "middle" }, when(points[i].at))),
    svg("g", {}, marks({ points, series, x, y, step })),
    picked !== null && svg("line", { class: "cross", x1: x(picked), x2: x(picked), y1: TOP, y2: HEIGHT - BOTTOM })));
    show(said, legend());
    table();
  }

  rows.addEventListener("toggle", table);
  return {
    node,
    draw(to, words) {
      [points, takeaway] = [to, words];
      if (picked !== null && picked >= points.length) picked = null;
      draw();
    },
  };
}
