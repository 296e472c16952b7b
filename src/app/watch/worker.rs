//! Follows a place for one sink, at the pace of that sink: what it has not taken yet waits in the event files.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tfevents::disk::Root;
use tfevents::follow::{Follower, Place};
use tokio::sync::mpsc::Sender;

use super::feed::{Feed, Item, Memory, Selection};
use super::rules::Judge;
use crate::edge::beside::Beside;
use crate::edge::clock::{Clock, moment};
use crate::edge::fs_watcher::FsWatcher;
use crate::edge::sink::{Batch, Delivery, Patience, Undelivered};
use crate::edge::state::StateFile;
use crate::edge::status::Figures;
use crate::limits::{
    AGAIN_SHARE, DRAIN_RETRY, MAX_REPORTS_WAITING, METRICS_INTERVAL, QUIET_POLLS, WATCH_BATCH_LINES,
};
use crate::objective::Seen;
use crate::report::watch::{self, Line};
use crate::units::{RunName, Step, Tag};
use tfevents::series::WriterId;
use tfevents::tail::{Config, Found, Ingested, Progress, Tail};

/// How far one sink has come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The `seq` of the next line.
    next_seq: u64,
    /// What the sink had by then; see [`crate::edge::sink::Sink::mark`].
    mark: u64,
    progress: Progress,
    memory: Memory,
}

/// What a worker tells.
#[derive(Debug)]
pub(super) enum WorkerEvent {
    /// Something is wrong outside, or right again; in words.
    Warning(String),
    /// The trainer is to be stopped, for this reason.
    Stop(String),
    /// No value of a tag has come, and what is there instead.
    Missing(Tag, Box<Seen>),
    /// It has ended.
    Ended(Result<Summary, Undelivered>),
}

/// What a worker delivered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// How many values.
    pub n_points: u64,
    /// How many were left out, as was asked for.
    pub n_left_out: u64,
    /// How many stretches of damage there were.
    pub n_damages: u64,
}

/// What the loop tells its workers.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Why all is to end, and the trainer's exit code: all is read to its end, and the last line delivered.
    ending: Mutex<Option<(String, Option<i32>)>>,
    /// When something new was found last, in milliseconds since the start.
    last_news_ms: AtomicU64,
}

impl Control {
    pub(super) fn end(&self, reason: &str, exit_code: Option<i32>) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.get_or_insert((reason.to_owned(), exit_code));
    }

    fn ending(&self) -> Option<(String, Option<i32>)> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn last_news(&self) -> Duration {
        Duration::from_millis(self.last_news_ms.load(Ordering::Relaxed))
    }
}

/// What a worker works with.
pub(super) struct Worker {
    /// Where it delivers to; none where it only looks for the others.
    pub(super) sink: Option<(String, Delivery)>,
    pub(super) state: Option<Arc<StateFile<Checkpoint>>>,
    pub(super) selection: Selection,
    pub(super) judge: Option<Judge>,
    pub(super) tell_missing_after: Option<Duration>,
    pub(super) trial: Option<String>,
    pub(super) job_dir: String,
    pub(super) latest_per: Option<Duration>,
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) control: Arc<Control>,
    pub(super) figures: Arc<Figures>,
    pub(super) patience: Patience,
    pub(super) told: Sender<WorkerEvent>,
}

