// The page: shows what `follow` tells and what the server answers. What comes from outside becomes text, never markup.

import { Refused, call, follow, nowhere } from "./follow.js";

/** Lines of the list that are kept. */
const SHOWN = 200;

const $ = (id) => document.getElementById(id);
const connect = $("connect").elements;
const join = $("join").elements;
const send = $("send").elements;

/** Survives a reload and ends with the tab. Not in the address, which is in the history and easily shared. */
const stored = {
  get: (key) => JSON.parse(sessionStorage.getItem(key)),
  set: (key, value) => sessionStorage.setItem(key, JSON.stringify(value)),
};

let place = stored.get("place") ?? { ...nowhere };
let wish = stored.get("wish") ?? {};
/** Ends what is followed now. */
let following = new AbortController();
let renewed = false;

/** Tabs of one browser tell each other how far a queue was seen, so that one that polls it again knows where to go on. */
const tabs = new BroadcastChannel("queue-server");
tabs.onmessage = ({ data: { queue, seen } }) => {
  if (queue === place.queue) place.elsewhere = Math.max(place.elsewhere, seen);
};

// ===== what happens =====

async function run() {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  say("registering", "Connecting.");
  for await (const what of follow(place, connect.token.value, wish, signal)) {
    // Stopped meanwhile: what is shown is somebody else's to say.
    if (signal.aborted) return;
    stored.set("place", place);
    happens[what.step](what);
  }
}

const happens = {
  registered() {
    say("registered", "Registered.");
  },
  polling() {
    say("polling", renewed ? "Polling a new queue: the former is gone, events may be missed." : "Polling: waiting for events.");
    tabs.postMessage({ queue: place.queue, seen: place.seen });
  },
  event({ event }) {
    increase("event");
    const line = tell("event", make("strong", `#${event.id}`), " ", make("span", event.type, "type"), make("pre", JSON.stringify(event)));
    line.dataset.id = event.id;
  },
  duplicate() {
    increase("duplicate");
  },
  gap({ from, to }) {
    increase("gap");
    tell("gap", from === to ? `There is no #${from} here.` : `There are no #${from} to #${to} here.`);
  },
  waiting({ error, seconds }) {
    say("waiting", `${error.code === "DRAINING" ? "The server is stopping" : inWords(error)}: reconnecting`);
    countDown(seconds);
  },
  reconnected() {
    increase("reconnected");
  },
  gone({ error }) {
    renewed = true;
    tell("gap", `The queue is gone: ${inWords(error)}. A new one is registered; events may be missed.`);
    say("registering", "The queue is gone: registering a new one.");
  },
  superseded() {
    say("superseded", "Polled elsewhere: another tab or program has this queue now.");
  },
  behind() {
    const what = "Events that were not seen here were acknowledged elsewhere";
    say("behind", `${what}: say below which is the newest that was seen, or register a new queue.`);
  },
  refused({ error }) {
    say("refused", inWords(error));
  },
};

function inWords(error) {
  return error instanceof Refused ? `${error.code}: ${error.message}` : "No answer of the server";
}

// ===== what is shown =====

const RUNNING = ["registering", "registered", "polling", "waiting"];
const runs = () => RUNNING.includes(document.body.dataset.state);

function say(state, text) {
  document.body.dataset.state = state;
  clearInterval(ticking);
  $("countdown").textContent = "";
  // The same again would be read out again.
  if ($("status").textContent !== text) $("status").textContent = text;
  $("own").hidden = !place.queue && !runs();
  $("stop").hidden = !runs();
  $("resume").hidden = runs();
  $("resume").textContent = state === "superseded" ? "Poll here" : "Resume";
  $("queue").value = place.queue ?? "";
  // A button that is hidden takes the focus along, and who uses the keyboard has to begin anew.
  if (document.activeElement?.hidden) $(runs() ? "stop" : "resume").focus();
}

