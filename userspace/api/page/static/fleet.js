// The fleet: a line of how this node stands to it, which unfolds to the live nodes. A node alone has none.
import {byId, el} from "./dom.js";
import {state} from "./state.js";

let drawn = null;

const many = (number, one, more) => `${number} ${number === 1 ? one : more}`;

// What is to be seen without unfolding: who is behind, and whose data plane has refused something.
function remarks({cluster, nodes}) {
  const behind = nodes.filter((node) => node.applied_generation < cluster.generation).map((node) => node.name);
  const errors = nodes.reduce((sum, node) => sum + node.errors, 0);
  return [behind.length ? `behind: ${behind.join(", ")}` : "", errors ? many(errors, "error", "errors") : ""].filter(Boolean);
}

function line(fleet) {
  const {cluster, nodes} = fleet, well = cluster.state === "FOLLOWING";
  return [el("span", {class: `state ${well ? "online" : "error"}`}, cluster.state),
    ` fleet of ${many(nodes.length, "node", "nodes")}, generation ${cluster.generation}`,
    ...(well ? remarks(fleet) : ["what is shown may be old", cluster.reason].filter(Boolean)).map((text) => el("span", {class: "remark"}, text))];
}

function rowOf(node, {cluster}) {
  const replicas = Object.hasOwn(cluster.replicas, node.name) ? cluster.replicas[node.name] : "";
  const behind = node.applied_generation < cluster.generation, notes = [];
  if (node.this_node) notes.push(el("span", {class: "what"}, "this node"));
  if (node.drained) notes.push(" ", el("span", {class: "state draining"}, "DRAINED"));
  return el("tr", {}, el("td", {}, el("span", {class: "title"}, node.name), ...notes), el("td", {}, node.version),
    el("td", {class: behind ? "n warn" : "n"}, node.applied_generation), el("td", {class: "n"}, replicas),
    el("td", {class: node.errors ? "n bad" : "n zero"}, node.errors));
}

export function draw() {
  const {fleet} = state;
  if (fleet === drawn) return;
  drawn = fleet;
  byId("fleet").hidden = !fleet;
  if (!fleet) return;
  byId("standing").replaceChildren(...line(fleet));
  document.querySelector("#fleet tbody").replaceChildren(...fleet.nodes.map((node) => rowOf(node, fleet)));
}
