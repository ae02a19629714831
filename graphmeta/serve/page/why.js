// The reasons for one recommendation: what each pick did, and the paths, drawn and in words.

import { make, named } from "./dom.js";
import { picture, strongest } from "./graph.js";
import { effectWords, percent } from "./words.js";

const MOST_PICKS = 5;

function effects({ because }) {
  const first = [...because]
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect))
    .slice(0, MOST_PICKS);
  first.sort((a, b) => b.effect - a.effect);
  const most = Math.max(...first.map(({ effect }) => Math.abs(effect)), 1e-9);
  return first.map(({ title, effect }) => {
    const bar = make("span", { class: effect < 0 ? "bar against" : "bar" });
    bar.style.setProperty("--part", Math.abs(effect) / most);
    return make(
      "li",
      {},
      make("span", { dir: "auto", class: "pick" }, title),
      make("span", { class: "track", "aria-hidden": "true" }, bar),
      make("span", { class: "effect" }, effectWords(effect)),
    );
  });
}

function inWords(paths, item) {
  return paths.map(({ title, over, label, share }) => {
    const through = over === "user" ? `${label}, who chose both` : `${label}, which both have`;
    const of = over === "user" ? "of the neighbours' votes" : "of what shared traits add";
    return make(
      "li",
      {},
      named(title),
      ` → ${through} → `,
      named(item.title),
      ` (${percent(share)} ${of})`,
    );
  });
}

export function explanation(item, width) {
  const found = [];
  if (item.because.length) {
    found.push(
      make("h4", {}, "What your picks did"),
      make("ul", { class: "plain effects", role: "list" }, ...effects(item)),
    );
  }
  const paths = strongest(item);
  if (paths.length) {
    const words = make("ul", {}, ...inWords(paths, item));
    found.push(
      make("h4", {}, "How it is linked to your list"),
      picture(item, paths, width),
      make("details", {}, make("summary", {}, "The same links in words"), words),
    );
  }
  if (!found.length) found.push(make("p", { class: "hint" }, "No single pick stands out here."));
  return found;
}
