//! Lines to a writer: standard output, a pipe, a device.
//!
//! Knows neither what it writes to nor what the lines say. A write that the writer holds up is not cut
//! short: whoever drives this sink must be able to leave it behind.

use std::fmt;
use std::io::{self, Write};

use crate::limits::SINK_PIECE_BYTES;

use super::json::JsonLines;
use super::retry::TRIES_AGAIN;
use super::spec::{Address, Kind};
use super::{Attempt, Batch, Cause, Failed, Sink, SinkOptions};

/// Standard output.
pub(super) const KIND: Kind =
    Kind { words: &["-", "stdout"], schemes: &[], forms: &["-"], read: |_| Ok(Box::new(Stdout)) };

#[derive(Debug)]
struct Stdout;

impl fmt::Display for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdout")
    }
}

impl Address for Stdout {
    fn open(&self, options: SinkOptions) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(LinesSink::new(options.stdout)))
    }

    fn is_standard_output(&self) -> bool {
        true
    }
}

/// Writes lines, and flushes after each batch. What went out once is never written again, even where a
/// batch that was given up is delivered once more.
pub struct LinesSink {
    writer: Box<dyn Write + Send>,
    lines: JsonLines,
    /// How many bytes of the lines went out.
    n_written: usize,
}

/// How far a batch that was given up went out.
#[derive(Debug, Clone, Copy)]
struct Reached {
    /// The first line that is not whole there ...
    seq: u64,
    /// ... and how many of its bytes are.
    n_bytes: usize,
}

impl fmt::Debug for LinesSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinesSink").field("n_written", &self.n_written).finish_non_exhaustive()
    }
}

impl LinesSink {
    /// Lines to `writer`.
    #[must_use]
    pub fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, lines: JsonLines::default(), n_written: 0 }
    }

    /// Puts the next lines in the place of the last.
    pub(super) fn renew(&mut self, renew: impl FnOnce(&mut JsonLines)) {
        let is_given_up = self.n_written < self.lines.text.len();
        let reached = is_given_up.then(|| Reached::after(&self.lines, self.n_written));
        renew(&mut self.lines);
        self.n_written = reached.map_or(0, |reached| reached.within(&self.lines));
    }

    /// Writes what can be written of the lines behind what went out.
    fn write(&mut self, attempt: &mut Attempt<'_>) -> io::Result<()> {
        while let Some(rest) = self.lines.bytes().get(self.n_written..).filter(|rest| !rest.is_empty()) {
            // A pipe may hold up one write until its reader has taken all of it.
            let piece = rest.get(..SINK_PIECE_BYTES).unwrap_or(rest);
            match self.writer.write(piece) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.n_written += n;
                    attempt.patience.progressed();
                    attempt.progressed();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        loop {
            match self.writer.flush() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                flushed => return flushed,
            }
        }
    }
}

impl Sink for LinesSink {
    fn take(&mut self, batch: &Batch<'_>) {
        self.renew(|lines| lines.fill(batch));
    }

    fn attempt(&mut self, attempt: &mut Attempt<'_>) -> Result<(), Failed> {
        self.write(attempt).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => Failed::Closed,
            io::ErrorKind::WouldBlock => Failed::Full,
            kind => Failed::again(Cause::Io(kind), e.to_string(), TRIES_AGAIN),
        })
    }
}

impl Reached {
    /// The place in the lines behind their first `n_written` bytes.
    fn after(lines: &JsonLines, n_written: usize) -> Self {
        let written = lines.bytes().get(..n_written).unwrap_or_default();
        let n_whole = written.iter().filter(|&&byte| byte == b'\n').count();
        let torn = written.iter().rev().take_while(|&&byte| byte != b'\n').count();
        Self { seq: lines.first_seq.saturating_add(n_whole as u64), n_bytes: torn }
    }

