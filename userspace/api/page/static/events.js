// The view of events: what happened, the newest first; older ones are asked for.
import {ask, byId, el, moment} from "./dom.js";
import {state} from "./state.js";

const open = new Set();  // numbers of events that show all

function fits(event) {
  const kind = byId("kind").value, text = byId("find-event").value.trim().toLowerCase();
  return (!kind || event.kind === kind) &&
    (!text || [event.message, event.who, event.object.name, event.object.id].some((part) =>
      part && part.toLowerCase().includes(text)));
}

function details(event) {
  const {before, after, object, peer, request_id} = event;
  return el("tr", {class: "more"}, el("td", {colspan: 4}, el("pre", {class: "mono"},
    JSON.stringify({object, peer: peer || undefined, request_id: request_id || undefined, before, after}, null, 1))));
}

export function drawEvents() {
  const nodes = [];
  for (const event of state.events) {
    if (!fits(event)) continue;
    const listeners = {onclick: () => toggle(event), onkeydown: (key) => key.key === "Enter" && toggle(event)};
    event.node ||= el("tr", {tabindex: 0, ...listeners}, el("td", {class: "time mono"}, moment(Date.parse(event.time))),
      el("td", {}, el("span", {class: `state ${event.kind}`}, event.kind)),
      el("td", {class: "who wide"}, event.who || "sluiced"), el("td", {}, event.message));
    nodes.push(event.node);
    if (open.has(event.number)) nodes.push(details(event));
  }
  document.querySelector("#events tbody").replaceChildren(...nodes);
}

function toggle(event) {
  if (!open.delete(event.number)) open.add(event.number);
  drawEvents();
  event.node.focus();
}

async function older() {
  const oldest = Math.min(...state.events.map((event) => event.number));
  const found = await ask(`data/events?limit=200&before=${oldest}`).catch(() => ({events: []}));
  const known = new Set(state.events.map((event) => event.number));
  state.events.push(...found.events.reverse().filter((event) => !known.has(event.number)));
  byId("older").disabled = found.events.length === 0;
  drawEvents();
}

export function start() {
  byId("kind").addEventListener("input", drawEvents);
  byId("find-event").addEventListener("input", drawEvents);
  byId("older").addEventListener("click", older);
}
