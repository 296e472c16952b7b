//! A process of ours and all that comes from it.

use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal as Os, WaitOptions, WaitStatus, getpgrp, getpid, kill_process_group, pidfd_open,
    set_child_subreaper, wait, waitpid,
};
use rustix::thread::{CpuSet, sched_getaffinity};

use super::process_table::{self, Process};
use super::process_tree::Tree;
use crate::controller::Signal;
use crate::study::Exit;

/// A command with what it needs.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables that are added to our own environment.
    pub environment: Vec<(String, String)>,
    /// Where its output goes, if not where ours does: ours may be data. The input is ours, unless that is a
    /// terminal, which only one process can read.
    pub output: Option<Arc<OwnedFd>>,
}

/// The only process that was started here, with all that comes from it, until nothing of it is left.
#[derive(Debug)]
pub struct Group {
    leader: Pid,
    exit: Option<Exit>,
    /// KILL was sent: nothing of it is to live.
    is_killed: bool,
    /// Nothing was left of it once: its id may be another's by now.
    is_gone: bool,
    /// The signal that could not be sent to all of it yet.
    owed: Option<Signal>,
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its leader runs.
    Running,
    /// Its leader has ended; others are left.
    Left(Exit),
    /// Nothing is left.
    Gone(Exit),
}

/// Makes the children of ended children ours, so that they stay below us and can be waited for.
///
/// # Errors
/// Errors of the system.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Looks for a program as `execvp` does.
///
/// # Errors
/// What to tell the user: it is not there, or it cannot be run.
pub fn find_program(program: &str) -> Result<PathBuf, String> {
    use std::os::unix::fs::PermissionsExt;
    let is_program =
        |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.contains('/') {
        let path = PathBuf::from(program);
        return match path.metadata() {
            Err(e) => Err(format!("{program}: {e}")),
            Ok(m) if m.is_dir() => Err(format!("{program}: is a directory")),
            Ok(_) if is_program(&path) => Ok(path),
            Ok(_) => Err(format!("{program}: is not executable")),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| is_program(path))
        .ok_or_else(|| format!("{program}: not found in PATH"))
}

impl Group {
    /// Starts a command as the leader of a new group. Orphans must be ours by then; see [`adopt_orphans`].
    ///
    /// # Errors
    /// Errors of starting the program; nothing is left then.
    pub fn start(launch: &Launch) -> io::Result<Self> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).envs(launch.environment.iter().map(|(name, value)| (name, value)));
        if io::stdin().is_terminal() {
            command.stdin(Stdio::null());
        }
        if let Some(output) = &launch.output {
            command.stdout(output.try_clone()?);
        }
        let child = command.process_group(0).spawn()?;
        Ok(Self { leader: Pid::from_child(&child), exit: None, is_killed: false, is_gone: false, owed: None })
    }

    /// Collects what has ended and tells where the group stands.
    pub fn poll(&mut self) -> Status {
        if let (Some(exit), true) = (self.exit, self.is_gone) {
            return Status::Gone(exit);
        }
        collect_ended(|id, exit| {
            if id == self.leader {
                self.exit = Some(exit);
            }
        });
        if let Some(signal) = self.owed.take() {
            self.signal(signal);
        }
        let Some(exit) = self.exit else { return Status::Running };
        self.is_gone = self.tree().living().is_ok_and(|living| living.is_empty());
        if self.is_gone {
            return Status::Gone(exit);
        }
        if self.is_killed {
            // It was born while its parent was killed.
            self.signal(Signal::Kill);
        }
        Status::Left(exit)
    }

    /// Nothing else is started here, and what is orphaned is handed to us.
    fn tree(&self) -> Tree {
        Tree { root: Some(getpid().as_raw_nonzero().get()), mark: None }
    }

    /// Sends any signal to the group, as somebody sent it to us.
    pub fn pass_on(&self, signal: i32) {
        if let Some(signal) = Os::from_named_raw(signal).filter(|_| !self.is_gone) {
            // It went just now where this fails.
            let _ = kill_process_group(self.leader, signal);
        }
    }

    /// Sends a signal to all that is left; to none is fine.
    pub fn signal(&mut self, signal: Signal) {
        self.is_killed |= signal == Signal::Kill;
        if !self.is_gone {
            // What cannot be looked for now is at the next look.
            self.owed = self.tree().signal(signal).is_err().then_some(signal);
        }
    }
}

/// Collects every child of ours that has ended, those included that came to us because their parent ended. Not for
/// where anything else waits for a child.
pub fn collect_ended(mut each: impl FnMut(Pid, Exit)) {
    while let Ok(Some((id, status))) = wait(WaitOptions::NOHANG) {
        if let Some(exit) = exit_of(status) {
            each(id, exit);
        }
    }
}

/// Collects what has ended and came to us because its parent ended, but no child that we started ourselves: those
/// are in our process group, and somebody waits for each.
pub fn collect_orphans() {
    let (us, our_group) = (getpid().as_raw_nonzero().get(), getpgrp().as_raw_nonzero().get());
    let is_orphan = |p: &Process| p.is_zombie && p.parent == us && p.group != our_group;
    for process in process_table::processes().unwrap_or_default().iter().filter(|p| is_orphan(p)) {
        let _ = waitpid(Pid::from_raw(process.id), WaitOptions::NOHANG);
    }
}

/// The processors that this process may run on.
#[must_use]
pub fn own_cpus() -> Vec<usize> {
    let Ok(cpus) = sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|cpu| cpus.is_set(*cpu)).collect()
}

/// A process that is not ours, whose end can be seen all the same, however its number is used again.
#[derive(Debug)]
pub struct ProcessHandle(Option<OwnedFd>);

impl ProcessHandle {
    /// The process with this number; one that is not there has ended.
    ///
    /// # Errors
    /// Errors of the system, and that no process can have this number.
    pub fn open(id: i32) -> io::Result<Self> {
        let id = Pid::from_raw(id).filter(|id| id.as_raw_nonzero().get() > 0);
        let id = id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "want a number above 0"))?;
        match pidfd_open(id, PidfdFlags::empty()) {
            Ok(handle) => Ok(Self(Some(handle))),
            Err(Errno::SRCH) => Ok(Self(None)),
            Err(e) => Err(e.into()),
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let Some(handle) = &self.0 else { return true };
        poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|n| n > 0)
    }
}

/// How a process ended, where it has.
pub(crate) fn exit_of(status: WaitStatus) -> Option<Exit> {
    status.exit_status().map(Exit::Code).or_else(|| status.terminating_signal().map(Exit::Signal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_as_the_system_does() {
        assert!(find_program("sh").is_ok());
        assert!(find_program("/bin/sh").is_ok());
        assert_eq!(
            find_program("no-such-program-here"),
            Err("no-such-program-here: not found in PATH".into())
        );
        assert_eq!(find_program("/"), Err("/: is a directory".into()));
        assert!(find_program("/etc/passwd").is_err_and(|e| e.contains("not executable")));
    }
}
