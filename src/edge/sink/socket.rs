//! Lines to a Unix stream socket.
//!
//! The other side says nothing: a batch is delivered when the system has taken it. Behind a broken
//! connection the batch that was not wholly taken is sent again whole, so that a line may come twice, and
//! half a line may be the last that came over the broken one. What the system had taken and the other side
//! had not read when it died is gone: one that must not miss a line reads a `file:` or takes a webhook.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::limits::{SINK_LOOK, SOCKET_STALLED_AFTER};

use super::json::JsonLines;
use super::retry::TAKES_NOTHING;
use super::spec::{Address, Kind, path_of};
use super::{Attempt, Batch, Cause, Failed, Pause, Sink, SinkOptions};

/// A Unix stream socket.
pub(super) const KIND: Kind = Kind {
    words: &[],
    schemes: &["unix"],
    forms: &["unix:PATH"],
    read: |text| Ok(Box::new(SocketAddress(path_of("unix", text)?))),
};

#[derive(Debug)]
struct SocketAddress(PathBuf);

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix:{}", self.0.display())
    }
}

impl Address for SocketAddress {
    fn open(&self, _: SinkOptions) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(SocketSink::new(&self.0)?))
    }
}

/// Sends lines to whoever listens at a socket, over one connection as long as it holds. Connects when there
/// is something to deliver.
#[derive(Debug)]
pub struct SocketSink {
    path: PathBuf,
    runtime: Runtime,
    stream: Option<UnixStream>,
    lines: JsonLines,
    stalled_after: Duration,
}

/// The reader of a connection takes nothing.
const STALLED: Cause = Cause::Named("stalled");

const WAITS: &str = "waits for it";

impl SocketSink {
    /// A sink for the socket at `path`, which need not be there yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] where no socket can have such a path.
    pub fn new(path: &Path) -> io::Result<Self> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        SocketAddr::from_pathname(path).map_err(named)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (stream, lines) = (None, JsonLines::default());
        Ok(Self { path: path.to_owned(), runtime, stream, lines, stalled_after: SOCKET_STALLED_AFTER })
    }

    /// Connects without waiting for the other side: a plain connect does where its queue is full.
    fn connect(&self) -> io::Result<UnixStream> {
        let connect = async { tokio::net::UnixStream::connect(&self.path).await?.into_std() };
        let stream = self.runtime.block_on(connect)?;
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(SINK_LOOK))?;
        Ok(stream)
    }
}

impl Sink for SocketSink {
    fn take(&mut self, batch: &Batch<'_>) {
        self.lines.fill(batch);
    }

