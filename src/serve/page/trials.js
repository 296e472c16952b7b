// The columns of the table of trials, and the test that its filter makes.

import { fillState } from "/jobs.js";
import { columnFormat, elapsed, fullNumber, numberOf, shortNumber, stateText } from "/text.js";

/** `format.update` chooses anew how many digits each column needs. */
export function columns(job, format) {
  const write = {};
  format.update = () => {
    write.result = columnFormat(job.trials.map((trial) => trial.result));
    write.best = columnFormat(job.trials.map((trial) => numberOf(trial.best?.value)));
    for (const { name, type } of job.parameters) {
      if (isNumeric(type)) write[`p:${name}`] = columnFormat(job.trials.map((trial) => Number(trial.parameters[name] ?? NaN)));
    }
  };
  format.update();
  const told = (key, value) => (value === null ? "" : (write[key] ?? shortNumber)(value));
  return [
    { key: "id", label: "Trial", width: 76, isDescendingFirst: true, sortBy: (trial) => Number(trial.id), text: (trial) => trial.id },
    { key: "state", label: "State", width: 164, sortBy: (trial) => stateText(trial.state), fill: (cell, trial) => { fillState(cell, trial); cell.title = trial.reason ?? ""; } },
    { key: "result", label: job.summary.metric, width: 120, isNumber: true, isDescendingFirst: job.summary.goal !== "MINIMIZE", sortBy: (trial) => trial.result, text: (trial) => told("result", trial.result), title: (trial) => fullNumber(trial.result) },
    { key: "best", label: "Best value", width: 110, isNumber: true, isDescendingFirst: job.summary.goal !== "MINIMIZE", hint: "The best value at any step", sortBy: (trial) => numberOf(trial.best?.value), text: (trial) => told("best", numberOf(trial.best?.value)),
      title: (trial) => (trial.best ? `${fullNumber(numberOf(trial.best.value))} at step ${trial.best.step}` : "") },
    { key: "step", label: "Step", width: 90, isNumber: true, isDescendingFirst: true, sortBy: (trial) => numberOf(trial.step), text: (trial) => fullNumber(numberOf(trial.step)) },
    ...job.parameters.map(({ name, type }) => ({
      key: `p:${name}`, label: name, width: Math.max(110, 46 + name.length * 7.4), isNumber: isNumeric(type),
      sortBy: isNumeric(type) ? (trial) => Number(trial.parameters[name] ?? NaN) : (trial) => trial.parameters[name],
      text: (trial) => { const text = trial.parameters[name]; return text === undefined ? "" : type === "DOUBLE" ? told(`p:${name}`, Number(text)) : text; },
      title: (trial) => trial.parameters[name] ?? "",
    })),
    { key: "took", label: "Took", width: 110, isNumber: true, isDescendingFirst: true, sortBy: (trial) => (trial.startTime ? (trial.endTime ? Date.parse(trial.endTime) : Date.now()) - Date.parse(trial.startTime) : null), text: (trial) => elapsed(trial.startTime, trial.endTime) },
  ];
}

const isNumeric = (type) => type !== "CATEGORICAL";

/** A test of trials: every word of the text must hold. A word is a comparison, or a part of what the row shows. */
export function tester(text, job) {
  const tests = text.trim().split(/\s+/).filter(Boolean).map((word) => {
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
    if (sign === ":") return String(value ?? "").toLowerCase().includes(wanted.toLowerCase());
    const isNumber = !Number.isNaN(limit) && value !== null && !Number.isNaN(Number(value));
    if (sign === "=" || sign === "!=") return (isNumber ? Number(value) === limit : String(value ?? "").toLowerCase().startsWith(wanted.toLowerCase())) === (sign === "=");
    if (!isNumber) return false;
    const at = Number(value);
    return sign === "<" ? at < limit : sign === ">" ? at > limit : sign === "<=" ? at <= limit : at >= limit;
  };
}

function reader(name, job) {
  const parameter = job.parameters.find((each) => each.name.toLowerCase() === name) ?? (name.length > 1 && job.parameters.find((each) => each.name.toLowerCase().startsWith(name)));
  if (name === job.summary.metric.toLowerCase() || name === "objective" || name === "value") return (trial) => trial.result;
  if (name === "state") return (trial) => stateText(trial.state).replaceAll(" ", "-");
  if (name === "trial" || name === "id") return (trial) => trial.id;
  if (name === "step") return (trial) => numberOf(trial.step);
  return parameter ? (trial) => trial.parameters[parameter.name] ?? null : null;
}

function contains(word, job) {
  return (trial) => {
    trial.words ??= [trial.id, stateText(trial.state), trial.reason ?? "", ...job.parameters.map(({ name }) => trial.parameters[name] ?? "")].join("\n").toLowerCase();
    return trial.words.includes(word);
  };
}
