// One job: how far it is, its curves, its parameters and its trials.

import { jobPath, post } from "/api.js";
import { act, chips, confirmed, copyButton, facts, failed, h, number, section, state, tell, time, write } from "/dom.js";
import { atMostEvery, drawOnce, forget } from "/frames.js";
import { curvesPart, objectivePart, parallelPart, slicesPart } from "/jobcharts.js";
import { Job } from "/model.js";
import { countsText, progress } from "/progress.js";
import { commandText, elapsed, isOver, plural, sentence, shortParameter } from "/text.js";
import { tablePart } from "/trials.js";

/** A report has no server to go back to or to ask; `more` are parts that it adds, `ready` is called when all are there. */
export function open(main, { jobId }, { linked, isReport = false, more = [], ready = () => {} }) {
  const job = new Job(jobId);
  const parts = [];
  const hash = (id) => `#/jobs/${encodeURIComponent(jobId)}/trials/${encodeURIComponent(id)}`;
  const openTrial = (id) => {
    location.hash = hash(id);
  };
  /** Every part shows the trial that any of them is asked about. */
  const hovered = (id) => {
    for (const part of parts) part.highlight?.(id);
  };
  const shared = { job, openTrial, hovered, hash, selection: { isInside: null, changed: () => {} } };
  const head = makeHead(job, isReport);
  const body = h("div", { class: "parts", hidden: true });
  main.replaceChildren(head.element, body);

  const make = () => {
    const objective = objectivePart(shared),
      curves = curvesPart(shared),
      parallel = parallelPart(shared),
      slices = slicesPart(shared),
      table = tablePart(shared),
      added = more.map((makePart) => makePart(shared));
    parts.push(objective, curves, parallel, slices, ...added, table);
    shared.selection.changed = () => {
      for (const part of [table, slices, objective]) drawOnce(part, part.show);
    };
    body.append(
      h("div", { class: "two" }, objective.element, curves.element),
      parallel.element,
      slices.element,
      ...added.map(({ element }) => element),
      table.element,
      configurationPart(job),
    );
    body.hidden = false;
    for (const part of parts) {
      const showSoon = atMostEvery(
        () => part.pause(job.trials.length),
        () => drawOnce(part, part.show),
      );
      part.cancel = showSoon.cancel;
      job.on(part.kinds, showSoon);
      part.show();
    }
    ready();
  };
  job.on(["link"], () => linked(job.isLive));
  job.on(["job", "note", "trials"], () => {
    if (job.error && !job.summary) {
      main.replaceChildren(...failed(jobId, job.error, "#/", "All jobs"));
      return;
    }
    head.show();
    if (parts.length === 0 && job.summary) make();
  });
  job.open();
  const clock = setInterval(() => head.tick(), 1000);
  return {
    title: jobId,
    close() {
      clearInterval(clock);
      job.close();
      for (const part of parts) {
        part.cancel?.();
        forget(part);
        part.close();
      }
    },
  };
}

// ---- the head --------------------------------------------------------------------------------

