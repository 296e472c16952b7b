//! In which order the files of a run were begun.

use std::collections::BTreeMap;

use super::read::Source;
use super::root::Root;
use crate::limits::FIRST_EVENT_BYTES;
use crate::tail::{Compression, Ingest, Ingested, Listed, PackedIngest};
use crate::units::WallTime;

/// Sorts files by run, and those of one run by the clock of their first event: a trainer that resumed
/// comes behind the attempt that it resumed. Files whose clock cannot be read come first, by path.
pub fn sort(root: &Root, files: &mut Vec<Listed>) {
    let mut runs: BTreeMap<_, Vec<Listed>> = BTreeMap::new();
    for file in files.drain(..) {
        runs.entry(root.naming().run_of(&file.path)).or_default().push(file);
    }
    for (_, mut of_run) in runs {
        if of_run.len() < 2 {
            files.append(&mut of_run);
            continue;
        }
        let time = |file: &Listed| started_at(root, file).map_or(f64::NEG_INFINITY, |time| time.0);
        let mut timed: Vec<(f64, Listed)> = of_run.into_iter().map(|file| (time(&file), file)).collect();
        timed.sort_by(|(a, first), (b, second)| a.total_cmp(b).then_with(|| first.path.cmp(&second.path)));
        files.extend(timed.into_iter().map(|(_, file)| file));
    }
}

/// The clock of a file's first event.
fn started_at(root: &Root, file: &Listed) -> Option<WallTime> {
    let mut buffer = [0; FIRST_EVENT_BYTES];
    let n = Source::new(root, file).read_at(0, &mut buffer).ok()?;
    let (head, mut started) = (buffer.get(..n)?, None);
    let mut sink = |at: WallTime, _: Ingested<'_>| {
        started.get_or_insert(at);
    };
    match Compression::of(head) {
        Some(compression) => PackedIngest::new(compression).feed(head, &mut sink),
        None => Ingest::default().feed(head, &mut sink),
    }
    started
}
