// One trial: its state, why it was stopped, its series, what it was started with, its files and its log.

import { get, post, trialPath } from "/api.js";
import { Chart } from "/chart.js";
import { act, chips, confirmed, copyButton, facts, failed, h, number, section, state, tell, tick, time, write } from "/dom.js";
import { atMostEvery } from "/frames.js";
import { LogView } from "/log.js";
import { Curve, Job } from "/model.js";
import {
  bytes,
  commandText,
  count,
  elapsed,
  fullNumber,
  isOver,
  maxOf,
  minOf,
  numberOf,
  plural,
  sentence,
  shortNumber,
  stateText,
} from "/text.js";

const MAX_SERIES_POINTS = 500;
/** How many series are drawn before the others are asked for. */
const MAX_CHARTS = 12;

export function open(main, { jobId, trialId }, { linked }) {
  const path = trialPath(jobId, trialId);
  // The job's events tell of this trial too.
  const job = new Job(jobId, trialId);
  let detail = null,
    isClosed = false,
    parts = null;
  const askDetail = atMostEvery(1500, () => load());

  async function load() {
    try {
      detail = await get(path);
    } catch (error) {
      if (!isClosed && !parts)
        main.replaceChildren(...failed(`Trial ${trialId}`, error, `#/jobs/${encodeURIComponent(jobId)}`, `Job ${jobId}`));
      return;
    }
    if (isClosed) return;
    parts ??= make(main, jobId, trialId, job);
    parts.show(detail);
  }
  job.on(["link"], () => linked(job.isLive));
  job.on(["trials", "job"], () => {
    parts?.showFacts();
    parts?.showRow(job.byId.get(trialId));
    const row = job.byId.get(trialId);
    if (row && detail && ["state", "attempt", "points"].some((key) => row[key] !== detail[key])) askDetail();
  });
  job.on(["curves"], () => parts?.showCurve(job.curves.get(trialId)));
  job.open();
  load();
  const clock = setInterval(() => parts?.showTook(), 1000);
  return {
    title: `trial ${trialId} of ${jobId}`,
    close() {
      isClosed = true;
      clearInterval(clock);
      askDetail.cancel();
      job.close();
      parts?.close();
    },
  };
}

