// The table of trials: its columns, and the test that its filter makes.

import { h, section, write } from "/dom.js";
import { atMostEvery, drawOnce } from "/frames.js";
import { fillState, Table } from "/table.js";
import { columnFormat, compareText, count, elapsed, fullNumber, numberOf, plural, shortNumber, shortParameter, stateText } from "/text.js";

export function tablePart({ job, hash, hovered, selection }) {
  const format = {};
  const table = new Table({
    label: "Trials",
    sortKey: "id",
    isDescending: true,
    empty: "No trial fits.",
    href: (trial) => hash(trial.id),
    hovered: (trial) => hovered(trial?.id ?? null),
    columns: columns(job, format),
  });
  const numeric = job.parameters.find(({ max }) => max !== undefined);
  const filter = h("input", {
    type: "search",
    id: "filter",
    placeholder: numeric ? `words, ${numeric.name}<${shortParameter(String(numeric.max))}` : "words",
    "aria-describedby": "filter-help",
    oninput: () => drawOnce(part, show),
  });
  const picked = h("select", { "aria-label": "State", onchange: () => drawOnce(part, show) });
  const counts = h("span", { class: "hint", role: "status" });
  const help = h(
    "span",
    { class: "unseen", id: "filter-help" },
    "Words that a row holds, or comparisons such as learning_rate<0.01, objective>0.9, state=failed.",
  );
  let states = "",
    formatted = 0;
  function show() {
    const present = [...new Set(job.trials.map((trial) => trial.state))].sort(compareText);
    if (states !== present.join()) {
      states = present.join();
      const was = picked.value;
      picked.replaceChildren(
        h("option", { value: "" }, "all states"),
        ...present.map((name) => h("option", { value: name }, stateText(name))),
      );
      picked.value = present.includes(was) ? was : "";
    }
    const isInside = tester(filter.value, job);
    const rows = job.trials.filter(
      (trial) => (!picked.value || trial.state === picked.value) && (!selection.isInside || selection.isInside(trial)) && isInside(trial),
    );
    if (job.trials.length < 50 || job.trials.length > formatted * 1.2) {
      formatted = job.trials.length;
      format.update?.();
    }
    const top = job.best?.id;
    for (const trial of rows) trial.tone = trial.id === top ? "best" : "";
    table.set(rows);
    write(
      counts,
      rows.length === job.trials.length ? plural(rows.length, "trial") : `${count(rows.length)} of ${plural(job.trials.length, "trial")}`,
    );
  }
  // Values change more often than the order of the rows is made anew.
  job.on(
    ["trials"],
    atMostEvery(
      () => 100,
      () => table.ask(),
    ),
  );
  const part = {
    element: section(
      "Trials",
      {
        className: "trials",
        hint: counts,
        tools: [h("label", { for: "filter", class: "unseen" }, "Filter the trials"), filter, help, picked],
      },
      table.host,
    ),
    kinds: ["trials"],
    show,
    pause: (n) => (n > 1000 ? 3000 : 500),
    highlight: (id) => table.mark((trial) => trial.id === id),
    close: () => table.close(),
  };
  return part;
}

