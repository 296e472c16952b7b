//! The series of the runs below one path, read into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use tfevents::disk;
use tfevents::disk::Root;

use super::choice::Choice;
use super::origin::Origin;
use super::{Failure, open_root};
use crate::scalar::{Content, Kind};
use crate::series::{Attempts, ByTag, Course, Dropped, History, Outline, Point, Stretches, Writer, Written};
use crate::tail::{Found, Ingested, Listed, Unreadable, packed_in_words, run_of};
use crate::tfrecord::DamageKind;
use crate::units::{RunName, Tag};

/// The files of a root that hold chosen runs, in the order in which they are to be read.
#[derive(Debug)]
pub struct Files {
    /// Where they lie.
    pub root: Root,
    /// Each run's files stand together, those begun earlier first.
    pub listed: Vec<Listed>,
    /// Those of runs that are not chosen.
    pub others: Vec<Listed>,
    /// What could not be looked at.
    pub troubles: Vec<String>,
}

impl Files {
    /// The files at or below `paths`, for a verb.
    ///
    /// # Errors
    /// One of `paths` is missing or cannot be looked at.
    pub fn find(verb: &str, paths: &[PathBuf], choice: &Choice) -> Result<Self, Failure> {
        let root = open_root(verb, paths)?;
        let (listed, errors) = root.list_with(disk::n_threads());
        let (mut listed, others) = listed.into_iter().partition(|file| choice.has_run(&run_of(&file.path)));
        disk::sort(&root, &mut listed);
        let troubles = errors.into_iter().map(|e| format!("{}: {}", e.path, e.error)).collect();
        Ok(Self { root, listed, others, troubles })
    }

    /// Reads them all, each into a `T` that `handle` fills; `done` gets those of one run together, in the
    /// order of the files.
    pub(super) fn read_runs<T: Default + Send>(
        &self,
        handle: impl Fn(&mut T, &Found<'_>) + Sync,
        mut done: impl FnMut(&RunName, Vec<T>),
    ) {
        let mut runs = self.listed.iter().map(|file| run_of(&file.path)).peekable();
        let mut of_run = Vec::new();
        let handle = |gathered: &mut T, found: Found<'_>| handle(gathered, &found);
        disk::read_files(&self.root, &self.listed, disk::n_threads(), T::default, handle, |gathered| {
            of_run.push(gathered);
            let Some(run) = runs.next() else { return };
            if runs.peek() != Some(&run) {
                done(&run, std::mem::take(&mut of_run));
            }
        });
    }
}

/// What of the cloudml-hypertune package's files cannot be read.
#[derive(Debug, Default, Clone)]
pub struct UnreadableReports {
    /// The path of the first file, what it has, and how many more there are elsewhere.
    first: Option<(String, Unreadable, u64)>,
}

impl UnreadableReports {
    /// How many there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.first.as_ref().map_or(0, |(_, unreadable, n_more)| unreadable.n + n_more)
    }

    /// Takes those of a file.
    pub(super) fn add(&mut self, path: &str, unreadable: &Unreadable) {
        match &mut self.first {
            Some((_, _, n_more)) => *n_more += unreadable.n,
            none => *none = Some((path.to_owned(), unreadable.clone(), 0)),
        }
    }

    /// Takes those of further files.
    pub(super) fn join(&mut self, other: Self) {
        match (&mut self.first, other.first) {
            (Some((_, _, n_more)), Some((_, unreadable, n_others))) => *n_more += unreadable.n + n_others,
            (known @ None, other) => *known = other,
            (Some(_), None) => {}
        }
    }

    /// That there are some, in words; `None` where there is none.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let (path, unreadable, n_more) = self.first.as_ref()?;
        Some(format!("{path}: {}", Unreadable::in_words(unreadable.n + n_more, &unreadable.example)))
    }
}

