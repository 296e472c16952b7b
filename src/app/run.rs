//! `run`: one loop between the controller, the trials' processes, their event files and the store.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;

use super::Failure;
use super::prepare::{Plan, store_failure};
use crate::controller::{Controller, Input, JobEnd, JobState, Output, Record, Signal};
use crate::edge::clock::Clock;
use crate::edge::follow::{Followed, Follower, Objective};
use crate::edge::process::{Group, Launch, Status, Streams, adopt_orphans};
use crate::edge::signals::{HANGUP, Heard, INTERRUPT, Signals, TERMINATE};
use crate::edge::store::{JobNumber, NewJob, Store};
use crate::limits::{
    FOLLOW_QUEUE, LEFT_BEHIND_AFTER, LOG_TAIL_BYTES, LOG_TAIL_LINES, MAX_FAILURES_TOLD, REAP_INTERVAL,
    STORE_PATIENCE,
};
use crate::report::Report;
use crate::scalar::OWN_DIRECTORY;
use crate::series::Change;
use crate::study::launch::{self, TrialContext};
use crate::study::{Assignment, Config, Outcome, Trial, rank};
use crate::tail::{HYPERTUNE_METRICS_PATH, Seen};
use crate::tfrecord::{Damage, DamageKind};
use crate::units::{MetricValue, TrialId};

/// How a job ended, with all that it found.
#[derive(Debug)]
pub struct Finished {
    /// The state and what there is to say.
    pub end: JobEnd,
    /// The study.
    pub config: Config,
    /// The job as it was stored.
    pub job: NewJob,
    /// Its trials.
    pub trials: Vec<Trial>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
}

impl Finished {
    /// The process's exit code: 0, 1 where no trial gave a result, 128 and the number of a signal.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.signal.and_then(|n| u8::try_from(n).ok()), self.end.state) {
            (Some(signal), _) => 128 + signal,
            (None, JobState::Succeeded) => 0,
            (None, JobState::Failed | JobState::Cancelled) => 1,
        }
    }
}

/// Runs a job to its end. What happens is told to `tell`.
///
/// # Errors
/// The store or the system failed; every trial is stopped then.
pub fn run(plan: Plan, tell: &mut dyn FnMut(&Report)) -> Result<Finished, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::outside(format!("cannot start: {e}")))?;
    let (reports, followed) = mpsc::channel(FOLLOW_QUEUE);
    runtime.block_on(Job::new(plan, tell, reports).run(followed))
}

/// The files of a trial, below its directory.
struct TrialFiles {
    directory: PathBuf,
    ours: PathBuf,
    log: PathBuf,
}

impl TrialFiles {
    fn new(job_dir: &Path, trial: TrialId) -> Self {
        let directory = job_dir.join(trial.to_string());
        let ours = directory.join(OWN_DIRECTORY);
        let log = ours.join("trainer.log");
        Self { directory, ours, log }
    }
}

/// The log of a trial's trainer.
#[must_use]
pub fn log_path(job_dir: &Path, trial: TrialId) -> PathBuf {
    TrialFiles::new(job_dir, trial).log
}

struct Running {
    group: Group,
    follower: Follower,
    /// When its leader was seen to have ended, which was then handed to the controller.
    ended_at: Option<Instant>,
    /// The user was told that others of it are left.
    is_rest_told: bool,
    /// Nothing of it is left; its files are being read to their end.
    is_draining: bool,
}

struct Job<'t> {
    config: Config,
    job: NewJob,
    number: JobNumber,
    store: Store,
    words: Vec<String>,
    clock: Clock,
    notes: Vec<String>,
    controller: Controller,
    running: BTreeMap<TrialId, Running>,
    reports: mpsc::Sender<Followed>,
    tell: &'t mut dyn FnMut(&Report),
    /// What was said of failures, and of which trial first.
    told: BTreeMap<String, TrialId>,
    /// The note that names the run directory that was chosen is told once a job.
    is_choice_told: bool,
    /// So is the note that no steps are counted.
    is_step_0_told: bool,
    signal: Option<i32>,
    end: Option<JobEnd>,
}

