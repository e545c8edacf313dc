// A list of any length of which only what is in view is in the document, with a cursor that the keyboard moves.

const { write } = await import(new URL("?asset=words.js", import.meta.url));

/** Rows beyond the edges, so that scrolling by a little shows no gap before it is drawn. */
const BEYOND = 3;

export class Grid {
  #scroller;
  #space;
  /** `make(element)` gives a new row its cells, `fill(element, item, now)` shows an item in it. */
  #kind = null;
  #items = [];
  #height = 0;
  #room = 0;
  #now = 0;
  #cursor = { key: null, index: -1 };
  #chosen;

  /** `chosen(item)` hears of a click and of Enter. Items have an `id`. */
  constructor(scroller, space, chosen) {
    this.#scroller = scroller;
    this.#space = space;
    this.#chosen = chosen;
    scroller.addEventListener("scroll", () => this.draw(this.#now), { passive: true });
    space.addEventListener("click", (event) => {
      const row = event.target.closest("[role=row]");
      // By what the row showed, not by its place: the list may have moved on since.
      const item = row && this.#items.find((item) => String(item.id) === row.dataset.id);
      if (!item) return;
      this.#point(this.#items.indexOf(item));
      this.#chosen(item);
    });
    // Asked of the style once, not at each drawing: the height of a row differs between wide and narrow.
    new ResizeObserver(() => {
      this.#height = parseFloat(getComputedStyle(space).getPropertyValue("--row"));
      this.#room = scroller.clientHeight;
      this.draw(this.#now);
    }).observe(scroller);
  }

  /** Shows these items, in rows of this kind. */
  show(kind, items, now) {
    if (this.#kind !== kind) {
      this.#kind = kind;
      this.#space.replaceChildren();
      this.#scroller.scrollTop = 0;
    }
    this.#items = items;
    this.#scroller.setAttribute("aria-rowcount", items.length);
    const { key, index } = this.#cursor;
    const found = key === null ? -1 : items.findIndex((item) => item.id === key);
    // What the cursor was at has gone: it stays where it is, at what has come there.
    this.#cursor.index = found >= 0 ? found : Math.min(index, items.length - 1);
    this.#cursor.key = items[this.#cursor.index]?.id ?? null;
    this.draw(now);
  }

  draw(now) {
    this.#now = now;
    if (this.#height === 0 || this.#kind === null) return;
    const height = `${this.#items.length * this.#height}px`;
    if (this.#space.style.height !== height) this.#space.style.height = height;
    const first = Math.max(Math.floor(this.#scroller.scrollTop / this.#height) - BEYOND, 0);
    const last = Math.min(first + Math.ceil(this.#room / this.#height) + 2 * BEYOND, this.#items.length);
    const rows = this.#space.children;
    while (rows.length > Math.max(last - first, 0)) this.#space.lastChild.remove();
    for (let index = first; index < last; index += 1) {
      const row = rows[index - first] ?? this.#space.appendChild(this.#row());
      this.#fill(row, index);
    }
    this.#announce();
  }

  move(by) {
    this.#point(Math.max(Math.min(this.#cursor.index + by, this.#items.length - 1), 0));
    const top = this.#cursor.index * this.#height;
    const scroller = this.#scroller;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + this.#height > scroller.scrollTop + this.#room) scroller.scrollTop = top + this.#height - this.#room;
    this.draw(this.#now);
  }

  page(by) {
    this.move(by * Math.max(Math.floor(this.#room / this.#height) - 1, 1));
  }

  choose() {
    const item = this.#items[this.#cursor.index];
    if (item) this.#chosen(item);
  }

  focus() {
    this.#scroller.focus({ preventScroll: true });
  }

  #point(index) {
    this.#cursor = { key: this.#items[index]?.id ?? null, index };
    this.draw(this.#now);
  }

  #row() {
    const row = document.createElement("div");
    row.setAttribute("role", "row");
    this.#kind.make(row);
    for (const cell of row.children) cell.setAttribute("role", "gridcell");
    return row;
  }

  #fill(row, index) {
    const item = this.#items[index];
    const top = `translateY(${index * this.#height}px)`;
    if (row.style.transform !== top) row.style.transform = top;
    const id = String(item.id);
    if (row.dataset.id !== id) {
      row.dataset.id = id;
      row.id = `row-${id}`;
    }
    set(row, "aria-rowindex", String(index + 1));
    set(row, "aria-selected", String(index === this.#cursor.index));
    this.#kind.fill(row, item, this.#now);
  }

  /** The focus stays at the list; which row it is at is told by reference, because rows come and go. */
  #announce() {
    const { key } = this.#cursor;
    if (key === null || !document.getElementById(`row-${key}`)) this.#scroller.removeAttribute("aria-activedescendant");
    else set(this.#scroller, "aria-activedescendant", `row-${key}`);
  }
}

export function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Shows text in a cell, all of it in the title: it may be cut. */
export function titled(cell, text) {
  if (cell.textContent === text) return;
  write(cell, text);
  cell.title = text;
}
