//! Follows the event files of a running trial on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tfevents::disk::Root;
use tfevents::follow::{Follower as FileFollower, Place};
use tokio::sync::mpsc::Sender;

use super::beside::Beside;
use super::clock::{Clock, moment};
use super::fs_watcher::FsWatcher;
use super::outside::{Claim, OutsideFile, TrialPlace};
use super::process_table::variable_of_writer;
use super::remote::{Bucket, environment};
use super::reports::replica_of_reports;
use crate::layout::NAMING;
use crate::limits::{FOLLOW_BATCH, REMOTE_POLL_INTERVAL};
use crate::objective::Change;
use crate::objective::RunSelector;
use crate::objective::{Burst, ObjectiveCollector, Overdue, Seen, burst};
use crate::study::{Curve, Reconciler, launch};
use crate::units::{Tag, TrialId, WallTime};
use tfevents::tail::{Config, Found, Ingested, Progress, Tail};

/// What a follower reports.
#[derive(Debug)]
pub enum Followed {
    /// The objective of a trial changed.
    Changed(TrialId, Vec<Change>),
    /// A trial writes outside of its directory.
    Outside(TrialId, OutsideFile),
    /// No value has come until now; told once for either reason.
    NoMetric(TrialId, Overdue, Box<Seen>),
    /// Values came late, in a burst; told once.
    Late(TrialId, Late),
    /// Everything was read to its end; nothing follows.
    Drained(TrialId, Box<Seen>),
}

/// Values of the objective that came late.
#[derive(Debug)]
pub struct Late {
    /// How many at once, and how late.
    pub burst: Burst,
    /// The programs that wrote the files, as far as they say.
    pub writers: BTreeSet<String>,
}

/// What to follow.
#[derive(Debug, Clone)]
pub struct Objective {
    /// The tag.
    pub tag: Tag,
    /// The run directories that may be read.
    pub run: RunSelector,
    /// How long to wait for a first value before [`Followed::NoMetric`] at the latest.
    pub no_metric_after: Duration,
    /// How the processes of the trial are known.
    pub members: Members,
    /// Whether the trial has several replicas: values of the objective that others write than those that speak for the
    /// trial count only where those write none.
    pub is_cluster: bool,
    /// When the present attempt of a trial began that was tried before.
    pub attempt_since: Option<WallTime>,
    /// What is known already of an objective whose files were read before: of what they hold only what is new is
    /// reported.
    pub known: Curve,
}

/// How the processes of a trial are known.
#[derive(Debug, Clone)]
pub struct Members {
    /// The trial's directory.
    pub directory: PathBuf,
    /// A variable of their environment that nobody else has, as `NAME=VALUE`.
    pub mark: String,
}

/// Where a trial writes.
#[derive(Debug)]
pub struct At<'a> {
    /// Its directory on this machine.
    pub directory: &'a Path,
    /// The same, as it was before the trial began: it may be renamed at once.
    pub root: Root,
    /// Its directory in an object store, if it has one.
    pub address: Option<&'a str>,
    /// The record of what it writes elsewhere.
    pub outside: &'a Path,
}

