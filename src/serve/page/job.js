// One job: how far it is, its curves, its parameters and its trials.

import { jobPath, post } from "/api.js";
import { Chart } from "/chart.js";
import { act, chips, confirmed, copyButton, facts, failed, h, number, section, state, tell, time, write } from "/dom.js";
import { atMostEvery, drawOnce, forget } from "/frames.js";
import { Job } from "/model.js";
import { Parallel } from "/parallel.js";
import { countsText, progress } from "/progress.js";
import { Table } from "/table.js";
import { columns, tester } from "/trials.js";
import { commandText, compareText, count, digitsFor, elapsed, fullNumber, hasResult, isOver, maxOf, minOf, moment, plural, sentence, shortNumber, stateText } from "/text.js";

const MAX_DRAWN = 300;

export function open(main, { jobId }, { linked }) {
  const job = new Job(jobId);
  const parts = [];
  const hash = (id) => `#/jobs/${encodeURIComponent(jobId)}/trials/${encodeURIComponent(id)}`;
  const openTrial = (id) => { location.hash = hash(id); };
  /** Every part shows the trial that any of them is asked about. */
  const hovered = (id) => { for (const part of parts) part.highlight?.(id); };
  const shared = { job, openTrial, hovered, hash, selection: { isInside: null, changed: () => {} } };
  const head = makeHead(job);
  const body = h("div", { class: "parts", hidden: true });
  main.replaceChildren(head.element, body);

  const make = () => {
    const objective = objectivePart(shared), curves = curvesPart(shared), parallel = parallelPart(shared), slices = slicesPart(shared), table = tablePart(shared);
    parts.push(objective, curves, parallel, slices, table);
    shared.selection.changed = () => { for (const part of [table, slices, objective]) drawOnce(part, part.show); };
    body.append(h("div", { class: "two" }, objective.element, curves.element), parallel.element, slices.element, table.element, configurationPart(job));
    body.hidden = false;
    for (const part of parts) {
      const showSoon = atMostEvery(() => part.pause(job.trials.length), () => drawOnce(part, part.show));
      part.cancel = showSoon.cancel;
      job.on(part.kinds, showSoon);
      part.show();
    }
  };
  job.on(["link"], () => linked(job.isLive));
  job.on(["job", "note", "trials"], () => {
    if (job.error && !job.summary) { main.replaceChildren(...failed(jobId, job.error, "#/", "All jobs")); return; }
    head.show();
    if (parts.length === 0 && job.summary) make();
  });
  job.open();
  const clock = setInterval(() => head.tick(), 1000);
  return {
    title: jobId,
    close() { clearInterval(clock); job.close(); for (const part of parts) { part.cancel?.(); forget(part); part.close(); } },
  };
}

// ---- the head --------------------------------------------------------------------------------

