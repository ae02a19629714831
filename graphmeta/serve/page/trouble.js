// Says what went wrong, and tries again what failed. Nothing that the user picked depends on it.

import { hasKey, Problem, setKey } from "./api.js";
import { at, make } from "./dom.js";

const failed = new Map();

// Runs something that may fail, under a name; a later run of that name takes its place.
export async function attempt(name, run) {
  try {
    await run();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    failed.set(name, run);
    if (error.status === 401) askForKey(error);
    else show(error);
    return;
  }
  failed.delete(name);
  if (failed.size === 0) clear();
}

function tryAgain() {
  for (const [name, run] of [...failed]) attempt(name, run);
}

function clear() {
  const had = at("trouble").contains(document.activeElement);
  at("trouble").replaceChildren();
  if (had) at("list-heading").focus();
}

function show({ title, detail, wait }) {
  const had = at("trouble").contains(document.activeElement);
  const button = make("button", { class: "main-button", click: tryAgain }, "Try again");
  const about = [
    detail && `${detail.replace(/\.$/, "")}.`,
    wait && `It asks to wait ${wait} s.`,
    "Your list is safe.",
  ];
  const texts = make(
    "div",
    {},
    make("strong", {}, title),
    make("p", {}, about.filter(Boolean).join(" ")),
  );
  at("trouble").replaceChildren(texts, button);
  if (had) button.focus();
}

function askForKey() {
  const form = at("key");
  at("key-hint").textContent = hasKey()
    ? "The service did not accept the key. Ask whoever runs it for another one."
    : "Whoever runs it can give you one. It stays in this tab, and your list is safe.";
  if (!form.hidden && document.activeElement !== document.body) return;
  form.hidden = false;
  at("key-input").focus();
}

export function listenForKey() {
  at("key").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey(at("key-input").value.trim());
    at("key-input").value = "";
    at("key").hidden = true;
    at("list-heading").focus();
    tryAgain();
  });
}
