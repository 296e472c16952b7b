//! A trial's processes as its controller sees them: through the record of their supervisor and the process table.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};

use super::cgroup::Cgroup;
use super::left::Left;
use super::supervisor::{Answer, Entry, LaunchSpec};
use crate::controller::Signal;
use crate::edge::host::{HostError, shortage};
use crate::edge::process_tree::{Presence, ProcessIdentity, Tree, wake_child};
use crate::limits::{REAP_INTERVAL, SUPERVISOR_PATIENCE};
use crate::study::{Exit, Replica};

/// The hidden verb that is a supervisor.
pub const SUPERVISOR_VERB: &str = "keep-trial";

/// The processes of a trial, until nothing of them is left.
#[derive(Debug)]
pub(super) struct TrialProcesses {
    record: PathBuf,
    supervisor: Option<ProcessIdentity>,
    /// Told when the supervisor has ended; `None` where it had before, or where the system has none left.
    handle: Option<OwnedFd>,
    cgroup: Option<Cgroup>,
    mark: String,
    status: Status,
    /// How far the record was read.
    n_read: usize,
    has_gone_entry: bool,
    left: Option<Left>,
    /// When KILL was sent: nothing of it is to live.
    killed_at: Option<Instant>,
    /// The signal that could not be sent to all of it yet.
    owed: Option<Signal>,
}

/// Where a trial's processes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Status {
    /// How the main replica ended, once it has.
    pub(super) exit: Option<Exit>,
    /// When that was, where somebody saw it.
    pub(super) ended_at: Option<Timestamp>,
    /// The first other replica that did not end well while the main one ran.
    pub(super) failed: Option<(Replica, Exit)>,
    /// Nothing is left.
    pub(super) is_gone: bool,
}

/// Why a trial was not started.
#[derive(Debug)]
pub(super) enum StartError {
    /// It was before, by an earlier controller.
    WasStarted,
    /// It cannot be; nothing is left of it.
    Failed(HostError),
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl TrialProcesses {
    /// Starts a trial's processes under a new supervisor: `program`, or this one, with [`SUPERVISOR_VERB`]. `mark` is a
    /// variable that they, and nobody else, have in their environment, as `NAME=VALUE`.
    ///
    /// # Errors
    /// [`StartError`].
    pub(super) fn start(program: Option<&Path>, spec: &LaunchSpec, mark: String) -> Result<Self, StartError> {
        match begin(program, spec)? {
            Answer::Started => {}
            Answer::WasStarted => return Err(StartError::WasStarted),
            Answer::Failed { why, os_error } => {
                let error = os_error.map(io::Error::from_raw_os_error);
                let shortage = error.as_ref().and_then(shortage);
                return Err(StartError::Failed(HostError { text: why, shortage }));
            }
        }
        let processes = Self::reattach(&spec.record, mark)?;
        processes
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the supervisor's record vanished").into())
    }

    /// Takes it that this attempt was never begun. Nothing of it may be left.
    ///
    /// # Errors
    /// Its record cannot be removed.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.record)
    }

    /// What an earlier supervisor started, whether it lives or not; `None` where none has begun.
    ///
    /// # Errors
    /// The record cannot be read.
    pub(super) fn reattach(record: &Path, mark: String) -> io::Result<Option<Self>> {
        let mut processes = Self {
            record: record.to_owned(),
            supervisor: None,
            handle: None,
            cgroup: None,
            mark,
            status: Status::default(),
            n_read: 0,
            has_gone_entry: false,
            left: None,
            killed_at: None,
            owed: None,
        };
        match fs::metadata(record) {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        }
        processes.read_record()?;
        if let Some(supervisor) = &processes.supervisor
            && let Some(id) = Pid::from_raw(supervisor.pid)
            && supervisor.presence() == Presence::Alive
        {
            processes.handle = pidfd_open(id, PidfdFlags::empty()).ok();
        }
        Ok(Some(processes))
    }

    /// The machine that it runs on, where that cannot be seen from here.
    #[must_use]
    pub(super) fn host_out_of_sight(&self) -> Option<&str> {
        let supervisor = self.supervisor.as_ref()?;
        (!self.has_gone_entry && supervisor.presence() == Presence::OutOfSight).then_some(&supervisor.host)
    }

    /// Where it stood when [`Self::poll`] last looked.
    #[must_use]
    pub(super) fn status(&self) -> Status {
        self.status
    }

    /// What its command left behind, which is known when nothing of it is left any more.
    #[must_use]
    pub(super) fn left(&self) -> Option<&Left> {
        self.left.as_ref()
    }

    /// Looks where it stands.
    pub(super) fn poll(&mut self) -> Status {
        if self.status.is_gone {
            return self.status;
        }
        let has_ended = self.has_supervisor_ended();
        // Read behind the question: what an ended supervisor wrote is all there.
        if let Err(_unreadable) = self.read_record()
            && !has_ended
        {
            return self.status;
        }
        if has_ended {
            if let Some(id) = self.supervisor.as_ref().and_then(|supervisor| Pid::from_raw(supervisor.pid)) {
                // It may be a child of ours; of an earlier controller's this fails.
                let _ = waitpid(Some(id), WaitOptions::NOHANG);
            }
            if !self.has_gone_entry {
                self.status.exit.get_or_insert(Exit::Lost);
            }
            let is_empty = self.cgroup.as_ref().is_none_or(Cgroup::is_empty);
            self.status.is_gone = self.has_gone_entry || (is_empty && self.is_empty());
            if let (true, Some(cgroup)) = (self.status.is_gone, &self.cgroup) {
                cgroup.remove();
            }
        } else if let Some(supervisor) = &self.supervisor {
            // Whoever stopped it would have its trial never end.
            supervisor.wake();
        }
        if !self.status.is_gone {
            self.go_on_killing(has_ended);
        }
        self.status
    }

