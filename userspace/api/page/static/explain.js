// The view that explains: asks the loaded program about a packet and draws its way.
import {ask, byId, el} from "./dom.js";
import {state} from "./state.js";

const arrow = () => el("div", {class: "arrow", "aria-hidden": "true"}, "→");
const stop = (kind, name, ...lines) => el("div", {class: `stop ${kind}`}, el("h3", {}, name),
  ...lines.filter(Boolean).map((line, i) => el(i ? "p" : "b", {}, line)));

const ends = {
  drop: (found) => stop("drop", "dropped", found.reason),
  pass: () => stop("pass", "this host", "gets it unchanged"),
  answer: (found) => stop("answer", "answered", `from ${found.source || "here"}`,
    found.destination && `to ${found.destination}`),
  forward: (found) => stop("forward", found.interface ? `member through ${found.interface}` : "member",
    found.member || found.destination, found.source && `from ${found.source}`, found.destination && `to ${found.destination}`),
};

function draw(found, from, to, protocol) {
  const way = [stop("", "client", from, `first ${protocol} packet`),
    stop("program", "VIP", to, found.listener && `listener ${found.listener}`)];
  if (found.pool) way.push(stop("program", "pool", found.pool));
  way.push((ends[found.verdict] || ends.pass)(found));
  const nodes = way.flatMap((node, i) => i ? [arrow(), node] : [node]);
  byId("way").replaceChildren(...nodes, el("p", {class: "verdict"},
    el("span", {class: `state ${found.verdict === "drop" ? "error" : "online"}`}, found.verdict), " ",
    el("code", {}, found.reason), ` – ${found.description}`));
}

async function explain(event) {
  event.preventDefault();
  const [from, to, protocol] = ["from", "to", "protocol"].map((id) => byId(id).value.trim());
  byId("way").replaceChildren(el("p", {class: "dim"}, "asking the program …"));
  try {
    draw((await ask(`data/explain?${new URLSearchParams({from, to, protocol})}`)).explanation, from, to, protocol);
  } catch (problem) {
    byId("way").replaceChildren(el("p", {class: "bad"}, problem.message));
  }
}

// Offers the addresses that are balanced.
export function offerAddresses() {
  const sockets = state.rows.filter((row) => row.kind === "listener").flatMap((row) => {
    const port = row.address.replace("port ", "");
    return state.rows[row.parent].address.split(", ").map((vip) => vip.includes(":") ? `[${vip}]:${port}` : `${vip}:${port}`);
  });
  byId("vips").replaceChildren(...[...new Set(sockets)].slice(0, 500).map((one) => el("option", {value: one})));
}

export function start() {
  document.querySelector("#explain form").addEventListener("submit", explain);
}
