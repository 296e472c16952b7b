//! Lists and reads as a [`Tail`] asks.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::disk::{Root, is_passing};
use crate::limits::{DRAIN_RETRY, DRAIN_TIMEOUT, READ_CHUNK_BYTES};
use crate::scalar::Content;
use crate::series::{Point, WriterId};
use crate::tail::{
    Action, AtEnd, Compression, FileId, FileKind, Found, Ingest, Ingested, Listed, PackedIngest, Tail,
};
use crate::units::Time;

/// What a listing could not look at.
#[derive(Debug)]
pub struct ListError {
    /// The path, below the root where it is.
    pub path: String,
    /// What the system said.
    pub error: io::Error,
}

/// A clock that starts at the system's time of day and from then on only goes forward, as time passes.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Time,
    started: Instant,
}

impl Clock {
    /// A clock set to the system's time of day.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Time::now(), started: Instant::now() }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.origin.after(self.started.elapsed())
    }
}

/// A place that holds event files: a directory, a bucket.
pub trait Place: Send {
    /// Lists every file to follow, sorted by path, each once, and what could not be looked at.
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>);

    /// What a listing would show of one path; `None` where nothing to follow stands there.
    ///
    /// # Errors
    /// Errors of looking at it.
    fn look(&mut self, path: &str) -> io::Result<Option<Listed>>;

    /// Fills `buffer` from an offset of the file that was listed as `id` under `path`. Less than the whole
    /// buffer means that the file ends there. All bytes are of one and the same state of the file.
    ///
    /// # Errors
    /// Errors of opening and reading. A path at which another file stands by now is one too. Those that may
    /// pass are told apart by `is_passing`.
    fn read(&mut self, path: &str, id: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Carries out the actions of a [`Tail`] on the files of a [`Place`].
pub struct Follower {
    place: Box<dyn Place>,
    clock: Clock,
    tail: Tail,
    buffer: Vec<u8>,
    /// Paths whose warning was told.
    told: BTreeSet<String>,
    /// Something could not be looked at that may be looked at again soon.
    is_failing: bool,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("tail", &self.tail).finish_non_exhaustive()
    }
}

impl Follower {
    /// Follows the event files below a directory of this machine, which may come later.
    #[must_use]
    pub fn open(directory: impl AsRef<Path>) -> Self {
        Self::new(Box::new(Root::directory(directory.as_ref())), Clock::start())
    }

    /// A follower of everything in `place`.
    #[must_use]
    pub fn new(place: Box<dyn Place>, clock: Clock) -> Self {
        let tail = Tail::new(clock.now());
        Self::with(place, clock, tail)
    }

