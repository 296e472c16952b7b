// A chart on a canvas: lines and points over two axes, that answers to the pointer and to keys and tells other charts
// which trial is looked at. Drawing that takes long is spread over frames; a chart that is out of sight draws nothing.

import { logTicks, lowerBound, padded, ticks, trace } from "/axis.js";
import { FONT, fitted, line, prepared, settle, token, watchLook } from "/canvas.js";
import { h, say } from "/dom.js";
import { draw, drawOnce, forget } from "/frames.js";

const REACH_PX = 28;

export class Chart {
  /** `describe({id, x, y, series})` gives `{title, rows: [[name, value]], note}` for the tip; `open(id)` follows a click or
      Enter; `hovered(id)` is told which trial is looked at, null for none. */
  constructor({ label, xLabel = "", yLabel = "", height = 240, describe, open = null, hovered = () => {} }) {
    Object.assign(this, { label, xLabel, yLabel, describe, open, hovered });
    this.series = [];
    this.xAxis = { scale: "linear" };
    this.isLog = false;
    this.view = null;
    this.hit = null;
    this.shownId = null;
    this.drag = null;
    this.back = h("canvas", { "aria-hidden": "true" });
    this.front = h("canvas", { tabindex: "0", role: "application", "aria-roledescription": "chart", "aria-label": label, class: "front" });
    this.draft = document.createElement("canvas");
    this.tip = h("div", { class: "tip", hidden: true });
    this.whole = h("button", { class: "small whole", hidden: true, onclick: () => this.setView(null) }, "Whole range");
    this.host = h("div", { class: "chart" }, this.back, this.front, this.tip, this.whole);
    this.host.style.height = `${height}px`;
    this.look = watchLook(this.host, () => this.redraw());
    this.listen();
  }

  /** `series`: lines `{kind: "line", id, xs, ys, colour, width, alpha, end, isFixed}`, points `{kind: "points", ids, xs, ys,
      colour, shape, size, isLoose}`, levels `{kind: "level", y, colour}` and bands
      `{kind: "band", xs, ys, lows, colour, alpha}`; colours are names of the style sheet, xs rise.
      Loose points have no say in the range of y: they stand at its edge. `yRange`: where it is to be another. */
  set({ series, isLog = this.isLog, xAxis = this.xAxis, yRange = null, summary = "" }) {
    Object.assign(this, { series, isLog, xAxis, yRange });
    const text = summary ? `${this.label}. ${summary}` : this.label;
    if (this.front.getAttribute("aria-label") !== text) this.front.setAttribute("aria-label", text);
    this.redraw();
  }

  close() {
    this.look.close();
    forget(this);
    forget(this.front);
  }

  redraw() {
    if (this.look.isSeen) draw(this, () => this.steps());
  }

  setView(view) {
    this.view = view;
    this.whole.hidden = view === null;
    this.redraw();
  }

  /** Shows the trial that is looked at elsewhere. */
  highlight(id) {
    if (this.shownId === id) return;
    this.shownId = id;
    this.redrawFront();
  }

  redrawFront() {
    if (this.look.isSeen) drawOnce(this.front, () => this.drawFront());
  }

  // ---- where everything lies -----------------------------------------------------------------

  tx(x) {
    return this.xAxis.scale === "log" ? Math.log10(x) : x;
  }

