//! Reads files in pieces on several threads, with the result in order.
//!
//! One thread takes a piece through these stages. `join` is entered by one thread at a time, in the order of the pieces. Where
//! it fills a batch, the same thread goes on with `work` and `done`, the latter one thread at a time, in the order of the
//! batches. There is no queue: the memory in use is one piece and one batch for each thread.
//!
//! ```text
//!   thread 1:  read and scan │ join │ work │ done │ read and scan │ join │ …
//!   thread 2:  read and scan        │ join │ work        │ done │ …
//! ```

use std::ops::{ControlFlow, Range};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::read::{Source, read_file};
use super::root::Root;
use super::turns::Turns;
use crate::limits::{READ_CHUNK_BYTES, SEGMENT_BYTES};
use crate::series::WriterId;
use crate::tail::{
    Compression, FOREIGN_HEAD_BYTES, FileKind, Found, Ingest, Ingested, Listed, Rises, Scan, Segment, Take,
    foreign,
};
use crate::units::{RunName, WallTime};

/// Gathers what is found in files that are read in pieces.
pub trait Assembly: Send {
    /// What is handed from `join` to `work`.
    type Batch: Send;

    /// Whether [`Self::take_rises`] is to be called.
    const TAKES_RISES: bool = false;

    /// Takes what was found, in the order in which one thread alone would find it. Returns a batch when one is full.
    fn take(&mut self, found: Found<'_>) -> Option<Self::Batch>;

    /// Takes values at once, of a writer whose file was begun at `started`. False, with nothing taken, where they are to be
    /// taken one by one.
    fn take_rises(&mut self, writer: WriterId, started: WallTime, rises: Rises<'_>) -> bool {
        let (_, _, _) = (writer, started, rises);
        false
    }
}

/// Reads the files `which` of `files` from their first to their last byte on up to `n_threads` threads, the calling thread
/// among them. Each batch of `assembly` is passed to `work`, on any thread, and the result to `done`, in order, until that
/// breaks. Returns the assembly, which may hold an unfinished batch.
///
/// The writer of a file is its place in `files`. A file that cannot be read gives what was read of it and a
/// [`Found::Unreadable`].
pub fn read_in_pieces<A: Assembly, C>(
    root: &Root,
    files: &[Listed],
    which: Range<usize>,
    n_threads: usize,
    assembly: A,
    work: impl Fn(A::Batch) -> C + Sync,
    done: impl FnMut(C) -> ControlFlow<()> + Send,
) -> A {
    let n_before = which.start;
    let listed = files.get(which).unwrap_or_default();
    let is_events = |file: &Listed| root.kind_of(&file.path) == Some(FileKind::Events);
    let pieces = |file: &Listed| pieces(if is_events(file) { file.bytes } else { 0 });
    let n_pieces: u64 = listed.iter().map(|file| pieces(file).count() as u64).sum();
    let n_threads = n_threads.min(usize::try_from(n_pieces).unwrap_or(usize::MAX)).max(1);
    let all = listed.iter().zip(n_before..).flat_map(|(file, i)| pieces(file).map(move |at| (file, i, at)));
    let all = Mutex::new(all.enumerate().fuse());
    let joint = Joint { root, assembly, n_batches: 0, file: None, buffer: Vec::new() };
    let (joint, output) = (Turns::new(joint), Turns::new((done, ControlFlow::Continue(()))));
    let finish = |(number, batch): (usize, A::Batch)| {
        let result = work(batch);
        let Some(mut turn) = output.wait(number) else { return };
        let (done, flow) = turn.held();
        if flow.is_continue() {
            *flow = done(result);
        }
        if flow.is_break() {
            all.lock().unwrap_or_else(PoisonError::into_inner).by_ref().for_each(drop);
        }
        output.end(turn);
    };
    let run = || {
        let (_joint, _output) = (joint.guard(), output.guard());
        let mut segment = Segment::default();
        let mut source: Option<(usize, Source<'_>)> = None;
        loop {
            let next = all.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, (file, i, at))) = next else { return };
            let (_, source) = match &mut source {
                Some(known) if known.0 == i => known,
                other => other.insert((i, Source::new(root, file))),
            };
            let is_event_file = is_events(file);
            if is_event_file {
                let length =
                    u32::try_from(file.bytes.saturating_sub(at)).unwrap_or(u32::MAX).min(SEGMENT_BYTES);
                segment.read(at, length, |offset, buffer| source.read_at(offset, buffer));
            }
            // A single thread decodes the bytes directly.
            if is_event_file && n_threads > 1 {
                segment.scan(if A::TAKES_RISES { Scan::Rises } else { Scan::Values });
            }
            let Some(mut turn) = joint.wait(number) else { return };
            let mut ready = None;
            let mut take = |batch| {
                // Reading back after damage can fill several batches in one piece: the earlier ones are finished here.
                ready.replace(batch).into_iter().for_each(&finish);
            };
            turn.held().join((file, i), at, &segment, source, &mut take);
            joint.end(turn);
            ready.into_iter().for_each(&finish);
        }
    };
    thread::scope(|scope| {
        for _ in 1..n_threads {
            scope.spawn(run);
        }
        run();
    });
    joint.into_inner().assembly
}

