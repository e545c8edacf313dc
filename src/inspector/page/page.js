// The page: joins the stream, the store and the views, and listens to hands. What comes from outside becomes text, never markup.

// By query alone, and so by hand: the page works at `/x` and `/x/` alike, where a path beside this file would be two different ones.
const here = (name) => new URL(`?asset=${name}`, import.meta.url);
const [{ Chart }, { choose, chooseConnections, sort, wishes, METHOD_CHOICES }, { Grid }, { axis, connections, exchanges }, { Store, closed },
  { Story }, { ask, follow }, { CLASSES, STATES, coarse, make, number, plural, write }] = await Promise.all(
  ["chart", "choose", "grid", "rows", "store", "story", "stream", "words"].map((name) => import(here(`${name}.js`))),
);

/** How often open bars grow, and how often where people want stillness. */
const FRAME = 100;
const FRAME_STILL = 1_000;
/** How often lists are asked for that the stream does not tell. */
const ASK = 2_000;
const ASK_STORY = 1_000;
/** Lists of the JSON interface, by view. */
const ASKED = { slowest: "closed?list=slowest", failed: "closed?list=failed", connections: "connections" };
const VIEWS = ["live", "open", "closed", "slowest", "failed", "connections"];

const $ = (id) => document.getElementById(id);

const store = new Store();
/** What somebody wants to see. */
const wish = { view: "live", text: "", method: "", stage: "", states: new Set(), least: 0, own: false, window: 30_000 };
/** Each view has an order of its own. */
const sorts = { live: "open", open: "oldest", closed: "newest", slowest: "slowest", failed: "newest", connections: "oldest" };
/** What there was when it was paused. */
let frozen = null;
/** The list of a view that is asked for, and what there is to say instead. */
let asked = { view: null, rows: [], words: "" };
let link = "connecting";
/** When the stream was heard last: bars do not grow beyond what is known. */
let heard = 0;

const chart = new Chart($("chart"), $("most"));
const grid = new Grid($("list"), $("space"), tell);
const story = new Story($("story"), () => store.now(), () => grid.focus());

// ===== what is shown =====

/** The time that the view is at: it stands while paused and while nothing is heard. */
function viewed() {
  if (frozen) return frozen.now;
  return link === "live" ? store.now() : heard;
}

function rows(now) {
  if (wish.view in ASKED) return asked.view === wish.view ? asked.rows : [];
  const { open, closed } = frozen ?? { open: [...store.open.values()], closed: store.closed };
  if (wish.view === "open") return open;
  if (wish.view === "closed") return closed;
  return [...open, ...closed.filter((row) => row.end > now - wish.window)];
}

/** Chooses, sorts and shows. Called when something has changed, by the server or by hand. */
function refresh() {
  const now = viewed();
  const there = rows(now);
  const all = there.filter((row) => wish.own || !row.own);
  const isConnections = wish.view === "connections";
  const order = sorts[wish.view];
  const chosen = isConnections ? chooseConnections(all, wish, order) : sort(choose(all, wish, now), order, now);
  axis.mode = wish.view === "slowest" || wish.view === "failed" ? "own" : "clock";
  axis.window = wish.window;
  axis.longest = chosen.reduce((longest, row) => Math.max(longest, row.age), 1);
  grid.show(isConnections ? connections : exchanges, chosen, now);
  showHead(isConnections ? connections : exchanges);
  showFoot(chosen.length, all.length, there.length - all.length);
  showCounts((frozen ?? store).counted, now);
}

function draw() {
  if (!document.hidden && !frozen && link === "live") grid.draw(viewed());
}

/** Column heads, the last one the axis of the lanes. */
function showHead(kind) {
  const key = `${wish.view} ${axis.mode} ${axis.mode === "own" ? axis.longest : axis.window}`;
  const head = $("head");
  if (head.dataset.key === key) return;
  head.dataset.key = key;
  const lane = kind === exchanges ? make("span", "lane", ...ticks()) : null;
  const names = lane ? kind.columns.slice(0, -1) : kind.columns;
  const places = kind === exchanges ? ["state", "method", "path", "status", "class", "time", "bytes"] : ["state", "method", "path", "status", "time", "bytes", "sent"];
  const title = make("div", `row ${kind === exchanges ? "exchange" : "connection"}`, ...names.map((name, index) => make("span", places[index], name)));
  if (lane) title.append(lane);
  head.replaceChildren(title);
}

function ticks() {
  return [0, 1, 2, 3, 4, 5].map((part) => {
    const text = axis.mode === "own" ? coarse((axis.longest * part) / 5) : part === 5 ? "now" : `−${coarse(wish.window * (1 - part / 5))}`;
    const tick = make("span", "tick", text);
    tick.style.left = `${part * 20}%`;
    return tick;
  });
}