impl Worker {
    /// Starts a thread that follows `place`; changes below `root` wake it, where there is one.
    ///
    /// # Errors
    /// Errors of the system, of the state, and of what the sink has.
    pub(super) fn start(
        mut self,
        place: Box<dyn Place>,
        root: Option<Root>,
    ) -> std::io::Result<thread::JoinHandle<()>> {
        let name = self.sink.as_ref().map_or("", |(name, _)| name).to_owned();
        let mut checkpoint = self.state.as_ref().and_then(|state| state.get(&name)).unwrap_or_default();
        let mut kept: HashMap<u64, u32> = HashMap::new();
        if let (Some((_, sink)), Some(_)) = (&mut self.sink, &self.state) {
            // What it was given after its state was stored is not delivered again.
            sink.sink().kept_since(checkpoint.mark, &mut |line| {
                if let Some((text, seq)) = watch::split(line) {
                    *kept.entry(digest(text)).or_default() += 1;
                    checkpoint.next_seq = checkpoint.next_seq.max(seq + 1);
                }
            })?;
        }
        let (told, control) = (self.told.clone(), Arc::clone(&self.control));
        thread::Builder::new().name(format!("watch {name}")).spawn(move || {
            let tail = Tail::with(
                self.config,
                std::mem::take(&mut checkpoint.progress),
                self.clock.of_reader().now(),
            );
            let reader = Follower::with(place, self.clock.of_reader(), tail);
            let watcher = root.as_ref().map(|root| FsWatcher::of(root, thread::current()));
            let beside = root.map(|root| (root.base().to_owned(), Beside::default()));
            let feed = Feed::new(self.selection.clone(), std::mem::take(&mut checkpoint.memory));
            let job = Following {
                worker: self,
                reader,
                watcher,
                beside,
                feed,
                kept,
                next_seq: checkpoint.next_seq,
                pending: Pending::default(),
                owed: BTreeMap::new(),
                pay_at: Instant::now(),
                is_stop_told: false,
            };
            let figures = Arc::clone(&job.worker.figures);
            let ended = catch_unwind(AssertUnwindSafe(|| job.follow())).unwrap_or_else(|_| {
                let fault = "a fault of hptune ended it".to_owned();
                control.end(&fault, None);
                Err(Undelivered::GaveUp(fault))
            });
            figures.has_ended.store(true, Ordering::Relaxed);
            // Nobody is left to tell if this fails.
            let _ = told.blocking_send(WorkerEvent::Ended(ended));
        })
    }
}

/// A line without its number, as 64 bits.
fn digest(text: &str) -> u64 {
    u64::from(crc32c::crc32c(text.as_bytes())) << 32 | (text.len() as u64 & 0xffff_ffff)
}

/// Goes on reading metrics files while a sink takes its time: what they hold is gone soon. There is a limit to what
/// waits then; that some is missing beyond it is told by the reading that shows it.
fn look_while<T>(deliver: impl FnOnce() -> T, reader: &mut Follower, feed: &mut Feed) -> T {
    let is_delivered = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !is_delivered.load(Ordering::Acquire) {
                // The first look comes after a while: most sinks take no time.
                thread::park_timeout(METRICS_INTERVAL);
                while feed.n_items() < MAX_REPORTS_WAITING
                    && reader.step_metrics(&mut |found| feed.handle(found)).is_none()
                {}
            }
        });
        let delivered = deliver();
        is_delivered.store(true, Ordering::Release);
        looking.thread().unpark();
        delivered
    })
}

/// Tells a feed which writers are alive together, by the processes that have their files open.
fn meet(beside: &mut Option<(PathBuf, Beside)>, feed: &mut Feed, found: &Found<'_>) {
    // The first event may say only about when the file was begun.
    if let (Some((root, beside)), Found::Event { run, path, writer, started, ingested }) = (beside, found)
        && !matches!(ingested, Ingested::Opened { .. })
    {
        for alive in beside.meet(run, *writer, *started, || root.join(path), None) {
            feed.is_alive(run, alive.writer, alive.started, alive.until);
        }
    }
}

struct Following {
    worker: Worker,
    reader: Follower,
    watcher: Option<FsWatcher>,
    /// Of a directory on this machine: where it is, and who writes in it.
    beside: Option<(PathBuf, Beside)>,
    feed: Feed,
    /// Lines that the sink has beyond the state, by their digests.
    kept: HashMap<u64, u32>,
    next_seq: u64,
    pending: Pending,
    /// The series of which values are to be told again, as they stand beside those that a rewind made void: from which
    /// step on.
    owed: BTreeMap<(RunName, Tag), Step>,
    /// When files may be read again for that: it takes a small share of the time, however often trainers restart.
    pay_at: Instant,
    /// That the sink's receiver wants the trainer stopped was told.
    is_stop_told: bool,
}

/// Lines that are about to be delivered.
#[derive(Debug, Default)]
struct Pending {
    lines: Vec<Line>,
    /// The clock of the last value.
    last_clock: Option<f64>,
}

