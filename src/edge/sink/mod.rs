//! Where `watch` delivers its lines, one sink a file.
//!
//! | text | sink | knows what it has |
//! |---|---|---|
//! | `-` | [`LinesSink`] | no |
//! | `file:PATH` | [`FileSink`] | yes, but for pipes and devices |
//! | `unix:PATH` | [`SocketSink`] | no |
//! | `http://...`, `https://...` | [`Webhook`] | no, but it can tell what comes twice |
//!
//! A further one (Vizier, Katib: services that are spoken to in their own protocols) is a variant of
//! [`SinkSpec`] with its text, a file here with an implementation of [`Sink`], and an arm of [`open`]. It
//! gets lines as the others do, and reads from them what it needs.
//!
//! A sink is driven by a thread of its own, which reads the event files at the pace of its sink: a slow
//! one holds up nobody, and what it has not taken yet waits in the event files, not in memory.

mod file;
mod lines;
mod socket;
mod spec;
mod trouble;
mod webhook;

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use file::FileSink;
pub use lines::LinesSink;
pub use socket::SocketSink;
pub use spec::{SinkSpec, SinkSpecError};
pub use webhook::{Token, VERSION as WEBHOOK_VERSION, Webhook, WebhookOptions, WebhookUrl};

/// Whole lines that are delivered together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The `seq` of the first line; that of each further one is higher by one.
    pub first_seq: u64,
    /// How many lines there are; at least one.
    pub n_lines: usize,
    /// The lines, JSON objects, each with its `\n`.
    pub text: &'a str,
}

/// Takes lines, in order.
pub trait Sink: Send {
    /// Delivers a batch: when this returns, the sink has it. What may pass (a server that is away, a
    /// full disk) is tried again for as long as `patience` lasts; `trouble` is told of it in words, once
    /// for each new kind of trouble, not once a try.
    ///
    /// # Errors
    /// The batch was not delivered, or not known to be; where patience ended, it may be delivered again.
    fn deliver(
        &mut self,
        batch: Batch<'_>,
        patience: &Patience,
        trouble: &mut dyn FnMut(String),
    ) -> Result<(), Undelivered>;

    /// A mark for all that was delivered so far, for [`Self::kept_since`] of a later process.
    fn mark(&self) -> u64 {
        0
    }

    /// Hands on, without their ends, the lines that the sink has beyond `mark`, oldest first; call it
    /// before the first [`Self::deliver`]. Sinks that cannot say hand on nothing.
    ///
    /// # Errors
    /// Those of looking, and where what the sink has is not ours.
    fn kept_since(&mut self, mark: u64, line: &mut dyn FnMut(&str)) -> io::Result<()> {
        let _ = (mark, line);
        Ok(())
    }

    /// Makes durable what was delivered so far, as far as that is in this process's hands; call it before
    /// a [`Self::mark`] is stored.
    ///
    /// # Errors
    /// Those of the system; the mark must not be stored then.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What sinks need beside their texts.
pub struct SinkOptions {
    /// Where [`SinkSpec::Stdout`] writes.
    pub stdout: Box<dyn Write + Send>,
    /// What a web server knows us by.
    pub token: Option<Token>,
}

impl fmt::Debug for SinkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkOptions").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Opens a sink. Only a file must be there or be made now; servers are looked for at the first delivery.
///
/// # Errors
/// Those of opening, with the path or the address.
pub fn open(spec: &SinkSpec, options: SinkOptions) -> io::Result<Box<dyn Sink>> {
    Ok(match spec {
        SinkSpec::Stdout => Box::new(LinesSink::new(options.stdout, "stdout")),
        SinkSpec::File(path) => Box::new(FileSink::open(path)?),
        SinkSpec::Unix(path) => Box::new(SocketSink::new(path)?),
        SinkSpec::Http(url) => Box::new(Webhook::new(url.clone(), WebhookOptions { token: options.token })?),
    })
}

/// Why a batch was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undelivered {
    /// Patience ended; the words say what was wrong with the last try.
    GaveUp(String),
    /// The sink wants nothing more, as a pipe that its reader closed.
    Closed,
}

/// How long a sink goes on trying: until it is told that there is no more time.
#[derive(Clone, Default)]
pub struct Patience(Arc<Inner>);

#[derive(Default)]
struct Inner {
    deadline: Mutex<Option<Instant>>,
    has_changed: Condvar,
    n_steps: AtomicU64,
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Patience").field(&self.deadline()).finish()
    }
}

impl Patience {
    /// From now on there is time until `deadline`.
    pub fn end_at(&self, deadline: Instant) {
        *self.lock() = Some(deadline);
        self.0.has_changed.notify_all();
    }

    /// Takes it that something was taken, or read: who is patient may give more time.
    pub fn progressed(&self) {
        self.0.n_steps.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something was; only compared for change.
    #[must_use]
    pub fn n_steps(&self) -> u64 {
        self.0.n_steps.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deadline(&self) -> Option<Instant> {
        *self.lock()
    }

    /// How much time is left; `None` while there is no end to it.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether there is time for another try.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.left().is_none_or(|left| !left.is_zero())
    }

    /// Waits for `pause`, or until there is no more time. The answer is whether there is time for
    /// another try.
    pub fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut deadline = self.lock();
        loop {
            let now = Instant::now();
            let end = deadline.map_or(until, |deadline| deadline.min(until));
            if now >= end {
                return deadline.is_none_or(|deadline| now < deadline);
            }
            deadline = self
                .0
                .has_changed
                .wait_timeout(deadline, end - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_patience_does() {
        let patience = Patience::default();
        assert!(patience.pause(Duration::ZERO) && patience.lasts());
        let ends = patience.clone();
        let other = std::thread::spawn(move || ends.end_at(Instant::now()));
        assert!(!patience.pause(Duration::from_secs(3_600)));
        assert!(!patience.lasts());
        other.join().expect("it ends");
    }

    #[test]
    fn each_text_opens_its_sink() {
        let directory = tempfile::tempdir().expect("a directory");
        let text = "{\"kind\":\"point\",\"seq\":0}\n";
        let deliver = |spec: &str, token| {
            let spec: SinkSpec = spec.parse().expect("it names a sink");
            let options = SinkOptions { stdout: Box::new(io::sink()), token };
            let mut sink = open(&spec, options).map_err(|e| e.to_string())?;
            let patience = Patience::default();
            let mut told = Vec::new();
            let batch = Batch { first_seq: 0, n_lines: 1, text };
            let result = sink.deliver(batch, &patience, &mut |words| {
                told.push(words);
                patience.end_at(Instant::now());
            });
            sink.sync().map_err(|e| e.to_string())?;
            Ok::<_, String>((result, told, sink.mark()))
        };
        assert_eq!(deliver("-", None), Ok((Ok(()), Vec::new(), 0)));
        let path = directory.path().join("lines");
        let delivered = deliver(&format!("file:{}", path.display()), None);
        assert_eq!(delivered, Ok((Ok(()), Vec::new(), text.len() as u64)));
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
        let spec = format!("unix:{}", directory.path().join("socket").display());
        let missing = format!("{spec}: No such file or directory (os error 2)");
        let told = vec![format!("{missing}; connects again")];
        assert_eq!(deliver(&spec, None), Ok((Err(Undelivered::GaveUp(missing)), told, 0)));
        let both = deliver("http://me:secret@localhost/x?key=secret", Some(Token::Text("secret".into())));
        let words = "got a user in the address and a token, want one of them";
        assert_eq!(both, Err(format!("http://localhost/x?...: {words}")));
    }
}
