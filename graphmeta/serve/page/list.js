// The recommendations: what they are, what moved, and why.

import { ask, Problem, turns } from "./api.js";
import { at, isCalm, keepFocus } from "./dom.js";
import { makeRow } from "./row.js";
import { genre, history, liked, niche } from "./state.js";
import { attempt } from "./trouble.js";
import { moves, newsWords, reason } from "./words.js";

const MOST = 10;
const N_PATHS = 5;
// Explaining costs the square of the history; a longer one would keep others waiting.
const MOST_EXPLAINED = 30;
const turn = turns();
const whyTurn = turns();
const rows = new Map();
let shown = [];
let opened = null;

// Asks for fewer items where few are left, or a filter leaves few.
async function rank({ column, nItems }, signal) {
  const filters = genre() && column ? { [column]: genre() } : {};
  const body = { history: history(), niche: niche(), filters };
  const most = Math.max(1, Math.min(MOST, nItems - history().length));
  for (const k of new Set([most, Math.min(most, 4), 1])) {
    try {
      return await ask("recommendations", { body: { ...body, k }, signal });
    } catch (error) {
      const isShort = error instanceof Problem && error.status === 422;
      if (!isShort || !(genre() || most < MOST)) throw error;
    }
  }
  return { items: [], source: "popular", n_known: liked().length, unknown_items: [] };
}

const isExplained = (source) => source !== "popular" && liked().length <= MOST_EXPLAINED;

function basis({ items, source, n_known: nKnown }) {
  if (!items.length) return "Nothing is left that fits. Choose another filter.";
  if (source === "popular") {
    const what = niche() < 1 ? "What most people like" : "What few people know";
    return `${what}, until you pick something.`;
  }
  const limit = isExplained(source) ? "" : ` Reasons are given for up to ${MOST_EXPLAINED}.`;
  return `Ranked for you from ${nKnown === 1 ? "one pick" : `${nKnown} picks`}.${limit}`;
}

function open(item) {
  opened = item === opened ? null : item;
  for (const [id, row] of rows) row.open(id === opened);
  rows.get(opened)?.element.scrollIntoView({ block: "nearest" });
}

function slide(tops) {
  if (isCalm()) return;
  for (const [id, { element }] of rows) {
    const from = tops.get(id);
    const by = from === undefined ? 0 : from - element.offsetTop;
    const timing = { duration: 320, easing: "cubic-bezier(.2, .7, .2, 1)" };
    if (from === undefined) element.animate([{ opacity: 0 }, { opacity: 1 }], timing);
    else if (by)
      element.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], timing);
  }
}

// Moves no more than it must: what is moved loses the focus.
function arrange(elements) {
  const list = at("items");
  for (const element of [...list.children]) if (!elements.includes(element)) element.remove();
  elements.forEach((element, place) => {
    if (list.children[place] !== element) list.insertBefore(element, list.children[place] ?? null);
  });
}

function render(found, cause) {
  const ids = found.items.map((item) => item.item);
  const why = isExplained(found.source);
  const moved = cause ? moves(shown, ids) : new Map();
  const tops = new Map([...rows].map(([id, row]) => [id, row.element.offsetTop]));
  const isFirst = rows.size === 0;
  for (const id of shown.filter((old) => !ids.includes(old))) rows.delete(id);
  if (!ids.includes(opened)) opened = null;
  found.items.forEach((item, place) => {
    if (!rows.has(item.item)) rows.set(item.item, makeRow(item, open));
    rows.get(item.item).put(place + 1, moved.get(item.item), why);
    if (!why) rows.get(item.item).say(reason(item, found.source, niche(), []));
  });
  keepFocus(at("items"), at("list-heading"), () => {
    arrange(ids.map((id) => rows.get(id).element));
  });
  for (const [id, row] of rows) row.open(id === opened);
  if (!isFirst) slide(tops);
  at("basis").textContent = basis(found);
  if (cause) at("news").replaceChildren(...newsWords(cause, moved, found.items[0]));
  at("items").toggleAttribute("data-stale", why);
  shown = ids;
}

async function explain(source) {
  const signal = whyTurn();
  if (!isExplained(source)) return;
  const body = {
    history: history(),
    niche: niche(),
    k: shown.length,
    include: shown,
    n_paths: N_PATHS,
  };
  const { items } = await ask("explanations", { body, signal });
  for (const item of items) {
    rows.get(item.item)?.say(reason(item, source, niche(), liked()));
    rows.get(item.item)?.explain(item);
  }
  at("items").removeAttribute("data-stale");
}

// `catalogue` holds `nItems` and the `column` to filter by; `then` is told what was ranked.
export function refreshList(catalogue, cause, then) {
  const isBusy = (busy) => at("recommended").setAttribute("aria-busy", String(busy));
  return attempt("list", async () => {
    const signal = turn();
    whyTurn();
    isBusy(true);
    try {
      const found = await rank(catalogue, signal);
      render(found, cause);
      then(found);
      attempt("why", () => explain(found.source));
    } finally {
      if (!signal.aborted) isBusy(false);
    }
  });
}
