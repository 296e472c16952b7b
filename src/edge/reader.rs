//! Lists and reads as a [`Tail`] asks.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use super::clock::Clock;
use super::files::{ListError, is_passing};
use crate::limits::{DRAIN_RETRY, DRAIN_TIMEOUT, READ_CHUNK_BYTES};
use crate::tail::{Action, AtEnd, FileId, Found, Listed, Tail};

/// A place that holds event files: a directory, a bucket.
pub trait Place: Send {
    /// Lists every file to follow, sorted by path, each once, and what could not be looked at.
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>);

    /// What a listing would show of one path; `None` where nothing to follow stands there.
    ///
    /// # Errors
    /// Those of looking at it.
    fn look(&mut self, path: &str) -> io::Result<Option<Listed>>;

    /// Fills `buffer` from an offset of the file that was listed as `id` under `path`. Less than the whole
    /// buffer means that the file ends there. All bytes are of one and the same state of the file.
    ///
    /// # Errors
    /// Those of opening and reading. A path at which another file stands by now is one too. Those that may
    /// pass are told apart by `is_passing`.
    fn read(&mut self, path: &str, id: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Carries out the actions of a [`Tail`] on the files of a [`Place`].
pub struct Reader {
    place: Box<dyn Place>,
    clock: Clock,
    tail: Tail,
    buffer: Vec<u8>,
    /// Paths whose trouble was told.
    told: BTreeSet<String>,
    /// Something could not be looked at that may be looked at again soon.
    is_failing: bool,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("tail", &self.tail).finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader of everything in `place`.
    #[must_use]
    pub fn new(place: Box<dyn Place>, clock: Clock) -> Self {
        let tail = Tail::new(clock.now());
        Self::with(place, clock, tail)
    }

    /// A reader of everything in `place`, as `tail` asks.
    #[must_use]
    pub fn with(place: Box<dyn Place>, clock: Clock, tail: Tail) -> Self {
        Self {
            place,
            clock,
            tail,
            buffer: vec![0; READ_CHUNK_BYTES],
            told: BTreeSet::new(),
            is_failing: false,
        }
    }

    /// Carries out one action. `None`: something was done and there may be more; otherwise nothing is
    /// to be done before the given time, but for [`Reader::wake`].
    pub fn step(&mut self, found: &mut dyn FnMut(Found<'_>)) -> Option<jiff::Timestamp> {
        let now = self.clock.now();
        match self.tail.poll_action(now) {
            Action::Wait(until) => return Some(until),
            Action::List => {
                let (listing, errors) = self.place.list();
                for ListError { path, error } in errors {
                    self.is_failing |= is_passing(&error);
                    if self.told.insert(path.clone()) {
                        found(Found::Unreadable { path: &path, error: error.to_string() });
                    }
                }
                let listed_at = self.clock.now();
                let took = Duration::try_from(listed_at.duration_since(now)).unwrap_or_default();
                self.tail.handle_listing(listed_at, took, listing, found);
            }
            Action::Look { path } => {
                // What is wrong with it, the next listing will tell.
                let listed = self.place.look(&path).ok().flatten();
                self.tail.handle_look(now, listed, found);
            }
            Action::Read { id, path, offset_bytes, at_most_bytes } => {
                let at_most = at_most_bytes.min(self.buffer.len());
                let buffer = self.buffer.get_mut(..at_most).unwrap_or_default();
                let read = self.place.read(&path, id, offset_bytes, buffer);
                let is_whole = matches!(read, Ok(n) if n == at_most);
                let at_end = if is_whole { AtEnd::No } else { AtEnd::Yes };
                self.is_failing |= read.as_ref().is_err_and(is_passing);
                let read = read.map_err(|e| e.to_string());
                let read = read.map(|n| (self.buffer.get(..n).unwrap_or(&[]), at_end));
                self.tail.handle_read(id, read, found);
            }
        }
        None
    }

    /// What decides what is read next.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// A path is said to have changed.
    pub fn hint(&mut self, path: &str) {
        self.tail.hint(path);
    }

    /// Something is said to have changed.
    pub fn wake(&mut self) {
        self.tail.wake(self.clock.now());
    }

    /// Reads all that there is, nothing more being written: a file that gives a passing error is
    /// tried again for a while. What never became a record is told as damage.
    pub fn read_to_end(&mut self, found: &mut dyn FnMut(Found<'_>)) {
        let give_up = self.clock.now().checked_add(DRAIN_TIMEOUT).unwrap_or(jiff::Timestamp::MAX);
        // The last look is at the bytes themselves: a time of change may be coarse or late.
        self.tail.distrust();
        loop {
            self.is_failing = false;
            self.tail.list_now(self.clock.now());
            while self.step(found).is_none() {}
            if !self.is_failing || self.clock.now() >= give_up {
                break;
            }
            std::thread::sleep(DRAIN_RETRY);
        }
        while self.tail.finish(found) {
            while self.step(found).is_none() {}
        }
    }
}
