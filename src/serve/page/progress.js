// How far a job is: a bar with a part for each outcome.

import { h, write } from "/dom.js";
import { count } from "/text.js";

const PARTS = [
  ["succeeded", "SUCCEEDED", "succeeded"],
  ["stoppedEarly", "STOPPED_EARLY", "stopped early"],
  ["infeasible", "INFEASIBLE", "infeasible"],
  ["failed", "FAILED", "failed"],
  ["cancelled", "CANCELLED", "cancelled"],
  ["running", "RUNNING", "running"],
];

/** The counts of a job in words. */
export function countsText({ counts = {}, maxTrials }) {
  const parts = PARTS.filter(([key]) => counts[key] > 0).map(([key, , text]) => `${count(counts[key])} ${text}`);
  const nStarted = PARTS.reduce((sum, [key]) => sum + (counts[key] ?? 0), 0);
  if (maxTrials > nStarted) parts.push(`${count(maxTrials - nStarted)} not started`);
  return parts.join(" · ");
}

/** Fills an element with the bar, and with the number of finished trials where `isShort`. */
export function progress(element, job, isShort) {
  const { counts = {}, maxTrials = 0 } = job;
  const nOver = PARTS.reduce((sum, [key]) => sum + (key === "running" ? 0 : (counts[key] ?? 0)), 0);
  const whole = Math.max(maxTrials, nOver + (counts.running ?? 0), 1);
  let bar = element.querySelector(".bar");
  if (!bar) {
    bar = h(
      "span",
      { class: "bar", "aria-hidden": "true" },
      PARTS.map(([, state]) => h("i", { "data-state": state })),
    );
    element.replaceChildren(h("span", { class: "progress" }, bar, isShort && h("span", { class: "num" })));
  }
  PARTS.forEach(([key], idx) => {
    bar.children[idx].style.width = `${((counts[key] ?? 0) / whole) * 100}%`;
  });
  element.title = countsText(job);
  if (isShort) write(bar.nextElementSibling, `${count(nOver)} / ${count(maxTrials)}`);
}
