//! What a trial's command started that is still there when the command has ended, and whether the trial's work was
//! left with it.
//!
//! A start script that ends in `&` returns at once, and the training that it started would be ended with whatever its
//! first values were. Trainers leave helpers behind too, which do not matter: a TensorBoard server, the service of
//! wandb, a resource tracker of Python's multiprocessing, a worker of a data loader. The rule, for a command that
//! ended with code 0: its work was left
//! - to a process that has an event file open to write to which was made after that process was started (a worker that
//!   was forked has the files of its parent open too, and those were there before it), or whose number is in the name
//!   of an event file that was written since it was started;
//! - to all of them, where an event file of the trial, or the file of the cloudml-hypertune package, was written to
//!   after the command ended, and no other replica runs that could have;
//! - to all of them, where the trial wrote no event file at all ([`Left::is_work`]).
//!
//! The supervisor of a trial looks, for nobody can later on.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, getpid, waitid};
use serde::{Deserialize, Serialize};

use crate::edge::files::directory;
use crate::edge::outside::{Search, known_files, process_in_name};
use crate::edge::process_table::{Process, boot_time, command_line, host_name, open_for_writing, processes};
use crate::edge::reports::ReportFiles;
use crate::limits::{DRAIN_TIMEOUT, LEFT_PAUSE, MAX_LEFT_NAMED};
use tfevents::tail::is_event_file;

/// A process starts in one of the ticks of 10 ms in which the system counts, and its clock is read at another moment
/// than that of a file system: what is made within this time of a start may have been before it.
const SAME_MOMENT: Duration = Duration::from_millis(20);

/// What the command of a trial left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    /// The processes, in the order of their numbers.
    pub(super) processes: Vec<LeftProcess>,
    /// The trial's files were written to after the command had ended, and by nobody else.
    pub(super) has_written: bool,
}

/// One process that was left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeftProcess {
    /// Its number.
    pub(super) id: i32,
    /// The words of its command.
    pub(super) command: String,
    /// It wrote event files of its own.
    pub(super) is_writer: bool,
}

impl Left {
    /// Whether the trial's work was left to it; `has_files` is whether the trial has any event file.
    #[must_use]
    pub(super) fn is_work(&self, has_files: bool) -> bool {
        !self.processes.is_empty()
            && (!has_files || self.has_written || self.processes.iter().any(|process| process.is_writer))
    }

    /// The processes that the work was left to, for people.
    #[must_use]
    pub(super) fn named(&self) -> String {
        let writers: Vec<&LeftProcess> = self.processes.iter().filter(|process| process.is_writer).collect();
        let all = || self.processes.iter().collect();
        let named = if writers.is_empty() { all() } else { writers };
        let n_more = named.len().saturating_sub(MAX_LEFT_NAMED);
        let name = |process: &&LeftProcess| format!("`{}` (process {})", process.command, process.id);
        let names: Vec<String> = named.iter().take(MAX_LEFT_NAMED).map(name).collect();
        let more = if n_more == 0 { String::new() } else { format!(" and {n_more} more") };
        names.join(", ") + &more
    }
}

/// The processes below this one that are left where its main child has ended; `others` are children that are meant to
/// run, and what comes from those is not counted.
pub(super) fn left_below_us(others: &[i32]) -> Vec<Process> {
    // All that is left is below a child of ours; to ask for one costs nothing.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if waitid(WaitId::All, options).is_err_and(|e| e == Errno::CHILD) {
        return Vec::new();
    }
    let mut left = BTreeMap::new();
    take_descendants(&processes().unwrap_or_default(), getpid().as_raw_nonzero().get(), others, &mut left);
    left.into_values().filter(|process| !process.is_zombie).collect()
}

/// Whether this process has children but for `others`, such that have ended and were not collected included.
pub(super) fn has_children_but(others: &[i32]) -> bool {
    let us = getpid().as_raw_nonzero().get();
    let is_one = |process: &Process| process.parent == us && !others.contains(&process.id);
    processes().is_ok_and(|processes| processes.iter().any(is_one))
}

fn take_descendants(all: &[Process], root: i32, others: &[i32], found: &mut BTreeMap<i32, Process>) {
    let mut roots = vec![root];
    while let Some(root) = roots.pop() {
        for child in all.iter().filter(|process| process.parent == root && !others.contains(&process.id)) {
            if found.insert(child.id, *child).is_none() {
                roots.push(child.id);
            }
        }
    }
}

/// Looks, on a thread of its own, at what was left until nothing is.
#[derive(Debug)]
pub(super) struct Watching {
    /// Dropped to end it.
    stop: Sender<()>,
    found: Receiver<Left>,
}

impl Watching {
    /// Begins where the main process of a trial has just ended; `None` where it left nothing. `others` are the numbers
    /// of replicas that run.
    pub(super) fn start(search: &Search, reports: &[ReportFiles], others: &[i32]) -> Option<Self> {
        let left = left_below_us(others);
        if left.is_empty() {
            return None;
        }
        let metrics = reports.iter().map(|files| files.metrics.clone()).collect();
        let before = Written::look(search, metrics);
        let mut watcher =
            Watcher { left: BTreeMap::new(), boot: boot_time(), before, is_alone: others.is_empty() };
        watcher.take(&left);
        let ((stop, stopped), (finding, found)) = (channel(), channel());
        let search = search.clone();
        let spawned = thread::Builder::new().name("left".into()).spawn(move || {
            // Nobody waits any more where this fails.
            let _ = finding.send(watcher.run(&search, &stopped));
        });
        spawned.ok().map(|_| Self { stop, found })
    }

