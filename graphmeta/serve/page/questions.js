// Asks about a few items at a time; what is answered makes place for the next question.

import { ask, turns } from "./api.js";
import { at, make } from "./dom.js";
import { events, history, kindOf, pick } from "./state.js";
import { attempt } from "./trouble.js";
import { facts } from "./words.js";

const AT_ONCE = 3;
const ANSWERS = [
  ["interaction", "I like it"],
  ["unknown", "Don't know"],
  ["dismissed", "Not for me"],
];
const turn = turns();
let slots = [];

// A place for questions. Its buttons stay when the question changes, and so does the focus.
function makeSlot() {
  const slot = { item: null };
  slot.title = make("h3", { dir: "auto" });
  slot.facts = make("p", { class: "facts", dir: "auto" });
  slot.buttons = ANSWERS.map(([kind, label]) => {
    const answer = () => {
      if (slot.item && !kindOf(slot.item.item)) pick(slot.item, kind);
    };
    return make(
      "button",
      { "data-act": kind, click: answer, class: kind === "interaction" ? "yes" : null },
      label,
    );
  });
  slot.row = make(
    "li",
    {},
    slot.title,
    slot.facts,
    make("div", { class: "answers" }, ...slot.buttons),
  );
  return slot;
}

function put(slot, item) {
  slot.item = item;
  slot.title.textContent = item.title;
  slot.facts.textContent = facts(item);
  slot.row.dataset.item = item.item;
  ANSWERS.forEach(([, label], i) =>
    slot.buttons[i].setAttribute("aria-label", `${label}: ${item.title}`),
  );
}

function place(items) {
  const hadFocus = at("asked").contains(document.activeElement);
  const open = slots.filter((slot) => !kindOf(slot.item.item));
  const next = items.filter((item) => {
    return !kindOf(item.item) && !open.some((slot) => slot.item.item === item.item);
  });
  const first = next[0];
  slots = slots.filter((slot) => {
    if (open.includes(slot)) return true;
    if (next.length) put(slot, next.shift());
    else slot.row.remove();
    return slot.row.isConnected;
  });
  while (slots.length < AT_ONCE && next.length) {
    const slot = makeSlot();
    put(slot, next.shift());
    slots.push(slot);
    at("asked").append(slot.row);
  }
  at("asked-news").textContent = first && events().length ? `New question: ${first.title}` : "";
  if (hadFocus && slots.length === 0) at("picks-heading").focus();
  else if (hadFocus && !at("asked").contains(document.activeElement))
    at("questions-heading").focus();
  at("questions").hidden = slots.length === 0;
}

// `nItems` is how many items there are to ask about.
export function refreshQuestions(nItems) {
  const isOpen = (slot) => !kindOf(slot.item.item);
  const left = nItems - events().length;
  if (slots.length === AT_ONCE && slots.every(isOpen)) return;
  attempt("questions", async () => {
    const n = Math.min(AT_ONCE, left);
    if (n < 1) {
      place([]);
      return;
    }
    const { items } = await ask("questions", { body: { history: history(), n }, signal: turn() });
    place(items);
  });
}
