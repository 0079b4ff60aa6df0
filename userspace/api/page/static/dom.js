// Elements and texts. Whatever comes from the server is put in as text: nothing here, or anywhere in the page, makes
// elements of strings, and the page's policy forbids it (Trusted Types).

// el("td", {class: "n"}, "text", element...): attributes, listeners (onclick) and properties of `dataset`.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined).map((child) =>
    child instanceof Node ? child : String(child)));
  return node;
}

export const byId = (id) => document.getElementById(id);

// Sets a text only where it differs, because writing makes the browser lay out again.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

const units = ["", "k", "M", "G", "T"];
function scaled(value) {
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) { value /= 1000; ++unit; }
  return [value >= 99.5 || unit === 0 && Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1), units[unit]];
}
export const count = (value) => value < 100000 ? String(value) : scaled(value).join("");
export function rate(tenths) {
  if (tenths === 0) return "0";
  return tenths < 10000 ? (tenths / 10).toFixed(tenths < 1000 ? 1 : 0) : scaled(tenths / 10).join("");
}
export function bits(bytes) {
  const [number, unit] = scaled(bytes * 8);
  return bytes === 0 ? "0" : `${number} ${unit}bit/s`;
}
export function micros(value) {
  if (value === 0) return "–";
  if (value < 1000) return `${value} µs`;
  return value < 1e6 ? `${(value / 1000).toFixed(value < 1e4 ? 1 : 0)} ms` : `${(value / 1e6).toFixed(1)} s`;
}
export function age(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400 * 2) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}
export function moment(ms) {
  const at = new Date(ms), two = (n) => String(n).padStart(2, "0");
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

// Asks the server for JSON; throws an Error with the server's own words.
export async function ask(path) {
  const answer = await fetch(path, {cache: "no-store"});
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const problem = new Error(body.faultstring || body.description || `${answer.status} ${answer.statusText}`);
  problem.status = answer.status;
  throw problem;
}