    /// What was found, nothing being left any more. A file system that hangs is not waited for.
    pub(super) fn finish(self) -> Option<Left> {
        drop(self.stop);
        self.found.recv_timeout(DRAIN_TIMEOUT).ok()
    }
}

/// A process that was left, as it was seen.
struct Seen {
    process: LeftProcess,
    started: Option<SystemTime>,
    /// It has no parent any more but us: others are parts of the one that started them.
    is_orphan: bool,
}

struct Watcher {
    /// By number.
    left: BTreeMap<i32, Seen>,
    boot: Option<SystemTime>,
    before: Written,
    /// No other replica runs that could write.
    is_alone: bool,
}

impl Watcher {
    fn run(mut self, search: &Search, stopped: &Receiver<()>) -> Left {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(LEFT_PAUSE) {
            let all = processes().unwrap_or_default();
            let mut now = BTreeMap::new();
            for id in self.left.keys() {
                now.extend(all.iter().find(|process| process.id == *id).map(|process| (*id, *process)));
                take_descendants(&all, *id, &[], &mut now);
            }
            self.take(&now.into_values().collect::<Vec<_>>());
        }
        let written = Written::look(search, self.before.metrics.keys().cloned().collect());
        for path in written.event_files.keys() {
            let writer = process_in_name(path, host_name()).and_then(|id| self.left.get_mut(&id));
            if let Some(Seen { process, started: Some(started), .. }) = writer {
                let written = fs::metadata(path).and_then(|file| file.modified());
                process.is_writer |= written.is_ok_and(|at| at > *started);
            }
        }
        Left {
            processes: (self.left.into_values())
                .filter(|seen| seen.is_orphan || seen.process.is_writer)
                .map(|seen| seen.process)
                .collect(),
            has_written: self.is_alone && written.is_more_than(&self.before),
        }
    }

    /// Takes what some of them are now: a process that was forked has yet to become the program that it is to run.
    fn take(&mut self, now: &[Process]) {
        let us = getpid().as_raw_nonzero().get();
        for process in now.iter().filter(|process| !process.is_zombie) {
            let started = self.boot.and_then(|boot| process.started(boot));
            let known = self.left.entry(process.id).or_insert_with(|| Seen {
                process: LeftProcess { id: process.id, command: String::new(), is_writer: false },
                started,
                is_orphan: process.parent == us,
            });
            if let Some(command) = command_line(process.id) {
                known.process.command = command;
            }
            known.process.is_writer |= started.is_some_and(|started| writes_own(process.id, started));
        }
    }
}

/// Whether a process that was started then has an event file open to write to that was made later.
fn writes_own(process: i32, started: SystemTime) -> bool {
    let is_wanted = |path: &Path| path.to_str().is_some_and(is_event_file);
    open_for_writing(process, is_wanted).iter().any(|(path, _)| {
        let made = fs::metadata(path).and_then(|file| file.created());
        made.is_ok_and(|made| made > started + SAME_MOMENT)
    })
}

/// What stands in the files of a trial: how long they are, and of those that are written anew when that was.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    event_files: BTreeMap<PathBuf, u64>,
    metrics: BTreeMap<PathBuf, Option<(u64, i64, i64)>>,
}

impl Written {
    fn look(search: &Search, metrics: Vec<PathBuf>) -> Self {
        let (listed, _) = directory(&search.directory).list_with(1);
        let inside = listed.into_iter().filter(|file| is_event_file(&file.path));
        let mut event_files: BTreeMap<PathBuf, u64> =
            inside.map(|file| (search.directory.join(&file.path), file.bytes)).collect();
        let outside = known_files(&search.record).into_iter();
        event_files.extend(outside.filter_map(|path| {
            let n_bytes = fs::metadata(&path).ok()?.len();
            Some((path, n_bytes))
        }));
        let stamp = |path: PathBuf| {
            let file = fs::metadata(&path).ok();
            (path, file.map(|file| (file.len(), file.mtime(), file.mtime_nsec())))
        };
        Self { event_files, metrics: metrics.into_iter().map(stamp).collect() }
    }

    /// Whether anything was written since `before`.
    fn is_more_than(&self, before: &Self) -> bool {
        let grew =
            |(path, n_bytes): (&PathBuf, &u64)| before.event_files.get(path).is_none_or(|n| n < n_bytes);
        self.event_files.iter().any(grew)
            || self
                .metrics
                .iter()
                .any(|(path, stamp)| stamp.is_some() && before.metrics.get(path) != Some(stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(writers: &[bool], has_written: bool) -> Left {
        let process = |(id, is_writer): (i32, &bool)| LeftProcess {
            id,
            command: format!("python3 {id}.py"),
            is_writer: *is_writer,
        };
        Left { processes: (1..).zip(writers).map(process).collect(), has_written }
    }

    #[test]
    fn work_is_left_to_who_writes_or_to_all_where_nothing_was_written() {
        #[track_caller]
        fn check(left: &Left, has_files: bool, expected: Option<&str>) {
            assert_eq!(left.is_work(has_files).then(|| left.named()).as_deref(), expected);
        }
        check(&left(&[], true), false, None);
        check(&left(&[false], false), true, None);
        check(&left(&[false], false), false, Some("`python3 1.py` (process 1)"));
        check(&left(&[false], true), true, Some("`python3 1.py` (process 1)"));
        check(&left(&[false, true], false), true, Some("`python3 2.py` (process 2)"));
        let many =
            "`python3 1.py` (process 1), `python3 2.py` (process 2), `python3 3.py` (process 3) and 1 more";
        check(&left(&[false; 4], true), true, Some(many));
    }
}