  layOut(ctx, width, height) {
    const canShow = (y) => Number.isFinite(y) && (!this.isLog || y > 0);
    const isCategory = this.xAxis.scale === "category";
    let [low, high, x0, x1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { kind, xs } of this.series) {
      if (kind === "level" || xs.length === 0) continue;
      if (kind !== "points") {
        x0 = Math.min(x0, this.tx(xs[0]));
        x1 = Math.max(x1, this.tx(xs[xs.length - 1]));
        continue;
      }
      for (const x of xs) {
        const at = this.tx(x);
        if (at < x0) x0 = at;
        if (at > x1) x1 = at;
      }
    }
    if (this.xAxis.range) [x0, x1] = this.xAxis.range.map((x) => this.tx(x));
    const hasPlace = isCategory || x0 <= x1;
    [x0, x1] = isCategory ? [-0.5, this.xAxis.values.length - 0.5] : x0 <= x1 ? padded([x0, x1], this.xAxis.margin ?? 0) : [0, 1];
    if (this.view) [x0, x1] = this.view;
    for (const { kind, xs, ys, lows, y, isLoose } of this.series) {
      if (isLoose) continue;
      if (kind === "level") {
        if (canShow(y)) {
          low = Math.min(low, y);
          high = Math.max(high, y);
        }
        continue;
      }
      for (let i = 0; i < ys.length; i++) {
        const value = ys[i];
        if (!canShow(value)) continue;
        if (this.view) {
          const at = this.tx(xs[i]);
          if (at < x0 || at > x1) continue;
        }
        if (value < low) low = value;
        if (value > high) high = value;
        if (lows && canShow(lows[i]) && lows[i] < low) low = lows[i];
      }
    }
    if (this.yRange?.every(canShow)) [low, high] = this.yRange;
    const isBlank = !(low <= high);
    if (isBlank) [low, high] = this.isLog ? [0.1, 1] : [0, 1];
    const [y0, y1] = padded(this.isLog ? [Math.log10(low), Math.log10(high)] : [low, high], 0.05);
    ctx.font = FONT;
    const top = this.yLabel ? 22 : 8,
      bottom = height - (this.xLabel ? 38 : 22);
    const nY = Math.max(2, Math.min(8, Math.floor((bottom - top) / 36)));
    const yTicks = isBlank ? [] : this.isLog ? logTicks(y0, y1, nY) : ticks(y0, y1, nY, false);
    const left = Math.min(width / 2, 10 + Math.max(16, ...yTicks.map(({ label }) => ctx.measureText(label).width)));
    const right = width - 10;
    const nX = Math.max(2, Math.min(10, Math.floor((right - left) / 70)));
    const xTicks = !hasPlace
      ? []
      : isCategory
        ? this.xAxis.values.map((label, value) => ({ value, label }))
        : this.xAxis.scale === "log"
          ? logTicks(x0, x1, nX)
          : ticks(x0, x1, nX, this.xAxis.isWhole ?? false);
    const [xScale, yScale] = [(right - left) / (x1 - x0), (bottom - top) / (y1 - y0)];
    const px = (x) => left + (this.tx(x) - x0) * xScale;
    const py = this.isLog ? (y) => bottom - (Math.log10(y) - y0) * yScale : (y) => bottom - (y - y0) * yScale;
    // What has no finite value stands at the foot.
    const pointY = (y) => (canShow(y) ? Math.max(top, Math.min(bottom - 3, py(y))) : bottom - 3);
    const xAt = (pixel) => x0 + (pixel - left) / xScale;
    const back = (at) => (this.xAxis.scale === "log" ? 10 ** at : at);
    return {
      x0: back(x0),
      x1: back(x1),
      from: x0,
      to: x1,
      left,
      right,
      top,
      bottom,
      xTicks,
      yTicks,
      px,
      py,
      pointY,
      xAt,
      back,
      canShow,
      width,
      height,
      isBlank,
    };
  }

  // ---- drawing -------------------------------------------------------------------------------

  *steps() {
    const { width, height } = this.look;
    if (width === 0) return;
    const ctx = prepared(this.draft, width, height, true);
    const f = this.layOut(ctx, width, height);
    this.drawAxes(ctx, f);
    yield;
    ctx.save();
    ctx.beginPath();
    ctx.rect(f.left - 1, f.top - 4, f.right - f.left + 6, f.bottom - f.top + 8);
    ctx.clip();
    ctx.lineJoin = "round";
    let n = 0;
    for (const series of this.series) {
      ctx.strokeStyle = ctx.fillStyle = token(series.colour);
      ctx.globalAlpha = series.alpha ?? 1;
      if (series.kind === "line") {
        ctx.lineWidth = series.width ?? 1.5;
        ctx.setLineDash(series.dash ?? []);
        trace(ctx, f, series.xs, series.ys);
        n += series.xs.length;
      } else if (series.kind === "band") {
        ctx.beginPath();
        series.xs.forEach((x, i) => ctx.lineTo(f.px(x), f.pointY(series.ys[i])));
        for (let i = series.xs.length - 1; i >= 0; i--) ctx.lineTo(f.px(series.xs[i]), f.pointY(series.lows[i]));
        ctx.fill();
      } else if (series.kind === "level") {
        ctx.lineWidth = 1;
        ctx.setLineDash([5, 4]);
        line(ctx, f.left, f.py(series.y), f.right, f.py(series.y));
      } else {
        ctx.setLineDash([]);
        for (let i = 0; i < series.xs.length; i++) {
          mark(ctx, series.shape, f.px(series.xs[i]), f.pointY(series.ys[i]), series.size ?? 3);
          if (i % 400 === 399) {
            settle(ctx);
            yield;
          }
        }
      }
      if (n > 1500) {
        n = 0;
        settle(ctx);
        yield;
      }
    }
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    for (const { kind, xs, ys, end, colour, endColour } of this.series) {
      if (kind !== "line" || !end) continue;
      const i = lastShown(ys, f.canShow);
      if (i < 0) continue;
      ctx.strokeStyle = ctx.fillStyle = token(endColour ?? colour);
      mark(ctx, end, f.px(xs[i]), f.py(ys[i]), 3);
    }
    ctx.restore();
    settle(ctx);
    yield;
    const shown = prepared(this.back, width, height);
    shown.setTransform(1, 0, 0, 1, 0, 0);
    shown.drawImage(this.draft, 0, 0);
    this.frame = f;
    this.drawFront();
  }

