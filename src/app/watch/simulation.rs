//! Following a simulated file system against a simple model of what was written to it.
//!
//! Writers append whole and torn records, leave holes that are filled in later, go on in new files, resume at
//! earlier steps, are renamed, replaced and rewritten; the file system gives short reads, zeros, stale sizes, reordered
//! and incomplete listings, EIO and ESTALE; the watcher stops and goes on, or is killed and goes on from where it was
//! when its state was last stored. In the end what a reader of its lines is left with must be what the model says.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tfevents::follow::ListError;
use tfevents::follow::{Follower, Place};

use super::feed::{Feed, Item, Memory, Selection};
use crate::edge::clock::Clock;
use crate::layout::METRICS_PATH;
use crate::layout::NAMING;
use crate::report::watch::Line;
use crate::units::{RunName, Step, Tag, WallTime};
use tfevents::event;
use tfevents::record as tfrecord;
use tfevents::series::{Point, WriterId};
use tfevents::tail::{Config, FileId, Listed, Progress, Tail};

const RUNS: [&str; 3] = [".", "eval", "a/b"];

/// How many bytes are read at once: less than a file has, so that reads end inside records.
const READ_BYTES: usize = 150;

/// A file system that can be made to fail.
#[derive(Debug, Default)]
struct Disk {
    /// Paths and inodes.
    paths: BTreeMap<String, u64>,
    files: BTreeMap<u64, Content>,
    next_inode: u64,
    free_inodes: Vec<u64>,
    replaced_inodes: Vec<u64>,
    now_ns: i128,
    /// Whether faults happen; they end before the last look.
    is_faulty: bool,
    random: u64,
}

#[derive(Debug, Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    modified_ns: i128,
    /// Up to here every reader sees what was written: faults are of what is new.
    settled: usize,
    /// Up to here its bytes were seen: they do not vanish again.
    shown: usize,
    /// Up to here it was read: no client's size of a file falls below what it has read.
    read: usize,
}

impl Disk {
    /// One of `n`, by a small generator: faults must not depend on a global one.
    fn draw(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    fn fails(&mut self, one_in: u64) -> bool {
        self.is_faulty && self.draw(one_in) == 0
    }

    fn new_inode(&mut self) -> u64 {
        // A file system hands out the numbers of deleted files again.
        self.free_inodes.pop().unwrap_or_else(|| {
            self.next_inode += 1;
            self.next_inode
        })
    }

    fn put(&mut self, path: &str, inode: u64, bytes: Vec<u8>) {
        self.now_ns += 1;
        self.paths.insert(path.to_owned(), inode);
        self.files.insert(inode, Content { bytes, modified_ns: self.now_ns, settled: 0, shown: 0, read: 0 });
    }

    fn create(&mut self, path: &str, bytes: Vec<u8>) {
        let inode = self.new_inode();
        self.put(path, inode, bytes);
    }

    fn change(&mut self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        self.now_ns += 1;
        let now_ns = self.now_ns;
        let file = self.paths.get(path).and_then(|inode| self.files.get_mut(inode)).expect("it is there");
        file.settled = file.bytes.len();
        change(&mut file.bytes);
        file.shown = file.shown.min(file.bytes.len());
        file.modified_ns = now_ns;
    }

    fn remove(&mut self, path: &str) {
        let inode = self.paths.remove(path).expect("it is there");
        self.files.remove(&inode);
        self.free_inodes.push(inode);
    }

    fn listed(&mut self, path: &str) -> Option<Listed> {
        let inode = *self.paths.get(path)?;
        let is_stale = self.fails(6);
        let file = self.files.get(&inode)?;
        // A network file system may show an old size with the new time.
        let stale = file.settled.max(file.read).min(file.bytes.len());
        let bytes = if is_stale { stale } else { file.bytes.len() };
        let id = FileId { device: 1, inode };
        Some(Listed { path: path.to_owned(), id, bytes: bytes as u64, modified_ns: file.modified_ns })
    }
}

#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    fn with<T>(&self, work: impl FnOnce(&mut Disk) -> T) -> T {
        work(&mut self.0.lock().expect("no test panics with it"))
    }
}

fn failure(disk: &mut Disk) -> io::Error {
    const EIO: i32 = 5;
    const ESTALE: i32 = 116;
    io::Error::from_raw_os_error(if disk.draw(2) == 0 { EIO } else { ESTALE })
}

