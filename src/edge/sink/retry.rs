//! Deliveries that are tried again: the one loop around every sink, and warnings that are given once.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::time::Duration;

use crate::limits::{MAX_FAILURES_TOLD, SINK_FIRST_PAUSE, SINK_FULL_PAUSE, SINK_LONGEST_PAUSE};

use super::{Batch, Patience, Sink};

/// Delivers batches to a sink, and tries again what may pass.
pub struct Delivery<S: ?Sized = dyn Sink> {
    warnings: Warnings,
    pauses: Pauses,
    sink: Box<S>,
}

impl<S: ?Sized> fmt::Debug for Delivery<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

impl<S: Sink + ?Sized> Delivery<S> {
    /// Deliveries to `sink`, which users know as `place`: no secrets are in that.
    #[must_use]
    pub fn new(sink: Box<S>, place: impl Into<String>) -> Self {
        Self { warnings: Warnings::at(place), pauses: sink.pauses(), sink }
    }

    /// Delivers a batch: when this returns, the sink has it. What may pass (a server that is away, a full disk) is
    /// tried again for as long as `patience` lasts; `warn` gets a text for each new kind of failure, not for each
    /// attempt, and one when the sink takes lines again.
    ///
    /// # Errors
    /// The batch was not delivered, or not known to be; where patience ended, it may be delivered again.
    pub fn deliver(
        &mut self,
        batch: &Batch<'_>,
        patience: &Patience,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), Undelivered> {
        self.sink.take(batch);
        self.finish(patience, warn)
    }

    /// Turns to the receiver although there is nothing to deliver; see [`Sink::greet_at`].
    ///
    /// # Errors
    /// As of [`Self::deliver`].
    pub fn greet(&mut self, patience: &Patience, warn: &mut dyn FnMut(String)) -> Result<(), Undelivered> {
        self.sink.greet();
        self.finish(patience, warn)
    }

    /// Delivers the rest of the batch that the sink has taken.
    pub(super) fn finish(
        &mut self,
        patience: &Patience,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), Undelivered> {
        loop {
            let mut attempt = Attempt { patience, warnings: &mut self.warnings, warn };
            let (pause, last) = match self.sink.attempt(&mut attempt) {
                Ok(()) => {
                    attempt.passed();
                    return Ok(());
                }
                Err(Failed::Closed) => return Err(Undelivered::Closed),
                Err(Failed::Ended(words)) => return Err(Undelivered::GaveUp(self.warnings.say(&words))),
                Err(Failed::Full) => (SINK_FULL_PAUSE, self.warnings.say(TAKES_NOTHING)),
                Err(Failed::Again { cause, words, remedy, pause }) => {
                    let n_failed = attempt.failed(cause, &words, &remedy);
                    let pause = match pause {
                        Pause::Growing => self.pauses.after(n_failed),
                        Pause::GrowingBehind(asked) => asked + self.pauses.after(n_failed),
                        Pause::Longest => self.pauses.longest,
                        Pause::Full => SINK_FULL_PAUSE,
                    };
                    (pause, self.warnings.last.clone())
                }
            };
            if !patience.pause(pause) {
                return Err(Undelivered::GaveUp(last));
            }
        }
    }

    /// The sink.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }
}

/// Words for a reader that does not read.
pub(super) const TAKES_NOTHING: &str = "its reader takes nothing";

/// What is done about most failures.
pub(super) const TRIES_AGAIN: &str = "tries again";

/// Why a batch was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undelivered {
    /// Patience ended; the words say what was wrong with the last attempt.
    GaveUp(String),
    /// The sink wants nothing more, as a pipe that its reader closed.
    Closed,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The sink wants nothing more. Fatal.
    Closed,
    /// Patience ended during the attempt; the words say what it waited for. Fatal.
    Ended(String),
    /// The reader takes nothing for now, which is no failure. Tried again soon, without a warning.
    Full,
    /// Something that may pass. Tried again.
    Again {
        /// What went wrong, to tell failures apart.
        cause: Cause,
        /// The same in words.
        words: String,
        /// What is done about it, in words.
        remedy: String,
        /// How long to wait before.
        pause: Pause,
    },
}

