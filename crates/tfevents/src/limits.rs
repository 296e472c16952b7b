//! Every cap of the library as a named constant with its reason.
//!
//! A queue, buffer, retry or walk without a name here is a bug: nothing that comes from outside is trusted for a size.

use std::time::Duration;

/// The longest record that is held whole in memory, in bytes. A longer one (a graph, an image) is gone
/// through in parts, and what is no number is never held. Records of numbers are far shorter.
pub const MAX_RECORD_HELD_BYTES: usize = 64 << 10;

/// The same for a source that is read once, and cannot be asked for the bytes behind a false length again.
pub const FORWARD_HELD_BYTES: usize = 4 << 20;

/// The longest field that is held of a record that is gone through in parts, in bytes: a tag, a tensor
/// of one number. Metadata may be as long as [`MAX_VALUES_HELD_BYTES`].
pub const MAX_FIELD_HELD_BYTES: usize = 64 << 10;

/// What may be held of the values of one record that is gone through in parts, in bytes: they are not to
/// be believed before its checksum is read. A summary with images has some hundred numbers beside them.
pub const MAX_VALUES_HELD_BYTES: usize = 4 << 20;

/// How many bytes behind headers that turned out to be false are checksummed in a file, at least: behind
/// any damage the longest record can still be checked ...
pub const SEARCH_ALLOWANCE_BYTES: u64 = MAX_RECORD_BYTES;

/// ... and beyond that for each byte of the file. Real damage stays far below; a file made of false
/// headers must not cost the square of its size.
pub const SEARCH_CHECKS_A_BYTE: u64 = 8;

/// The longest record that can be real, in bytes: protobuf refuses messages of 2 GiB and more, so
/// a length beyond it is damage even where its checksum agrees.
pub const MAX_RECORD_BYTES: u64 = i32::MAX as u64;

/// What a decoder keeps allocated between records, in bytes; a larger buffer is given back after
/// the record that needed it.
pub const CARRY_KEPT_BYTES: usize = 64 << 10;

/// How much of a file is read at once, in bytes: the system call, and what straddles two pieces, cost
/// nothing beside the checksums.
pub const READ_CHUNK_BYTES: usize = 1 << 20;

/// How much of a large file one thread reads and scans at once, in bytes. Each thread holds one such piece and an entry of
/// 32 bytes for each of its records, which have 16 bytes or more: less than 4 MiB a thread, with what [`MAX_RISES`] take.
/// Small enough for a processor's cache, and large beside what a thread waits for its turn.
pub const SEGMENT_BYTES: u32 = 1 << 20;

/// How many values a rise of a segment must have on average to be taken at once: making one costs as much as some values.
pub const LEAST_RISING_VALUES: usize = 4;

/// How many rises of a segment are taken at once: each takes 88 bytes in the memory of a thread.
pub const MAX_RISES: usize = 1 << 12;

/// From how many bytes on a file is read by several threads: a smaller one is read before another thread is awake.
pub const SPLIT_FILE_BYTES: u64 = 4 << 20;

/// The part of a file behind damage that is read again when the file changes, in bytes: on network
/// file systems a hole of zeros at the end is often filled in later; they write up to 1 MiB at once. At
/// the end, when nothing more is written, it is read again whatever its length.
pub const HEAL_WINDOW_BYTES: u64 = 2 << 20;

/// How long damage in a growing file is taken for a hole that will be filled in, with what stands behind it waiting: network
/// file systems show the pages of one flush in any order.
pub const HOLE_PATIENCE: Duration = Duration::from_secs(10);

/// A file that was last written so long ago when it is first seen has no holes that are still filled in, whatever the clocks of
/// file servers say.
pub const OLD_FILE: Duration = Duration::from_secs(30 * 60);

/// How much of a file is read to know when it was begun, in bytes; its first event names the format.
pub const FIRST_EVENT_BYTES: usize = 4 << 10;

/// How many of a file's first bytes are remembered, to know it again: the first record, which holds
/// the time of its making, lies within.
pub const HEAD_BYTES: usize = 64;

