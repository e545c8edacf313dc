// What an exchange did with its time: the pieces of a bar.

/**
 * The phases of an exchange as `{ phase, from, to }` in milliseconds since it began, oldest first, none empty.
 *
 * Where one stage ends and the next begins is exact. Within the request and the response it is known how long each side was
 * waited for, not in which turns, so each has one piece and the one whose turn it was last stands last.
 */
export function phases(row, end) {
  const { request_close: read, response: head, response_end: sent } = row.times;
  const answered = Math.min(head ?? end, end);
  const requested = Math.min(read ?? answered, answered);
  const pieces = [];

  const request = row.open && head === null && read === null ? row.state : null;
  shares(pieces, 0, requested, row.waits.request, "reading", "unread", request ?? "reading");
  handler(pieces, requested, answered, row);
  if (head !== null) {
    const responded = Math.min(sent ?? end, end);
    // Who takes the frames is the client only where the server itself calls the layer, which takes a connection.
    const consumer = row.state === "client" || (row.connection !== null && row.state !== "unknown") ? "client" : "unknown";
    shares(pieces, answered, responded, row.waits.response, "producer", consumer, row.open ? row.state : "unknown");
    add(pieces, "flushing", responded, end);
  }
  return pieces;
}

/** Splits a span between the two sides; what has passed since the row was told is the current one's. */
function shares(pieces, from, to, waits, producer, consumer, current) {
  if (!waits) {
    add(pieces, current, from, to);
    return;
  }
  const [first, told] = waits.last === "producer" ? [consumer, waits.consumer] : [producer, waits.producer];
  const turn = Math.min(from + told, to);
  add(pieces, first, from, turn);
  add(pieces, first === producer ? consumer : producer, turn, to);
}

/** Told by `park`, which marks when a poll finds nothing, and when its wait is over. */
function handler(pieces, from, to, row) {
  const at = (name) => row.marks.find(([mark]) => mark === name)?.[1];
  const parked = Math.min(Math.max(at("parked") ?? to, from), to);
  const unparked = Math.min(Math.max(at("unparked") ?? to, parked), to);
  add(pieces, "handler", from, parked);
  add(pieces, "parked", parked, unparked);
  add(pieces, "handler", unparked, to);
}

function add(pieces, phase, from, to) {
  if (to > from) pieces.push({ phase, from, to });
}

/** Shows pieces in a lane, each where `place` puts it, in fractions of the lane. Elements are used again. */
export function drawPieces(lane, pieces, place) {
  let used = 0;
  for (const { phase, from, to } of pieces) {
    const left = Math.max(place(from), 0);
    const right = Math.min(place(to), 1);
    if (right <= 0 || left >= 1) continue;
    const piece = lane.children[used] ?? lane.appendChild(document.createElement("i"));
    used += 1;
    if (piece.dataset.phase !== phase) {
      piece.dataset.phase = phase;
      piece.title = phase;
    }
    piece.style.left = `${(left * 100).toFixed(3)}%`;
    piece.style.width = `${((right - left) * 100).toFixed(3)}%`;
  }
  while (lane.children.length > used) lane.lastChild.remove();
}
