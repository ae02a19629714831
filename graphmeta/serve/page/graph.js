// A picture of the strongest paths: pick -> neighbour or shared trait -> recommended item.

import { draw } from "./dom.js";

const MOST_PEOPLE = 4;
const MOST_TRAITS = 3;
const MOST_PICKS = 5;
const LETTERS = "ABCDEFGHIJ";
const ROW = 56;
const BOX = 42;
const TOP = 30;
const LINE = 15;
const RTL = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u;
const pen = document.createElement("canvas").getContext("2d");

function total(paths, by) {
  const sums = new Map();
  for (const path of paths) sums.set(path[by], (sums.get(path[by]) ?? 0) + path.share);
  return [...sums].sort((a, b) => b[1] - a[1]).map(([key]) => key);
}

// Keeps the paths over the strongest neighbours and traits, and gives those a name.
export function strongest(item, names) {
  const picks = total(item.paths, "item").slice(0, MOST_PICKS);
  const near = item.paths.filter((path) => picks.includes(path.item));
  const of = (kind) => near.filter((path) => path.over === kind);
  const people = total(of("user"), "node").slice(0, MOST_PEOPLE);
  const traits = total(of("feature"), "node").slice(0, MOST_TRAITS);
  const label = ({ over, node }) =>
    over === "user" ? `Person ${LETTERS[people.indexOf(node)]}` : names.get(node);
  return near
    .filter(({ over, node }) => (over === "user" ? people : traits).includes(node))
    .map((path) => ({ ...path, label: label(path), over: path.over }));
}

function fit(text, width) {
  if (pen.measureText(text).width <= width) return text;
  let letters = [...text];
  while (letters.length && pen.measureText(`${letters.join("")}…`).width > width) letters = letters.slice(0, -1);
  return `${letters.join("").trimEnd()}…`;
}

function lines(text, width) {
  const words = text.split(/\s+/);
  let first = "";
  while (words.length && pen.measureText(`${first} ${words[0]}`.trim()).width <= width) {
    first = `${first} ${words.shift()}`.trim();
  }
  if (!words.length) return [first];
  return first ? [first, fit(words.join(" "), width)] : [fit(text, width)];
}

function box(text, { x, y, width, kind, height = BOX }) {
  const written = lines(text, width - 14);
  const first = y - ((written.length - 1) * LINE) / 2;
  return draw(
    "g",
    { class: kind },
    draw("rect", { x: x - width / 2, y: y - height / 2, width, height, rx: 8 }),
    ...written.map((line, i) =>
      draw("text", { x, y: first + i * LINE, "text-anchor": "middle", direction: RTL.test(line) ? "rtl" : null }, line),
    ),
    draw("title", {}, text),
  );
}

function edge(from, to, part, kind) {
  const half = (from.x + to.x) / 2;
  const d = `M${from.x} ${from.y}C${half} ${from.y} ${half} ${to.y} ${to.x} ${to.y}`;
  return draw("path", { d, class: `edge ${kind}`, "stroke-width": (1 + 4 * part).toFixed(1) });
}

// Places a column of nodes around the middle of the picture.
function column(keys, height) {
  const gap = Math.min(ROW * 1.4, (height - TOP) / keys.length);
  const start = TOP + (height - TOP - gap * (keys.length - 1)) / 2;
  return new Map(keys.map((key, i) => [key, start + i * gap]));
}

export function picture(item, paths, room) {
  const width = Math.max(250, Math.min(room, 680));
  pen.font = "13px system-ui, sans-serif";
  const key = (path) => `${path.over} ${path.node}`;
  const keyed = paths.map((path) => ({ ...path, key: key(path) }));
  const people = total(keyed.filter(({ over }) => over === "user"), "key");
  const traits = total(keyed.filter(({ over }) => over === "feature"), "key");
  const middle = [...people, ...traits];
  const picks = total(keyed, "item");
  const height = TOP + ROW * Math.max(middle.length, picks.length, 2);
  const side = width * 0.36;
  const inner = Math.min(width * 0.2, 124);
  const pickY = column(picks, height);
  const nodeY = column(middle, height);
  const end = { x: width - side, y: TOP + (height - TOP) / 2 };
  const most = { user: 0, feature: 0 };
  for (const { over, share } of keyed) most[over] = Math.max(most[over], share);

  const edges = keyed.map((path) =>
    edge({ x: side, y: pickY.get(path.item) }, { x: width / 2 - inner / 2, y: nodeY.get(path.key) }, path.share / most[path.over], path.over),
  );
  for (const node of middle) {
    const over = node.split(" ")[0];
    const sum = keyed.filter((path) => path.key === node).reduce((all, { share }) => all + share, 0);
    const part = Math.min(1, sum / (picks.length * most[over]));
    edges.push(edge({ x: width / 2 + inner / 2, y: nodeY.get(node) }, end, part, over));
  }
  const boxes = [
    ...picks.map((pick) => {
      const { title } = keyed.find((path) => path.item === pick);
      return box(title, { x: side / 2, y: pickY.get(pick), width: side - 2, kind: "node pick" });
    }),
    ...middle.map((node) => {
      const { label, over } = keyed.find((path) => path.key === node);
      return box(label, { x: width / 2, y: nodeY.get(node), width: inner, kind: `node ${over}`, height: 34 });
    }),
    box(item.title, { x: width - side / 2, y: end.y, width: side - 2, kind: "node goal" }),
  ];
  const heads = [["You like", side / 2], ["linked by", width / 2], ["so try", width - side / 2]];
  const title = `${picks.length} of your picks lead to ${item.title}; the links follow in words.`;
  return draw(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, class: "graph", role: "img", "aria-label": title },
    ...heads.map(([text, x]) => draw("text", { x, y: 12, class: "head", "text-anchor": "middle" }, text)),
    ...edges,
    ...boxes,
  );
}
