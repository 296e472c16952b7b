const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);

// Okabe and Ito's colours, which the colour-blind tell apart, for light and for dark paper.
const LIGHT = ["#0072b2", "#e68700", "#008c64", "#cc649b", "#46a5dc", "#be4600", "#6e50b4", "#5a5a5a"];
const DARK = ["#4aa8e8", "#f5a623", "#2fc795", "#ee8fc0", "#8fd0f7", "#ff7f45", "#a88ff0", "#b8bec4"];
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]];
const MAX_ROWS = 24;

const curves = data.curves.map((curve, idx) => {
  const raw = Float64Array.from(curve.y, (y) => (y === null ? NaN : y));
  return {
    ...curve, idx, x: Float64Array.from(curve.x), raw, shown: raw, isHidden: false,
    dash: DASHES[Math.floor(idx / LIGHT.length) % DASHES.length],
  };
});
const state = { weight: data.smoothing, isLog: data.log, view: null, cursor: null, drag: null };
const isDark = matchMedia("(prefers-color-scheme: dark)");
const colour = (curve) => (isDark.matches ? DARK : LIGHT)[curve.idx % LIGHT.length];
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

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

const visible = () => curves.filter((curve) => !curve.isHidden && curve.x.length > 0);
const canShow = (y) => Number.isFinite(y) && (!state.isLog || y > 0);
const isWhole = curves.every((curve) => curve.x.every(Number.isInteger));

function wholeRange() {
  let low = Infinity, high = -Infinity;
  for (const curve of visible()) {
    low = Math.min(low, curve.x[0]);
    high = Math.max(high, curve.x[curve.x.length - 1]);
  }
  return low <= high ? padded([low, high], 0) : [0, 1];
}

let frame = null;

