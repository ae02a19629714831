// What the user picked. It lives in this tab, and is sent along with every request.

const PLACE = "graphmeta.picks";
// The service reads no longer histories.
const MOST_EVENTS = 1000;
const KINDS = ["interaction", "unknown", "dismissed"];

const fresh = () => ({ events: [], niche: 0, genre: "" });
let state = fresh();
let before = null;
const listeners = [];

function isEvent(event) {
  return typeof event?.item === "string" && KINDS.includes(event.kind);
}

export function load() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PLACE)) ?? {};
    state.events = (kept.events ?? []).filter(isEvent);
    state.niche = Number.isFinite(kept.niche) ? kept.niche : 0;
    state.genre = typeof kept.genre === "string" ? kept.genre : "";
  } catch {
    state = fresh();
  }
}

function keep() {
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(state));
  } catch {
    // A browser that stores nothing still works, until the page is closed.
  }
}

function changed(cause) {
  keep();
  for (const listener of listeners) listener(cause);
}

export const onChange = (listener) => listeners.push(listener);
export const niche = () => state.niche;
export const genre = () => state.genre;
export const events = () => state.events;
export const liked = () => state.events.filter((event) => event.kind === "interaction");
export const kindOf = (item) => state.events.find((event) => event.item === item)?.kind;
export const canUndo = () => before !== null;
export const history = () =>
  state.events.slice(-MOST_EVENTS).map(({ item, kind }) => ({ item, kind }));

export function pick({ item, title, about }, kind) {
  const others = state.events.filter((event) => event.item !== item);
  before = null;
  state.events = [...others, { item, title, about, kind }];
  changed({ kind, title });
}

export function remove(item) {
  const gone = state.events.find((event) => event.item === item);
  state.events = state.events.filter((event) => event !== gone);
  changed({ kind: "removed", title: gone.title });
}

export function startAgain() {
  before = state.events;
  state.events = [];
  changed({ kind: "again" });
}

export function undo() {
  state.events = before;
  before = null;
  changed({ kind: "undone" });
}

export function tune(given) {
  Object.assign(state, given);
  changed({ kind: "tuned" });
}
