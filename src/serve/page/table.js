// A table of any length of which only the rows in sight are in the page. Its columns sort; arrow keys walk its rows.

import { h, state, write } from "/dom.js";
import { compareText } from "/text.js";

const ROW_PX = 32;
const MARGIN_ROWS = 4;

export class Table {
  /** Columns: `{key, label, width, phoneWidth, isNumber, sortBy(row), text(row), title(row), fill(cell, row)}`; the first holds the link
      of the row, made by `href(row)`. */
  constructor({ label, columns, href, sortKey, isDescending = false, empty = "nothing here", hovered = () => {} }) {
    Object.assign(this, { columns, href, sortKey, isDescending, hovered });
    this.rows = [];
    this.lines = [];
    this.first = 0;
    this.body = h("tbody", {});
    this.head = h("tr", { "aria-rowindex": "1" });
    this.group = h("colgroup", {});
    this.above = h("tbody", { "aria-hidden": "true" }, h("tr", {}, h("td", {})));
    this.below = h("tbody", { "aria-hidden": "true" }, h("tr", {}, h("td", {})));
    this.table = h(
      "table",
      { class: "grid", "aria-label": label },
      this.group,
      h("thead", {}, this.head),
      this.above,
      this.body,
      this.below,
    );
    this.empty = h("p", { class: "empty" }, empty);
    this.scroller = h("div", { class: "scroller" }, this.table);
    this.host = h("div", { class: "table" }, this.scroller, this.empty);
    this.scroller.addEventListener("scroll", () => this.ask(), { passive: true });
    // The first column stays in sight of a table that slides sideways.
    this.sizes = new ResizeObserver(() => {
      this.host.classList.toggle("slides", this.minWidth > this.scroller.clientWidth);
      this.ask();
    });
    this.sizes.observe(this.scroller);
    this.body.addEventListener("keydown", (event) => this.press(event));
    this.body.addEventListener("pointerover", (event) => this.hovered(this.rowOf(event.target)));
    this.body.addEventListener("pointerleave", () => this.hovered(null));
    this.body.addEventListener("focusin", (event) => {
      const row = this.rowOf(event.target);
      this.focusKey = row && this.href(row);
      this.hovered(row);
    });
    this.body.addEventListener("click", (event) => {
      const row = this.rowOf(event.target);
      if (row && !event.target.closest("a, button") && String(getSelection()) === "") location.hash = this.href(row);
    });
    this.setColumns(columns);
  }

  close() {
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
  }

  setColumns(columns) {
    this.columns = columns;
    const isPhone = matchMedia("(max-width: 640px)").matches;
    const widths = columns.map(({ width, phoneWidth }) => (isPhone && phoneWidth) || width);
    this.group.replaceChildren(
      ...widths.map((width) => {
        const col = h("col", {});
        col.style.width = `${width}px`;
        return col;
      }),
    );
    this.minWidth = widths.reduce((sum, width) => sum + width, 0);
    this.table.style.minWidth = `${this.minWidth}px`;
    this.head.replaceChildren(
      ...columns.map((column) => {
        const button = h(
          "button",
          { class: "sort", onclick: () => this.sort(column.key) },
          column.label,
          h("i", { "aria-hidden": "true" }),
        );
        return h(
          "th",
          { scope: "col", class: column.isNumber ? "num" : null, title: column.hint ?? null },
          column.sortBy ? button : column.label,
        );
      }),
    );
    for (const spacer of [this.above, this.below]) spacer.firstChild.firstChild.colSpan = columns.length;
    this.lines = [];
    this.body.replaceChildren();
    this.showSort();
    this.ask();
  }

  set(rows) {
    this.rows = [...rows];
    this.order();
  }

  sort(key) {
    this.isDescending =
      this.sortKey === key ? !this.isDescending : Boolean(this.columns.find((column) => column.key === key).isDescendingFirst);
    this.sortKey = key;
    this.scroller.scrollTop = 0;
    this.order();
  }

  order() {
    const { sortBy } = this.columns.find(({ key }) => key === this.sortKey) ?? this.columns[0];
    const keys = ranks(this.rows.map(sortBy)),
      sign = this.isDescending ? -1 : 1;
    // What is missing or not a number is last either way.
    const compare = (a, b) => Number.isNaN(keys[a]) - Number.isNaN(keys[b]) || sign * (keys[a] - keys[b]) || a - b;
    const order = Array.from(keys, (_, idx) => idx).sort(compare);
    this.rows = order.map((idx) => this.rows[idx]);
    this.showSort();
    this.ask();
  }

