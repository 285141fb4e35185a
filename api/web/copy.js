// A button that copies a text. Pages that did not come by HTTPS have no clipboard of their own;
// there a field is selected and copied from, as browsers have always done.

import { el, put } from "./dom.js";

const SAID_MS = 1500;

async function keep(text) {
  if (navigator.clipboard && isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const field = el("textarea", { class: "unseen", readonly: true });
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("not copied");
}

export function copy(text, label) {
  return el("button", {
    type: "button", class: "copy", title: label,
    onclick: async ({ currentTarget: button }) => {
      try {
        await keep(text());
        put(button, "Copied");
      } catch {
        put(button, "Not copied: select it by hand");
      }
      setTimeout(() => put(button, label), SAID_MS);
    },
  }, label);
}
