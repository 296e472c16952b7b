//! `watch`: the sidecar that follows event files and delivers each value, beside a trainer or as its parent.
//!
//! Every sink has a worker of its own, which reads the files at the pace of its sink; one more worker without a
//! sink judges the values where rules are given. This loop waits for what ends it, tells the workers, and goes
//! with the trainer's exit code.

mod feed;
mod rules;
#[cfg(test)]
mod simulation;
mod worker;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::{Duration, Instant};

use tfevents::disk::Root;
use tfevents::follow::Place;
use tokio::sync::mpsc;

use super::{Failure, program, quoted};
use crate::controller::Signal;
use crate::edge::clock::Clock;
use crate::edge::files;
use crate::edge::process::{Group, Launch, ProcessHandle, Status, adopt_orphans, collect_ended};
use crate::edge::remote::{self, Bucket};
use crate::edge::signals::{SignalEvent, Signals};
use crate::edge::sink::{self, Patience, SinkOptions, SinkSpec, Token, Undelivered};
use crate::edge::state::StateFile;
use crate::edge::status::{self, Figures};
use crate::layout::METRICS_PATH;
use crate::layout::NAMING;
use crate::limits::{READ_CHUNK_BYTES, REMOTE_POLL_INTERVAL, UNTIL_INTERVAL, WATCH_QUEUE, WATCH_READ_BYTES};
use crate::objective::RunSelector;
use crate::study::Exit;
use crate::units::Tag;
use tfevents::tail::Config;

pub use feed::Selection;
use rules::Judge;
pub use rules::{Better, Rules, StopIf};
pub use worker::Summary;
use worker::{Checkpoint, Control, Worker, WorkerEvent};

/// What to watch, and what to do with it.
pub struct Request {
    /// Where event files are, or will be.
    pub job_dirs: Vec<PathBuf>,
    /// Which values are delivered.
    pub selection: Selection,
    /// The trial's name in the lines.
    pub trial: Option<String>,
    /// Where to.
    pub sinks: Vec<SinkSpec>,
    /// What standard output is.
    pub stdout: fn() -> Box<dyn Write + Send>,
    /// Where the trainer's output goes then.
    pub errors: fn() -> io::Result<OwnedFd>,
    /// What web servers know us by.
    pub token: Option<Token>,
    /// The file that keeps how far sinks have come.
    pub state: Option<PathBuf>,
    /// The time between two looks at all files.
    pub poll: Option<Duration>,
    /// Only the latest value of each tag in each of these times.
    pub latest_per: Option<Duration>,
    /// When to end, where no command is given.
    pub until: Until,
    /// The trainer.
    pub command: Vec<String>,
    /// How long a trainer that is to stop, and a sink at the end, may take.
    pub grace: Duration,
    /// When to stop the trainer.
    pub rules: Rules,
    /// Where to serve health and figures.
    pub status: Option<SocketAddr>,
    /// How long to wait for a value before its absence is explained.
    pub no_metric_after: Option<Duration>,
    /// What there is to say of the tag in a directory: all that `hptune doctor` says.
    pub diagnose: Arc<Diagnose>,
}

/// Says what there is of a tag in a directory.
pub type Diagnose = dyn Fn(&Path, &Tag) -> Result<String, Failure> + Send + Sync;

/// When watching ends, whichever comes first.
#[derive(Debug, Clone, Default)]
pub struct Until {
    /// When this process has ended.
    pub pid: Option<i32>,
    /// When this file is there.
    pub file: Option<PathBuf>,
    /// When nothing new has come for so long.
    pub idle: Option<Duration>,
    /// When all that is there is delivered.
    pub once: bool,
}

/// How it ended.
#[derive(Debug)]
pub struct Watched {
    /// The process's exit code.
    pub code: u8,
    /// What was delivered to the first sink that took all.
    pub summary: Option<Summary>,
}

/// Watches to the end. `tell` gets what there is to say to the user.
///
/// # Errors
/// A sink or the state cannot be opened, the trainer cannot be started, or the system failed.
pub fn watch(request: Request, tell: &mut dyn FnMut(&str)) -> Result<Watched, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::outside(format!("cannot start: {e}")))?;
    runtime.block_on(run(request, tell))
}