impl Following {
    fn follow(mut self) -> Result<Summary, Undelivered> {
        let started = self.worker.clock.now();
        let after = |wait: Duration| started.checked_add(wait).ok();
        let mut tell_missing_at = self.worker.tell_missing_after.and_then(after);
        let mut tags_told = None;
        let mut deliver_at = Instant::now();
        if self.next_seq == 0 {
            let job_dir = self.worker.job_dir.clone();
            self.deliver(vec![Item::Line(Line::Watch { version: watch::VERSION, job_dir })])?;
        }
        loop {
            if let Some((reason, exit_code)) = self.worker.control.ending() {
                return self.drain(reason, exit_code);
            }
            let (feed, beside) = (&mut self.feed, &mut self.beside);
            let wait_until = self.reader.step(&mut |found| {
                meet(beside, feed, &found);
                feed.handle(found);
            });
            let is_full = self.feed.n_items() >= WATCH_BATCH_LINES;
            if wait_until.is_none() && !is_full {
                continue;
            }
            let is_due = self.worker.latest_per.is_none() || Instant::now() >= deliver_at;
            if self.feed.n_items() > 0 {
                let now = self.worker.clock.now().duration_since(started);
                let now = u64::try_from(now.as_millis()).unwrap_or(0);
                self.worker.control.last_news_ms.store(now, Ordering::Relaxed);
                if is_due || is_full {
                    let items = self.feed.take_items();
                    self.deliver(items)?;
                    deliver_at = Instant::now() + self.worker.latest_per.unwrap_or_default();
                    self.give_warnings();
                    // What came meanwhile comes before any waiting.
                    continue;
                }
            }
            if !self.owed.is_empty() && Instant::now() >= self.pay_at {
                self.pay()?;
            }
            self.greet()?;
            self.give_warnings();
            let Some(until) = wait_until else { continue };
            let now = self.worker.clock.now();
            if tell_missing_at.is_some_and(|at| at <= now) {
                let seen = self.feed.seen(self.reader.tail().n_files());
                match self.feed.missing().next().cloned() {
                    None => tell_missing_at = None,
                    Some(tag) => {
                        // Once for each new set of tags.
                        let tags = Some(seen.tags.clone());
                        if tags != std::mem::replace(&mut tags_told, tags.clone()) {
                            self.tell(WorkerEvent::Missing(tag, Box::new(seen)));
                        }
                    }
                }
            }
            if let Some(warning) = self.watcher.as_mut().and_then(FsWatcher::keep) {
                self.tell(WorkerEvent::Warning(warning));
            }
            let mut wait = until.since(moment(now));
            if self.feed.n_items() > 0 {
                wait = wait.min(deliver_at.saturating_duration_since(Instant::now()));
            }
            if !self.owed.is_empty() {
                wait = wait.min(self.pay_at.saturating_duration_since(Instant::now()));
            }
            if let Some(at) = self.greet_at() {
                wait = wait.min(at.saturating_duration_since(Instant::now()));
            }
            if let Some(at) = tell_missing_at.filter(|at| *at > now) {
                wait = wait.min(Duration::try_from(at.duration_since(now)).unwrap_or_default());
            }
            match &self.watcher {
                Some(watcher) => {
                    watcher.wait(wait);
                    watcher.pass_on(&mut self.reader);
                }
                None => thread::park_timeout(wait),
            }
        }
    }

    /// When the sink's receiver wants to hear of us again.
    fn greet_at(&mut self) -> Option<Instant> {
        self.worker.sink.as_mut().and_then(|(_, sink)| sink.sink().greet_at())
    }

    /// Turns to the receiver, where it is time to, for whoever is to stop the trainer can say so.
    fn greet(&mut self) -> Result<(), Undelivered> {
        if self.greet_at().is_none_or(|at| at > Instant::now()) {
            return Ok(());
        }
        let told = self.worker.told.clone();
        let Some((_, sink)) = &mut self.worker.sink else { return Ok(()) };
        sink.greet(&self.worker.patience, &mut |warning| {
            let _ = told.blocking_send(WorkerEvent::Warning(warning));
        })?;
        self.take_stop();
        Ok(())
    }

