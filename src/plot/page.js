const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);

const MAX_ROWS = 24;
/** How near the pointer must be to a curve for the tip to tell of it. */
const REACH_PX = 24;

const charts = data.charts.map(({ title, curves }) => ({
  title,
  curves: curves.map((curve) => {
    const raw = Float64Array.from(curve.y, (y) => (y === null ? NaN : y));
    const dash = curve.number === null ? [] : data.dashes[Math.floor(curve.number / data.light.length) % data.dashes.length];
    return { ...curve, x: Float64Array.from(curve.x), raw, shown: raw, dash };
  }),
}));
const curves = charts.flatMap((chart) => chart.curves);
const state = { weight: data.smoothing, isLog: data.log, view: null, x: null };
const isDark = matchMedia("(prefers-color-scheme: dark)");
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = ({ number }) => (number === null ? token("--quiet") : (isDark.matches ? data.dark : data.light)[number % data.light.length]);

/** The entries of the legend: each a set of curves that are shown and hidden together. A faint curve goes with the one
    beside it, quiet ones are one entry. */
const entries = [];
for (const chart of charts) {
  for (const curve of chart.curves) {
    const isAlike = (other) => (curve.number === null ? other.number === null : other.number === curve.number && (curve.faint || other.isFaint || other.name === curve.name));
    let entry = entries.find(isAlike);
    if (!entry) entries.push((entry = { number: curve.number, name: curve.name, isFaint: curve.faint, curve, curves: [], isHidden: false }));
    if (entry.isFaint && !curve.faint) Object.assign(entry, { name: curve.name, isFaint: false, curve });
    entry.curves.push(curve);
    curve.entry = entry;
  }
}
for (const entry of entries) {
  const nOthers = new Set(entry.curves.filter(({ faint }) => !faint).map(({ name }) => name)).size;
  if (entry.number === null) entry.name = nOthers === 1 ? "1 other" : `${nOthers} others`;
}
entries.sort((a, b) => (a.number === null) - (b.number === null));

// ---- smoothing -------------------------------------------------------------------------------

/** As TensorBoard: a debiased exponential moving average. A reduced curve has fewer points than were
    written, so that each counts for several. */
function smooth(ys, weight, nWritten) {
  let first = NaN, isConstant = true;
  for (const y of ys) {
    if (!Number.isFinite(y)) continue;
    if (Number.isNaN(first)) first = y;
    else if (y !== first) { isConstant = false; break; }
  }
  if (isConstant || !(weight > 0)) return ys;
  const w = Math.min(weight, 0.999999) ** Math.max(1, nWritten / ys.length);
  let last = 0, remaining = 1;
  return ys.map((y) => {
    if (!Number.isFinite(y)) return NaN;
    last = last * w + (1 - w) * y;
    remaining *= w;
    return last / (1 - remaining);
  });
}

// ---- what is seen ----------------------------------------------------------------------------

const canShow = (y) => Number.isFinite(y) && (!state.isLog || y > 0);
const isWhole = curves.every((curve) => curve.x.every(Number.isInteger));
const isVisible = (curve) => !curve.entry.isHidden && curve.x.length > 0;

function wholeRange() {
  let low = Infinity, high = -Infinity;
  for (const curve of curves.filter(isVisible)) {
    low = Math.min(low, curve.x[0]);
    high = Math.max(high, curve.x[curve.x.length - 1]);
  }
  return low <= high ? padded([low, high], 0) : [0, 1];
}

function setView(low, high) {
  const [from, to] = wholeRange();
  low = Math.max(low, from);
  high = Math.min(high, to);
  if (low <= from && high >= to) state.view = null;
  else if (high / 2 - low / 2 > Math.max(Math.abs(low), Math.abs(high)) * 1e-12) state.view = [low, high];
  redraw();
}

/** The narrowest part of an axis, as shares of it, in which most of some values lie, where that is a small one. */
function crowd(shares) {
  shares.sort();
  const n = Math.max(1, Math.floor(shares.length * 0.7));
  let band = null;
  for (let i = 0; i + n < shares.length; i++) {
    if (!band || shares[i + n] - shares[i] < band[1] - band[0]) band = [shares[i], shares[i + n]];
  }
  return band && band[1] - band[0] < 0.3 ? band : null;
}

