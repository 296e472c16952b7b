// The report of a job in one file: the view of the job, why trials ended early, and a trial by itself when it is asked for.

import { record } from "/api.js";
import { Chart } from "/chart.js";
import { facts, h, number, section, state, time } from "/dom.js";
import { open } from "/job.js";
import { compareText, count, elapsed, fullNumber, numberOf, plural, sentence, stateText } from "/text.js";

const { jobId } = record.job;
const hash = (id) => `#/jobs/${encodeURIComponent(jobId)}/trials/${encodeURIComponent(id)}`;
let job = null;

// ---- what ended early, and why ---------------------------------------------------------------

/** Every trial that has a reason, by state, each state's in the order of trials. */
function endedPart({ job: known, hovered }) {
  job = known;
  const groups = new Map();
  for (const trial of [...known.trials].sort((a, b) => compareText(a.id, b.id))) {
    if (!trial.reason) continue;
    if (!groups.has(trial.state)) groups.set(trial.state, []);
    groups.get(trial.state).push(trial);
  }
  const row = (trial) =>
    h(
      "li",
      { onpointerenter: () => hovered(trial.id), onpointerleave: () => hovered(null) },
      h("a", { href: hash(trial.id) }, `Trial ${trial.id}`),
      trial.step !== undefined && h("span", { class: "hint num" }, `step ${count(trial.step)}`),
      h("span", {}, sentence(trial.reason)),
    );
  const box = [...groups].map(([name, trials]) =>
    h(
      "details",
      { class: "ended", open: trials.length <= 10 || groups.size === 1 },
      h("summary", {}, state(name), h("span", { class: "num" }, count(trials.length))),
      h("ul", { role: "list", "aria-label": stateText(name) }, trials.map(row)),
    ),
  );
  const n = [...groups.values()].reduce((sum, trials) => sum + trials.length, 0);
  const element = section("Stopped and failed", { hint: `${plural(n, "trial")} of ${count(known.trials.length)}, with the reason` }, box);
  element.hidden = n === 0;
  return { element, kinds: [], show() {}, pause: () => 0, close() {} };
}

// ---- one trial -------------------------------------------------------------------------------

let shown = null;

function showTrial(id) {
  const trial = job?.byId.get(id);
  shown?.();
  if (!trial) return;
  const { metric } = job.summary,
    isBest = job.best?.id === id,
    curve = job.curves.get(id);
  const others = [...job.curves.values()].filter((other) => other.id !== id && other.xs.length > 0);
  const chart =
    curve &&
    new Chart({
      label: `${metric} of trial ${id}`,
      xLabel: "step",
      yLabel: metric,
      height: 240,
      describe: ({ x, y }) => ({
        title: `Trial ${id}`,
        rows: [
          ["step", count(x)],
          [metric, fullNumber(y)],
        ],
      }),
    });
  chart?.set({
    series: [
      ...others.map(({ xs, ys }) => ({ kind: "line", id: null, isFixed: true, xs, ys, colour: "--ghost", width: 1 })),
      { kind: "line", id, xs: curve.xs, ys: curve.ys, colour: "--best", width: 2.2, end: "dot" },
    ],
    xAxis: { scale: "linear", isWhole: true },
    summary: `${plural(curve.xs.length, "point")}, among ${plural(others.length, "other curve")}`,
  });
  const ids = job.trials.map((each) => each.id).sort(compareText),
    at = ids.indexOf(id);
  const step = (by, text) =>
    h(
      "button",
      { class: "small", disabled: !ids[at + by], onclick: () => location.replace(hash(ids[at + by])) },
      text,
    );
  const best = numberOf(trial.best?.value);
  const dialog = h(
    "dialog",
    { class: "trial", "aria-labelledby": "trial-title" },
    h(
      "div",
      { class: "title" },
      h("h2", { id: "trial-title" }, `Trial ${id}`),
      state(trial.state),
      isBest && h("span", { class: "flag" }, "best"),
      h("div", { class: "tools" }, step(-1, "Previous"), step(1, "Next"), h("button", { class: "small", autofocus: true, onclick: () => dialog.close() }, "Close")),
    ),
    trial.reason && h("p", { class: "sentence" }, `${sentence(trial.reason)}.`),
    facts([
      [metric, trial.result === null ? "none" : h("span", { class: "large" }, number(trial.result, 6))],
      trial.step !== undefined && ["Step", count(trial.step)],
      best !== null && ["Best value", number(best, 6), h("span", { class: "hint" }, ` at step ${count(trial.best.step)}`)],
      ["Values", count(trial.points)],
      trial.startTime && ["Took", elapsed(trial.startTime, trial.endTime)],
      trial.attempt > 1 && ["Attempt", count(trial.attempt)],
    ]),
    chart?.host ?? h("p", { class: "empty" }, trial.points > 0 ? "Its curve is not in this report." : "It has reported no value."),
    h("h3", {}, "Parameters"),
    facts(job.parametersOf(trial).map(([name, value]) => [name, h("span", { class: "num" }, value)])),
  );
  shown = () => {
    shown = null;
    chart?.close();
    dialog.remove();
  };
  dialog.addEventListener("close", () => {
    // Another trial may have taken its place.
    if (!dialog.isConnected) return;
    shown?.();
    history.replaceState(null, "", "#/");
  });
  // A click beside it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}

function route() {
  const match = location.hash.match(/\/trials\/([^/]+)$/);
  if (match) showTrial(decodeURIComponent(match[1]));
  else shown?.();
}

// ---- the page --------------------------------------------------------------------------------

open(document.getElementById("view"), { jobId }, { linked() {}, isReport: true, more: [endedPart], ready: route });
document.getElementById("made").append(`Made by hptune ${record.version} `, time(record.madeAt));
addEventListener("hashchange", route);
