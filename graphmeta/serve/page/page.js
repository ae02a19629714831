// Puts the page together: a change of what is picked ranks and asks anew.

import { ask } from "./api.js";
import { at, debounced, make } from "./dom.js";
import { refreshList } from "./list.js";
import { listenToPicks, showPicks } from "./picks.js";
import { refreshQuestions } from "./questions.js";
import { listenToSearch } from "./search.js";
import { genre, load, niche, onChange, tune } from "./state.js";
import { attempt, listenForKey } from "./trouble.js";
import { nicheWords } from "./words.js";

const FILTERS = ["genres", "genre", "categories", "category"];
const WAIT = 200;
const catalogue = { nItems: Infinity, column: null };
const choices = new Set();

// The service does not list a column's values: those of the items seen are offered.
function offer(items) {
  if (!catalogue.column) return;
  const before = choices.size;
  for (const { about } of items) {
    const value = about[catalogue.column] ?? [];
    for (const choice of Array.isArray(value) ? value : String(value).split("|"))
      choices.add(String(choice));
  }
  if (genre()) choices.add(genre());
  at("genre-field").hidden = choices.size < 2;
  if (choices.size === before) return;
  const sorted = [...choices].sort((a, b) => a.localeCompare(b));
  const options = sorted.map((choice) => make("option", { value: choice }, choice));
  at("genre").replaceChildren(make("option", { value: "" }, "All"), ...options);
  at("genre").value = genre();
}

async function readCatalogue() {
  const { columns, n_items: nItems } = await ask("catalogue");
  catalogue.nItems = nItems;
  catalogue.column = FILTERS.find((name) => name in columns) ?? null;
  if (!catalogue.column) return;
  at("genre-label").textContent = catalogue.column.replace(/^./, (letter) => letter.toUpperCase());
  attempt("choices", async () => offer((await ask("items?n=100")).items));
}

function refresh(cause) {
  refreshList(catalogue, cause, ({ items, unknown_items: unknown }) => {
    offer(items);
    showPicks(unknown);
  });
  refreshQuestions(catalogue.nItems);
}

function showNiche() {
  const words = nicheWords(Number(at("niche").value));
  at("niche").setAttribute("aria-valuetext", words);
  at("niche-value").textContent = words;
}

function listenToTuning() {
  const later = debounced(WAIT, () => tune({ niche: Number(at("niche").value) }));
  at("niche").addEventListener("input", () => {
    showNiche();
    later();
  });
  at("genre").addEventListener("change", () => tune({ genre: at("genre").value }));
}

load();
at("niche").value = niche();
showNiche();
showPicks();
listenForKey();
listenToPicks();
listenToSearch();
listenToTuning();
onChange((cause) => {
  showPicks();
  refresh(cause);
});
await attempt("catalogue", readCatalogue);
refresh(null);