/** Draws at the next frame, once. */
let isAsked = false;
function redraw() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    for (const panel of panels) { panel.drawBack(); panel.drawFront(); }
    byId("reset").hidden = state.view === null;
  });
}

const redrawFronts = () => requestAnimationFrame(() => { for (const panel of panels) panel.drawFront(); });

const make = (name, className, parent) => {
  const element = document.createElement(name);
  if (className) element.className = className;
  parent?.append(element);
  return element;
};

/** One chart: its drawing behind, and before it what answers to the pointer. */
class Panel {
  constructor({ title, curves }, parent) {
    this.curves = curves;
    this.frame = this.drag = this.py = null;
    const figure = make("figure", "", parent);
    if (charts.length > 1) make("figcaption", "", figure).textContent = title;
    this.host = make("div", "plot", figure);
    this.back = make("canvas", "back", this.host);
    this.back.setAttribute("aria-hidden", "true");
    this.front = make("canvas", "front", this.host);
    const n = `${curves.length} curve${curves.length === 1 ? "" : "s"}`;
    for (const [name, value] of Object.entries({ tabindex: "0", role: "img", "aria-describedby": "help", "aria-label": `Chart of ${n}${title ? `: ${title}` : ""}` }))
      this.front.setAttribute(name, value);
    this.tip = make("div", "tip", this.host);
    this.tip.hidden = true;
    new ResizeObserver(redraw).observe(this.host);
    this.listen();
  }

  get visible() {
    return this.curves.filter(isVisible);
  }