function make(main, jobId, trialId, job) {
  const path = trialPath(jobId, trialId),
    jobHash = `#/jobs/${encodeURIComponent(jobId)}`;
  const stateBox = h("span", {}),
    value = h("span", { class: "large num" }),
    lastStep = h("span", { class: "hint num" }),
    details = h("div", {}),
    took = h("span", { class: "num" }),
    banner = h("div", {});
  const stop = h(
    "button",
    {
      class: "danger-quiet",
      hidden: true,
      onclick: () =>
        act(stop, async () => {
          if (
            !(await confirmed(
              `Stop trial ${trialId}?`,
              "Its processes are ended. What it has reported is its result, and the job goes on with other trials.",
              "Stop the trial",
            ))
          )
            return;
          await post(`${path}:stop`);
          tell(`Trial ${trialId} is being stopped.`);
        }),
    },
    "Stop trial",
  );
  const neighbour = (text, label) => h("a", { class: "button small", hidden: true, "aria-label": label }, text);
  const before = neighbour("‹", "Previous trial"),
    after = neighbour("›", "Next trial");
  const why = h("div", {}),
    diagnosis = h("div", {}),
    files = h("div", {}),
    started = h("div", {});
  const series = seriesPart(path),
    log = new LogView(path);
  main.replaceChildren(
    h(
      "header",
      { class: "job-head" },
      h(
        "nav",
        { "aria-label": "Where you are", class: "path" },
        h("a", { href: "#/" }, "Jobs"),
        h("span", { "aria-hidden": "true" }, "/"),
        h("a", { href: jobHash }, jobId),
        h("span", { "aria-hidden": "true" }, "/"),
      ),
      h("div", { class: "title" }, h("h1", {}, `Trial ${trialId}`), stateBox, h("div", { class: "tools" }, before, after, stop)),
      banner,
      h("div", { class: "card strip" }, details),
    ),
    h("div", { class: "parts" }, diagnosis, why, series.element, log.element, started, files),
  );

  let detail = null,
    whyChart = null;
  const showFacts = () => {
    const now = detail;
    if (!now) return;
    const key = JSON.stringify([job.parametersOf(now), now.state, now.best, now.attempt, now.endTime, now.startTime]);
    if (details.dataset.key !== key) {
      details.dataset.key = key;
      details.replaceChildren(
        facts([
          [isOver(now.state) ? "Result" : "Last value", value, lastStep],
          now.best && ["Best value", number(numberOf(now.best.value), 5), h("span", { class: "hint" }, ` step ${count(now.best.step)}`)],
          ["Parameters", chips(job.parametersOf(now))],
          ["Took", took, now.startTime && h("span", { class: "hint" }, " since ", time(now.startTime))],
          now.attempt > 1 && ["Attempt", String(now.attempt)],
        ]),
      );
    }
  };
  const show = (now) => {
    detail = now;
    showRow(now);
    showFacts();
    diagnosis.replaceChildren(
      ...(now.diagnosis
        ? [
            h(
              "div",
              { class: "banner", role: "note" },
              h("strong", {}, "The metric was not found."),
              h("pre", { class: "plain-text" }, now.diagnosis),
            ),
          ]
        : []),
    );
    if (now.why && why.dataset.said !== now.why.sentence) {
      why.dataset.said = now.why.sentence;
      whyChart?.close();
      const made = whyPart(now.why, trialId, jobId);
      whyChart = made.chart;
      why.replaceChildren(made.element);
    }
    renew(started, [now.command, now.environment, now.replicas, now.directory], () => startedPart(now));
    renew(files, now.files ?? [], () => filesPart(now.files ?? []));
    series.show(now.series ?? []);
    log.setReplicas(now.replicas ?? [], isOver(now.state));
    showTook();
  };
  let shownState = null;
  const showRow = (row) => {
    if (!row) return;
    const result = numberOf(row.result ?? row.value);
    write(value, result === null ? (isOver(row.state) ? "none" : "none yet") : shortNumber(result, 5), fullNumber(result));
    write(lastStep, row.step === undefined || row.step === null ? "" : ` step ${count(row.step)}`);
    if (shownState !== row.state) {
      shownState = row.state;
      stateBox.replaceChildren(state(row.state));
    }
    stop.hidden = isOver(row.state);
    banner.replaceChildren(
      ...(row.reason && !detail?.why ? [h("p", { class: `banner ${row.state === "FAILED" ? "bad" : ""}` }, sentence(row.reason))] : []),
    );
    const at = job.trials.findIndex(({ id }) => id === trialId);
    for (const [link, trial] of [
      [before, job.trials[at - 1]],
      [after, job.trials[at + 1]],
    ]) {
      link.hidden = at < 0 || !trial;
      if (trial) link.href = `${jobHash}/trials/${encodeURIComponent(trial.id)}`;
    }
  };
  const showTook = () => {
    if (detail) write(took, elapsed(detail.startTime, detail.endTime) || "–");
  };
  return {
    show,
    showRow,
    showFacts,
    showTook,
    showCurve: (curve) => series.showLive(curve),
    close() {
      whyChart?.close();
      series.close();
      log.close();
    },
  };
}

/** Makes a part anew where what it shows has changed: who reads or marks it is not disturbed. */
function renew(element, shown, make) {
  const key = JSON.stringify(shown);
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.replaceChildren(make());
}

// ---- why it was stopped ----------------------------------------------------------------------

