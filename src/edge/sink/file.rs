//! Lines at the end of a file.
//!
//! A file is only ever cut back to where a line ends, and only where what is cut off is ours. What was
//! delivered is in the hands of the system; [`Sink::sync`] makes it durable.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::de::IgnoredAny;

use crate::limits::MAX_SINK_LINE_BYTES;

use super::json::JsonLines;
use super::lines::LinesSink;
use super::retry::TRIES_AGAIN;
use super::spec::{Address, Kind, path_of};
use super::{Attempt, Batch, Cause, Failed, Sink, SinkOptions};

/// The end of a file; a pipe or a device.
pub(super) const KIND: Kind = Kind {
    words: &[],
    schemes: &["file"],
    forms: &["file:PATH"],
    read: |text| Ok(Box::new(FileAddress(path_of("file", text)?))),
};

#[derive(Debug)]
struct FileAddress(PathBuf);

impl fmt::Display for FileAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file:{}", self.0.display())
    }
}

impl Address for FileAddress {
    fn open(&self, _: SinkOptions) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(FileSink::open(&self.0)?))
    }
}

/// What opening a pipe that nobody reads, or a socket, gives.
const ENXIO: i32 = 6;

/// Appends lines to a file. A pipe or a device is written to as it is, and has no marks.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    to: To,
    /// What is to be delivered, unless a stream that is open has it.
    lines: JsonLines,
}

#[derive(Debug)]
enum To {
    Regular(Regular),
    /// A pipe or a device, opened at the first delivery: a pipe may have no reader yet.
    Stream(Option<LinesSink>),
}

/// A file that holds whole lines, and what a failed write left behind them.
#[derive(Debug)]
struct Regular {
    file: File,
    /// The length with all that was delivered, in bytes.
    len: u64,
    /// How many bytes of a batch that was not wholly written may stand behind that.
    n_torn: u64,
    /// Whether the last line that is not ours has its end.
    is_whole: bool,
}

impl FileSink {
    /// Opens the file at `path`, or makes it. Nobody else may write it through this program meanwhile.
    ///
    /// # Errors
    /// Errors of opening, with the path; [`io::ErrorKind::ResourceBusy`] where another process has it as
    /// its sink.
    pub fn open(path: &Path) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let to = match path.metadata() {
            Ok(metadata) if metadata.file_type().is_socket() => {
                let words = format!("{0}: is a socket\n  hint: want unix:{0}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
            }
            Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => To::Stream(None),
            _ => To::Regular(Regular::open(path).map_err(named)?),
        };
        Ok(Self { path: path.to_owned(), to, lines: JsonLines::default() })
    }

    /// Puts the next lines in the place of the last.
    fn renew(&mut self, renew: impl FnOnce(&mut JsonLines)) {
        match &mut self.to {
            To::Stream(Some(stream)) => stream.renew(renew),
            To::Stream(None) | To::Regular(_) => renew(&mut self.lines),
        }
    }
}

/// One attempt: all of `text` is in the file, or none of it as far as that can be had.
fn append(regular: &mut Regular, path: &Path, text: &str, attempt: &mut Attempt<'_>) -> io::Result<()> {
    if !regular.is_at(path) {
        // What is in it is not lost to whoever moved it.
        let _ = regular.file.sync_data();
        *regular = Regular::open(path)?;
        attempt.note("was moved or removed; goes on in a new file");
    }
    if let Some((had, has)) = regular.settle()? {
        attempt.note(&format!("its length was changed from {had} to {has} bytes; goes on at its end"));
    }
    regular.append(text)
}

/// Opens a pipe or a device. A pipe that nobody reads yet, or that is full, must not hold this up for ever.
fn open_stream(path: &Path) -> Result<LinesSink, Failed> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    match OpenOptions::new().write(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(LinesSink::new(Box::new(file))),
        Err(e) => {
            let words = match e.raw_os_error() {
                Some(ENXIO) => "nobody reads it".to_owned(),
                _ => e.to_string(),
            };
            Err(Failed::again(Cause::Io(e.kind()), words, TRIES_AGAIN))
        }
    }
}

impl Sink for FileSink {
    fn take(&mut self, batch: &Batch<'_>) {
        self.renew(|lines| lines.fill(batch));
    }