  prepared(canvas) {
    const { width, height } = this.host.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const ctx = canvas.getContext("2d");
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, height);
    return [ctx, width, height];
  }

  /** Where everything lies: ranges, the rectangle of the drawing, and the ticks. */
  layOut(ctx, width, height) {
    const [x0, x1] = state.view ?? wholeRange();
    let low = Infinity, high = -Infinity;
    const seen = [];
    for (const curve of this.visible) {
      const from = Math.max(0, lowerBound(curve.x, x0) - 1);
      const to = Math.min(curve.x.length, lowerBound(curve.x, x1) + 2);
      const isInside = (i) => curve.x[i] >= x0 && curve.x[i] <= x1;
      const stride = Math.max(1, Math.floor((to - from) * this.curves.length / 20000));
      let nSeen = 0;
      for (const isStrict of [true, false]) {
        for (let i = from; i < to && (isStrict || nSeen === 0); i++) {
          if (isStrict && !isInside(i)) continue;
          for (const y of [curve.shown[i], curve.raw[i]]) {
            if (!canShow(y)) continue;
            low = Math.min(low, y);
            high = Math.max(high, y);
            nSeen += isStrict ? 1 : 0;
          }
          if (i % stride === 0 && canShow(curve.shown[i])) seen.push(curve.shown[i]);
        }
        if (nSeen > 0) break;
      }
    }
    const isBlank = !(low <= high);
    if (isBlank) [low, high] = state.isLog ? [0.1, 1] : [0, 1];
    const ends = state.isLog ? [Math.log10(low), Math.log10(high)] : [low, high];
    if (state.isLog && ends[1] - ends[0] < 1e-9) { ends[0] -= 0.02; ends[1] += 0.02; }
    const [y0, y1] = padded(ends, 0.04);
    ctx.font = "12px system-ui, sans-serif";
    const top = data.y_label ? 26 : 10, bottom = height - (data.x_label ? 44 : 26);
    const nTicks = (distance, most) => Math.max(2, Math.min(most, Math.floor((bottom - top) / distance)));
    const share = (y) => ((state.isLog ? Math.log10(y) : y) / 2 - y0 / 2) / (y1 / 2 - y0 / 2);
    const some = (n) => (state.isLog ? logTicks(y0, y1, n) : ticks(y0, y1, n, false));
    const yTicks = denseTicks(some, nTicks(40, 12), nTicks(18, 60), crowd(Float64Array.from(seen, share)), share);
    const left = Math.min(width / 2, 12 + Math.max(16, ...yTicks.map(({ label }) => ctx.measureText(label).width)));
    const right = width - 16;
    const xTicks = ticks(x0, x1, Math.max(2, Math.min(12, Math.floor((right - left) / 85))), isWhole);
    const px = (x) => left + (x / 2 - x0 / 2) / (x1 / 2 - x0 / 2) * (right - left);
    const py = (y) => bottom - share(y) * (bottom - top);
    const xAt = (pixel) => {
      const at = (pixel - left) / (right - left);
      return x0 * (1 - at) + x1 * at;
    };
    const yMinor = state.isLog ? minorLogTicks(y0, y1) : [];
    return { x0, x1, left, right, top, bottom, xTicks, yTicks, yMinor, px, py, xAt, canShow, width, height, isBlank };
  }

  drawBack() {
    const [ctx, width, height] = this.prepared(this.back);
    const f = this.frame = this.layOut(ctx, width, height);
    ctx.font = "12px system-ui, sans-serif";
    ctx.lineWidth = 1;
    ctx.fillStyle = token("--pale");
    const rule = (xa, ya, xb, yb) => {
      ctx.beginPath();
      ctx.moveTo(Math.round(xa) + .5, Math.round(ya) + .5);
      ctx.lineTo(Math.round(xb) + .5, Math.round(yb) + .5);
      ctx.stroke();
    };
    ctx.strokeStyle = token("--minor");
    for (const value of f.yMinor) rule(f.left, f.py(value), f.right, f.py(value));
    ctx.strokeStyle = token("--mesh");
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (const { value, label } of f.yTicks) {
      rule(f.left, f.py(value), f.right, f.py(value));
      ctx.fillText(label, f.left - 7, f.py(value));
    }
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    let free = -Infinity;
    for (const { value, label } of f.xTicks) {
      const x = f.px(value), half = ctx.measureText(label).width / 2;
      rule(x, f.top, x, f.bottom);
      if (x - half >= free && x + half <= width) { ctx.fillText(label, x, f.bottom + 7); free = x + half + 8; }
    }
    ctx.strokeStyle = token("--axis");
    rule(f.left, f.bottom, f.right, f.bottom);
    rule(f.left, f.top, f.left, f.bottom);
    ctx.fillStyle = token("--ink");
    ctx.font = "13px system-ui, sans-serif";
    ctx.fillText(data.x_label, (f.left + f.right) / 2, f.bottom + 25);
    ctx.textAlign = "left";
    ctx.fillText(data.y_label, 2, 2);
    if (f.isBlank) {
      ctx.textAlign = "center";
      ctx.fillStyle = token("--pale");
      ctx.fillText("no values to draw", (f.left + f.right) / 2, (f.top + f.bottom) / 2);
    }
    ctx.save();
    ctx.beginPath();
    ctx.rect(f.left, f.top - 6, f.right - f.left + 8, f.bottom - f.top + 12);
    ctx.clip();
    ctx.lineJoin = "round";
    const rank = ({ end, number, faint }) => 4 * (end === "best") + 2 * (number !== null) + !faint;
    const ordered = this.visible.reverse().sort((a, b) => rank(a) - rank(b));
    const pass = (field, alpha, lineWidth) => {
      for (const curve of ordered) {
        if (field === "raw" && curve.shown === curve.raw) continue;
        ctx.globalAlpha = alpha * (curve.faint ? .5 : 1);
        ctx.lineWidth = lineWidth * (curve.faint ? .7 : curve.end === "best" ? 1.5 : curve.number === null ? .6 : 1);
        ctx.strokeStyle = ctx.fillStyle = colour(curve);
        ctx.setLineDash(curve.dash);
        trace(ctx, f, curve.x, curve[field]);
      }
    };
    pass("raw", isDark.matches ? .35 : .28, 1);
    pass("shown", 1, 1.8);
    ctx.globalAlpha = 1;
    ctx.setLineDash([]);
    for (const curve of ordered) if (!curve.faint) this.drawEnd(ctx, f, curve);
    ctx.restore();
  }

  /** The mark at the end of the best curve, and of one that was stopped. */
  drawEnd(ctx, f, curve) {
    let i = curve.end ? curve.x.length - 1 : -1;
    while (i >= 0 && !canShow(curve.shown[i])) i--;
    if (i < 0 || curve.x[i] < f.x0 || curve.x[i] > f.x1) return;
    const [x, y] = [f.px(curve.x[i]), f.py(curve.shown[i])];
    ctx.strokeStyle = ctx.fillStyle = colour(curve);
    ctx.beginPath();
    if (curve.end === "best") {
      ctx.arc(x, y, 4, 0, 7);
      ctx.fill();
      ctx.strokeStyle = token("--paper");
      ctx.lineWidth = 1;
    } else {
      ctx.lineWidth = 1.6;
      for (const [dx, dy] of [[3.5, 3.5], [3.5, -3.5]]) { ctx.moveTo(x - dx, y - dy); ctx.lineTo(x + dx, y + dy); }
    }
    ctx.stroke();
  }

  /** What lies before the curves: the range being dragged, or the crosshair, and in the chart with the pointer the values. */
  drawFront() {
    const [ctx] = this.prepared(this.front);
    const f = this.frame, tip = this.tip;
    tip.hidden = true;
    if (!f) return;
    if (this.drag && this.drag.to !== this.drag.from) {
      ctx.fillStyle = token("--select");
      const [from, to] = [this.drag.from, this.drag.to].sort((a, b) => a - b);
      ctx.fillRect(from, f.top, to - from, f.bottom - f.top);
      return;
    }
    if (state.x === null) return;
    const seen = this.visible;
    let at = NaN;
    for (const curve of seen) {
      const x = curve.x[nearest(curve.x, state.x)];
      if (x < f.x0 || x > f.x1) continue;
      if (!(Math.abs(x - state.x) >= Math.abs(at - state.x))) at = x;
    }
    if (Number.isNaN(at)) return;
    ctx.strokeStyle = token("--axis");
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(f.px(at), f.top);
    ctx.lineTo(f.px(at), f.bottom);
    ctx.stroke();
    ctx.setLineDash([]);
    if (this.py === null) return;
    const far = ({ y }) => (canShow(y) ? Math.abs(f.py(y) - this.py) : Infinity);
    const rows = seen.map((curve) => {
      const idx = nearest(curve.x, at);
      return { curve, x: curve.x[idx], y: curve.shown[idx], raw: curve.raw[idx] };
    }).filter(({ curve, x }) => x === at || Math.abs(f.px(x) - f.px(at)) < 40 || curve.number !== null);
    const near = rows.filter((row) => far(row) < REACH_PX && Math.abs(f.px(row.x) - f.px(at)) < 12).sort((a, b) => far(a) - far(b))[0] ?? null;
    if (near && rows.length > 1) {
      ctx.strokeStyle = ctx.fillStyle = token("--ink");
      ctx.lineWidth = 2.2;
      ctx.lineJoin = "round";
      ctx.save();
      ctx.beginPath();
      ctx.rect(f.left, f.top - 2, f.right - f.left + 2, f.bottom - f.top + 4);
      ctx.clip();
      trace(ctx, f, near.curve.x, near.curve.shown);
      ctx.restore();
    }
    for (const { curve, x, y } of rows) {
      if (!canShow(y) || x < f.x0 || x > f.x1 || (curve.number === null && curve !== near?.curve)) continue;
      ctx.fillStyle = colour(curve);
      ctx.strokeStyle = token("--paper");
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      ctx.arc(f.px(x), f.py(y), 4, 0, 7);
      ctx.fill();
      ctx.stroke();
    }
    fillTip(tip, at, rows, far, near);
    const box = tip.getBoundingClientRect(), gap = 16;
    const isRight = f.px(at) + gap + box.width <= f.width;
    const left = isRight ? f.px(at) + gap : Math.max(0, f.px(at) - gap - box.width);
    const top = Math.max(0, Math.min(this.py - box.height / 2, Math.max(0, f.height - box.height)));
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  listen() {
    const front = this.front;
    const pointer = (event) => {
      const box = front.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const clamped = (pixel) => Math.max(this.frame.left, Math.min(this.frame.right, pixel));
    const leave = () => { state.x = this.py = null; redrawFronts(); };
    front.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !this.frame) return;
      const [x] = pointer(event);
      front.setPointerCapture(event.pointerId);
      this.drag = { from: clamped(x), to: clamped(x) };
    });
    front.addEventListener("pointermove", (event) => {
      if (!this.frame) return;
      const [x, y] = pointer(event);
      state.x = this.frame.xAt(clamped(x));
      this.py = y;
      if (this.drag) this.drag.to = clamped(x);
      redrawFronts();
    });
    front.addEventListener("pointerup", () => {
      const drag = this.drag;
      this.drag = null;
      if (!drag) return;
      const [from, to] = [drag.from, drag.to].sort((a, b) => a - b);
      if (to - from >= 5) setView(this.frame.xAt(from), this.frame.xAt(to)); else this.drawFront();
    });
    front.addEventListener("pointercancel", () => { this.drag = null; this.drawFront(); });
    front.addEventListener("pointerleave", leave);
    front.addEventListener("blur", leave);
    front.addEventListener("dblclick", () => { state.view = null; redraw(); });
    front.addEventListener("keydown", (event) => {
      if (!this.frame) return;
      const f = this.frame, middle = state.x ?? f.x0 / 2 + f.x1 / 2;
      const zoom = (factor) => setView(middle - (middle - f.x0) * factor, middle + (f.x1 - middle) * factor);
      const keys = {
        ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), Escape: () => { state.view = null; redraw(); },
        "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), "0": () => { state.view = null; redraw(); },
      };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  }

  /** Moves the crosshair to the next x that any curve has and that is a pixel away. */
  step(direction) {
    const f = this.frame, gap = Math.abs(f.xAt(1) - f.xAt(0));
    const from = state.x ?? (direction > 0 ? f.x0 - gap : f.x1 + gap);
    let best = NaN;
    for (const curve of this.visible) {
      const idx = direction > 0 ? lowerBound(curve.x, from + gap) : lowerBound(curve.x, from - gap * .999) - 1;
      const x = curve.x[idx];
      if (x >= f.x0 && x <= f.x1 && !(Math.abs(x - from) >= Math.abs(best - from))) best = x;
    }
    if (Number.isNaN(best)) return;
    state.x = best;
    this.py = f.top + 40;
    redrawFronts();
    const spoken = this.visible.slice(0, 8).map((curve) => `${curve.name} ${brief(curve.shown[nearest(curve.x, best)])}`);
    byId("said").textContent = `${data.x_label || "x"} ${place(best)}: ${spoken.join(", ")}`;
  }
}

