//! Addresses in object stores: `gs://`, `s3://`, `az://`. Buckets themselves come with the feature `remote`.

#[cfg_attr(not(feature = "remote"), path = "remote/bucket_absent.rs")]
mod bucket;

pub use bucket::Bucket;

/// Whether a job directory is an address of an object store.
#[must_use]
pub fn is_address(job_dir: &str) -> bool {
    ["gs://", "s3://", "s3a://", "az://", "abfs://", "abfss://"]
        .iter()
        .any(|scheme| job_dir.starts_with(scheme))
}

/// The directory below that of a trainer in which its jobs are where none is given.
pub const JOBS_DIRECTORY: &str = "hptune-jobs";

/// Where on this machine the files of a job are: its directory, or of one in an object store, what is kept of it, as a
/// rule beside the jobs that have no directory given.
#[must_use]
pub fn local_dir(job_dir: &std::path::Path, directory: &std::path::Path, job_id: &str) -> std::path::PathBuf {
    match job_dir.to_str().is_some_and(is_address) {
        true => directory.join(JOBS_DIRECTORY).join(job_id),
        false => job_dir.to_owned(),
    }
}

/// The variables of this process that are text.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
