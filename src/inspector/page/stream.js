// The stream of events, and what is said when there is none.

/** After so long without a word the server is asked whether it is there: it says nothing where nothing changes. */
const SILENCE = 5_000;
const LOST = "Connection lost, retrying";
const RETRY_FIRST = 500;
const RETRY_MOST = 10_000;

/** Where the inspector is mounted. Not by `location.href`, which may have a token in it. */
export const mount = location.pathname.replace(/\/$/, "");
const base = `${location.origin}${mount}/api/`;

/** What a status means to somebody who looks at this page, where the server does not say so itself, as a proxy before it. */
const REFUSALS = {
  401: "Not allowed: a token is needed. Open this page as http://user:TOKEN@host/, or send the token as a password when asked.",
  403: "Not allowed from here: by default only the machine itself may look.",
  404: "There is no inspector at this address any more.",
  429: "Too many requests: the server asks to wait.",
  503: "The server has no room for one more viewer. Close another tab of this page.",
};

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Something of the JSON interface; a `Refused` tells in words why not. */
export async function ask(path, signal) {
  const response = await fetch(base + path, { signal, cache: "no-store", headers: { accept: "application/json" } });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

async function refusal(response) {
  const { error } = await response.json().catch(() => ({}));
  return new Refused(response.status, error ?? REFUSALS[response.status] ?? `The server answers ${response.status}.`);
}

/**
 * Follows the events for ever. `told(kind, message)` hears each message, `state(name, words)` when the stream is `live` and when
 * it is `lost`. The kinds are those of the stream, and `counts` where it has nothing to say.
 */
export function follow(told, state) {
  const url = `${base}events?interval=500ms`;
  let source = null;
  let silence = 0;
  let retry = RETRY_FIRST;
  let broken = false;
  /** The streams of a server that drains end after a word: it is there all the same. */
  let draining = false;

  function connect() {
    broken = false;
    source = new EventSource(url);
    for (const kind of ["snapshot", "tick"]) {
      source.addEventListener(kind, ({ data }) => hear(kind, JSON.parse(data)));
    }
    source.onerror = lost;
    listen();
  }

  function hear(kind, message) {
    draining = message.counts.draining;
    retry = RETRY_FIRST;
    told(kind, message);
    state("live", "Live");
    listen();
  }

  function listen() {
    clearTimeout(silence);
    silence = setTimeout(wonder, SILENCE);
  }

  async function wonder() {
    const asked = source;
    try {
      const { now, ...counts } = await ask("counts", AbortSignal.timeout(SILENCE));
      if (asked === source && !broken) hear("counts", { now, counts });
    } catch {
      if (asked === source) lost();
    }
  }

  /** The browser's own retries say nothing of why; so one is asked for by hand, and only then the stream again. */
  async function lost() {
    if (broken) return;
    broken = true;
    clearTimeout(silence);
    source.close();
    if (!draining) state("lost", LOST);
    const why = await refused();
    if (why) state("lost", why);
    setTimeout(connect, retry);
    retry = Math.min(retry * 2, RETRY_MOST);
  }

  /** Why there is no stream, or nothing if there is one. */
  async function refused() {
    const probe = new AbortController();
    const late = setTimeout(() => probe.abort(), SILENCE);
    try {
      const response = await fetch(url, { signal: probe.signal, cache: "no-store", headers: { accept: "text/event-stream" } });
      return response.ok ? null : `${(await refusal(response)).message} Retrying.`;
    } catch {
      return draining ? "Connection lost; the server was draining. Retrying" : LOST;
    } finally {
      clearTimeout(late);
      probe.abort();
    }
  }

  connect();
}
