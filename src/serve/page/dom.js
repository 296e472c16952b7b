// Elements, dialogs and messages: what every view is made of.

import { fullMoment, fullNumber, moment, shortNumber, stateText } from "/text.js";

/** An element. Properties that begin with `on` are listeners; false, null and undefined are left out. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "value") element.value = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets text and title, and touches the page only where they differ. */
export function write(element, text, title = "") {
  if (element.textContent !== text) element.textContent = text;
  if (element.title !== title) element.title = title;
}

export const state = (name) => h("span", { class: "state", "data-state": name }, h("i", { class: "mark" }), stateText(name));
export const number = (value, digits) => h("span", { class: "num", title: fullNumber(value) }, shortNumber(value, digits));
export const time = (at) => h("time", { datetime: at, title: fullMoment(at) }, moment(at));

let nextId = 1;

/** A part of a view with a heading of its own; `tools` stand at the right of the heading. */
export function section(title, { tools = [], className = "", hint = "" } = {}, ...children) {
  const id = `part-${nextId++}`;
  return h(
    "section",
    { class: `card ${className}`, "aria-labelledby": id },
    h(
      "div",
      { class: "card-head" },
      h("h2", { id }, title),
      hint && h("span", { class: "hint" }, hint),
      h("div", { class: "tools" }, tools),
    ),
    ...children,
  );
}

/** Names with their values, in full on hover; `text(value, name)` says how a value is written. */
export const chips = (pairs, text = String) =>
  h(
    "span",
    { class: "chips" },
    pairs.map(([name, value]) => h("span", { class: "chip", title: `${name} = ${value}` }, `${name} `, h("b", {}, text(value, name)))),
  );

export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs.filter(Boolean).map(([name, ...values]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...values))),
  );
}

/** A view that could not be shown: what it was to be, why not, and a way out. */
export const failed = (title, error, href, way) => [
  h("div", { class: "title" }, h("h1", {}, title)),
  h("p", { class: "banner bad", role: "alert" }, error.message),
  h("p", {}, h("a", { href }, way)),
];

/** A box to tick, with its text. */
export const tick = (text, title, work) =>
  h("label", { class: "tick", title }, h("input", { type: "checkbox", onchange: (event) => work(event.target.checked) }), text);

/** Asks back; resolves to whether it was confirmed. */
export function confirmed(question, detail, action) {
  return new Promise((resolve) => {
    const yes = h("button", { class: "danger", value: "yes" }, action);
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title", "aria-describedby": "ask-detail" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "ask-title" }, question),
        h("p", { id: "ask-detail" }, detail),
        h("div", { class: "buttons" }, h("button", { value: "no", autofocus: true }, "Keep it running"), yes),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Asks for the token of the server; resolves to it, or to null. */
export function askToken(isWrong) {
  return new Promise((resolve) => {
    const input = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true });
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "ask-title" }, "This server wants a token"),
        h(
          "p",
          {},
          isWrong ? "That token was refused. " : "",
          "It is in the file that was given to ",
          h("code", {}, "hptune serve --token-file"),
          ". It is kept until this tab is closed.",
        ),
        h("label", { for: "token" }, "Token"),
        input,
        h("div", { class: "buttons" }, h("button", { value: "yes", class: "primary" }, "Go on")),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? input.value.trim() : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Says something to screen readers. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** A message at the foot of the page that goes by itself; errors stay until they are closed. */
export function tell(text, isError = false) {
  const close = h("button", { class: "plain", "aria-label": "Close the message", onclick: () => box.remove() }, "×");
  const box = h("div", { class: `message${isError ? " error" : ""}`, role: isError ? "alert" : "status" }, h("span", {}, text), close);
  document.getElementById("messages").append(box);
  if (!isError) setTimeout(() => box.remove(), 6000);
}

/** Runs what a button does once, with the button off meanwhile, and shows its error. */
export async function act(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    tell(error.message, true);
  } finally {
    button.disabled = false;
  }
}

export function copyButton(text, what) {
  return h(
    "button",
    {
      class: "plain small",
      "aria-label": `Copy ${what}`,
      onclick: async () => {
        try {
          await navigator.clipboard.writeText(text());
          tell(`Copied ${what}.`);
        } catch {
          tell("The browser did not allow to copy.", true);
        }
      },
    },
    "Copy",
  );
}
