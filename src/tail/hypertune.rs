//! The metrics file of the cloudml-hypertune package.
//!
//! At each report the package writes the whole file anew: one JSON object a line, the last 100
//! reports, every value as a string, the metric under its own tag as the key. Source:
//! GoogleCloudPlatform/cloudml-hypertune, `hypertune/hypertune.py`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::limits::MAX_HYPERTUNE_FILE_BYTES;
use crate::units::{MetricValue, Step, WallTime};

/// The keys of a line that are not the metric's tag.
const OTHER_KEYS: [&str; 4] = ["timestamp", "trial", "global_step", "checkpoint_path"];

/// So many reports the package keeps in its file.
const N_KEPT: usize = 100;

/// So many told lines are remembered at least.
const MIN_TOLD_KEPT: usize = 2 * N_KEPT;

/// The line of a log of reports that says that some may be missing there.
pub const MAY_LACK: &[u8] = b"{}\n";

/// One report of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct HypertuneEntry {
    /// The metric's tag.
    pub tag: String,
    /// The global step; 0 where the trainer gave none.
    pub step: Step,
    /// The trainer's clock at the report.
    pub wall_time: WallTime,
    /// The value.
    pub value: MetricValue,
}

/// What a reading of the file brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HypertuneNews {
    /// The entries that were not told before, oldest first.
    pub entries: Vec<HypertuneEntry>,
    /// Their lines as they stand in the file, each with its end.
    pub lines: Vec<u8>,
    /// The file is full and holds nothing that was there at the last reading: what came between may be lost.
    pub may_lack: bool,
    /// It was read while it was written: it ends within a line, or holds nothing yet.
    pub is_cut_off: bool,
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
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines: Vec<(u64, HypertuneEntry, &[u8])> =
            lines.filter_map(|line| Some((digest(line), parse(line)?, line))).collect();
        // Old lines leave at the front, new ones come at the end. A reading may lack some in the middle, where a network
        // file system shows a hole: so each line is known by itself, not by its place.
        let known: HashSet<u64> = self.told.iter().copied().collect();
        let n_lines = lines.len();
        let mut news = HypertuneNews { is_cut_off: bytes.last() != Some(&b'\n'), ..HypertuneNews::default() };
        for (digest, entry, line) in lines.into_iter().filter(|(digest, ..)| !known.contains(digest)) {
            self.told.push(digest);
            news.entries.push(entry);
            news.lines.extend_from_slice(line);
            news.lines.push(b'\n');
        }
        news.may_lack = !known.is_empty() && n_lines >= N_KEPT && news.entries.len() == n_lines;
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
            match parse(&line) {
                Some(entry) => found(Logged::Entry(entry)),
                None if line == MAY_LACK => found(Logged::MayLack),
                None => {}
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

fn parse(line: &[u8]) -> Option<HypertuneEntry> {
    let object: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let (tag, value) = object.iter().find(|(key, _)| !OTHER_KEYS.contains(&key.as_str()))?;
    let step = object.get("global_step").and_then(number).unwrap_or(0.0);
    Some(HypertuneEntry {
        tag: tag.clone(),
        step: Step(step as i64),
        wall_time: WallTime(object.get("timestamp").and_then(number)?),
        value: MetricValue::F64(number(value)?),
    })
}

/// A number, or a string that spells one as Python does (`nan` and `inf` too).
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(n) => n.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
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
            let (mut reader, mut steps) = (ReportLog::default(), Vec::new());
            let mut found = |report| match report {
                Logged::Entry(entry) => steps.push(Some(entry.step.0)),
                Logged::MayLack => steps.push(None),
            };
            reader.feed(&log[..cut], &mut found);
            assert!(log[..cut - reader.n_partial()].last().is_none_or(|byte| *byte == b'\n'));
            reader.feed(&log[cut..], &mut found);
            assert_eq!((steps, reader.n_partial()), (vec![Some(1), Some(2), None, Some(3)], 0));
        }
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