    /// A follower of everything in `place`, as `tail` asks.
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
    /// to be done before the given time, but for [`Follower::wake`].
    pub fn step(&mut self, found: &mut dyn FnMut(Found<'_>)) -> Option<Time> {
        let now = self.clock.now();
        let action = self.tail.poll_action(now);
        self.carry_out(action, now, found)
    }

    /// As [`Self::step`], of the metrics files alone; see [`Tail::poll_metrics_action`].
    pub fn step_metrics(&mut self, found: &mut dyn FnMut(Found<'_>)) -> Option<Time> {
        let now = self.clock.now();
        let action = self.tail.poll_metrics_action(now);
        self.carry_out(action, now, found)
    }

    fn carry_out(&mut self, action: Action, now: Time, found: &mut dyn FnMut(Found<'_>)) -> Option<Time> {
        match action {
            Action::Wait(until) => return Some(until),
            Action::List => {
                let (listing, errors) = self.place.list();
                // A root that is not there may come.
                let is_told = |e: &ListError| e.error.kind() != io::ErrorKind::NotFound;
                for ListError { path, error } in errors.into_iter().filter(is_told) {
                    self.is_failing |= is_passing(&error);
                    if self.told.insert(path.clone()) {
                        found(Found::Unreadable { path: &path, error: error.to_string() });
                    }
                }
                let listed_at = self.clock.now();
                let took = listed_at.since(now);
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

    /// Reads again what a writer wrote, from the beginning; `None` where its file does not keep that.
    #[must_use]
    pub fn read_again(&self, writer: WriterId) -> Option<ReadAgain> {
        // A metrics file does not keep what it held.
        let is_event_file = |path| self.tail.naming().kind_of(path) == Some(FileKind::Events);
        let (path, id) = self.tail.file_of(writer).filter(|(path, _)| is_event_file(path))?;
        Some(ReadAgain { path: path.to_owned(), id, at: 0, reader: AgainReader::Plain(Box::default()) })
    }

    /// Reads what is new, and answers how long there is nothing to do then: sleep so long at most, and call it again.
    /// An event file that grows is looked at twice a second.
    pub fn poll(&mut self, found: &mut dyn FnMut(Found<'_>)) -> Duration {
        loop {
            if let Some(until) = self.step(found) {
                return until.since(self.clock.now());
            }
        }
    }

    /// Reads all that there is now. The answer is whether something could not be looked at that may be looked
    /// at again soon.
    pub fn read_all(&mut self, found: &mut dyn FnMut(Found<'_>)) -> bool {
        self.is_failing = false;
        self.tail.list_now(self.clock.now());
        while self.step(found).is_none() {}
        self.is_failing
    }

    /// Something is said to have changed.
    pub fn wake(&mut self) {
        self.tail.wake(self.clock.now());
    }

    /// Reads all that there is, nothing more being written; see [`Self::step_to_end`].
    pub fn read_to_end(&mut self, found: &mut dyn FnMut(Found<'_>)) {
        let mut ending = self.begin_to_end();
        while !self.step_to_end(&mut ending, found) {}
    }

    /// Begins to read all that there is, nothing more being written.
    pub fn begin_to_end(&mut self) -> Ending {
        let now = self.clock.now();
        // The last look is at the bytes themselves: a time of change may be coarse or late.
        self.tail.distrust();
        self.is_failing = false;
        self.tail.list_now(now);
        Ending { give_up: now.after(DRAIN_TIMEOUT), is_finishing: false }
    }

    /// Carries out one action more of reading to the end; true when all is read. A file that gives a passing error is
    /// tried again for a while. What never became a record is told as damage.
    pub fn step_to_end(&mut self, ending: &mut Ending, found: &mut dyn FnMut(Found<'_>)) -> bool {
        if self.step(found).is_none() {
            return false;
        }
        if !ending.is_finishing && self.is_failing && self.clock.now() < ending.give_up {
            std::thread::sleep(DRAIN_RETRY);
            self.is_failing = false;
            self.tail.list_now(self.clock.now());
            return false;
        }
        ending.is_finishing = true;
        !self.tail.finish(found)
    }

    /// Asks for a listing at once.
    pub fn list_now(&mut self) {
        self.tail.list_now(self.clock.now());
    }
}

/// How far reading to the end has come.
#[derive(Debug)]
pub struct Ending {
    /// When files that give passing errors are given up.
    give_up: Time,
    is_finishing: bool,
}

/// An event file that is read a second time.
#[derive(Debug)]
pub struct ReadAgain {
    path: String,
    id: FileId,
    at: u64,
    reader: AgainReader,
}

#[derive(Debug)]
enum AgainReader {
    Plain(Box<Ingest>),
    Packed(Box<PackedIngest>),
}

impl ReadAgain {
    /// Reads the next piece and gives the numbers in it that stand under a tag. False at the end of the file.
    ///
    /// # Errors
    /// Errors of reading.
    pub fn step(
        &mut self,
        reader: &mut Follower,
        tag: &str,
        take: &mut dyn FnMut(Point),
    ) -> io::Result<bool> {
        let Follower { place, buffer, .. } = reader;
        let n_bytes = place.read(&self.path, self.id, self.at, buffer)?;
        let bytes = buffer.get(..n_bytes).unwrap_or(&[]);
        if let (0, Some(compression)) = (self.at, Compression::of(bytes)) {
            self.reader = AgainReader::Packed(Box::new(PackedIngest::new(compression)));
        }
        let mut sink = |_, said: Ingested<'_>| {
            if let Ingested::Value { step, wall_time, tag: of, content: Content::Scalar(value), .. } = said
                && of == tag
            {
                take(Point { step, wall_time, value });
            }
        };
        match &mut self.reader {
            AgainReader::Plain(ingest) => {
                ingest.feed(bytes, &mut sink);
                self.at = ingest.next_offset();
            }
            AgainReader::Packed(packed) => {
                packed.feed(bytes, &mut sink);
                self.at += n_bytes as u64;
            }
        }
        Ok(n_bytes > 0)
    }
}
