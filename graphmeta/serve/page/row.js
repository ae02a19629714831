// One recommendation. Its element stays while it is in the list.

import { make } from "./dom.js";
import { kindOf, pick } from "./state.js";
import { explanation } from "./why.js";
import { facts } from "./words.js";

let count = 0;

function badge(move) {
  if (move === "new") return [make("span", { class: "badge new" }, "new")];
  if (!move) return [];
  const by = Math.abs(move);
  const way = move > 0 ? "up" : "down";
  const sign = make("span", { "aria-hidden": "true" }, `${move > 0 ? "▲" : "▼"} ${by}`);
  const words = make("span", { class: "sr" }, `${way} ${by} ${by === 1 ? "place" : "places"}`);
  return [make("span", { class: `badge ${way}` }, sign, words)];
}

export function makeRow(item, open) {
  count += 1;
  const id = `why-${count}`;
  const answer = (kind) => () => {
    if (!kindOf(item.item) || kindOf(item.item) === "unknown") pick(item, kind);
  };
  const button = (act, label, click, more = {}) =>
    make(
      "button",
      { "data-act": act, "aria-label": `${label}: ${item.title}`, click, ...more },
      label,
    );

  const rank = make("span", { class: "rank", "aria-hidden": "true" });
  const badges = make("span", { class: "badges" });
  const because = make("p", { class: "reason" });
  const panel = make("div", { class: "panel", id, hidden: true });
  const why = button("why", "Why?", () => open(item.item), {
    "aria-expanded": "false",
    "aria-controls": id,
  });
  const element = make(
    "li",
    { class: "row", "data-item": item.item },
    rank,
    make(
      "div",
      { class: "about" },
      make("h3", {}, make("span", { dir: "auto", class: "title" }, item.title), badges),
      make("p", { class: "facts", dir: "auto" }, facts(item)),
      because,
    ),
    make(
      "div",
      { class: "acts" },
      button("interaction", "I like it", answer("interaction"), { class: "yes" }),
      button("dismissed", "Not for me", answer("dismissed")),
      why,
    ),
    panel,
  );
  let explained = null;
  let isOpen = false;

  function showPanel() {
    why.setAttribute("aria-expanded", String(isOpen));
    element.classList.toggle("open", isOpen);
    panel.hidden = !isOpen;
    if (isOpen && explained) panel.replaceChildren(...explanation(explained, panel.clientWidth));
  }

  new ResizeObserver(() => {
    if (isOpen && explained && panel.clientWidth !== Number(panel.dataset.width)) {
      panel.dataset.width = panel.clientWidth;
      showPanel();
    }
  }).observe(panel);

  return {
    element,
    put(place, move, isExplained) {
      rank.textContent = place;
      badges.replaceChildren(...badge(move));
      why.hidden = !isExplained;
      if (isExplained) return;
      explained = null;
      isOpen = false;
      showPanel();
    },
    say(nodes) {
      because.replaceChildren(...nodes);
    },
    open(wanted) {
      if (wanted !== isOpen) {
        isOpen = wanted;
        showPanel();
      }
    },
    explain(item) {
      explained = item;
      showPanel();
    },
  };
}
