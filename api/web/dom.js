// Elements, made of data and brought up to date in place.
//
// Whatever comes from a job becomes a text node or an attribute, never markup. What is on the page
// already stays where it is and only what differs is changed, so that nothing flickers and neither
// focus nor selection is lost.

const SVG = "http://www.w3.org/2000/svg";
const HANDLERS = ["onclick", "onchange", "oninput", "onsubmit", "onkeydown", "onpointermove", "onpointerleave"];

function make(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (HANDLERS.includes(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false).map((child) => child instanceof Node ? child : String(child)));
  return node;
}

export const el = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

// What may be wider than the page, and is then moved on its own, also by keys.
export const wide = (label, ...children) => el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": label }, ...children);

function same(old, now) {
  return old.nodeName === now.nodeName && (old.nodeType !== Node.ELEMENT_NODE || old.getAttribute("data-key") === now.getAttribute("data-key"));
}

function patch(old, now) {
  if (!same(old, now)) return old.replaceWith(now);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return undefined;
  }
  for (const { name } of [...old.attributes]) {
    // Opened and closed by whoever looks at it.
    if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of now.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const handler of HANDLERS) {
    if (old[handler] !== now[handler]) old[handler] = now[handler];
  }
  return bring(old, [...now.childNodes]);
}

// Makes the children of `place` like those that are wanted.
function bring(place, wanted) {
  wanted.forEach((child, i) => {
    const there = place.childNodes[i];
    if (there) patch(there, child);
    else place.append(child);
  });
  while (place.childNodes.length > wanted.length) place.lastChild.remove();
}

// Shows these children in `place`, and nothing else.
export function show(place, ...children) {
  bring(place, [...make(document.createElement("div"), {}, children).childNodes]);
}

export const put = (place, text) => {
  if (place.textContent !== text) place.textContent = text;
};
