// Parallel coordinates: an axis a parameter and one for the objective, a line a trial. Ranges are brushed on the axes, by
// pointer or by the two handles of each axis, which keys move too.

import { logTicks, ticks } from "/axis.js";
import { FONT, fitted, line, prepared, settle, token, watchLook } from "/canvas.js";
import { h } from "/dom.js";
import { draw, drawOnce, forget } from "/frames.js";
import { maxOf, minOf, shortNumber } from "/text.js";

const N_SHADES = 12;
const TOP_PX = 34;
const BOTTOM_PX = 26;
const MIN_GAP_PX = 84;

export class Parallel {
  /** `brushed(isInside, n)` is given a test of trials and how many pass, or null where nothing is brushed. */
  constructor({ label, height = 300, brushed, hovered, open }) {
    Object.assign(this, { brushed, hovered, open, height });
    this.axes = [];
    this.trials = [];
    this.shownId = null;
    this.back = h("canvas", { "aria-hidden": "true" });
    this.lines = h("canvas", { "aria-hidden": "true" });
    this.front = h("canvas", { "aria-hidden": "true", class: "front" });
    this.handles = h("div", { class: "handles" });
    this.inner = h("div", { class: "chart" }, this.back, this.lines, this.front, this.handles);
    this.inner.style.height = `${height}px`;
    this.host = h("div", { class: "wide", role: "group", "aria-label": label }, this.inner);
    this.drafts = [document.createElement("canvas"), document.createElement("canvas")];
    this.look = watchLook(this.host, () => this.redraw());
    this.listen();
  }

  close() {
    this.look.close();
    for (const owner of [this, this.lines, this.front, this.handles]) forget(owner);
  }

  /** `axes`: `{name, scale: "linear"|"log"|"category", values, range, isWhole, at(trial), text(trial)}`; the last one is the
      objective, by which lines are shaded; `isBetterHigh` says which end of it is good. */
  set(axes, trials, isBetterHigh) {
    const isSame = axes.length === this.axes.length && axes.every(({ name }, idx) => name === this.axes[idx].name);
    this.axes = axes.map((axis, idx) => ({ ...axis, brush: isSame ? this.axes[idx].brush : null }));
    this.isBetterHigh = isBetterHigh;
    this.trials = trials;
    for (const axis of this.axes) this.measure(axis);
    this.inner.style.minWidth = `${Math.max(280, this.axes.length * MIN_GAP_PX)}px`;
    this.places = new Float64Array(trials.length * this.axes.length);
    trials.forEach((trial, at) =>
      this.axes.forEach((axis, idx) => {
        this.places[at * this.axes.length + idx] = this.share(axis, axis.at(trial));
      }),
    );
    if (!isSame) this.makeHandles();
    this.redraw();
  }

  measure(axis) {
    if (axis.scale === "category") {
      axis.low = 0;
      axis.high = Math.max(1, axis.values.length - 1);
      axis.isLone = axis.values.length === 1;
      return;
    }
    const values = this.trials.map((trial) => axis.at(trial)).filter(Number.isFinite);
    let [low, high] = axis.range ?? [minOf(values), maxOf(values)];
    if (axis.scale === "log") [low, high] = [Math.log10(low), Math.log10(high)];
    if (!(low <= high)) [low, high] = [0, 1];
    if (low === high) {
      low -= 0.5;
      high += 0.5;
    }
    Object.assign(axis, { low, high });
  }

  /** Where a value lies on its axis, 0 at the foot and 1 at the top; what lies beyond an end stands there. */
  share(axis, value) {
    if (axis.isLone) return 0.5;
    const share = ((axis.scale === "log" ? Math.log10(value) : value) - axis.low) / (axis.high - axis.low);
    return share < 0 ? 0 : share > 1 ? 1 : share;
  }

  valueAt(axis, share) {
    if (axis.scale === "category")
      return axis.values[Math.max(0, Math.min(axis.values.length - 1, Math.round(share * (axis.values.length - 1))))];
    const at = axis.low + share * (axis.high - axis.low);
    return shortNumber(axis.scale === "log" ? 10 ** at : axis.isWhole ? Math.round(at) : at, 3);
  }

  isInside(at) {
    const n = this.axes.length;
    for (let idx = 0; idx < n; idx++) {
      const brush = this.axes[idx].brush;
      if (brush && !(this.places[at * n + idx] >= brush[0] - 1e-9 && this.places[at * n + idx] <= brush[1] + 1e-9)) return false;
    }
    return true;
  }

