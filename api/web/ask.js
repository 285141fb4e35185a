// Asks the API.

import { parse } from "./json.js";

// Longer than the API gives a read.
const PATIENCE_MS = 12000;

// An answer that is an error, or none at all.
export class Trouble extends Error {
  constructor(detail, { status = 0, code = "", errors = [] } = {}) {
    super(detail);
    Object.assign(this, { status, code, errors });
  }
}

let onClosed = () => {};
// Who is told that a token is needed.
export const whenClosed = (listener) => { onClosed = listener; };

export async function ask(path, { method = "GET", body, headers = {} } = {}) {
  let response;
  let text;
  try {
    const type = body === undefined ? {} : { "content-type": "application/json" };
    response = await fetch(path, { method, body, headers: { ...type, ...headers }, cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    text = await response.text();
  } catch (error) {
    throw new Trouble(error.name === "TimeoutError" ? "the server did not answer in time" : "the server can not be reached");
  }
  let value = null;
  try {
    value = text === "" ? null : parse(text);
  } catch {
    throw new Trouble(`the answer, ${response.status}, is not JSON`, { status: response.status });
  }
  if (response.status === 401) onClosed();
  if (!response.ok) {
    const { detail = `the answer is ${response.status}`, code, errors } = value ?? {};
    throw new Trouble(detail, { status: response.status, code, errors });
  }
  return { value, date: response.headers.get("date") };
}

export const read = async (path) => (await ask(path)).value;
