// The search box: a combobox whose first result is chosen unless another one is.

import { ask, turns } from "./api.js";
import { at, debounced, make } from "./dom.js";
import { kindOf, pick } from "./state.js";
import { attempt } from "./trouble.js";
import { facts } from "./words.js";

const WAIT = 150;
const MOST = 8;
const turn = turns();
let found = [];
let chosen = -1;

const input = () => at("search");
const options = () => [...at("results").children];

function choose(place) {
  chosen = place;
  options().forEach((option, i) => option.setAttribute("aria-selected", String(i === place)));
  const option = options()[place];
  if (option) {
    input().setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else input().removeAttribute("aria-activedescendant");
}

function close() {
  turn();
  found = [];
  at("results").hidden = true;
  at("results").replaceChildren();
  input().setAttribute("aria-expanded", "false");
  choose(-1);
}

function take(item) {
  if (kindOf(item.item) === "interaction") return;
  input().value = "";
  at("found").textContent = "";
  close();
  pick(item, "interaction");
}

function show(items) {
  found = items;
  const rows = items.map((item, place) => {
    const known = kindOf(item.item) === "interaction";
    return make(
      "li",
      {
        id: `result-${place}`,
        role: "option",
        "aria-disabled": known && "true",
        // Not click: the box would lose its focus before.
        mousedown: (event) => event.preventDefault(),
        click: () => take(item),
      },
      make("span", { dir: "auto", class: "title" }, item.title),
      make("span", { dir: "auto", class: "facts" }, known ? "in your list" : facts(item)),
    );
  });
  at("results").replaceChildren(...rows);
  at("results").hidden = rows.length === 0;
  input().setAttribute("aria-expanded", String(rows.length > 0));
  const many = rows.length === 1 ? "1 result" : `${rows.length} results`;
  at("found").textContent = rows.length
    ? `${many}; arrow keys choose, Enter takes`
    : "Nothing found; try fewer letters";
  choose(rows.length ? 0 : -1);
}

async function search() {
  const words = input().value.trim();
  if (!words || document.activeElement !== input()) {
    at("found").textContent = "";
    close();
    return;
  }
  const wanted = new URLSearchParams({ search: words.slice(0, 200), n: MOST });
  const { items } = await ask(`items?${wanted}`, { signal: turn() });
  show(items);
}

function onKey(event) {
  const last = found.length - 1;
  if (event.isComposing) return;
  if (event.key === "Escape") {
    if (found.length === 0) input().value = "";
    at("found").textContent = "";
    close();
  } else if (event.key === "ArrowDown" && last >= 0) choose(chosen >= last ? 0 : chosen + 1);
  else if (event.key === "ArrowUp" && last >= 0) choose(chosen <= 0 ? last : chosen - 1);
  else if (event.key === "Enter" && chosen >= 0) take(found[chosen]);
  else if (event.key === "ArrowDown") attempt("search", search);
  else return;
  event.preventDefault();
}

export function listenToSearch() {
  const later = debounced(WAIT, () => attempt("search", search));
  input().addEventListener("input", () => {
    turn();
    later();
  });
  input().addEventListener("keydown", onKey);
  input().addEventListener("blur", () => {
    at("found").textContent = "";
    close();
  });
}
