//! Whose an event file is, by its name and by the process table.

use std::path::Path;

use crate::edge::process_table::{Process, has_other_value, open_for_writing, processes, working_directory};
use crate::study::launch::TRIAL_DIR_VARIABLE;
use tfevents::tail::FileId;

/// The process that made an event file, as its name says: TensorFlow and TensorBoard's own writer, which PyTorch and
/// Lightning use, name theirs `events.out.tfevents.SECONDS.HOST.PROCESS.N`. That writer opens its file for moments
/// only, so that the process table does not show it. `None` where the name does not say, or says another machine.
pub(crate) fn process_in_name(path: &Path, host: &str) -> Option<i32> {
    let name = path.file_name()?.to_str()?;
    let (_, rest) = name.split_once("tfevents.")?;
    let (seconds, rest) = rest.split_once('.')?;
    let is_time = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    let process = rest.strip_prefix(host)?.strip_prefix('.')?.split('.').next()?;
    process.parse().ok().filter(|process| is_time && *process > 0)
}

/// Whether one of these processes has a file open to write to. Those of other users cannot be looked into.
pub(super) fn is_written_by(others: &[Process], file: FileId, path: &Path) -> bool {
    let has_open = |process: &Process| {
        open_for_writing(process.id, |open| open == path).iter().any(|(_, id)| *id == file)
    };
    others.iter().any(has_open)
}

/// Whether a process of another trial, of any job, runs in one of these directories, or may, where processes cannot
/// be looked for.
pub(super) fn may_have_neighbours(trial_directory: &Path, is_place: impl Fn(&Path) -> bool) -> bool {
    let own = trial_directory.to_string_lossy();
    let is_neighbour = |process: Process| {
        working_directory(process.id).is_some_and(|directory| is_place(&directory))
            && has_other_value(process.id, TRIAL_DIR_VARIABLE, &own)
    };
    processes().map_or(true, |processes| processes.into_iter().any(is_neighbour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_from_the_names_that_say_it() {
        #[track_caller]
        fn check(name: &str, expected: Option<i32>) {
            assert_eq!(
                process_in_name(Path::new("/runs/a").join(name).as_path(), "box.lan"),
                expected,
                "{name}"
            );
        }
        // PyTorch, TensorFlow 2, TensorBoard's FileWriter with a suffix.
        check("events.out.tfevents.1700000000.box.lan.4711.0", Some(4711));
        check("events.out.tfevents.1700000000.box.lan.4711.12.v2", Some(4711));
        check("events.out.tfevents.1700000000.box.lan.4711.0.train", Some(4711));
        // tensorboardX, TensorFlow 1; another machine.
        check("events.out.tfevents.1700000000.box.lan", None);
        check("events.out.tfevents.1700000000.box.lan.suffix", None);
        check("events.out.tfevents.1700000000.other.4711.0", None);
        check("events.out.tfevents.now.box.lan.4711.0", None);
        check("x.tfevents.1", None);
    }
}
