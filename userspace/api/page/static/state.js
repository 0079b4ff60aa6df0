// What the server has told: rows (load balancers, listeners, pools, members), packets by reason, events. Views read it.
//
// `whole` replaces everything, `changes` only what differs; userspace/api/page/survey.hpp says what is in them.
const points = 60;

export const state = {rows: [], reasons: [], events: [], states: [], offset: 0, problem: "", project: "", fleet: null, heard: 0};

// Where a row's numbers stand.
export const at = {state: 0, now: 1, opened: 2, bytesIn: 3, bytesOut: 4, lost: 5, half: 6, most: 7, total: 8};
const suspected = 8;

// The server's time, by which ages are counted.
export const now = () => Date.now() + state.offset;

export const word = (row) => state.states[row.numbers[at.state] & ~suspected] || "UNKNOWN";
export const isSuspected = (row) => (row.numbers[at.state] & suspected) !== 0;
export const isTrouble = (row) => isSuspected(row) || row.provisioning !== "ACTIVE" || ["ERROR", "DEGRADED"].includes(word(row));
export const title = (row) => row.name || row.id;
export const parentOf = (row) => state.rows[row.parent];

const zeros = () => new Array(points).fill(0);

// Sums up what the server tells of listeners and members only.
function sumHistory() {
  for (const row of state.rows) {
    const parent = parentOf(row);
    if (!parent || !["listener", "member"].includes(row.kind)) continue;
    for (let i = 0; i < points; ++i) {
      parent.opened[i] += row.opened[i];
      parent.bytes[i] += row.bytes[i];
    }
  }
}

export function takeWhole(whole) {
  state.offset = whole.time - Date.now();
  state.heard = Date.now();
  Object.assign(state, {states: whole.states, version: whole.version, problem: whole.problem, fleet: whole.fleet || null,
    project: whole.project || "",
    interfaces: whole.interfaces || [], reasons: whole.reasons, events: whole.events.reverse()});
  state.rows = whole.rows;
  state.rows.forEach((row, index) => {
    Object.assign(row, {index, children: [], opened: zeros(), bytes: zeros()});
    row.level = row.parent < 0 ? 0 : state.rows[row.parent].level + 1;
    if (row.parent >= 0) state.rows[row.parent].children.push(row);
  });
  for (const [index, opened, bytes] of whole.history) Object.assign(state.rows[index], {opened, bytes});
  sumHistory();
  state.byId = new Map(state.rows.map((row) => [row.id, row]));
}

// Returns what has changed: {rows: Set, points, events}.
export function takeChanges(changes) {
  state.offset = changes.time - Date.now();
  state.heard = Date.now();
  state.problem = changes.problem;
  if (changes.fleet) state.fleet = changes.fleet;
  const rows = new Set();
  for (const [index, ...numbers] of changes.rows) {
    state.rows[index].numbers = numbers;
    rows.add(state.rows[index]);
  }
  for (const [index, packets, perSecond] of changes.reasons) Object.assign(state.reasons[index], {packets, rate: perSecond});
  for (const event of changes.events) {
    state.events.unshift(event);
    const row = event.kind === "health" && state.byId.get(event.object.id);
    if (!row) continue;
    Object.assign(row, {changed: Date.parse(event.time), change: event.message});
    for (let one = row; one; one = parentOf(one)) rows.add(one);
  }
  state.events.length = Math.min(state.events.length, 2000);
  if (changes.points) addPoints(changes.points);
  return {rows, points: Boolean(changes.points), events: changes.events.length > 0};
}

function addPoints(told) {
  const add = (row, opened, bytes) => {
    row.opened[points - 1] += opened;
    row.bytes[points - 1] += bytes;
  };
  for (const row of state.rows) {
    for (const list of [row.opened, row.bytes]) { list.shift(); list.push(0); }
  }
  for (const [index, opened, bytes] of told) {
    const row = state.rows[index];
    add(row, opened, bytes);
    add(parentOf(row), opened, bytes);
  }
}

// The last change of state: a member's own, of others the last one below them.
export function lastChange(row) {
  return row.children.reduce((last, child) => Math.max(last, lastChange(child)), row.changed || 0);
}
