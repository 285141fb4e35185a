"use strict";
// Shows openapi.json. Whatever comes from it is set as text, never as markup.

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

/** A schema by its reference, as far as a reader wants to see it at once. */
function folded(title, value) {
  return element("details", null, element("summary", title), element("pre", JSON.stringify(value, null, 2)));
}

function parameters(list) {
  const rows = list.map((one) =>
    element("tr", null, element("th", one.name), element("td", one.schema.type), element("td", one.description)));
  return element("table", null, element("tbody", null, ...rows));
}

function resolve(api, schema) {
  const name = schema && schema.$ref && schema.$ref.split("/").pop();
  return name ? { [name]: api.components.schemas[name] } : schema;
}

function operation(api, path, method, it) {
  const heading = element("h2", null, element("b", method.toUpperCase()), element("code", path));
  const article = element("article", null, heading, element("p", it.summary));
  article.id = it.operationId;
  const scopes = it.security.flatMap((one) => one.token || []);
  if (scopes.length) article.append(element("p", `Scope, where tokens are asked for: ${scopes[0]}`));
  if (it.parameters.length) article.append(parameters(it.parameters));
  for (const content of Object.values(it.requestBody?.content ?? {})) {
    article.append(folded("Request", resolve(api, content.schema)));
    if (content.example) article.append(folded("Example request", content.example));
  }
  for (const [status, response] of Object.entries(it.responses)) {
    for (const [type, content] of Object.entries(response.content ?? {})) {
      article.append(folded(`${status} ${type}`, resolve(api, content.schema)));
      if (content.example) article.append(folded("Example answer", content.example));
    }
  }
  return article;
}

async function show() {
  const main = document.getElementById("operations");
  try {
    const api = await (await fetch("/openapi.json")).json();
    const articles = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, it]) => operation(api, path, method, it)));
    main.replaceChildren(...articles);
  } catch {
    main.replaceChildren(element("p", "The document could not be read: reload the page."));
  }
}

show();