    /// Sends the whole batch, over a new connection if there is none.
    fn attempt(&mut self, attempt: &mut Attempt<'_>) -> Result<(), Failed> {
        let failed = |e: io::Error| match e.kind() {
            // Many others connect at the same time.
            io::ErrorKind::WouldBlock => Failed::Again {
                cause: STALLED,
                words: TAKES_NOTHING.into(),
                remedy: WAITS.into(),
                pause: Pause::Full,
            },
            _ => Failed::io(&e, "connects again"),
        };
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(failed)?,
        };
        let mut rest = self.lines.bytes();
        let mut moved = Instant::now();
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(0) => return Err(failed(io::ErrorKind::WriteZero.into())),
                Ok(n) => {
                    rest = rest.get(n..).unwrap_or_default();
                    moved = Instant::now();
                    attempt.patience.progressed();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if moved.elapsed() >= self.stalled_after {
                        attempt.failed(STALLED, TAKES_NOTHING, WAITS);
                    }
                    if !attempt.patience.lasts() {
                        return Err(Failed::Ended(TAKES_NOTHING.into()));
                    }
                }
                Err(e) => return Err(failed(e)),
            }
        }
        self.stream = Some(stream);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;
    use std::thread;

    use tempfile::TempDir;

    use super::super::{Delivery, Patience, Undelivered};
    use super::*;

    fn place() -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        (directory, path)
    }

    fn delivery(path: &Path) -> Delivery<SocketSink> {
        let sink = SocketSink::new(path).expect("a path");
        Delivery::new(Box::new(sink), format!("unix:{}", path.display()))
    }

    fn deliver(
        sink: &mut Delivery<SocketSink>,
        text: &str,
        patience: &Patience,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), Undelivered> {
        sink.sink().lines = JsonLines::test(0, text);
        sink.finish(patience, warn)
    }

    /// What comes over the next connection until it ends.
    fn read_all(listener: &UnixListener) -> String {
        let mut text = String::new();
        listener.accept().expect("it connects").0.read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn batches_come_in_order_over_one_connection() {
        let (_directory, path) = place();
        let listener = UnixListener::bind(&path).expect("it listens");
        let server = thread::spawn(move || read_all(&listener));
        let mut sink = delivery(&path);
        for text in ["one\n", "two\nthree\n"] {
            let untroubled = &mut |words| panic!("{words}");
            deliver(&mut sink, text, &Patience::default(), untroubled).expect("it is delivered");
        }
        drop(sink);
        assert_eq!(server.join().expect("it ends"), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_server_that_comes_late_gets_all() {
        let (_directory, path) = place();
        let mut sink = delivery(&path);
        let mut server = None;
        let mut told = Vec::new();
        let tell = &mut |words| {
            told.push(words);
            if server.is_none() {
                let listener = UnixListener::bind(&path).expect("it listens");
                server = Some(thread::spawn(move || read_all(&listener)));
            }
        };
        deliver(&mut sink, "one\n", &Patience::default(), tell).expect("it is delivered");
        drop(sink);
        assert_eq!(server.expect("it was started").join().expect("it ends"), "one\n");
        let place = format!("unix:{}", path.display());
        let missing = format!("{place}: No such file or directory (os error 2); connects again");
        assert_eq!(told, [missing, format!("{place}: takes lines again")]);
    }

    #[test]
    fn what_a_broken_connection_did_not_take_is_sent_again_whole() {
        let (_directory, path) = place();
        let listener = UnixListener::bind(&path).expect("it listens");
        // More than a socket holds, so that the connection breaks within it.
        let text: String = (0..200_000).map(|seq| format!("{{\"seq\":{seq}}}\n")).collect();
        let server = thread::spawn(move || {
            let mut first = BufReader::new(listener.accept().expect("it connects").0);
            let mut line = String::new();
            first.read_line(&mut line).expect("text");
            drop(first);
            (line, read_all(&listener))
        });
        let mut sink = delivery(&path);
        let mut told = Vec::new();
        deliver(&mut sink, &text, &Patience::default(), &mut |words| told.push(words)).expect("delivered");
        drop(sink);
        let (line, second) = server.join().expect("it ends");
        assert_eq!(line, "{\"seq\":0}\n");
        assert!(second == text, "{} bytes came of {}", second.len(), text.len());
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn a_reader_that_reads_nothing_holds_up_no_longer_than_patience_lasts() {
        let (_directory, path) = place();
        let listener = UnixListener::bind(&path).expect("it listens");
        let text = "a line\n".repeat(300_000);
        let patience = Patience::default();
        let ends = patience.clone();
        let (given_up, wait) = mpsc::channel::<()>();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it connects");
            stream.read_exact(&mut [0; 7]).expect("a line");
            ends.end_at(Instant::now());
            wait.recv().expect_err("it was given up");
        });
        let mut sink = delivery(&path);
        let result = deliver(&mut sink, &text, &patience, &mut |words| panic!("{words}"));
        drop(given_up);
        server.join().expect("it ends");
        let words = format!("unix:{}: {TAKES_NOTHING}", path.display());
        assert_eq!(result, Err(Undelivered::GaveUp(words)));
    }

    #[test]
    fn a_reader_that_reads_nothing_for_long_is_told_of_until_it_does() {
        let (_directory, path) = place();
        let listener = UnixListener::bind(&path).expect("it listens");
        let text = "a line\n".repeat(300_000);
        let (go_on, wait) = mpsc::channel::<()>();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it connects");
            wait.recv().expect("it was told");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("text");
            text
        });
        let mut sink = delivery(&path);
        sink.sink().stalled_after = Duration::ZERO;
        let mut told = Vec::new();
        let tell = &mut |words| {
            told.push(words);
            // Gone already, when it has passed.
            let _ = go_on.send(());
        };
        deliver(&mut sink, &text, &Patience::default(), tell).expect("it is delivered");
        drop(sink);
        assert!(server.join().expect("it ends") == text, "not all came");
        let place = format!("unix:{}", path.display());
        assert_eq!(
            told,
            [format!("{place}: {TAKES_NOTHING}; waits for it"), format!("{place}: takes lines again")]
        );
    }

    #[test]
    fn a_full_queue_of_connections_holds_up_no_longer_than_patience_lasts() {
        let (_directory, path) = place();
        let mut sink = delivery(&path);
        let listen = async {
            let socket = tokio::net::UnixSocket::new_stream().expect("a socket");
            socket.bind(&path).expect("it is bound");
            socket.listen(1).expect("it listens")
        };
        let _listener = sink.sink().runtime.block_on(listen);
        let mut waiting = Vec::new();
        let full = loop {
            match sink.sink().connect() {
                Ok(stream) => waiting.push(stream),
                Err(e) => break e,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let patience = Patience::default();
        let result = deliver(&mut sink, "one\n", &patience, &mut |_| patience.end_at(Instant::now()));
        let words = format!("unix:{}: {TAKES_NOTHING}", path.display());
        assert_eq!(result, Err(Undelivered::GaveUp(words)));
    }

    #[test]
    fn a_path_that_is_too_long_is_refused_at_once() {
        let error = SocketSink::new(Path::new(&"a".repeat(200))).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