    fn attempt(&mut self, attempt: &mut Attempt<'_>) -> Result<(), Failed> {
        match &mut self.to {
            To::Regular(regular) => append(regular, &self.path, &self.lines.text, attempt)
                .map_err(|e| Failed::io(&e, TRIES_AGAIN)),
            To::Stream(Some(stream)) => stream.attempt(attempt),
            To::Stream(none) => {
                let stream = none.insert(open_stream(&self.path)?);
                attempt.passed();
                stream.renew(|lines| *lines = std::mem::take(&mut self.lines));
                stream.attempt(attempt)
            }
        }
    }

    /// Beside the file, as its name with `.state`; none for a pipe or a device, which cannot say what they have.
    fn own_state(&self) -> Option<PathBuf> {
        matches!(self.to, To::Regular(_)).then(|| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(".state");
            name.into()
        })
    }

    /// The length of the file in bytes; 0 for a pipe or a device.
    fn mark(&self) -> u64 {
        match &self.to {
            To::Regular(regular) => regular.len,
            To::Stream(_) => 0,
        }
    }

    /// Cuts off what a crash left of a last line.
    fn kept_since(&mut self, mark: u64, line: &mut dyn FnMut(&str)) -> io::Result<()> {
        match &mut self.to {
            To::Regular(regular) => regular.kept_since(mark, line).map_err(|e| {
                let hint = match e.kind() {
                    io::ErrorKind::InvalidData => "\n  hint: move it away, or name another file",
                    _ => "",
                };
                io::Error::new(e.kind(), format!("{}: {e}{hint}", self.path.display()))
            }),
            To::Stream(_) => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match &self.to {
            To::Regular(regular) => regular.file.sync_data(),
            To::Stream(_) => Ok(()),
        }
    }
}

impl Regular {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o666).open(path)?;
        // Some file systems know no locks.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let words = "another process writes its lines there";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, words));
        }
        let mut regular = Self { file, len: 0, n_torn: 0, is_whole: true };
        regular.goes_on_at(regular.file.metadata()?.len())?;
        Ok(regular)
    }

    /// Whether this is the file that has the name `path`, as far as can be seen.
    fn is_at(&self, path: &Path) -> bool {
        match (fs::metadata(path), self.file.metadata()) {
            (Ok(named), Ok(held)) => (named.dev(), named.ino()) == (held.dev(), held.ino()),
            (Err(e), _) => e.kind() != io::ErrorKind::NotFound,
            (Ok(_), Err(_)) => true,
        }
    }

    fn goes_on_at(&mut self, len: u64) -> io::Result<()> {
        self.is_whole = match len.checked_sub(1) {
            Some(last) => self.byte_at(last)? == b'\n',
            None => true,
        };
        self.len = len;
        self.n_torn = 0;
        Ok(())
    }

    fn byte_at(&self, offset_bytes: u64) -> io::Result<u8> {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, offset_bytes)?;
        Ok(u8::from_ne_bytes(byte))
    }

    /// Takes off what a failed write left. The answer is how long the file was and is, where another
    /// program changed that.
    fn settle(&mut self) -> io::Result<Option<(u64, u64)>> {
        let has = self.file.metadata()?.len();
        let had = self.len;
        if has == had {
            self.n_torn = 0;
            return Ok(None);
        }
        if has.checked_sub(had).is_some_and(|beyond| beyond <= self.n_torn) {
            self.file.set_len(had)?;
            self.n_torn = 0;
            return Ok(None);
        }
        self.goes_on_at(has)?;
        Ok(Some((had, has)))
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let before = if self.is_whole { "" } else { "\n" };
        for part in [before, text] {
            let mut rest = part.as_bytes();
            while !rest.is_empty() {
                match self.file.write(rest) {
                    Ok(n) => {
                        self.n_torn += n as u64;
                        rest = rest.get(n..).unwrap_or_default();
                        if n == 0 {
                            return self.take_back(io::ErrorKind::WriteZero.into());
                        }
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return self.take_back(e),
                }
            }
        }
        self.len += self.n_torn;
        self.n_torn = 0;
        self.is_whole = true;
        Ok(())
    }

    /// Takes off the part of a batch that was written before `error`; what cannot be taken off now is
    /// before the next try.
    fn take_back(&mut self, error: io::Error) -> io::Result<()> {
        if self.n_torn > 0 && self.file.set_len(self.len).is_ok() {
            self.n_torn = 0;
        }
        Err(error)
    }

    fn kept_since(&mut self, mark: u64, line: &mut dyn FnMut(&str)) -> io::Result<()> {
        let invalid = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        let len = self.file.metadata()?.len();
        if len < mark {
            let words =
                format!("got a file of {len} bytes, want at least {mark}: it was cut short or replaced");
            return Err(invalid(words));
        }
        if let Some(last) = mark.checked_sub(1)
            && self.byte_at(last)? != b'\n'
        {
            return Err(invalid(format!("no line ends at byte {mark}: it was changed or replaced")));
        }
        let mut reader = BufReader::new(&self.file);
        reader.seek(SeekFrom::Start(mark))?;
        let mut offset_bytes = mark;
        let mut bytes = Vec::new();
        let is_torn = loop {
            bytes.clear();
            let n = reader.by_ref().take(MAX_SINK_LINE_BYTES).read_until(b'\n', &mut bytes)?;
            let not_ours = || invalid(format!("what stands at byte {offset_bytes} is no line of ours"));
            match bytes.strip_suffix(b"\n") {
                Some(text) => line(our_line(text).ok_or_else(not_ours)?),
                None if n == 0 => break false,
                None if n as u64 == MAX_SINK_LINE_BYTES => return Err(not_ours()),
                None if is_torn_line(&bytes) || offset_bytes > 0 && is_hole(&bytes) => break true,
                None => return Err(not_ours()),
            }
            offset_bytes += n as u64;
        };
        if is_torn {
            self.file.set_len(offset_bytes)?;
        }
        self.len = offset_bytes;
        self.n_torn = 0;
        self.is_whole = true;
        Ok(())
    }
}

