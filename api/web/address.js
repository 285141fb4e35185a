// Addresses: the whole state of the page is in its URL.
//
//   /                      overview; ?measure, window, rate, range, by
//   /ui/jobs?…             the list, with the parameters that the API takes
//   /ui/jobs/{id}          a job
//   /ui/alerts, letters, dataflow, add; /ui/rules, with ?span; /ui/workers, with ?presence

const listeners = [];

export function here() {
  const [, ui, view = "overview", id = null] = location.pathname.split("/");
  const params = new URLSearchParams(location.search);
  if (ui !== "ui") return { view: "overview", id: null, params };
  let read = id;
  try {
    read = id && decodeURIComponent(id);
  } catch {
    // It is shown as it stands, and found nowhere.
  }
  return { view: view === "jobs" && id ? "job" : view, id: read || null, params };
}

export function address(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

// The jobs behind a number. A value that is absent, `""`, can only be asked for in `q`.
export function jobsAt(filter) {
  const { q = "", ...rest } = filter;
  const terms = q ? [q] : [];
  for (const name of ["type", "queue", "worker"]) {
    if (rest[name] === "") {
      terms.push(`${name}:""`);
      delete rest[name];
    }
  }
  return address("/ui/jobs", { ...rest, q: terms.join(" ") });
}

export const jobAt = (id) => `/ui/jobs/${encodeURIComponent(id)}`;

export function go(href, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
  for (const listener of listeners) listener(replace);
}

// Sets parameters of the address that we are at, without a step to go back to.
export function adjust(changes) {
  const params = Object.fromEntries(new URLSearchParams(location.search));
  go(address(location.pathname, { ...params, ...changes }), { replace: true });
}

export function onMove(listener) {
  listeners.push(listener);
  addEventListener("popstate", () => listener(false));
}

// Links to ourselves are followed without loading the page again.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.target || link.origin !== location.origin) return;
  if (link.pathname !== "/" && !link.pathname.startsWith("/ui/")) return;
  event.preventDefault();
  go(link.pathname + link.search);
});
