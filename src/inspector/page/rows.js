// What a row shows: of an exchange, and of a connection.

const here = (name) => new URL(`?asset=${name}`, import.meta.url);
const { bytes, duration, foreign, make, number, write } = await import(here("words.js"));
const { drawPieces, phases } = await import(here("phases.js"));
const { set, titled } = await import(here("grid.js"));

/** How the lanes map time to place, told by the page: by the clock, or each from its own begin. */
export const axis = { mode: "clock", window: 30_000, longest: 1 };

export const exchanges = {
  columns: ["State", "Method", "Path", "Status", "Class", "Time", "Bytes", ""],

  make(row) {
    row.className = "row exchange";
    row.append(
      make("span", "state", make("i", "mark"), make("span", "word")),
      make("span", "method"),
      make("span", "path", foreign("")),
      make("span", "status"),
      make("span", "class"),
      make("span", "time"),
      make("span", "bytes"),
      make("span", "lane", make("span", "pieces"), make("i", "gone"), make("i", "end"), make("span", "ago")),
    );
  },

  fill(row, item, now) {
    const [state, method, path, status, kind, time, size, lane] = row.children;
    const age = item.open ? Math.max(now - item.begin, item.age, 0) : item.age;
    mark(row, "state", item.state ?? "");
    mark(row, "class", item.class ?? "");
    write(state.lastChild, item.open ? item.state : item.reason);
    titled(method, item.method);
    titled(path.firstChild, item.path);
    write(status, item.status === null ? "–" : String(item.status));
    write(kind, item.open ? "open" : item.class);
    write(time, duration(age));
    write(size, bytes(item.response.bytes || item.request.bytes));
    set(size, "title", `request ${bytes(item.request.bytes)}, response ${bytes(item.response.bytes)}`);
    drawLane(lane, item, age, now);
  },
};

function drawLane(lane, item, age, now) {
  const [pieces, gone, end, ago] = lane.children;
  const place = axis.mode === "clock"
    ? (at) => 1 - (now - item.begin - at) / axis.window
    : (at) => at / axis.longest;
  drawPieces(pieces, phases(item, age), place);
  stand(gone, item.times.disconnect, place);
  stand(end, item.open ? null : age, place);
  const left = !item.open && place(age) < 0;
  write(ago, left ? `${duration(now - item.end)} ago` : "");
}

/** A thin mark at a time, or none. */
function stand(element, at, place) {
  const where = at === null || at === undefined ? -1 : place(at);
  element.hidden = where < 0 || where > 1;
  if (!element.hidden) element.style.left = `${(where * 100).toFixed(3)}%`;
}

export const connections = {
  columns: ["State", "Id", "Peer", "Open", "Age", "Received", "Sent"],

  make(row) {
    row.className = "row connection";
    row.append(
      make("span", "state", make("i", "mark"), make("span", "word")),
      make("span", "method"),
      make("span", "path", foreign("")),
      make("span", "status"),
      make("span", "time"),
      make("span", "bytes"),
      make("span", "sent"),
    );
  },

  fill(row, item, now) {
    const [state, id, peer, open, time, received, sent] = row.children;
    mark(row, "state", item.state);
    write(state.lastChild, item.state);
    write(id, `#${item.id}`);
    titled(peer.firstChild, described(item));
    write(open, number(item.open_exchanges));
    write(time, duration(item.age + Math.max(now - item.told, 0)));
    write(received, bytes(item.received));
    write(sent, bytes(item.sent));
  },
};

function described({ peer, tls, upgraded }) {
  const parts = [peer ?? "peer unknown"];
  if (tls) parts.push(["TLS", tls.version, tls.alpn, tls.server_name].filter(Boolean).join(" "));
  if (upgraded) parts.push(`${upgraded.method} ${upgraded.path}`);
  return parts.join(", ");
}

function mark(row, name, value) {
  if (row.dataset[name] !== value) row.dataset[name] = value;
}