let ticking;
function countDown(seconds) {
  const until = performance.now() + seconds * 1000;
  const tick = () => {
    $("countdown").textContent = `in ${Math.max(1, Math.ceil((until - performance.now()) / 1000))} s`;
  };
  tick();
  ticking = setInterval(tick, 1000);
}

/** A line on top of the list. */
function tell(kind, ...parts) {
  const now = new Date();
  const time = make("time", now.toLocaleTimeString());
  time.dateTime = now.toISOString();
  const line = make("li", "", kind);
  line.append(time, " ", ...parts);
  $("events").prepend(line);
  if ($("events").childElementCount > SHOWN) $("events").lastElementChild.remove();
  return line;
}

function make(tag, textContent, className = "") {
  return Object.assign(document.createElement(tag), { textContent, className });
}

function increase(counter) {
  const count = $(`count-${counter}`);
  count.textContent = Number(count.textContent) + 1;
}

// ===== what is asked for =====

function begin(at) {
  place = at;
  renewed = false;
  stored.set("place", place);
  stored.set("wish", wish);
  run();
}

const names = (text) => text.split(",").map((name) => name.trim()).filter(Boolean);

$("connect").onsubmit = (submit) => {
  submit.preventDefault();
  const types = names(connect.types.value);
  wish = {
    idle_queue_timeout: connect.idle.valueAsNumber,
    heartbeat: connect.heartbeat.checked,
    ...(types.length && { event_types: types }),
  };
  begin({ ...nowhere });
};

$("join").onsubmit = (submit) => {
  submit.preventDefault();
  begin({ ...nowhere, queue: join.queue.value.trim(), seen: join.seen.valueAsNumber });
};

$("stop").onclick = () => {
  following.abort();
  say("stopped", "Stopped. The queue keeps its events, until it was not polled for too long.");
};

$("resume").onclick = run;

$("delete").onclick = async () => {
  const { queue } = place;
  // First: a poll would find the queue gone, and register a new one.
  following.abort();
  try {
    if (queue) await call(connect.token.value, "DELETE", `events?${new URLSearchParams({ queue_id: queue })}`);
  } catch (error) {
    return say("stopped", `Not deleted: ${inWords(error)}.`);
  }
  place = { ...nowhere };
  stored.set("place", place);
  say("idle", "Deleted.");
};

$("send").onsubmit = async (submit) => {
  submit.preventDefault();
  $("sent").textContent = "Sending.";
  $("sent").textContent = await sending(send.event.value, names(send.users.value));
};

async function sending(event, users) {
  try {
    if (typeof JSON.parse(event)?.type !== "string") return "Not sent: an event is a JSON object with a `type`, which is a text.";
  } catch (error) {
    return `Not sent, this is no JSON: ${error.message}`;
  }
  if (!users.length && !place.queue) return "Not sent: there is no queue here. Name a user, or register one.";
  const target = users.length ? { users } : { queues: [place.queue] };
  // As it was typed, for JavaScript has no long integers.
  const body = `${JSON.stringify(target).slice(0, -1)},"event":${event}}`;
  try {
    const { queued, woken } = await call(send.service.value, "POST", "send", { body });
    return `Stored in ${queued} ${queued === 1 ? "queue" : "queues"}, ${woken} of them polled now.`;
  } catch (error) {
    return `Not sent: ${inWords(error)}`;
  }
}

// ===== the beginning and the end =====

const given = new URLSearchParams(location.hash.slice(1));
history.replaceState(null, "", location.pathname);
for (const [name, input] of [["token", connect.token], ["service", send.service]]) {
  if (given.has(name)) stored.set(name, given.get(name));
  input.value = stored.get(name) ?? "";
  input.onchange = () => stored.set(name, input.value);
}
addEventListener("hashchange", () => location.reload());

// A page that the browser keeps for the way back would keep its poll, too.
addEventListener("pagehide", () => following.abort());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && runs()) run();
});

if (connect.token.value && (place.queue || given.has("token"))) run();
