// A form that submits a job, and then shows it live.

import { go, jobAt } from "./address.js";
import { ask } from "./ask.js";
import { el, put, show } from "./dom.js";
import { sums } from "./fold.js";
import { live } from "./live.js";

const field = (name, label, input, hint) => el("div", { class: "field" }, el("label", { for: name }, label), input, hint && el("p", { class: "fine", id: `${name}-hint` }, hint), el("p", { class: "fault", id: `${name}-fault`, role: "alert" }));

export function add(place) {
  const known = (attribute) => live.views ? [...sums(live.views, attribute).keys()].filter((value) => value !== "").sort() : [];
  const type = el("input", { id: "type", required: true, list: "types", autocomplete: "off", placeholder: "email.send", "aria-describedby": "type-hint type-fault" });
  const queue = el("input", { id: "queue", list: "queues", autocomplete: "off", "aria-describedby": "queue-hint queue-fault" });
  const delay = el("input", { id: "delay", type: "number", min: 0, max: 600000, step: 1, inputmode: "numeric" });
  const fail = el("input", { id: "fail", type: "checkbox" });
  const hang = el("input", { id: "hang", type: "checkbox" });
  const payload = el("textarea", { id: "payload", rows: 6, spellcheck: "false", placeholder: "{\"to\": \"ada@example.org\"}", "aria-describedby": "payload-hint payload-fault" });
  const send = el("button", { type: "submit", class: "primary" }, "Add the task");
  const trouble = el("p", { class: "notice", role: "alert", hidden: true });
  // The same for every try to send what is in the form, so that it becomes one job.
  let key = crypto.randomUUID?.() ?? String(Math.random());

  const faultOf = (name, text) => {
    const place = form.querySelector(`#${name}-fault`);
    put(place, text);
    form.querySelector(`#${name}`).setAttribute("aria-invalid", String(text !== ""));
  };

  // The payload as it is to be sent: text, so that numbers keep their digits.
  function body() {
    const text = payload.value.trim();
    let parsed = {};
    try {
      parsed = text === "" ? {} : JSON.parse(text);
      if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) throw new Error("it must be an object: {…}");
    } catch (error) {
      faultOf("payload", `Not accepted: ${error.message}`);
      payload.focus();
      return null;
    }
    const simulate = { ...(delay.value && { delayMs: Number(delay.value) }), ...(fail.checked && { fail: true }), ...(hang.checked && { hang: true }) };
    const parts = [`"type":${JSON.stringify(type.value.trim())}`];
    if (queue.value.trim()) parts.push(`"queue":${JSON.stringify(queue.value.trim())}`);
    const simulated = Object.keys(simulate).length > 0 && !("simulate" in parsed);
    if (text || simulated) {
      const inner = text.replace(/^\{|\}$/g, "").trim();
      parts.push(`"payload":{${[inner, simulated && `"simulate":${JSON.stringify(simulate)}`].filter(Boolean).join(",")}}`);
    }
    return `{${parts.join(",")}}`;
  }

  async function submit(event) {
    event.preventDefault();
    ["type", "queue", "payload"].forEach((name) => faultOf(name, ""));
    trouble.hidden = true;
    const text = body();
    if (text === null) return;
    send.disabled = true;
    put(send, "Adding …");
    try {
      const { value } = await ask("/jobs", { method: "POST", body: text, headers: { "idempotency-key": key } });
      go(jobAt(value.jobId));
    } catch (error) {
      for (const { pointer, detail } of error.errors ?? []) {
        const name = pointer.split("/")[1];
        if (["type", "queue", "payload"].includes(name)) faultOf(name, detail);
      }
      trouble.hidden = false;
      put(trouble, `Not added: ${error.message}.`);
      // What was refused may be corrected, and is then another one.
      if (error.status >= 400 && error.status < 500) key = crypto.randomUUID?.() ?? String(Math.random());
    } finally {
      send.disabled = false;
      put(send, "Add the task");
    }
  }

  const options = (id, values) => el("datalist", { id }, values.map((value) => el("option", { value })));
  const form = el("form", { class: "card add", onsubmit: submit },
    field("type", "Type", type, "What kind of job it is. Types that are known are suggested."), options("types", known("type")),
    field("queue", "Queue (optional)", queue, "Without one it is in none."), options("queues", known("queue")),
    field("payload", "Payload (optional)", payload, "A JSON object, which is given to the worker as it is."),
    el("fieldset", {}, el("legend", {}, "Simulated by the built-in worker"),
      el("label", {}, "takes ", delay, " ms"), el("label", {}, fail, " fails"), el("label", {}, hang, " hangs"),
      el("p", { class: "fine" }, "Left alone, it takes 50 to 500 ms and succeeds. Workers of your own need not look at this.")),
    trouble, el("p", {}, send));
  show(place, el("h1", {}, "Add a task"), form);
  type.focus();
  return { end() {} };
}
