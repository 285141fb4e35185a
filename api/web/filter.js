// The filter bar: `q`, with suggestions from what is there, and the place of a fault.

import { el, put, show } from "./dom.js";
import { sums } from "./fold.js";
import { live } from "./live.js";
import { STATES, count, many } from "./words.js";

const KEYS = [
  ["state:", "in this state"], ["type:", "of this type; * at the end for all that begin so"],
  ["queue:", "in this queue"], ["worker:", "at this worker"], ["age:>", "created longer ago than 5m, 2h, 1d"],
  ["age:<", "created since"],
];
const AGES = ["1m", "5m", "15m", "1h", "6h", "1d"];
const MOST = 8;

const quoted = (value) => /^[^\s,"*\\]+$/.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`;

// What may stand where the caret is: what is typed of it, and what it may become.
export function suggestions(text, caret) {
  const before = text.slice(0, caret);
  // Within quotes nothing is suggested.
  if ((before.match(/(?<!\\)"/g) ?? []).length % 2 === 1) return [];
  const word = before.match(/\S*$/)[0];
  const [, key, part] = word.match(/^(\w+):(?:.*,)?(.*)$/) ?? [];
  const complete = (typed, to, means, more) => ({ from: caret - typed.length, to, means, more });
  if (key === undefined) {
    return KEYS.filter(([name]) => name.startsWith(word.toLowerCase())).map(([name, means]) => complete(word, name, means, true));
  }
  const begins = (value) => value.toLowerCase().startsWith(part.toLowerCase());
  if (key === "state") {
    const jobs = live.views ? sums(live.views, "state") : new Map();
    return STATES.filter(({ name }) => begins(name)).map(({ name, means }) => complete(part, name, `${count(jobs.get(name) ?? 0)} · ${means}`));
  }
  if (key === "age") {
    const sign = part.startsWith("<") ? "<" : ">";
    return AGES.filter((age) => age.startsWith(part.slice(1))).map((age) => complete(part, sign + age, sign === ">" ? "or longer ago" : "or less ago"));
  }
  if (!["type", "queue", "worker"].includes(key) || !live.views) return [];
  const values = [...sums(live.views, key)].filter(([value]) => begins(value));
  values.sort(([, a], [, b]) => b - a);
  return values.slice(0, MOST).map(([value, jobs]) => complete(part, quoted(value), value === "" ? `${many(jobs, "job")} without` : many(jobs, "job")));
}

// An input with a list below; `apply` is told of a new text.
export function filterBar(text, apply) {
  const input = el("input", {
    id: "filter", type: "search", role: "combobox", autocomplete: "off", spellcheck: "false", autocapitalize: "off",
    "aria-label": "Filter", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list", "aria-describedby": "filter-fault",
    placeholder: "state:failed type:email.* age:>5m \"timed out\"", value: text,
  });
  const list = el("ul", { id: "suggestions", role: "listbox", "aria-label": "Suggestions", hidden: true });
  const fault = el("p", { id: "filter-fault", class: "fault", role: "alert", hidden: true });
  const node = el("form", { class: "filter", role: "search" }, el("div", { class: "field" }, input, list), el("button", { type: "submit" }, "Filter"));
  let found = [];
  let chosen = -1;

  function close() {
    [found, chosen] = [[], -1];
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function draw() {
    list.hidden = found.length === 0;
    input.setAttribute("aria-expanded", String(found.length > 0));
    if (chosen >= 0) input.setAttribute("aria-activedescendant", `suggestion-${chosen}`);
    else input.removeAttribute("aria-activedescendant");
    show(list, found.map((item, i) => el("li", {
      id: `suggestion-${i}`, role: "option", "aria-selected": String(i === chosen), onclick: () => take(item),
    }, el("b", {}, item.to), el("span", {}, item.means))));
  }

  function suggest() {
    found = suggestions(input.value, input.selectionStart ?? input.value.length);
    chosen = -1;
    draw();
  }

  function take({ from, to, more }) {
    const caret = input.selectionStart ?? input.value.length;
    const rest = input.value.slice(caret);
    const end = more || rest.startsWith(" ") ? to : `${to} `;
    input.value = input.value.slice(0, from) + end + rest;
    input.setSelectionRange(from + end.length, from + end.length);
    input.focus();
    if (more) suggest();
    else close();
  }

  // What is pointed at must not take the focus.
  list.addEventListener("pointerdown", (event) => event.preventDefault());
  input.addEventListener("input", suggest);
  input.addEventListener("focus", suggest);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by && found.length) {
      chosen = (chosen + by + found.length + (chosen < 0 && by < 0 ? 1 : 0)) % found.length;
      draw();
    } else if (found.length && (event.key === "Tab" || event.key === "Enter") && chosen >= 0) {
      take(found[chosen]);
    } else if (event.key === "Escape" && found.length) {
      close();
    } else {
      return;
    }
    event.preventDefault();
  });
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    close();
    apply(input.value.trim());
  });
  // The cross within the field.
  input.addEventListener("search", () => { if (input.value === "") apply(""); });

  return {
    node,
    fault,
    set(text) {
      input.value = text;
      close();
    },
    // Says what is wrong, and puts the caret there.
    complain(trouble) {
      fault.hidden = trouble === null;
      input.setAttribute("aria-invalid", String(trouble !== null));
      if (trouble === null) return;
      const { position: at, detail } = trouble.errors?.find(({ parameter }) => parameter === "q") ?? {};
      put(fault, at === undefined ? trouble.message : `At character ${at + 1}: ${detail}.`);
      // The API counts characters, the field UTF-16 units.
      const units = at === undefined ? null : [...input.value].slice(0, at).join("").length;
      if (units !== null && document.activeElement === input) input.setSelectionRange(units, input.value.length);
    },
  };
}