/// What reading gave beside the values.
#[derive(Debug, Default)]
pub struct Faults {
    /// How many stretches of the files gave no event; the end of a file that is still written is none.
    pub n_damages: u64,
    /// What could not be read, in the system's words.
    pub troubles: Vec<String>,
    /// What of metrics files cannot be read.
    pub unreadable: UnreadableReports,
    /// What else there is to say: that files are packed.
    pub notes: Vec<String>,
    /// How many values were left out because they are under tags beyond those that are told apart.
    pub n_left_out: u64,
    /// How many tensors of one element cannot be read ([`Kind::Unread`]).
    pub n_unread: u64,
}

impl Faults {
    /// Whether something is missing that may have been there.
    #[must_use]
    pub fn any(&self) -> bool {
        self.n_damages > 0
            || self.unreadable.n() + self.n_unread + self.n_left_out > 0
            || !self.troubles.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.n_damages += other.n_damages;
        self.n_left_out += other.n_left_out;
        self.n_unread += other.n_unread;
        self.unreadable.join(other.unreadable);
        self.notes.extend(other.notes);
        self.troubles.extend(other.troubles);
    }

    /// Adds those of a second reading that the first did not meet: damage it counted.
    pub(super) fn add_new(&mut self, second: Self) {
        self.n_left_out += second.n_left_out;
        self.troubles.extend(second.troubles);
        self.troubles.sort();
        self.troubles.dedup();
    }

    /// Adds that a file could not be read, once.
    pub(super) fn tell_trouble(&mut self, path: &str, error: &str) {
        self.add_new(Self { troubles: vec![format!("{path}: {error}")], ..Self::default() });
    }

    pub(super) fn take(&mut self, found: &Found<'_>) {
        match found {
            Found::Event { ingested: Ingested::Damage(damage), .. } if damage.kind != DamageKind::Torn => {
                self.n_damages += 1;
            }
            Found::Event {
                ingested: Ingested::Value { content: Content::Other(Kind::Unread), .. }, ..
            } => self.n_unread += 1,
            Found::Unreadable { path, error } => self.tell_trouble(path, error),
            Found::Packed { path, with } => self.notes.push(packed_in_words(path, with)),
            Found::UnreadableReports { path, unreadable, .. } => self.unreadable.add(path, unreadable),
            Found::Event { .. }
            | Found::File { .. }
            | Found::Hypertune { .. }
            | Found::Rewritten { .. }
            | Found::MissedReports { .. }
            | Found::TooManyFiles { .. } => {}
        }
    }
}

/// That so many tensors of one element cannot be read.
#[must_use]
pub fn unread_in_words(n: u64) -> String {
    let cannot = if n == 1 { "tensor of one element cannot" } else { "tensors of one element cannot" };
    format!("{n} {cannot} be read: of a type that is not known here, or without a value of its type")
}

/// The chosen series below one path.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The series by tag and run.
    pub series: BTreeMap<(Tag, RunName), GatheredSeries>,
    /// Tags that hold numbers and were not chosen.
    pub others: BTreeSet<Tag>,
    /// What was wrong.
    pub faults: Faults,
}

/// One series, and the attempts of its run.
#[derive(Debug)]
pub struct GatheredSeries {
    history: History,
    /// The same points with their values smoothed, where that was asked for.
    smoothed: History,
    dropped: Dropped,
    attempts: Rc<Attempts>,
}

impl GatheredSeries {
    fn offer(&mut self, writer: Writer, Outline { written, smoothed, dropped }: Outline) {
        self.history.offer(writer, written);
        if let Some(smoothed) = smoothed {
            self.smoothed.offer(writer, smoothed);
        }
        self.dropped.n += dropped.n;
        self.dropped.n_not_finite += dropped.n_not_finite;
        self.dropped.n_not_positive += dropped.n_not_positive;
    }

    /// What was not kept of its points.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// The series of the same points with their values smoothed as all that were read give it; empty where that was not
    /// asked for.
    #[must_use]
    pub fn smoothed(&self) -> Self {
        Self {
            history: self.smoothed.clone(),
            smoothed: History::default(),
            dropped: self.dropped,
            attempts: self.attempts.clone(),
        }
    }

    /// Every point with its attempt; see [`History::all`].
    pub fn all(&self) -> impl Iterator<Item = (Point, u32)> {
        self.history.all(&self.attempts)
    }