  drawAxes(ctx, f) {
    ctx.font = FONT;
    ctx.lineWidth = 1;
    ctx.fillStyle = token("--pale");
    ctx.strokeStyle = token("--mesh");
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const { value, label } of f.yTicks) {
      const y = Math.round(f.py(value)) + 0.5;
      line(ctx, f.left, y, f.right, y);
      ctx.fillText(label, f.left - 6, y);
    }
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    const room = this.xAxis.scale === "category" ? (f.right - f.left) / this.xAxis.values.length - 4 : Infinity;
    let free = -Infinity;
    for (const { value, label } of f.xTicks) {
      const text = fitted(ctx, label, room),
        half = ctx.measureText(text).width / 2;
      const x = Math.min(f.px(value), f.width - half);
      if (x - half < free) continue;
      ctx.fillText(text, x, f.bottom + 6);
      free = x + half + 8;
    }
    ctx.strokeStyle = token("--axis");
    line(ctx, f.left, Math.round(f.bottom) + 0.5, f.right, Math.round(f.bottom) + 0.5);
    ctx.fillText(this.xLabel, (f.left + f.right) / 2, f.bottom + 22);
    ctx.textAlign = "left";
    ctx.fillText(this.yLabel, 2, 2);
    if (!f.isBlank) return;
    ctx.textAlign = "center";
    ctx.fillText("no values", (f.left + f.right) / 2, (f.top + f.bottom) / 2 - 6);
  }

  /** What lies before the curves: the range being dragged, the trial that is looked at, and the tip. */
  drawFront() {
    const f = this.frame;
    if (!f) return;
    const ctx = prepared(this.front, f.width, f.height);
    if (this.drag && Math.abs(this.drag.to - this.drag.from) > 4) {
      ctx.fillStyle = token("--select");
      ctx.fillRect(Math.min(this.drag.from, this.drag.to), f.top, Math.abs(this.drag.to - this.drag.from), f.bottom - f.top);
    }
    const id = this.hit?.id ?? this.shownId;
    if (id !== null && id !== undefined) this.drawHighlight(ctx, f, id);
    if (!this.hit) {
      this.tip.hidden = true;
      return;
    }
    this.placeTip(f);
  }

  drawHighlight(ctx, f, id) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(f.left - 6, f.top - 6, f.right - f.left + 14, f.bottom - f.top + 12);
    ctx.clip();
    ctx.lineJoin = "round";
    for (const series of this.series) {
      if (series.kind === "line" && series.id === id) {
        for (const [colour, width] of [
          ["--card", 5],
          ["--ink", 2],
        ]) {
          ctx.strokeStyle = ctx.fillStyle = token(colour);
          ctx.lineWidth = width;
          trace(ctx, f, series.xs, series.ys);
        }
        if (!this.hit) {
          const i = lastShown(series.ys, f.canShow);
          if (i >= 0) spot(ctx, f.px(series.xs[i]), f.py(series.ys[i]));
        }
      } else if (series.kind === "points") {
        const i = series.ids.indexOf(id);
        if (i >= 0) spot(ctx, f.px(series.xs[i]), f.pointY(series.ys[i]));
      }
    }
    if (this.hit && this.hit.series.kind === "line") spot(ctx, f.px(this.hit.x), f.py(this.hit.y));
    ctx.restore();
  }

  placeTip(f) {
    const { title, rows, note } = this.describe(this.hit);
    const key = JSON.stringify([title, rows, note]);
    if (this.tipKey !== key || this.tip.hidden) {
      this.tipKey = key;
      this.tip.replaceChildren(
        h("strong", {}, title),
        h(
          "table",
          {},
          rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))),
        ),
        note ? h("p", {}, note) : "",
      );
      this.tip.hidden = false;
    }
    const [w, hh] = [this.tip.offsetWidth, this.tip.offsetHeight];
    const x = f.px(this.hit.x),
      y = f.pointY(this.hit.y);
    const left = x + 14 + w <= f.width ? x + 14 : x - 14 - w;
    this.tip.style.transform = `translate(${Math.round(Math.max(-4, Math.min(left, f.width - w)))}px, ${Math.round(Math.max(-8, Math.min(y - hh / 2, f.height - hh)))}px)`;
  }

  // ---- pointer and keys ----------------------------------------------------------------------

  /** What lies nearest to a pixel, within reach. */
  nearest(x, y) {
    const f = this.frame;
    let best = REACH_PX ** 2,
      hit = null;
    const offer = (distance, series, id, at, value) => {
      if (distance < best) {
        best = distance;
        hit = { series, id, x: at, y: value };
      }
    };
    for (const series of this.series) {
      if (series.kind === "level" || series.kind === "band" || series.isFixed) continue;
      const { xs, ys } = series;
      if (series.kind === "points") {
        for (let i = 0; i < xs.length; i++) {
          const dx = f.px(xs[i]) - x,
            dy = f.pointY(ys[i]) - y;
          offer(dx * dx + dy * dy, series, series.ids[i], xs[i], ys[i]);
        }
        continue;
      }
      const middle = lowerBound(xs, f.back(f.xAt(x)));
      for (let i = Math.max(0, middle - 2); i <= Math.min(xs.length - 1, middle + 1); i++) {
        if (!f.canShow(ys[i])) continue;
        const [ax, ay] = [f.px(xs[i]), f.py(ys[i])];
        let distance = (ax - x) ** 2 + (ay - y) ** 2;
        if (i + 1 < xs.length && f.canShow(ys[i + 1]))
          distance = Math.min(distance, toSegment(x, y, ax, ay, f.px(xs[i + 1]), f.py(ys[i + 1])));
        // Of two curves the nearer one; on one curve the nearer point.
        offer(distance + Math.abs(ax - x) * 1e-3, series, series.id, xs[i], ys[i]);
      }
    }
    return hit;
  }

  lookAt(hit) {
    const was = this.hit?.id ?? null,
      is = hit?.id ?? null;
    this.hit = hit;
    if (was !== is) this.hovered(is);
    this.front.classList.toggle("can-open", Boolean(hit && this.open));
    this.redrawFront();
  }

  listen() {
    const front = this.front;
    const at = (event) => [event.offsetX, event.offsetY];
    const clamped = (x) => Math.max(this.frame.left, Math.min(this.frame.right, x));
    front.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.frame) return;
      const [x, y] = at(event);
      if (event.pointerType === "mouse") {
        front.setPointerCapture(event.pointerId);
        this.drag = { from: clamped(x), to: clamped(x) };
      } else this.lookAt(this.nearest(x, y));
    });
    front.addEventListener("pointermove", (event) => {
      if (!this.frame) return;
      const [x, y] = at(event);
      if (this.drag) this.drag.to = clamped(x);
      this.lookAt(this.drag && Math.abs(this.drag.to - this.drag.from) > 4 ? null : this.nearest(x, y));
    });
    front.addEventListener("pointerup", (event) => {
      const drag = this.drag;
      this.drag = null;
      if (!drag || !this.frame) return;
      const [from, to] = [drag.from, drag.to].sort((a, b) => a - b);
      if (to - from > 4) {
        if (this.xAxis.scale !== "category") this.setView([this.frame.xAt(from), this.frame.xAt(to)]);
        this.redrawFront();
        return;
      }
      const hit = this.nearest(...at(event));
      if (hit && this.open) this.open(hit.id);
    });
    front.addEventListener("pointercancel", () => {
      this.drag = null;
      this.lookAt(null);
    });
    front.addEventListener("pointerleave", () => {
      if (!this.drag) this.lookAt(null);
    });
    front.addEventListener("dblclick", () => this.setView(null));
    front.addEventListener("blur", () => this.lookAt(null));
    front.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !this.frame) return;
      const keys = {
        ArrowLeft: () => this.walk(-1, 0),
        ArrowRight: () => this.walk(1, 0),
        ArrowUp: () => this.walk(0, -1),
        ArrowDown: () => this.walk(0, 1),
        Enter: () => {
          if (this.hit && this.open) this.open(this.hit.id);
        },
        Escape: () => {
          this.setView(null);
          this.lookAt(null);
        },
      };
      if (!keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  /** Moves what is looked at: along x, or to the next curve. */
  walk(along, across) {
    const f = this.frame,
      isSeen = (x, y) => x >= f.x0 && x <= f.x1 && f.canShow(y);
    const lines = this.series.filter((series) => series.kind === "line" && !series.isFixed && series.ys.some(f.canShow));
    let hit = null;
    if (lines.length > 0) {
      lines.sort((a, b) => b.ys[lastShown(b.ys, f.canShow)] - a.ys[lastShown(a.ys, f.canShow)]);
      const now = Math.max(
        0,
        lines.findIndex((series) => series === this.hit?.series || series.id === this.hit?.id),
      );
      const series = lines[this.hit ? Math.max(0, Math.min(lines.length - 1, now + across)) : 0];
      let i = this.hit ? Math.min(series.xs.length - 1, lowerBound(series.xs, this.hit.x)) : lastShown(series.ys, f.canShow);
      if (along !== 0 && this.hit) {
        const from = f.px(series.xs[i]);
        do i += along;
        while (i > 0 && i < series.xs.length - 1 && (Math.abs(f.px(series.xs[i]) - from) < 3 || !f.canShow(series.ys[i])));
      }
      i = Math.max(0, Math.min(series.xs.length - 1, i));
      hit = { series, id: series.id, x: series.xs[i], y: series.ys[i] };
    } else {
      const points = this.series
        .filter(({ kind }) => kind === "points")
        .flatMap((series) => series.ids.map((id, i) => ({ series, id, x: series.xs[i], y: series.ys[i] })))
        .filter(({ x, y }) => isSeen(x, y) || !f.canShow(y))
        .sort((a, b) => a.x - b.x || b.y - a.y);
      const now = points.findIndex(({ id }) => id === this.hit?.id);
      hit = points[now < 0 ? points.length - 1 : Math.max(0, Math.min(points.length - 1, now + along + across))] ?? null;
    }
    if (!hit) return;
    this.lookAt(hit);
    const { title, rows, note } = this.describe(hit);
    say([title, ...rows.map(([name, value]) => `${name} ${value}`), note].filter(Boolean).join(", "));
  }
}

