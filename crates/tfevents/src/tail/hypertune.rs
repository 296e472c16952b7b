//! The metrics file of the cloudml-hypertune package.
//!
//! At each report the package writes the whole file anew: one JSON object a line, the last 100
//! reports, every value as a string, the metric under its own tag as the key. Source:
//! GoogleCloudPlatform/cloudml-hypertune, `hypertune/hypertune.py`. Programs that write such lines themselves put
//! several metrics into one, leave the timestamp out or spell it as a date: those are read too.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::limits::MAX_HYPERTUNE_FILE_BYTES;
use crate::units::{MetricValue, Step, WallTime};

#[cfg_attr(not(feature = "hypertune"), path = "hypertune/without_json.rs")]
mod json;

#[cfg(feature = "hypertune")]
pub use json::quote_bare_words;
use json::{is_json, parse, unwrapped, wrapped};

/// So many reports the package keeps in its file.
const N_KEPT: usize = 100;

/// So many told lines are remembered at least.
const MIN_TOLD_KEPT: usize = 2 * N_KEPT;

/// How much of a line that cannot be read is shown.
const MAX_EXAMPLE_CHARS: usize = 120;

/// The line of a log of reports that says that some may be missing there.
pub const MAY_LACK: &[u8] = b"{}\n";

/// One report of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct HypertuneEntry {
    /// The metric's tag.
    pub tag: String,
    /// The global step; 0 where the trainer gave none.
    pub step: Step,
    /// The trainer's clock at the report; NaN where it gave none that can be read. A date without a zone counts as UTC.
    pub wall_time: WallTime,
    /// The value.
    pub value: MetricValue,
}

/// What a reading of the file brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HypertuneNews {
    /// The entries that were not told before, oldest first.
    pub entries: Vec<HypertuneEntry>,
    /// Their lines for a log of reports, each with its end.
    pub lines: Vec<u8>,
    /// What new lines hold beside the entries.
    pub unreadable: Unreadable,
    /// The file is full and holds nothing that was there at the last reading: what came between may be lost.
    pub may_lack: bool,
    /// It was read while it was written: it ends within a line, or holds nothing yet.
    pub is_cut_off: bool,
}

/// Lines without a metric, and metrics whose value or step is no number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// How many there are.
    pub n: u64,
    /// The first of their lines, as far as it is fit to be shown.
    pub example: String,
}

impl Unreadable {
    /// Takes it that there are `n` more of them in `line`.
    fn add(&mut self, n: u64, line: &[u8]) {
        if self.n == 0 && n > 0 {
            self.example = String::from_utf8_lossy(line).chars().take(MAX_EXAMPLE_CHARS).collect();
        }
        self.n += n;
    }

    /// That there are some, in words.
    #[must_use]
    pub fn in_words(n: u64, example: &str) -> String {
        let values = if n == 1 { "1 report".to_owned() } else { format!("{n} reports") };
        format!(
            "{values} cannot be read, such as {example}; want one JSON object a line with a metric's tag and its \
             value, a number, and with `global_step`, a whole number"
        )
    }
}

/// Reads the file again and again and tells its new entries.
#[derive(Debug, Default)]
pub struct HypertuneFile {
    bytes: Vec<u8>,
    /// What tells the lines that were told of late.
    told: Vec<u64>,
}

impl HypertuneFile {
    /// A file of which another process told the lines that [`Self::told`] gave there.
    #[must_use]
    pub fn resume(told: Vec<u64>) -> Self {
        Self { bytes: Vec::new(), told }
    }

    /// What tells the lines that were told of late from others.
    #[must_use]
    pub fn told(&self) -> &[u64] {
        &self.told
    }

    /// The next bytes are those at the start of the file.
    pub fn rewind(&mut self) {
        self.bytes.clear();
    }

