//! The series of the runs below one path, read into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use super::Failure;
use super::choice::Choice;
use super::origin::Origin;
use crate::edge::files::Root;
use crate::edge::{order, read, walk};
use crate::series::{Attempts, ByTag, History, Point, Stretches, Written};
use crate::tail::{Found, Ingested, Listed, run_of};
use crate::tfrecord::DamageKind;
use crate::units::{RunName, Tag};

/// The files of a root that hold chosen runs, in the order in which they are to be read.
#[derive(Debug)]
pub struct Files {
    /// Where they lie.
    pub root: Root,
    /// Each run's files stand together, those begun earlier first.
    pub listed: Vec<Listed>,
    /// What could not be looked at.
    pub troubles: Vec<String>,
}

impl Files {
    /// The files at or below `path`.
    ///
    /// # Errors
    /// `path` is missing or cannot be looked at.
    pub fn find(path: &Path, choice: &Choice) -> Result<Self, Failure> {
        let root = Root::open(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        let (mut listed, errors) = walk::list(&root, read::n_threads());
        listed.retain(|file| choice.has_run(&run_of(&file.path)));
        order::sort(&root, &mut listed);
        let troubles = errors.into_iter().map(|e| format!("{}: {}", e.path, e.error)).collect();
        Ok(Self { root, listed, troubles })
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
        read::read_files(&self.root, &self.listed, read::n_threads(), T::default, handle, |gathered| {
            of_run.push(gathered);
            let Some(run) = runs.next() else { return };
            if runs.peek() != Some(&run) {
                done(&run, std::mem::take(&mut of_run));
            }
        });
    }
}

/// What reading gave beside the values.
#[derive(Debug, Default)]
pub struct Faults {
    /// How many stretches of the files gave no event; the end of a file that is still written is none.
    pub n_damages: u64,
    /// What could not be read, in the system's words.
    pub troubles: Vec<String>,
    /// How many values were left out because they are under tags beyond those that are told apart.
    pub n_left_out: u64,
}

impl Faults {
    /// Whether something is missing that may have been there.
    #[must_use]
    pub fn any(&self) -> bool {
        self.n_damages > 0 || !self.troubles.is_empty() || self.n_left_out > 0
    }

    pub(super) fn add(&mut self, other: Self) {
        self.n_damages += other.n_damages;
        self.n_left_out += other.n_left_out;
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
            Found::Unreadable { path, error } => self.tell_trouble(path, error),
            Found::Event { .. }
            | Found::File { .. }
            | Found::Hypertune { .. }
            | Found::Rewritten { .. }
            | Found::MissedReports { .. }
            | Found::TooManyFiles { .. } => {}
        }
    }
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
    attempts: Rc<Attempts>,
}

impl GatheredSeries {
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
    Other(Stretches),
}

impl TagPoints {
    fn stretches(&self) -> &Stretches {
        match self {
            Self::Chosen(written) => written.stretches(),
            Self::Other(stretches) => stretches,
        }
    }
}

impl FilePoints {
    fn handle(&mut self, choice: &Choice, found: &Found<'_>) {
        self.faults.take(found);
        let Some((tag, point)) = self.origin.take(found) else { return };
        let make = || match choice.has_tag(tag) {
            true => TagPoints::Chosen(Written::default()),
            false => TagPoints::Other(Stretches::default()),
        };
        match self.tags.entry(tag, make) {
            Some(TagPoints::Chosen(written)) => written.add(&self.origin.sessions, point),
            Some(TagPoints::Other(stretches)) => {
                stretches.add(&self.origin.sessions, point.step, point.wall_time, Some(point.value));
            }
            None => self.faults.n_left_out += u64::from(choice.has_tag(tag)),
        }
    }
}

/// Reads the chosen series of `files`.
pub fn gather(files: &Files, choice: &Choice) -> Gathered {
    let mut gathered = Gathered::default();
    gathered.faults.troubles.clone_from(&files.troubles);
    let handle = |points: &mut FilePoints, found: &Found<'_>| points.handle(choice, found);
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
            for (tag, points) in tags.into_entries() {
                match points {
                    TagPoints::Chosen(written) => {
                        let new =
                            || GatheredSeries { history: History::default(), attempts: attempts.clone() };
                        let series = self.series.entry((tag, run.clone())).or_insert_with(new);
                        series.history.offer(writer, written);
                    }
                    TagPoints::Other(_) => drop(self.others.insert(tag)),
                }
            }
        }
    }
}
