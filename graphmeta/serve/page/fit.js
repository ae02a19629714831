// Fits texts into the boxes of a picture.

const pen = document.createElement("canvas").getContext("2d");
const width = (text) => pen.measureText(text).width;

export function measureIn(weight, size) {
  pen.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
}

function cut(text, room) {
  if (width(text) <= room) return text;
  const letters = [...text];
  while (letters.length && width(`${letters.join("")}…`) > room) letters.pop();
  return `${letters.join("").trimEnd()}…`;
}

// Returns at most so many lines, in the font that was last measured in.
export function lines(text, room, most) {
  const words = text.split(/\s+/);
  const found = [];
  while (words.length && found.length < most - 1) {
    let line = words.shift();
    while (words.length && width(`${line} ${words[0]}`) <= room) line += ` ${words.shift()}`;
    found.push(cut(line, room));
  }
  return words.length ? [...found, cut(words.join(" "), room)] : found;
}
