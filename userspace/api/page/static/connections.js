// The view of connections: who has most of them, and single ones, found when asked for.
import {ask, byId, count, el, setText} from "./dom.js";
import {state, title} from "./state.js";

const names = {listener: "listener_id", pool: "pool_id", member: "member_id"};

// Offers every listener, pool and member to choose from.
export function offerOwners(chosen) {
  const select = byId("owner"), before = chosen || select.value;
  const rows = state.rows.filter((row) => names[row.kind]);
  select.replaceChildren(el("option", {value: ""}, "everything"),
    ...rows.map((row) => el("option", {value: row.id}, `${row.kind} ${title(row)}`)));
  select.value = rows.some((row) => row.id === before) ? before : "";
}

function query(limit) {
  const words = new URLSearchParams({limit});
  const client = byId("client").value.trim(), owner = state.byId?.get(byId("owner").value);
  if (client) words.set("client", client);
  if (owner) words.set(names[owner.kind], owner.id);
  return words;
}

const nameOf = (id) => id && state.byId?.has(id) ? title(state.byId.get(id)) : "";

function drawClients(answer) {
  const highest = Math.max(1, ...answer.clients.map((client) => client.connections));
  document.querySelector("#clients tbody").replaceChildren(...answer.clients.map((client) => {
    const meter = el("div", {class: "meter"});
    meter.style.width = `${client.connections / highest * 100}%`;
    return el("tr", {}, el("td", {class: "mono"}, el("a", {href: "#connections", onclick: (event) => {
      event.preventDefault();
      byId("client").value = client.client;
      look();
    }}, client.client)), el("td", {class: "n"}, count(client.connections)), el("td", {class: "n"}, count(client.opening)),
    el("td", {class: "n zero"}, count(client.closed)), el("td", {class: "share"}, meter));
  }));
}

function drawFlows(answer) {
  const order = ["established", "opening", "closing", "closed"];
  answer.flows.sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || a.idle - b.idle);
  document.querySelector("#flows tbody").replaceChildren(...answer.flows.map((flow) => el("tr", {},
    el("td", {class: "mono"}, flow.client), el("td", {class: "mono"}, flow.vip),
    el("td", {class: "mono", title: nameOf(flow.member_id)}, flow.member),
    el("td", {}, el("span", {class: `state ${flow.state === "established" ? "online" : ""}`}, flow.state)),
    el("td", {class: "n"}, `${flow.idle} s`))));
}

export async function look() {
  setText(byId("looked"), "looking …");
  try {
    const [clients, flows] = [await ask(`data/clients?${query(20)}`), await ask(`data/flows?${query(byId("most").value)}`)];
    drawClients(clients);
    drawFlows(flows);
    const some = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
    setText(byId("looked"), `${clients.more ? "of the first " : ""}${some(clients.connections, "connection")} of ` +
      `${some(clients.all_clients, "client")}${flows.more ? `; ${flows.flows.length} are listed` : ""}`);
  } catch (problem) {
    setText(byId("looked"), problem.message);
  }
}

export function start() {
  document.querySelector("#connections form").addEventListener("submit", (event) => { event.preventDefault(); look(); });
}
