//! Trials whose sidecars report what they measure: the reports in the store, as the changes of objectives that they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use jiff::Timestamp;
use tfevents::record::{Damage, DamageKind};
use tfevents::scalar::{Content, Metadata};
use tfevents::series::WriterId;
use tfevents::tail::{Found, Ingested};

use super::job::{Job, drain};
use crate::app::Failure;
use crate::app::prepare::store_failure;
use crate::controller::Input;
use crate::edge::clock::wall_time;
use crate::edge::store::StoredReport;
use crate::limits::{REPORTS_AT_ONCE, REQUEST_INTERVAL};
use crate::objective::{Change, ObjectiveCollector, Seen};
use crate::report::reported::ReportedLine;
use crate::study::{Exit, Reconciler};
use crate::units::{RunName, Step, Tag, TrialId, WallTime};

/// What a job has taken of the reports in the store.
#[derive(Debug)]
pub(super) struct Reports {
    /// The number of the last one that was taken.
    taken: i64,
    /// The number of the first one of each trial, awaited or not.
    first: BTreeMap<TrialId, i64>,
    /// Trials whose reports are waited for.
    trials: BTreeMap<TrialId, Reporting>,
    /// When the store was asked last.
    asked: Instant,
}

/// A trial whose sidecar reports.
#[derive(Debug)]
struct Reporting {
    wanted: Tag,
    collector: ObjectiveCollector,
    /// While what a process before this one has taken is taken again.
    reconciler: Option<Reconciler>,
    /// Which attempt it is and when it began, where the trial was tried before.
    attempt: Option<(u32, Timestamp)>,
    /// How many trainers have ended, by what was taken.
    n_ends: u32,
    /// The number of the last report that was taken.
    taken: i64,
    runs: HashMap<RunName, Writers>,
    /// The number that the next line has, unless a sidecar began anew.
    next_number: i64,
    /// How the trainer ended.
    exit: Option<Exit>,
}

/// The writers of a run: one more each time that a report takes values back, or that a sidecar begins anew.
#[derive(Debug, Default)]
struct Writers {
    id: u32,
    started: f64,
    /// The latest clock of the run.
    latest: f64,
    /// A sidecar began anew: the next value is the first of all that there is.
    begins_anew: bool,
}

impl Reports {
    pub(super) fn none() -> Self {
        Self { taken: 0, first: BTreeMap::new(), trials: BTreeMap::new(), asked: Instant::now() }
    }
}

impl Reporting {
    fn new(
        collector: ObjectiveCollector,
        wanted: Tag,
        known: Option<Reconciler>,
        attempt: Option<(u32, Timestamp)>,
    ) -> Self {
        Self {
            wanted,
            collector,
            reconciler: known,
            attempt,
            n_ends: 0,
            taken: 0,
            runs: HashMap::new(),
            next_number: 0,
            exit: None,
        }
    }

    /// Whether a report that follows those that were taken is of the present attempt. A sidecar that begins again at once
    /// does so before the attempt has: what it reports comes behind the end of the trainer before it.
    fn is_of_attempt(&self, report: &StoredReport) -> bool {
        self.attempt.is_none_or(|(number, since)| report.at >= since || self.n_ends + 1 >= number)
    }

    /// Takes a report, unless it was taken before or is of a later attempt. True: it is of the present one.
    fn take(&mut self, report: &StoredReport) -> bool {
        if report.number <= self.taken || self.exit.is_some() {
            return false;
        }
        self.taken = report.number;
        let is_of_attempt = self.is_of_attempt(report);
        // Whatever its clock says, what the present attempt writes was begun in it.
        let begun = self.attempt.filter(|_| is_of_attempt).map_or(0.0, |(_, since)| wall_time(since).0);
        let read = serde_json::from_str::<Vec<serde_json::Value>>(&report.lines)
            .map_err(|e| e.to_string())
            .and_then(|lines| Ok((ReportedLine::read_all(&lines)?, lines)));
        let (read, lines) = read.unwrap_or_else(|error| {
            let path = format!("report {} in the store", report.number);
            self.collector.handle(Found::Unreadable { path: &path, error });
            (Vec::new(), Vec::new())
        });
        for (json, line) in lines.iter().zip(read) {
            let number = json.get("seq").and_then(serde_json::Value::as_i64);
            if number.is_some_and(|number| number < self.next_number) {
                // A sidecar that kept no state delivers everything again.
                self.runs.values_mut().for_each(|run| run.begins_anew = true);
            }
            self.next_number = number.map_or(self.next_number, |number| number + 1);
            match line {
                ReportedLine::Point { run, tag, step, wall_time, value } => {
                    let (wanted, writers) = (tag == self.wanted, self.runs.entry(run.clone()).or_default());
                    if wanted && std::mem::take(&mut writers.begins_anew) {
                        self.begin_session(&run, Step(step.0.saturating_sub(1)), begun);
                    }
                    let writers = self.runs.entry(run.clone()).or_default();
                    writers.at_work(wall_time, begun);
                    self.collector.handle(Found::Event {
                        run: &run,
                        path: "",
                        writer: WriterId(writers.id),
                        started: WallTime(writers.started),
                        ingested: Ingested::Value {
                            step,
                            wall_time: WallTime(wall_time),
                            tag: tag.as_str(),
                            content: Content::Scalar(value),
                            metadata: Metadata::default(),
                        },
                    });
                }
                ReportedLine::Rewind { run, tag, from_step } if tag == self.wanted => {
                    self.begin_session(&run, Step(from_step.0.saturating_sub(1)), begun);
                }
                ReportedLine::Damage { file, offset, bytes, damage } => {
                    let kind = DamageKind::named(&damage).unwrap_or(DamageKind::Data);
                    self.collector.handle(Found::Event {
                        run: &RunName::root(),
                        path: &file,
                        writer: WriterId(0),
                        started: WallTime(f64::NAN),
                        ingested: Ingested::Damage(Damage { offset, bytes, kind }),
                    });
                }
                ReportedLine::End { exit_code, .. } => {
                    self.n_ends += 1;
                    self.exit = Some(Exit::Code(exit_code.unwrap_or(0))).filter(|_| is_of_attempt);
                }
                ReportedLine::Watch {} | ReportedLine::Rewind { .. } | ReportedLine::Other => {}
            }
        }
        is_of_attempt
    }

