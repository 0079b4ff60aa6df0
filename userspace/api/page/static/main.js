// The page's start: signs in, follows the server, and shows the view that the address names.
import * as balancers from "./balancers.js";
import * as connections from "./connections.js";
import {ask, byId, setClass, setText} from "./dom.js";
import * as events from "./events.js";
import * as explain from "./explain.js";
import * as fleet from "./fleet.js";
import * as packets from "./packets.js";
import {state, takeChanges, takeWhole} from "./state.js";

const views = ["balancers", "packets", "connections", "explain", "events"];
const ofProjects = ["balancers", "events"];  // what a project's member may see; the others show the node
const silence = 3500;     // milliseconds without news, after which what is shown is called old
const pollEvery = 5000;   // where there is no place for another stream
let stream = null, polling = null;

// ---- views ----

const offered = () => state.project ? ofProjects : views;
const view = () => offered().find((name) => location.hash.slice(1).split("/")[0] === name) || "balancers";

function show() {
  const id = location.hash.split("/")[1];
  for (const name of views) byId(name).hidden = name !== view();
  for (const link of document.querySelectorAll("nav a")) {
    link.hidden = !offered().includes(link.hash.slice(1));
    if (link.hash === `#${view()}`) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  if (view() === "connections") {
    connections.offerOwners(id);
    connections.look();
  }
  if (view() === "events" && id) byId("find-event").value = id;
  draw();
}

// Draws the view that is seen.
function draw(changes) {
  const problem = byId("problem");
  setText(problem, state.problem);
  problem.hidden = !state.problem;
  fleet.draw();
  balancers.drawTotals();
  if (view() === "balancers") {
    if (!changes) balancers.layOut();
    else if (byId("trouble").checked && changes.rows.size > 0) balancers.layOut();
    else drawRows(changes.rows);
    if (changes?.points) balancers.drawAllSparks();
  }
  if (view() === "packets") packets.drawPackets();
  if (view() === "events" && (!changes || changes.events)) events.drawEvents();
}

// A pool's row tells how many of its members are up.
function drawRows(rows) {
  for (const row of rows) {
    balancers.draw(row);
    if (row.kind === "member") balancers.draw(state.rows[row.parent]);
  }
}

// ---- news ----

function heardWhole(whole) {
  const before = state.project;
  takeWhole(whole);
  setText(byId("version"), state.version + (state.interfaces.length ? ` on ${state.interfaces.join(", ")}` : "") +
    (state.project ? `, project ${state.project}` : ""));
  if (state.project !== before) show();
  connections.offerOwners();
  explain.offerAddresses();
  draw();
}

function follow() {
  stream = new EventSource("data/live");
  stream.addEventListener("whole", (message) => heardWhole(JSON.parse(message.data)));
  stream.addEventListener("changes", (message) => draw(takeChanges(JSON.parse(message.data))));
  stream.addEventListener("error", () => {
    if (stream.readyState === EventSource.CLOSED) giveUpStream();
  });
}

// The stream was refused: the session has ended, or there is no place. The latter is asked for again with each poll.
async function giveUpStream() {
  stream = null;
  const {who} = await ask("session").catch(() => ({who: "?"}));
  if (!who) return location.reload();
  clearTimeout(polling);
  polling = setTimeout(async () => {
    await ask("data/snapshot").then(heardWhole, () => {});
    follow();
  }, pollEvery);
}

// Tells how old is what is shown.
function drawLink() {
  const quiet = Date.now() - state.heard, link = byId("link");
  const lost = state.heard > 0 && quiet > (stream ? silence : 2 * pollEvery);
  const well = stream ? "live" : "every 5 s";
  setText(link, state.heard === 0 ? "connecting" : lost ? `no news for ${Math.round(quiet / 1000)} s` : well);
  setClass(link, lost ? "link lost" : "link live");
  byId("main").classList.toggle("stale", lost);
  if (view() === "balancers") balancers.drawAges();
}

// ---- signing in ----

async function signIn(event) {
  event.preventDefault();
  const answer = await fetch("session", {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify({token: byId("token").value})});
  byId("token").value = "";
  if (answer.ok) return begin();
  const body = await answer.json().catch(() => ({}));
  setText(byId("refusal"), body.description || `refused: ${answer.status}`);
}

async function signOut() {
  await fetch("session", {method: "DELETE"});
  location.reload();
}

async function begin() {
  const {who, token, session} = await ask("session");
  byId("sign-in").hidden = Boolean(who);
  byId("sign-out").hidden = !session;
  if (!who) {
    if (!token) setText(byId("refusal"), "A client certificate is needed, and this browser has shown none.");
    return byId("token").focus();
  }
  byId("tabs").hidden = false;
  follow();
  show();
  setInterval(drawLink, 1000);
}

// ---- keyboard and theme ----

function turnTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || byId("tabs").hidden) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (offered()[event.key - 1]) location.hash = offered()[event.key - 1];
  else if (event.key === "t") turnTheme();
  else if (event.key === "/" && ["balancers", "events"].includes(view())) {
    event.preventDefault();
    byId(view() === "events" ? "find-event" : "find").focus();
  }
}

const theme = localStorage.getItem("theme");
if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
for (const part of [balancers, connections, events, explain, packets]) part.start();
byId("theme").addEventListener("click", turnTheme);
byId("sign-out").addEventListener("click", signOut);
document.querySelector("#sign-in form").addEventListener("submit", signIn);
addEventListener("hashchange", show);
addEventListener("keydown", onKey);
begin();
