//! `jobs delete`: a job goes from the store, and its files where that is asked for.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Failure;
use super::prepare::{find_job, store_failure};
use crate::edge::remote::is_address;
use crate::edge::store::{JobNumber, Store};
use crate::edge::trial_files::TrialFiles;
use crate::layout::OWN_DIRECTORY;

/// A job that may be deleted.
#[derive(Debug)]
pub struct Deletion {
    store: Store,
    number: JobNumber,
    id: String,
    n_trials: usize,
    /// The directories of its trials, where they are removed with it.
    files: BTreeSet<PathBuf>,
    /// The directories above them, which go where nothing of others is in them.
    if_empty: Vec<PathBuf>,
    /// The directory that holds its files, for people.
    place: String,
}

/// Checks that a job can be deleted, with its files where `with_files`.
///
/// # Errors
/// It is not there or not over; another job continues it; its files are in an object store; or the store cannot be opened.
pub fn deletion(store_path: &Path, id: &str, with_files: bool) -> Result<Deletion, Failure> {
    let stored = find_job(store_path, id)?;
    // A study of `tuner` is over when nobody asks any more.
    if !stored.is_over() && !stored.job.is_study() {
        let message = format!("job `{id}` is not over: {}", stored.state);
        return Err(Failure::usage(message).with_hint(format!("hptune jobs cancel {id} ends it")));
    }
    let store = Store::open(store_path).map_err(store_failure)?;
    if let Some(other) = store.continued_by(id).map_err(store_failure)? {
        let message = format!("job `{other}` continues `{id}`, and takes its parameters from there");
        return Err(
            Failure::usage(message).with_hint(format!("delete that one first: hptune jobs delete {other}"))
        );
    }
    let mut deletion = Deletion {
        store,
        number: stored.number,
        id: id.to_owned(),
        n_trials: stored.trials.len(),
        files: BTreeSet::new(),
        if_empty: Vec::new(),
        place: stored.job.job_dir.display().to_string(),
    };
    if with_files && !stored.job.is_study() {
        if is_address(&deletion.place) {
            let message = format!("--files: those of `{id}` are in an object store: {}", deletion.place);
            return Err(Failure::usage(message).with_hint("delete them there, and the job without --files"));
        }
        let local = stored.job.local_dir();
        for trial in &stored.trials {
            let files = TrialFiles::of(&stored.job, trial.id);
            deletion.files.extend([files.directory, files.records]);
        }
        // Others may share the job's directory.
        deletion.if_empty = vec![local.join(OWN_DIRECTORY), local];
    }
    Ok(deletion)
}

impl Deletion {
    /// What would go, as a question.
    #[must_use]
    pub fn question(&self) -> String {
        let Self { id, n_trials, place, .. } = self;
        let trials = if *n_trials == 1 { "trial" } else { "trials" };
        if self.if_empty.is_empty() {
            format!("delete job {id} with its {n_trials} {trials} from the store? Its files in {place} stay")
        } else {
            format!(
                "delete job {id} with its {n_trials} {trials} from the store, and their files in {place}?"
            )
        }
    }

    /// Deletes it: its files first, so that what could not be deleted can be again. Nobody has it go on meanwhile.
    ///
    /// # Errors
    /// A file cannot be removed; or a process has taken the job, or the store cannot be written.
    pub fn execute(mut self) -> Result<(), Failure> {
        self.store.hold(self.number).map_err(store_failure)?;
        for directory in &self.files {
            match fs::remove_dir_all(directory) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    let message = format!("{}: cannot be removed: {e}", directory.display());
                    return Err(
                        Failure::outside(message).with_hint(format!("job {} is still there", self.id))
                    );
                }
                Ok(()) | Err(_) => {}
            }
        }
        for directory in &self.if_empty {
            // What others have there stays.
            let _ = fs::remove_dir(directory);
        }
        self.store.delete_job(self.number).map_err(store_failure)
    }
}