function showFoot(shown, all, own) {
  const what = plural(all, wish.view === "connections" ? "connection" : "exchange");
  write($("shown"), `${shown === all ? "" : `${number(shown)} of `}${what}${own ? `, and ${number(own)} of this page` : ""}`);
  $("clear").hidden = !wishes(wish);
  const empty = $("empty");
  empty.hidden = shown > 0;
  if (shown === 0) write(empty, nothing(all));
}

function nothing(all) {
  if (link === "connecting") return "Connecting.";
  if (wish.view in ASKED && asked.view !== wish.view) return "Asking.";
  if (wish.view in ASKED && asked.words) return asked.words;
  if (all > 0) return "Nothing matches the filters.";
  return {
    live: "Nothing is open, and nothing has closed within the window.", open: "Nothing is open.", closed: "Nothing has closed yet.",
    slowest: "Nothing has closed in the last minutes.", failed: "Nothing has failed in the last minutes.", connections: "No connection is open, or there is no connection layer.",
  }[wish.view];
}

function showCounts(counts, now) {
  if (!counts) return;
  for (const name of ["open", "opened", "closed", "connections", "idle", "upgraded"]) write($(`total-${name}`), number(counts[name]));
  for (const state of Object.keys(STATES)) {
    const count = $(`count-${state}`);
    write(count, number(counts.states[state]));
    count.parentElement.classList.toggle("none", counts.states[state] === 0);
  }
  if (!frozen) chart.draw(store.history, now);
  document.title = `${link === "live" ? "" : "(lost) "}${number(counts.open)} open · Inspector`;
  showDrain(counts);
  showHonest(counts);
}

/** Answers why it does not shut down. */
function showDrain(counts) {
  const waits = [
    counts.open && plural(counts.open, "open exchange"),
    counts.upgraded && plural(counts.upgraded, "upgraded connection"),
  ].filter(Boolean);
  $("draining").hidden = !counts.draining;
  // Two parts: that it drains is announced, each step on the way is not.
  write($("draining-said"), counts.draining ? "Draining: nothing new is admitted." : "");
  write($("draining-waits"), waits.length ? `It waits for ${waits.join(" and ")}.` : "Nothing is left to wait for.");
}

/** What this page does not show, if there is something. */
function showHonest(counts) {
  const missing = [
    counts.not_shown && `${plural(counts.not_shown, "open exchange")} not shown: the registry was full when they began`,
    store.notListed && `${plural(store.notListed, "open exchange")} not listed: beyond the limit of one view`,
    store.missed && `${plural(store.missed, "close")} not told one by one: more at once than a view takes`,
  ].filter(Boolean);
  $("honest").hidden = missing.length === 0;
  if (missing.length) write($("honest"), `${missing.join(". ")}.`);
}

// ===== the server =====

follow(
  (kind, message) => {
    store[kind](message);
    heard = store.now();
    link = "live";
    if (frozen) showHeld();
    else if (!document.hidden) refresh();
  },
  (name, words) => {
    link = name;
    document.body.dataset.link = name;
    write($("link"), frozen && name === "live" ? "Paused" : words);
    if (name !== "live") refresh();
  },
);

/** The lists that the stream does not tell. One at a time, and none that nobody looks at. */
let asking = false;
async function askList() {
  const { view } = wish;
  if (asking || frozen || document.hidden || !(view in ASKED)) return;
  asking = true;
  try {
    const message = await ask(ASKED[view]);
    const told = view === "connections"
      ? message.connections.map((row) => ({ ...row, told: store.now() }))
      : message.closed.map((row) => closed(row, message.now));
    asked = { view, rows: told, words: "" };
  } catch (error) {
    asked = { view, rows: [], words: error.status ? error.message : "The server cannot be reached." };
  } finally {
    asking = false;
  }
  if (wish.view !== view) askList();
  else if (!frozen) refresh();
}

setInterval(askList, ASK);
setInterval(() => {
  if (!document.hidden && !frozen && story.isChanging) story.refresh();
}, ASK_STORY);

const still = matchMedia("(prefers-reduced-motion: reduce)");
let frames = 0;
function animate() {
  clearInterval(frames);
  frames = setInterval(draw, still.matches ? FRAME_STILL : FRAME);
}
still.addEventListener("change", animate);
animate();
document.addEventListener("visibilitychange", () => document.hidden || refresh());

// ===== hands =====

function tell(item) {
  if (wish.view === "connections") {
    const open = [...store.open.values()].filter((row) => row.connection === item.id);
    story.connection(item, open, (row) => story.exchange(row));
  } else {
    story.exchange(item);
  }
}

