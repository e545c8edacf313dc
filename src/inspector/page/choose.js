// Which rows are shown, and in which order.

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
export const METHOD_CHOICES = [...METHODS, "other"];

/** Whether somebody has filtered anything away. */
export function wishes(wish) {
  return Boolean(wish.text.trim() || wish.method || wish.stage || wish.states.size || wish.least);
}

export function choose(rows, wish, now) {
  const terms = wish.text.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) =>
    (!wish.method || (METHODS.includes(row.method) ? row.method : "other") === wish.method)
    && (!wish.stage || row.stage === wish.stage)
    && (!wish.states.size || wish.states.has(row.state))
    && (!wish.least || age(row, now) >= wish.least)
    && (!terms.length || contains(row, terms)));
}

function contains(row, terms) {
  const { id, method, path, route, peer, trace, reason, status, state, connection } = row;
  const text = [id, method, path, route, peer, trace, reason, status, state, `connection:${connection}`].join(" ").toLowerCase();
  return terms.every((term) => text.includes(term));
}

function age(row, now) {
  return row.open ? now - row.begin : row.age;
}

const ORDERS = {
  oldest: () => (a, b) => a.begin - b.begin || a.id - b.id,
  // What is open stands above what is over: who looks for what does not end finds it at the top.
  open: () => (a, b) => b.open - a.open || (a.open ? a.begin - b.begin : b.end - a.end) || a.id - b.id,
  newest: () => (a, b) => b.begin - a.begin || b.id - a.id,
  slowest: (now) => (a, b) => age(b, now) - age(a, now) || a.id - b.id,
};

export function sort(rows, order, now) {
  return rows.sort(ORDERS[order](now));
}

const CONNECTION_ORDERS = {
  oldest: (a, b) => b.age - a.age || a.id - b.id,
  newest: (a, b) => a.age - b.age || b.id - a.id,
  open: (a, b) => b.open_exchanges - a.open_exchanges || b.age - a.age,
  slowest: (a, b) => b.age - a.age || a.id - b.id,
};

/** Of what is asked, only text and age mean something to a connection. */
export function chooseConnections(rows, wish, order) {
  const terms = wish.text.toLowerCase().split(/\s+/).filter(Boolean);
  const text = ({ id, peer, local, state, tls, upgraded }) =>
    [`#${id}`, peer, local, state, tls?.alpn, tls?.server_name, tls?.version, upgraded?.method, upgraded?.path].join(" ").toLowerCase();
  return rows
    .filter((row) => row.age >= wish.least && terms.every((term) => text(row).includes(term)))
    .sort(CONNECTION_ORDERS[order]);
}
