//! Trials whose sidecars report what they measure: the reports in the store, as the changes of objectives that they are.

use std::collections::{BTreeMap, HashMap};
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
    /// What was reported before is of an earlier attempt.
    since: Option<Timestamp>,
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
        Self { taken: 0, trials: BTreeMap::new(), asked: Instant::now() }
    }
}

impl Reporting {
    fn new(collector: ObjectiveCollector, wanted: Tag, known: Option<Reconciler>) -> Self {
        Self {
            wanted,
            collector,
            reconciler: known,
            since: None,
            runs: HashMap::new(),
            next_number: 0,
            exit: None,
        }
    }

    /// Takes a report.
    fn take(&mut self, report: &StoredReport) {
        // A service takes only what can be read.
        let lines: Vec<serde_json::Value> = serde_json::from_str(&report.lines).unwrap_or_default();
        let read = ReportedLine::read_all(&lines).unwrap_or_default();
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
                        self.begin_session(&run, Step(step.0.saturating_sub(1)));
                    }
                    let writers = self.runs.entry(run.clone()).or_default();
                    writers.at_work(wall_time);
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
                    self.begin_session(&run, Step(from_step.0.saturating_sub(1)));
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
                ReportedLine::End { exit_code, .. } => self.exit = Some(Exit::Code(exit_code.unwrap_or(0))),
                ReportedLine::Watch {} | ReportedLine::Rewind { .. } | ReportedLine::Other => {}
            }
        }
    }

    /// Another writer of a run goes on behind this step.
    fn begin_session(&mut self, run: &RunName, step: Step) {
        let Some(writers) = self.runs.get_mut(run).filter(|writers| writers.latest > 0.0) else { return };
        writers.id += 1;
        writers.latest = writers.latest.next_up();
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
    fn at_work(&mut self, clock: f64) {
        if self.started.is_nan() || self.started <= 0.0 {
            self.started = clock;
        }
        self.latest = self.latest.max(clock);
    }
}

impl Job<'_> {
    /// Waits for the reports of a trial; `begun` tells when its attempt was started, where it was tried before.
    pub(super) fn await_reports(&mut self, trial: TrialId, begun: Option<Timestamp>) {
        let config = &self.plan.config;
        let known = self.trial(trial).map(|t| t.curve.clone()).unwrap_or_default();
        let tell_missing_at = self.plan.clock.now().checked_add(config.no_metric_after).ok();
        let wanted = config.spec.metric_tag.clone();
        let mut collector = ObjectiveCollector::new(wanted.clone(), config.run.clone(), tell_missing_at);
        if let Some(begun) = begun {
            collector = collector.of_attempt(wall_time(begun));
        }
        let known = known.run().is_some().then(|| Reconciler::new(known));
        let reporting = Reporting { since: begun, ..Reporting::new(collector, wanted, known) };
        self.reported.trials.insert(trial, reporting);
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
        let mut heard = BTreeMap::new();
        for report in &stored {
            self.reported.taken = report.number;
            let Some(reporting) = self.reported.trials.get_mut(&report.trial) else { continue };
            reporting.take(report);
            let is_of_attempt = reporting.since.is_none_or(|since| report.at >= since);
            if !is_of_attempt {
                reporting.exit = None;
            }
            heard.insert(report.trial, is_of_attempt);
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
        for trial in heard.into_iter().filter_map(|(trial, is_of_attempt)| is_of_attempt.then_some(trial)) {
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
