//! When the lines of a log were written. Trainers print without a clock: each look at a log notes how long it is and when
//! it was last written, in a file beside it, so that a line keeps the time that it was first given.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

/// How long a file of times may be in which each look is noted, in bytes: one every second for some hours.
const MAX_TIMES_BYTES: u64 = 1 << 20;

/// The times that are noted in a longer one are so far apart, in microseconds.
const COARSE_US: i64 = 60_000_000;

/// The most that is read of one, in bytes: another month.
const MAX_READ_BYTES: u64 = 2 * MAX_TIMES_BYTES;

/// How far before its end the last whole line of a log is looked for, in bytes.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// One look at a time: two would note the same.
static LOOKS: Mutex<()> = Mutex::new(());

/// So much of a log was there at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// How many bytes, to the end of a line.
    pub(super) offset: u64,
    /// When the last of them was written, in microseconds since the Unix epoch.
    pub(super) at_us: i64,
}

/// Looks at a log; a line that is not whole is left for later unless `is_whole`. The answer is what was noted by all
/// looks, in order: both numbers rise.
///
/// # Errors
/// Those of the files; a log that is not there has no looks.
pub(super) fn look(log: &Path, is_whole: bool) -> io::Result<Vec<Look>> {
    let _alone = LOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    let times = log.with_extension("times");
    let mut looks = read(&times)?;
    let mut file = match File::open(log) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let metadata = file.metadata()?;
    if looks.last().is_some_and(|last| last.offset > metadata.len()) {
        // Another log stands there.
        looks.clear();
        let _ = fs::remove_file(&times);
    }
    let last = looks.last().copied().unwrap_or(Look { offset: 0, at_us: 0 });
    let end = if is_whole { metadata.len() } else { end_of_lines(&mut file, last.offset, metadata.len())? };
    if end > last.offset {
        let written = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_us = i64::try_from(written.as_micros()).unwrap_or(i64::MAX).max(last.at_us + 1);
        let look = Look { offset: end, at_us };
        let is_long = times.metadata().is_ok_and(|file| file.len() >= MAX_TIMES_BYTES);
        if is_long && !is_whole && at_us < last.at_us.saturating_add(COARSE_US) {
            // What is told now would have another time later.
            return Ok(looks);
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&times)?;
        file.write_all(format!("{} {}\n", look.offset, look.at_us).as_bytes())?;
        looks.push(look);
    }
    Ok(looks)
}

fn read(times: &Path) -> io::Result<Vec<Look>> {
    let mut text = String::new();
    match File::open(times) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?.take(MAX_READ_BYTES).read_to_string(&mut text)?,
    };
    let mut looks: Vec<Look> = Vec::new();
    for line in text.lines() {
        let numbers =
            line.split_once(' ').and_then(|(offset, at)| Some((offset.parse().ok()?, at.parse().ok()?)));
        // A line that was cut by a full disk says nothing.
        let Some((offset, at_us)) = numbers else { continue };
        if looks.last().is_none_or(|last| last.offset < offset && last.at_us < at_us) {
            looks.push(Look { offset, at_us });
        }
    }
    Ok(looks)
}

/// The end of the last whole line between two offsets; where a line is longer than [`MAX_LINE_BYTES`], the latter.
fn end_of_lines(file: &mut File, from: u64, to: u64) -> io::Result<u64> {
    let start = from.max(to.saturating_sub(MAX_LINE_BYTES));
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(to.saturating_sub(start)).read_to_end(&mut bytes)?;
    Ok(match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => start + at as u64 + 1,
        None if to - start >= MAX_LINE_BYTES => to,
        None => from,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_the_time_that_it_was_first_given() {
        let place = tempfile::tempdir().expect("a directory");
        let log = place.path().join("trainer.log");
        assert_eq!(look(&log, false).expect("it is not there yet"), []);
        fs::write(&log, "one\ntwo").expect("it is written");
        let first = look(&log, false).expect("it is looked at");
        assert_eq!(first.iter().map(|look| look.offset).collect::<Vec<_>>(), [4]);
        assert_eq!(look(&log, false).expect("it is looked at"), first);
        fs::write(&log, "one\ntwo\nthree").expect("it is written");
        let second = look(&log, true).expect("it is looked at");
        assert_eq!(second[..1], first);
        assert_eq!(second.iter().map(|look| look.offset).collect::<Vec<_>>(), [4, 13]);
        assert!(second[1].at_us > second[0].at_us);
        fs::write(&log, "x\n").expect("another one");
        assert_eq!(look(&log, false).expect("it is looked at").len(), 1);
    }

    #[test]
    fn of_a_log_that_was_looked_at_very_often_lines_keep_their_times_too() {
        let place = tempfile::tempdir().expect("a directory");
        let log = place.path().join("trainer.log");
        let mut times: String =
            (1..=20_000).map(|n| format!("{n} {}\n", 1_700_000_000_000_000_i64 + n)).collect();
        times.push_str(&"\n".repeat(1 << 20));
        fs::write(log.with_extension("times"), times).expect("it is written");
        let grow = |n: usize, seconds: u64| {
            fs::write(&log, "\n".repeat(n)).expect("it is written");
            let written = UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + seconds);
            File::options()
                .write(true)
                .open(&log)
                .and_then(|log| log.set_modified(written))
                .expect("it is set");
            look(&log, false).expect("it is looked at").last().map(|look| look.offset)
        };
        assert_eq!(grow(20_001, 1), Some(20_000), "it is told when its time is noted");
        assert_eq!(grow(20_002, 120), Some(20_002));
        let noted = look(&log, false).expect("it is looked at");
        assert_eq!(grow(20_003, 121), Some(20_002));
        assert_eq!(look(&log, false).expect("it is looked at"), noted);
    }
}