  get hasBrush() {
    return this.axes.some(({ brush }) => brush);
  }

  setBrush(axis, brush) {
    axis.brush = brush && brush[0] <= 0 && brush[1] >= 1 ? null : brush;
    this.placeHandles();
    draw(this.lines, () => this.lineSteps());
    drawOnce(this.front, () => this.drawFront());
    drawOnce(this.handles, () => this.tellBrushed());
  }

  tellBrushed() {
    if (!this.hasBrush) {
      this.brushed(null);
      return;
    }
    const inside = new Set();
    this.trials.forEach((trial, at) => {
      if (this.isInside(at)) inside.add(trial.id);
    });
    this.brushed((trial) => inside.has(trial.id), inside.size);
  }

  clear() {
    for (const axis of this.axes) axis.brush = null;
    this.setBrush(this.axes[0], null);
  }

  highlight(id) {
    if (this.shownId === id) return;
    this.shownId = id;
    if (this.look.isSeen) drawOnce(this.front, () => this.drawFront());
  }

  // ---- drawing -------------------------------------------------------------------------------

  redraw() {
    if (!this.look.isSeen || this.axes.length === 0) return;
    const width = this.inner.clientWidth;
    this.width = width;
    const margin = Math.min(60, width / this.axes.length / 2);
    this.xs = this.axes.map((_, idx) =>
      this.axes.length === 1 ? width / 2 : margin + (idx * (width - 2 * margin)) / (this.axes.length - 1),
    );
    this.placeHandles();
    draw(this, () => this.backSteps());
    draw(this.lines, () => this.lineSteps());
    drawOnce(this.front, () => this.drawFront());
  }

  y(share) {
    return this.height - BOTTOM_PX - share * (this.height - TOP_PX - BOTTOM_PX);
  }

  path(ctx, at) {
    const n = this.axes.length;
    ctx.beginPath();
    let isDown = false;
    for (let idx = 0; idx < n; idx++) {
      const share = this.places[at * n + idx];
      if (!Number.isFinite(share)) {
        isDown = false;
        continue;
      }
      if (isDown) ctx.lineTo(this.xs[idx], this.y(share));
      else ctx.moveTo(this.xs[idx], this.y(share));
      isDown = true;
    }
    ctx.stroke();
  }

  /** Every trial, pale: what a brush leaves out stays to be seen. */
  *backSteps() {
    const ctx = prepared(this.drafts[0], this.width, this.height, true);
    ctx.strokeStyle = token("--ghost");
    ctx.lineWidth = 1;
    for (let at = 0; at < this.trials.length; at++) {
      this.path(ctx, at);
      if (at % 60 === 59) {
        settle(ctx);
        yield;
      }
    }
    settle(ctx);
    yield;
    this.show(this.back, this.drafts[0]);
  }

  drawAxis(ctx, axis, x) {
    const gap = this.xs.length > 1 ? this.xs[1] - this.xs[0] : this.width;
    if (axis.brush) {
      const [from, to] = axis.brush;
      ctx.fillStyle = token("--select");
      ctx.fillRect(x - 7, this.y(to), 14, Math.max(2, this.y(from) - this.y(to)));
    }
    ctx.lineWidth = 1;
    ctx.strokeStyle = token("--axis");
    line(ctx, Math.round(x) + 0.5, this.y(1), Math.round(x) + 0.5, this.y(0));
    ctx.fillStyle = token("--ink");
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    ctx.fillText(fitted(ctx, axis.name, gap - 8), x, 2);
    ctx.fillStyle = token("--pale");
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    const marks =
      axis.scale === "category"
        ? axis.values.map((label, value) => ({ value, label }))
        : axis.scale === "log"
          ? logTicks(axis.low, axis.high, 6)
          : ticks(axis.low, axis.high, 6, axis.isWhole);
    ctx.lineWidth = 3;
    ctx.lineJoin = "round";
    for (const { value, label } of marks) {
      const y = this.y(this.share(axis, value)),
        text = fitted(ctx, label, gap - 14);
      ctx.strokeStyle = token("--axis");
      ctx.lineWidth = 1;
      line(ctx, x, y, x + 4, y);
      ctx.strokeStyle = token("--card");
      ctx.lineWidth = 3;
      ctx.strokeText(text, x + 7, y);
      ctx.fillText(text, x + 7, y);
    }
  }