    /// Another writer of a run goes on behind this step; it was begun no earlier than at `begun`.
    fn begin_session(&mut self, run: &RunName, step: Step, begun: f64) {
        let Some(writers) = self.runs.get_mut(run).filter(|writers| writers.latest > 0.0) else { return };
        writers.id += 1;
        writers.latest = writers.latest.next_up().max(begun);
        writers.started = writers.latest;
        self.collector.handle(Found::Event {
            run,
            path: "",
            writer: WriterId(writers.id),
            started: WallTime(writers.started),
            ingested: Ingested::SessionStart(step),
        });
    }

    fn take_changes(&mut self) -> Vec<Change> {
        let new = self.collector.take_changes();
        match &mut self.reconciler {
            Some(known) => known.take(new),
            None => new,
        }
    }
}

impl Writers {
    fn at_work(&mut self, clock: f64, begun: f64) {
        if self.started.is_nan() || self.started <= 0.0 {
            self.started = clock.max(begun);
        }
        self.latest = self.latest.max(clock);
    }
}

impl Job<'_> {
    /// Waits for the reports of a trial; `attempt` tells which attempt it is and when that was started, where the trial was
    /// tried before.
    pub(super) fn await_reports(&mut self, trial: TrialId, attempt: Option<(u32, Timestamp)>) {
        let config = &self.plan.config;
        let known = self.trial(trial).map(|t| t.curve.clone()).unwrap_or_default();
        let tell_missing_at = self.plan.clock.now().checked_add(config.no_metric_after).ok();
        let wanted = config.spec.metric_tag.clone();
        let mut collector = ObjectiveCollector::new(wanted.clone(), config.run.clone(), tell_missing_at);
        if let Some((_, begun)) = attempt {
            collector = collector.of_attempt(wall_time(begun));
        }
        let known = known.run().is_some().then(|| Reconciler::new(known));
        self.reported.trials.insert(trial, Reporting::new(collector, wanted, known, attempt));
        // What came before it was awaited is there, and what came of earlier attempts tells where this one begins.
        if let Some(first) = self.reported.first.get(&trial) {
            self.reported.taken = self.reported.taken.min(first - 1);
        }
    }

    /// Takes what sidecars have reported since the last time.
    pub(super) fn take_reports(&mut self) -> Result<(), Failure> {
        if self.reported.trials.is_empty() || self.reported.asked.elapsed() < REQUEST_INTERVAL {
            return Ok(());
        }
        let stored = match self.plan.store.reports(self.plan.number, self.reported.taken, REPORTS_AT_ONCE) {
            Ok(stored) => stored,
            // They are there the next time.
            Err(e) if e.may_pass() => return Ok(()),
            Err(e) => return Err(store_failure(e)),
        };
        let is_all = stored.len() < REPORTS_AT_ONCE;
        if is_all {
            self.reported.asked = Instant::now();
        }
        let mut heard = BTreeSet::new();
        for report in &stored {
            self.reported.taken = report.number;
            self.reported.first.entry(report.trial).or_insert(report.number);
            if let Some(reporting) = self.reported.trials.get_mut(&report.trial)
                && reporting.take(report)
            {
                heard.insert(report.trial);
            }
        }
        let mut changed = Vec::new();
        for (trial, reporting) in &mut self.reported.trials {
            let mut changes = reporting.take_changes();
            if is_all {
                changes.extend(reporting.reconciler.take().map(Reconciler::finish).unwrap_or_default());
            }
            if !changes.is_empty() {
                changed.push((*trial, changes));
            }
        }
        // All of them are stored together.
        for (trial, changes) in changed {
            self.controller.handle(self.now(), Input::Changed(trial, changes));
        }
        self.execute()?;
        let now = self.plan.clock.now();
        for trial in heard {
            let exit = self.reported.trials.get(&trial).and_then(|reporting| reporting.exit);
            self.engine.reported(trial, exit, now);
        }
        self.tell_missing_reports(now);
        self.reap()
    }

    fn tell_missing_reports(&mut self, now: Timestamp) {
        let mut missing = Vec::new();
        for (trial, reporting) in &mut self.reported.trials {
            if let Some(why) = reporting.collector.take_missing(now) {
                missing.push((*trial, why, reporting.collector.seen()));
            }
        }
        for (trial, why, seen) in missing {
            self.tell_missing(trial, why, &seen);
        }
    }

    /// Nothing of a trial is left: what it reported is all that there is.
    pub(super) fn end_reports(&mut self, trial: TrialId) -> Result<(), Failure> {
        let Some(running) = self.running.get_mut(&trial).filter(|running| !running.is_draining) else {
            return Ok(());
        };
        drain(running);
        let reporting = self.reported.trials.remove(&trial);
        let seen = reporting.map(|reporting| reporting.collector.seen());
        // What it sent is its sidecar's to see; a trial that reported anything has files there.
        let seen = seen.map(|seen| Seen { n_files: usize::from(!seen.tags.is_empty()), ..seen });
        self.drained(trial, Box::new(seen.unwrap_or_default()))
    }
}
