// What is known of the server: fed by the stream, bounded, and never changed in place, so that a view of it can be kept.

const { mount } = await import(new URL("?asset=stream.js", import.meta.url));

/** Closed exchanges that are kept. */
export const KEPT = 500;
/** Seconds of counts that are kept. */
export const HISTORY = 300;

export class Store {
  /** By id, in the order in which they were told. */
  open = new Map();
  /** The newest last. */
  closed = [];
  counted = null;
  notListed = 0;
  /** Closes that were more than the stream tells at once. */
  missed = 0;
  /** `{ second, states }`, one a second, the newest last. */
  history = [];
  /** How many have opened and closed since a view was frozen. */
  held = 0;
  #offset = -Infinity;

  /** The server's time, as far as it is known. */
  now() {
    return performance.now() + this.#offset;
  }

  snapshot(message) {
    this.#heard(message);
    this.open = new Map(message.exchanges.map((row) => [row.id, opened(row, message.now, this.open.get(row.id))]));
    this.notListed = message.not_listed;
    const known = new Set(this.closed.map((row) => row.id));
    this.#close(message.closed.filter((row) => !known.has(row.id)), message.now);
  }

  tick(message) {
    this.#heard(message);
    this.notListed = message.not_listed;
    for (const row of message.opened) this.open.set(row.id, opened(row, message.now));
    for (const row of message.changed) this.open.set(row.id, opened(row, message.now, this.open.get(row.id)));
    for (const id of message.gone) this.open.delete(id);
    this.#close(message.closed, message.now);
    this.missed += message.missed;
    this.held += message.opened.length + message.closed.length + message.missed;
  }

  /** Nothing has changed. */
  counts(message) {
    this.#heard(message);
  }

  /** What there is now, to be looked at for as long as one likes. */
  freeze() {
    this.held = 0;
    return { open: [...this.open.values()], closed: [...this.closed], counted: this.counted, now: this.now() };
  }

  #heard({ now, counts }) {
    // The message that was the shortest on its way knows the time best; a clock that was set back is believed.
    const offset = now - performance.now();
    if (offset > this.#offset || this.#offset - offset > 1000) this.#offset = offset;
    this.counted = counts;
    const second = Math.floor(now / 1000);
    if (this.history.at(-1)?.second === second) this.history.pop();
    this.history.push({ second, states: counts.states });
    while (this.history[0].second <= second - HISTORY) this.history.shift();
  }

  #close(rows, now) {
    for (const row of rows) {
      this.closed.push(closed(row, now));
      this.open.delete(row.id);
    }
    // Once for all of them: an array is not made to lose its first.
    this.closed.splice(0, Math.max(this.closed.length - KEPT, 0));
  }
}

/** A row as it was told, with what a view needs. A former one of the same exchange knows when it began. */
export function opened(row, now, former) {
  return { ...row, open: true, own: own(row), begin: former?.begin ?? now - row.age, reason: null };
}

export function closed(row, now) {
  const end = now - row.ago;
  return { ...row, open: false, own: own(row), begin: end - row.duration, age: row.duration, end, state: null };
}

/** Whether somebody looks here. Where the inspector has a listener of its own, it does not show itself. */
function own({ path }) {
  return mount !== "" && (path === mount || path === `${mount}/` || path.startsWith(`${mount}/api/`));
}