impl<'t> Job<'t> {
    fn new(plan: Plan, tell: &'t mut dyn FnMut(&Report), reports: mpsc::Sender<Followed>) -> Self {
        let Plan { config, job, number, store, words, clock, notes } = plan;
        let controller = Controller::new(config.spec.clone(), config.grace);
        Self {
            config,
            job,
            number,
            store,
            words,
            clock,
            notes,
            controller,
            running: BTreeMap::new(),
            reports,
            tell,
            told: BTreeMap::new(),
            is_choice_told: false,
            is_step_0_told: false,
            signal: None,
            end: None,
        }
    }

    async fn run(mut self, mut followed: mpsc::Receiver<Followed>) -> Result<Finished, Failure> {
        let mut signals =
            Signals::listen().map_err(|e| Failure::outside(format!("cannot listen for signals: {e}")))?;
        // Without it killed grandchildren are left to the system's init, which collects them too.
        let _ = adopt_orphans();
        self.tell_start();
        self.feed(Input::Tick)?;
        let end = loop {
            if let Some(end) = self.end.take() {
                break end;
            }
            let wait = self.time_to_wait();
            tokio::select! {
                Some(report) = followed.recv() => self.take_followed(report)?,
                heard = signals.next() => match heard {
                    Heard::Child => self.reap()?,
                    Heard::Other(_) => {}
                    Heard::End(signal) => self.interrupted(signal)?,
                },
                () = tokio::time::sleep(wait) => {
                    self.feed(Input::Tick)?;
                    self.reap()?;
                }
            }
        };
        let trials = self.controller.trials().to_vec();
        Ok(Finished { end, config: self.config, job: self.job, trials, signal: self.signal })
    }

    fn time_to_wait(&self) -> Duration {
        let until = self.controller.poll_timeout().map(|at| at.duration_since(self.clock.now()));
        let until = until.map(|wait| Duration::try_from(wait).unwrap_or_default());
        until.map_or(REAP_INTERVAL, |wait| wait.min(REAP_INTERVAL))
    }

    fn tell_start(&mut self) {
        let spec = self.controller.spec();
        (self.tell)(&Report::JobStarted {
            job: self.job.id.clone(),
            job_dir: self.job.job_dir.display().to_string(),
            metric_tag: spec.metric_tag.to_string(),
            goal: spec.goal.name(),
            max_trials: spec.max_trials,
            seed: spec.seed,
        });
        for text in std::mem::take(&mut self.notes) {
            (self.tell)(&Report::Note { trial: None, text });
        }
    }

    fn interrupted(&mut self, signal: i32) -> Result<(), Failure> {
        match self.signal {
            None => {
                self.signal = Some(signal);
                self.feed(Input::Cancel)
            }
            // A terminal that closes may send several, and a service manager TERM beside HUP.
            Some(first) if signal == INTERRUPT || (signal == TERMINATE && first != HANGUP) => {
                self.feed(Input::Kill)
            }
            Some(_) => Ok(()),
        }
    }

    /// Hands an input to the controller and carries out what comes of it.
    fn feed(&mut self, input: Input) -> Result<(), Failure> {
        self.controller.handle(self.clock.now(), input);
        let carried_out = self.carry_out();
        if carried_out.is_err() {
            self.abandon();
        }
        carried_out
    }