    /// Takes the next bytes. What lies beyond the cap is left out: the newest lines are first to go
    /// only in a file forty times the size that the package can write.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = (MAX_HYPERTUNE_FILE_BYTES as usize).saturating_sub(self.bytes.len());
        self.bytes.extend(bytes.iter().take(room));
    }

    /// What was not told before. A line that is cut off, because the file was read while it was written, is left
    /// for the next reading.
    pub fn take_new(&mut self) -> HypertuneNews {
        let bytes = std::mem::take(&mut self.bytes);
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        // What is written last may be cut off.
        let is_whole = |i: usize, line: &[u8]| i + 1 < lines.len() || is_json(line);
        let lines: Vec<Cow<'_, [u8]>> = lines
            .iter()
            .enumerate()
            .filter(|(i, line)| !line.trim_ascii().is_empty() && is_whole(*i, line))
            .map(|(_, line)| unwrapped(line))
            .collect();
        // The package gives each line the time of its report. Of lines without one that are the same to the byte, and come
        // in different readings, the first counts.
        // Old lines leave at the front, new ones come at the end. A reading may lack some in the middle, where a network
        // file system shows a hole: so each line is known by itself, not by its place.
        let known: HashSet<u64> = self.told.iter().copied().collect();
        let n_lines = lines.len();
        let mut news = HypertuneNews { is_cut_off: bytes.last() != Some(&b'\n'), ..HypertuneNews::default() };
        let mut n_new = 0;
        for line in &lines {
            let digest = digest(line);
            if known.contains(&digest) {
                continue;
            }
            n_new += 1;
            self.told.push(digest);
            let Parsed { entries, n_unreadable } = parse(line);
            news.unreadable.add(n_unreadable, line);
            if entries.is_empty() {
                news.lines.extend_from_slice(&wrapped(line));
            } else {
                news.lines.extend_from_slice(line);
            }
            news.lines.push(b'\n');
            news.entries.extend(entries);
        }
        news.may_lack = !known.is_empty() && n_lines >= N_KEPT && n_new == n_lines;
        let n_old = self.told.len().saturating_sub((2 * n_lines).max(MIN_TOLD_KEPT));
        self.told.drain(..n_old);
        news
    }
}

/// What a line of a log of reports says.
#[derive(Debug, Clone, PartialEq)]
pub enum Logged {
    /// A report was made.
    Entry(HypertuneEntry),
    /// Here more may have come and gone than were seen.
    MayLack,
    /// What cannot be read of a line.
    Unreadable(Unreadable),
}

/// Reads a log of reports: the lines of a metrics file, kept as long as its trial, each once. A line [`MAY_LACK`]
/// stands where [`HypertuneNews::may_lack`] was.
#[derive(Debug, Default)]
pub struct ReportLog {
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl ReportLog {
    /// Takes the next bytes, and tells what their whole lines say. A line that says nothing is passed over: a write
    /// that failed may have left half of one.
    pub fn feed(&mut self, bytes: &[u8], found: &mut dyn FnMut(Logged)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.partial.len() < MAX_HYPERTUNE_FILE_BYTES as usize {
                self.partial.extend_from_slice(piece);
            }
            if piece.last() != Some(&b'\n') {
                continue;
            }
            let line = std::mem::take(&mut self.partial);
            if line == MAY_LACK {
                found(Logged::MayLack);
                continue;
            }
            let reported = unwrapped(line.trim_ascii());
            let is_wrapped = matches!(reported, Cow::Owned(_));
            let Parsed { entries, n_unreadable } = parse(&reported);
            if is_wrapped || !entries.is_empty() {
                let mut unreadable = Unreadable::default();
                unreadable.add(n_unreadable, &reported);
                entries.into_iter().for_each(|entry| found(Logged::Entry(entry)));
                if unreadable.n > 0 {
                    found(Logged::Unreadable(unreadable));
                }
            }
        }
    }

    /// How many bytes are the start of a line whose end has not come yet.
    #[must_use]
    pub fn n_partial(&self) -> usize {
        self.partial.len()
    }
}

/// Tells a line from the hundred others of a file.
fn digest(line: &[u8]) -> u64 {
    u64::from(crc32c::crc32c(line)) << 32 | line.len() as u64
}

/// What one line says.
#[derive(Debug, Default)]
struct Parsed {
    entries: Vec<HypertuneEntry>,
    n_unreadable: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(timestamp: f64, step: i64, value: &str) -> String {
        format!(
            "{{\"checkpoint_path\": \"\", \"global_step\": \"{step}\", \"my/metric\": \"{value}\", \
             \"timestamp\": {timestamp}, \"trial\": \"1\"}}\n"
        )
    }