/** Where everything lies: ranges, the rectangle of the drawing, and the ticks. */
function layOut(ctx, width, height) {
  const [x0, x1] = state.view ?? wholeRange();
  let low = Infinity, high = -Infinity;
  for (const curve of visible()) {
    const from = Math.max(0, lowerBound(curve.x, x0) - 1);
    const to = Math.min(curve.x.length, lowerBound(curve.x, x1) + 2);
    const isInside = (i) => curve.x[i] >= x0 && curve.x[i] <= x1;
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
  const nY = Math.max(2, Math.min(10, Math.floor((bottom - top) / 45)));
  const yTicks = state.isLog ? logTicks(y0, y1, nY) : ticks(y0, y1, nY, false);
  const left = Math.min(width / 2, 12 + Math.max(16, ...yTicks.map(({ label }) => ctx.measureText(label).width)));
  const right = width - 16;
  const xTicks = ticks(x0, x1, Math.max(2, Math.min(12, Math.floor((right - left) / 85))), isWhole);
  const px = (x) => left + (x / 2 - x0 / 2) / (x1 / 2 - x0 / 2) * (right - left);
  const py = (y) => {
    const at = state.isLog ? Math.log10(y) : y;
    return bottom - (at / 2 - y0 / 2) / (y1 / 2 - y0 / 2) * (bottom - top);
  };
  const xAt = (pixel) => {
    const share = (pixel - left) / (right - left);
    return x0 * (1 - share) + x1 * share;
  };
  return { x0, x1, left, right, top, bottom, xTicks, yTicks, px, py, xAt, canShow, width, height, isBlank };
}

// ---- drawing ---------------------------------------------------------------------------------

function prepared(canvas) {
  const { width, height } = byId("plot").getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return [ctx, width, height];
}

function drawBack() {
  const [ctx, width, height] = prepared(byId("back"));
  const f = frame = layOut(ctx, width, height);
  ctx.font = "12px system-ui, sans-serif";
  ctx.lineWidth = 1;
  ctx.strokeStyle = token("--mesh");
  ctx.fillStyle = token("--pale");
  const rule = (xa, ya, xb, yb) => {
    ctx.beginPath();
    ctx.moveTo(Math.round(xa) + .5, Math.round(ya) + .5);
    ctx.lineTo(Math.round(xb) + .5, Math.round(yb) + .5);
    ctx.stroke();
  };
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
  ctx.rect(f.left, f.top - 2, f.right - f.left + 2, f.bottom - f.top + 4);
  ctx.clip();
  ctx.lineJoin = "round";
  const pass = (field, alpha, lineWidth) => {
    ctx.globalAlpha = alpha;
    ctx.lineWidth = lineWidth;
    for (const curve of visible().reverse()) {
      if (field === "raw" && curve.shown === curve.raw) continue;
      ctx.strokeStyle = ctx.fillStyle = colour(curve);
      ctx.setLineDash(curve.dash);
      trace(ctx, f, curve.x, curve[field]);
    }
  };
  pass("raw", isDark.matches ? .35 : .28, 1);
  pass("shown", 1, 1.8);
  ctx.restore();
  byId("reset").hidden = state.view === null;
}

/** What lies before the curves: the range being dragged, or the crosshair with its values. */
function drawFront() {
  const [ctx] = prepared(byId("front"));
  const f = frame, tip = byId("tip");
  tip.hidden = true;
  if (!f) return;
  if (state.drag && state.drag.to !== state.drag.from) {
    ctx.fillStyle = token("--select");
    const [from, to] = [state.drag.from, state.drag.to].sort((a, b) => a - b);
    ctx.fillRect(from, f.top, to - from, f.bottom - f.top);
    return;
  }
  if (!state.cursor) return;
  const seen = visible();
  let at = NaN;
  for (const curve of seen) {
    const x = curve.x[nearest(curve.x, state.cursor.x)];
    if (x < f.x0 || x > f.x1) continue;
    if (!(Math.abs(x - state.cursor.x) >= Math.abs(at - state.cursor.x))) at = x;
  }
  if (Number.isNaN(at)) return;
  ctx.strokeStyle = token("--axis");
  ctx.setLineDash([4, 3]);
  ctx.beginPath();
  ctx.moveTo(f.px(at), f.top);
  ctx.lineTo(f.px(at), f.bottom);
  ctx.stroke();
  ctx.setLineDash([]);
  const rows = seen.map((curve) => {
    const idx = nearest(curve.x, at);
    return { curve, x: curve.x[idx], y: curve.shown[idx], raw: curve.raw[idx] };
  });
  for (const { curve, x, y } of rows) {
    if (!canShow(y) || x < f.x0 || x > f.x1) continue;
    ctx.fillStyle = colour(curve);
    ctx.strokeStyle = token("--paper");
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.arc(f.px(x), f.py(y), 4, 0, 7);
    ctx.fill();
    ctx.stroke();
  }
  fillTip(tip, at, rows);
  const box = tip.getBoundingClientRect(), gap = 16;
  const isRight = f.px(at) + gap + box.width <= f.width;
  const left = isRight ? f.px(at) + gap : Math.max(0, f.px(at) - gap - box.width);
  const top = Math.max(0, Math.min(state.cursor.py - box.height / 2, f.height - box.height));
  tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
}

function fillTip(tip, at, rows) {
  const f = frame, nMore = Math.max(0, rows.length - MAX_ROWS);
  if (nMore > 0) {
    // Those nearest to the pointer, in the order of the legend.
    const far = ({ y }) => (canShow(y) ? Math.abs(f.py(y) - state.cursor.py) : Infinity);
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
  const table = document.createElement("table");
  const head = table.insertRow();
  cell(head, `${data.x_label || "x"} ${place(at)}`, "at");
  if (isSmoothed) { cell(head, "smoothed", "pale"); cell(head, "raw", "pale"); }
  for (const { curve, x, y, raw } of rows) {
    const row = table.insertRow();
    const name = cell(row, "");
    name.append(key(curve), ` ${curve.name}`);
    cell(row, brief(y, 6));
    if (isSmoothed) cell(row, brief(raw, 6), "pale");
    if (x !== at) cell(row, `at ${place(x)}`, "pale");
  }
  if (nMore > 0) cell(table.insertRow(), `and ${nMore} more`, "pale");
  tip.replaceChildren(table);
  tip.hidden = false;
}

function key(curve) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg"), line = document.createElementNS(space, "line");
  svg.setAttribute("class", "key");
  svg.setAttribute("aria-hidden", "true");
  const settings = { x1: 0, x2: 22, y1: 4, y2: 4, stroke: colour(curve), "stroke-width": 3, "stroke-dasharray": curve.dash.join(" ") };
  for (const [name, value] of Object.entries(settings)) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

// ---- around the drawing ----------------------------------------------------------------------

let isAsked = false;

/** Draws at the next frame, once. */
function redraw() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => { isAsked = false; drawBack(); drawFront(); });
}

function resmooth() {
  for (const curve of curves) curve.shown = smooth(curve.raw, state.weight, curve.n);
  byId("weight").textContent = String(Number(state.weight.toFixed(3)));
  redraw();
}