  showSort() {
    this.columns.forEach(({ key, sortBy }, idx) => {
      const cell = this.head.children[idx];
      if (sortBy && key === this.sortKey) cell.setAttribute("aria-sort", this.isDescending ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  ask() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.fill();
    });
  }

  /** Puts the rows in sight into the page, in the elements that are there. */
  fill() {
    const n = this.rows.length,
      sight = this.scroller.clientHeight || 600;
    const size = Math.min(n, Math.ceil(sight / ROW_PX) + 2 * MARGIN_ROWS);
    const first = Math.max(0, Math.min(n - size, Math.floor(this.scroller.scrollTop / ROW_PX) - MARGIN_ROWS));
    const last = first + size,
      used = this.lines,
      by = first - this.first;
    while (used.length > size) used.pop().element.remove();
    while (used.length < size) {
      used.push(this.newLine());
      this.body.append(used.at(-1).element);
    }
    // Rows that stay in sight keep their elements, those of the others go to the other end.
    if (by > 0 && by < size) {
      const moved = used.splice(0, by);
      used.push(...moved);
      this.body.append(...moved.map(({ element }) => element));
    }
    if (by < 0 && -by < size) {
      const moved = used.splice(size + by);
      used.unshift(...moved);
      this.body.prepend(...moved.map(({ element }) => element));
    }
    used.forEach((line, idx) => this.fillLine(line, this.rows[first + idx], first + idx));
    setHeight(this.above, first * ROW_PX);
    setHeight(this.below, (n - last) * ROW_PX);
    setAttribute(this.table, "aria-rowcount", n + 1);
    this.empty.hidden = n > 0;
    const hasFocus = used.some(({ row }) => this.href(row) === this.focusKey);
    used.forEach(({ link, row }, idx) =>
      setAttribute(link, "tabindex", (hasFocus ? this.href(row) === this.focusKey : idx === 0) ? 0 : -1),
    );
    this.first = first;
  }

  newLine() {
    const link = h("a", { class: "row-link" });
    const cells = this.columns.map(({ isNumber }, idx) =>
      h(idx === 0 ? "th" : "td", { class: isNumber ? "num" : null, scope: idx === 0 ? "row" : null }, idx === 0 ? link : ""),
    );
    return { element: h("tr", {}, cells), cells, link, row: null };
  }

  fillLine(line, row, idx) {
    line.row = row;
    setAttribute(line.element, "aria-rowindex", idx + 2);
    setAttribute(line.link, "href", this.href(row));
    setAttribute(line.element, "data-tone", row.tone ?? "");
    this.columns.forEach((column, at) => {
      const element = at === 0 ? line.link : line.cells[at];
      if (column.fill) column.fill(element, row);
      else write(element, column.text(row), column.title?.(row) ?? "");
    });
  }

  rowOf(element) {
    const tr = element.closest("tr");
    return this.lines.find((line) => line.element === tr)?.row ?? null;
  }

  /** Marks the row of a trial that is looked at elsewhere. */
  mark(isMeant) {
    for (const { element, row } of this.lines) element.classList.toggle("looked-at", Boolean(row && isMeant(row)));
  }

  press(event) {
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW_PX) - 2);
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    const row = this.rowOf(event.target);
    if (by === undefined || !row) return;
    event.preventDefault();
    const idx = Math.max(0, Math.min(this.rows.length - 1, this.rows.indexOf(row) + by));
    this.focusKey = this.href(this.rows[idx]);
    const top = idx * ROW_PX,
      head = this.head.offsetHeight,
      sight = this.scroller.clientHeight;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW_PX + head > this.scroller.scrollTop + sight) this.scroller.scrollTop = top + ROW_PX + head - sight;
    this.fill();
    this.lines[idx - this.first]?.link.focus({ preventScroll: true });
  }
}

/** Touches the page only where the value differs. */
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

function setHeight(spacer, px) {
  spacer.hidden = px === 0;
  spacer.firstChild.firstChild.style.height = `${px}px`;
}

/** Numbers as they are, text by its place as people count; NaN is what is missing. */
function ranks(keys) {
  const isMissing = (key) => key === null || key === undefined || key === "";
  if (keys.every((key) => isMissing(key) || typeof key === "number")) return Float64Array.from(keys, (key) => (isMissing(key) ? NaN : key));
  const places = new Map(
    [...new Set(keys)]
      .filter((key) => !isMissing(key))
      .map(String)
      .sort(compareText)
      .map((key, idx) => [key, idx]),
  );
  return Float64Array.from(keys, (key) => (isMissing(key) ? NaN : places.get(String(key))));
}

/** Fills a cell with a state, where it has changed. */
export function fillState(cell, row) {
  if (cell.dataset.state === row.state) return;
  cell.dataset.state = row.state;
  cell.replaceChildren(state(row.state));
}
