// Axes and curves: numbers as text, ticks, where a value lies in a sorted list, the line of a curve. The pages of
// `hptune plot` and of `hptune serve` share this file: the first holds it within itself, the second loads it as a module.

export function brief(value, digits = 5) {
  if (value === null || Number.isNaN(value)) return "not finite";
  const rounded = Number(value.toPrecision(digits));
  const size = Math.abs(rounded);
  return size !== 0 && (size < 1e-4 || size >= 1e7) ? rounded.toExponential().replace("e+", "e") : String(rounded);
}

/** x as it was counted: whole numbers keep every digit. */
export const place = (x) => (Number.isInteger(x) && Math.abs(x) < 1e15 ? String(x) : brief(x, 8));

/** Round numbers from low to high, at most nMax, and their labels. */
export function ticks(low, high, nMax, isWhole) {
  const span = high / 2 - low / 2;
  const start = Math.floor(Math.log10(span)) - 3;
  for (let exponent = start; exponent < start + 6; exponent++) {
    for (const digits of [10, 20, 25, 50]) {
      const step = Number(`${digits}e${exponent}`);
      const decimals = Math.max(0, -(digits === 25 ? exponent : exponent + 1));
      if (isWhole && decimals > 0) continue;
      const from = Math.ceil(low / step), n = Math.floor(high / step) - from + 1;
      if (n > nMax) continue;
      const values = Array.from({ length: Math.max(0, n) }, (_, i) => (from + i) * step + 0);
      return values.map((value) => ({ value, label: tickLabel(value, values, decimals, exponent, digits) }));
    }
  }
  return [];
}

function tickLabel(value, values, decimals, exponent, digits) {
  const largest = Math.max(...values.map(Math.abs));
  const isPlain = largest === 0 || (largest >= 1e-3 && largest < 1e5 && decimals <= 9);
  if (value === 0 && !isPlain) return "0";
  if (largest >= 1e5 && largest < 1e15) {
    for (const [power, name] of [[12, "T"], [9, "G"], [6, "M"], [3, "k"]]) {
      const shifted = Math.max(0, -((digits === 25 ? exponent : exponent + 1) - power));
      if (largest >= 10 ** power && largest < 10 ** (power + 3) && shifted <= 2) return (value / 10 ** power).toFixed(shifted) + name;
    }
  }
  if (isPlain || (largest >= 1e5 && largest < 1e15 && decimals <= 9)) return value.toFixed(decimals);
  return brief(value, Math.min(17, Math.max(1, Math.floor(Math.log10(Math.abs(value))) - exponent + 1)));
}

/** Ticks of a logarithmic axis; low and high are exponents. */
export function logTicks(low, high, nMax) {
  const sets = [1, 2, 3, 5, 10, 20, 50, 100, 200].map((stride) => [[1], stride]);
  sets.push([[1, 2, 5], 1], [[1, 2, 3, 4, 5, 6, 7, 8, 9], 1]);
  const candidates = sets.map(([digits, stride]) => {
    const values = [];
    for (let e = Math.floor(low); e <= Math.ceil(high); e++) {
      if (e % stride !== 0) continue;
      for (const digit of digits) {
        const value = Number(`${digit}e${e}`);
        if (value > 0 && Math.log10(value) >= low && Math.log10(value) <= high) values.push(value);
      }
    }
    return values;
  });
  const ofAtLeast = (nMin) => candidates.find((values) => values.length >= nMin && values.length <= nMax)
    ?.map((value) => ({ value, label: brief(value) }));
  const linear = ticks(10 ** low, Math.min(10 ** high, Number.MAX_VALUE), nMax, false).filter(({ value }) => value > 0);
  // Over more than a decade equal steps would crowd at one end.
  const isWide = high - low >= 1;
  return ofAtLeast(3) ?? (linear.length >= 3 && !isWide ? linear : ofAtLeast(2) ?? linear);
}