function pause() {
  frozen = frozen ? null : store.freeze();
  document.body.dataset.paused = String(frozen !== null);
  $("pause").setAttribute("aria-pressed", String(frozen !== null));
  write($("pause"), frozen ? "Resume" : "Pause");
  if (link === "live") write($("link"), frozen ? "Paused" : "Live");
  if (!frozen) askList();
  refresh();
}

function showHeld() {
  write($("pause"), store.held ? `Resume (${number(store.held)} held back)` : "Resume");
}

function look(view) {
  wish.view = view;
  document.body.dataset.view = view;
  for (const tab of $("views").children) {
    const selected = tab.dataset.view === view;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
  }
  $("sort").value = sorts[view];
  // What means nothing here.
  $("method").disabled = $("stage").disabled = view === "connections";
  $("window").disabled = view in ASKED;
  $("list").setAttribute("aria-label", view === "connections" ? "Connections" : "Exchanges");
  askList();
  refresh();
}

function toggleState(state, button) {
  const wanted = !wish.states.delete(state);
  if (wanted) wish.states.add(state);
  button.setAttribute("aria-pressed", String(wanted));
  refresh();
}

function clear() {
  Object.assign(wish, { text: "", method: "", stage: "", least: 0 });
  wish.states.clear();
  $("search").value = "";
  for (const name of ["method", "stage", "least"]) $(name).selectedIndex = 0;
  for (const button of $("states").children) button.setAttribute("aria-pressed", "false");
  refresh();
}

for (const [state, says] of Object.entries(STATES)) {
  const swatch = make("i", "swatch");
  swatch.dataset.phase = state;
  const count = make("span", "count", "–");
  count.id = `count-${state}`;
  const button = make("button", "", swatch, make("span", "word", state), count);
  button.type = "button";
  button.title = says;
  button.dataset.state = state;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => toggleState(state, button));
  $("states").append(button);
  $("legend").append(make("div", "", make("dt", "", swatch.cloneNode(), state), make("dd", "", says)));
}
for (const [name, says] of Object.entries(CLASSES)) {
  const mark = make("i", "mark");
  mark.dataset.class = name;
  $("legend").append(make("div", "", make("dt", "", mark, name), make("dd", "", says)));
}
$("method").append(...METHOD_CHOICES.map((method) => new Option(method, method)));

$("search").addEventListener("input", ({ target }) => {
  wish.text = target.value;
  refresh();
});
$("own").addEventListener("change", ({ target }) => {
  wish.own = target.checked;
  refresh();
});
$("sort").addEventListener("change", ({ target }) => {
  sorts[wish.view] = target.value;
  refresh();
});
for (const name of ["method", "stage"]) {
  $(name).addEventListener("change", ({ target }) => {
    wish[name] = target.value;
    refresh();
  });
}
for (const name of ["least", "window"]) {
  $(name).addEventListener("change", ({ target }) => {
    wish[name] = Number(target.value);
    refresh();
  });
}
$("clear").addEventListener("click", (event) => {
  event.preventDefault();
  clear();
});
$("more").addEventListener("click", ({ currentTarget }) => {
  const expanded = $("filters").classList.toggle("expanded");
  currentTarget.setAttribute("aria-expanded", String(expanded));
});
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("pause").addEventListener("click", pause);
$("help-open").addEventListener("click", () => $("help").showModal());
$("views").addEventListener("click", ({ target }) => target.dataset.view && look(target.dataset.view));
$("views").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by) return;
  look(VIEWS[(VIEWS.indexOf(wish.view) + by + VIEWS.length) % VIEWS.length]);
  $(`view-${wish.view}`).focus();
  event.preventDefault();
  event.stopPropagation();
});

const KEYS = {
  j: () => grid.move(1),
  k: () => grid.move(-1),
  ArrowDown: () => grid.move(1),
  ArrowUp: () => grid.move(-1),
  PageDown: () => grid.page(1),
  PageUp: () => grid.page(-1),
  Home: () => grid.move(-Infinity),
  End: () => grid.move(Infinity),
  Enter: () => grid.choose(),
  "/": () => $("search").focus(),
  p: pause,
  " ": pause,
  "?": () => $("help").showModal(),
  ...Object.fromEntries(VIEWS.map((view, index) => [String(index + 1), () => look(view)])),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (event.key === "Escape") return leave();
  const { target } = event;
  // Keys belong to whoever takes text or has a meaning of its own for them.
  if (target.closest("input, select, textarea")) {
    if (target.id === "search" && (event.key === "Enter" || event.key === "ArrowDown")) grid.focus();
    return;
  }
  if (target.closest("button, a") && (event.key === " " || event.key === "Enter")) return;
  if (target.closest("#story") && /^(Arrow|Page|Home|End)/.test(event.key)) return;
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

function leave() {
  if (document.activeElement === $("search")) grid.focus();
  else story.close();
}

refresh();
