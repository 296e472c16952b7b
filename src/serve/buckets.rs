//! Directories of this machine that stand for buckets: `gs://NAME/PATH` is `DIR/PATH` where `--bucket NAME=DIR` is given.
//!
//! Names of objects come from outside: each of their parts is checked before it becomes part of a path.

use std::path::{Path, PathBuf};

use super::Options;
use super::error::{ApiError, Code};

/// The scheme of addresses of buckets here.
const SCHEME: &str = "gs://";

/// The longest name of an object, in bytes, as Cloud Storage has it.
const MAX_OBJECT_BYTES: usize = 1_024;

/// The file that `gs://BUCKET/OBJECT` stands for; `None` where it is no such address, or the bucket is not mapped.
///
/// # Errors
/// The object's name cannot be a path.
pub(super) fn local(options: &Options, address: &str) -> Result<Option<PathBuf>, ApiError> {
    let Some((bucket, object)) =
        address.strip_prefix(SCHEME).map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return Ok(None);
    };
    match options.buckets.get(bucket) {
        None => Ok(None),
        Some(directory) if object.trim_end_matches('/').is_empty() => Ok(Some(directory.clone())),
        Some(directory) => below(directory, object.trim_end_matches('/')).map(Some),
    }
}

/// The directory that stands for a bucket.
///
/// # Errors
/// None does.
pub(super) fn directory<'o>(options: &'o Options, bucket: &str) -> Result<&'o Path, ApiError> {
    options.buckets.get(bucket).map(PathBuf::as_path).ok_or_else(|| {
        let message =
            format!("there is no bucket `{bucket}` here; `--bucket NAME=DIR` gives one a directory");
        ApiError::new(Code::NotFound, message)
    })
}

/// The path of an object below the directory of its bucket. Links that lead out of it are not followed. It asks the file
/// system.
///
/// # Errors
/// The name is empty, too long, has a part that is no name of a file, or leads elsewhere; or the directory is not there.
pub(super) fn below(directory: &Path, object: &str) -> Result<PathBuf, ApiError> {
    let is_name =
        |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']) && part.len() <= 255;
    if object.len() > MAX_OBJECT_BYTES || !object.split('/').all(is_name) {
        let shown: String = object.chars().take(80).collect();
        return Err(ApiError::of_field("name", format!("`{shown}` cannot be the name of an object here")));
    }
    let path = directory.join(object);
    let absent = |e| {
        ApiError::unavailable(format!("the bucket's directory {} cannot be used: {e}", directory.display()))
    };
    let root = directory.canonicalize().map_err(absent)?;
    // What is there of it must be there without leading elsewhere. A link that leads nowhere may lead somewhere later.
    let existing = path.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok());
    let real = existing.and_then(|existing| existing.canonicalize().ok());
    if real.is_some_and(|real| real.starts_with(&root)) {
        return Ok(path);
    }
    Err(ApiError::of_field("name", "leads out of the bucket's directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let place = tempfile::tempdir().expect("a directory");
        let bucket = place.path().join("bucket");
        std::fs::create_dir_all(bucket.join("a")).expect("it is made");
        for (link, to) in [("out", "/etc"), ("up", "/"), ("within", "a"), ("nowhere", "/not/there")] {
            std::os::unix::fs::symlink(to, bucket.join(link)).expect("it is made");
        }
        #[track_caller]
        fn check_in(bucket: &Path, name: &str, is_taken: bool) {
            assert_eq!(below(bucket, name).is_ok(), is_taken, "{name:?}");
        }
        let check = |name: &str, is_taken: bool| check_in(&bucket, name, is_taken);
        check("a/b.tar.gz", true);
        check("new/deep/er", true);
        check("", false);
        check("/etc/passwd", false);
        check("../x", false);
        check("a/../../x", false);
        check("a//b", false);
        check("a/./b", false);
        check("a\0b", false);
        check("out/passwd", false);
        check("out/new/er", false);
        check("up/new/er", false);
        check("within/x", true);
        check("nowhere", false);
        check("nowhere/x", false);
        check_in(&place.path().join("absent"), "x", false);
        check(&"a".repeat(300), false);
        check(&"a/".repeat(600), false);
    }
}