/// Where the pieces of so many bytes start, at least one.
fn pieces(n_bytes: u64) -> impl Iterator<Item = u64> {
    (0..n_bytes.max(1)).step_by(SEGMENT_BYTES as usize)
}

/// The state of the `join` stage.
struct Joint<'a, A> {
    root: &'a Root,
    assembly: A,
    /// How many batches there were: the number of the next.
    n_batches: usize,
    /// The file at hand.
    file: Option<Open>,
    buffer: Vec<u8>,
}

struct Open {
    run: RunName,
    ingest: Ingest,
    /// Nothing more is to be read of it.
    is_over: bool,
}

impl<A: Assembly> Joint<'_, A> {
    /// Joins the piece of a file that starts at `at`; after the last piece, also the rest of the file.
    fn join(
        &mut self,
        (listed, i): (&Listed, usize),
        at: u64,
        segment: &Segment,
        source: &mut Source<'_>,
        ready: &mut impl FnMut((usize, A::Batch)),
    ) {
        let Self { root, assembly, n_batches, file, buffer } = self;
        let mut gathering = Gathering { assembly, n_batches, ready };
        let path = &*listed.path;
        if buffer.is_empty() {
            buffer.resize(READ_CHUNK_BYTES, 0);
        }
        if root.kind_of(path) != Some(FileKind::Events) {
            return read_file(root, listed, i, buffer, &mut |found| gathering.take(found));
        }
        if at == 0 {
            let run = root.naming().run_of(path);
            gathering.take(Found::File { run: &run, path });
            let head = segment.bytes(0, listed.bytes.min(FOREIGN_HEAD_BYTES as u64));
            let (what, compression) = (foreign(path, head), Compression::of(head));
            let writer = WriterId(u32::try_from(i).unwrap_or(u32::MAX));
            if let Some(what) = what {
                gathering.take(Found::Foreign { path, what });
            } else if let Some(compression) = compression {
                // One thread unpacks it.
                let mut of_file = OfFile { run: &run, path, writer, gathering: &mut gathering };
                let mut sink = |started: WallTime, ingested: Ingested<'_>| of_file.take(started, ingested);
                if let Err(e) = source.read_packed(compression, buffer, &mut sink) {
                    gathering.take(Found::Unreadable { path, error: e.to_string() });
                }
            }
            *file = Some(Open {
                run,
                ingest: Ingest::default(),
                is_over: what.is_some() || compression.is_some(),
            });
        }
        let Some(Open { run, ingest, is_over }) = file.as_mut().filter(|file| !file.is_over) else { return };
        let writer = WriterId(u32::try_from(i).unwrap_or(u32::MAX));
        let mut read = |offset, buffer: &mut [u8]| source.read_at(offset, buffer);
        let mut read_on = || {
            let mut of_file = OfFile { run, path, writer, gathering: &mut gathering };
            ingest.read_segment(segment, buffer, &mut read, &mut of_file)?;
            let is_last = at + u64::from(SEGMENT_BYTES) >= listed.bytes;
            let mut sink = |started: WallTime, ingested: Ingested<'_>| of_file.take(started, ingested);
            if is_last { ingest.read_to_end(buffer, &mut read, &mut sink) } else { Ok(()) }
        };
        if let Err(e) = read_on() {
            *is_over = true;
            gathering.take(Found::Unreadable { path, error: e.to_string() });
        }
    }
}