/// What the loop holds.
struct Watch<'t> {
    request: Request,
    clock: Clock,
    started: Instant,
    control: Arc<Control>,
    group: Option<Group>,
    /// The process whose end is waited for.
    process: Option<ProcessHandle>,
    /// Until when a trainer that was told to end may take.
    kill_at: Option<Instant>,
    /// Why the trainer is being stopped.
    stopped: Option<String>,
    /// Why watching ends.
    reason: Option<String>,
    /// The signal that ended it, or came while it ended.
    ended_by: Option<i32>,
    /// Somebody waits for the end: it takes no longer than the grace.
    is_hurried: bool,
    /// All is to end without waiting for anything.
    is_cut_short: bool,
    figures: Vec<Arc<Figures>>,
    n_workers: usize,
    workers: Vec<Started>,
    summary: Option<Summary>,
    has_failed: bool,
    last_warning: Option<String>,
    /// What the workers tell us by.
    told: mpsc::Sender<WorkerEvent>,
    tell: &'t mut dyn FnMut(&str),
}

/// A worker that was started.
struct Started {
    /// To wake it.
    thread: Thread,
    figures: Arc<Figures>,
    patience: Patience,
    /// When it was seen to get on, once all is to end, and how far it had got.
    moved: Option<(Instant, u64)>,
}

async fn run(request: Request, tell: &mut dyn FnMut(&str)) -> Result<Watched, Failure> {
    let failed = |what: &str, e: io::Error| Failure::outside(format!("{what}: {e}"));
    // Nothing is followed, and no sink is opened, for a command that cannot be started.
    let job_dirs: Vec<String> =
        request.job_dirs.iter().map(|job_dir| quoted(&job_dir.to_string_lossy())).collect();
    program::check(&request.command, &format!("hptune watch {}", job_dirs.join(" ")))?;
    let mut signals = Signals::listen().map_err(|e| failed("cannot listen for signals", e))?;
    let process = request
        .until
        .pid
        .map(|pid| ProcessHandle::open(pid).map_err(|e| failed(&format!("--until-pid {pid}"), e)));
    let process = process.transpose()?;
    let (told, mut said) = mpsc::channel(WATCH_QUEUE);
    let mut watch = Watch {
        request,
        clock: Clock::start(),
        started: Instant::now(),
        control: Arc::default(),
        group: None,
        process,
        kill_at: None,
        stopped: None,
        reason: None,
        ended_by: None,
        is_hurried: false,
        is_cut_short: false,
        figures: Vec::new(),
        n_workers: 0,
        workers: Vec::new(),
        summary: None,
        has_failed: false,
        last_warning: None,
        told,
        tell,
    };
    if !watch.request.until.once && watch.request.address().is_none() {
        for job_dir in watch.request.job_dirs.iter().filter(|job_dir| !job_dir.exists()) {
            (watch.tell)(&format!("{} is not there yet: waiting for it", job_dir.display()));
        }
    }
    watch.start_workers()?;
    if let Some(address) = watch.request.status {
        let (address, serving) = status::serve(address, watch.figures.clone())
            .await
            .map_err(|e| failed(&format!("--status-addr {address}"), e))?;
        (watch.tell)(&format!("status: http://{address}/healthz and /metrics"));
        tokio::spawn(serving);
    }
    if !watch.request.command.is_empty() {
        signals.pass_on_others().map_err(|e| failed("cannot listen for signals", e))?;
        watch.start_trainer()?;
    }
    if watch.request.until.once {
        watch.end("all that is there was read", None);
    }
    let mut exit_code = None;
    while watch.n_workers > 0 || watch.group.is_some() {
        tokio::select! {
            Some(said) = said.recv() => watch.handle(said),
            heard = signals.next() => match heard {
                SignalEvent::End(signal) => watch.interrupted(signal),
                SignalEvent::Other(signal) => watch.group.iter().for_each(|group| group.pass_on(signal)),
                // As the first process of a container we are the parent of all that have none.
                SignalEvent::Child if watch.group.is_none() => collect_ended(|_, _| {}),
                SignalEvent::Child => {}
            },
            () = tokio::time::sleep(UNTIL_INTERVAL) => {}
        }
        if let Some(code) = watch.poll_trainer() {
            exit_code = Some(code);
        }
        watch.poll_until();
        if watch.is_cut_short {
            (watch.tell)("ended at once; what was not delivered is left in the event files");
            break;
        }
        if watch.group.is_none() && watch.reason.is_some() && !watch.has_time_to_end() {
            (watch.tell)("a sink holds up the end; what it has not taken is left in the event files");
            watch.has_failed = true;
            break;
        }
    }
    let code = match (exit_code, watch.ended_by.and_then(|signal| u8::try_from(128 + signal).ok())) {
        (Some(code), _) | (None, Some(code)) => code,
        (None, None) if watch.has_failed => 3,
        (None, None) => 0,
    };
    Ok(Watched { code, summary: watch.summary })
}