function makeHead(job) {
  const stateBox = h("span", {}), bar = h("div", { class: "bar-box" }), counts = h("p", { class: "hint" }), details = h("div", {}), banner = h("div", {}), took = h("span", { class: "num" });
  const cancel = h("button", { class: "danger-quiet", hidden: true, onclick: () => act(cancel, async () => {
    const n = job.summary.counts?.running ?? 0;
    if (!await confirmed(`Cancel ${job.jobId}?`, `${n > 0 ? `${plural(n, "running trial")} will be stopped and` : "It"} no more will be started. Results so far are kept.`, "Cancel the job")) return;
    await post(`${jobPath(job.jobId)}:cancel`);
    tell("The job is being cancelled.");
  }) }, "Cancel job");
  const notes = h("details", { class: "notes", hidden: true }, h("summary", {}), h("ul", {}));
  const element = h("header", { class: "job-head" },
    h("nav", { "aria-label": "Where you are", class: "path" }, h("a", { href: "#/" }, "Jobs"), h("span", { "aria-hidden": "true" }, "/")),
    h("div", { class: "title" }, h("h1", {}, job.jobId), stateBox, h("div", { class: "tools" }, cancel)),
    banner, h("div", { class: "card strip" }, details, h("div", { class: "far" }, bar, counts)), notes);
  let shownState = null;
  const show = () => {
    const { summary } = job;
    if (!summary) return;
    if (shownState !== summary.state) { shownState = summary.state; stateBox.replaceChildren(state(summary.state)); }
    cancel.hidden = isOver(summary.state) || summary.state === "CANCELLING";
    progress(bar, summary, false);
    write(counts, countsText(summary));
    const isLost = summary.state === "RUNNING" && summary.running === false;
    const problem = summary.errorMessage ? sentence(summary.errorMessage) : isLost ? `No process leads this job. hptune jobs resume ${job.jobId} goes on with it.` : "";
    if (banner.textContent !== problem) banner.replaceChildren(...(problem ? [h("p", { class: `banner ${isLost ? "" : "bad"}` }, problem)] : []));
    const { best } = job;
    const key = JSON.stringify([best?.id, best?.result, summary.metric, summary.endTime, summary.startTime]);
    if (details.dataset.key !== key) {
      details.dataset.key = key;
      details.replaceChildren(facts([
        ["Objective", `${summary.goal === "MINIMIZE" ? "minimize" : "maximize"} ${summary.metric}`],
        ["Best", best ? [h("span", { class: "large" }, number(best.result, 5)), " ", h("a", { href: `#/jobs/${encodeURIComponent(job.jobId)}/trials/${best.id}` }, `trial ${best.id}`)] : "none yet"],
        best && ["With", chips(job.parametersOf(best), shortText)],
        ["Search", algorithmText(summary.algorithm)],
        summary.earlyStopping && ["Early stopping", summary.earlyStopping.enabled ? summary.earlyStopping.rule : "off"],
        ["Took", took, summary.startTime && h("span", { class: "hint" }, " since ", time(summary.startTime))],
      ]));
    }
    if (notes.dataset.n !== String(job.notes.length)) {
      notes.dataset.n = String(job.notes.length);
      notes.hidden = job.notes.length === 0;
      const last = job.notes.at(-1);
      notes.firstChild.replaceChildren(h("span", { class: "hint" }, job.notes.length === 1 ? "Note" : `${job.notes.length} notes`), " ", last?.text ?? "");
      notes.lastChild.replaceChildren(...[...job.notes].reverse().map(({ at, text }) => h("li", {}, time(at), " ", text)));
    }
    tick();
  };
  const tick = () => { if (job.summary) write(took, elapsed(job.summary.startTime, job.summary.endTime) || "–"); };
  return { element, show, tick };
}

const algorithmText = (name) => ({ ALGORITHM_UNSPECIFIED: "Bayesian", GRID_SEARCH: "grid", RANDOM_SEARCH: "random" }[name] ?? (name ? String(name).toLowerCase() : "Bayesian"));
const shortText = (text) => (text !== "" && Number.isFinite(Number(text)) ? shortNumber(Number(text), 4) : text);

/** What the tip of a trial says. */
function tipOf(job, trial, more) {
  return {
    title: `Trial ${trial.id}, ${stateText(trial.state)}`,
    rows: [...more, ...job.parameters.slice(0, 8).map(({ name, type }) => [name, type === "CATEGORICAL" || type === "DISCRETE" ? trial.parameters[name] ?? "" : shortText(trial.parameters[name] ?? "")])],
    note: sentence(trial.reason),
  };
}

const LOOK = {
  SUCCEEDED: ["--succeeded", "dot"], RUNNING: ["--running", "ring"], STOPPED_EARLY: ["--stopped", "cross"], STOPPED_BY_REQUEST: ["--cancelled", "cross"],
  INFEASIBLE: ["--infeasible", "cross"], FAILED: ["--failed", "cross"], CANCELLED: ["--cancelled", "cross"],
};
const lookOf = (trial) => LOOK[trial.state] ?? ["--cancelled", "ring"];