impl Place for Shared {
    fn list(&mut self) -> (Vec<Listed>, Vec<ListError>) {
        self.with(|disk| {
            let paths: Vec<String> = disk.paths.keys().cloned().collect();
            let (mut listed, mut errors) = (Vec::new(), Vec::new());
            let mut ids = BTreeSet::new();
            for path in paths {
                if disk.fails(8) {
                    let error = failure(disk);
                    errors.push(ListError { path, error });
                } else if let Some(file) = disk.listed(&path).filter(|file| ids.insert(file.id)) {
                    listed.push(file);
                }
            }
            if disk.fails(2) {
                listed.reverse();
            }
            (listed, errors)
        })
    }

    fn look(&mut self, path: &str) -> io::Result<Option<Listed>> {
        self.with(|disk| if disk.fails(8) { Err(failure(disk)) } else { Ok(disk.listed(path)) })
    }

    fn read(&mut self, path: &str, id: FileId, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|disk| {
            if disk.fails(8) {
                return Err(failure(disk));
            }
            if disk.paths.get(path) != Some(&id.inode) {
                return Err(io::Error::other("replaced by another file while it was read"));
            }
            let (is_short, is_holed) = (disk.fails(6), disk.fails(6));
            let file = disk.files.get(&id.inode).cloned().expect("it has a path");
            let from = (offset_bytes as usize).min(file.bytes.len());
            let mut bytes = file.bytes[from..(from + buffer.len()).min(file.bytes.len())].to_vec();
            let n_settled = file.settled.max(file.shown).saturating_sub(from).min(bytes.len());
            let n_new = (bytes.len() - n_settled) as u64;
            let n_true = n_settled + disk.draw(n_new + 1) as usize;
            if is_short {
                bytes.truncate(n_true);
            } else if is_holed {
                bytes[n_true..].fill(0);
            }
            if let Some(file) = disk.files.get_mut(&id.inode) {
                if from <= file.shown {
                    let n_shown = if is_holed { n_true } else { bytes.len() };
                    file.shown = file.shown.max(from + n_shown.min(bytes.len()));
                }
                file.read = file.read.max(from + bytes.len());
            }
            buffer[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        })
    }
}

/// What is done next.
#[derive(Debug, Clone)]
enum Deed {
    /// Whole records, and perhaps a part of the next one.
    Append { run: usize, n: usize, torn: usize },
    /// Records of which only the first bytes are there yet, the rest being zeros until the next step of the run.
    Hole { run: usize, n: usize },
    /// The run goes on in a new file.
    Roll { run: usize, n: usize },
    /// The trainer resumes some steps earlier in a new file, and says so or not.
    Resume { run: usize, back: i64, is_said: bool, n: usize },
    /// The file is emptied and written anew, with later steps.
    Rewrite { run: usize, n: usize },
    /// A file with the same beginning and more behind takes the place of the file.
    Replace { run: usize, n: usize },
    /// A file with other content does.
    Exchange { run: usize, n: usize },
    /// The file gets another name.
    Rename { run: usize },
    /// The file is deleted.
    Delete { run: usize },
    /// Everything below the root goes, and the trainers begin new files.
    DeleteAll,
    /// The cloudml-hypertune package reports so many values.
    Report { n: usize },
    /// The watcher looks at everything.
    Look,
    /// It is told of changes, and does a part of what follows from that.
    Glance { n: usize },
    /// It ends in good order and another goes on.
    Restart,
    /// It stores its state.
    Store,
    /// It is killed, and another goes on from the state.
    Kill,
}

fn any_step() -> impl Strategy<Value = Deed> {
    let run = 0..RUNS.len();
    prop_oneof![
        8 => (run.clone(), 1..6usize, 0..40usize).prop_map(|(run, n, torn)| Deed::Append { run, n, torn }),
        2 => (run.clone(), 1..4usize).prop_map(|(run, n)| Deed::Hole { run, n }),
        2 => (run.clone(), 1..4usize).prop_map(|(run, n)| Deed::Roll { run, n }),
        2 => (run.clone(), 1..8i64, any::<bool>(), 1..4usize)
            .prop_map(|(run, back, is_said, n)| Deed::Resume { run, back, is_said, n }),
        1 => (run.clone(), 1..12usize).prop_map(|(run, n)| Deed::Rewrite { run, n }),
        1 => (run.clone(), 1..4usize).prop_map(|(run, n)| Deed::Replace { run, n }),
        1 => (run.clone(), 1..12usize).prop_map(|(run, n)| Deed::Exchange { run, n }),
        1 => run.clone().prop_map(|run| Deed::Rename { run }),
        1 => run.prop_map(|run| Deed::Delete { run }),
        1 => Just(Deed::DeleteAll),
        2 => (1..60usize).prop_map(|n| Deed::Report { n }),
        6 => Just(Deed::Look),
        3 => (1..12usize).prop_map(|n| Deed::Glance { n }),
        1 => Just(Deed::Restart),
        2 => Just(Deed::Store),
        1 => Just(Deed::Kill),
    ]
}

