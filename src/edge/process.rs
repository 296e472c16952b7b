//! Trials as local processes, each the leader of a process group of its own.
//!
//! A process that leaves the group (with setsid, or started as a job by a shell) is known by a
//! variable of its environment. One that clears its environment too, or runs as another user, is not.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal as Os, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group,
    pidfd_open, set_child_subreaper, waitpgid, waitpid,
};

use super::process_table::{self, Process};
use crate::controller::Signal;
use crate::limits::{KILL_PATIENCE, REAP_INTERVAL};
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
    /// Which of these variables has a value that no other trial's has: by it those processes are known
    /// that leave the group.
    pub mark: &'static str,
    /// Where its output and errors go.
    pub output: Streams,
}

/// Where the output and the errors of a process go.
#[derive(Debug, Clone)]
pub enum Streams {
    /// Both are appended to a file; there is no input.
    Log(PathBuf),
    /// Where ours go; the input is ours too, unless that is a terminal, which only one process can read.
    Ours,
    /// As [`Self::Ours`], but the output goes elsewhere, since ours is data.
    OutputTo(Arc<OwnedFd>),
}

/// A process group that was started, until nothing of it is left.
#[derive(Debug)]
pub struct Group {
    leader: Pid,
    exit: Option<Exit>,
    /// The variable that all of its processes were started with, as `NAME=VALUE`.
    mark: String,
    /// KILL was sent: nothing of it is to live.
    is_killed: bool,
    /// Nothing was left of it once: its id may be another's by now.
    is_gone: bool,
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

/// Makes the children of ended children ours, so that they can be waited for: without it a killed
/// grandchild stays a zombie in its group wherever nobody else collects it.
///
/// # Errors
/// Those of the system; it works without, where there is an init that collects.
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
    /// Starts a command as the leader of a new group.
    ///
    /// # Errors
    /// Those of opening the log and of starting the program; nothing is left then.
    pub fn start(launch: &Launch) -> io::Result<Self> {
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).envs(launch.environment.iter().map(|(name, value)| (name, value)));
        match &launch.output {
            Streams::Log(path) => {
                let log = OpenOptions::new().create(true).append(true).open(path)?;
                command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            }
            Streams::Ours | Streams::OutputTo(_) if io::stdin().is_terminal() => {
                command.stdin(Stdio::null());
            }
            Streams::Ours | Streams::OutputTo(_) => {}
        }
        if let Streams::OutputTo(output) = &launch.output {
            command.stdout(output.try_clone()?);
        }
        let child = command.process_group(0).spawn()?;
        let leader = Pid::from_child(&child);
        let marked = launch.environment.iter().find(|(name, _)| name == launch.mark);
        let mark = marked.map(|(name, value)| format!("{name}={value}")).unwrap_or_default();
        Ok(Self { leader, exit: None, mark, is_killed: false, is_gone: false })
    }

    /// The leader's process id, which is the group's id too.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.leader.as_raw_nonzero().get()
    }

    /// Collects what has ended and tells where the group stands.
    pub fn poll(&mut self) -> Status {
        if let (Some(exit), true) = (self.exit, self.is_gone) {
            return Status::Gone(exit);
        }
        while let Ok(Some((pid, status))) = waitpgid(self.leader, WaitOptions::NOHANG) {
            if pid == self.leader {
                self.exit = exit_of(status);
            }
        }
        let Some(exit) = self.exit else { return Status::Running };
        collect_adopted();
        self.is_gone = self.members().is_empty();
        if self.is_gone {
            return Status::Gone(exit);
        }
        if self.is_killed {
            // It was born while its parent was killed.
            self.signal(Signal::Kill);
        }
        Status::Left(exit)
    }

    /// The processes that live: those of the group, and those that left it but carry its mark.
    ///
    /// One that has ended but was not collected by its parent, which may have left the group, does not
    /// live.
    #[must_use]
    pub fn members(&self) -> Vec<i32> {
        self.living().into_iter().map(|process| process.id).collect()
    }

    fn living(&self) -> Vec<Process> {
        let is_ours = |process: &Process| {
            process.group == self.id() || process_table::has_variable(process.id, &self.mark)
        };
        let living = process_table::processes().into_iter().filter(|process| !process.is_zombie);
        living.filter(is_ours).collect()
    }

    /// Kills all of the group and waits until nothing is left, for a limited time.
    pub fn kill_and_wait(&mut self) {
        let deadline = Instant::now() + KILL_PATIENCE;
        self.signal(Signal::Kill);
        while !matches!(self.poll(), Status::Gone(_)) && Instant::now() < deadline {
            std::thread::sleep(REAP_INTERVAL);
        }
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
        let os = match signal {
            Signal::Terminate => Os::TERM,
            Signal::Kill => Os::KILL,
        };
        if self.is_gone {
            return;
        }
        // Failures: it went just now, or it runs as another user and is told of when it does not go.
        let _ = kill_process_group(self.leader, os);
        let outside = self.living().into_iter().filter(|process| process.group != self.id());
        for process in outside.filter_map(|process| Pid::from_raw(process.id)) {
            let _ = kill_process(process, os);
        }
        if signal == Signal::Terminate {
            // A stopped process only takes the signal once it goes on.
            let _ = kill_process_group(self.leader, Os::CONT);
        }
    }
}

/// A process that is not ours, whose end can be seen all the same, however its number is used again.
#[derive(Debug)]
pub struct Stranger(Option<OwnedFd>);

impl Stranger {
    /// The process with this number; one that is not there has ended.
    ///
    /// # Errors
    /// Those of the system, and that no process can have this number.
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

/// Collects what has ended and came to us because its parent ended: as the first process of a container we are
/// the parent of all that have none.
pub fn reap_orphans() {
    collect_adopted();
}

/// Collects children that came to us from elsewhere and have ended in a session of their own. Leaders
/// are in our session, and are collected by their groups.
///
/// Our session is read from the same table: `getsid` names no session whose leader is outside our
/// container, and the table has it as 0, ours and our leaders' alike.
fn collect_adopted() {
    let us = getpid().as_raw_nonzero().get();
    let processes = process_table::processes();
    let Some(our_session) = processes.iter().find(|process| process.id == us).map(|us| us.session) else {
        return;
    };
    let is_adopted = |p: &Process| p.is_zombie && p.parent == us && p.session != our_session;
    for process in processes.iter().filter(|process| is_adopted(process)) {
        let _ = waitpid(Pid::from_raw(process.id), WaitOptions::NOHANG);
    }
}

fn exit_of(status: WaitStatus) -> Option<Exit> {
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