    fn read(file: &mut HypertuneFile, text: &str) -> Vec<(i64, String)> {
        file.rewind();
        file.feed(text.as_bytes());
        file.take_new().entries.into_iter().map(|e| (e.step.0, e.value.to_string())).collect()
    }

    #[test]
    fn a_full_file_without_a_known_line_may_lack_some() {
        let text =
            |range: std::ops::Range<i64>| -> String { range.map(|n| line(n as f64, n, "1")).collect() };
        let mut file = HypertuneFile::default();
        let mut may_lack = |range| {
            file.feed(text(range).as_bytes());
            file.take_new().may_lack
        };
        // What came before the first look nobody knows; a trainer that starts again begins with an empty file.
        let ranges = [100..200, 199..299, 300..310, 310..410, 410..509, 409..509];
        assert_eq!(ranges.map(&mut may_lack), [false, false, false, true, false, false]);
    }

    #[test]
    fn a_log_gives_each_whole_line_however_it_is_cut() {
        let mut file = HypertuneFile::default();
        file.feed([line(1.0, 1, "0.5"), "torn{\n".into(), line(2.0, 2, "nan")].concat().as_bytes());
        let mut log = file.take_new().lines;
        log.extend_from_slice(MAY_LACK);
        log.extend_from_slice(b"{\"torn\": \n");
        log.extend_from_slice(line(3.0, 3, "1").as_bytes());
        for cut in 0..=log.len() {
            let (mut reader, mut steps, mut n_unreadable) = (ReportLog::default(), Vec::new(), 0);
            let mut found = |report| match report {
                Logged::Entry(entry) => steps.push(Some(entry.step.0)),
                Logged::MayLack => steps.push(None),
                Logged::Unreadable(unreadable) => n_unreadable += unreadable.n,
            };
            reader.feed(&log[..cut], &mut found);
            assert!(log[..cut - reader.n_partial()].last().is_none_or(|byte| *byte == b'\n'));
            reader.feed(&log[cut..], &mut found);
            assert_eq!((steps, reader.n_partial()), (vec![Some(1), Some(2), None, Some(3)], 0));
            assert_eq!(n_unreadable, 1, "of the metrics file's lines, not what is torn in the log");
        }
    }