/// A run as its writers know it.
#[derive(Debug, Default)]
struct Writing {
    /// The file that is written, where there is one.
    path: Option<String>,
    n_files: usize,
    next_step: i64,
    /// What is not in the file yet of a record that is.
    torn: Vec<u8>,
    /// Where a hole stands, and what belongs there.
    hole: Option<(usize, Vec<u8>)>,
    /// What stands, by step.
    standing: BTreeMap<i64, f64>,
}

struct Simulation {
    disk: Shared,
    clock: Clock,
    runs: Vec<Writing>,
    reports: Vec<String>,
    /// Every value that was written whole; each value is written once in all.
    written: BTreeSet<u64>,
    /// Those that a resumed trainer made void.
    void: BTreeSet<u64>,
    next_value: u64,
    wall_time: f64,
    reader: Follower,
    feed: Feed,
    stored: (String, String),
    /// What the lines say, as their reader has it: by run and tag, what stands.
    read: BTreeMap<(String, String), BTreeMap<i64, f64>>,
    /// How often each value was told.
    told: BTreeMap<u64, u32>,
    n_kills: u32,
    n_rewinds_with_values: u32,
}

fn watcher(disk: &Shared, clock: Clock, stored: &(String, String)) -> (Follower, Feed) {
    let progress: Progress = serde_json::from_str(&stored.0).expect("it was stored");
    let memory: Memory = serde_json::from_str(&stored.1).expect("it was stored");
    let config = Config { naming: NAMING, read_bytes: READ_BYTES, ..Config::default() };
    let tail = Tail::with(config, progress, clock.of_reader().now());
    (Follower::with(Box::new(disk.clone()), clock.of_reader(), tail), Feed::new(Selection::default(), memory))
}

impl Simulation {
    fn new(seed: u64) -> Self {
        // Files are as new as they would be.
        let now_ns = Clock::start().now().as_nanosecond();
        let disk = Disk { now_ns, is_faulty: !seed.is_multiple_of(4), random: seed | 1, ..Disk::default() };
        let disk = Shared(Arc::new(Mutex::new(disk)));
        let clock = Clock::start();
        let default = |value: serde_json::Result<String>| value.expect("it can be stored");
        let stored = (
            default(serde_json::to_string(&Progress::default())),
            default(serde_json::to_string(&Memory::default())),
        );
        let (reader, feed) = watcher(&disk, clock, &stored);
        Self {
            disk,
            clock,
            runs: RUNS.iter().map(|_| Writing::default()).collect(),
            reports: Vec::new(),
            written: BTreeSet::new(),
            void: BTreeSet::new(),
            next_value: 0,
            wall_time: 1_000.0,
            reader,
            feed,
            stored,
            read: BTreeMap::new(),
            told: BTreeMap::new(),
            n_kills: 0,
            n_rewinds_with_values: 0,
        }
    }

    fn tick(&mut self) -> WallTime {
        self.wall_time += 1.0;
        WallTime(self.wall_time)
    }

    /// Records of the run's next steps.
    fn records(&mut self, run: usize, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..n {
            self.next_value += 1;
            let (clock, value) = (self.tick(), self.next_value);
            let writing = &mut self.runs[run];
            let step = writing.next_step;
            writing.next_step += 1;
            writing.standing.insert(step, value as f64);
            self.written.insert(value);
            tfrecord::encode(&event::encode_scalars(clock, Step(step), &[("m", value as f32)]), &mut bytes);
        }
        bytes
    }

