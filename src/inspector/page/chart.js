// How many exchanges were open in each state over the last minutes.

const { HISTORY } = await import(new URL("?asset=store.js", import.meta.url));
const { STATES, number, write } = await import(new URL("?asset=words.js", import.meta.url));

export class Chart {
  #canvas;
  #most;
  #colours = null;
  #room = { width: 0, height: 0 };

  constructor(canvas, most) {
    this.#canvas = canvas;
    this.#most = most;
    // Asked of the style once, not at each drawing.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (this.#colours = null));
    new ResizeObserver(([{ contentRect }]) => (this.#room = contentRect)).observe(canvas);
  }

  /** Up to a time, on the server's clock. */
  draw(history, now) {
    const { width, height } = this.#room;
    if (width === 0) return;
    this.#colours ??= colours(this.#canvas);
    const scale = devicePixelRatio;
    const canvas = this.#canvas;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);

    const most = history.reduce((most, { states }) => Math.max(most, total(states)), 0);
    const end = Math.floor(now / 1000) + 1;
    const step = width / HISTORY;
    for (const [index, { second, states }] of history.entries()) {
      // Where nothing was told nothing has changed.
      const until = history[index + 1]?.second ?? end;
      let top = height;
      for (const state of Object.keys(STATES)) {
        const tall = (states[state] / Math.max(most, 1)) * (height - 1);
        if (tall === 0) continue;
        top -= tall;
        context.fillStyle = this.#colours[state];
        // Wider by a little: no gaps between neighbours where a step is no whole number of pixels.
        context.fillRect(width - (end - second) * step, top, (until - second) * step + 0.3, tall);
      }
    }
    write(this.#most, number(most));
  }
}

function total(states) {
  return Object.values(states).reduce((sum, count) => sum + count, 0);
}

function colours(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(Object.keys(STATES).map((state) => [state, style.getPropertyValue(`--${state}`).trim()]));
}
