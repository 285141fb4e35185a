// A copy of the views, kept current by deltas: each row takes the place of the one with its key,
// and a row of nothing removes it.

const KEYS = {
  counts: (row) => JSON.stringify([row.state, row.type, row.queue, row.worker]),
  latency: (row) => JSON.stringify([row.measure, row.type, row.window]),
  throughput: (row) => JSON.stringify([row.type, row.window]),
  alerts: (row) => JSON.stringify([row.alert, Object.entries(row.labels).sort()]),
  totals: (row) => JSON.stringify([row.state, row.type]),
};

const GONE = {
  counts: (row) => row.jobs === 0,
  latency: (row) => row.samples === 0,
  throughput: (row) => row.created + row.finished === 0,
  alerts: (row) => row.state === "resolved",
  totals: (row) => row.jobs === 0,
};

export function begin(snapshot) {
  const views = { rejected: {} };
  for (const name of Object.keys(KEYS)) views[name] = new Map();
  fold(views, snapshot);
  return views;
}

export function fold(views, delta) {
  const { asOf, jobs, late, skewed, rejected } = delta;
  Object.assign(views, { asOf, jobs, late, skewed });
  // Left out where it has not changed.
  if (rejected) views.rejected = rejected;
  for (const [name, key] of Object.entries(KEYS)) {
    for (const row of delta[name] ?? []) {
      if (GONE[name](row)) views[name].delete(key(row));
      else views[name].set(key(row), row);
    }
  }
}

// Jobs by the value of one attribute, or of all of them together.
export function sums(views, attribute) {
  const found = new Map();
  for (const row of views.counts.values()) {
    found.set(row[attribute], (found.get(row[attribute]) ?? 0) + row.jobs);
  }
  return found;
}