/// How many bytes of packed points are allocated at once: never moved again, and small beside a long
/// series.
pub const POINTS_BLOCK_BYTES: usize = 64 << 10;

/// From how many bytes of packed points on a series is long: it is given memory in larger blocks ...
pub const LONG_SERIES_BYTES: usize = 4 << 20;

/// ... of so many bytes: the large page of most processors. What one of them lacks to be full is within what
/// the points before it take less than 20 bytes each.
pub const POINTS_LARGE_BLOCK_BYTES: usize = 2 << 20;

/// How deep below a directory event files are looked for: deeper than any trainer nests, and an end
/// to symlink loops that the walk did not recognise.
pub const MAX_WALK_DEPTH: usize = 64;

/// The most event files that are followed below one directory: twice what the largest known job
/// directories hold.
pub const MAX_FILES_FOLLOWED: usize = 100_000;

/// The most paths of changed files that are remembered until they are looked at; of what is beyond that the
/// next listing tells.
pub const MAX_HINTS: usize = 10_000;

/// The most tags of one event file or run that are told apart; values under further tags are counted. Real
/// files hold some thousand; one with a tag a step must not fill the memory.
pub const MAX_TAGS: usize = 100_000;

/// The most forms of events that are remembered of one file, to know the next event of the same form: as many
/// tags as a trainer logs a step. Each takes less than 500 bytes.
pub const MAX_EVENT_FORMS: usize = 1_000;

/// How long the tags together may be that are told apart, in bytes: the longest tag that is read is as long
/// as a record that is held.
pub const MAX_TAGS_BYTES: usize = 32 << 20;

/// The most hyperparameters of one run that are remembered; further ones are told as left out.
pub const MAX_HPARAMS: usize = 10_000;

/// How long they may be together, names and texts, in bytes.
pub const MAX_HPARAMS_BYTES: usize = 8 << 20;

/// The most sessions and restarts of one file that are told apart for a tag: more than any trainer survives.
pub const MAX_STRETCHES: usize = 20_000;

/// How many passes over the steps of a tag are told apart; later values count as those of the last.
pub const MAX_PASSES: u32 = 20_000;

/// With how many writers that began before it, and after it, one is compared to tell whether they wrote the same steps.
pub const MAX_WRITERS_COMPARED: usize = 100;

/// The most sessions of one file that are remembered.
pub const MAX_SESSIONS: usize = 20_000;

/// From twice as many points on a sample of those of one series is kept while its files grow, at least this many: what is
/// told anew after a restart beside other writers, and when another run turns out to be the one to read.
pub const MAX_SERIES_POINTS: usize = 32 << 10;

/// The most points that are kept of one tag of one file for a picture, as a rule: some times the columns of a screen.
pub const MAX_COURSE_POINTS: usize = 16 << 10;

/// How often a directory that is followed is looked at where no notification comes earlier.
pub const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often metrics files are looked at: each holds its last hundred reports alone.
pub const METRICS_INTERVAL: Duration = Duration::from_millis(100);

/// How much longer that time is at least for each metrics file: looking costs a small share of one core.
pub const METRICS_INTERVAL_A_FILE: Duration = Duration::from_millis(1);

/// The least time between two listings of one directory: a trainer that writes without pause must
/// not make its reader walk the tree without pause.
pub const MIN_LIST_INTERVAL: Duration = Duration::from_millis(5);

/// How long a follower goes on looking at what could not be read when nothing more is written.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two looks at a file that gave a passing error then.
pub const DRAIN_RETRY: Duration = Duration::from_millis(50);

/// How often a read that gave a passing error (a stale handle, a device's fault) is tried again.
pub const MAX_READ_RETRIES: u32 = 3;

/// A directory is listed at most once in so many times the time that a listing takes: following costs
/// a small share of one core.
pub const LIST_SHARE: u32 = 100;

/// The most rewritten entries of a cloudml-hypertune metrics file, in bytes: the package keeps the
/// last 100 lines, and a checkpoint path may be long.
pub const MAX_HYPERTUNE_FILE_BYTES: u64 = 4 << 20;