function legend() {
  const buttons = curves.map((curve) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(!curve.isHidden));
    const span = (className, text) => {
      const element = document.createElement("span");
      element.className = className;
      element.textContent = text;
      return element;
    };
    const last = curve.x.length ? brief(curve.last) : "no points";
    button.append(key(curve), span("name", curve.name), span("last", last));
    button.addEventListener("click", (event) => {
      if (event.shiftKey) {
        const isAlone = curves.every((other) => other.isHidden === (other !== curve));
        for (const other of curves) other.isHidden = !isAlone && other !== curve;
      } else {
        curve.isHidden = !curve.isHidden;
      }
      buttons.forEach((each, idx) => each.setAttribute("aria-pressed", String(!curves[idx].isHidden)));
      redraw();
    });
    return button;
  });
  byId("legend").replaceChildren(...buttons);
}

function counts() {
  const lines = [];
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
    const div = document.createElement("div");
    div.textContent = text;
    return div;
  }));
}

function setView(low, high) {
  const [from, to] = wholeRange();
  low = Math.max(low, from);
  high = Math.min(high, to);
  if (low <= from && high >= to) state.view = null;
  else if (high / 2 - low / 2 > Math.max(Math.abs(low), Math.abs(high)) * 1e-12) state.view = [low, high];
  redraw();
}

const front = byId("front");
const pointer = (event) => {
  const box = front.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};
const clamped = (pixel) => Math.max(frame.left, Math.min(frame.right, pixel));

front.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !frame) return;
  const [x] = pointer(event);
  front.setPointerCapture(event.pointerId);
  state.drag = { from: clamped(x), to: clamped(x) };
});
front.addEventListener("pointermove", (event) => {
  if (!frame) return;
  const [x, y] = pointer(event);
  state.cursor = { x: frame.xAt(clamped(x)), py: y };
  if (state.drag) state.drag.to = clamped(x);
  requestAnimationFrame(drawFront);
});
front.addEventListener("pointerup", () => {
  const drag = state.drag;
  state.drag = null;
  if (!drag) return;
  const [from, to] = [drag.from, drag.to].sort((a, b) => a - b);
  if (to - from >= 5) setView(frame.xAt(from), frame.xAt(to)); else drawFront();
});
front.addEventListener("pointercancel", () => { state.drag = null; drawFront(); });
front.addEventListener("pointerleave", () => { state.cursor = null; drawFront(); });
front.addEventListener("dblclick", () => { state.view = null; redraw(); });
front.addEventListener("blur", () => { state.cursor = null; drawFront(); });
front.addEventListener("keydown", (event) => {
  if (!frame) return;
  const f = frame, middle = state.cursor?.x ?? f.x0 / 2 + f.x1 / 2;
  const zoom = (factor) => setView(middle - (middle - f.x0) * factor, middle + (f.x1 - middle) * factor);
  const keys = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), Escape: () => { state.view = null; redraw(); },
    "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), "0": () => { state.view = null; redraw(); },
  };
  if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
});

/** Moves the crosshair to the next x that any curve has and that is a pixel away. */
function step(direction) {
  const f = frame, gap = Math.abs(f.xAt(1) - f.xAt(0));
  const from = state.cursor?.x ?? (direction > 0 ? f.x0 - gap : f.x1 + gap);
  let best = NaN;
  for (const curve of visible()) {
    const idx = direction > 0 ? lowerBound(curve.x, from + gap) : lowerBound(curve.x, from - gap * .999) - 1;
    const x = curve.x[idx];
    if (x >= f.x0 && x <= f.x1 && !(Math.abs(x - from) >= Math.abs(best - from))) best = x;
  }
  if (Number.isNaN(best)) return;
  state.cursor = { x: best, py: f.top + 40 };
  drawFront();
  const spoken = visible().slice(0, 8).map((curve) => `${curve.name} ${brief(curve.shown[nearest(curve.x, best)])}`);
  byId("said").textContent = `${data.x_label || "x"} ${place(best)}: ${spoken.join(", ")}`;
}

byId("title").textContent = data.title;
front.setAttribute("aria-label", `Chart of ${curves.length} curve${curves.length === 1 ? "" : "s"}`);
byId("smoothing").value = String(state.weight);
byId("smoothing").addEventListener("input", (event) => { state.weight = Number(event.target.value); resmooth(); });
byId("log").checked = state.isLog;
byId("log").addEventListener("change", (event) => { state.isLog = event.target.checked; counts(); redraw(); });
byId("reset").addEventListener("click", () => { state.view = null; redraw(); });
isDark.addEventListener("change", () => { legend(); redraw(); });
new ResizeObserver(redraw).observe(byId("plot"));
legend();
counts();
resmooth();