    #[test]
    fn every_metric_of_a_line_is_read_whatever_its_timestamp() {
        #[track_caller]
        fn check(line: &str, expected: &[(&str, i64, f64, f64)], n_unreadable: u64) {
            let mut file = HypertuneFile::default();
            file.feed(format!("{line}\n").as_bytes());
            let news = file.take_new();
            let entry =
                |(tag, step, value, clock): &(&str, i64, f64, f64)| format!("{tag} {step} {value} {clock}");
            let told: Vec<String> = news
                .entries
                .iter()
                .map(|e| entry(&(&e.tag, e.step.0, e.value.as_f64(), e.wall_time.0)))
                .collect();
            assert_eq!(told, expected.iter().map(entry).collect::<Vec<_>>(), "{line}");
            assert_eq!(news.unreadable.n, n_unreadable, "{line}");
            // A log of reports tells the same.
            let (mut told_again, mut n_again) = (Vec::new(), 0);
            ReportLog::default().feed(&news.lines, &mut |logged| match logged {
                Logged::Entry(e) => {
                    told_again.push(entry(&(&e.tag, e.step.0, e.value.as_f64(), e.wall_time.0)))
                }
                Logged::Unreadable(unreadable) => n_again += unreadable.n,
                Logged::MayLack => panic!("nothing is missing"),
            });
            assert_eq!((told_again, n_again), (told, n_unreadable), "{line}");
        }
        let nan = f64::NAN;
        check(
            r#"{"timestamp": 5, "acc": 0.1, "loss": "0.9", "global_step": "1"}"#,
            &[("acc", 1, 0.1, 5.0), ("loss", 1, 0.9, 5.0)],
            0,
        );
        check(r#"{"loss": "0.7", "global_step": "3"}"#, &[("loss", 3, 0.7, nan)], 0);
        check(r#"{"timestamp": "7.5", "loss": 1}"#, &[("loss", 0, 1.0, 7.5)], 0);
        for date in [
            "1970-01-01T00:01:00Z",
            "1970-01-01T02:01:00+02:00",
            "1970-01-01 00:01:00",
            "1970-01-01T00:01:00.0",
        ] {
            check(&format!(r#"{{"timestamp": "{date}", "loss": 1}}"#), &[("loss", 0, 1.0, 60.0)], 0);
        }
        check(r#"{"timestamp": "yesterday", "loss": 1}"#, &[("loss", 0, 1.0, nan)], 0);
        check(r#"{"timestamp": [1], "loss": NaN, "global_step": null}"#, &[("loss", 0, nan, nan)], 0);
        check(
            r#"{"loss": 1, "global_step": 9007199254740993}"#,
            &[("loss", 9_007_199_254_740_993, 1.0, nan)],
            0,
        );
        check(r#"{"loss": 1, "global_step": 2.0}"#, &[("loss", 2, 1.0, nan)], 0);
        check(r#"{"loss": 1, "host": "a", "global_step": 2}"#, &[("loss", 2, 1.0, nan)], 1);
        check(r#"{"loss": "many", "global_step": 2}"#, &[], 1);
        check(r#"{"loss": 1, "acc": 2, "global_step": "second"}"#, &[], 2);
        check(r#"{"timestamp": 5, "trial": "1"}"#, &[], 1);
        check("{}", &[], 1);
        check("loss: 0.5", &[], 1);
        check("   ", &[], 0);
    }

    #[test]
    fn what_cannot_be_read_is_counted_once() {
        let mut file = HypertuneFile::default();
        let mut n_told = |text: &str| {
            file.rewind();
            file.feed(text.as_bytes());
            let news = file.take_new();
            (news.unreadable.n, news.lines)
        };
        let (n, log) = n_told("{\"loss\": \"?\"}\nno\n{\"loss\": 1");
        assert_eq!(n, 2, "the last is cut off");
        assert_eq!(n_told("no\n").0, 0);
        // So it is by who takes over, and has the log.
        let mut resumed = HypertuneFile::default();
        resumed.feed(&log);
        resumed.take_new();
        resumed.feed(b"no\n{\"loss\": \"?\"}\nnew\n");
        assert_eq!(resumed.take_new().unreadable, Unreadable { n: 1, example: "new".into() });
    }

    #[test]
    fn what_is_read_while_it_is_written_is_cut_off() {
        let is_cut_off = |text: &str| {
            let mut file = HypertuneFile::default();
            file.feed(text.as_bytes());
            file.take_new().is_cut_off
        };
        let whole = line(1.0, 1, "1");
        assert_eq!(["", &whole[..9], &whole].map(is_cut_off), [true, true, false]);
    }

    #[test]
    fn each_entry_is_told_once_whenever_the_file_is_read() {
        let mut file = HypertuneFile::default();
        let text = [line(1.5, 10, "0.25"), line(2.5, 20, "nan"), line(3.5, 30, "inf")].concat();
        assert_eq!(read(&mut file, &line(1.5, 10, "0.25")), [(10, "0.25".into())]);
        assert_eq!(read(&mut file, &text[..text.len() - 9]), [(20, "NaN".into())], "the last line is cut");
        assert_eq!(read(&mut file, ""), [], "the file is being written anew");
        assert_eq!(read(&mut file, &text), [(30, "inf".into())]);
        assert_eq!(read(&mut file, &text), []);
    }

    #[test]
    fn entries_that_left_the_file_do_not_matter() {
        let mut file = HypertuneFile::default();
        read(&mut file, &line(1.0, 0, "1"));
        let later = [line(2.0, 0, "2"), line(3.0, 0, "3")].concat();
        assert_eq!(read(&mut file, &later), [(0, "2".into()), (0, "3".into())]);
        let moved = [line(3.0, 0, "3"), line(4.0, 0, "4")].concat();
        assert_eq!(read(&mut file, &moved), [(0, "4".into())]);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing() {
        let mut file = HypertuneFile::default();
        read(&mut file, &line(100.0, 0, "1"));
        let later = [line(100.0, 0, "1"), line(7.0, 1, "2")].concat();
        assert_eq!(read(&mut file, &later), [(1, "2".into())]);
        assert_eq!(read(&mut file, &line(100.0, 0, "1")), [], "it is being written anew");
        assert_eq!(read(&mut file, &later), []);
    }
}