function whyPart(why, trialId, jobId) {
  const chart = new Chart({
    label: "Its curve among the others'",
    xLabel: "step",
    height: 250,
    open: (id) => {
      if (id !== trialId) location.hash = `#/jobs/${encodeURIComponent(jobId)}/trials/${id}`;
    },
    describe: ({ id, x, y }) => ({
      title: id === trialId ? `This trial, ${id}` : `Trial ${id}`,
      rows: [
        ["step", count(x)],
        ["value", shortNumber(y, 6)],
      ],
    }),
  });
  const line = (id, points, look) => {
    const { xs, ys } = new Curve(id, points);
    return { kind: "line", id, xs, ys, ...look };
  };
  const threshold = numberOf(why.threshold);
  // At each step the lower quartile, the median and the upper quartile of the others.
  const quantiles = (why.quantiles ?? []).map((each) => each.flat().map(numberOf)),
    steps = quantiles.map(([step]) => step);
  const own = line(trialId, why.curve ?? [], { colour: why.rule === "request" ? "--cancelled" : "--stopped", width: 2.5, end: "cross" });
  const others = (why.others ?? []).map(({ trialId: id, points }) => line(String(id), points, { colour: "--finished", width: 1.2 }));
  const look = { colour: "--pale", width: 1.5, dash: [6, 3], isFixed: true };
  const series = [...others, own];
  if (Number.isFinite(threshold)) series.unshift({ kind: "level", y: threshold, colour: "--best", xs: [], ys: [] });
  if (steps.length > 1) {
    const at = (n) => quantiles.map((each) => each[n]);
    series.unshift({ kind: "band", xs: steps, ys: at(3), lows: at(1), colour: "--finished", alpha: 0.25 });
    series.unshift({ kind: "line", id: null, xs: steps, ys: at(2), ...look });
  }
  const ends = [...others, own]
    .map(({ ys }) => ys.at(-1))
    .concat(threshold)
    .filter((y) => y !== null && Number.isFinite(y));
  const show = (isCloseUp) =>
    chart.set({
      series,
      xAxis: { scale: "linear", isWhole: true },
      yRange: isCloseUp && ends.length > 1 ? [minOf(ends), maxOf(ends)] : null,
      summary: plural(others.length, "other curve"),
    });
  show(false);
  const element = section(
    "Why it was stopped",
    {
      tools: [
        h(
          "span",
          { class: "legend" },
          h("span", { class: "key stopped" }),
          "this trial",
          h("span", { class: "key finished" }),
          "others",
          steps.length > 1 && [h("span", { class: "key median" }), "their median and quartiles"],
          Number.isFinite(threshold) && [h("span", { class: "key level" }), "threshold"],
        ),
        tick("Close-up", "Only the values with which the trials ended", show),
      ],
    },
    h("p", { class: "sentence" }, sentence(why.sentence)),
    facts([
      ["Rule", String(why.rule ?? "").replaceAll("_", "-")],
      ["Step", why.step === undefined || why.step === null ? "" : count(why.step)],
      numberOf(why.value) !== null && ["Value then", number(numberOf(why.value), 5)],
      Number.isFinite(threshold) && ["Threshold", number(threshold, 5)],
      why.decidedAt && ["Decided", time(why.decidedAt)],
      why.others?.length > 0 && ["Compared with", plural(why.others.length, "trial")],
    ]),
    chart.host,
  );
  return { element, chart };
}

// ---- every series ----------------------------------------------------------------------------

function seriesPart(path) {
  const box = h("div", { class: "slices wide-slices" }),
    charts = new Map();
  const hint = h("span", { class: "hint" });
  const more = h(
    "button",
    {
      class: "small",
      hidden: true,
      onclick: () => {
        nShown = Infinity;
        show(last);
      },
    },
    "Show all",
  );
  const empty = h("p", { class: "empty" }, "No metric has been read yet.");
  let nShown = MAX_CHARTS,
    last = [],
    isClosed = false;
  function show(series) {
    last = series;
    const sorted = [...series].sort(
      (a, b) => Boolean(b.objective) - Boolean(a.objective) || (a.run + a.tag).localeCompare(b.run + b.tag, "en", { numeric: true }),
    );
    const seen = sorted.slice(0, nShown);
    empty.hidden = series.length > 0;
    more.hidden = seen.length === sorted.length;
    write(
      hint,
      seen.length < sorted.length
        ? `${seen.length} of ${count(sorted.length)}`
        : plural(sorted.length, "series").replace("seriess", "series"),
    );
    for (const each of seen) {
      const key = `${each.run}\n${each.tag}`;
      if (!charts.has(key)) {
        const made = makeChart(each);
        charts.set(key, made);
      }
      charts.get(key).update(each);
    }
    const elements = seen.map(({ run, tag }) => charts.get(`${run}\n${tag}`).element);
    if (box.children.length !== elements.length || elements.some((element, idx) => box.children[idx] !== element))
      box.replaceChildren(...elements);
  }
  function makeChart({ run, tag, objective }) {
    const chart = new Chart({
      label: `${tag} of ${run}`,
      xLabel: "step",
      height: objective ? 240 : 190,
      describe: ({ x, y }) => ({
        title: `${tag}`,
        rows: [
          ["step", count(x)],
          ["value", shortNumber(y, 7)],
        ],
      }),
    });
    const lastValue = h("span", { class: "num" });
    const element = h(
      "div",
      { class: `slice${objective ? " main" : ""}` },
      h(
        "h3",
        {},
        h(
          "span",
          { class: "name", title: `${run} ${tag}` },
          tag,
          h("span", { class: "hint" }, ` ${run === "." ? "" : run}`),
          objective && h("span", { class: "flag" }, "objective"),
        ),
        lastValue,
      ),
      chart.host,
    );
    let nLoaded = -1,
      isLoading = false;
    const set = (points) => {
      const { xs, ys } = new Curve(
        "",
        points.map(([step, value]) => [step, value]),
      );
      const nOdd = ys.filter((y) => !Number.isFinite(y)).length;
      chart.set({
        series: [{ kind: "line", id: "", xs, ys, colour: objective ? "--best" : "--running", width: 1.6 }],
        xAxis: { scale: "linear", isWhole: true },
        summary: `${plural(points.length, "point")}${nOdd ? `, ${nOdd} not finite` : ""}`,
      });
      return nOdd;
    };
    return {
      element,
      chart,
      objective,
      async update(now) {
        const value = numberOf(now.lastValue);
        write(lastValue, shortNumber(value, 5), `${fullNumber(value)} at step ${now.lastStep}; ${plural(now.count, "value")}`);
        if (now.count === nLoaded || isLoading) return;
        isLoading = true;
        try {
          const { points } = await get(`${path}/series`, { run, tag, maxPoints: MAX_SERIES_POINTS });
          nLoaded = now.count;
          if (!isClosed) set(points);
        } catch (error) {
          if (!isClosed) chart.set({ series: [], summary: error.message });
        }
        isLoading = false;
      },
    };
  }
  return {
    element: section("Metrics", { hint, tools: [more] }, box, empty),
    show,
    /** The objective's curve grows with the job's events, before its series is read again. */
    showLive(curve) {
      const made = [...charts.values()].find(({ objective }) => objective);
      if (made && curve && curve.xs.length > 0)
        made.chart.set({
          series: [{ kind: "line", id: "", xs: curve.xs, ys: curve.ys, colour: "--best", width: 1.6, end: "dot" }],
          summary: plural(curve.xs.length, "point"),
        });
    },
    close() {
      isClosed = true;
      for (const { chart } of charts.values()) chart.close();
    },
  };
}

