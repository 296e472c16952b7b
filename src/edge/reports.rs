//! Keeps what a trainer reports through the cloudml-hypertune package, whose metrics file holds the last hundred
//! reports alone: its lines are appended to a log beside it, each once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};

use crate::layout::OWN_DIRECTORY;
use crate::layout::REPORTS_NAME;
use crate::limits::{MAX_HYPERTUNE_FILE_BYTES, METRICS_INTERVAL};
use crate::study::Replica;
use tfevents::tail::{HypertuneFile, MAY_LACK};

/// Where the reports of a replica are kept, below the records of its trial.
#[must_use]
pub fn reports_of(replica: Replica) -> String {
    match replica.role.is_main() {
        true => REPORTS_NAME.to_owned(),
        false => format!("{replica}/{REPORTS_NAME}"),
    }
}

/// Whose reports are kept there, where it is not the main replica. A trial's records are listed as if they stood in
/// a directory [`OWN_DIRECTORY`] of its own.
#[must_use]
pub fn replica_of_reports(path: &str) -> Option<&str> {
    path.strip_prefix(OWN_DIRECTORY)?.strip_prefix('/')?.strip_suffix(REPORTS_NAME)?.strip_suffix('/')
}

/// Where a replica's reports come and go, and where they are kept; absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportFiles {
    /// What the package writes.
    pub metrics: PathBuf,
    /// The log.
    pub log: PathBuf,
}

/// Copies from the one to the other. Only one may be at work on a log.
#[derive(Debug)]
pub struct Copier<'f> {
    files: &'f ReportFiles,
    /// What was copied of late; known from the first look on.
    known: Option<HypertuneFile>,
    /// Size and time of what was copied last.
    seen: Option<(u64, i64, i64)>,
}

impl<'f> Copier<'f> {
    /// Goes on behind what the log has.
    #[must_use]
    pub fn new(files: &'f ReportFiles) -> Self {
        Self { files, known: None, seen: None }
    }

    /// Copies what is new; with no metrics file there is nothing.
    ///
    /// # Errors
    /// Errors of reading and writing. What was not copied then is at the next look.
    pub fn look(&mut self) -> io::Result<()> {
        let metadata = match fs::metadata(&self.files.metrics) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata?,
        };
        let now = Some((metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
        if self.seen == now {
            return Ok(());
        }
        // Until all is done, nothing is known of it.
        self.seen = None;
        let mut known = match self.known.take() {
            Some(known) => known,
            None => known_of(&self.files.log)?,
        };
        let mut bytes = Vec::new();
        File::open(&self.files.metrics)?.take(MAX_HYPERTUNE_FILE_BYTES).read_to_end(&mut bytes)?;
        known.feed(&bytes);
        let news = known.take_new();
        if !news.lines.is_empty() {
            if let Some(directory) = self.files.log.parent() {
                fs::create_dir_all(directory)?;
            }
            let lines = if news.may_lack { [MAY_LACK, &news.lines].concat() } else { news.lines };
            append_lines(&self.files.log, &lines)?;
        }
        self.known = Some(known);
        self.seen = now.filter(|_| !news.is_cut_off);
        Ok(())
    }
}

/// What the end of a log says was copied of late.
fn known_of(log: &Path) -> io::Result<HypertuneFile> {
    let mut known = HypertuneFile::default();
    let mut file = match File::open(log) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(known),
        file => file?,
    };
    let start = file.metadata()?.len().saturating_sub(MAX_HYPERTUNE_FILE_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(MAX_HYPERTUNE_FILE_BYTES).read_to_end(&mut bytes)?;
    known.feed(&bytes);
    known.take_new();
    Ok(known)
}

/// Appends whole lines; what a write that failed left of one stays on a line of its own.
pub(crate) fn append_lines(path: &Path, lines: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let end: &[u8] = if last == [b'\n'] { b"" } else { b"\n" };
    file.write_all(&[end, lines].concat())?;
    Ok(file)
}

/// Copies on a thread of its own.
#[derive(Debug)]
pub struct Copying {
    has_ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Copying {
    /// Begins.
    ///
    /// # Errors
    /// Errors of starting a thread.
    pub fn start(files: Vec<ReportFiles>) -> io::Result<Self> {
        let has_ended = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&has_ended);
        let thread = thread::Builder::new().name("reports".into()).spawn(move || {
            let mut copiers: Vec<Copier<'_>> = files.iter().map(Copier::new).collect();
            loop {
                let is_last = flag.load(Ordering::Acquire);
                for copier in &mut copiers {
                    // What cannot be copied now may be at the next look.
                    let _ = copier.look();
                }
                if is_last {
                    break;
                }
                thread::park_timeout(METRICS_INTERVAL);
            }
        })?;
        Ok(Self { has_ended, thread })
    }