impl Failed {
    /// A failure of the system that may pass.
    pub(super) fn io(error: &io::Error, remedy: &str) -> Self {
        Self::again(Cause::Io(error.kind()), error.to_string(), remedy)
    }

    pub(super) fn again(cause: Cause, words: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Again { cause, words: words.into(), remedy: remedy.into(), pause: Pause::Growing }
    }
}

/// Kinds of failure: of each a warning is given once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An error of the system.
    Io(io::ErrorKind),
    /// A status that a server answers.
    Status(u16),
    /// Another one, by a name that its sink gives it.
    Named(&'static str),
}

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// By the sink's [`Pauses`], longer after each attempt that failed.
    Growing,
    /// The same, behind the time that the other side asks for.
    GrowingBehind(Duration),
    /// The longest of the sink's [`Pauses`]: somebody must do something first.
    Longest,
    /// [`SINK_FULL_PAUSE`]: the other side is only busy.
    Full,
}

/// How long a sink waits between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pauses {
    /// The longest pause after the first failed attempt; each further one may be twice as long ...
    pub first: Duration,
    /// ... up to this.
    pub longest: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { first: SINK_FIRST_PAUSE, longest: SINK_LONGEST_PAUSE }
    }
}

impl Pauses {
    /// The pause after so many failed attempts: drawn evenly between none and the longest that it may be, so
    /// that those who failed together do not come back together.
    fn after(self, n_failed: u32) -> Duration {
        let doubled = 1_u32.checked_shl(n_failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let may = self.first.checked_mul(doubled).map_or(self.longest, |may| may.min(self.longest));
        may.mul_f64(draw())
    }
}

/// A number from 0 to 1.
fn draw() -> f64 {
    // Each of these hashers has a new random key.
    let bits = RandomState::new().hash_one(0);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// What a sink has while it attempts to deliver.
pub struct Attempt<'a> {
    /// How long it may go on.
    pub patience: &'a Patience,
    warnings: &'a mut Warnings,
    warn: &'a mut dyn FnMut(String),
}

impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

impl Attempt<'_> {
    /// Gives a note about the sink.
    pub fn note(&mut self, words: &str) {
        (self.warn)(self.warnings.say(words));
    }

    /// Gives a warning in `words`, with what is done about it, if its cause is new. The answer is how many attempts
    /// failed in a row, this one included.
    pub fn failed(&mut self, cause: Cause, words: &str, remedy: &str) -> u32 {
        self.warnings.met(cause, words, remedy, self.warn)
    }

    /// A part of the batch is delivered for good: pauses are short again.
    pub fn progressed(&mut self) {
        self.warnings.progressed();
    }

    /// All is well: says so if a warning was given.
    pub fn passed(&mut self) {
        self.warnings.passed(self.warn);
    }

    /// What was wrong with the last attempt; `None` where a part was delivered since.
    #[must_use]
    pub fn last_failure(&self) -> Option<&str> {
        self.warnings.last_words()
    }
}

/// What goes wrong at one place, and of what a warning was given already.
#[derive(Debug)]
struct Warnings {
    place: String,
    given: Vec<Cause>,
    n_failed: u32,
    /// The place and what was wrong with it last; nothing where a part was delivered since.
    last: String,
}

impl Warnings {
    fn at(place: impl Into<String>) -> Self {
        Self { place: place.into(), given: Vec::new(), n_failed: 0, last: String::new() }
    }

    fn met(&mut self, cause: Cause, words: &str, remedy: &str, warn: &mut dyn FnMut(String)) -> u32 {
        self.n_failed = self.n_failed.saturating_add(1);
        self.last = self.say(words);
        if !self.given.contains(&cause) && self.given.len() < MAX_FAILURES_TOLD {
            self.given.push(cause);
            warn(format!("{}; {remedy}", self.last));
        }
        self.n_failed
    }

