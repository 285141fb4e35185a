// Keys, the theme, the help, and the other pages of the installation.

import { go } from "./address.js";
import { read } from "./ask.js";
import { el, put, show } from "./dom.js";

const THEMES = { system: ["◐", "as the system"], light: ["☀", "light"], dark: ["☾", "dark"] };
const VIEWS = { o: ["/", "overview"], j: ["/ui/jobs", "jobs"], a: ["/ui/alerts", "alerts"], w: ["/ui/workers", "workers"], d: ["/ui/dataflow", "dataflow"], l: ["/ui/letters", "dead letters"], n: ["/ui/add", "a new task"] };
const KEYS = [
  ["/", "filter the jobs"], ["?", "this help"], ["t", "the theme: system, light, dark"], ["p", "pause, and go on"],
  ...Object.entries(VIEWS).map(([key, [, name]]) => [`g ${key}`, `go to ${name}`]),
  ["↑ ↓", "from row to row in a table; Enter opens"], ["← →", "from value to value in a chart"], ["Esc", "close"],
];
// How long the second key of two may take.
const SECOND_MS = 1500;

const stored = () => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
};

let theme = "system";

function dress(button, to) {
  theme = THEMES[to] ? to : "system";
  // The style sheet has two of them; without a name the browser takes the system's.
  if (theme === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = theme;
  const [sign, word] = THEMES[theme];
  put(button, sign);
  button.title = `Theme: ${word} (t)`;
  button.setAttribute("aria-label", `Theme: ${word}`);
}

export function themed(button) {
  dress(button, stored());
  button.onclick = () => {
    const names = Object.keys(THEMES);
    dress(button, names[(names.indexOf(theme) + 1) % names.length]);
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // It then lasts as long as the page.
    }
  };
}

export function helped(dialog, button) {
  show(dialog, el("form", { method: "dialog" }, el("div", { class: "heading" }, el("h2", {}, "Keys"), el("button", { "aria-label": "Close" }, "×")),
    el("dl", { class: "keys-list" }, KEYS.map(([key, means]) => el("div", {}, el("dt", {}, key.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, means)))),
    el("p", { class: "fine" }, "Filters: ", el("code", {}, "state:failed,retrying type:email.* queue:\"\" age:>5m \"timed out\""), ". All must hold; values of one key are alternatives.")));
  button.onclick = () => dialog.showModal();
}

// The pages that the registry lists. An address that is not of the web is left out.
export function launched(details) {
  const list = details.querySelector("ul");
  details.addEventListener("toggle", async () => {
    if (!details.open || list.childElementCount > 0) return;
    try {
      const { baseUrl, entries } = await read("/page/registry.json");
      if (!/^https?:\/\//.test(baseUrl)) throw new Error("its address is not of the web");
      show(list, entries.map(({ name, port, path, emoji, description }) => el("li", {}, el("a", { href: `${baseUrl}:${port}${path}`, target: "_blank", rel: "noopener noreferrer" },
        el("span", { "aria-hidden": "true" }, emoji), el("span", {}, el("b", {}, name), el("small", {}, description))))));
    } catch (error) {
      show(list, el("li", {}, `The list can not be read: ${error.message}.`));
    }
  });
  document.addEventListener("click", (event) => {
    if (!details.contains(event.target) || event.target.closest("a")) details.open = false;
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    details.open = false;
    details.firstElementChild.focus();
  });
}

// From a link in a row to that in the next.
function step(event) {
  const row = event.target.closest?.("tbody tr");
  const to = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
  const link = to?.querySelector("a");
  if (!link) return;
  event.preventDefault();
  link.focus();
}

export function keys({ help, theme: button, pause }) {
  let first = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, textarea, select, dialog[open]")) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      step(event);
      return;
    }
    const second = Date.now() - first < SECOND_MS ? VIEWS[event.key] : undefined;
    first = event.key === "g" ? Date.now() : 0;
    if (second) go(second[0]);
    else if (event.key === "t") button.click();
    else if (event.key === "p") pause.click();
    else if (event.key === "?") help.click();
    else if (event.key === "/") {
      if (!document.getElementById("filter")) go("/ui/jobs");
      document.getElementById("filter").focus();
    } else return;
    event.preventDefault();
  });
}