  /** The trials that the brushes let through, the best ones last and strongest. */
  *lineSteps() {
    const ctx = prepared(this.drafts[1], this.width, this.height, true);
    const n = this.axes.length,
      shades = this.shades();
    const order = [];
    for (let at = 0; at < this.trials.length; at++) if (this.isInside(at)) order.push(at);
    const sign = this.isBetterHigh ? 1 : -1;
    order.sort((a, b) => sign * (this.places[a * n + n - 1] - this.places[b * n + n - 1]) || 0);
    yield;
    // Each twelfth of the trials has a shade of its own; of many trials only the best are drawn strongly.
    const isMany = order.length > 300,
      nShown = Math.max(1, order.length - 1);
    ctx.lineWidth = isMany ? 0.8 : 1.2;
    for (let i = 0; i < order.length; i++) {
      const rank = i / nShown;
      ctx.globalAlpha = isMany ? Math.min(0.9, 60 / order.length + 0.7 * rank ** (order.length / 40)) : 0.9;
      ctx.strokeStyle = shades[Math.min(N_SHADES - 1, Math.floor(rank * N_SHADES))];
      this.path(ctx, order[i]);
      if (i % 60 === 59) {
        settle(ctx);
        yield;
      }
    }
    settle(ctx);
    yield;
    this.show(this.lines, this.drafts[1]);
  }

  shades() {
    const parse = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    const [low, high] = [parse(token("--bad")), parse(token("--good"))];
    return Array.from(
      { length: N_SHADES },
      (_, i) => `rgb(${low.map((from, c) => Math.round(from + (high[c] - from) * (i / (N_SHADES - 1)) ** 1.5)).join(",")})`,
    );
  }

  show(canvas, draft) {
    const ctx = prepared(canvas, this.width, this.height);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(draft, 0, 0);
  }

  drawFront() {
    const ctx = prepared(this.front, this.width, this.height);
    ctx.font = FONT;
    this.axes.forEach((axis, idx) => this.drawAxis(ctx, axis, this.xs[idx]));
    const at = this.shownId === null ? -1 : this.trials.findIndex(({ id }) => id === this.shownId);
    if (at < 0) return;
    ctx.lineJoin = "round";
    for (const [colour, width] of [
      ["--card", 5],
      ["--ink", 2],
    ]) {
      ctx.strokeStyle = token(colour);
      ctx.lineWidth = width;
      this.path(ctx, at);
    }
    ctx.textBaseline = "middle";
    this.axes.forEach((axis, idx) => {
      const share = this.places[at * this.axes.length + idx];
      if (!Number.isFinite(share)) return;
      const text = axis.text(this.trials[at]),
        x = this.xs[idx],
        y = this.y(share);
      const width = ctx.measureText(text).width + 10,
        left = Math.min(this.width - width, x + 6);
      ctx.fillStyle = token("--ink");
      ctx.fillRect(left, y - 9, width, 18);
      ctx.fillStyle = token("--card");
      ctx.textAlign = "left";
      ctx.fillText(text, left + 5, y);
    });
  }

  // ---- pointer and keys ----------------------------------------------------------------------

  makeHandles() {
    this.handles.replaceChildren(
      ...this.axes.flatMap((axis, idx) =>
        [0, 1].map((end) => {
          const handle = h("div", {
            class: "handle",
            role: "slider",
            tabindex: "0",
            "aria-orientation": "vertical",
            "aria-label": `${axis.name}, ${end === 0 ? "from" : "to"}`,
            "aria-valuemin": "0",
            "aria-valuemax": "100",
            "data-end": String(end),
          });
          handle.addEventListener("keydown", (event) => {
            const now = this.axes[idx].brush ?? [0, 1];
            const step = this.axes[idx].scale === "category" ? 1 / Math.max(1, this.axes[idx].values.length - 1) : 0.02;
            const to = {
              ArrowUp: now[end] + step,
              ArrowRight: now[end] + step,
              ArrowDown: now[end] - step,
              ArrowLeft: now[end] - step,
              PageUp: now[end] + 0.2,
              PageDown: now[end] - 0.2,
              Home: 0,
              End: 1,
            }[event.key];
            if (event.key === "Escape") {
              this.setBrush(this.axes[idx], null);
              return;
            }
            if (to === undefined) return;
            event.preventDefault();
            const kept = Math.max(0, Math.min(1, to));
            this.setBrush(this.axes[idx], end === 0 ? [Math.min(kept, now[1]), now[1]] : [now[0], Math.max(kept, now[0])]);
          });
          return handle;
        }),
      ),
    );
    this.placeHandles();
  }

