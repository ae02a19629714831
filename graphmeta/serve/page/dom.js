// Builds elements. Texts become text nodes: nothing that the service sends is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

export const at = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

export const make = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const draw = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

// A title reads in its own direction, and leaves that of the sentence around it alone.
export const named = (title) => make("bdi", {}, title);

export function joined(parts) {
  return parts.flatMap((part, i) => {
    if (i === 0) return [part];
    return [i === parts.length - 1 ? " and " : ", ", part];
  });
}

export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function debounced(wait, then) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => then(...given), wait);
  };
}

// Renders, and gives the focus back where rendering took it away: to the same control of the
// same row, or of the row that is now in its place, or to the heading.
export function keepFocus(root, heading, render) {
  const had = document.activeElement;
  const row = root.contains(had) ? had.closest("[data-item]") : null;
  const place = row ? [...root.children].indexOf(row) : -1;
  render();
  if (!row || (had.isConnected && document.activeElement === had)) return;
  const rows = [...root.children];
  const same = rows.find((other) => other.dataset.item === row.dataset.item);
  const next = same ?? rows[Math.min(place, rows.length - 1)];
  const control = next?.querySelector(`[data-act="${had.dataset.act}"]`);
  (control ?? heading).focus({ preventScroll: Boolean(control) });
}