/// A whole line, without its end, if it is one of ours.
fn our_line(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes).ok()?;
    let fields: BTreeMap<String, IgnoredAny> = serde_json::from_str(text).ok()?;
    (fields.contains_key("kind") && fields.contains_key("seq")).then_some(text)
}

/// Whether these bytes may be the beginning of a line of ours, or all of it but its end.
fn is_torn_line(bytes: &[u8]) -> bool {
    let is_begun =
        || serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(bytes).is_err_and(|e| e.is_eof());
    our_line(bytes).is_some() || is_begun()
}

/// Whether these bytes are what some file systems leave of a write when the machine goes down.
fn is_hole(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::super::{Delivery, Patience, Undelivered};
    use super::*;

    fn place() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("lines.jsonl");
        (directory, path)
    }

    fn lines(seqs: std::ops::Range<u64>) -> String {
        seqs.map(|seq| format!("{{\"kind\":\"point\",\"seq\":{seq},\"tag\":\"größe\"}}\n")).collect()
    }

    #[track_caller]
    fn open(path: &Path) -> Delivery<FileSink> {
        let sink = FileSink::open(path).expect("it opens");
        Delivery::new(Box::new(sink), format!("file:{}", path.display()))
    }

    /// Delivers lines by their numbers.
    fn deliver_with(
        sink: &mut Delivery<FileSink>,
        seqs: std::ops::Range<u64>,
        patience: &Patience,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), Undelivered> {
        let next = JsonLines::test(seqs.start, &lines(seqs));
        sink.sink().renew(|lines| *lines = next);
        sink.finish(patience, warn)
    }

    #[track_caller]
    fn deliver(sink: &mut Delivery<FileSink>, seqs: std::ops::Range<u64>) {
        deliver_with(sink, seqs, &Patience::default(), &mut |words| panic!("{words}"))
            .expect("it is delivered");
    }

    #[track_caller]
    fn kept(sink: &mut Delivery<FileSink>, mark: u64) -> String {
        let mut kept = String::new();
        sink.sink().kept_since(mark, &mut |line| kept.extend([line, "\n"])).expect("it is ours");
        kept
    }

    #[test]
    fn lines_gather_behind_what_is_there() {
        let (_directory, path) = place();
        let mut sink = open(&path);
        assert_eq!(sink.sink().mark(), 0);
        deliver(&mut sink, 0..2);
        let mark = sink.sink().mark();
        deliver(&mut sink, 2..4);
        sink.sink().sync().expect("it is durable");
        drop(sink);

        let mut sink = open(&path);
        assert_eq!(sink.sink().mark(), path.metadata().expect("it is there").len());
        assert_eq!(kept(&mut sink, mark), lines(2..4));
        deliver(&mut sink, 4..5);
        assert_eq!(fs::read_to_string(&path).expect("text"), lines(0..5));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn any_batches_give_the_same_file_wherever_it_was_cut(
            n_lines in 1_u64..8,
            n_batches in prop::collection::vec(1_u64..4, 8),
            marked in 0_u64..8,
            cut in 0_usize..400,
        ) {
            let (_directory, path) = place();
            let whole = lines(0..n_lines);
            let mark = lines(0..marked.min(n_lines)).len();
            let cut = cut.clamp(mark, whole.len().max(mark));
            fs::write(&path, &whole.as_bytes()[..cut]).expect("it is written");

            let mut sink = open(&path);
            let n_kept = kept(&mut sink, mark as u64).lines().count() as u64;
            prop_assert_eq!(sink.sink().mark(), path.metadata().expect("it is there").len());
            let mut seq = marked.min(n_lines) + n_kept;
            for n in n_batches {
                let end = (seq + n).min(n_lines);
                if seq < end {
                    deliver(&mut sink, seq..end);
                }
                seq = end;
            }
            prop_assert_eq!(sink.sink().mark(), path.metadata().expect("it is there").len());
            prop_assert_eq!(fs::read_to_string(&path).expect("text"), whole);
        }
    }

    #[track_caller]
    fn check_refused(has: &[u8], mark: u64, expected: &str) {
        let (_directory, path) = place();
        fs::write(&path, has).expect("it is written");
        let mut sink = open(&path);
        let error = sink.sink().kept_since(mark, &mut |_| ()).expect_err("it is not ours").to_string();
        assert_eq!(error, format!("{}: {expected}", path.display()));
        assert_eq!(fs::read(&path).expect("it is there"), has, "nothing of it is touched");
    }

    #[test]
    fn what_is_not_ours_is_neither_taken_nor_cut() {
        let ours = lines(0..1);
        let n = ours.len();
        let hint = "\n  hint: move it away, or name another file";
        let no_line = |at: usize| format!("what stands at byte {at} is no line of ours{hint}");
        check_refused(b"a letter\n", 0, &no_line(0));
        check_refused(b"a letter", 0, &no_line(0));
        check_refused(b"{\"name\":\"package\"}", 0, &no_line(0));
        check_refused(b"{\"name\":\"package\"}\n", 0, &no_line(0));
        check_refused(b"{\n  \"kind\": 1,\n  \"seq\": 2\n}\n", 0, &no_line(0));
        check_refused(b"\0\0\0\0", 0, &no_line(0));
        check_refused(format!("{ours}\n").as_bytes(), 0, &no_line(n));
        check_refused(format!("{ours}[1,").as_bytes(), n as u64, &no_line(n));
        let long = format!("{ours}{{\"kind\":\"{}", "a".repeat(MAX_SINK_LINE_BYTES as usize));
        check_refused(long.as_bytes(), 0, &no_line(n));
        let short = format!("got a file of {n} bytes, want at least 99: it was cut short or replaced{hint}");
        check_refused(ours.as_bytes(), 99, &short);
        let changed = format!("no line ends at byte 5: it was changed or replaced{hint}");
        check_refused(ours.as_bytes(), 5, &changed);
    }

    #[test]
    fn what_a_crash_of_the_machine_left_is_cut_off() {
        let (_directory, path) = place();
        fs::write(&path, format!("{}\0\0\0\0", lines(0..2))).expect("it is written");
        let mut sink = open(&path);
        assert_eq!(kept(&mut sink, 0), lines(0..2));
        deliver(&mut sink, 2..3);
        assert_eq!(fs::read_to_string(&path).expect("text"), lines(0..3));
    }

    #[test]
    fn a_line_of_another_is_ended_first() {
        let (_directory, path) = place();
        fs::write(&path, "a note").expect("it is written");
        let mut sink = open(&path);
        deliver(&mut sink, 0..1);
        assert_eq!(fs::read_to_string(&path).expect("text"), format!("a note\n{}", lines(0..1)));
        assert_eq!(sink.sink().mark(), path.metadata().expect("it is there").len());
    }

    #[test]
    fn half_a_batch_is_taken_back_and_written_again() {
        let (_directory, path) = place();
        let mut sink = open(&path);
        deliver(&mut sink, 0..1);
        let To::Regular(regular) = &mut sink.sink().to else { panic!("it is a file") };
        // As a full disk leaves it where not even taking back works.
        regular.file.write_all(b"{\"kind\"").expect("it is written");
        regular.n_torn = 7;
        deliver(&mut sink, 1..2);
        assert_eq!(fs::read_to_string(&path).expect("text"), lines(0..2));

        let To::Regular(regular) = &mut sink.sink().to else { panic!("it is a file") };
        regular.file.write_all(b"{\"kind\"").expect("it is written");
        regular.n_torn = 7;
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(regular.take_back(full).expect_err("full").kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).expect("text"), lines(0..2));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_tried_again_while_patience_lasts() {
        let (_directory, path) = place();
        fs::write(&path, lines(0..1)).expect("it is written");
        let mut sink = open(&path);
        let To::Regular(regular) = &mut sink.sink().to else { panic!("it is a file") };
        let good = std::mem::replace(&mut regular.file, File::open(&path).expect("it is there"));
        let patience = Patience::default();
        let mut told = Vec::new();
        let result = deliver_with(&mut sink, 1..2, &patience, &mut |words| {
            told.push(words);
            patience.end_at(Instant::now());
        });
        let words = format!("file:{}: Bad file descriptor (os error 9)", path.display());
        assert_eq!(result, Err(Undelivered::GaveUp(words.clone())));
        let To::Regular(regular) = &mut sink.sink().to else { panic!("it is a file") };
        regular.file = good;
        deliver_with(&mut sink, 1..2, &Patience::default(), &mut |words| told.push(words))
            .expect("it is delivered");
        let passed = format!("file:{}: takes lines again", path.display());
        assert_eq!(told, [format!("{words}; tries again"), passed]);
        assert_eq!(fs::read_to_string(&path).expect("text"), lines(0..2));
    }

    #[test]
    fn a_file_that_is_moved_or_cut_by_another_program_is_followed() {
        let (directory, path) = place();
        let mut sink = open(&path);
        let mut told = Vec::new();
        let mut deliver = |seq: u64| {
            deliver_with(&mut sink, seq..seq + 1, &Patience::default(), &mut |words| told.push(words))
                .expect("it is delivered");
            assert_eq!(sink.sink().mark(), path.metadata().expect("it is there").len());
        };
        deliver(0);
        let moved = directory.path().join("lines.1");
        fs::rename(&path, &moved).expect("it is moved");
        deliver(1);
        assert_eq!(fs::read_to_string(&moved).expect("text"), lines(0..1));
        assert_eq!(fs::read_to_string(&path).expect("text"), lines(1..2));
        File::options().write(true).open(&path).expect("it opens").set_len(0).expect("it is cut");
        deliver(2);
        assert_eq!(fs::read_to_string(&path).expect("text"), lines(2..3));
        let place = format!("file:{}", path.display());
        let expected = [
            format!("{place}: was moved or removed; goes on in a new file"),
            format!("{place}: its length was changed from 41 to 0 bytes; goes on at its end"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_file_has_one_writer() {
        let (_directory, path) = place();
        let first = FileSink::open(&path).expect("it opens");
        let error = FileSink::open(&path).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        FileSink::open(&path).expect("it is free again");
    }

    #[test]
    fn places_that_take_no_lines_are_refused_with_their_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = FileSink::open(directory.path()).expect_err("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let missing = directory.path().join("missing").join("lines");
        let error = FileSink::open(&missing).expect_err("no parent");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with(&missing.display().to_string()), "{error}");
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("it listens");
        let error = FileSink::open(&socket).expect_err("a socket").to_string();
        assert!(error.contains(&format!("hint: want unix:{}", socket.display())), "{error}");
    }

    #[test]
    fn a_pipe_waits_for_its_reader_and_a_device_takes_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from_raw_mode(0o600)).expect("a pipe");
        let mut sink = open(&path);
        // More than a pipe holds.
        let text = lines(0..5_000);
        let mut reader = None;
        let mut told = Vec::new();
        deliver_with(&mut sink, 0..5_000, &Patience::default(), &mut |words| {
            told.push(words);
            let path = path.clone();
            reader.get_or_insert_with(|| std::thread::spawn(move || fs::read_to_string(path)));
        })
        .expect("it is delivered");
        assert_eq!((sink.sink().mark(), kept(&mut sink, 0)), (0, String::new()));
        drop(sink);
        let read = reader.expect("it was told of").join().expect("it ends").expect("text");
        assert_eq!(read, text);
        let place = format!("file:{}", path.display());
        assert_eq!(
            told,
            [format!("{place}: nobody reads it; tries again"), format!("{place}: takes lines again")]
        );

        let mut sink = open(Path::new("/dev/null"));
        deliver(&mut sink, 0..1);
    }
}