    /// A new file's beginning, and its path.
    fn begin(&mut self, run: usize) -> (String, Vec<u8>) {
        let clock = self.tick();
        let writing = &mut self.runs[run];
        writing.n_files += 1;
        let name = format!("events.out.tfevents.{}.{}", clock.0 as u64, writing.n_files);
        let path = if RUNS[run] == "." { name } else { format!("{}/{name}", RUNS[run]) };
        let mut bytes = Vec::new();
        tfrecord::encode(&event::encode_file_version(clock, "simulated"), &mut bytes);
        (path, bytes)
    }

    /// Puts what is missing of the last records into the file.
    fn settle(&mut self, run: usize) {
        let writing = &mut self.runs[run];
        let (torn, hole) = (std::mem::take(&mut writing.torn), writing.hole.take());
        let Some(path) = writing.path.clone() else { return };
        self.disk.with(|disk| {
            if let Some((at, bytes)) = hole {
                disk.change(&path, |file| file[at..].copy_from_slice(&bytes));
            }
            if !torn.is_empty() {
                disk.change(&path, |file| file.extend_from_slice(&torn));
            }
        });
    }

    /// The file of a run, settled; a new one where there is none.
    fn path(&mut self, run: usize) -> String {
        self.settle(run);
        if let Some(path) = self.runs[run].path.clone() {
            return path;
        }
        let (path, bytes) = self.begin(run);
        self.disk.with(|disk| disk.create(&path, bytes));
        self.runs[run].path = Some(path.clone());
        path
    }

    fn append(&mut self, run: usize, bytes: &[u8]) {
        let path = self.path(run);
        self.disk.with(|disk| disk.change(&path, |file| file.extend_from_slice(bytes)));
    }

