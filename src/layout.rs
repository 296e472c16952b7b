//! Where a job's files stand: the directories of its trials, and what hptune itself writes there.
//!
//! Layer 1: may import layer 0 and the reading library. Pure.

use tfevents::tail::{FileKind, Naming};

use crate::units::RunName;

/// The directory below a trial's that is hptune's own. It holds the cloudml-hypertune metrics file, whose
/// entries are filed under it as their run; event files with the same tag are preferred.
pub const OWN_DIRECTORY: &str = ".hptune";

/// Where the cloudml-hypertune package is told to write where nobody keeps its lines, relative to a trial's directory.
pub const METRICS_PATH: &str = ".hptune/output.metrics";

/// The name of the file in which a trial's supervisor puts all lines that came in such a file: in its own directory, or
/// in one below it.
pub const REPORTS_NAME: &str = "reports.jsonl";

/// Which files below a trial's directory, or one above, are read, and which run they belong to: event files, and what the
/// cloudml-hypertune package reports.
pub const NAMING: Naming = Naming { kind_of, run_of };

/// What the file of a path is read as; `None`: it is left alone.
#[must_use]
pub fn kind_of(path: &str) -> Option<FileKind> {
    if path.strip_suffix(METRICS_PATH).is_some_and(|above| above.is_empty() || above.ends_with('/')) {
        return Some(FileKind::Metrics);
    }
    // In the directory of records, in that of a replica below it, or in those of a trial among a job's records.
    let is_reports =
        path.strip_suffix(REPORTS_NAME).and_then(|above| above.strip_suffix('/')).is_some_and(|above| {
            let mut names = above.rsplit('/');
            let [last, second, third] = [names.next(), names.next(), names.next()];
            [last, second].contains(&Some(OWN_DIRECTORY))
                || (third == Some(OWN_DIRECTORY) && second.is_some_and(is_trial))
        });
    if is_reports {
        return Some(FileKind::Reports);
    }
    Naming::default().kind_of(path)
}

/// Whether the file of a path is read.
#[must_use]
pub fn is_followed(path: &str) -> bool {
    kind_of(path).is_some()
}

/// The run that a file belongs to: its directory below the root. What was reported in a trial, which a job keeps in
/// `.hptune/3/`, belongs to the run `3/.hptune`.
#[must_use]
pub fn run_of(path: &str) -> RunName {
    let Some((directory, _)) = path.rsplit_once('/') else { return RunName::root() };
    if kind_of(path) == Some(FileKind::Reports) {
        let mut names: Vec<&str> = directory.split('/').collect();
        let is_records = |pair: &[&str]| matches!(pair, [OWN_DIRECTORY, name] if is_trial(name));
        let records = names.windows(2).position(is_records);
        if let Some(i) = records {
            names.swap(i, i + 1);
            return RunName::from(&*names.join("/"));
        }
    }
    RunName::from(directory)
}

/// Whether a directory's name is that of a trial: its number.
#[must_use]
pub fn is_trial(name: &str) -> bool {
    !name.starts_with('0') && name.parse::<u32>().is_ok_and(|n| n.to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_files_and_what_was_reported_are_followed() {
        #[track_caller]
        fn check(path: &str, expected: bool) {
            assert_eq!(is_followed(path), expected, "{path}");
        }
        check("events.out.tfevents.1.host", true);
        check(METRICS_PATH, true);
        check(".hptune/reports.jsonl", true);
        check("7/.hptune/worker-0/reports.jsonl", true);
        check("7/worker-0/reports.jsonl", false);
        check(".hptune/7/reports.jsonl", true);
        check("jobs/.hptune/7/worker-0/reports.jsonl", true);
        check(".hptune/python/lib/reports.jsonl", false);
        check(".hptune/attempt-1.jsonl", false);
        check("7/.hptune/output.metrics", true);
        check("7.hptune/output.metrics", false);
        assert_eq!(run_of(METRICS_PATH).as_str(), OWN_DIRECTORY);
        assert_eq!(run_of("a/.hptune/7/reports.jsonl").as_str(), "a/7/.hptune");
        assert_eq!(run_of(".hptune/7/worker-0/reports.jsonl").as_str(), "7/.hptune/worker-0");
        assert_eq!(run_of(".hptune/worker-0/reports.jsonl").as_str(), ".hptune/worker-0");
        check("output.metrics", false);
    }
}