/** `format.update` chooses anew how many digits each column needs. */
function columns(job, format) {
  const ways = {};
  format.update = () => {
    ways.result = columnFormat(job.trials.map((trial) => trial.result));
    ways.best = columnFormat(job.trials.map((trial) => numberOf(trial.best?.value)));
    for (const { name, type } of job.parameters) {
      if (isNumeric(type)) ways[`p:${name}`] = columnFormat(job.trials.map((trial) => Number(trial.parameters[name] ?? NaN)));
    }
  };
  format.update();
  const told = (key, value) => (value === null ? "" : (ways[key] ?? shortNumber)(value));
  return [
    { key: "id", label: "Trial", width: 76, isDescendingFirst: true, sortBy: (trial) => Number(trial.id), text: (trial) => trial.id },
    {
      key: "state",
      label: "State",
      width: 164,
      sortBy: (trial) => stateText(trial.state),
      fill: (cell, trial) => {
        fillState(cell, trial);
        cell.title = trial.reason ?? "";
      },
    },
    {
      key: "result",
      label: job.summary.metric,
      width: 120,
      isNumber: true,
      isDescendingFirst: job.summary.goal !== "MINIMIZE",
      sortBy: (trial) => trial.result,
      text: (trial) => told("result", trial.result),
      title: (trial) => fullNumber(trial.result),
    },
    {
      key: "best",
      label: "Best value",
      width: 110,
      isNumber: true,
      isDescendingFirst: job.summary.goal !== "MINIMIZE",
      hint: "The best value at any step",
      sortBy: (trial) => numberOf(trial.best?.value),
      text: (trial) => told("best", numberOf(trial.best?.value)),
      title: (trial) => (trial.best ? `${fullNumber(numberOf(trial.best.value))} at step ${trial.best.step}` : ""),
    },
    {
      key: "step",
      label: "Step",
      width: 90,
      isNumber: true,
      isDescendingFirst: true,
      sortBy: (trial) => numberOf(trial.step),
      text: (trial) => fullNumber(numberOf(trial.step)),
    },
    ...job.parameters.map(({ name, type }) => ({
      key: `p:${name}`,
      label: name,
      width: Math.max(110, 46 + name.length * 7.4),
      isNumber: isNumeric(type),
      sortBy: isNumeric(type) ? (trial) => Number(trial.parameters[name] ?? NaN) : (trial) => trial.parameters[name],
      text: (trial) => {
        const text = trial.parameters[name];
        return text === undefined ? "" : type === "DOUBLE" ? told(`p:${name}`, Number(text)) : text;
      },
      title: (trial) => trial.parameters[name] ?? "",
    })),
    {
      key: "took",
      label: "Took",
      width: 110,
      isNumber: true,
      isDescendingFirst: true,
      sortBy: (trial) => (trial.startTime ? (trial.endTime ? Date.parse(trial.endTime) : Date.now()) - Date.parse(trial.startTime) : null),
      text: (trial) => elapsed(trial.startTime, trial.endTime),
    },
  ];
}

const isNumeric = (type) => type !== "CATEGORICAL";

/** A test of trials: every word of the text must hold. A word is a comparison, or a part of what the row shows. */
function tester(text, job) {
  const tests = text
    .trim()
    .split(/\s+/)
    .filter(Boolean)
    .map((word) => {
      const match = word.match(/^(.+?)(<=|>=|!=|=|<|>|:)(.*)$/);
      return (match && comparison(match, job)) ?? contains(word.toLowerCase(), job);
    });
  return (trial) => tests.every((test) => test(trial));
}

function comparison([, name, sign, wanted], job) {
  const read = reader(name.toLowerCase(), job);
  if (!read || wanted === "") return read ? () => true : null;
  const limit = Number(wanted);
  return (trial) => {
    const value = read(trial);
    if (sign === ":")
      return String(value ?? "")
        .toLowerCase()
        .includes(wanted.toLowerCase());
    const isNumber = !Number.isNaN(limit) && value !== null && !Number.isNaN(Number(value));
    if (sign === "=" || sign === "!=")
      return (
        (isNumber
          ? Number(value) === limit
          : String(value ?? "")
              .toLowerCase()
              .startsWith(wanted.toLowerCase())) ===
        (sign === "=")
      );
    if (!isNumber) return false;
    const at = Number(value);
    return sign === "<" ? at < limit : sign === ">" ? at > limit : sign === "<=" ? at <= limit : at >= limit;
  };
}

function reader(name, job) {
  const parameter =
    job.parameters.find((each) => each.name.toLowerCase() === name) ??
    (name.length > 1 && job.parameters.find((each) => each.name.toLowerCase().startsWith(name)));
  if (name === job.summary.metric.toLowerCase() || name === "objective" || name === "value") return (trial) => trial.result;
  if (name === "state") return (trial) => stateText(trial.state).replaceAll(" ", "-");
  if (name === "trial" || name === "id") return (trial) => trial.id;
  if (name === "step") return (trial) => numberOf(trial.step);
  return parameter ? (trial) => trial.parameters[parameter.name] ?? null : null;
}

function contains(word, job) {
  return (trial) => {
    trial.words ??= [
      trial.id,
      stateText(trial.state),
      trial.reason ?? "",
      ...job.parameters.map(({ name }) => trial.parameters[name] ?? ""),
    ]
      .join("\n")
      .toLowerCase();
    return trial.words.includes(word);
  };
}
