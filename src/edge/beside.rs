//! Which writers of a run are alive together, by who has their files open.
//!
//! By clocks alone a writer that is silent for a moment looks as if it had ended when another begins: the ranks of one
//! training that write to one directory look like restarts of each other. On this machine the processes tell: two files
//! that are held by different processes of the trial are written side by side. Where nothing is seen, as on another machine,
//! clocks decide.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::outside::process_in_name;
use super::process_table::{Process, boot_time, event_files_of, host_name, number_in_environment};
use crate::limits::{FRESH_FILE, MAX_WRITERS_COMPARED};
use crate::units::{RunName, WallTime};
use tfevents::series::{Rank, WriterId};

/// Variables that launchers set to the number of a process among those of a training: torchrun, Open MPI, MPICH, PMIx,
/// MVAPICH, Slurm, Horovod.
const RANK_VARIABLES: [&str; 7] = [
    "RANK",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "PMIX_RANK",
    "MV2_COMM_WORLD_RANK",
    "SLURM_PROCID",
    "HOROVOD_RANK",
];

/// By how much the start of a process may seem to lie behind the first event that it wrote, by another clock.
const CLOCK_SLACK_S: f64 = 2.0;

/// The writers that were met.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    met: BTreeSet<WriterId>,
    /// Whose event came last.
    last: Option<WriterId>,
    runs: BTreeMap<RunName, Vec<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    writer: WriterId,
    started: WallTime,
    file: PathBuf,
}

/// A writer that is alive beside another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Alive {
    pub(crate) writer: WriterId,
    /// The clock of its first event.
    pub(crate) started: WallTime,
    /// When it was alive: behind the start of the last of them.
    pub(crate) until: WallTime,
    /// Its place among the processes of the training: by a variable, else by the number of its process.
    pub(crate) rank: Rank,
    /// What such a variable says.
    told_rank: Option<u32>,
}

impl Beside {
    /// Takes it that an event of a writer of a run was read, whose file `file` tells. The answer, once for each writer, is
    /// it and those before it that are alive beside it, as far as the processes tell that have `mark` in their environment,
    /// or any where none is given; nothing where none is.
    pub(crate) fn meet(
        &mut self,
        run: &RunName,
        writer: WriterId,
        started: WallTime,
        file: impl FnOnce() -> PathBuf,
        mark: Option<&str>,
    ) -> Vec<Alive> {
        if self.last == Some(writer) {
            return Vec::new();
        }
        self.last = Some(writer);
        if self.met.contains(&writer) {
            return Vec::new();
        }
        self.met.insert(writer);
        let file = file();
        let file = file.canonicalize().unwrap_or(file);
        let new = Known { writer, started, file };
        let known = self.runs.entry(run.clone()).or_default();
        if known.len() >= MAX_WRITERS_COMPARED {
            return Vec::new();
        }
        known.push(new.clone());
        let [before @ .., _] = known.as_slice() else { return Vec::new() };
        if before.is_empty() || !is_fresh(&new.file) {
            return Vec::new();
        }
        let (processes, boot) = (event_files_of(mark), boot_time());
        let holders = |known: &Known| -> BTreeSet<i32> {
            let named = process_in_name(&known.file, host_name());
            // A number is given to another process once its own is gone.
            let latest = known.started.0 + CLOCK_SLACK_S;
            let is_named = |process: &Process| {
                let started = boot.and_then(|boot| process.started(boot)?.duration_since(UNIX_EPOCH).ok());
                Some(process.id) == named && started.is_some_and(|at| at.as_secs_f64() <= latest)
            };
            let holds = |(process, files): &&(Process, Vec<PathBuf>)| {
                files.contains(&known.file) || is_named(process)
            };
            processes.iter().filter(holds).map(|(process, _)| process.id).collect()
        };
        let alive = |known: &Known, holders: &BTreeSet<i32>| {
            let ranks = holders.iter().filter_map(|id| number_in_environment(*id, &RANK_VARIABLES));
            let process = holders.iter().next().map_or(u32::MAX, |id| id.unsigned_abs());
            let (rank, told_rank) = (Rank::Process(process), ranks.min());
            Alive { writer: known.writer, started: known.started, until: known.started, rank, told_rank }
        };
        let own = holders(&new);
        if own.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<Alive> = Vec::new();
        for known in before {
            let theirs = holders(known);
            if !theirs.is_empty() && theirs.is_disjoint(&own) {
                found.push(alive(known, &theirs));
            }
        }
        if !found.is_empty() {
            found.push(alive(&new, &own));
        }
        // One that all have was set for what started them, as Slurm's of a job of one task.
        let told: BTreeSet<u32> = found.iter().filter_map(|alive| alive.told_rank).collect();
        if told.len() > 1 {
            for alive in &mut found {
                alive.rank = alive.told_rank.map_or(alive.rank, Rank::Told);
            }
        }
        let last = found.iter().map(|alive| alive.started.0).fold(f64::NEG_INFINITY, f64::max);
        found.iter_mut().for_each(|alive| alive.until = WallTime(last.next_up()));
        found
    }
}

/// Whether a file was changed a moment ago, as one is that somebody writes to.
fn is_fresh(file: &Path) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < FRESH_FILE) || at.elapsed().is_err())
}