function lastShown(ys, canShow) {
  let i = ys.length - 1;
  while (i >= 0 && !canShow(ys[i])) i--;
  return i;
}

/** A mark: a dot, a ring, a cross for what was stopped or failed. */
function mark(ctx, shape, x, y, size) {
  ctx.beginPath();
  if (shape === "cross") {
    ctx.lineWidth = 1.6;
    ctx.moveTo(x - size, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.moveTo(x + size, y - size);
    ctx.lineTo(x - size, y + size);
    ctx.stroke();
  } else if (shape === "ring") {
    ctx.lineWidth = 1.5;
    ctx.arc(x, y, size, 0, 7);
    ctx.stroke();
  } else {
    ctx.arc(x, y, size, 0, 7);
    ctx.fill();
  }
}

function spot(ctx, x, y) {
  ctx.fillStyle = token("--ink");
  ctx.strokeStyle = token("--card");
  ctx.lineWidth = 2;
  ctx.beginPath();
  ctx.arc(x, y, 5, 0, 7);
  ctx.fill();
  ctx.stroke();
}

function toSegment(x, y, ax, ay, bx, by) {
  const [dx, dy] = [bx - ax, by - ay],
    size = dx * dx + dy * dy;
  const t = size === 0 ? 0 : Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / size));
  return (ax + t * dx - x) ** 2 + (ay + t * dy - y) ** 2;
}