function makeHead(job, isReport) {
  const stateBox = h("span", {}),
    bar = h("div", { class: "bar-box" }),
    counts = h("p", { class: "hint" }),
    details = h("div", {}),
    banner = h("div", {}),
    took = h("span", { class: "num" });
  const cancel = h(
    "button",
    {
      class: "danger-quiet",
      hidden: true,
      onclick: () =>
        act(cancel, async () => {
          const n = job.summary.counts?.running ?? 0;
          if (
            !(await confirmed(
              `Cancel ${job.jobId}?`,
              `${n > 0 ? `${plural(n, "running trial")} will be stopped and` : "It"} no more will be started. Results so far are kept.`,
              "Cancel the job",
            ))
          )
            return;
          await post(`${jobPath(job.jobId)}:cancel`);
          tell("The job is being cancelled.");
        }),
    },
    "Cancel job",
  );
  const notes = h("details", { class: "notes", hidden: true }, h("summary", {}), h("ul", {}));
  const element = h(
    "header",
    { class: "job-head" },
    !isReport &&
      h("nav", { "aria-label": "Where you are", class: "path" }, h("a", { href: "#/" }, "Jobs"), h("span", { "aria-hidden": "true" }, "/")),
    h("div", { class: "title" }, h("h1", {}, job.jobId), stateBox, h("div", { class: "tools" }, cancel)),
    banner,
    h("div", { class: "card strip" }, details, h("div", { class: "far" }, bar, counts)),
    notes,
  );
  let shownState = null;
  const show = () => {
    const { summary } = job;
    if (!summary) return;
    if (shownState !== summary.state) {
      shownState = summary.state;
      stateBox.replaceChildren(state(summary.state));
    }
    cancel.hidden = isReport || isOver(summary.state) || summary.state === "CANCELLING";
    progress(bar, summary, false);
    write(counts, countsText(summary));
    const isLost = summary.state === "RUNNING" && summary.running === false;
    const problem = summary.errorMessage
      ? sentence(summary.errorMessage)
      : isLost
        ? `No process leads this job. hptune jobs resume ${job.jobId} goes on with it.`
        : "";
    if (banner.textContent !== problem)
      banner.replaceChildren(...(problem ? [h("p", { class: `banner ${isLost ? "" : "bad"}` }, problem)] : []));
    const { best } = job;
    const key = JSON.stringify([best?.id, best?.result, summary.metric, summary.endTime, summary.startTime]);
    if (details.dataset.key !== key) {
      details.dataset.key = key;
      details.replaceChildren(
        facts([
          ["Objective", `${summary.goal === "MINIMIZE" ? "minimize" : "maximize"} ${summary.metric}`],
          [
            "Best",
            best
              ? [
                  h("span", { class: "large" }, number(best.result, 5)),
                  " ",
                  h("a", { href: `#/jobs/${encodeURIComponent(job.jobId)}/trials/${best.id}` }, `trial ${best.id}`),
                ]
              : "none yet",
          ],
          best && ["With", chips(job.parametersOf(best), (value, name) => (job.isNumber(name) ? shortParameter(value) : value))],
          ["Took", took, summary.startTime && h("span", { class: "hint" }, " since ", time(summary.startTime))],
        ]),
      );
    }
    if (notes.dataset.n !== String(job.notes.length)) {
      notes.dataset.n = String(job.notes.length);
      notes.hidden = job.notes.length === 0;
      const last = job.notes.at(-1);
      notes.firstChild.replaceChildren(
        h("span", { class: "hint" }, job.notes.length === 1 ? "Note" : `${job.notes.length} notes`),
        " ",
        last?.text ?? "",
      );
      notes.lastChild.replaceChildren(...[...job.notes].reverse().map(({ at, text }) => h("li", {}, time(at), " ", text)));
    }
    tick();
  };
  const tick = () => {
    if (job.summary) write(took, elapsed(job.summary.startTime, job.summary.endTime) || "–");
  };
  return { element, show, tick };
}

const algorithmText = (name) =>
  ({ ALGORITHM_UNSPECIFIED: "Bayesian", GRID_SEARCH: "grid", RANDOM_SEARCH: "random" })[name] ??
  (name ? String(name).toLowerCase() : "Bayesian");

// ---- the configuration -----------------------------------------------------------------------

function configurationPart(job) {
  const { summary } = job;
  const text = summary.config ?? "";
  return section(
    "Configuration",
    { tools: [copyButton(() => text, "the configuration")] },
    facts([
      summary.command?.length && ["Command", h("code", {}, commandText(summary.command))],
      ["Directory", h("code", {}, summary.jobDir ?? "")],
      ["Search", algorithmText(summary.algorithm)],
      summary.earlyStopping && ["Early stopping", summary.earlyStopping.enabled ? summary.earlyStopping.rule : "off"],
      ["Created", time(summary.createTime)],
      Object.keys(summary.labels ?? {}).length > 0 && ["Labels", chips(Object.entries(summary.labels))],
    ]),
    h(
      "details",
      {},
      h("summary", {}, summary.configFormat === "json" ? "JSON" : "YAML"),
      h("pre", { class: "code", tabindex: "0", role: "group", "aria-label": "Configuration file" }, text),
    ),
  );
}