    fn take_stop(&mut self) {
        let wanted = self.worker.sink.as_mut().and_then(|(_, sink)| sink.sink().take_stop());
        if let Some(reason) = wanted
            && !std::mem::replace(&mut self.is_stop_told, true)
        {
            self.tell(WorkerEvent::Stop(reason));
        }
    }

    fn tell(&self, said: WorkerEvent) {
        // Nobody is left to tell if this fails.
        let _ = self.worker.told.blocking_send(said);
    }

    fn give_warnings(&mut self) {
        for warning in self.feed.take_warnings() {
            self.tell(WorkerEvent::Warning(warning));
        }
    }

    /// Reads all that there is, nothing more being written, and delivers it.
    fn drain(mut self, reason: String, exit_code: Option<i32>) -> Result<Summary, Undelivered> {
        // What waits from before comes first.
        let items = self.feed.take_items();
        self.deliver(items)?;
        let mut n_quiet = 0;
        while n_quiet < QUIET_POLLS {
            self.reader.list_now();
            let has_found = self.deliver_until(|reader, found| reader.step(found).is_some())?;
            n_quiet = if has_found { 0 } else { n_quiet + 1 };
            if n_quiet < QUIET_POLLS {
                thread::sleep(DRAIN_RETRY);
            }
        }
        let mut ending = self.reader.begin_to_end();
        self.deliver_until(|reader, found| reader.step_to_end(&mut ending, found))?;
        self.pay()?;
        let Memory { n_points, n_left_out, n_damages, .. } = *self.feed.memory();
        let end = Line::End { reason, exit_code, points: n_points, left_out: n_left_out };
        self.deliver(vec![Item::Line(end)])?;
        self.store(true);
        self.give_warnings();
        Ok(Summary { n_points, n_left_out, n_damages })
    }