function fillTip(tip, at, rows, far, near) {
  const nMore = Math.max(0, rows.length - MAX_ROWS);
  if (nMore > 0) {
    // Those nearest to the pointer, in the order of the legend.
    const kept = new Set([...rows].sort((a, b) => far(a) - far(b)).slice(0, MAX_ROWS));
    rows = rows.filter((row) => kept.has(row));
  }
  const isSmoothed = rows.some(({ curve }) => curve.shown !== curve.raw);
  const cell = (row, text, className = "") => {
    const td = row.insertCell();
    td.textContent = text;
    td.className = className;
    return td;
  };
  const table = make("table");
  const head = table.insertRow();
  cell(head, `${data.x_label || "x"} ${place(at)}`, "at");
  if (isSmoothed) { cell(head, "smoothed", "pale"); cell(head, "raw", "pale"); }
  for (const each of rows) {
    const { curve, x, y, raw } = each, row = table.insertRow();
    if (each === near && rows.length > 1) row.className = "near";
    cell(row, "").append(key(curve), ` ${curve.name}`);
    cell(row, brief(y, 6));
    if (isSmoothed) cell(row, brief(raw, 6), "pale");
    if (x !== at) cell(row, `at ${place(x)}`, "pale");
  }
  if (nMore > 0) cell(table.insertRow(), `and ${nMore} more`, "pale");
  tip.replaceChildren(table);
  if (near?.curve.about.length > 0) {
    const about = make("dl", "", tip);
    for (const [name, value] of near.curve.about) {
      make("dt", "", about).textContent = name;
      make("dd", "", about).textContent = value;
    }
  }
  tip.hidden = false;
}

