//! All processes that come from one, wherever they went.
//!
//! A process that leaves its parent's group and session is still a child of somebody: where every orphan is handed
//! to the root (a child subreaper, see prctl(2)), all that comes from the root stays below it. What was orphaned
//! while no root was there is known by a variable of its environment.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rustix::process::{Pid, PidfdFlags, Signal as Os, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::process_table::{self, Process, boot_id, host_name, pid_namespace, process};
use crate::controller::Signal;
use crate::limits::MAX_KILL_PASSES;

/// One process for good, whatever its number is used for later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: i32,
    /// When it was started, in ticks since the machine was.
    pub start: u64,
    /// The machine's start.
    pub boot: String,
    /// The space of process numbers that `pid` belongs to.
    pub namespace: String,
    /// The machine's name.
    pub host: String,
}

/// What can be said of a process from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there.
    Alive,
    /// It is not there any more.
    Ended,
    /// It is on another machine or in another container.
    OutOfSight,
}

impl ProcessIdentity {
    /// This process.
    #[must_use]
    pub fn own() -> Self {
        let pid = std::process::id().cast_signed();
        let start = process(pid).ok().flatten().map_or(0, |process| process.start);
        let (boot, namespace, host) = (boot_id(), pid_namespace(), host_name());
        Self { pid, start, boot: boot.into(), namespace: namespace.into(), host: host.into() }
    }

    /// Whether it is there. One that has ended, but was not collected by its parent, is not.
    #[must_use]
    pub fn presence(&self) -> Presence {
        if self.boot != boot_id() {
            // A machine that was started anew runs nothing from before.
            return if self.host == host_name() { Presence::Ended } else { Presence::OutOfSight };
        }
        if self.namespace != pid_namespace() {
            return Presence::OutOfSight;
        }
        match process(self.pid) {
            Ok(Some(process)) if process.start == self.start && !process.is_zombie => Presence::Alive,
            Ok(_) => Presence::Ended,
            // That it has ended is not to be believed without a look.
            Err(_) => Presence::Alive,
        }
    }

    /// Has it go on, where somebody stopped it.
    pub fn wake(&self) {
        let is_stopped = process(self.pid).ok().flatten().is_some_and(|process| process.is_stopped);
        if is_stopped && self.presence() == Presence::Alive {
            send(self.pid, self.start, Os::CONT);
        }
    }

    /// Kills it, where it is there.
    pub fn kill(&self) {
        if self.presence() == Presence::Alive {
            send(self.pid, self.start, Os::KILL);
        }
    }

    /// Asks it to end, where it is there.
    pub fn terminate(&self) {
        if self.presence() == Presence::Alive {
            send(self.pid, self.start, Os::TERM);
            // A stopped process only takes the signal once it goes on.
            send(self.pid, self.start, Os::CONT);
        }
    }
}

/// The processes that come from a root, but for the root itself.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// The root's number, while it is known to be there.
    pub(crate) root: Option<i32>,
    /// A variable that all of them were started with, as `NAME=VALUE`, and nobody else.
    pub(crate) mark: Option<String>,
}

impl Tree {
    /// Those that live. One that has ended, but was not collected by its parent, does not.
    ///
    /// # Errors
    /// They could not be looked for.
    pub(crate) fn living(&self) -> io::Result<Vec<Process>> {
        self.partition().map(|(ours, _)| ours)
    }

    /// Those that live, and all others that do, at one moment.
    ///
    /// # Errors
    /// As of [`Self::living`].
    pub(crate) fn partition(&self) -> io::Result<(Vec<Process>, Vec<Process>)> {
        let processes = process_table::processes()?;
        let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for process in &processes {
            children.entry(process.parent).or_default().push(process.id);
        }
        let mut below = BTreeSet::new();
        let mut found: Vec<i32> = self.root.into_iter().collect();
        while let Some(id) = found.pop() {
            let new = children.get(&id).into_iter().flatten().filter(|child| below.insert(**child));
            found.extend(new);
        }
        let us = std::process::id().cast_signed();
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        for process in processes.into_iter().filter(|process| !process.is_zombie) {
            let is_marked = || match &self.mark {
                Some(mark) if Some(process.id) != self.root && process.id != us => {
                    process_table::has_variable(process.id, mark)
                }
                _ => Ok(false),
            };
            let is_ours = below.contains(&process.id) || is_marked()?;
            if is_ours { ours.push(process) } else { others.push(process) }
        }
        Ok((ours, others))
    }

    /// Sends a signal to all of them; to none is fine.
    ///
    /// # Errors
    /// They could not all be looked for.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match signal {
            Signal::Terminate => {
                let living = self.living()?;
                for process in &living {
                    send(process.id, process.start, Os::TERM);
                }
                for process in &living {
                    // A stopped process only takes the signal once it goes on.
                    send(process.id, process.start, Os::CONT);
                }
            }
            // Some may be born while others are killed.
            Signal::Kill => {
                let mut killed = BTreeSet::new();
                for _ in 0..MAX_KILL_PASSES {
                    let living = self.living()?.into_iter();
                    let new: Vec<Process> = living.filter(|p| killed.insert((p.id, p.start))).collect();
                    if new.is_empty() {
                        break;
                    }
                    new.iter().for_each(|process| send(process.id, process.start, Os::KILL));
                }
            }
        }
        Ok(())
    }
}

/// Has a child of ours go on that was not collected yet, where somebody stopped it.
pub(crate) fn wake_child(id: u32) {
    if let Ok(Some(child)) = process(id.cast_signed())
        && child.is_stopped
    {
        send(child.id, child.start, Os::CONT);
    }
}

/// Sends a signal to a process, and to no other that has got its number meanwhile.
fn send(pid: i32, start: u64, signal: Os) {
    let Some(id) = Pid::from_raw(pid) else { return };
    // Failures: it went just now, or it runs as another user and is told of when it does not go.
    let Ok(handle) = pidfd_open(id, PidfdFlags::empty()) else { return };
    if process(pid).ok().flatten().is_some_and(|now| now.start == start) {
        let _ = pidfd_send_signal(&handle, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_with_its_number() {
        let own = ProcessIdentity::own();
        assert_eq!(own.presence(), Presence::Alive);
        assert_eq!(ProcessIdentity { start: own.start + 1, ..own.clone() }.presence(), Presence::Ended);
        let restarted = ProcessIdentity { boot: "other".into(), ..own.clone() };
        assert_eq!(restarted.presence(), Presence::Ended);
        assert_eq!(ProcessIdentity { host: "other".into(), ..restarted }.presence(), Presence::OutOfSight);
        assert_eq!(ProcessIdentity { namespace: "other".into(), ..own }.presence(), Presence::OutOfSight);
    }

    #[test]
    fn what_left_its_session_is_found_below_its_root() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "setsid sh -c 'sleep 1000; true' & wait"])
            .spawn()
            .expect("it runs");
        let tree = Tree { root: Some(child.id().cast_signed()), mark: None };
        let living = || tree.living().expect("they can be read");
        while living().len() < 2 {
            std::thread::yield_now();
        }
        tree.signal(Signal::Kill).expect("they can be read");
        child.wait().expect("it ends");
        assert_eq!(living(), []);
    }
}