    /// Copies what is left: nothing more is written.
    pub fn finish(self) {
        self.has_ended.store(true, Ordering::Release);
        self.thread.thread().unpark();
        // A panic of it is a bug of ours, and the trial is not its fault.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use tfevents::tail::{Logged, ReportLog};

    fn files(directory: &Path) -> ReportFiles {
        ReportFiles { metrics: directory.join("metrics"), log: directory.join("reports.jsonl") }
    }

    fn report(files: &ReportFiles, steps: Range<u32>) {
        let line = |n| format!("{{\"acc\": \"{n}\", \"global_step\": \"{n}\", \"timestamp\": {n}.5}}\n");
        fs::write(&files.metrics, steps.map(line).collect::<String>()).expect("it is written");
    }

    /// The steps in the log; `None` where some may be missing.
    fn kept(files: &ReportFiles) -> Vec<Option<i64>> {
        let mut steps = Vec::new();
        let bytes = fs::read(&files.log).unwrap_or_default();
        ReportLog::default().feed(&bytes, &mut |report| match report {
            Logged::Entry(entry) => steps.push(Some(entry.step.0)),
            Logged::MayLack => steps.push(None),
            Logged::Unreadable(unreadable) => panic!("{unreadable:?}"),
        });
        steps
    }

    #[test]
    fn each_report_is_kept_once_whoever_looks_and_whatever_a_failure_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = files(directory.path());
        let mut copier = Copier::new(&files);
        copier.look().expect("there is nothing yet");
        assert!(!files.log.exists());
        report(&files, 0..90);
        copier.look().expect("it is copied");
        report(&files, 60..160);
        copier.look().expect("it is copied");
        assert_eq!(kept(&files), (0..160).map(Some).collect::<Vec<_>>());
        // A full disk cut a line off, and another supervisor goes on.
        let text = fs::read(&files.log).expect("it is there");
        fs::write(&files.log, &text[..text.len() - 5]).expect("it is cut");
        report(&files, 100..200);
        Copier::new(&files).look().expect("it is copied");
        assert_eq!(kept(&files), (0..200).map(Some).collect::<Vec<_>>());
        Copier::new(&files).look().expect("it is looked at");
        assert_eq!(kept(&files).len(), 200);
        // Too many between two looks.
        report(&files, 300..400);
        Copier::new(&files).look().expect("it is copied");
        let expected = (0..200).map(Some).chain([None]).chain((300..400).map(Some));
        assert_eq!(kept(&files), expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_loses_nothing_that_is_there_at_the_next_look() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = files(directory.path());
        fs::create_dir(&files.log).expect("in its way");
        report(&files, 0..3);
        let mut copier = Copier::new(&files);
        copier.look().expect_err("it cannot be written");
        fs::remove_dir(&files.log).expect("it is out of the way");
        copier.look().expect("it is copied");
        assert_eq!(kept(&files), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn the_last_reports_are_copied_at_the_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = files(directory.path());
        let copying = Copying::start(vec![files.clone()]).expect("it starts");
        report(&files, 0..5);
        copying.finish();
        assert_eq!(kept(&files).len(), 5);
    }
}
