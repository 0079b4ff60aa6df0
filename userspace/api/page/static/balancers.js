// The view of load balancers: one table in which they, their listeners, pools and members are rows that fold.
import {age, bits, byId, count, el, micros, moment, rate, setClass, setText} from "./dom.js";
import {drawSpark, makeSpark} from "./spark.js";
import {at, isSuspected, isTrouble, lastChange, now, parentOf, state, title, word} from "./state.js";

const manyRows = 400;       // from here on pools begin folded
const folded = new Map();   // id -> whether; what is absent is as foldedAtFirst() says
const open = new Set();     // ids of rows that show their details
const body = () => document.querySelector("#rows tbody");

const foldedAtFirst = (row) => row.kind === "pool" && state.rows.length > manyRows;
const isFolded = (row) => row.children.length > 0 && (folded.has(row.id) ? folded.get(row.id) : foldedAtFirst(row));

// ---- which rows are shown ----

function wanted() {
  const text = byId("find").value.trim().toLowerCase(), trouble = byId("trouble").checked;
  if (!text && !trouble) return null;
  const shown = new Set();
  const fits = (row) => (!trouble || isTrouble(row)) &&
    (!text || [row.name, row.address, row.id, stateText(row)].some((part) => part && part.toLowerCase().includes(text)));
  const below = (row) => { shown.add(row); row.children.forEach(below); };
  for (const row of state.rows) {
    if (!fits(row)) continue;
    if (text) below(row); else shown.add(row);
    for (let one = row; one; one = parentOf(one)) shown.add(one);
  }
  return shown;
}

function shownRows() {
  const only = wanted(), list = [];
  const walk = (row) => {
    if (only && !only.has(row)) return;
    list.push(row);
    if (only || !isFolded(row)) row.children.forEach(walk);
  };
  state.rows.filter((row) => row.parent < 0).forEach(walk);
  return list;
}

// Puts the rows of this moment into the table; those that are there already stay.
export function layOut() {
  const focused = document.activeElement?.closest?.("#rows tr")?.dataset.id;
  const rows = shownRows(), nodes = [];
  for (const row of rows) {
    if (!row.node) makeNode(row);
    draw(row);
    nodes.push(row.node);
    if (open.has(row.id)) nodes.push(detailsOf(row));
  }
  body().replaceChildren(...nodes);
  if (focused) state.byId.get(focused)?.node?.focus();
  for (const node of nodes) if (node.dataset.id) node.tabIndex = -1;
  const first = (focused && state.byId.get(focused)?.node) || nodes[0];
  if (first) first.tabIndex = 0;
  const all = state.rows.length;
  setText(byId("shown"), rows.length === all ? `${all} rows` : `${rows.length} of ${all} rows`);
  byId("nothing").hidden = state.rows.length > 0;
}

// ---- a row ----

function makeNode(row) {
  const cell = (name, ...children) => el("td", {class: name}, ...children);
  const twist = el("button", {class: "twist", type: "button", tabindex: -1, "aria-label": "fold", onclick: (event) => {
    event.stopPropagation();
    fold(row, !isFolded(row));
  }});
  const parts = row.parts = {twist, below: el("div", {class: "below"}), badge: el("span", {class: "state"}),
    since: cell("since wide dim"), now: cell("n"), opened: cell("n"), openedSpark: makeSpark(), bytesIn: cell("n mid"),
    bytesOut: cell("n mid"), bytesSpark: makeSpark(), lost: cell("n"), syn: cell("n wide"), address: cell("address wide")};
  const kind = el("span", {class: "what"}, ["listener", "pool"].includes(row.kind) ? row.kind : "");
  const attributes = {class: `${row.kind} level${row.level}`, "data-id": row.id, tabindex: -1, onclick: () => toggle(row)};
  row.node = el("tr", attributes, cell("name", twist, el("span", {class: "title"}, title(row)), kind, parts.below),
    parts.address, cell("", parts.badge), parts.since, parts.now, parts.opened, cell("spark mid", parts.openedSpark),
    parts.bytesIn, parts.bytesOut, cell("spark wide", parts.bytesSpark), parts.lost, parts.syn);
  drawSparks(row);
}