    /// Reads until there is no more, and delivers what is found, some lines at a time. The answer is whether there was
    /// anything.
    fn deliver_until(
        &mut self,
        mut is_over: impl FnMut(&mut Follower, &mut dyn FnMut(Found<'_>)) -> bool,
    ) -> Result<bool, Undelivered> {
        let mut has_found = false;
        loop {
            let (feed, beside, patience) = (&mut self.feed, &mut self.beside, &self.worker.patience);
            let is_over = is_over(&mut self.reader, &mut |found| {
                patience.progressed();
                meet(beside, feed, &found);
                feed.handle(found);
            });
            if is_over || self.feed.n_items() >= WATCH_BATCH_LINES {
                has_found |= self.feed.n_items() > 0;
                let items = self.feed.take_items();
                self.deliver(items)?;
            }
            if is_over {
                return Ok(has_found);
            }
        }
    }

    /// Delivers items, and stores how far the sink has come.
    fn deliver(&mut self, mut items: Vec<Item>) -> Result<(), Undelivered> {
        if items.is_empty() {
            return Ok(());
        }
        if self.worker.latest_per.is_some() {
            self.feed.coalesce(&mut items);
        }
        for item in items {
            let leaving = match &item {
                Item::Rewind(run, rewound) if rewound.leaves_some => {
                    Some((run.clone(), rewound.tag.clone(), rewound.rewind.from, rewound.by))
                }
                Item::Rewind(..) | Item::Point { .. } | Item::Line(_) => None,
            };
            self.put(Feed::line(item))?;
            match leaving {
                Some((run, tag, from, by)) if self.owed.is_empty() && Instant::now() >= self.pay_at => {
                    self.tell_again(&run, &tag, from, by)?;
                }
                Some((run, tag, from, _)) => {
                    let owed = self.owed.entry((run, tag)).or_insert(from);
                    *owed = from.min(*owed);
                }
                None => {}
            }
        }
        self.flush()?;
        if !self.owed.is_empty() && Instant::now() >= self.pay_at {
            self.pay()?;
        }
        self.store(false);
        Ok(())
    }

    /// Tells all again that is owed.
    fn pay(&mut self) -> Result<(), Undelivered> {
        for ((run, tag), from) in std::mem::take(&mut self.owed) {
            // Meanwhile values of the writer that restarted were told too, and those that are told last count.
            self.tell_again(&run, &tag, from, None)?;
        }
        self.flush()
    }

    /// Tells values that stand from a step on once more, of all writers but one: from the files, as nobody keeps them.
    fn tell_again(
        &mut self,
        run: &RunName,
        tag: &Tag,
        from: Step,
        but: Option<WriterId>,
    ) -> Result<(), Undelivered> {
        let started = Instant::now();
        let standing = self.feed.standing(run, tag, from, but);
        for writer in standing.writers() {
            let mut go_over = standing.go_over(writer);
            let Some(mut reading) = self.reader.read_again(writer) else { continue };
            let mut has_more = true;
            while has_more && !go_over.is_over() {
                let (mut points, feed) = (Vec::new(), &self.feed);
                let read = reading.step(&mut self.reader, tag.as_str(), &mut |point| {
                    let attempt = go_over.next(point.step).filter(|_| feed.has_step(point.step));
                    points.extend(attempt.map(|attempt| (point, attempt)));
                });
                has_more = read.unwrap_or_else(|e| {
                    self.tell(WorkerEvent::Warning(format!(
                        "values of `{tag}` that stand cannot be read again: {e}"
                    )));
                    false
                });
                for (point, attempt) in points {
                    let (run, tag) = (run.clone(), tag.clone());
                    self.put(Feed::line(Item::Point { run, tag, point, attempt }))?;
                }
            }
        }
        self.pay_at = Instant::now() + started.elapsed() * AGAIN_SHARE;
        Ok(())
    }

    /// Adds a line to those that are about to be delivered.
    fn put(&mut self, line: Line) -> Result<(), Undelivered> {
        if let Line::Point { wall_time, .. } = line {
            self.feed.count(1);
            self.pending.last_clock = Some(wall_time);
        }
        if let Some(reason) = self.worker.judge.as_mut().and_then(|judge| judge.handle(&line)) {
            self.tell(WorkerEvent::Stop(reason));
        }
        if self.worker.sink.is_none() {
            return Ok(());
        }
        if self.is_kept(&line) {
            return Ok(());
        }
        self.pending.lines.push(line);
        self.next_seq += 1;
        if self.pending.lines.len() < WATCH_BATCH_LINES { Ok(()) } else { self.flush() }
    }

    /// Whether the sink has a line beyond the state: each of those counts once.
    fn is_kept(&mut self, line: &Line) -> bool {
        if self.kept.is_empty() {
            return false;
        }
        let digest = digest(&watch::encode(line, self.worker.trial.as_deref()));
        let Some(n) = self.kept.get_mut(&digest) else { return false };
        *n -= 1;
        if *n == 0 {
            self.kept.remove(&digest);
        }
        true
    }

    /// Delivers the lines that there are.
    fn flush(&mut self) -> Result<(), Undelivered> {
        let Pending { mut lines, last_clock } = std::mem::take(&mut self.pending);
        let first_seq = self.next_seq - lines.len() as u64;
        let told = self.worker.told.clone();
        let figures = Arc::clone(&self.worker.figures);
        if let Some((_, sink)) = &mut self.worker.sink
            && !lines.is_empty()
        {
            figures.n_queued.store(lines.len() as u64, Ordering::Relaxed);
            let mut deliver = || {
                let batch = Batch { first_seq, lines: &lines, trial: self.worker.trial.as_deref() };
                sink.deliver(&batch, &self.worker.patience, &mut |warning| {
                    // Nobody is left to tell if this fails.
                    let _ = told.blocking_send(WorkerEvent::Warning(warning));
                })
            };
            let must_look = self.reader.tail().has_metrics_files() && self.worker.control.ending().is_none();
            let delivered = match must_look {
                true => look_while(deliver, &mut self.reader, &mut self.feed),
                false => deliver(),
            };
            figures.n_queued.store(0, Ordering::Relaxed);
            delivered?;
            self.worker.patience.progressed();
            self.take_stop();
        }
        // The next lines have the same memory.
        lines.clear();
        self.pending.lines = lines;
        let Memory { n_points, n_left_out, n_damages, .. } = *self.feed.memory();
        figures.n_points.store(n_points, Ordering::Relaxed);
        figures.n_left_out.store(n_left_out, Ordering::Relaxed);
        figures.n_damages.store(n_damages, Ordering::Relaxed);
        figures.n_files.store(self.reader.tail().n_files() as u64, Ordering::Relaxed);
        if let Some(wall_time) = last_clock {
            let lag = self.worker.clock.now().as_millisecond() as f64 - wall_time * 1e3;
            // A clock that says nothing, or is ahead of ours, is no lag.
            figures.lag_ms.store(lag.max(0.0) as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Stores how far the sink has come, where it is time to or `must` is set. Only to be called where all
    /// that was found is delivered; where some is owed nothing is stored.
    fn store(&mut self, must: bool) {
        let (Some(state), Some((name, sink))) = (&self.worker.state, &mut self.worker.sink) else { return };
        if self.feed.n_items() > 0 || !self.owed.is_empty() || !(must || state.is_due()) {
            return;
        }
        let checkpoint = Checkpoint {
            next_seq: self.next_seq,
            mark: sink.sink().mark(),
            progress: self.reader.tail().progress(),
            memory: self.feed.memory().clone(),
        };
        if let Err(e) = sink.sink().sync().and_then(|()| state.put(name, checkpoint)) {
            let warning =
                format!("the state cannot be stored: {e}; what is delivered now comes twice after a crash");
            self.tell(WorkerEvent::Warning(warning));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use super::*;
    use crate::layout::METRICS_PATH;
    use tfevents::disk::Root;
    use tfevents::follow::ListError;
    use tfevents::tail::{FileId, Listed};

    use crate::edge::files;
    use crate::layout::NAMING;
    use tfevents::tail::{Config, Progress};

    /// A directory that says what was read in it.
    struct Announcing {
        root: Root,
        read: mpsc::Sender<Vec<u8>>,
    }

    impl Place for Announcing {
        fn list(&mut self) -> (Vec<Listed>, Vec<ListError>) {
            self.root.list()
        }

        fn look(&mut self, path: &str) -> io::Result<Option<Listed>> {
            self.root.look(path)
        }

        fn read(&mut self, path: &str, id: FileId, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.root.read(path, id, offset, buffer)?;
            // The test may have ended.
            let _ = self.read.send(buffer[..n].to_vec());
            Ok(n)
        }
    }

    #[test]
    fn reports_that_come_while_a_sink_is_away_are_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(METRICS_PATH);
        std::fs::create_dir(path.parent().expect("it has one")).expect("it is made");
        // As the package does: the last hundred, the whole file anew. No two are of one size.
        let report = |n_made: u32| {
            let line = |n| format!("{{\"acc\": \"{n}\", \"global_step\": \"{n}\", \"timestamp\": {n}.5}}\n");
            let text: String = (n_made.saturating_sub(100)..n_made).map(line).collect();
            std::fs::write(&path, &text).expect("it is written");
            text.into_bytes()
        };
        let (read, reads) = mpsc::channel();
        let place = Announcing { root: files::directory(directory.path()), read };
        let clock = Clock::start().of_reader();
        let config = Config { naming: NAMING, ..Config::default() };
        let mut reader =
            Follower::with(Box::new(place), clock, Tail::with(config, Progress::default(), clock.now()));
        let mut feed = Feed::new(Selection::default(), Memory::default());
        report(60);
        reader.read_all(&mut |found| feed.handle(found));
        let deliver = || {
            for n_made in [130, 195, 290, 1_095] {
                let text = report(n_made);
                assert!(reads.iter().any(|read| read == text), "it is read");
            }
        };
        look_while(deliver, &mut reader, &mut feed);
        let items = feed.take_items();
        let steps = items.iter().filter_map(|item| match item {
            Item::Point { point, .. } => Some(point.step.0),
            _ => None,
        });
        assert_eq!(steps.collect::<Vec<_>>(), (0..290).chain(995..1_095).collect::<Vec<_>>());
        let warnings = feed.take_warnings();
        assert!(matches!(&*warnings, [warning] if warning.contains("values may be missing")), "{warnings:?}");
    }
}
