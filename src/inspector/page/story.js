// The side panel: all that is known of one exchange, or of one connection.

const here = (name) => new URL(`?asset=${name}`, import.meta.url);
const { CLASSES, STATES, bytes, capital, clock, duration, foreign, make, number, termination, verdict, write } = await import(here("words.js"));
const { drawPieces, phases } = await import(here("phases.js"));
const { closed, opened } = await import(here("store.js"));
const { Refused, ask } = await import(here("stream.js"));

const TIMES = {
  request_data: "first data of the request",
  request_end: "request fully read",
  request_close: "request side over",
  response: "response head",
  response_data: "first data of the response",
  response_end: "response over",
  finish: "handed over",
  disconnect: "client gone",
  close: "closed",
};

const REQUEST_CLOSES = {
  complete: "fully read", failed: "failed", unread: "dropped unread", partial: "dropped half read", detached: "still held by a task",
};

export class Story {
  #panel;
  #title;
  #body;
  /** What is shown: `{ id, row }`, or nothing. */
  #shown = null;
  #asking = null;
  #now;
  #onClose;

  /** `now()` is the server's time. */
  constructor(panel, now, onClose) {
    this.#panel = panel;
    this.#title = panel.querySelector("h2");
    this.#body = panel.querySelector("#story-body");
    this.#now = now;
    this.#onClose = onClose;
    panel.querySelector("#story-close").addEventListener("click", () => this.close());
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /** The story of the exchange of a row, which is shown until the server has told more. */
  exchange(row) {
    this.#begin();
    this.#shown = { id: row.id, row };
    this.#tell(row);
    this.refresh();
  }

  connection(row, open, show) {
    this.#begin();
    this.#title.replaceChildren(`Connection #${row.id}`);
    const list = make("ul", "links", ...open.slice(0, 100).map((exchange) => {
      const link = make("button", "link", `${exchange.method} `, foreign(exchange.path), ` ${exchange.state}`);
      link.type = "button";
      link.addEventListener("click", () => show(exchange));
      return make("li", "", link);
    }));
    this.#body.replaceChildren(connectionFacts(row), ...(open.length ? [section("Open on it", list)] : []));
    this.#panel.focus({ preventScroll: true });
  }

  close() {
    if (!this.isOpen) return;
    this.#asking?.abort();
    this.#shown = null;
    this.#panel.hidden = true;
    this.#onClose();
  }

  /** Asks the server anew, while there is something that may have changed. */
  async refresh() {
    if (!this.#shown || this.#asking) return;
    const shown = this.#shown;
    const asking = (this.#asking = new AbortController());
    try {
      const told = await ask(`exchanges/${shown.id}`, asking.signal);
      if (this.#shown === shown) this.#tell(timed(told, this.#now()));
    } catch (error) {
      if (this.#shown === shown) this.#fail(error);
    } finally {
      if (this.#asking === asking) this.#asking = null;
    }
  }

  get isChanging() {
    return this.isOpen && this.#shown?.row.open === true;
  }

  #begin() {
    this.#asking?.abort();
    this.#asking = null;
    this.#shown = null;
    this.#panel.hidden = false;
    this.#panel.focus({ preventScroll: true });
  }

  #tell(row) {
    this.#shown.row = row;
    this.#title.replaceChildren(make("span", "method", row.method), " ", foreign(row.path));
    this.#panel.dataset.state = row.state ?? "";
    this.#panel.dataset.class = row.class ?? "";
    // A focus or a selection inside would be lost with the elements; then the next second is soon enough.
    if (this.#body.contains(document.activeElement) || selects(this.#body)) return;
    this.#body.replaceChildren(...story(row));
  }

  #fail(error) {
    if (error.name === "AbortError") return;
    const gone = error instanceof Refused && error.status === 404;
    const words = gone ? "The server does not remember it any more. This is what was seen last." : error.message;
    const note = this.#body.querySelector(".note") ?? this.#body.appendChild(make("p", "note"));
    write(note, words);
    if (gone) this.#shown.row = { ...this.#shown.row, open: false };
  }
}

function selects(element) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode);
}

function timed(told, now) {
  return told.open ? opened(told, now) : closed(told, now);
}

function story(row) {
  return [
    judgement(row),
    timeline(row),
    waits(row),
    section("Exchange", facts([
      ["Id", String(row.id)],
      ["Began", clock(row.begin)],
      ["Route", row.route && foreign(row.route)],
      ["Version", row.version],
      ["Status", row.status],
      ["Request", transfer(row.request)],
      ["Request side", row.request_close && (REQUEST_CLOSES[row.request_close] ?? row.request_close)],
      ["Response", transfer(row.response)],
      ["Trace", row.trace && copyable(row.trace)],
    ])),
    row.connection_detail
      ? section("Connection", connectionFacts(row.connection_detail))
      : section("Connection", facts([["Id", row.connection ?? "not known: there is no connection layer"], ["Peer", row.peer]])),
    ...headers(row.headers),
  ].filter(Boolean);
}

function judgement(row) {
  if (row.open) {
    return make("div", "judgement",
      make("p", "verdict", swatch(row.state), make("strong", "", row.state), ` open for ${duration(row.age)}`),
      make("p", "", `${capital(STATES[row.state] ?? row.state)}.`));
  }
  if (row.reason === null) return make("p", "judgement", "It is over.");
  return make("div", "judgement",
    make("p", "verdict", make("i", "mark"), make("strong", "", row.reason), ` ${row.class}, after ${duration(row.age)}`),
    make("p", "", verdict(row)),
    facts([
      ["Class", `${row.class}: ${CLASSES[row.class] ?? ""}`],
      ["Where", row.stage],
      ["Who", row.initiator],
      ["Known by", row.evidence],
      ["Termination", make("span", "", make("code", "", row.termination), ` ${termination(row.termination)}`)],
    ]));
}

function timeline(row) {
  const length = Math.max(row.age, 0.001);
  const lane = make("div", "lane", make("span", "pieces"));
  const pieces = phases(row, row.age);
  drawPieces(lane.firstChild, pieces, (at) => at / length);
  const times = Object.entries(row.times).filter(([, at]) => at !== null).map(([name, at]) => ({ at, name: TIMES[name] ?? name }));
  const marks = row.marks.map(([name, at]) => ({ at, name, own: true }));
  // What happened at the same time stays in the order in which it is told.
  const entries = [{ at: 0, name: "begins" }, ...[...times, ...marks].sort((a, b) => a.at - b.at)];
  if (row.open) entries.push({ at: row.age, name: `${row.state}, now` });
  const list = make("ol", "times", ...entries.map(({ at, name, own }, index) => {
    const since = index === 0 ? "" : `+${duration(at - entries[index - 1].at)}`;
    return make("li", own ? "own" : "",
      make("span", "at", duration(at)), make("span", "name", own ? foreign(name) : name), make("span", "since", since));
  }));
  return section("Time", make("div", "", lane, legend(pieces), list));
}

/** How long each phase took, in words beside its colour. */
function legend(pieces) {
  const sums = new Map();
  for (const { phase, from, to } of pieces) sums.set(phase, (sums.get(phase) ?? 0) + to - from);
  return make("ul", "legend", ...[...sums].filter(([, sum]) => sum >= 0.05).map(([phase, sum]) =>
    make("li", "", swatch(phase), `${phase} ${duration(sum)}`)));
}

function swatch(phase) {
  const element = make("i", "swatch");
  element.dataset.phase = phase;
  return element;
}

function waits(row) {
  const line = (wait, producer, consumer) => {
    const all = (wait?.producer ?? 0) + (wait?.consumer ?? 0);
    // Nothing to speak of, as for a request without a body.
    if (all < 0.05) return null;
    const share = (part) => `${duration(part)} (${Math.round((part / all) * 100)} %)`;
    return `${producer} ${share(wait.producer)}, ${consumer} ${share(wait.consumer)}`;
  };
  const rows = [
    ["For the request", line(row.waits.request, "client", "handler")],
    ["For the response", line(row.waits.response, "producer", row.connection === null ? "whoever takes it" : "client")],
  ];
  return rows.some(([, value]) => value) ? section("Who was waited for", facts(rows)) : null;
}

function transfer({ bytes: size, frames }) {
  return `${bytes(size)} in ${number(frames)} ${frames === 1 ? "frame" : "frames"}`;
}

function connectionFacts(connection) {
  const { tls, upgraded } = connection;
  return facts([
    ["Id", `#${connection.id}`],
    ["State", connection.state ?? "closed"],
    ["Peer", connection.peer && foreign(connection.peer)],
    ["Local", connection.local && foreign(connection.local)],
    ["TLS", tls && foreign([tls.version, tls.alpn, tls.server_name].filter(Boolean).join(", ") || "yes")],
    ["Age", connection.age === null ? null : duration(connection.age)],
    ["Received", bytes(connection.received)],
    ["Sent", bytes(connection.sent)],
    ["Exchanges", `${number(connection.exchanges)}, ${number(connection.open_exchanges)} open`],
    ["Upgraded", upgraded && foreign(`${upgraded.method} ${upgraded.path}`)],
    ["Open upgrades", connection.open_upgrades || null],
  ]);
}

function headers(told) {
  return [["Request headers", told?.request], ["Response headers", told?.response]]
    .filter(([, list]) => list?.length)
    .map(([title, list]) => section(title, facts(list.map(([name, value]) => [name, foreign(value)]))));
}

function section(title, content) {
  return make("section", "", make("h3", "", title), content);
}

/** Pairs; those without a value are left out. */
function facts(pairs) {
  return make("dl", "facts", ...pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value instanceof Node ? value : String(value)))));
}

function copyable(text) {
  const button = make("button", "copy", "Copy");
  const value = make("code", "", text);
  button.type = "button";
  button.addEventListener("click", async () => {
    // Only where the browser takes the place for safe, as the machine itself or TLS; else it is at least selected.
    try {
      await navigator.clipboard.writeText(text);
      write(button, "Copied");
    } catch {
      getSelection().selectAllChildren(value);
      write(button, "Selected");
    }
    setTimeout(() => {
      write(button, "Copy");
      button.blur();
    }, 1500);
  });
  return make("span", "copyable", value, " ", button);
}