impl Request {
    /// The address in an object store that is followed, where it is one.
    fn address(&self) -> Option<&str> {
        self.job_dirs.first().and_then(|path| path.to_str()).filter(|path| remote::is_address(path))
    }

    /// Where the runs that lines name are: what is followed, or the directory that holds all of it.
    fn shown_job_dir(&self) -> String {
        match &*self.job_dirs {
            [one] => one.display().to_string(),
            several => files::of(several).base().display().to_string(),
        }
    }
}

impl Watch<'_> {
    fn start_workers(&mut self) -> Result<(), Failure> {
        let job_dir = self.request.shown_job_dir();
        let shared = match &self.request.state {
            Some(path) => Some(Arc::new(open_state(path, &job_dir)?)),
            None => None,
        };
        let mut sinks = Vec::new();
        for spec in &self.request.sinks {
            let options = SinkOptions { stdout: (self.request.stdout)(), token: self.request.token.clone() };
            let mut sink =
                sink::open(spec, options).map_err(|e| Failure::outside(format!("--to {spec}: {e}")))?;
            let state = match (&shared, sink.sink().own_state()) {
                (Some(shared), _) => Some(Arc::clone(shared)),
                (None, Some(path)) => Some(Arc::new(open_state(&path, &job_dir)?)),
                (None, None) => None,
            };
            sinks.push((Some((spec.to_string(), sink)), state));
        }
        let rules = self.request.rules.clone();
        let looks = !rules.is_empty() || self.request.no_metric_after.is_some();
        if looks || sinks.is_empty() || self.request.until.idle.is_some() {
            sinks.push((None, None));
        }
        for (sink, state) in sinks {
            let is_looking = sink.is_none();
            let place = sink.as_ref().map(|(name, _)| format!("--to {name}: ")).unwrap_or_default();
            let name = sink.as_ref().map_or_else(String::new, |(name, _)| name.clone());
            let figures = Arc::new(Figures { name, ..Figures::default() });
            if !is_looking {
                self.figures.push(Arc::clone(&figures));
            }
            let patience = Patience::default();
            let worker = Worker {
                judge: (is_looking && !rules.is_empty()).then(|| Judge::new(rules.clone())),
                tell_missing_after: self.request.no_metric_after.filter(|_| is_looking),
                latest_per: self.request.latest_per.filter(|_| !is_looking),
                sink,
                state,
                selection: self.request.selection.clone(),
                trial: self.request.trial.clone(),
                job_dir: job_dir.clone(),
                config: self.config(),
                clock: self.clock,
                control: Arc::clone(&self.control),
                figures: Arc::clone(&figures),
                patience: patience.clone(),
                told: self.told.clone(),
            };
            let (place_to_read, watcher) = self.place()?;
            // Its end is told; a thread that hangs in a write is left behind at the end.
            let thread =
                worker.start(place_to_read, watcher).map_err(|e| Failure::outside(format!("{place}{e}")))?;
            self.workers.push(Started { thread: thread.thread().clone(), figures, patience, moved: None });
            self.n_workers += 1;
        }
        Ok(())
    }

    /// Where event files are read from, and that of whose changes the system tells.
    fn place(&self) -> Result<(Box<dyn Place>, Option<Root>), Failure> {
        if let Some(address) = self.request.address() {
            let bucket = Bucket::open(address, remote::environment())
                .map_err(|e| Failure::usage(format!("{address}: cannot be opened: {e}")))?;
            return Ok((Box::new(bucket), None));
        }
        let root = files::of(&self.request.job_dirs);
        let watcher = self.request.poll.is_none().then(|| root.clone());
        Ok((Box::new(root), watcher))
    }

    fn config(&self) -> Config {
        let config = match self.request.address().is_some() {
            // Each listing and each read is a request, and takes time but no work.
            true => Config {
                naming: NAMING,
                poll_interval: REMOTE_POLL_INTERVAL,
                list_share: 1,
                read_bytes: READ_CHUNK_BYTES,
                metrics_interval: REMOTE_POLL_INTERVAL,
            },
            false => Config { naming: NAMING, read_bytes: WATCH_READ_BYTES, ..Config::default() },
        };
        let poll_interval = self.request.poll.unwrap_or(config.poll_interval);
        Config { poll_interval, metrics_interval: config.metrics_interval.min(poll_interval), ..config }
    }

    fn start_trainer(&mut self) -> Result<(), Failure> {
        let Some((program, arguments)) = self.request.command.split_first() else { return Ok(()) };
        adopt_orphans().map_err(|e| Failure::outside(format!("cannot start: {e}")))?;
        let has_stdout = self.request.sinks.iter().any(|sink| sink.address().is_standard_output());
        let output = if has_stdout {
            let errors = (self.request.errors)();
            Some(Arc::new(errors.map_err(|e| Failure::outside(format!("cannot start: {e}")))?))
        } else {
            None
        };
        let environment = self.metrics_file().into_iter().collect();
        let launch = Launch { program: program.clone(), arguments: arguments.to_vec(), environment, output };
        let group = Group::start(&launch).map_err(|e| Failure::outside(format!("{program}: {e}")))?;
        self.group = Some(group);
        Ok(())
    }

    /// Tells the cloudml-hypertune package to write where it is followed, unless somebody told it otherwise.
    fn metrics_file(&self) -> Option<(String, String)> {
        const VARIABLE: &str = "CLOUD_ML_HP_METRIC_FILE";
        let is_local = self.request.address().is_none();
        let is_free = std::env::var_os(VARIABLE).is_none_or(|value| value.is_empty());
        let path =
            std::path::absolute(self.request.job_dirs.first()?).ok().filter(|_| is_local && is_free)?;
        Some((VARIABLE.to_owned(), path.join(METRICS_PATH).to_string_lossy().into_owned()))
    }

    fn handle(&mut self, said: WorkerEvent) {
        match said {
            // Each worker meets the same warning.
            WorkerEvent::Warning(text) => {
                if self.last_warning.as_ref() != Some(&text) {
                    (self.tell)(&text);
                }
                self.last_warning = Some(text);
            }
            WorkerEvent::Stop(reason) => {
                (self.tell)(&format!("stopping: {reason}"));
                self.stop(&format!("stopped: {reason}"));
            }
            WorkerEvent::Missing(tag, seen) => {
                let is_local = self.request.address().is_none();
                let in_short =
                    seen.explain_missing(&tag, &RunSelector::default(), "give it with --tag").message;
                let (job_dirs, diagnose) =
                    (self.request.job_dirs.clone(), Arc::clone(&self.request.diagnose));
                let told = self.told.clone();
                // All files are read for it: on a thread of its own, signals are heard meanwhile.
                std::thread::spawn(move || {
                    // A bucket is not read a second time.
                    let all = job_dirs.iter().filter(|_| is_local);
                    let diagnoses: Vec<String> =
                        all.filter_map(|job_dir| diagnose(job_dir, &tag).ok()).collect();
                    let text = match &*diagnoses {
                        [] => format!("no value of `{tag}` yet: {in_short}"),
                        some => format!("no value of `{tag}` yet\n{}", some.join("\n")),
                    };
                    // Nobody is left to tell if this fails.
                    let _ = told.blocking_send(WorkerEvent::Warning(text));
                });
            }
            WorkerEvent::Ended(ended) => {
                self.n_workers -= 1;
                match ended {
                    Ok(summary) => {
                        self.summary.get_or_insert(summary);
                    }
                    Err(Undelivered::Closed) => {}
                    Err(Undelivered::GaveUp(why)) => {
                        (self.tell)(&format!("not all was delivered: {why}"));
                        self.has_failed = true;
                    }
                }
                if self.n_workers == 0 && self.group.is_none() {
                    self.reason.get_or_insert_with(String::new);
                }
            }
        }
    }

    /// Ends watching.
    fn end(&mut self, reason: &str, exit_code: Option<i32>) {
        if self.reason.is_none() {
            self.reason = Some(reason.to_owned());
            self.control.end(reason, exit_code);
            self.workers.iter().for_each(|worker| worker.thread.unpark());
        }
    }

    /// Stops the trainer, or ends watching where there is none.
    fn stop(&mut self, reason: &str) {
        match &mut self.group {
            Some(group) => {
                group.signal(Signal::Terminate);
                self.stopped.get_or_insert_with(|| reason.to_owned());
                self.kill_at.get_or_insert(Instant::now() + self.request.grace);
            }
            None => self.end(reason, None),
        }
    }

    fn interrupted(&mut self, signal: i32) {
        self.is_hurried = true;
        match &self.group {
            // The trainer decides how it ends.
            Some(group) => return group.pass_on(signal),
            None if self.reason.is_some() => self.is_cut_short = true,
            None => self.end(&format!("ended by signal {signal}"), None),
        }
        self.ended_by.get_or_insert(signal);
    }

    /// Gives each worker that has not ended the grace, which begins anew while its sink takes anything, unless somebody
    /// waits for the end. The answer is whether one of them may still get to its end.
    fn has_time_to_end(&mut self) -> bool {
        let (now, grace, is_hurried) = (Instant::now(), self.request.grace, self.is_hurried);
        let at_work =
            self.workers.iter_mut().filter(|worker| !worker.figures.has_ended.load(Ordering::Relaxed));
        let mut at_work = at_work.peekable();
        let is_told_soon = at_work.peek().is_none();
        let may_end = at_work.map(|worker| {
            let n_steps = worker.patience.n_steps();
            let is_getting_on = worker.moved.is_none_or(|(_, known)| known != n_steps && !is_hurried);
            let (moved_at, _) = match is_getting_on {
                true => *worker.moved.insert((now, n_steps)),
                false => worker.moved.unwrap_or((now, n_steps)),
            };
            worker.patience.end_at(moved_at + grace);
            now <= moved_at + 2 * grace
        });
        // Each gets its time, whatever the others do.
        may_end.fold(is_told_soon, |any, this| any | this)
    }

    /// Looks after the trainer; the answer is its exit code, once it has ended.
    fn poll_trainer(&mut self) -> Option<u8> {
        let group = self.group.as_mut()?;
        let status = group.poll();
        if let Some(at) = self.kill_at
            && Instant::now() >= at
            && !matches!(status, Status::Gone(_))
        {
            group.signal(Signal::Kill);
        }
        let exit = match status {
            Status::Running => return None,
            // What it started and left running is its own business, unless all is to stop.
            Status::Left(_) if self.kill_at.is_some() => return None,
            Status::Left(exit) | Status::Gone(exit) => exit,
        };
        let (code, reason) = match exit {
            Exit::Code(code) => (code, format!("the trainer ended with exit code {code}")),
            Exit::Signal(signal) => (128 + signal, format!("the trainer was ended by signal {signal}")),
            // A parent sees how its child ends.
            Exit::OutOfMemory | Exit::Lost => (1, format!("the trainer ended: {exit}")),
        };
        self.group = None;
        let reason = self.stopped.take().unwrap_or(reason);
        self.end(&reason, Some(code));
        Some(u8::try_from(code).unwrap_or(1))
    }

    fn poll_until(&mut self) {
        if self.group.is_some() || self.reason.is_some() {
            return;
        }
        let until = &self.request.until;
        if self.process.as_ref().is_some_and(ProcessHandle::has_ended) {
            return self.end("the process has ended", None);
        }
        if until.file.as_ref().is_some_and(|path| path.exists()) {
            return self.end("the marker file is there", None);
        }
        if let Some(idle) = until.idle
            && self.started.elapsed().saturating_sub(self.control.last_news()) >= idle
        {
            self.end(&format!("nothing new came for {idle:?}"), None);
        }
    }
}

fn open_state(path: &Path, job_dir: &str) -> Result<StateFile<Checkpoint>, Failure> {
    StateFile::open(path, job_dir).map_err(|e| Failure::outside(format!("--state {}: {e}", path.display())))
}
