// The charts of a job: the objective by trial, learning curves, parallel coordinates, and slices with importance. Each is a
// part `{element, kinds, show, pause, highlight, close}`: what it listens to, how it is shown anew and how often at most.

import { Chart } from "/chart.js";
import { h, section, tick, write } from "/dom.js";
import { Parallel } from "/parallel.js";
import {
  count,
  digitsFor,
  fullNumber,
  hasResult,
  isOver,
  maxOf,
  minOf,
  plural,
  sentence,
  shortNumber,
  shortParameter,
  stateText,
} from "/text.js";

const MAX_DRAWN = 300;
/** A number of so few values has a place for each. */
const MAX_PLACES = 12;

/** What the tip of a trial says. */
function tipOf(job, trial, more) {
  return {
    title: `Trial ${trial.id}, ${stateText(trial.state)}`,
    rows: [
      ...more,
      ...job.parameters
        .slice(0, 8)
        .map(({ name, type }) => [
          name,
          type === "CATEGORICAL" || type === "DISCRETE" ? (trial.parameters[name] ?? "") : shortParameter(trial.parameters[name] ?? ""),
        ]),
    ],
    note: sentence(trial.reason),
  };
}

const LOOK = {
  SUCCEEDED: ["--succeeded", "dot"],
  RUNNING: ["--running", "ring"],
  STOPPED_EARLY: ["--stopped", "cross"],
  STOPPED_BY_REQUEST: ["--cancelled", "cross"],
  INFEASIBLE: ["--infeasible", "cross"],
  FAILED: ["--failed", "cross"],
  CANCELLED: ["--cancelled", "cross"],
};
const lookOf = (trial) => LOOK[trial.state] ?? ["--cancelled", "ring"];

/** Points of trials as series, one a state. Where trials ran to their end, those that did not have no say in the range. */
function pointSeries(trials, x, size) {
  const isWhole = ranWhole(trials);
  const groups = new Map();
  for (const trial of trials) {
    const [colour, shape] = lookOf(trial);
    if (!groups.has(colour + shape))
      groups.set(colour + shape, {
        kind: "points",
        colour,
        shape,
        size,
        alpha: trials.length > 1500 ? 0.55 : 1,
        isLoose: !isWhole(trial),
        ids: [],
        xs: [],
        ys: [],
      });
    const group = groups.get(colour + shape);
    group.ids.push(trial.id);
    group.xs.push(x(trial));
    group.ys.push(trial.result ?? NaN);
  }
  return [...groups.values()];
}

/** A test of trials by whose results a range is chosen. */
function ranWhole(trials) {
  const isWhole = (trial) => trial.state === "SUCCEEDED";
  return trials.filter(isWhole).length > 1 ? isWhole : (trial) => hasResult(trial.state);
}

const logTick = (work) => tick("Log", "A logarithmic axis", work);

// ---- objective by trial ----------------------------------------------------------------------

export function objectivePart({ job, openTrial, hovered, selection }) {
  let isLog = false;
  const chart = new Chart({
    label: "Objective by trial",
    xLabel: "trial",
    yLabel: "",
    height: 270,
    open: openTrial,
    hovered,
    describe: ({ id, y }) => tipOf(job, job.byId.get(id), [[job.summary.metric, fullNumber(y)]]),
  });
  const show = () => {
    const sign = job.summary.goal === "MINIMIZE" ? 1 : -1;
    const xs = [],
      ys = [];
    let best = Infinity;
    for (const trial of job.trials) {
      if (!hasResult(trial.state) || !Number.isFinite(trial.result) || !(sign * trial.result < best)) continue;
      // The best so far is a stair.
      if (xs.length > 0) {
        xs.push(Number(trial.id));
        ys.push(ys.at(-1));
      }
      best = sign * trial.result;
      xs.push(Number(trial.id));
      ys.push(trial.result);
    }
    const last = Number(job.trials.at(-1)?.id ?? 0);
    if (xs.length > 0 && last > xs.at(-1)) {
      xs.push(last);
      ys.push(ys.at(-1));
    }
    const seen = selection.isInside ? job.trials.filter(selection.isInside) : job.trials;
    const shown = seen.filter((trial) => trial.result !== null || ["FAILED", "INFEASIBLE"].includes(trial.state));
    const top = job.best;
    chart.yLabel = job.summary.metric;
    chart.set({
      isLog,
      xAxis: { scale: "linear", isWhole: true, margin: 0.02 },
      series: [
        ...pointSeries(shown, (trial) => Number(trial.id), job.trials.length > 1000 ? 1.6 : 3),
        { kind: "line", id: null, isFixed: true, colour: "--best", width: 2, xs, ys },
      ],
      summary: top ? `${plural(job.trials.length, "trial")}; the best is trial ${top.id} with ${fullNumber(top.result)}` : "no results yet",
    });
  };
  return {
    element: section(
      "Objective by trial",
      {
        tools: [
          h("span", { class: "legend" }, h("span", { class: "key best" }), "best so far"),
          logTick((on) => {
            isLog = on;
            show();
          }),
        ],
      },
      chart.host,
    ),
    kinds: ["trials", "job"],
    show,
    pause: (n) => (n > 1000 ? 1000 : 100),
    highlight: (id) => chart.highlight(id),
    close: () => chart.close(),
  };
}