/// An assembly with its batches numbered as they are ready.
struct Gathering<'a, A, R> {
    assembly: &'a mut A,
    n_batches: &'a mut usize,
    ready: R,
}

impl<A: Assembly, R: FnMut((usize, A::Batch))> Gathering<'_, A, R> {
    #[inline]
    fn take(&mut self, found: Found<'_>) {
        if let Some(batch) = self.assembly.take(found) {
            (self.ready)((*self.n_batches, batch));
            *self.n_batches += 1;
        }
    }
}

/// What an event file says, on its way to an assembly.
struct OfFile<'a, G> {
    run: &'a RunName,
    path: &'a str,
    writer: WriterId,
    gathering: G,
}

impl<A: Assembly, R: FnMut((usize, A::Batch))> Take for OfFile<'_, &mut Gathering<'_, A, R>> {
    #[inline]
    fn take(&mut self, started: WallTime, ingested: Ingested<'_>) {
        let Self { run, path, writer, .. } = *self;
        self.gathering.take(Found::Event { run, path, writer, started, ingested });
    }

    fn take_rises(&mut self, started: WallTime, rises: Rises<'_>) -> bool {
        self.gathering.assembly.take_rises(self.writer, started, rises)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::walk;
    use crate::event;
    use crate::record;
    use crate::scalar::Content;
    use crate::series::{ByTag, FileHistory, Point, TagSummary};
    use crate::units::Step;

    /// Collects all that is found as text, 100 lines a batch.
    #[derive(Default)]
    struct Lines(Vec<String>);

    impl Assembly for Lines {
        type Batch = Vec<String>;

        fn take(&mut self, found: Found<'_>) -> Option<Vec<String>> {
            self.0.push(format!("{found:?}"));
            (self.0.len() == 100).then(|| std::mem::take(&mut self.0))
        }
    }

    fn lines(root: &Root, files: &[Listed], n_threads: usize, most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let done = |n_and_lines: (usize, Vec<String>)| {
            assert_eq!(n_and_lines.0, 100);
            lines.extend(n_and_lines.1);
            if lines.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let work = |batch: Vec<String>| (batch.len(), batch);
        let left = read_in_pieces(root, files, 0..files.len(), n_threads, Lines::default(), work, done).0;
        if most == usize::MAX {
            lines.extend(left);
        }
        lines
    }

    /// Sums up the tags of one file.
    #[derive(Debug, Default)]
    struct Sums {
        history: FileHistory,
        tags: ByTag<TagSummary>,
        n_rises: usize,
    }

    impl Assembly for Sums {
        type Batch = ();

        const TAKES_RISES: bool = true;

        fn take(&mut self, found: Found<'_>) -> Option<()> {
            if let Some((tag, Point { step, wall_time, value })) = self.history.take(&found) {
                let summary = self.tags.entry(tag, || TagSummary::new(step)).expect("there are few tags");
                summary.add(&self.history.sessions, step, wall_time, &Content::Scalar(value));
            }
            None
        }

        fn take_rises(&mut self, writer: WriterId, started: WallTime, rises: Rises<'_>) -> bool {
            let n_sessions = self.history.sessions.len();
            let mut all = rises.iter();
            if !all.all(|(tag, _, rise)| self.tags.get(tag).is_some_and(|sum| sum.accepts(n_sessions, rise)))
            {
                return false;
            }
            for (tag, _, rise) in rises.iter() {
                self.history.take_rise(writer, started, rise);
                self.tags.entry(tag, || TagSummary::new(Step(0))).expect("it is there").take_rise(rise);
                self.n_rises += 1;
            }
            true
        }
    }

    #[test]
    fn values_that_are_taken_at_once_change_no_sum() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut bytes = Vec::new();
        let mut put = |event: &[u8]| record::encode(event, &mut bytes);
        put(&event::encode_file_version(WallTime(7.0), "test"));
        for i in 0..200_000_i64 {
            let tag = ["loss", "acc", "lr"][usize::try_from(i % 3).expect("it is small")];
            // Now and then a session begins, steps fall, stand still, or begin anew.
            let step = match i {
                50_000 => {
                    put(&event::encode_session_start(WallTime(60_000.5), Step(40_000)));
                    40_001
                }
                50_001..90_000 => i - 9_999,
                90_000..90_200 => 80_001,
                90_200..150_000 => i - 40_000,
                150_000..150_100 => 150_000 - i,
                _ => i,
            };
            put(&event::encode_scalars(WallTime(7.5 + i as f64), Step(step), &[(tag, (i % 977) as f32)]));
        }
        bytes[5_000_123] ^= 1;
        fs::write(directory.path().join("events.out.tfevents.1.a"), bytes).expect("a file");
        let root = Root::directory(directory.path());
        let (files, _) = walk::list(&root, 1);
        let sums = |n_threads| {
            let none = |()| ControlFlow::Continue(());
            let sums = read_in_pieces(&root, &files, 0..1, n_threads, Sums::default(), |()| (), none);
            let tags: Vec<_> = sums.tags.iter().collect();
            (format!("{:?} {tags:?}", sums.history), sums.n_rises)
        };
        let (alone, n_rises) = sums(1);
        assert_eq!(n_rises, 0);
        for n_threads in [2, 3, 7] {
            let (several, n_rises) = sums(n_threads);
            assert!(several == alone && n_rises > 20, "{n_threads} threads: {n_rises}\n{several}\n{alone}");
        }
    }

    #[test]
    fn any_number_of_threads_finds_the_same_in_the_same_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let segment = SEGMENT_BYTES as usize;
        let mut scalars = Vec::new();
        for step in 0..5 * segment as i64 / 40 {
            let event =
                event::encode_scalars(WallTime(1.0), Step(step), &[(["a", "loss"][step as usize % 2], 0.5)]);
            record::encode(&event, &mut scalars);
        }
        let mut damaged = scalars.clone();
        damaged[segment - 30..segment + 10].fill(0);
        damaged[3 * segment..3 * segment + 700_000].fill(0);
        let mut long = scalars[..100_000].to_vec();
        // A record that holds others and does not agree: what is in it is found when it is read again.
        let at = long.len();
        record::encode(&scalars[..3 * segment], &mut long);
        long[at + 20] ^= 1;
        long.extend(&scalars[..100_000]);
        let contents = [&scalars, &damaged, &Vec::new(), &scalars[..1000].to_vec(), &long];
        for (i, content) in contents.into_iter().enumerate() {
            fs::create_dir(directory.path().join(i.to_string())).expect("a directory");
            fs::write(directory.path().join(format!("{i}/events.out.tfevents.1.a")), content)
                .expect("a file");
        }
        let root = Root::directory(directory.path());
        let (files, _) = walk::list(&root, 1);
        let alone = lines(&root, &files, 1, usize::MAX);
        assert!(alone.iter().any(|line| line.contains("Damage")), "{} lines", alone.len());
        for n_threads in [2, 3, 7] {
            assert!(alone == lines(&root, &files, n_threads, usize::MAX), "{n_threads} threads");
            // What is enough ends the reading.
            assert_eq!(lines(&root, &files, n_threads, 1_000), alone[..1_000]);
        }
    }
}
