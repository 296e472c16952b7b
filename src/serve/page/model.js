// A job as the page knows it: loaded once, then kept by the server's events. Views are told at most once a frame.

import { follow, get, jobPath } from "/api.js";
import { atMostEvery } from "/frames.js";
import { compareText, hasResult, isOver, numberOf } from "/text.js";

/** How long the event stream may take before the job is shown without it. */
const MAX_WAIT_MS = 400;
const MAX_POINTS = 200;
/** A curve that has grown this long is asked for anew, reduced. */
const MAX_GROWN_POINTS = 3000;
/** How many curves are loaded and drawn of a job that has more trials. */
const MAX_CURVES = 300;

export class Curve {
  constructor(id, points = []) {
    Object.assign(this, { id, xs: [], ys: [], lastStep: -Infinity, shift: 0 });
    this.append(points);
  }

  /** Adds points. Where steps fall, as in each pass over the data, the next pass stands behind the last one. */
  append(points) {
    for (const [step, value] of points) {
      if (step < this.lastStep) this.shift = this.xs[this.xs.length - 1] + 1 - step;
      this.lastStep = step;
      this.xs.push(step + this.shift);
      this.ys.push(numberOf(value));
    }
  }
}

export class Job {
  /** `curvesOf`: the trial whose curve alone is wanted; null for those of the job. */
  constructor(jobId, curvesOf = null) {
    Object.assign(this, { jobId, curvesOf, summary: null, parameters: [], notes: [], trials: [], error: null });
    this.byId = new Map();
    this.curves = new Map();
    this.listeners = [];
    this.waiting = null;
    this.early = null;
    this.changed = new Set();
    this.refetchCurves = new Set();
    this.askRefetch = atMostEvery(300, () => this.refetch());
    this.askReload = atMostEvery(15000, () => this.load());
  }

  /** Calls `work` at the next frame after any of the kinds changed: "job", "trials", "curves", "note", "link". */
  on(kinds, work) {
    this.listeners.push({ kinds, work });
  }

