// What things are called and how numbers are written, and the one way in which elements are made.

/** What an exchange is in while it is open, in the order in which an exchange passes through. */
export const STATES = {
  reading: "waits for the client to send the request's body",
  unread: "the request's body is there, the handler does not read it",
  handler: "the handler works",
  parked: "a long poll, parked until there is something to say",
  producer: "the response waits for its producer",
  client: "the response waits for the client to read",
  flushing: "complete, not yet handed to the operating system",
  unknown: "not known: the server's own layer is not at the connection",
};

/** The class of a verdict, in a word of its own. */
export const CLASSES = {
  success: "it ran to its end, and the status is no server error",
  failure: "it failed on this side",
  cancelled: "somebody lost interest",
};

const REASONS = {
  complete: "The response ran to its end",
  upgraded: "The connection was upgraded",
  disconnected: "The client closed the connection",
  reset: "The client reset the connection",
  stream_reset: "The client reset the stream",
  transport_failed: "The connection failed",
  request_failed: "The request's body failed",
  service_failed: "The service returned an error instead of a response",
  response_failed: "The response's body returned an error",
  length_mismatch: "A body was not as long as declared",
  panicked: "A panic passed through",
  cancelled: "Dropped from outside while the connection lived",
  shutdown: "The server dropped the connection",
  unknown: "Dropped, and nothing tells why",
};

const STAGES = {
  request: "while the request was read",
  handler: "in the handler",
  response: "while the response was sent",
  flush: "after the response was complete, before it was handed over",
  done: null,
};

const INITIATORS = { peer: "by the client", local: "by this server", unknown: "by whom is not known" };

const EVIDENCE = {
  io: "the transport said so",
  frame: "a frame of a body said so",
  return: "a returned value said so",
  unwind: "a panic was seen to pass",
  drop: "inferred from a drop",
};

const CAUSES = {
  C: "client gone", S: "service error or panic", B: "response body error", b: "request body error",
  T: "timeout", L: "local shutdown", "-": "normal",
};
const PHASES = {
  R: "reading the request", H: "before the response head", D: "sending the response",
  L: "handed over, not yet flushed", "-": "over",
};

/** A verdict as a sentence: what, where, who, and how it is known. */
export function verdict(closed) {
  const what = [REASONS[closed.reason] ?? closed.reason, STAGES[closed.stage] ?? ""].filter(Boolean).join(" ");
  return `${what}. ${capital(INITIATORS[closed.initiator] ?? closed.initiator)}; ${EVIDENCE[closed.evidence] ?? closed.evidence}.`;
}

export function termination(code) {
  return `${CAUSES[code[0]] ?? "?"}; ${PHASES[code[1]] ?? "?"}`;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function number(value) {
  return grouped.format(value);
}

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${pad(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} m`;
  return `${Math.floor(minutes / 1440)} d ${pad(Math.floor(minutes / 60) % 24)} h`;
}

/** As short as it can be said, for an axis. */
export function coarse(ms) {
  if (ms === 0) return "0";
  const [value, unit] = ms < 1000 ? [ms, "ms"] : ms < 60_000 ? [ms / 1000, "s"] : [ms / 60_000, "min"];
  return `${value.toFixed(value < 10 ? 1 : 0).replace(".0", "")} ${unit}`;
}

function pad(value) {
  return String(value).padStart(2, "0");
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  let unit = -1;
  let value = count;
  for (; value >= 999.5 && unit < 4; unit += 1) value /= 1000;
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${["kB", "MB", "GB", "TB", "PB"][unit]}`;
}

/** The time of day here, with milliseconds: what other logs are searched by. */
export function clock(unix) {
  const date = new Date(unix);
  return `${date.toLocaleTimeString("en-GB")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** An element with text or children. Strings become text, never markup. */
export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** What a stranger wrote: its direction stays its own, and all of it is in the title if it is cut. */
export function foreign(text, className = "") {
  const element = make("bdi", className, text);
  element.dir = "ltr";
  element.title = text;
  return element;
}

/** Writes only what differs: text that stays makes no work for layout, and none for a screen reader. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