    fn do_(&mut self, step: &Deed) {
        match *step {
            Deed::Append { run, n, torn } => {
                self.path(run);
                let whole = self.records(run, n);
                self.append(run, &whole);
                if torn > 0 {
                    let next = self.records(run, 1);
                    let (there, missing) = next.split_at(torn.min(next.len() - 1));
                    self.append(run, there);
                    self.runs[run].torn = missing.to_vec();
                }
            }
            Deed::Hole { run, n } => {
                let path = self.path(run);
                let bytes = self.records(run, n);
                let at = self.disk.with(|disk| {
                    let inode = disk.paths[&path];
                    let at = disk.files[&inode].bytes.len();
                    let there = disk.draw(bytes.len() as u64) as usize;
                    disk.change(&path, |file| {
                        file.extend_from_slice(&bytes[..there]);
                        file.resize(at + bytes.len(), 0);
                    });
                    at
                });
                self.runs[run].hole = Some((at, bytes));
            }
            Deed::Roll { run, n } => {
                self.settle(run);
                self.runs[run].path = None;
                self.path(run);
                let bytes = self.records(run, n);
                self.append(run, &bytes);
            }
            Deed::Resume { run, back, is_said, n } => {
                self.settle(run);
                let (path, mut bytes) = self.begin(run);
                let writing = &mut self.runs[run];
                writing.next_step = (writing.next_step - back).max(0);
                let from = writing.next_step;
                self.void.extend(writing.standing.split_off(&from).values().map(|value| *value as u64));
                if is_said {
                    let clock = self.tick();
                    tfrecord::encode(&event::encode_session_start(clock, Step(from)), &mut bytes);
                }
                bytes.extend(self.records(run, n));
                self.disk.with(|disk| disk.create(&path, bytes));
                self.runs[run].path = Some(path);
            }
            Deed::Rewrite { run, n } => {
                let path = self.path(run);
                // What is destroyed before anybody looked is lost to everybody.
                self.look_well();
                let (_, mut bytes) = self.begin(run);
                bytes.extend(self.records(run, n));
                self.disk.with(|disk| {
                    let inode = disk.paths[&path];
                    disk.put(&path, inode, Vec::new());
                });
                self.glance(3);
                self.disk.with(|disk| disk.change(&path, |file| *file = bytes));
            }
            Deed::Replace { run, n } => {
                let path = self.path(run);
                self.look_well();
                let more = self.records(run, n);
                self.disk.with(|disk| {
                    let old = disk.paths[&path];
                    let mut bytes = disk.files.remove(&old).expect("it is there").bytes;
                    bytes.extend_from_slice(&more);
                    // A fresh number, and the old one is handed out again only once somebody has looked: where the numbers
                    // of replaced files go round, a file is told anew, which is safe but not what the model says.
                    disk.next_inode += 1;
                    let inode = disk.next_inode;
                    disk.put(&path, inode, bytes);
                    disk.replaced_inodes.push(old);
                });
                // Under yet another name nothing would tell that it is the same.
                self.look_well();
            }
            Deed::Exchange { run, n } => {
                let path = self.path(run);
                self.look_well();
                let (_, mut bytes) = self.begin(run);
                bytes.extend(self.records(run, n));
                self.disk.with(|disk| {
                    disk.remove(&path);
                    disk.create(&path, bytes);
                });
            }
            Deed::Rename { run } => {
                let path = self.path(run);
                let renamed = format!("{path}.v2");
                self.disk.with(|disk| {
                    let inode = disk.paths.remove(&path).expect("it is there");
                    disk.paths.insert(renamed.clone(), inode);
                });
                self.runs[run].path = Some(renamed);
            }
            Deed::Delete { run } => {
                let path = self.path(run);
                self.look_well();
                self.disk.with(|disk| disk.remove(&path));
                self.runs[run].path = None;
            }
            Deed::DeleteAll => {
                (0..RUNS.len()).for_each(|run| self.settle(run));
                self.look_well();
                self.disk.with(|disk| {
                    let paths: Vec<String> = disk.paths.keys().cloned().collect();
                    paths.iter().for_each(|path| disk.remove(path));
                });
                self.runs.iter_mut().for_each(|run| run.path = None);
                self.reports.clear();
                self.look();
            }
            Deed::Report { n } => {
                // The file keeps the last 100: more than that between two looks are lost to everybody.
                self.look_well();
                for _ in 0..n {
                    self.next_value += 1;
                    self.written.insert(self.next_value);
                    let (clock, value) = (self.tick().0, self.next_value);
                    self.reports.push(format!(
                        "{{\"timestamp\": {clock}, \"trial\": \"0\", \"h\": \"{value}\", \"global_step\": \"{value}\"}}\n"
                    ));
                }
                let lines: Vec<&str> =
                    self.reports.iter().rev().take(100).rev().map(String::as_str).collect();
                let bytes = lines.concat().into_bytes();
                self.disk.with(|disk| match disk.paths.contains_key(METRICS_PATH) {
                    true => disk.change(METRICS_PATH, Vec::clear),
                    false => disk.create(METRICS_PATH, Vec::new()),
                });
                self.glance(2);
                self.disk.with(|disk| {
                    disk.change(METRICS_PATH, |file| file.extend_from_slice(&bytes[..bytes.len() / 2]));
                });
                self.glance(2);
                self.disk.with(|disk| disk.change(METRICS_PATH, |file| *file = bytes));
            }
            Deed::Look => self.look(),
            Deed::Glance { n } => self.glance(n),
            Deed::Restart => {
                self.take();
                self.store();
                self.resume();
            }
            Deed::Store => {
                self.take();
                self.store();
            }
            Deed::Kill => {
                self.n_kills += 1;
                self.resume();
            }
        }
    }

    fn resume(&mut self) {
        (self.reader, self.feed) = watcher(&self.disk, self.clock, &self.stored);
    }

    fn store(&mut self) {
        let json = |value: serde_json::Result<String>| value.expect("it can be stored");
        let progress = json(serde_json::to_string(&self.reader.tail().progress()));
        self.stored = (progress, json(serde_json::to_string(self.feed.memory())));
    }

    fn look(&mut self) {
        let feed = &mut self.feed;
        self.reader.read_all(&mut |found| feed.handle(found));
        self.take();
    }

    /// Looks until no fault hides anything, and stores the state.
    fn look_well(&mut self) {
        let was_faulty = self.disk.with(|disk| std::mem::replace(&mut disk.is_faulty, false));
        // A hole or a half-seen change is looked at again although neither size nor time tell of it.
        self.disk.with(|disk| {
            disk.now_ns += 1;
            let now_ns = disk.now_ns;
            disk.files.values_mut().for_each(|file| file.modified_ns = now_ns);
        });
        self.look();
        self.look();
        self.store();
        self.disk.with(|disk| {
            disk.is_faulty = was_faulty;
            disk.free_inodes.append(&mut disk.replaced_inodes);
        });
    }