    /// Carries out the controller's outputs in order: what is to be stored is stored before the next
    /// action.
    fn carry_out(&mut self) -> Result<(), Failure> {
        let mut records = Vec::new();
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Persist(record) => records.push(record),
                Output::Start(trial, params) => {
                    self.persist(&mut records)?;
                    let input = match self.start(trial, &params) {
                        Ok(()) => Input::Started(trial),
                        Err(e) => Input::StartFailed(trial, e.to_string()),
                    };
                    self.controller.handle(self.clock.now(), input);
                }
                Output::Signal(trial, signal) => {
                    self.persist(&mut records)?;
                    if let Some(running) = self.running.get_mut(&trial) {
                        running.group.signal(signal);
                    }
                }
                Output::StillThere(trial) => {
                    let processes = self.running.get(&trial).map(|r| r.group.members()).unwrap_or_default();
                    let ids: Vec<String> = processes.iter().map(ToString::to_string).collect();
                    self.note(trial, format!("was killed, but process {} is still there", ids.join(", ")));
                }
                Output::Finished => self.persist(&mut records)?,
            }
        }
        self.persist(&mut records)
    }

    /// Stores records and tells them.
    fn persist(&mut self, records: &mut Vec<Record>) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        let give_up = Instant::now() + STORE_PATIENCE;
        let mut is_told = false;
        loop {
            match self.store.write(self.number, records) {
                Ok(()) => break,
                Err(e) if e.is_busy() && Instant::now() < give_up => {
                    if !std::mem::replace(&mut is_told, true) {
                        let text = format!("{e}; trying again, the trials go on meanwhile");
                        (self.tell)(&Report::Note { trial: None, text });
                    }
                }
                Err(e) => return Err(store_failure(e)),
            }
        }
        for record in records.drain(..) {
            self.tell_record(record);
        }
        Ok(())
    }

    fn tell_record(&mut self, record: Record) {
        let report = match record {
            Record::Suggested(..) => return,
            Record::Started(trial, _) => {
                let params = self.trial(trial).map(|t| t.params.clone()).unwrap_or_default();
                let text =
                    |(name, value): (&str, &crate::study::ParamValue)| (name.to_owned(), value.to_string());
                Report::TrialStarted { trial, hyperparameters: params.iter().map(text).collect() }
            }
            Record::Changed(trial, changes) => {
                for change in changes {
                    (self.tell)(&match change {
                        Change::Source(run) => Report::Source { trial, run },
                        Change::Rewind(from_step) => Report::Rewind { trial, from_step },
                        Change::Point(p) => {
                            Report::Point { trial, step: p.step, wall_time: p.wall_time.0, value: p.value }
                        }
                    });
                }
                return;
            }
            Record::StopDecided(trial, _, reason) => {
                Report::StopDecided { trial, reason: reason.to_string() }
            }
            Record::Ended(trial, _, outcome) => {
                let spec = self.controller.spec();
                let ended = self.trial(trial);
                let result = ended.and_then(|t| t.result(spec.goal, spec.reduce));
                Report::TrialEnded {
                    trial,
                    state: outcome.state(),
                    outcome: outcome.to_string(),
                    value: result.map(|m| MetricValue::F64(m.value)),
                    step: result.map(|m| m.step),
                    duration_s: ended.and_then(Trial::duration_s),
                }
            }
            Record::CancelDecided(_) => Report::Cancelling,
            Record::JobEnded(_, end) => {
                let spec = self.controller.spec();
                let best = rank(spec, self.controller.trials()).best;
                let winner = best.first().and_then(|id| self.trial(*id));
                let value =
                    winner.and_then(|t| t.result(spec.goal, spec.reduce)).map(|m| MetricValue::F64(m.value));
                let (job, state, message) = (self.job.id.clone(), end.state.name(), end.message.clone());
                self.end = Some(end);
                Report::JobEnded { job, state, message, best, value }
            }
        };
        (self.tell)(&report);
    }

    fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.controller.trials().get(id.get() as usize - 1)
    }

    /// Makes a trial's directory and starts its process, then the follower of its files.
    fn start(&mut self, trial: TrialId, params: &Assignment) -> io::Result<()> {
        let files = TrialFiles::new(&self.job.job_dir, trial);
        make_trial_dir(&files)?;
        let metrics_file = files.directory.join(HYPERTUNE_METRICS_PATH);
        let context = TrialContext {
            job_id: &self.job.id,
            trial,
            trial_dir: &files.directory.to_string_lossy(),
            params,
            metric_tag: &self.config.spec.metric_tag,
            training_input: &self.config.training_input,
            metrics_file: &metrics_file.to_string_lossy(),
        };
        let mut words = launch::command(&self.words, &context).into_iter();
        let program = words.next().unwrap_or_default();
        let arguments: Vec<String> = words.collect();
        let description = json!({
            "job": self.job.id, "trial": trial, "hyperparameters": params, "program": program, "arguments": arguments,
        });
        fs::write(files.ours.join("trial.json"), format!("{description:#}\n"))?;
        let objective = Objective {
            tag: self.config.spec.metric_tag.clone(),
            run: self.config.run.clone(),
            no_metric_after: self.config.no_metric_after,
        };
        let environment = launch::environment(&context);
        let launch = Launch {
            program,
            arguments,
            environment,
            mark: launch::TRIAL_DIR_VARIABLE,
            output: Streams::Log(files.log),
        };
        let mut group = Group::start(&launch)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", launch.program)))?;
        let follower = Follower::start(trial, &files.directory, objective, self.clock, self.reports.clone())
            .inspect_err(|_| group.kill_and_wait())?;
        self.running.insert(
            trial,
            Running { group, follower, ended_at: None, is_rest_told: false, is_draining: false },
        );
        Ok(())
    }

    /// Looks at every process group, and tells the controller which leaders have ended.
    fn reap(&mut self) -> Result<(), Failure> {
        let mut inputs = Vec::new();
        for (trial, running) in &mut self.running {
            let (exit, is_gone) = match running.group.poll() {
                Status::Running => continue,
                Status::Left(exit) => (exit, false),
                Status::Gone(exit) => (exit, true),
            };
            let first_seen = *running.ended_at.get_or_insert_with(|| {
                inputs.push(Input::Exited(*trial, exit));
                Instant::now()
            });
            if !is_gone
                && first_seen.elapsed() > LEFT_BEHIND_AFTER
                && !std::mem::replace(&mut running.is_rest_told, true)
            {
                let n = running.group.members().len();
                let text = format!(
                    "has ended, but {n} of the processes that it started are left; they are told to end"
                );
                (self.tell)(&Report::Note { trial: Some(*trial), text });
            }
            if is_gone && !std::mem::replace(&mut running.is_draining, true) {
                running.follower.drain();
            }
        }
        inputs.into_iter().try_for_each(|input| self.feed(input))
    }

    fn take_followed(&mut self, report: Followed) -> Result<(), Failure> {
        match report {
            Followed::Changed(trial, changes) => {
                // A trainer that has ended by itself is not stopped early for its last values.
                self.reap()?;
                self.feed(Input::Changed(trial, changes))
            }
            Followed::NoMetric(trial, seen) => {
                let text =
                    seen.explain_missing(&self.config.spec.metric_tag, "set hyperparameterMetricTag to it");
                self.note(trial, format!("no value yet: {text}"));
                Ok(())
            }
            Followed::Drained(trial, seen) => {
                let Some(running) = self.running.remove(&trial) else { return Ok(()) };
                running.follower.join();
                self.tell_seen(trial, &seen);
                self.feed(Input::Settled(trial))?;
                self.tell_failure(trial, &seen);
                Ok(())
            }
        }
    }

    fn note(&mut self, trial: TrialId, text: String) {
        (self.tell)(&Report::Note { trial: Some(trial), text });
    }

    /// Tells what a trial's files held that the user should know.
    fn tell_seen(&mut self, trial: TrialId, seen: &Seen) {
        if let (Some(chosen), false, false) = (&seen.chosen, seen.left_out.is_empty(), self.is_choice_told) {
            self.is_choice_told = true;
            let left: Vec<&str> = seen.left_out.iter().map(|run| run.as_str()).collect();
            let tag = &self.config.spec.metric_tag;
            let text = format!(
                "`{tag}` is read from the run directory {chosen}, not from {}; hptune.objective.run decides it",
                left.join(", ")
            );
            self.note(trial, text);
        }
        if seen.lacks_steps() && !std::mem::replace(&mut self.is_step_0_told, true) {
            let text = "every value is at step 0: only the last written counts, and early stopping cannot compare; \
                        have the trainer pass its step to the summary writer";
            self.note(trial, text.to_owned());
        }
        for trouble in &seen.troubles {
            self.note(trial, trouble.clone());
        }
        // A trainer that is stopped while it writes leaves half a record behind.
        let was_stopped = self.signal.is_some() || self.trial(trial).is_some_and(|t| t.stop.is_some());
        let worth_telling = |damage: &Damage| !(was_stopped && damage.kind == DamageKind::Torn);
        if let Some((path, damage)) = seen.damages.iter().find(|(_, damage)| worth_telling(damage)) {
            let more =
                if seen.n_damages > 1 { format!(", and {} more", seen.n_damages - 1) } else { String::new() };
            self.note(trial, format!("damaged event file {path}: {damage}{more}"));
        }
    }

    /// Tells why a trial failed, as far as its files and its log say.
    fn tell_failure(&mut self, trial: TrialId, seen: &Seen) {
        let log = TrialFiles::new(&self.job.job_dir, trial).log;
        let outcome = self.trial(trial).and_then(Trial::outcome).cloned();
        match outcome {
            Some(Outcome::NoMetric) => {
                let text =
                    seen.explain_missing(&self.config.spec.metric_tag, "set hyperparameterMetricTag to it");
                self.tell_once(trial, &text, &text);
            }
            Some(Outcome::Failed(_)) => {
                let lines = last_lines(&log).unwrap_or_default();
                let said = if lines.is_empty() { "it printed nothing".into() } else { lines.join("\n    ") };
                self.tell_once(trial, &said, &format!("the end of {}:\n    {said}", log.display()));
            }
            Some(
                Outcome::Succeeded
                | Outcome::StoppedEarly
                | Outcome::NotStarted(_)
                | Outcome::Infeasible
                | Outcome::Rejected(_)
                | Outcome::Cancelled,
            )
            | None => {}
        }
    }

    /// Tells `text` of a trial, unless `what` it says was told of an earlier one.
    fn tell_once(&mut self, trial: TrialId, what: &str, text: &str) {
        match self.told.get(what) {
            Some(earlier) => {
                let text = format!("what there is to say is the same as of trial {earlier}");
                self.note(trial, text);
            }
            None => {
                if self.told.len() < MAX_FAILURES_TOLD {
                    self.told.insert(what.to_owned(), trial);
                }
                self.note(trial, text.to_owned());
            }
        }
    }

    /// The job cannot go on: no process of it is left behind.
    fn abandon(&mut self) {
        for running in self.running.values_mut() {
            running.group.signal(Signal::Terminate);
        }
        let deadline = Instant::now() + self.config.grace;
        while Instant::now() < deadline
            && self.running.values_mut().any(|running| !matches!(running.group.poll(), Status::Gone(_)))
        {
            std::thread::sleep(REAP_INTERVAL);
        }
        for running in self.running.values_mut() {
            running.group.kill_and_wait();
        }
    }
}

/// Makes the directory of a trial; one that holds anything is refused.
fn make_trial_dir(files: &TrialFiles) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", files.directory.display()));
    fs::create_dir_all(&files.directory).map_err(named)?;
    if fs::read_dir(&files.directory).map_err(named)?.next().is_some() {
        let message = format!("{}: holds files already", files.directory.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    fs::create_dir(&files.ours).map_err(named)
}

/// The last lines of a log.
fn last_lines(log: &Path) -> io::Result<Vec<String>> {
    let mut file = fs::File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(LOG_TAIL_LINES);
    Ok(lines.iter().skip(from).map(|line| (*line).to_owned()).collect())
}