    fn go_on_killing(&mut self, has_ended: bool) {
        if let Some(signal) = self.owed.take() {
            self.signal(signal);
        }
        let Some(killed_at) = self.killed_at else { return };
        // It was born while its parent was killed.
        self.signal(Signal::Kill);
        if let Some(supervisor) = &self.supervisor
            && !has_ended
            && killed_at.elapsed() >= SUPERVISOR_PATIENCE
            && self.is_empty()
        {
            // It is held up with its record, by a debugger or by a disk, and keeps nothing any more.
            supervisor.kill();
        }
    }

    /// Whether nothing lives, but for the supervisor.
    fn is_empty(&self) -> bool {
        self.tree().living().is_ok_and(|living| living.is_empty())
    }

    /// The numbers of the processes that live, but for the supervisor.
    #[must_use]
    pub(super) fn members(&self) -> Vec<i32> {
        self.tree().living().unwrap_or_default().into_iter().map(|process| process.id).collect()
    }

    /// Sends a signal to all that is left; to none is fine.
    pub(super) fn signal(&mut self, signal: Signal) {
        if signal == Signal::Kill {
            self.killed_at.get_or_insert_with(Instant::now);
        }
        if let (Signal::Kill, Some(cgroup)) = (signal, &self.cgroup) {
            // Where it cannot, the walk does.
            let _ = cgroup.kill();
        }
        // What cannot be looked for now is at the next poll.
        self.owed = self.tree().signal(signal).is_err().then_some(signal);
    }

    fn tree(&self) -> Tree {
        let root = self
            .supervisor
            .as_ref()
            .filter(|_| !self.has_supervisor_ended())
            .map(|supervisor| supervisor.pid);
        Tree { root, mark: Some(self.mark.clone()) }
    }

    fn has_supervisor_ended(&self) -> bool {
        let Some(handle) = &self.handle else {
            return self
                .supervisor
                .as_ref()
                .is_none_or(|supervisor| supervisor.presence() != Presence::Alive);
        };
        poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|n| n > 0)
    }

    /// Takes the whole lines that are new in the record.
    fn read_record(&mut self) -> io::Result<()> {
        let text = fs::read(&self.record)?;
        let Some(new) = text.get(self.n_read..) else { return Ok(()) };
        for line in new.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            self.n_read += line.len();
            match serde_json::from_slice(line) {
                Ok(Entry::Began { supervisor, cgroup }) => {
                    self.supervisor = Some(supervisor);
                    self.cgroup = cgroup.map(Cgroup::at);
                }
                Ok(Entry::Ended { replica, exit, at_ms }) if replica.role.is_main() => {
                    self.status.exit = Some(exit);
                    self.status.ended_at = at_ms.and_then(|at| Timestamp::from_millisecond(at).ok());
                }
                Ok(Entry::Ended { replica, exit, .. }) => {
                    if exit != Exit::Code(0) && self.status.exit.is_none() {
                        self.status.failed.get_or_insert((replica, exit));
                    }
                }
                Ok(Entry::Left(left)) => self.left = Some(left),
                Ok(Entry::Gone) => self.has_gone_entry = true,
                // A newer program's.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Waits a moment until there is something to read, or its end.
fn has_news(pipe: &impl AsFd) -> bool {
    let wait = Timespec::try_from(REAP_INTERVAL).unwrap_or_default();
    poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&wait)).is_ok_and(|n| n > 0)
}

/// Starts a supervisor and waits for its answer.
fn begin(program: Option<&Path>, spec: &LaunchSpec) -> io::Result<Answer> {
    // By this name this program is found even where its file was replaced meanwhile.
    let mut supervisor = Command::new(program.unwrap_or(Path::new("/proc/self/exe")))
        .arg(SUPERVISOR_VERB)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(stdin) = supervisor.stdin.take() {
        serde_json::to_writer(stdin, spec)?;
    }
    let mut answer = String::new();
    if let Some(stdout) = supervisor.stdout.take() {
        // A trainer that stops its supervisor at once would have us wait for ever.
        while !has_news(&stdout) {
            wake_child(supervisor.id());
        }
        BufReader::new(stdout).read_line(&mut answer)?;
    }
    match serde_json::from_str(&answer) {
        // It is collected when its trial is gone.
        Ok(Answer::Started) => Ok(Answer::Started),
        other => {
            supervisor.wait()?;
            match other {
                Ok(answer) => Ok(answer),
                // It was killed before it could say so: what it has started is found by its record.
                Err(_) if spec.record.exists() => Ok(Answer::WasStarted),
                Err(_) => Err(io::Error::other("the trial's supervisor ended before it began")),
            }
        }
    }
}