// ---- what it was started with, and its files -------------------------------------------------

function startedPart({ command = [], environment = [], replicas = [], directory }) {
  return section(
    "Command",
    { tools: [copyButton(() => commandText(command), "the command")] },
    h("pre", { class: "code wrap", tabindex: "0", role: "group", "aria-label": "Command" }, commandText(command)),
    facts([
      ["Directory", h("code", {}, directory ?? "")],
      environment.length > 0 && [
        "Environment",
        h(
          "span",
          { class: "chips" },
          environment.map((name) => h("code", { class: "chip" }, name)),
        ),
      ],
      replicas.length > 0 && [
        "Replicas",
        h(
          "span",
          { class: "chips" },
          replicas.map(({ name, state: now, exit }) =>
            h("span", { class: "chip" }, name, " ", h("b", {}, exit ?? (now ? stateText(now) : ""))),
          ),
        ),
      ],
    ]),
  );
}

function filesPart(files) {
  if (files.length === 0) return section("Files", {}, h("p", { class: "empty" }, "No event file has been found yet."));
  const health = ({ lagSeconds, damaged }) => {
    const parts = [];
    if (damaged > 0) parts.push(h("span", { class: "warn" }, plural(damaged, "damaged stretch").replace("stretchs", "stretches")));
    if (lagSeconds > 1) parts.push(h("span", { class: "warn" }, `${shortNumber(lagSeconds, 2)} s behind`));
    return parts.length ? parts.flatMap((part, idx) => (idx ? [", ", part] : [part])) : "read whole";
  };
  return section(
    "Files",
    { hint: plural(files.length, "file") },
    h(
      "div",
      { class: "scroller plain-scroller", tabindex: "0", role: "group", "aria-label": "Files" },
      h(
        "table",
        { class: "list" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, "File"),
            h("th", { scope: "col" }, "Kind"),
            h("th", { scope: "col", class: "num" }, "Size"),
            h("th", { scope: "col" }, "Health"),
          ),
        ),
        h(
          "tbody",
          {},
          files.map((file) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, h("code", {}, file.path)),
              h("td", {}, file.kind ?? ""),
              h("td", { class: "num", title: `${file.size} bytes` }, bytes(file.size ?? 0)),
              h("td", {}, health(file)),
            ),
          ),
        ),
      ),
    ),
  );
}