// ---- learning curves -------------------------------------------------------------------------

export function curvesPart({ job, openTrial, hovered }) {
  let isLog = false,
    isCloseUp = false;
  const note = h("span", {});
  const chart = new Chart({
    label: "Learning curves",
    xLabel: "step",
    height: 270,
    open: openTrial,
    hovered,
    describe: ({ id, x, y }) => {
      const trial = job.byId.get(id) ?? { id, state: "", parameters: {} };
      return tipOf(job, trial, [
        ["step", count(x)],
        [job.summary.metric, shortNumber(y, 6)],
      ]);
    },
  });
  const show = () => {
    const best = job.best?.id;
    let ids = [...job.curves.keys()];
    if (ids.length > MAX_DRAWN) {
      const kept = new Set(job.mostTelling().map(({ id }) => id));
      ids = ids.filter((id) => kept.has(id));
    }
    const layers = [[], [], [], []],
      alpha = ids.length > 60 ? 0.6 : 1;
    for (const id of ids) {
      const { xs, ys } = job.curves.get(id),
        trial = job.byId.get(id);
      if (!trial || xs.length === 0) continue;
      const series = { kind: "line", id, xs, ys, width: 1.2 };
      if (id === best) layers[3].push({ ...series, colour: "--best", width: 2.5, end: "dot" });
      else if (!isOver(trial.state))
        layers[2].push({
          ...series,
          colour: "--running",
          width: 1.4,
          end: ids.length > 60 ? null : "dot",
          alpha: ids.length > 60 ? 0.7 : 1,
        });
      else if (trial.state === "SUCCEEDED") layers[1].push({ ...series, colour: "--finished", alpha });
      else layers[0].push({ ...series, colour: "--finished", alpha, end: "cross", endColour: lookOf(trial)[0] });
    }
    const series = layers.flat(),
      nRunning = layers[2].length;
    const ends = isCloseUp
      ? job.trials
          .filter(ranWhole(job.trials))
          .map(({ result }) => result)
          .filter(Number.isFinite)
      : [];
    chart.yLabel = job.summary.metric;
    chart.set({
      series,
      isLog,
      yRange: ends.length > 0 ? [minOf(ends), maxOf(ends)] : null,
      xAxis: { scale: "linear", isWhole: true },
      summary: `${plural(series.length, "curve")}, ${nRunning} of trials that run${best ? `; the best is trial ${best}` : ""}`,
    });
    write(
      note,
      job.trials.length > series.length + 20 && job.trials.length > MAX_DRAWN
        ? `${count(series.length)} of ${count(job.trials.length)}`
        : "",
      "those that run, the best and the latest",
    );
  };
  return {
    element: section(
      "Learning curves",
      {
        hint: note,
        tools: [
          h(
            "span",
            { class: "legend" },
            h("span", { class: "key running" }),
            "running",
            h("span", { class: "key best" }),
            "best",
            h("span", { class: "key finished" }),
            "others",
          ),
          tick("Close-up", "Only the values with which trials end", (on) => {
            isCloseUp = on;
            show();
          }),
          logTick((on) => {
            isLog = on;
            show();
          }),
        ],
      },
      chart.host,
    ),
    kinds: ["curves"],
    show,
    pause: () => 0,
    highlight: (id) => chart.highlight(id),
    close: () => chart.close(),
  };
}

// ---- parallel coordinates --------------------------------------------------------------------

/** How a parameter lies on an axis: few values, each at a place of its own, or a range. */
function axisOf({ name, type, min, max, values, scale }) {
  let places = type === "CATEGORICAL" || (type === "DISCRETE" && values.length <= MAX_PLACES) ? values.map(String) : null;
  if (type === "INTEGER" && max - min < MAX_PLACES) places = Array.from({ length: max - min + 1 }, (_, idx) => String(min + idx));
  return {
    name,
    scale: places ? "category" : scale === "UNIT_LOG_SCALE" ? "log" : "linear",
    isWhole: type === "INTEGER",
    values: places,
    range: min !== undefined && max !== undefined ? [Number(min), Number(max)] : undefined,
    at: places ? (trial) => placeOf(places, trial.parameters[name]) : (trial) => Number(trial.parameters[name] ?? NaN),
    text: (trial) => (places ? String(trial.parameters[name] ?? "") : shortParameter(trial.parameters[name] ?? "")),
  };
}

/** Which of the values it is; numbers may be written in several ways. */
function placeOf(values, text) {
  const exact = values.indexOf(text);
  const at = exact >= 0 || text === undefined ? exact : values.findIndex((value) => Number(value) === Number(text));
  return at < 0 ? NaN : at;
}