    /// The points that stand, with their attempts; see [`History::latest`].
    pub fn latest(&self) -> impl Iterator<Item = (Point, u32)> {
        self.history.latest(&self.attempts)
    }

    /// Whether all of several points are at step 0; see [`History::lacks_steps`].
    #[must_use]
    pub fn lacks_steps(&self) -> bool {
        self.history.lacks_steps()
    }
}

/// How much of a series is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep {
    /// Every point.
    All,
    /// What a picture needs, and the smoothed curve where the weight is above 0.
    Course(f64),
}

/// What one file holds.
#[derive(Debug, Default)]
struct FilePoints {
    origin: Origin,
    tags: ByTag<TagPoints>,
    faults: Faults,
}

/// What one file holds of a tag. One that is not chosen tells of attempts all the same.
#[derive(Debug)]
enum TagPoints {
    Chosen(Written),
    Drawn(Box<Course>, Stretches),
    Other(Stretches),
}

impl TagPoints {
    fn stretches(&self) -> &Stretches {
        match self {
            Self::Chosen(written) => written.stretches(),
            Self::Drawn(_, stretches) | Self::Other(stretches) => stretches,
        }
    }
}

impl FilePoints {
    fn handle(&mut self, choice: &Choice, keep: Keep, found: &Found<'_>) {
        self.faults.take(found);
        let Some((tag, point)) = self.origin.take(found) else { return };
        let make = || match (choice.has_tag(tag), keep) {
            (true, Keep::All) => TagPoints::Chosen(Written::default()),
            (true, Keep::Course(weight)) => {
                TagPoints::Drawn(Box::new(Course::new(weight)), Stretches::default())
            }
            (false, _) => TagPoints::Other(Stretches::default()),
        };
        match self.tags.entry(tag, make) {
            Some(TagPoints::Chosen(written)) => written.add(&self.origin.sessions, point),
            Some(TagPoints::Drawn(course, stretches)) => {
                stretches.add(&self.origin.sessions, point.step, point.wall_time, Some(point.value));
                course.add(self.origin.sessions.len(), point);
            }
            Some(TagPoints::Other(stretches)) => {
                stretches.add(&self.origin.sessions, point.step, point.wall_time, Some(point.value));
            }
            None => self.faults.n_left_out += u64::from(choice.has_tag(tag)),
        }
    }
}

/// Reads the chosen series of `files`.
pub(super) fn gather(files: &Files, choice: &Choice, keep: Keep) -> Gathered {
    let mut gathered = Gathered::default();
    gathered.faults.troubles.clone_from(&files.troubles);
    let handle = |points: &mut FilePoints, found: &Found<'_>| points.handle(choice, keep, found);
    files.read_runs(handle, |run, files| gathered.add_run(run, files));
    gathered
}

impl Gathered {
    fn add_run(&mut self, run: &RunName, files: Vec<FilePoints>) {
        let outlines = files.iter().filter_map(|file| {
            let tags = file.tags.iter().map(|(tag, points)| (tag, points.stretches()));
            Some((file.origin.writer?, &*file.origin.sessions, tags))
        });
        let attempts = Rc::new(Attempts::of_run(outlines));
        for FilePoints { origin, tags, faults } in files {
            self.faults.add(faults);
            let Some(writer) = origin.writer else { continue };
            let counts_steps = tags.iter().any(|(_, points)| points.stretches().is_beyond_step_0());
            for (tag, points) in tags.into_entries() {
                let mut outline = match points {
                    TagPoints::Chosen(written) => Outline { written, ..Outline::default() },
                    TagPoints::Drawn(course, _) => course.finish(&origin.sessions),
                    TagPoints::Other(_) => {
                        self.others.insert(tag);
                        continue;
                    }
                };
                if counts_steps {
                    outline.set_counts_steps();
                }
                let series = self.series.entry((tag, run.clone())).or_insert_with(|| GatheredSeries {
                    history: History::default(),
                    smoothed: History::default(),
                    dropped: Dropped::default(),
                    attempts: attempts.clone(),
                });
                series.offer(writer, outline);
            }
        }
    }
}
