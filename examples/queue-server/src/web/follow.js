// A client of queue-server: everything but the page. Copy it.

/** The server, or something in front of it, did not do it. */
export class Refused extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

/** Asks the server; gives the JSON of its answer, or throws a `Refused` or, where there was no answer, what `fetch` throws. */
export async function call(token, method, path, { body, signal } = {}) {
  const response = await fetch(`/api/v1/${path}`, {
    method,
    body,
    headers: { authorization: `Bearer ${token}` },
    cache: "no-store",
    signal,
  });
  if (response.ok) return response.json();
  // A proxy that has no server to ask answers in its own words.
  const { code = `HTTP_${response.status}`, message = "no answer of queue-server" } = await response.json().catch(() => ({}));
  throw new Refused(response.status, code, message, Number(response.headers.get("retry-after")) || 0);
}

/** A place in a queue, before there is one. `elsewhere` is the newest event that another client of the queue is known to have. */
export const nowhere = { queue: null, seen: -1, elsewhere: -1, longest: 50 };

/**
 * Follows a queue from a place: registers one where there is none, polls it, comes back after failures, and yields what happens.
 * `place` is kept up to date: start again from it, and nothing is lost. Ends when `signal` says so, or by a step that says why:
 * `superseded`, `behind`, `refused`.
 *
 * A poll acknowledges by `seen` what came before it. So an answer that was lost on the way is given again, and one that came
 * twice is known by its ids.
 */
export async function* follow(place, token, wish, signal) {
  let failures = 0;
  let renewed = false;
  while (!signal.aborted) {
    try {
      if (!place.queue) {
        const made = await call(token, "POST", "register", { body: JSON.stringify(wish), signal });
        Object.assign(place, nowhere, {
          queue: made.queue_id,
          seen: made.last_event_id,
          longest: made.event_queue_longpoll_timeout_seconds,
        });
        yield { step: "registered" };
      }
      // After a failure, a poll that does not wait: only an answer tells that the server is back.
      const peek = failures > 0;
      if (!peek) yield { step: "polling" };
      const answer = await poll(place, token, signal, peek);
      failures = 0;
      renewed = false;
      if (peek) yield { step: "reconnected" };
      yield* news(place, answer.data);
    } catch (error) {
      if (signal.aborted) return;
      const step = means(error);
      if (step === "behind" && place.elsewhere > place.seen) {
        yield { step: "gap", from: place.seen + 1, to: place.elsewhere };
        place.seen = place.elsewhere;
        continue;
      }
      if (step !== "gone" && step !== "waiting") return yield { step, error };
      if (step === "gone") {
        Object.assign(place, nowhere);
        yield { step, error };
        // A queue that is gone as soon as it is made is a failure like any other.
        if (!renewed) {
          renewed = true;
          continue;
        }
      }
      const seconds = patience(failures++, error.retryAfter ?? 0);
      yield { step: "waiting", error, seconds };
      await sleep(seconds, signal);
    }
  }
}

/** A server that vanished without a word would be waited for without end: so an answer that is overdue is none. */
function poll(place, token, signal, peek) {
  const query = new URLSearchParams({ queue_id: place.queue, last_event_id: place.seen });
  if (peek) query.set("dont_block", "true");
  const overdue = AbortSignal.timeout((place.longest + 10) * 1000);
  return call(token, "GET", `events?${query}`, { signal: AbortSignal.any([signal, overdue]) });
}

/** Events by their ids: strictly increasing, gaps allowed, those seen before ignored. */
function* news(place, events) {
  for (const event of events) {
    if (event.id <= place.seen) {
      yield { step: "duplicate", event };
      continue;
    }
    if (event.id > place.seen + 1) yield { step: "gap", from: place.seen + 1, to: event.id - 1 };
    yield { step: "event", event };
    // Not before: who stopped listening has not seen it, and is to get it again.
    place.seen = event.id;
  }
}

/** What an error means for who polls. */
function means(error) {
  if (!(error instanceof Refused)) return "waiting";
  switch (error.code) {
    // Another client has the queue. To take it back at once would start a fight that nobody wins.
    case "POLL_SUPERSEDED":
      return "superseded";
    case "EVENTS_PRUNED":
      return "behind";
    case "BAD_EVENT_QUEUE_ID":
    case "QUEUE_OVERFLOWED":
      return "gone";
  }
  const passes = error.retryAfter || error.status >= 500 || error.status === 408;
  return passes ? "waiting" : "refused";
}

/** Seconds to wait: longer each time, never less than was asked for, and by chance, so that clients do not come back together. */
function patience(failures, least) {
  const most = Math.min(30, 2 ** failures);
  return least + most * (0.5 + Math.random() / 2);
}

function sleep(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(done, seconds * 1000);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
