// Where a token is needed: asked for once, and held by the browser as a cookie that no script sees.

import { ask, whenClosed } from "./ask.js";
import { el, put } from "./dom.js";
import { start } from "./live.js";

export function guardBy(dialog, again) {
  const token = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const fault = el("p", { class: "fault", role: "alert" });
  const form = el("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      try {
        await ask("/api/v1/session", { method: "POST", body: JSON.stringify({ token: token.value }) });
        token.value = "";
        dialog.close();
        start();
        again();
      } catch (error) {
        put(fault, error.message);
        token.focus();
      }
    },
  }, el("h2", {}, "A token is needed"), el("p", {}, "This server shows its jobs to holders of a token. Whoever runs it has one."),
  el("label", { for: "token" }, "Token"), token, fault, el("p", {}, el("button", { type: "submit", class: "primary" }, "Sign in")));
  whenClosed(() => {
    // A browser looks for passwords in every form that is there.
    if (!form.isConnected) dialog.append(form);
    if (!dialog.open) dialog.showModal();
  });
}