export function parallelPart({ job, openTrial, hovered, selection }) {
  const clear = h("button", { class: "small", hidden: true, onclick: () => plot.clear() }, "Clear ranges");
  const hint = h("span", { class: "hint" }, "Drag along an axis to pick a range.");
  const plot = new Parallel({
    label: "Parallel coordinates",
    open: openTrial,
    hovered,
    brushed: (isInside, n) => {
      selection.isInside = isInside;
      clear.hidden = isInside === null;
      write(hint, isInside ? `${count(n)} of ${plural(job.trials.length, "trial")}` : "Drag along an axis to pick a range.");
      selection.changed();
    },
  });
  let key = "";
  const show = () => {
    const trials = job.trials.filter((trial) => hasResult(trial.state) && Number.isFinite(trial.result));
    const now = `${trials.length} ${trials.at(-1)?.id} ${job.parameters.length}`;
    if (now === key) return;
    key = now;
    element.hidden = trials.length === 0;
    const digits = digitsFor(trials.map(({ result }) => result));
    const whole = trials.filter(ranWhole(trials)).map(({ result }) => result);
    const objective = {
      name: job.summary.metric,
      scale: "linear",
      range: whole.length > 0 ? [minOf(whole), maxOf(whole)] : undefined,
      at: (trial) => trial.result,
      text: (trial) => shortNumber(trial.result, digits),
    };
    plot.set([...job.parameters.map(axisOf), objective], trials, job.summary.goal !== "MINIMIZE");
  };
  const element = section(
    "Parameters and objective",
    { hint, tools: [clear, h("span", { class: "legend" }, "worse", h("span", { class: "ramp" }), "better")] },
    plot.host,
  );
  element.hidden = true;
  return {
    element,
    kinds: ["trials", "job"],
    show,
    pause: (n) => (n > 1000 ? 3000 : 300),
    highlight: (id) => plot.highlight(id),
    close: () => plot.close(),
  };
}

// ---- importance and slices -------------------------------------------------------------------

export function slicesPart({ job, openTrial, hovered, selection }) {
  const charts = new Map();
  const box = h("div", { class: "slices" });
  const show = () => {
    const shares = new Map((job.summary.importance ?? []).map(({ parameter, share }) => [parameter, share]));
    const parameters = [...job.parameters].sort((a, b) => (shares.get(b.name) ?? -1) - (shares.get(a.name) ?? -1));
    const names = parameters.map(({ name }) => name).join("\n");
    if (box.dataset.names !== names) {
      box.dataset.names = names;
      box.replaceChildren(
        ...parameters.map((parameter) => {
          if (!charts.has(parameter.name)) charts.set(parameter.name, makeSlice(parameter));
          return charts.get(parameter.name).element;
        }),
      );
    }
    const all = job.trials.filter((trial) => hasResult(trial.state) && Number.isFinite(trial.result));
    element.hidden = all.length === 0;
    const trials = selection.isInside ? all.filter(selection.isInside) : all;
    for (const parameter of parameters) charts.get(parameter.name).show(trials, shares.get(parameter.name));
  };
  function makeSlice(parameter) {
    const axis = axisOf(parameter);
    const chart = new Chart({
      label: `Objective by ${parameter.name}`,
      height: 170,
      open: openTrial,
      hovered,
      describe: ({ id, y }) => {
        const trial = job.byId.get(id);
        return {
          title: `Trial ${id}, ${stateText(trial.state)}`,
          rows: [
            [parameter.name, trial.parameters[parameter.name] ?? ""],
            [job.summary.metric, fullNumber(y)],
          ],
        };
      },
    });
    const fill = h("i", {}),
      share = h("span", { class: "num" });
    const meter = h("span", { class: "meter", hidden: true }, h("span", { class: "track", "aria-hidden": "true" }, fill), share);
    // Trials of one category stand side by side.
    const jitter = (id) => (((Number(id) * 0.618034) % 1) - 0.5) * 0.5;
    return {
      element: h(
        "div",
        { class: "slice" },
        h("h3", {}, h("span", { class: "name", title: parameter.name }, parameter.name), meter),
        chart.host,
      ),
      show(trials, part) {
        meter.hidden = part === undefined;
        if (part !== undefined) {
          fill.style.width = `${part * 100}%`;
          write(
            share,
            part < 0.01 ? "<1 %" : `${Math.round(part * 100)} %`,
            `${parameter.name} explains ${(part * 100).toFixed(1)} % of the differences of the objective`,
          );
        }
        const x = axis.scale === "category" ? (trial) => axis.at(trial) + jitter(trial.id) : axis.at;
        chart.set({
          series: pointSeries(
            trials.filter((trial) => Number.isFinite(axis.at(trial))),
            x,
            trials.length > 1000 ? 1.4 : 2.6,
          ),
          xAxis: { scale: axis.scale, values: axis.values, range: axis.range, isWhole: axis.isWhole, margin: 0.03 },
          summary: plural(trials.length, "trial"),
        });
      },
      chart,
    };
  }
  const element = section(
    "Importance and slices",
    { hint: "How much of the differences each parameter explains, and the objective by it." },
    box,
  );
  return {
    element,
    kinds: ["trials", "job"],
    show,
    pause: (n) => (n > 1000 ? 3000 : 500),
    highlight: (id) => {
      for (const { chart } of charts.values()) chart.highlight(id);
    },
    close: () => {
      for (const { chart } of charts.values()) chart.close();
    },
  };
}
