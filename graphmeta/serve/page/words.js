// Puts what the service says into words.

import { joined, make, named } from "./dom.js";

const MOST_LETTERS = 60;
// A second pick is named if it did at least so much of what the first one did.
const ALSO = 0.4;
const MOST_SHARED = 3;

function parts(value) {
  if (Array.isArray(value)) return value.map(String);
  return String(value).split("|");
}

// Short texts of an item other than its title, such as its genres.
export function traits({ title, about }) {
  return Object.values(about ?? {})
    .filter((value) => typeof value === "string" || Array.isArray(value))
    .flatMap(parts)
    .filter((text) => text && text !== title && text.length <= MOST_LETTERS);
}

// One line about an item: numbers such as the year, then its traits.
export function facts(item) {
  const numbers = Object.values(item.about ?? {}).filter((value) => typeof value === "number");
  const first = numbers.map(String).join(" · ");
  return [first, traits(item).join(", ")].filter(Boolean).join(" · ");
}

export function nicheWords(niche) {
  if (niche <= -0.5) return "well known";
  if (niche < 0) return "rather well known";
  if (niche === 0) return "balanced";
  if (niche < 1) return "a little niche";
  return niche < 1.75 ? "niche" : "very niche";
}

function shared(item, { item: id }, picks) {
  const own = new Set(traits(item));
  const pick = picks.find((event) => event.item === id);
  const both = (pick ? traits(pick) : []).filter((trait) => own.has(trait));
  if (!both.length) return [];
  return [
    make("span", { class: "shared" }, ` · in common: ${both.slice(0, MOST_SHARED).join(", ")}`),
  ];
}

// The main reason for an item, as nodes; `picks` are what the user likes.
export function reason(item, source, niche, picks) {
  if (source === "popular") {
    return [niche < 1 ? "Among the most popular" : "Little known, as you asked"];
  }
  if (!item.because) return [];
  const [first, second] = item.because.filter(({ effect }) => effect > 0);
  if (first) {
    const both = second && second.effect >= ALSO * first.effect ? [first, second] : [first];
    return [
      "Because you liked ",
      ...joined(both.map(({ title }) => named(title))),
      ...shared(item, first, picks),
    ];
  }
  const { vote = 0, content = 0, prior = 0 } = item.parts;
  if (Math.max(vote, content) <= Math.max(prior, 0)) return ["Popular with many people"];
  if (vote >= content) return ["Chosen by people whose lists are like yours"];
  return ["Has much in common with your list"];
}

export function effectWords(effect) {
  const times = Math.exp(Math.abs(effect));
  if (times < 1.05) return "hardly matters";
  if (effect < 0) return times < 1.5 ? "a little less likely" : "much less likely";
  return times < 1.15 ? "a little likelier" : `${times.toFixed(1)} times as likely`;
}

export const percent = (share) => (share < 0.01 ? "under 1%" : `${Math.round(100 * share)}%`);

// Features are named by column and value, as in "genres=Drama"; some are only numbered.
export function featureWords(node) {
  if (/^\d+$/.test(node)) return "A shared trait";
  return node.slice(node.indexOf("=") + 1);
}

// What a change did to the list: by item how many places it rose, or "new".
export function moves(before, after) {
  const found = new Map();
  after.forEach((item, place) => {
    const old = before.indexOf(item);
    if (old < 0) found.set(item, "new");
    else if (old !== place) found.set(item, old - place);
  });
  return found;
}

const CAUSES = {
  interaction: (title) => ["You like ", named(title), ". "],
  unknown: (title) => ["You don't know ", named(title), ". "],
  dismissed: (title) => [named(title), " is not for you. "],
  removed: (title) => [named(title), " is off your list. "],
  again: () => ["You started again. "],
  undone: () => ["Your list is back. "],
  tuned: () => [],
};

export function newsWords(cause, moved, first) {
  const all = [...moved.values()];
  const fresh = all.filter((move) => move === "new").length;
  const up = all.filter((move) => move > 0).length;
  const told = [];
  if (fresh) told.push(`${fresh} new`);
  if (up) told.push(`${up} moved up`);
  const what = told.length ? `${told.join(", ")}. ` : "The list stays as it is. ";
  const isLed = first && moved.has(first.item);
  const lead = isLed
    ? [make("span", { class: "more" }, "First now: ", named(first.title), ".")]
    : [];
  return [...CAUSES[cause.kind](cause.title), what, ...lead];
}