/** A piece of a curve's line, with the mark of its end. */
function key(curve) {
  const space = "http://www.w3.org/2000/svg";
  const add = (name, settings, parent) => {
    const element = document.createElementNS(space, name);
    for (const [setting, value] of Object.entries(settings)) element.setAttribute(setting, value);
    parent?.append(element);
    return element;
  };
  const svg = add("svg", { class: "key", "aria-hidden": "true" });
  const stroke = colour(curve);
  add("line", { x1: 0, x2: 22, y1: 4, y2: 4, stroke, "stroke-width": 3, "stroke-dasharray": curve.dash.join(" "), opacity: curve.faint ? .5 : 1 }, svg);
  if (curve.end === "best") add("circle", { cx: 22, cy: 4, r: 4, fill: stroke }, svg);
  if (curve.end === "stopped") add("path", { d: "M19 1l6 6m0-6l-6 6", stroke, "stroke-width": 1.6, fill: "none" }, svg);
  return svg;
}

// ---- around the drawing ----------------------------------------------------------------------

function resmooth() {
  for (const curve of curves) curve.shown = smooth(curve.raw, state.weight, curve.n);
  byId("weight").textContent = String(Number(state.weight.toFixed(3)));
  redraw();
}

function legend() {
  const buttons = entries.map((entry) => {
    const button = make("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(!entry.isHidden));
    const { curve } = entry;
    button.append(key(entry.number === null ? { ...curve, end: "", faint: false } : curve));
    make("span", "name", button).textContent = entry.name;
    // With several charts a curve has several last values.
    if (charts.length === 1 && entry.number !== null) make("span", "last", button).textContent = curve.x.length ? brief(curve.last) : "no points";
    button.addEventListener("click", (event) => {
      if (event.shiftKey) {
        const isAlone = entries.every((other) => other.isHidden === (other !== entry));
        for (const other of entries) other.isHidden = !isAlone && other !== entry;
      } else {
        entry.isHidden = !entry.isHidden;
      }
      buttons.forEach((each, idx) => each.setAttribute("aria-pressed", String(!entries[idx].isHidden)));
      redraw();
    });
    return button;
  });
  byId("legend").replaceChildren(...buttons);
}

function counts() {
  const lines = [...data.notes];
  const line = (field, what) => {
    const n = curves.reduce((sum, curve) => sum + curve[field], 0);
    const nCurves = curves.filter((curve) => curve[field] > 0).length;
    const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
    if (n > 0) lines.push(`left out ${what}: ${plural(n, "value")} in ${plural(nCurves, "curve")}`);
  };
  line("n_not_finite", "as NaN or infinite");
  if (state.isLog) line("n_not_positive", "as not positive on a logarithmic axis");
  line("n_no_place", "without a finite x");
  const reduced = curves.filter((curve) => curve.n > curve.x.length);
  if (reduced.length > 0) {
    const [n, kept] = [Math.max(...reduced.map((curve) => curve.n)), Math.max(...reduced.map((curve) => curve.x.length))];
    lines.push(`reduced to lowest and highest values: ${reduced.length} of ${curves.length} curves, up to ${n} points each, of which at most ${kept} are here`);
  }
  byId("counts").replaceChildren(...lines.map((text) => {
    const div = make("div");
    div.textContent = text;
    return div;
  }));
}

byId("title").textContent = data.title;
byId("title").hidden = data.title === "";
byId("charts").classList.toggle("several", charts.length > 1);
const panels = charts.map((chart) => new Panel(chart, byId("charts")));
byId("smoothing").value = String(state.weight);
byId("smoothing").addEventListener("input", (event) => { state.weight = Number(event.target.value); resmooth(); });
byId("log").checked = state.isLog;
byId("log").addEventListener("change", (event) => { state.isLog = event.target.checked; counts(); redraw(); });
byId("reset").addEventListener("click", () => { state.view = null; redraw(); });
isDark.addEventListener("change", () => { legend(); redraw(); });
legend();
counts();
resmooth();