const isUp = (member) => ["ONLINE", "NO_MONITOR"].includes(word(member)) && !isSuspected(member);

function addressOf(row) {
  const members = row.children.length;
  if (row.kind === "pool") return `${row.children.filter(isUp).length} of ${members} ${members === 1 ? "member" : "members"} up`;
  return row.kind === "listener" ? `${row.protocol} ${row.address}` : row.address;
}

function notes(row) {
  const list = [];
  if (row.kind === "pool") list.push(row.algorithm.toLowerCase().replaceAll("_", " "), row.mode);
  if (row.weight !== undefined) list.push(`weight ${row.weight}`);
  if (row.backup) list.push("backup");
  if (row.drain_until > now()) list.push(`until ${moment(row.drain_until).slice(11)}`);
  if (row.rate_limit !== undefined) list.push(`${row.rate_limit}/s each client`);
  if (row.pool !== undefined) list.push(`pool ${title(state.rows[row.pool])}, above`);
  if (row.disabled) list.push("disabled");
  return list.join(" · ");
}

export function stateText(row) {
  if (isSuspected(row)) return "SUSPECTED";
  const text = word(row).replace("_", " ");
  return text === "DRAINING" ? `DRAINING, ${count(row.numbers[at.now])} left` : text;
}

function badgeText(row) {
  if (row.provisioning === "ACTIVE") return stateText(row);
  return row.provisioning === "ERROR" ? "NOT APPLIED" : row.provisioning.replace("_", " ");
}

function stateClass(row) {
  if (row.provisioning === "ERROR") return "state error";
  if (isSuspected(row)) return "state suspected";
  return `state ${word(row).toLowerCase()}`;
}

function number(node, text, isZero, name) {
  setText(node, text);
  setClass(node, isZero ? `${name} zero` : name);
}

export function draw(row) {
  const {parts, numbers} = row;
  if (!parts) return;
  setText(parts.twist, isFolded(row) ? "▸" : "▾");
  setClass(parts.twist, row.children.length > 0 ? "twist" : "twist leaf");
  if (row.children.length > 0) row.node.setAttribute("aria-expanded", String(!isFolded(row)));
  const address = addressOf(row), note = notes(row);
  if (parts.said !== address + note) {
    parts.said = address + note;
    parts.address.replaceChildren(address, el("span", {class: "note"}, note));
    setText(parts.below, note ? `${address} · ${note}` : address);
  }
  setText(parts.badge, badgeText(row));
  setClass(parts.badge, stateClass(row));
  const down = word(row) === "ERROR";
  row.node.classList.toggle("down", down);
  drawAge(row);
  const limit = row.limit === undefined ? "" : ` / ${count(row.limit)}`;
  number(parts.now, count(numbers[at.now]) + limit, numbers[at.now] === 0, "n");
  number(parts.opened, rate(numbers[at.opened]), numbers[at.opened] === 0, "n");
  number(parts.bytesIn, bits(numbers[at.bytesIn]), numbers[at.bytesIn] === 0, "n mid");
  number(parts.bytesOut, bits(numbers[at.bytesOut]), numbers[at.bytesOut] === 0, "n mid");
  number(parts.lost, rate(numbers[at.lost]), numbers[at.lost] === 0, numbers[at.lost] ? "n bad" : "n");
  setText(parts.syn, numbers[at.half] ? `${micros(numbers[at.half])} / ${micros(numbers[at.most])}` : "");
}

function drawSparks(row) {
  if (!row.parts) return;
  drawSpark(row.parts.openedSpark, row.opened);
  drawSpark(row.parts.bytesSpark, row.bytes);
}

export function drawAllSparks() {
  state.rows.forEach(drawSparks);
}

function drawAge(row) {
  const changed = lastChange(row);
  setText(row.parts.since, changed ? age(now() - changed) : "");
}