/// A thread that follows one trial.
#[derive(Debug)]
pub struct Follower {
    is_draining: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Follower {
    /// Follows everything that a trial writes and reports to `reports`, waiting where that is full.
    ///
    /// # Errors
    /// Errors of starting a thread, and of an address that is none.
    pub fn start(
        trial: TrialId,
        at: At<'_>,
        objective: Objective,
        clock: Clock,
        reports: Sender<Followed>,
    ) -> std::io::Result<Self> {
        let is_draining = Arc::new(AtomicBool::new(false));
        let (noticing, noticed) = channel();
        let mut inside: Vec<Box<dyn Place>> = vec![Box::new(at.root)];
        let mut config = Config { naming: NAMING, ..Config::default() };
        if let Some(address) = at.address {
            inside.push(Box::new(Bucket::open(address, environment())?));
            // Each listing is a request, and takes time but no work.
            config = Config { poll_interval: REMOTE_POLL_INTERVAL, list_share: 1, ..config };
        }
        let place = TrialPlace::new(inside, at.outside, noticing);
        let tail = Tail::with(config, Progress::default(), clock.of_reader().now());
        let reader = FileFollower::with(Box::new(place), clock.of_reader(), tail);
        let others = Others::new(&objective, noticed);
        let flag = Arc::clone(&is_draining);
        let root = at.directory.to_owned();
        let thread = thread::Builder::new().name(format!("trial-{trial}")).spawn(move || {
            let watcher = FsWatcher::new(&root, thread::current());
            let source = TrialSource { reader, watcher, others };
            let following = AssertUnwindSafe(|| follow(trial, source, &objective, clock, &flag, &reports));
            if catch_unwind(following).is_err() {
                give_up(trial, &flag, &reports);
            }
        })?;
        Ok(Self { is_draining, thread })
    }

    /// Nothing more will be written: [`Followed::Drained`] comes when all is read.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Waits for the thread, which ends after [`Followed::Drained`] or once nobody takes its reports.
    pub fn join(self) {
        // Its panics end in a report; see `give_up`.
        let _ = self.thread.join();
    }
}

/// After a panic, a bug of ours: the trial goes on and is settled with what was read of it.
fn give_up(trial: TrialId, is_draining: &AtomicBool, reports: &Sender<Followed>) {
    while !is_draining.load(Ordering::Acquire) {
        thread::park();
    }
    let warning = "its files could not be followed to their end, by a fault of hptune".to_owned();
    let seen = Seen { warnings: vec![warning], ..Seen::default() };
    // Nobody is left to tell if this fails.
    let _ = reports.blocking_send(Followed::Drained(trial, Box::new(seen)));
}

/// Where a follower gets what it reports.
struct TrialSource {
    reader: FileFollower,
    watcher: FsWatcher,
    others: Others,
}

/// Tells the files of replicas apart, those of writers side by side, and those outside of the trial's directory.
struct Others {
    members: Members,
    is_cluster: bool,
    beside: Beside,
    /// By the path of their file, the names of those that do not speak for the trial.
    known: BTreeMap<String, Option<String>>,
    noticed: Receiver<OutsideFile>,
    /// Where files outside are, by the names that they are listed under.
    outside: BTreeMap<String, PathBuf>,
    /// Files outside that nobody was told of.
    untold: Vec<OutsideFile>,
    /// A file of which it is not clear whether it is the trial's.
    unclear: Option<PathBuf>,
}

impl Others {
    fn new(objective: &Objective, noticed: Receiver<OutsideFile>) -> Self {
        Self {
            members: objective.members.clone(),
            is_cluster: objective.is_cluster,
            beside: Beside::default(),
            known: BTreeMap::new(),
            noticed,
            outside: BTreeMap::new(),
            untold: Vec::new(),
            unclear: None,
        }
    }

    fn hand_on(&mut self, found: Found<'_>, collector: &mut ObjectiveCollector) {
        self.take_noticed();
        let Members { directory, mark } = &self.members;
        // The first event may say only about when the file was begun.
        if let Found::Event { run, path, writer, started, ingested } = &found
            && !matches!(ingested, Ingested::Opened { .. })
        {
            let file = || self.outside.get(*path).cloned().unwrap_or_else(|| directory.join(path));
            for alive in self.beside.meet(run, *writer, *started, file, Some(mark)) {
                collector.is_alive(run, alive.writer, alive.started, alive.until);
                collector.set_rank(run, alive.writer, alive.started, alive.rank);
            }
        }
        let (true, Found::Event { path, .. } | Found::Hypertune { path, .. }) = (self.is_cluster, &found)
        else {
            return collector.handle(found);
        };
        if !self.known.contains_key(*path) {
            let file = self.outside.get(*path).cloned().unwrap_or_else(|| directory.join(path));
            let writer = match found {
                Found::Hypertune { path, .. } => replica_of_reports(path).map(str::to_owned),
                // Whoever has closed it by now is taken for one that counts.
                _ => variable_of_writer(&file, mark, launch::REPLICA_VARIABLE),
            };
            let is_other = |name: &String| !launch::speaks_for_trial(name);
            self.known.insert((*path).to_owned(), writer.filter(is_other));
        }
        match self.known.get(*path).cloned().flatten() {
            Some(name) => collector.handle_aside(found, &name),
            None => collector.handle(found),
        }
    }

