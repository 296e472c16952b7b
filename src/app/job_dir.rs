//! The directory of a job, or of one of its trials: which trials there are, and what their job reads.

use std::fs;
use std::path::{Path, PathBuf};

use crate::edge::trial_files::{ObjectiveRecord, TrialFiles};
use crate::units::TrialId;

/// A job's directory as the records of its trials tell.
#[derive(Debug)]
pub(super) struct JobDir {
    /// Its trials with their directories, by number; of a trial's directory that one alone. Never empty.
    pub(super) trials: Vec<(TrialId, PathBuf)>,
    /// What the job reads, as far as it is written down.
    pub(super) objective: ObjectiveRecord,
}

impl JobDir {
    /// What there is at `path`, where that is the directory of a job or of a trial.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let path = fs::canonicalize(path).ok()?;
        let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok()?.checked_sub(1);
        let of_trial = |job_dir: &Path, directory: &Path| {
            let id = TrialId::after(number(directory)?);
            let files = TrialFiles::new(job_dir, job_dir, id);
            (files.directory == directory && files.are_described()).then_some((id, files))
        };
        let entries = fs::read_dir(&path).ok()?.flatten();
        let mut found: Vec<(TrialId, TrialFiles)> =
            entries.filter_map(|entry| of_trial(&path, &entry.path())).collect();
        if found.is_empty() {
            found.extend(of_trial(path.parent()?, &path));
        }
        found.sort_by_key(|(id, _)| *id);
        let objective = found.last()?.1.objective();
        Some(Self { trials: found.into_iter().map(|(id, files)| (id, files.directory)).collect(), objective })
    }
}
