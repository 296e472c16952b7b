// How numbers, times, states and names are written and sorted. Knows nothing of the page.

import { brief } from "/axis.js";

const STATES = {
  PENDING: "pending",
  QUEUED: "queued",
  PREPARING: "preparing",
  RUNNING: "running",
  SUCCEEDED: "succeeded",
  STOPPED_EARLY: "stopped early",
  STOPPED_BY_REQUEST: "stopped by request",
  STOPPING: "stopping",
  INFEASIBLE: "infeasible",
  FAILED: "failed",
  CANCELLING: "cancelling",
  CANCELLED: "cancelled",
};
export const stateText = (state) =>
  STATES[state] ??
  String(state ?? "unknown")
    .toLowerCase()
    .replaceAll("_", " ");
export const isOver = (state) => !["PENDING", "QUEUED", "PREPARING", "RUNNING", "STOPPING", "CANCELLING"].includes(state);
export const hasResult = (state) => ["SUCCEEDED", "STOPPED_EARLY", "STOPPED_BY_REQUEST"].includes(state);

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
/** As people count: trial 9 before trial 10. */
export const compareText = (a, b) => collator.compare(a, b);

/** A value of our own API as a number; null where there is none. */
export function numberOf(value) {
  if (value === null || value === undefined || value === "") return null;
  return typeof value === "number" ? value : Number(value);
}

/** Every digit. */
export function fullNumber(value) {
  if (value === null || value === undefined) return "";
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "∞";
  if (value === -Infinity) return "-∞";
  return String(value);
}

export function shortNumber(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return fullNumber(value);
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return String(value);
  return brief(value, digits);
}

/** A parameter, which is told as text; what is a number in few digits. */
export const shortParameter = (text) => (text !== "" && Number.isFinite(Number(text)) ? shortNumber(Number(text), 4) : text);

/** The fewest significant digits, of 3 to 5, that tell the given numbers apart; of very many some may still look alike. */
export function digitsFor(numbers) {
  const distinct = [...new Set(numbers)].filter((value) => value !== null && Number.isFinite(value));
  for (let digits = 3; digits < 5; digits++) {
    if (new Set(distinct.map((value) => value.toPrecision(digits))).size === distinct.length) return digits;
  }
  return 5;
}

/** A way to write the numbers of one column: with a fixed number of decimals where they are of like size, so that they
    stand below each other digit by digit. */
export function columnFormat(numbers) {
  const finite = numbers.filter((value) => value !== null && Number.isFinite(value));
  if (finite.every(Number.isInteger)) return (value) => shortNumber(value);
  const sizes = finite.map(Math.abs).filter((size) => size > 0);
  const [low, high] = [minOf(sizes), maxOf(sizes)];
  const digits = digitsFor(finite);
  if (high >= 1e5 || low < 1e-3 || high / low > 1000) return (value) => shortNumber(value, digits);
  const decimals = Math.max(0, Math.min(8, digits - 1 - Math.floor(Math.log10(high))));
  return (value) => (value === null || !Number.isFinite(value) ? fullNumber(value) : value.toFixed(decimals));
}

export function minOf(numbers) {
  let low = Infinity;
  for (const number of numbers) if (number < low) low = number;
  return low;
}

export function maxOf(numbers) {
  let high = -Infinity;
  for (const number of numbers) if (number > high) high = number;
  return high;
}

const two = (n) => String(n).padStart(2, "0");

function duration(ms) {
  if (!Number.isFinite(ms) || ms < 0) return "";
  if (ms < 100) return `${Math.round(ms)} ms`;
  if (ms < 10e3) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

export const elapsed = (from, to) => (from ? duration((to ? Date.parse(to) : Date.now()) - Date.parse(from)) : "");

const DATE = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const DATE_WITH_YEAR = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** A moment in few characters; the whole of it is for the title. */
export function moment(time) {
  const at = new Date(time);
  if (!time || Number.isNaN(at.getTime())) return "";
  return Date.now() - at.getTime() > 300 * 86400e3 ? DATE_WITH_YEAR.format(at) : DATE.format(at);
}

export function fullMoment(time) {
  const at = new Date(time);
  return !time || Number.isNaN(at.getTime()) ? "" : `${at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" })} (${time})`;
}

export function bytes(n) {
  if (n < 1000) return `${n} B`;
  for (const [size, unit] of [
    [1e6, "kB"],
    [1e9, "MB"],
    [1e12, "GB"],
  ])
    if (n < size) return `${brief(n / (size / 1000), 3)} ${unit}`;
  return `${brief(n / 1e12, 3)} TB`;
}

export const count = (n) => Number(n).toLocaleString("en-US");
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

/** A command line as one would type it. */
export const commandText = (words) =>
  words.map((word) => (/^[\w@%+=:,./{}-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");

/** The words of a command line, with quotes and backslashes as in a shell. */
export function commandWords(text) {
  const words = [];
  let word = null,
    quote = "";
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote) {
      if (c === quote) quote = "";
      else if (c === "\\" && quote === '"' && '"\\$`'.includes(text[i + 1])) word += text[++i];
      else word += c;
    } else if (c === "'" || c === '"') {
      quote = c;
      word ??= "";
    } else if (c === "\\" && i + 1 < text.length) {
      word = (word ?? "") + text[++i];
    } else if (/\s/.test(c)) {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + c;
    }
  }
  if (word !== null) words.push(word);
  return words;
}

export const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) : "");