    /// How many bytes of lines are in front of this place; none where it lies elsewhere.
    fn within(self, lines: &JsonLines) -> usize {
        let Some(n_whole) = self.seq.checked_sub(lines.first_seq).and_then(|n| usize::try_from(n).ok())
        else {
            return 0;
        };
        if n_whole > lines.n_lines {
            return 0;
        }
        let whole: usize = lines.text.split_inclusive('\n').take(n_whole).map(str::len).sum();
        (whole + self.n_bytes).min(lines.text.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use super::super::{Delivery, Patience, Undelivered};
    use super::*;

    /// A writer that does what it is told, call by call, and then takes all.
    struct Scripted {
        script: VecDeque<Result<usize, i32>>,
        out: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = match self.script.pop_front() {
                Some(Err(code)) => return Err(io::Error::from_raw_os_error(code)),
                Some(Ok(n)) => n.min(bytes.len()),
                None => bytes.len(),
            };
            self.out.lock().unwrap().extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const EINTR: i32 = 4;
    const EAGAIN: i32 = 11;
    const ENOSPC: i32 = 28;
    const EPIPE: i32 = 32;

    fn scripted(
        script: impl IntoIterator<Item = Result<usize, i32>>,
    ) -> (Delivery<LinesSink>, Arc<Mutex<Vec<u8>>>) {
        let out = Arc::new(Mutex::new(Vec::new()));
        let writer = Scripted { script: script.into_iter().collect(), out: Arc::clone(&out) };
        (delivery(writer, "stdout"), out)
    }

    fn delivery(writer: impl Write + Send + 'static, place: &str) -> Delivery<LinesSink> {
        Delivery::new(Box::new(LinesSink::new(Box::new(writer))), place)
    }

    fn deliver(
        sink: &mut Delivery<LinesSink>,
        text: &str,
        patience: &Patience,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), Undelivered> {
        sink.sink().renew(|lines| *lines = JsonLines::test(7, text));
        sink.finish(patience, warn)
    }

    #[track_caller]
    fn check(
        script: impl IntoIterator<Item = Result<usize, i32>>,
        delivered: Result<(), Undelivered>,
        out: &str,
        told: &[&str],
    ) {
        let (mut sink, written) = scripted(script);
        let mut heard = Vec::new();
        let text = "{\"seq\":7}\n{\"seq\":8}\n";
        let result = deliver(&mut sink, text, &Patience::default(), &mut |words| heard.push(words));
        assert_eq!(result, delivered);
        assert_eq!(String::from_utf8_lossy(&written.lock().unwrap()), out);
        assert_eq!(heard, told);
    }

    #[test]
    fn what_passes_is_tried_again_behind_what_went_out() {
        let whole = "{\"seq\":7}\n{\"seq\":8}\n";
        check([], Ok(()), whole, &[]);
        check([Err(EINTR), Ok(3), Err(EAGAIN), Err(EINTR)], Ok(()), whole, &[]);
        let told =
            ["stdout: No space left on device (os error 28); tries again", "stdout: takes lines again"];
        check([Ok(3), Err(ENOSPC), Ok(10), Err(ENOSPC)], Ok(()), whole, &told);
    }

    #[test]
    fn a_closed_pipe_ends_quietly() {
        check([Ok(12), Err(EPIPE)], Err(Undelivered::Closed), "{\"seq\":7}\n{\"", &[]);
    }

    #[test]
    fn a_batch_that_was_given_up_goes_on_where_it_stopped() {
        let text = "one\ntwo\nthree\n";
        for n_written in 0..=text.len() {
            let (mut sink, out) =
                scripted([Ok(n_written), Err(ENOSPC)].into_iter().skip((n_written == 0).into()));
            let patience = Patience::default();
            let gave_up = deliver(&mut sink, text, &patience, &mut |_| patience.end_at(Instant::now()));
            if n_written < text.len() {
                let words = "stdout: No space left on device (os error 28)".to_owned();
                assert_eq!(gave_up, Err(Undelivered::GaveUp(words)));
                deliver(&mut sink, text, &Patience::default(), &mut |_| ()).expect("it takes all");
            }
            assert_eq!(String::from_utf8_lossy(&out.lock().unwrap()), text);
        }
    }

    #[test]
    fn a_full_device_and_a_pipe_without_a_reader_are_told_apart() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
        let patience = Patience::default();
        let mut sink = delivery(full, "file:/dev/full");
        let result = deliver(&mut sink, "one\n", &patience, &mut |_| patience.end_at(Instant::now()));
        let words = "file:/dev/full: No space left on device (os error 28)".to_owned();
        assert_eq!(result, Err(Undelivered::GaveUp(words)));

        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let mut sink = delivery(writer, "stdout");
        let result = deliver(&mut sink, "one\n", &Patience::default(), &mut |_| ());
        assert_eq!(result, Err(Undelivered::Closed));
    }
}
