// The user's own list.

import { at, keepFocus, make } from "./dom.js";
import { canUndo, events, liked, remove, startAgain, undo } from "./state.js";

const MARKS = { unknown: "don't know", dismissed: "not for me" };

function chip({ item, title, kind }, isUnknown) {
  const mark = isUnknown ? "not in this catalogue" : MARKS[kind];
  return make(
    "li",
    { "data-item": item },
    make("span", { dir: "auto" }, title ?? item),
    mark ? make("span", { class: "facts" }, mark) : "",
    make(
      "button",
      { "data-act": "remove", "aria-label": `Remove ${title ?? item}`, click: () => remove(item) },
      make("span", { "aria-hidden": "true" }, "×"),
    ),
  );
}

// `unknown` are ids that the service does not know.
export function showPicks(unknown = []) {
  const likes = liked().toReversed();
  const others = events()
    .filter((event) => event.kind !== "interaction")
    .toReversed();
  const chips = (some) => some.map((event) => chip(event, unknown.includes(event.item)));
  at("aside").hidden = others.length === 0;
  at("aside-summary").textContent = `Set aside (${others.length})`;
  const heading = at("picks-heading");
  keepFocus(at("picks"), heading, () => {
    const empty = make("li", { class: "empty" }, "Nothing yet. What you like comes here.");
    at("picks").replaceChildren(...(likes.length ? chips(likes) : [empty]));
  });
  keepFocus(at("set-aside"), heading, () => at("set-aside").replaceChildren(...chips(others)));
  const again = at("again");
  const had = document.activeElement === again;
  again.textContent = canUndo() ? "Bring my list back" : "Start again";
  again.hidden = !canUndo() && events().length === 0;
  if (had && again.hidden) heading.focus();
}

export function listenToPicks() {
  at("again").addEventListener("click", () => (canUndo() ? undo() : startAgain()));
}