    /// Takes what was found outside.
    fn take_noticed(&mut self) {
        for file in self.noticed.try_iter() {
            match file.claim {
                Claim::Own => drop(self.outside.insert(file.name.clone(), file.path.clone())),
                Claim::Shared => {}
                Claim::Unclear => self.unclear = Some(file.path.clone()),
            }
            self.untold.push(file);
        }
    }
}

/// Whether values come as they are written.
#[derive(Default)]
struct Punctuality {
    has_source: bool,
    is_told: bool,
}

impl Punctuality {
    /// Looks at what one look at the files gave; a burst is told once. What is told anew, after a restart or of another
    /// run directory, is as old as it is.
    fn look(&mut self, clock: Clock, changes: &[Change]) -> Option<Burst> {
        let mut written: Vec<WallTime> = Vec::new();
        let mut is_new = true;
        for change in changes {
            match change {
                Change::Source(_) => is_new &= !std::mem::replace(&mut self.has_source, true),
                Change::Rewind(_) => is_new = false,
                Change::Point { point, .. } => written.push(point.wall_time),
            }
        }
        let burst = burst(clock.now(), written.into_iter()).filter(|_| is_new && !self.is_told)?;
        self.is_told = true;
        Some(burst)
    }
}

fn follow(
    trial: TrialId,
    TrialSource { mut reader, mut watcher, mut others }: TrialSource,
    objective: &Objective,
    clock: Clock,
    is_draining: &AtomicBool,
    reports: &Sender<Followed>,
) {
    let tell_missing_at = clock.now().checked_add(objective.no_metric_after).ok();
    let mut collector =
        ObjectiveCollector::new(objective.tag.clone(), objective.run.clone(), tell_missing_at);
    if let Some(since) = objective.attempt_since {
        collector = collector.of_attempt(since);
    }
    let mut catch_up = objective.known.run().map(|_| Reconciler::new(objective.known.clone()));
    let mut changes = Vec::new();
    let mut punctuality = Punctuality::default();
    let mut ending = None;
    loop {
        let (mut wait_until, mut is_over) = (None, false);
        let mut found = |found: Found<'_>| others.hand_on(found, &mut collector);
        if is_draining.load(Ordering::Acquire) {
            let ending = ending.get_or_insert_with(|| reader.begin_to_end());
            is_over = reader.step_to_end(ending, &mut found);
        } else {
            wait_until = reader.step(&mut found);
        }
        let is_known = catch_up.is_some();
        others.take_noticed();
        for file in others.untold.drain(..) {
            if reports.blocking_send(Followed::Outside(trial, file)).is_err() {
                return;
            }
        }
        let new = collector.take_changes();
        match &mut catch_up {
            None => changes.extend(new),
            Some(known) => changes.extend(known.take(new)),
        }
        let is_batch = wait_until.is_some() || is_over;
        if is_batch {
            changes.extend(catch_up.take().map(Reconciler::finish).unwrap_or_default());
        }
        if (is_batch || changes.len() >= FOLLOW_BATCH)
            && !is_known
            && let Some(burst) = punctuality.look(clock, &changes)
            && reports
                .blocking_send(Followed::Late(trial, Late { burst, writers: collector.seen().writers }))
                .is_err()
        {
            return;
        }
        while changes.len() >= FOLLOW_BATCH || (is_batch && !changes.is_empty()) {
            let rest = changes.split_off(FOLLOW_BATCH.min(changes.len()));
            let batch = std::mem::replace(&mut changes, rest);
            if reports.blocking_send(Followed::Changed(trial, batch)).is_err() {
                return;
            }
        }
        if is_over {
            // Nobody is left to tell if this fails.
            let seen =
                Seen { unclear: others.unclear.map(|path| path.display().to_string()), ..collector.seen() };
            let _ = reports.blocking_send(Followed::Drained(trial, Box::new(seen)));
            return;
        }
        let Some(until) = wait_until else { continue };
        let now = clock.now();
        if let Some(why) = collector.take_missing(now)
            && reports.blocking_send(Followed::NoMetric(trial, why, Box::new(collector.seen()))).is_err()
        {
            return;
        }
        // Without watches polling alone finds what is new.
        let _ = watcher.keep();
        watcher.wait(until.since(moment(now)));
        watcher.pass_on(&mut reader);
    }
}