    /// Is told of every path, and does so many things.
    fn glance(&mut self, n: usize) {
        let paths: Vec<String> = self.disk.with(|disk| disk.paths.keys().cloned().collect());
        paths.iter().for_each(|path| self.reader.hint(path));
        for _ in 0..n {
            let feed = &mut self.feed;
            if self.reader.step(&mut |found| feed.handle(found)).is_some() {
                break;
            }
        }
        self.take();
    }

    /// Takes the lines that there are, as a sink does, and reads them as its reader does.
    fn take(&mut self) {
        for item in self.feed.take_items() {
            let mut lines = Vec::new();
            if let Item::Rewind(run, rewound) = &item
                && rewound.leaves_some
            {
                self.n_rewinds_with_values += 1;
                lines = self.again(run, &rewound.tag, rewound.rewind.from, rewound.by);
            }
            lines.insert(0, Feed::line(item));
            for line in lines {
                match line {
                    Line::Point { run, tag, step, value, .. } => {
                        let value = value.as_f64();
                        *self.told.entry(value as u64).or_default() += 1;
                        self.read
                            .entry((run.to_string(), tag.to_string()))
                            .or_default()
                            .insert(step.0, value);
                    }
                    Line::Rewind { run, tag, from_step, .. } => {
                        let points = self.read.entry((run.to_string(), tag.to_string())).or_default();
                        points.retain(|step, _| *step < from_step.0);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The lines of what stands behind a rewind, read again.
    fn again(&mut self, run: &RunName, tag: &Tag, from: Step, but: Option<WriterId>) -> Vec<Line> {
        let was_faulty = self.disk.with(|disk| std::mem::replace(&mut disk.is_faulty, false));
        let standing = self.feed.standing(run, tag, from, but);
        let mut lines = Vec::new();
        for writer in standing.writers() {
            let mut go_over = standing.go_over(writer);
            let Some(mut reading) = self.reader.read_again(writer) else { continue };
            let mut take = |point: Point| {
                let (run, tag) = (run.clone(), tag.clone());
                let item = |attempt| Feed::line(Item::Point { run, tag, point, attempt });
                lines.extend(go_over.next(point.step).map(item));
            };
            while reading.step(&mut self.reader, tag.as_str(), &mut take).unwrap_or(false) {}
        }
        self.disk.with(|disk| disk.is_faulty = was_faulty);
        lines
    }

    /// Everything is written, the file system is well again, and the watcher reads to the end.
    fn finish(&mut self) {
        (0..RUNS.len()).for_each(|run| self.settle(run));
        self.disk.with(|disk| disk.is_faulty = false);
        let feed = &mut self.feed;
        self.reader.read_to_end(&mut |found| feed.handle(found));
        self.take();
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (run, writing) in RUNS.iter().zip(&self.runs) {
            let mut read = self.read.get(&((*run).to_owned(), "m".to_owned())).cloned().unwrap_or_default();
            if self.n_kills > 0 {
                // What was told after the state was stored, and made void while nobody looked, is not taken back: the
                // watcher that goes on does not know that it was told. Its attempt shows it.
                read.retain(|step, v| {
                    writing.standing.contains_key(step) || !self.void.contains(&(*v as u64))
                });
            }
            prop_assert_eq!(&read, &writing.standing, "what stands of run {}", run);
        }
        let told: BTreeSet<u64> = self.told.keys().copied().collect();
        // What a resumed trainer made void before anybody looked need not be told.
        let missing: Vec<u64> =
            self.written.difference(&self.void).filter(|v| !told.contains(v)).copied().collect();
        prop_assert!(missing.is_empty(), "never told: {:?}", missing);
        let made_up: Vec<u64> = told.difference(&self.written).copied().collect();
        prop_assert!(made_up.is_empty(), "told but not written: {:?}", made_up);
        if self.n_kills == 0 && self.n_rewinds_with_values == 0 {
            let twice: Vec<_> = self.told.iter().filter(|(_, n)| **n > 1).collect();
            prop_assert!(twice.is_empty(), "told twice: {:?}", twice);
        }
        prop_assert_eq!(self.feed.memory().n_damages, 0, "nothing was damaged for good");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_arrives_is_what_was_written(
        seed in any::<u64>(),
        steps in proptest::collection::vec(any_step(), 1..60),
    ) {
        let mut simulation = Simulation::new(seed);
        for step in &steps {
            simulation.do_(step);
        }
        simulation.finish();
        simulation.check()?;
    }
}