    fn progressed(&mut self) {
        self.n_failed = 0;
        self.last.clear();
    }

    fn passed(&mut self, warn: &mut dyn FnMut(String)) {
        self.progressed();
        if !self.given.is_empty() {
            self.given.clear();
            warn(self.say("takes lines again"));
        }
    }

    fn say(&self, words: &str) -> String {
        format!("{}: {words}", self.place)
    }

    fn last_words(&self) -> Option<&str> {
        self.last.strip_prefix(&*self.place)?.strip_prefix(": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses = Pauses { first: Duration::from_millis(10), longest: Duration::from_millis(35) };
        for n_failed in [0, 1, 2, 3, 4, 40, u32::MAX] {
            let may = Duration::from_millis(match n_failed {
                0 | 1 => 10,
                2 => 20,
                _ => 35,
            });
            for _ in 0..100 {
                assert!(pauses.after(n_failed) <= may);
            }
        }
        let drawn: Vec<_> = (0..100).map(|_| pauses.after(40)).collect();
        assert!(drawn.iter().any(|&pause| pause > Duration::from_millis(20)), "{drawn:?}");
        assert!(drawn.iter().any(|&pause| pause < Duration::from_millis(15)), "{drawn:?}");
    }

    #[test]
    fn of_a_cause_a_warning_is_given_once_and_once_more_when_it_has_passed() {
        let mut given = Vec::new();
        let mut warnings = Warnings::at("there");
        for cause in [1, 2, 1, 1, 2] {
            let words = format!("warning {cause}");
            warnings.met(Cause::Status(cause), &words, TRIES_AGAIN, &mut |words| given.push(words));
        }
        assert_eq!(warnings.last, "there: warning 2");
        warnings.passed(&mut |words| given.push(words));
        warnings.passed(&mut |words| given.push(words));
        let again = warnings.met(Cause::Status(1), "warning 1", TRIES_AGAIN, &mut |words| given.push(words));
        assert_eq!(again, 1);
        let expected = [
            "there: warning 1; tries again",
            "there: warning 2; tries again",
            "there: takes lines again",
            "there: warning 1; tries again",
        ];
        assert_eq!(given, expected);
    }

    /// A sink whose attempts end as they are told to.
    struct Scripted {
        script: Vec<Result<(), Failed>>,
        n_attempts: usize,
    }

    impl Sink for Scripted {
        fn take(&mut self, _batch: &Batch<'_>) {}

        fn attempt(&mut self, _attempt: &mut Attempt<'_>) -> Result<(), Failed> {
            self.n_attempts += 1;
            self.script.remove(0)
        }

        fn pauses(&self) -> Pauses {
            Pauses { first: Duration::ZERO, longest: Duration::ZERO }
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_fatal_is_not() {
        #[track_caller]
        fn check(
            script: Vec<Result<(), Failed>>,
            n_attempts: usize,
            delivered: Result<(), Undelivered>,
            n_given: usize,
        ) {
            let sink = Box::new(Scripted { script, n_attempts: 0 });
            let mut delivery = Delivery::new(sink, "there");
            let mut given = Vec::new();
            let batch = Batch { first_seq: 0, lines: &[], trial: None };
            let result = delivery.deliver(&batch, &Patience::default(), &mut |words| given.push(words));
            assert_eq!((result, delivery.sink().n_attempts), (delivered, n_attempts));
            assert_eq!(given.len(), n_given, "{given:?}");
        }
        let failed = |status| Err(Failed::again(Cause::Status(status), "is away", TRIES_AGAIN));
        check(vec![Ok(())], 1, Ok(()), 0);
        check(vec![failed(500), failed(500), failed(503), Ok(())], 4, Ok(()), 3);
        check(vec![Err(Failed::Full), Ok(())], 2, Ok(()), 0);
        check(vec![failed(500), Err(Failed::Closed)], 2, Err(Undelivered::Closed), 1);
        let ended = Err(Failed::Ended("waits".into()));
        check(vec![ended], 1, Err(Undelivered::GaveUp("there: waits".into())), 0);
    }
}
