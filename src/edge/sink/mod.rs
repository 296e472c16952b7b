//! Where `watch` delivers its lines, one sink a file.
//!
//! | text | sink | knows what it has |
//! |---|---|---|
//! | `-` | [`LinesSink`] | no |
//! | `file:PATH` | [`FileSink`] | yes, but for pipes and devices |
//! | `unix:PATH` | [`SocketSink`] | no |
//! | `http://...`, `https://...` | [`Webhook`] | no, but it can tell what comes twice |
//!
//! A further sink is a file here, with a [`Kind`] that reads its addresses and an implementation of [`Sink`], and a
//! line of [`KINDS`]. A sink gets typed lines and encodes them for itself; [`Delivery`] tries again what may pass.
//!
//! A sink is driven by a thread of its own, which reads the event files at the pace of its sink: a slow
//! one holds up nobody, and what it has not taken yet waits in the event files, not in memory.

mod file;
mod json;
mod lines;
mod retry;
mod socket;
mod spec;
mod token;
#[cfg_attr(not(feature = "web"), path = "webhook_absent.rs")]
mod webhook;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::report::watch::Line;

pub use file::FileSink;
pub use lines::LinesSink;
pub use retry::{Attempt, Cause, Delivery, Failed, Pause, Pauses, Undelivered};
pub use socket::SocketSink;
pub use spec::{Address, Kind, SinkSpec, SinkSpecError};
pub use token::Token;
#[cfg(feature = "web")]
pub use webhook::{VERSION as WEBHOOK_VERSION, Webhook, WebhookOptions, WebhookUrl};

/// Every kind of sink.
pub const KINDS: [Kind; 4] = [lines::KIND, file::KIND, socket::KIND, webhook::KIND];

/// Lines that are delivered together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The `seq` of the first line; that of each further one is higher by one.
    pub first_seq: u64,
    /// The lines, in order; at least one.
    pub lines: &'a [Line],
    /// The trial's name in the lines, where it has one.
    pub trial: Option<&'a str>,
}

/// Takes lines, in order. A [`Delivery`] drives it.
pub trait Sink: Send {
    /// Takes a batch, encoded as this sink delivers it, in place of the one before. What was delivered of a batch
    /// that was given up is not delivered again where the sink can avoid it.
    fn take(&mut self, batch: &Batch<'_>);

    /// Attempts to deliver what was not delivered yet of the batch that was taken: when this returns, the sink has
    /// the whole batch.
    ///
    /// # Errors
    /// [`Failed`] says whether to try again, and when.
    fn attempt(&mut self, attempt: &mut Attempt<'_>) -> Result<(), Failed>;

    /// Why the receiver wants the trainer to be stopped, once it has said so; then `None` again.
    fn take_stop(&mut self) -> Option<String> {
        None
    }

    /// When the receiver wants to hear of us again, whether or not there is anything to deliver; `None`: it does not.
    fn greet_at(&self) -> Option<Instant> {
        None
    }

    /// Has the next attempt turn to the receiver although there is nothing to deliver.
    fn greet(&mut self) {}

    /// How long to wait between two attempts.
    fn pauses(&self) -> Pauses {
        Pauses::default()
    }

    /// The file that keeps how far this sink is where the user names none; `None` where nothing is kept then.
    fn own_state(&self) -> Option<PathBuf> {
        None
    }

    /// A mark for all that was delivered so far, for [`Self::kept_since`] of a later process.
    fn mark(&self) -> u64 {
        0
    }

    /// Hands on, as JSON without their ends, the lines that the sink has beyond `mark`, oldest first; call it
    /// before the first [`Self::take`]. Sinks that cannot say hand on nothing.
    ///
    /// # Errors
    /// Errors of looking, and where what the sink has is not ours.
    fn kept_since(&mut self, mark: u64, line: &mut dyn FnMut(&str)) -> io::Result<()> {
        let _ = (mark, line);
        Ok(())
    }

    /// Makes durable what was delivered so far, as far as that is in this process's hands; call it before
    /// a [`Self::mark`] is stored.
    ///
    /// # Errors
    /// Errors of the system; the mark must not be stored then.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What sinks need beside their addresses.
pub struct SinkOptions {
    /// What standard output is.
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
/// Errors of opening, with the path or the address.
pub fn open(spec: &SinkSpec, options: SinkOptions) -> io::Result<Delivery> {
    Ok(Delivery::new(spec.address().open(options)?, spec.to_string()))
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
        let lines = [Line::Rewritten { file: "x".into() }];
        let text = "{\"kind\":\"rewritten\",\"file\":\"x\",\"seq\":0}\n";
        let deliver = |spec: &str, token| {
            let spec: SinkSpec = spec.parse().expect("it names a sink");
            let options = SinkOptions { stdout: Box::new(io::sink()), token };
            let mut sink = open(&spec, options).map_err(|e| e.to_string())?;
            let patience = Patience::default();
            let mut told = Vec::new();
            let batch = Batch { first_seq: 0, lines: &lines, trial: None };
            let result = sink.deliver(&batch, &patience, &mut |words| {
                told.push(words);
                patience.end_at(Instant::now());
            });
            sink.sink().sync().map_err(|e| e.to_string())?;
            Ok::<_, String>((result, told, sink.sink().mark()))
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
