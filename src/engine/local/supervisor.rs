//! The supervisor of a trial: a small process between the controller and a trainer, which outlives both.
//!
//! It starts the trial's replicas, waits until nothing that came from them is left, and writes down how each ended,
//! in a record beside the trial's log. A controller that was killed and started again reads there what happened
//! meanwhile. All that is orphaned below a supervisor is handed to it, so that what is left of a trial are its
//! descendants, and where it has no children any more nothing is left. It decides nothing: signals come from the
//! controller. While it waits it keeps what the trainer reports, and looks for what it writes outside of the trial's
//! directory: neither can be found out any more when a controller that was killed is there again.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, setsid, wait};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::cgroup::{Cgroup, OutOfMemoryCount};
use super::left::{Left, Watching, has_children_but, left_below_us};
use crate::edge::host::lower_handle_limit;
use crate::edge::output::Output;
use crate::edge::outside::{Finding, Search};
use crate::edge::process::{adopt_orphans, exit_of};
use crate::edge::process_tree::ProcessIdentity;
use crate::edge::reports::{Copying, ReportFiles, append_lines};
use crate::edge::signals::Signals;
use crate::limits::{RECORD_PATIENCE, STORE_PAUSE};
use crate::study::{Exit, Replica};

/// What a supervisor is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The file of its record, which is there only once it has begun: it begins at most once.
    pub record: PathBuf,
    /// Where the trainer runs.
    pub directory: PathBuf,
    /// Where the replicas' reports are, and are to be kept.
    pub reports: Vec<ReportFiles>,
    /// Where what the trainer writes outside of the trial's directory is looked for.
    pub outside: Search,
    /// The control group that its processes go to.
    pub cgroup: Option<PathBuf>,
    /// The processors that they run on; empty: any.
    pub cpus: Vec<usize>,
    /// How many file handles each of them may have, where the controller raised its own limit.
    pub max_handles: Option<u64>,
    /// The main replica has not ended before all that it started has.
    pub waits_for_children: bool,
    /// The processes to start, the main one first.
    pub replicas: Vec<ReplicaSpec>,
}

/// One process to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplicaSpec {
    /// Which.
    pub replica: Replica,
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables that are added to the supervisor's own environment.
    pub environment: Vec<(String, String)>,
    /// Where its output and errors are appended.
    pub log: PathBuf,
}

/// One line of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// The supervisor has begun, and nothing else has.
    #[serde(rename = "kept")]
    Began {
        /// Itself.
        #[serde(rename = "keeper")]
        supervisor: ProcessIdentity,
        /// Where its processes go.
        cgroup: Option<PathBuf>,
    },
    /// A replica ended.
    Ended {
        /// Which.
        replica: Replica,
        /// How.
        exit: Exit,
        /// When, in milliseconds since the Unix epoch; earlier versions did not say.
        at_ms: Option<i64>,
    },
    /// What the main replica's command left behind when it ended well.
    Left(Left),
    /// Nothing is left.
    Gone,
}

/// What a supervisor answers when it has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// All replicas run.
    Started,
    /// Another supervisor has begun before.
    WasStarted,
    /// It could not be, and nothing is left.
    Failed {
        /// In words.
        why: String,
        /// The system's number of the error.
        os_error: Option<i32>,
    },
}

impl Answer {
    fn failed(place: impl Display, error: &io::Error) -> Self {
        Self::Failed { why: format!("{place}: {error}"), os_error: error.raw_os_error() }
    }
}

/// Starts what `spec` says and waits until nothing of it is left; `answer` takes one line as soon as it is known whether that can be.
///
/// # Errors
/// The record cannot be written, or no answer be given. Whatever was started is waited for all the same.
pub fn supervise(spec: &LaunchSpec, mut answer: impl Write) -> io::Result<()> {
    // A terminal's signals, and its end, are for the controller.
    let _ = setsid();
    // A handler, not the system's habit: what ends a service ends its trainers, and that has to be written down.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    let mut signals = Signals::listen()?;
    signals.pass_on_others()?;
    adopt_orphans()?;
    let entry = Entry::Began { supervisor: ProcessIdentity::own(), cgroup: spec.cgroup.clone() };
    match Output::create(&spec.record, line(&entry)?.as_bytes()) {
        Ok(true) => {}
        Ok(false) => return say(&mut answer, &Answer::WasStarted),
        Err(e) => return say(&mut answer, &Answer::failed(spec.record.display(), &e)),
    }
    if let Some(n) = spec.max_handles {
        lower_handle_limit(n);
    }
    let cgroup = spec.cgroup.clone().map(Cgroup::at);
    let memory = OutOfMemoryCount::nearest(cgroup.as_ref());
    let n_killed_before = memory.as_ref().and_then(OutOfMemoryCount::read);
    if !spec.cpus.is_empty() {
        let mut cpus = CpuSet::new();
        spec.cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| cpus.set(*cpu));
        sched_setaffinity(None, &cpus)?;
    }
    // By the clock of the file system, as the files that are compared with it.
    let since = fs::metadata(&spec.record).and_then(|record| record.modified());
    let finding = since.and_then(|since| Finding::start(spec.outside.clone(), since)).ok();
    let started = match &cgroup {
        Some(cgroup) => cgroup.within(|| start_all(spec)),
        None => start_all(spec),
    };
    let (running, told) = match started {
        Ok(running) => (running, say(&mut answer, &Answer::Started)),
        Err(failed) => {
            // Nothing has begun.
            fs::remove_file(&spec.record)?;
            (Vec::new(), say(&mut answer, &failed))
        }
    };
    let has_begun = !running.is_empty();
    for (id, _) in &running {
        finding.iter().for_each(|finding| finding.started(id.as_raw_nonzero().get()));
    }
    let copying = has_begun.then(|| Copying::start(spec.reports.clone()).ok()).flatten();
    let mut ends = Ends { spec, running, memory, n_killed_before, held: None, left: None, written: Ok(()) };
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((id, status))) => {
                if let Some(exit) = exit_of(status) {
                    ends.take(id, exit);
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            // There are no children: nothing is left.
            Err(_) => break,
        }
    }
    if let Some(copying) = copying {
        copying.finish();
    }
    if let Some(finding) = finding {
        finding.finish();
    }
    // Behind the search: it asks for what that found.
    let mut written = ends.finish();
    if let Some(cgroup) = &cgroup {
        cgroup.remove();
    }
    if has_begun {
        written = written.and(append(&spec.record, &Entry::Gone));
    }
    written.and(told)
}