/** Points of trials as series, one a state. Where trials ran to their end, those that did not have no say in the range. */
function pointSeries(trials, x, size) {
  const isWhole = ranWhole(trials);
  const groups = new Map();
  for (const trial of trials) {
    const [colour, shape] = lookOf(trial);
    if (!groups.has(colour + shape)) groups.set(colour + shape, { kind: "points", colour, shape, size, alpha: trials.length > 1500 ? 0.55 : 1, isLoose: !isWhole(trial), ids: [], xs: [], ys: [] });
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

const logBox = (work) => h("label", { class: "tick" }, h("input", { type: "checkbox", onchange: (event) => work(event.target.checked) }), "Log");

// ---- objective by trial ----------------------------------------------------------------------

function objectivePart({ job, openTrial, hovered, selection }) {
  let isLog = false;
  const chart = new Chart({
    label: "Objective by trial", xLabel: "trial", yLabel: "", height: 270, open: openTrial, hovered,
    describe: ({ id, y }) => tipOf(job, job.byId.get(id), [[job.summary.metric, fullNumber(y)]]),
  });
  const show = () => {
    const sign = job.summary.goal === "MINIMIZE" ? 1 : -1;
    const xs = [], ys = [];
    let best = Infinity;
    for (const trial of job.trials) {
      if (!hasResult(trial.state) || !Number.isFinite(trial.result) || !(sign * trial.result < best)) continue;
      // The best so far is a stair.
      if (xs.length > 0) { xs.push(Number(trial.id)); ys.push(ys.at(-1)); }
      best = sign * trial.result;
      xs.push(Number(trial.id));
      ys.push(trial.result);
    }
    const last = Number(job.trials.at(-1)?.id ?? 0);
    if (xs.length > 0 && last > xs.at(-1)) { xs.push(last); ys.push(ys.at(-1)); }
    const seen = selection.isInside ? job.trials.filter(selection.isInside) : job.trials;
    const shown = seen.filter((trial) => trial.result !== null || ["FAILED", "INFEASIBLE"].includes(trial.state));
    const top = job.best;
    chart.yLabel = job.summary.metric;
    chart.set({
      isLog, xAxis: { scale: "linear", isWhole: true, margin: 0.02 },
      series: [...pointSeries(shown, (trial) => Number(trial.id), job.trials.length > 1000 ? 1.6 : 3), { kind: "line", id: null, isFixed: true, colour: "--best", width: 2, xs, ys }],
      summary: top ? `${plural(job.trials.length, "trial")}; the best is trial ${top.id} with ${fullNumber(top.result)}` : "no results yet",
    });
  };
  return {
    element: section("Objective by trial", { tools: [h("span", { class: "legend" }, h("span", { class: "key best" }), "best so far"), logBox((on) => { isLog = on; show(); })] }, chart.host),
    kinds: ["trials", "job"], show, pause: (n) => (n > 1000 ? 1000 : 100), highlight: (id) => chart.highlight(id), close: () => chart.close(),
  };
}

// ---- learning curves -------------------------------------------------------------------------

function curvesPart({ job, openTrial, hovered }) {
  let isLog = false;
  const note = h("span", {});
  const chart = new Chart({
    label: "Learning curves", xLabel: "step", height: 270, open: openTrial, hovered,
    describe: ({ id, x, y }) => {
      const trial = job.byId.get(id) ?? { id, state: "", parameters: {} };
      return tipOf(job, trial, [["step", count(x)], [job.summary.metric, shortNumber(y, 6)]]);
    },
  });
  const show = () => {
    const best = job.best?.id;
    let ids = [...job.curves.keys()];
    if (ids.length > MAX_DRAWN) { const kept = new Set(job.mostTelling().map(({ id }) => id)); ids = ids.filter((id) => kept.has(id)); }
    const layers = [[], [], [], []], alpha = ids.length > 60 ? 0.6 : 1;
    for (const id of ids) {
      const { xs, ys } = job.curves.get(id), trial = job.byId.get(id);
      if (!trial || xs.length === 0) continue;
      const series = { kind: "line", id, xs, ys, width: 1.2 };
      if (id === best) layers[3].push({ ...series, colour: "--best", width: 2.5, end: "dot" });
      else if (!isOver(trial.state)) layers[2].push({ ...series, colour: "--running", width: 1.4, end: ids.length > 60 ? null : "dot", alpha: ids.length > 60 ? 0.7 : 1 });
      else if (trial.state === "SUCCEEDED") layers[1].push({ ...series, colour: "--finished", alpha });
      else layers[0].push({ ...series, colour: "--finished", alpha, end: "cross", endColour: lookOf(trial)[0] });
    }
    const series = layers.flat(), nRunning = layers[2].length;
    chart.yLabel = job.summary.metric;
    chart.set({ series, isLog, xAxis: { scale: "linear", isWhole: true },
      summary: `${plural(series.length, "curve")}, ${nRunning} of trials that run${best ? `; the best is trial ${best}` : ""}` });
    write(note, job.trials.length > series.length + 20 && job.trials.length > MAX_DRAWN ? `${count(series.length)} of ${count(job.trials.length)}` : "", "those that run, the best and the latest");
  };
  return {
    element: section("Learning curves", { hint: note, tools: [h("span", { class: "legend" }, h("span", { class: "key running" }), "running", h("span", { class: "key best" }), "best", h("span", { class: "key finished" }), "others"), logBox((on) => { isLog = on; show(); })] }, chart.host),
    kinds: ["curves"], show, pause: () => 0, highlight: (id) => chart.highlight(id), close: () => chart.close(),
  };
}

// ---- parallel coordinates --------------------------------------------------------------------

/** How a parameter lies on an axis. */
export function axisOf({ name, type, min, max, values, scale }) {
  const isCategory = type === "CATEGORICAL" || (type === "DISCRETE" && values?.length <= 12);
  return {
    name, scale: isCategory ? "category" : scale === "UNIT_LOG_SCALE" ? "log" : "linear", isWhole: type === "INTEGER",
    values: isCategory ? values.map(String) : undefined, range: min !== undefined && max !== undefined ? [Number(min), Number(max)] : undefined,
    at: isCategory ? (trial) => placeOf(values, trial.parameters[name]) : (trial) => Number(trial.parameters[name] ?? NaN),
    text: (trial) => (isCategory ? String(trial.parameters[name] ?? "") : shortText(trial.parameters[name] ?? "")),
  };
}

function placeOf(values, text) {
  const at = values.findIndex((value) => String(value) === text || (text !== undefined && Number(value) === Number(text)));
  return at < 0 ? NaN : at;
}

function parallelPart({ job, openTrial, hovered, selection }) {
  const clear = h("button", { class: "small", hidden: true, onclick: () => plot.clear() }, "Clear ranges");
  const hint = h("span", { class: "hint" }, "Drag along an axis to pick a range.");
  const plot = new Parallel({
    label: "Parallel coordinates", open: openTrial, hovered,
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
    const objective = { name: job.summary.metric, scale: "linear", range: whole.length > 0 ? [minOf(whole), maxOf(whole)] : undefined, at: (trial) => trial.result, text: (trial) => shortNumber(trial.result, digits) };
    plot.set([...job.parameters.map(axisOf), objective], trials, job.summary.goal !== "MINIMIZE");
  };
  const element = section("Parameters and objective", { hint, tools: [clear, h("span", { class: "legend" }, "worse", h("span", { class: "ramp" }), "better")] }, plot.host);
  element.hidden = true;
  return {
    element,
    kinds: ["trials", "job"], show, pause: (n) => (n > 1000 ? 3000 : 300), highlight: (id) => plot.highlight(id), close: () => plot.close(),
  };
}

// ---- importance and slices -------------------------------------------------------------------

function slicesPart({ job, openTrial, hovered, selection }) {
  const charts = new Map();
  const box = h("div", { class: "slices" });
  const show = () => {
    const shares = new Map((job.summary.importance ?? []).map(({ parameter, share }) => [parameter, share]));
    const parameters = [...job.parameters].sort((a, b) => (shares.get(b.name) ?? -1) - (shares.get(a.name) ?? -1));
    const names = parameters.map(({ name }) => name).join("\n");
    if (box.dataset.names !== names) {
      box.dataset.names = names;
      box.replaceChildren(...parameters.map((parameter) => {
        if (!charts.has(parameter.name)) charts.set(parameter.name, makeSlice(parameter));
        return charts.get(parameter.name).element;
      }));
    }
    const all = job.trials.filter((trial) => hasResult(trial.state) && Number.isFinite(trial.result));
    element.hidden = all.length === 0;
    const trials = selection.isInside ? all.filter(selection.isInside) : all;
    for (const parameter of parameters) charts.get(parameter.name).show(trials, shares.get(parameter.name));
  };
  function makeSlice(parameter) {
    const axis = axisOf(parameter);
    const chart = new Chart({
      label: `Objective by ${parameter.name}`, height: 170, open: openTrial, hovered,
      describe: ({ id, y }) => { const trial = job.byId.get(id); return { title: `Trial ${id}, ${stateText(trial.state)}`, rows: [[parameter.name, trial.parameters[parameter.name] ?? ""], [job.summary.metric, fullNumber(y)]] }; },
    });
    const fill = h("i", {}), share = h("span", { class: "num" });
    const meter = h("span", { class: "meter", hidden: true }, h("span", { class: "track", "aria-hidden": "true" }, fill), share);
    // Trials of one category stand side by side.
    const jitter = (id) => ((Number(id) * 0.618034) % 1 - 0.5) * 0.5;
    return {
      element: h("div", { class: "slice" }, h("h3", {}, h("span", { class: "name", title: parameter.name }, parameter.name), meter), chart.host),
      show(trials, part) {
        meter.hidden = part === undefined;
        if (part !== undefined) {
          fill.style.width = `${part * 100}%`;
          write(share, part < 0.01 ? "<1 %" : `${Math.round(part * 100)} %`, `${parameter.name} explains ${(part * 100).toFixed(1)} % of the differences of the objective`);
        }
        const x = axis.scale === "category" ? (trial) => axis.at(trial) + jitter(trial.id) : axis.at;
        chart.set({ series: pointSeries(trials.filter((trial) => Number.isFinite(axis.at(trial))), x, trials.length > 1000 ? 1.4 : 2.6), xAxis: { scale: axis.scale, values: axis.values, range: axis.range, isWhole: axis.isWhole, margin: 0.03 }, summary: plural(trials.length, "trial") });
      },
      chart,
    };
  }
  const element = section("Importance and slices", { hint: "How much of the differences each parameter explains, and the objective by it." }, box);
  return {
    element,
    kinds: ["trials", "job"], show, pause: (n) => (n > 1000 ? 3000 : 500),
    highlight: (id) => { for (const { chart } of charts.values()) chart.highlight(id); }, close: () => { for (const { chart } of charts.values()) chart.close(); },
  };
}

// ---- the table -------------------------------------------------------------------------------

function tablePart({ job, hash, hovered, selection }) {
  const format = {};
  const table = new Table({
    label: "Trials", sortKey: "id", isDescending: true, empty: "No trial fits.", href: (trial) => hash(trial.id), hovered: (trial) => hovered(trial?.id ?? null),
    columns: columns(job, format),
  });
  const filter = h("input", { type: "search", id: "filter", placeholder: "relu learning_rate<0.01", "aria-describedby": "filter-help", oninput: () => drawOnce(part, show) });
  const picked = h("select", { "aria-label": "State", onchange: () => drawOnce(part, show) });
  const counts = h("span", { class: "hint", role: "status" });
  const help = h("span", { class: "unseen", id: "filter-help" }, "Words that a row holds, or comparisons such as learning_rate<0.01, objective>0.9, state=failed.");
  let states = "", formatted = 0;
  function show() {
    const present = [...new Set(job.trials.map((trial) => trial.state))].sort(compareText);
    if (states !== present.join()) {
      states = present.join();
      const was = picked.value;
      picked.replaceChildren(h("option", { value: "" }, "all states"), ...present.map((name) => h("option", { value: name }, stateText(name))));
      picked.value = present.includes(was) ? was : "";
    }
    const isInside = tester(filter.value, job);
    const rows = job.trials.filter((trial) => (!picked.value || trial.state === picked.value) && (!selection.isInside || selection.isInside(trial)) && isInside(trial));
    if (job.trials.length < 50 || job.trials.length > formatted * 1.2) { formatted = job.trials.length; format.update?.(); }
    const top = job.best?.id;
    for (const trial of rows) trial.tone = trial.id === top ? "best" : "";
    table.set(rows);
    write(counts, rows.length === job.trials.length ? plural(rows.length, "trial") : `${count(rows.length)} of ${plural(job.trials.length, "trial")}`);
  }
  // Values change more often than the order of the rows is made anew.
  job.on(["trials"], atMostEvery(() => 100, () => table.ask()));
  const part = {
    element: section("Trials", { className: "trials", hint: counts, tools: [h("label", { for: "filter", class: "unseen" }, "Filter the trials"), filter, help, picked] }, table.host),
    kinds: ["trials"], show, pause: (n) => (n > 1000 ? 3000 : 500), highlight: (id) => table.mark((trial) => trial.id === id), close: () => table.close(),
  };
  return part;
}

function configurationPart(job) {
  const { summary } = job;
  const text = summary.config ?? "";
  return section("Configuration", { tools: [copyButton(() => text, "the configuration")] },
    facts([
      summary.command?.length && ["Command", h("code", {}, commandText(summary.command))],
      ["Directory", h("code", {}, summary.jobDir ?? "")],
      ["Created", moment(summary.createTime)],
      Object.keys(summary.labels ?? {}).length > 0 && ["Labels", chips(Object.entries(summary.labels))],
    ]),
    h("details", {}, h("summary", {}, summary.configFormat === "json" ? "JSON" : "YAML"), h("pre", { class: "code", tabindex: "0", role: "group", "aria-label": "Configuration file" }, text)));
}