/** The multiples of the powers of ten on a logarithmic axis over more than one and not too many decades. */
export function minorLogTicks(low, high) {
  const values = [];
  if (high - low < 1 || high - low >= 9) return values;
  for (let e = Math.floor(low); e <= Math.ceil(high); e++) for (let digit = 2; digit < 10; digit++) values.push(Number(`${digit}e${e}`));
  return values.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

/** Ticks by `some(nMax)`, and finer ones, up to nMost along the whole axis, in a part of it in which most of the values lie:
    `crowd` gives its ends as shares of the axis, as `share` gives that of a value. */
export function denseTicks(some, nMax, nMost, crowd, share) {
  const plain = some(nMax);
  if (!crowd || nMost <= nMax) return plain;
  const fine = some(nMost), apart = 0.8 / nMost;
  const at = fine.map(({ value }) => share(value)), of = plain.map(({ value }) => share(value));
  const step = Math.max(apart, ...at.slice(1).map((each, i) => each - at[i]));
  const isAmong = (each, all) => all.some((other) => Math.abs(each - other) < 1e-9);
  const isCrowded = (each) => each >= crowd[0] - step * 0.6 && each <= crowd[1] + step * 0.6;
  // Written in one manner where the plain ones are among the finer ones.
  if (of.every((each) => isAmong(each, at))) return fine.filter((_, i) => isAmong(at[i], of) || isCrowded(at[i]));
  const added = fine.filter((_, i) => isCrowded(at[i]) && of.every((each) => Math.abs(each - at[i]) >= apart));
  return [...plain, ...added].sort((a, b) => a.value - b.value);
}

/** A range with a length. */
export function padded([low, high], share) {
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (!(high / 2 - low / 2 > Math.max(size * 1e-14, 1e-290))) {
    const pad = size === 0 ? 1 : Math.max(size * 0.05, 4e-290);
    [low, high] = [low / 2 + high / 2 - pad, low / 2 + high / 2 + pad];
  }
  const margin = (high / 2 - low / 2) * 2 * share;
  const finite = (value) => Math.min(Number.MAX_VALUE, Math.max(-Number.MAX_VALUE, value));
  return [finite(low - margin), finite(high + margin)];
}

/** The first index whose x is at least the given. */
export function lowerBound(xs, x) {
  let from = 0, to = xs.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (xs[middle] < x) from = middle + 1; else to = middle;
  }
  return from;
}

export function nearest(xs, x) {
  const idx = lowerBound(xs, x);
  if (idx === 0) return 0;
  if (idx === xs.length) return idx - 1;
  return x - xs[idx - 1] <= xs[idx] - x ? idx - 1 : idx;
}

/** Draws one curve: in each column of pixels its first, lowest, highest and last value. The frame f says what is in view
    (x0, x1), where a value lies (px, py) and whether it can be shown. */
export function trace(ctx, f, xs, ys) {
  const from = Math.max(0, lowerBound(xs, f.x0) - 1);
  const to = Math.min(xs.length, lowerBound(xs, f.x1) + 2);
  let column = null, at = 0, first = 0, low = 0, high = 0, last = 0, nInRun = 0, lonely = [];
  const flush = () => {
    if (column === null) return;
    if (nInRun === 0) ctx.moveTo(at, first); else ctx.lineTo(at, first);
    if (low !== high) { ctx.lineTo(at, low); ctx.lineTo(at, high); ctx.lineTo(at, last); }
    nInRun += low !== high ? 2 : 1;
    column = null;
  };
  const endRun = () => {
    flush();
    if (nInRun === 1) lonely.push([at, last]);
    nInRun = 0;
  };
  ctx.beginPath();
  for (let i = from; i < to; i++) {
    if (!f.canShow(ys[i])) { endRun(); continue; }
    const x = f.px(xs[i]), y = f.py(ys[i]);
    if (column === Math.floor(x)) {
      low = Math.min(low, y); high = Math.max(high, y); last = y;
    } else {
      flush();
      column = Math.floor(x); at = x; first = low = high = last = y;
    }
  }
  endRun();
  ctx.stroke();
  for (const [x, y] of lonely) { ctx.beginPath(); ctx.arc(x, y, 2.5, 0, 7); ctx.fill(); }
}
