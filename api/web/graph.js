// A graph in layers: what comes before stands above or to the left.

import { svg } from "./dom.js";

const WIDTH = 168;
const HEIGHT = 40;
const GAP_X = 56;
const GAP_Y = 18;

// The layer of each node: one more than the highest that leads to it. Ways that close a circle,
// followed in the order of the nodes, are left out.
function layers(nodes, edges) {
  const after = new Map(nodes.map(({ id }) => [id, []]));
  for (const { from, to } of edges) if (after.has(from) && after.has(to) && from !== to) after.get(from).push(to);
  const order = [];
  const open = new Set();
  const done = new Set();
  const follow = (id) => {
    open.add(id);
    after.set(id, after.get(id).filter((to) => !open.has(to)));
    for (const to of after.get(id)) if (!done.has(to)) follow(to);
    open.delete(id);
    done.add(id);
    order.unshift(id);
  };
  for (const { id } of nodes) if (!done.has(id)) follow(id);
  const found = new Map(order.map((id) => [id, 0]));
  for (const id of order) for (const to of after.get(id)) found.set(to, Math.max(found.get(to), found.get(id) + 1));
  return found;
}

// nodes: [{ id, name, note, weight 0..1 }], edges: [{ from, to, note, weight 0..1 }]
export function graph(nodes, edges, title) {
  const layer = layers(nodes, edges);
  const columns = [];
  const at = new Map();
  for (const node of nodes) (columns[layer.get(node.id)] ??= []).push(node);
  // In each column as near as may be to where they come from.
  columns.forEach((column, c) => {
    const mean = (node) => {
      const above = edges.filter((edge) => edge.to === node.id && at.has(edge.from)).map((edge) => at.get(edge.from).row);
      return above.length ? above.reduce((a, b) => a + b, 0) / above.length : 0;
    };
    const sorted = c === 0 ? column : column.map((node) => [mean(node), node]).sort(([a], [b]) => a - b).map(([, node]) => node);
    sorted.forEach((node, row) => at.set(node.id, { x: c * (WIDTH + GAP_X) + 4, y: row * (HEIGHT + GAP_Y) + 4, row }));
  });
  const width = columns.length * (WIDTH + GAP_X) - GAP_X + 8;
  const height = Math.max(1, ...columns.map((column) => column?.length ?? 0)) * (HEIGHT + GAP_Y) - GAP_Y + 8;
  const way = ({ from, to, note, weight }) => {
    const [a, b] = [at.get(from), at.get(to)];
    if (!a || !b) return null;
    const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + HEIGHT / 2, b.x, b.y + HEIGHT / 2];
    const bend = Math.max(24, Math.abs(x2 - x1) / 2);
    return svg("path", { class: x2 < x1 ? "way back" : "way", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, "stroke-width": (1 + 4 * weight).toFixed(1) }, svg("title", {}, note));
  };
  const box = (node) => {
    const { x, y } = at.get(node.id);
    const name = node.name.length > 22 ? `${node.name.slice(0, 21)}…` : node.name;
    return svg("g", { class: "operator" },
      svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 5 }),
      svg("rect", { class: "weight", x, y: y + HEIGHT - 3, width: Math.max(0, WIDTH * node.weight).toFixed(1), height: 3 }),
      svg("text", { x: x + 9, y: y + 17 }, name), svg("text", { class: "tick", x: x + 9, y: y + 32 }, node.note), svg("title", {}, `${node.name}: ${node.note}`));
  };
  return svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title }, svg("title", {}, title), edges.map(way), nodes.map(box));
}