// Ages grow by themselves.
export function drawAges() {
  for (const node of body().children) {
    const row = state.byId?.get(node.dataset.id);
    if (row?.parts) drawAge(row);
  }
}

// ---- details ----

function detailsOf(row) {
  const list = el("dl");
  const tell = (name, value) => value !== undefined && value !== "" && list.append(el("dt", {}, name), el("dd", {}, value));
  tell("id", row.id);
  tell("state", stateText(row));
  tell("provisioning", row.provisioning);
  tell("error", row.error);
  tell("last change", row.changed ? `${moment(row.changed)}: ${row.change}` : undefined);
  const drains = row.kind === "member" && word(row) === "DRAINING";
  tell("draining until", drains ? row.drain_until ? moment(row.drain_until) : "its connections have ended" : undefined);
  tell("algorithm", row.algorithm);
  tell("forwarding mode", row.mode);
  tell("health monitor", row.kind === "pool" ? row.monitor || "none" : undefined);
  tell("connection limit", row.limit);
  tell("connections so far", count(row.numbers[at.total]));
  tell("created", moment(row.created));
  const links = row.kind === "loadbalancer" ? [] : [el("a", {href: `#connections/${row.id}`}, "its connections")];
  links.push(el("a", {href: `#events/${row.id}`}, "its events"));
  return el("tr", {class: "detail"}, el("td", {colspan: 12}, list, el("div", {class: "links"}, ...links)));
}

function toggle(row) {
  if (getSelection()?.type === "Range") return;  // somebody copies
  if (!open.delete(row.id)) open.add(row.id);
  row.node.focus();
  layOut();
}

function fold(row, closed) {
  folded.set(row.id, closed);
  layOut();
}

// ---- keyboard ----

function go(from, step) {
  let node = from;
  do node = step > 0 ? node.nextElementSibling : node.previousElementSibling; while (node && !node.dataset.id);
  if (!node) return;
  from.tabIndex = -1;
  node.tabIndex = 0;
  node.focus();
}

function onKey(event) {
  const node = event.target.closest("tr[data-id]"), row = node && state.byId.get(node.dataset.id);
  if (!row || event.ctrlKey || event.altKey || event.metaKey) return;
  const keys = {ArrowDown: () => go(node, 1), j: () => go(node, 1), ArrowUp: () => go(node, -1), k: () => go(node, -1),
    ArrowRight: () => fold(row, false), Enter: () => toggle(row),
    ArrowLeft: () => row.children.length > 0 && !isFolded(row) ? fold(row, true) : parentOf(row)?.node?.focus()};
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

export function start() {
  body().addEventListener("keydown", onKey);
  byId("find").addEventListener("input", layOut);
  byId("trouble").addEventListener("input", layOut);
  byId("fold").addEventListener("click", () => {
    const pools = state.rows.filter((row) => row.kind === "pool");
    const close = pools.some((row) => !isFolded(row));
    for (const row of pools) folded.set(row.id, close);
    setText(byId("fold"), close ? "unfold all" : "fold all");
    layOut();
  });
}

// ---- the sums in the page's head ----

export function drawTotals() {
  const balancers = state.rows.filter((row) => row.parent < 0);
  const members = state.rows.filter((row) => row.kind === "member");
  const sum = (index) => balancers.reduce((total, row) => total + row.numbers[index], 0);
  const down = members.filter((row) => word(row) === "ERROR").length;
  const part = (value, name, bad) => el("span", {class: bad ? "bad" : ""}, el("b", {}, value), ` ${name}`);
  byId("totals").replaceChildren(
    part(count(balancers.length), balancers.length === 1 ? "load balancer" : "load balancers"),
    part(count(members.length), members.length === 1 ? "member" : "members"), down ? part(count(down), "down", true) : "",
    part(count(sum(at.now)), "connections"), part(rate(sum(at.opened)), "new/s"),
    part(bits(sum(at.bytesIn)), "in"), part(bits(sum(at.bytesOut)), "out"));
}
