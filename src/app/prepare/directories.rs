//! The directory of a job.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use tfevents::follow::ListError;
use tfevents::follow::Place;

use crate::app::Failure;
use crate::edge::home::expand_home;
use crate::edge::remote::{Bucket, JOBS_DIRECTORY, environment, is_address};
use crate::layout::OWN_DIRECTORY;
use crate::study::Config;

/// The directory of the job's trials, absolute.
pub(super) fn job_dir(config: &Config, asked: Option<&Path>, job_id: &str) -> Result<PathBuf, Failure> {
    let (name, path) = match (asked, &config.job_dir) {
        (Some(path), _) => ("--job-dir", path.to_owned()),
        (None, Some(path)) => ("trainingInput.jobDir", PathBuf::from(path)),
        (None, None) => ("--job-dir", Path::new(JOBS_DIRECTORY).join(job_id)),
    };
    if path.to_str().is_some_and(|path| path.contains("://") && !is_address(path)) {
        let message = format!("{name} {}: directories there are not supported", path.display());
        return Err(Failure::usage(message).with_hint("give gs://, s3:// or az://, or a local directory"));
    }
    let absolute = absolute(&path).map_err(|e| Failure::usage(format!("{name} {}: {e}", path.display())))?;
    if absolute.to_str().is_none() {
        return Err(Failure::usage(format!("--job-dir {}: is no UTF-8 text", absolute.display())));
    }
    Ok(absolute)
}

/// A path from the root; an address as it is, without a `/` at its end.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    match path.to_str().filter(|path| is_address(path)) {
        Some(address) => Ok(address.trim_end_matches('/').into()),
        None => std::path::absolute(expand_home(path).map_err(io::Error::other)?),
    }
}

/// Refuses a place in an object store that cannot be read, or that holds event files of another job's trials.
fn refuse_used_address(address: &str, numbers: &RangeInclusive<u32>) -> Result<(), Failure> {
    let bucket = Bucket::open(address, environment());
    let mut bucket = bucket.map_err(|e| Failure::usage(format!("--job-dir {address}: {e}")))?;
    let (files, errors) = bucket.list();
    if let Some(ListError { error, .. }) =
        errors.first().filter(|e| e.error.kind() != io::ErrorKind::NotFound)
    {
        let message = format!("--job-dir {address}: cannot be read: {error}");
        return Err(Failure::outside(message).with_hint(
            "credentials come from the variables GOOGLE_*, AWS_* or AZURE_*, as the stores' tools take them",
        ));
    }
    let is_of_trial = |path: &str| {
        path.split('/').next().and_then(|name| name.parse().ok()).is_some_and(|n: u32| numbers.contains(&n))
    };
    match files.iter().find(|file| is_of_trial(&file.path)) {
        None => Ok(()),
        Some(file) => {
            let message = format!("--job-dir {address}: holds files of another job's trials: {}", file.path);
            Err(Failure::usage(message).with_hint("choose another directory, or remove what is there"))
        }
    }
}

/// Refuses a directory that holds files of another job's trials, or what was kept of them.
pub(super) fn refuse_used(job_dir: &Path, local: &Path, numbers: RangeInclusive<u32>) -> Result<(), Failure> {
    if let Some(address) = job_dir.to_str().filter(|address| is_address(address)) {
        refuse_used_address(address, &numbers)?;
    }
    let job_dir = local;
    for below in ["", OWN_DIRECTORY] {
        let Ok(entries) = fs::read_dir(job_dir.join(below)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let trial =
                name.to_str().and_then(|name| name.parse::<u32>().ok()).filter(|n| numbers.contains(n));
            let is_used = fs::read_dir(entry.path()).map_or(true, |mut inside| inside.next().is_some());
            if trial.is_some() && is_used {
                let message = format!(
                    "--job-dir {}: holds files of another job's trials, in {}/",
                    job_dir.display(),
                    Path::new(below).join(name).display()
                );
                return Err(
                    Failure::usage(message).with_hint("choose another directory, or remove what is there")
                );
            }
        }
    }
    Ok(())
}

/// Makes a directory and what is missing above it, and checks that it can be written to. The answer
/// is what was made, innermost last.
pub(super) fn make_writable(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut missing: Vec<PathBuf> =
        directory.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
    missing.reverse();
    let probe = directory.join(".hptune-probe");
    let made = fs::create_dir_all(directory)
        .and_then(|()| fs::write(&probe, ""))
        .and_then(|()| fs::remove_file(&probe));
    made.map_err(|e| {
        unmake(&missing);
        Failure::outside(format!("--job-dir {}: cannot be written: {e}", directory.display()))
    })?;
    Ok(missing)
}

/// Removes directories that were made for nothing; one that is not empty stays.
pub(super) fn unmake(made: &[PathBuf]) {
    for directory in made.iter().rev() {
        let _ = fs::remove_dir(directory);
    }
}
