// A picture of the strongest paths: pick -> neighbour or shared trait -> recommended item.

import { draw } from "./dom.js";
import { lines, measureIn } from "./fit.js";
import { featureWords } from "./words.js";

const MOST = { pick: 5, user: 4, feature: 3 };
const LETTERS = "ABCD";
const SIZE = 13;
const LINE = 15;
const TOP = 30;
const WIDTHS = { least: 250, narrow: 460, most: 680 };
const RTL = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u;

// The values of a field, those with the largest share first.
function largest(paths, field) {
  const sums = new Map();
  for (const path of paths) sums.set(path[field], (sums.get(path[field]) ?? 0) + path.share);
  return [...sums].sort((a, b) => b[1] - a[1]).map(([value]) => value);
}

// Keeps the paths from the strongest picks over the strongest neighbours and traits, and labels
// them. Who the neighbours are is nobody's business.
export function strongest(item) {
  const picks = largest(item.paths, "item").slice(0, MOST.pick);
  const near = item.paths.filter((path) => picks.includes(path.item));
  return ["user", "feature"].flatMap((over) => {
    const paths = near.filter((path) => path.over === over);
    const nodes = largest(paths, "node").slice(0, MOST[over]);
    const label = (node) =>
      over === "user" ? `Person ${LETTERS[nodes.indexOf(node)]}` : featureWords(node);
    return paths
      .filter(({ node }) => nodes.includes(node))
      .map((path) => ({ ...path, label: label(path.node), via: `${over} ${path.node}` }));
  });
}

function box(kind, text, { x, y, width, most }) {
  measureIn(kind === "goal" ? 600 : 400, SIZE);
  const written = lines(text, width - 12, most);
  const height = most * LINE + (most > 1 ? 10 : 17);
  const first = y - ((written.length - 1) * LINE) / 2;
  const left = x - width / 2;
  return draw(
    "g",
    { class: `node ${kind}` },
    draw("rect", { x: left, y: y - height / 2, width, height, rx: kind === "user" ? 16 : 7 }),
    ...written.map((line, i) => {
      const direction = RTL.test(line) ? "rtl" : null;
      return draw("text", { x, y: first + i * LINE, "text-anchor": "middle", direction }, line);
    }),
    draw("title", {}, text),
  );
}

// Heavier where its part of the votes is larger.
function edge(kind, from, to, part) {
  const half = (from.x + to.x) / 2;
  const d = `M${from.x} ${from.y}C${half} ${from.y} ${half} ${to.y} ${to.x} ${to.y}`;
  return draw("path", { d, class: `edge ${kind}`, "stroke-width": (1 + 4 * part).toFixed(1) });
}

// Spreads nodes around the middle of the picture's height.
function spread(nodes, height, row) {
  const gap = Math.min(1.4 * row, (height - TOP) / nodes.length);
  const start = (TOP + height - gap * (nodes.length - 1)) / 2;
  return new Map(nodes.map((node, i) => [node, start + i * gap]));
}

export function picture(item, paths, room) {
  const width = Math.max(WIDTHS.least, Math.min(room, WIDTHS.most));
  const isNarrow = width < WIDTHS.narrow;
  const row = isNarrow ? 62 : 50;
  const side = { width: width * (isNarrow ? 0.31 : 0.34) - 2, most: isNarrow ? 3 : 2 };
  const middle = { width: isNarrow ? 76 : 116, most: 1, x: width / 2 };

  const picks = largest(paths, "item");
  const kinds = ["user", "feature"].map((over) => paths.filter((path) => path.over === over));
  const nodes = kinds.flatMap((some) => largest(some, "via"));
  const height = TOP + row * Math.max(nodes.length, picks.length, 2);
  const pickY = spread(picks, height, row);
  const nodeY = spread(nodes, height, row);
  const goal = { x: width - side.width / 2 - 1, y: (TOP + height) / 2 };

  const edges = [];
  for (const some of kinds) {
    const most = Math.max(...some.map(({ share }) => share));
    const [into, from] = [middle.x - middle.width / 2, middle.x + middle.width / 2];
    for (const { over, item: pick, via, share } of some) {
      const start = { x: side.width + 1, y: pickY.get(pick) };
      edges.push(edge(over, start, { x: into, y: nodeY.get(via) }, share / most));
    }
    for (const via of largest(some, "via")) {
      const own = some.filter((path) => path.via === via);
      const mean = own.reduce((all, { share }) => all + share, 0) / (picks.length * most);
      const end = { x: width - side.width - 1, y: goal.y };
      edges.push(edge(own[0].over, { x: from, y: nodeY.get(via) }, end, mean));
    }
  }

  const boxes = [
    ...picks.map((pick) => {
      const { title } = paths.find((path) => path.item === pick);
      return box("pick", title, { ...side, x: side.width / 2 + 1, y: pickY.get(pick) });
    }),
    ...nodes.map((via) => {
      const { label, over } = paths.find((path) => path.via === via);
      return box(over, label, { ...middle, y: nodeY.get(via) });
    }),
    box("goal", item.title, { ...side, ...goal }),
  ];
  const heads = [
    ["You like", side.width / 2],
    ["linked by", middle.x],
    ["so try", goal.x],
  ].map(([text, x]) => draw("text", { x, y: 12, class: "head", "text-anchor": "middle" }, text));
  const lead =
    picks.length === 1 ? "One of your picks leads" : `${picks.length} of your picks lead`;
  const label = `${lead} to ${item.title}; the links follow in words.`;
  const size = { viewBox: `0 0 ${width} ${height}`, width, height };
  const about = { class: "graph", role: "img", "aria-label": label };
  return draw("svg", { ...size, ...about }, ...heads, ...edges, ...boxes);
}