/// Writes down how a trial's replicas end.
struct Ends<'s> {
    spec: &'s LaunchSpec,
    /// The replicas that run.
    running: Vec<(Pid, Replica)>,
    memory: Option<OutOfMemoryCount>,
    n_killed_before: Option<u64>,
    held: Option<Held>,
    /// What the main one left behind.
    left: Option<Watching>,
    written: io::Result<()>,
}

/// A main replica whose command has ended well, while what that started is waited for.
struct Held {
    replica: Replica,
    /// What was left when it ended.
    left: Vec<i32>,
    /// How it ended, or the first of those that did not end well.
    exit: Exit,
}

impl Ends<'_> {
    /// A child has ended: a replica, or what one of them left.
    fn take(&mut self, id: Pid, exit: Exit) {
        let n_killed = self.memory.as_ref().and_then(OutOfMemoryCount::read);
        // 137 is what a shell gives for a command that KILL, 9, ended.
        let was_killed = matches!(exit, Exit::Signal(9) | Exit::Code(137));
        let exit = if was_killed && n_killed > self.n_killed_before { Exit::OutOfMemory } else { exit };
        if let Some(at) = self.running.iter().position(|(pid, _)| *pid == id) {
            let (_, replica) = self.running.swap_remove(at);
            let is_done = replica.role.is_main() && exit == Exit::Code(0);
            if is_done && self.spec.waits_for_children {
                let left = left_below_us(&self.others()).iter().map(|process| process.id).collect();
                self.held = Some(Held { replica, left, exit });
            } else {
                if is_done {
                    self.left = Watching::start(&self.spec.outside, &self.spec.reports, &self.others());
                }
                self.write_end(replica, exit);
            }
        } else if let Some(held) = &mut self.held
            && held.exit == Exit::Code(0)
            && held.left.contains(&id.as_raw_nonzero().get())
        {
            held.exit = exit;
        }
        if self.held.is_some() && !has_children_but(&self.others()) {
            self.release();
        }
    }

    /// The numbers of the replicas that run.
    fn others(&self) -> Vec<i32> {
        self.running.iter().map(|(id, _)| id.as_raw_nonzero().get()).collect()
    }

    fn release(&mut self) {
        if let Some(Held { replica, exit, .. }) = self.held.take() {
            self.write_end(replica, exit);
        }
    }

    fn write_end(&mut self, replica: Replica, exit: Exit) {
        self.write(&Entry::Ended { replica, exit, at_ms: Some(Timestamp::now().as_millisecond()) });
    }

    fn write(&mut self, entry: &Entry) {
        let appended = append(&self.spec.record, entry);
        if self.written.is_ok() {
            self.written = appended;
        }
    }

    /// Nothing is left.
    fn finish(mut self) -> io::Result<()> {
        self.release();
        if let Some(left) = self.left.take().and_then(Watching::finish) {
            self.write(&Entry::Left(left));
        }
        self.written
    }
}

/// Starts all replicas, or none: those that were started are killed where one fails.
fn start_all(spec: &LaunchSpec) -> Result<Vec<(Pid, Replica)>, Answer> {
    let mut running = Vec::new();
    for replica in &spec.replicas {
        match start(replica, &spec.directory) {
            Ok(id) => running.push((id, replica.replica)),
            Err(e) => {
                for (id, _) in running {
                    let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
                }
                return Err(Answer::failed(&replica.program, &e));
            }
        }
    }
    Ok(running)
}

fn start(replica: &ReplicaSpec, directory: &Path) -> io::Result<Pid> {
    let log = OpenOptions::new().create(true).append(true).open(&replica.log)?;
    let child = Command::new(&replica.program)
        .args(&replica.arguments)
        .envs(replica.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&child))
}

fn line(entry: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(entry)? + "\n")
}

fn say(answer: &mut impl Write, what: &Answer) -> io::Result<()> {
    answer.write_all(line(what)?.as_bytes())?;
    answer.flush()
}

/// Adds to the record, durably. There is nothing else to do for a supervisor: where there is no room it waits for some.
fn append(record: &Path, entry: &Entry) -> io::Result<()> {
    let line = line(entry)?;
    let give_up = Instant::now() + RECORD_PATIENCE;
    loop {
        match append_lines(record, line.as_bytes()).and_then(|file| file.sync_data()) {
            // Whoever removed the directory, or put something else there, wants no record.
            Err(e)
                if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                    && Instant::now() < give_up =>
            {
                thread::sleep(STORE_PAUSE);
            }
            appended => return appended,
        }
    }
}