  change(kind) {
    this.changed.add(kind);
    if (kind === "trials" || kind === "job") this.knownBest = null;
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      const changed = this.changed;
      this.changed = new Set();
      for (const { kinds, work } of this.listeners) if (kinds.some((each) => changed.has(each))) work(changed);
    });
  }

  open() {
    this.early = [];
    // Where something between here and the server holds the stream back, what there is now is shown all the same.
    this.slow = setTimeout(() => this.load(), MAX_WAIT_MS);
    this.stream = follow(`${jobPath(this.jobId)}/events`, {
      opened: () => {
        clearTimeout(this.slow);
        this.isLive = true;
        this.change("link");
        this.load();
      },
      broken: () => {
        this.isLive = false;
        this.change("link");
      },
      refused: () => this.load(),
      job: (summary) => this.take(() => this.takeSummary(summary)),
      trial: ({ trial }) => this.take(() => this.takeTrial(trial)),
      points: ({ trialId, points }) => this.take((isEarly) => this.takePoints(String(trialId), points, isEarly)),
      note: (note) =>
        this.take(() => {
          this.notes.push(note);
          this.change("note");
        }),
    });
  }

  close() {
    clearTimeout(this.slow);
    this.stream?.close();
    this.stream = null;
    cancelAnimationFrame(this.waiting);
    this.askRefetch.cancel();
    this.askReload.cancel();
    this.listeners = [];
  }

  /** A server that is away is asked again. */
  fail(error) {
    this.error = error;
    if (error.code === 0 || error.code >= 500) setTimeout(() => this.stream && this.load(), 2000);
    this.change("job");
  }

  /** What comes while the job is being loaded waits until that is there. */
  take(work) {
    if (this.early) this.early.push(work);
    else work(false);
  }

  async load() {
    this.early ??= [];
    try {
      const detail = await get(jobPath(this.jobId));
      this.takeDetail(detail);
      const curves = await get(`${jobPath(this.jobId)}/curves`, this.curveQuery());
      this.curves = new Map();
      this.takeCurves(curves.curves);
    } catch (error) {
      this.fail(error);
    }
    const early = this.early ?? [];
    this.early = null;
    if (this.summary) for (const work of early) work(true);
  }

  curveQuery() {
    if (this.curvesOf !== null) return { maxPoints: MAX_POINTS, trials: this.curvesOf };
    if (this.trials.length <= MAX_CURVES) return { maxPoints: MAX_POINTS };
    return {
      maxPoints: MAX_POINTS,
      trials: this.mostTelling()
        .map(({ id }) => id)
        .join(","),
    };
  }

  /** The trials whose curves say most: those that run, the best, the latest. */
  mostTelling() {
    const sign = this.summary.goal === "MINIMIZE" ? 1 : -1;
    const rank = (trial) => (Number.isFinite(trial.result) ? sign * trial.result : Infinity);
    const running = this.trials.filter((trial) => !isOver(trial.state) && trial.points > 0).slice(-MAX_CURVES);
    const best = [...this.trials].sort((a, b) => rank(a) - rank(b)).slice(0, MAX_CURVES / 3);
    return [...new Set([...running, ...best, ...this.trials.slice(-MAX_CURVES)])].slice(0, MAX_CURVES);
  }

  takeDetail(detail) {
    const { trials, notes, parameters, ...summary } = detail;
    this.summary = summary;
    this.notes = notes ?? [];
    this.parameters = parameters ?? [];
    this.trials = [];
    this.byId = new Map();
    for (const trial of trials ?? []) this.takeTrial(trial);
    this.trials.sort((a, b) => compareText(a.id, b.id));
    this.error = null;
    for (const kind of ["job", "trials", "note"]) this.change(kind);
  }

  takeSummary(summary) {
    const nOver = (counts) => Object.entries(counts ?? {}).reduce((sum, [name, n]) => sum + (/running|pending/.test(name) ? 0 : n), 0);
    // How much each parameter matters comes with the whole job only.
    if (nOver(summary.counts) !== nOver(this.summary.counts)) this.askReload();
    this.summary = { ...this.summary, ...summary };
    this.change("job");
  }

  takeTrial(row) {
    const id = String(row.trialId);
    let trial = this.byId.get(id);
    if (!trial) {
      trial = { id, parameters: {} };
      this.byId.set(id, trial);
      const before = this.trials.at(-1);
      this.trials.push(trial);
      if (before && compareText(before.id, id) > 0) this.trials.sort((a, b) => compareText(a.id, b.id));
    }
    Object.assign(trial, { reason: undefined, value: undefined, endTime: undefined, words: undefined }, row, {
      result: numberOf(row.value),
      points: row.points ?? trial.points ?? 0,
    });
    this.change("trials");
    this.change("curves");
  }

  takePoints(id, points, isEarly) {
    const trial = this.byId.get(id);
    if (points.length === 0) return;
    let curve = this.curves.get(id);
    if (!curve) {
      if (trial && trial.points > points.length + 1 && this.trials.length > MAX_CURVES) return;
      this.curves.set(id, (curve = new Curve(id)));
    }
    if (points[0][0] <= curve.lastStep) {
      if (isEarly) points = points.filter(([step]) => step > curve.lastStep);
      else {
        this.refetchCurves.add(id);
        this.askRefetch();
        return;
      }
      if (points.length === 0) return;
    }
    curve.append(points);
    if (curve.xs.length > MAX_GROWN_POINTS) {
      this.refetchCurves.add(id);
      this.askRefetch();
    }
    if (trial) {
      trial.points += points.length;
      const [step, value] = points.at(-1);
      if (!isOver(trial.state)) Object.assign(trial, { step, result: numberOf(value) });
      this.change("trials");
    }
    this.change("curves");
  }

  takeCurves(curves) {
    for (const { trialId, points } of curves ?? []) this.curves.set(String(trialId), new Curve(String(trialId), points));
    this.change("curves");
  }

  async refetch() {
    const ids = [...this.refetchCurves];
    this.refetchCurves.clear();
    try {
      const { curves } = await get(`${jobPath(this.jobId)}/curves`, { maxPoints: MAX_POINTS, trials: ids.join(",") });
      this.takeCurves(curves.filter(({ trialId }) => ids.includes(String(trialId))));
    } catch {
      // The next points ask again.
    }
  }

  /** The parameters of a trial in the order of the configuration. */
  parametersOf(trial) {
    const place = new Map(this.parameters.map(({ name }, idx) => [name, idx]));
    return Object.entries(trial.parameters ?? {}).sort(([a], [b]) => (place.get(a) ?? 1e9) - (place.get(b) ?? 1e9));
  }

  /** Whether a parameter is a number that may be written shorter; categories and listed values stand as they are written. */
  isNumber(name) {
    return ["DOUBLE", "INTEGER"].includes(this.parameters.find((parameter) => parameter.name === name)?.type);
  }

  /** The trial that the server names as the best, or else the one with the best result. */
  get best() {
    this.knownBest ??= { trial: this.findBest() };
    return this.knownBest.trial;
  }

  findBest() {
    const named = this.byId.get(String(this.summary.best?.trialId));
    if (named) return named;
    const isBetter = this.summary.goal === "MINIMIZE" ? (a, b) => a < b : (a, b) => a > b;
    let best = null;
    for (const trial of this.trials) {
      if (hasResult(trial.state) && Number.isFinite(trial.result) && (!best || isBetter(trial.result, best.result))) best = trial;
    }
    return best;
  }
}