  /** Where the handles stand; before the axes are seen for the first time, only what they say. */
  placeHandles() {
    [...this.handles.children].forEach((handle, at) => {
      const axis = this.axes[at >> 1],
        end = at & 1;
      if (!axis) return;
      const share = axis.brush?.[end] ?? end;
      if (this.xs) handle.style.transform = `translate(${Math.round(this.xs[at >> 1])}px, ${Math.round(this.y(share))}px)`;
      handle.classList.toggle("set", Boolean(axis.brush));
      handle.setAttribute("aria-valuenow", String(Math.round(share * 100)));
      handle.setAttribute("aria-valuetext", String(this.valueAt(axis, share)));
    });
  }

  listen() {
    const inner = this.inner;
    let drag = null;
    const at = (event) => {
      const box = inner.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const shareAt = (y) => Math.max(0, Math.min(1, (this.height - BOTTOM_PX - y) / (this.height - TOP_PX - BOTTOM_PX)));
    const axisAt = (x) => (this.xs ?? []).findIndex((each) => Math.abs(each - x) <= 14);
    inner.addEventListener("pointerdown", (event) => {
      const [x, y] = at(event),
        idx = axisAt(x);
      if (event.button !== 0) return;
      if (idx < 0) {
        const id = this.nearest(x, y);
        if (id !== null && event.pointerType === "mouse") this.open(id);
        return;
      }
      event.preventDefault();
      inner.setPointerCapture(event.pointerId);
      const now = this.axes[idx].brush,
        share = shareAt(y);
      // An end that is near is moved, a range that is held is shifted, otherwise a new range begins.
      const end = [0, 1].find((each) => Math.abs(this.y((now ?? [0, 1])[each]) - y) < 9);
      drag = {
        idx,
        from: end !== undefined ? (now ?? [0, 1])[1 - end] : share,
        start: share,
        shift: end === undefined && now && share > now[0] && share < now[1] ? now : null,
        hasMoved: false,
        end,
      };
    });
    inner.addEventListener("pointermove", (event) => {
      const [x, y] = at(event);
      if (!drag) {
        inner.classList.toggle("on-axis", axisAt(x) >= 0);
        this.hovered(axisAt(x) >= 0 ? null : this.nearest(x, y));
        return;
      }
      const share = shareAt(y);
      if (Math.abs(share - drag.start) > 0.01) drag.hasMoved = true;
      if (!drag.hasMoved) return;
      if (drag.shift) {
        const by = Math.max(-drag.shift[0], Math.min(1 - drag.shift[1], share - drag.start));
        this.setBrush(this.axes[drag.idx], [drag.shift[0] + by, drag.shift[1] + by]);
      } else {
        this.setBrush(this.axes[drag.idx], [Math.min(drag.from, share), Math.max(drag.from, share)]);
      }
    });
    inner.addEventListener("pointerup", () => {
      if (drag && !drag.hasMoved && drag.end === undefined) this.setBrush(this.axes[drag.idx], null);
      drag = null;
    });
    inner.addEventListener("pointercancel", () => {
      drag = null;
    });
    inner.addEventListener("pointerleave", () => {
      if (!drag) this.hovered(null);
    });
  }

  /** The trial whose line passes nearest to a pixel. */
  nearest(x, y) {
    if (!this.xs || y < TOP_PX - 6) return null;
    let idx = this.xs.findIndex((each) => each > x) - 1;
    if (idx < 0) return null;
    const n = this.axes.length,
      t = (x - this.xs[idx]) / (this.xs[idx + 1] - this.xs[idx]);
    let best = 12,
      id = null;
    for (let at = 0; at < this.trials.length; at++) {
      const a = this.places[at * n + idx],
        b = this.places[at * n + idx + 1];
      const distance = Math.abs(this.y(a + (b - a) * t) - y);
      if (distance < best && (!this.hasBrush || this.isInside(at))) {
        best = distance;
        id = this.trials[at].id;
      }
    }
    return id;
  }
}
