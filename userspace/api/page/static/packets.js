// The view of packets: what became of them and why, the busiest first.
import {byId, count, el, rate, setText} from "./dom.js";
import {state} from "./state.js";

const order = {drop: 0, answer: 1, forward: 2, pass: 3};

export function drawPackets() {
  const body = document.querySelector("#packets tbody");
  const shown = state.reasons.filter((reason) => reason.packets > 0 || byId("unseen").checked);
  shown.sort((a, b) => order[a.verdict] - order[b.verdict] || b.rate - a.rate || b.packets - a.packets);
  const nodes = shown.map((reason) => {
    if (!reason.node) {
      reason.cells = [el("td", {class: "n"}), el("td", {class: "n"})];
      reason.node = el("tr", {}, el("td", {}, el("span", {class: `state ${reason.verdict}`}, reason.verdict)),
        el("td", {class: "label mono"}, reason.label, el("div", {class: "below"}, reason.description)), ...reason.cells,
        el("td", {class: "wide"}, reason.description));
    }
    setText(reason.cells[0], rate(reason.rate));
    setText(reason.cells[1], count(reason.packets));
    reason.node.className = reason.rate === 0 ? "quiet" : "";
    return reason.node;
  });
  const same = nodes.length === body.children.length && nodes.every((node, i) => node === body.children[i]);
  if (!same) body.replaceChildren(...nodes);
}

export function start() {
  byId("unseen").addEventListener("input", drawPackets);
}
