//! The series of the runs below one path, read into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Failure;
use super::choice::Choice;
use crate::edge::files::Root;
use crate::edge::{order, read, walk};
use crate::limits::MAX_SESSIONS;
use crate::scalar::Content;
use crate::series::{ByTag, History, Point, Points, WriterId};
use crate::tail::{Found, Ingested, Listed, run_of};
use crate::tfrecord::DamageKind;
use crate::units::{RunName, Step, Tag, WallTime};

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
}

/// What reading gave beside the values.
#[derive(Debug, Default)]
pub struct Faults {
    /// How many stretches of the files gave no event; the end of a file that is still written is none.
    pub n_damages: u64,
    /// What could not be read, in the system's words.
    pub troubles: Vec<String>,
}

impl Faults {
    /// Whether something is missing that may have been there.
    #[must_use]
    pub fn any(&self) -> bool {
        self.n_damages > 0 || !self.troubles.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.n_damages += other.n_damages;
        self.troubles.extend(other.troubles);
    }

    pub(super) fn take(&mut self, found: &Found<'_>) {
        match found {
            Found::Event { ingested: Ingested::Damage(damage), .. } if damage.kind != DamageKind::Torn => {
                self.n_damages += 1;
            }
            Found::Unreadable { path, error } => self.troubles.push(format!("{path}: {error}")),
            Found::Event { .. }
            | Found::File { .. }
            | Found::Hypertune { .. }
            | Found::Rewritten { .. }
            | Found::TooManyFiles { .. } => {}
        }
    }
}

/// The chosen series below one path.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The series by tag and run.
    pub series: BTreeMap<(Tag, RunName), History>,
    /// Tags that hold numbers and were not chosen.
    pub others: BTreeSet<Tag>,
    /// What was wrong.
    pub faults: Faults,
}

/// The chosen points of one file.
#[derive(Debug, Default)]
struct FilePoints {
    run: Option<RunName>,
    writer: Option<WriterId>,
    started: WallTime,
    sessions: Vec<Step>,
    tags: ByTag<Option<TagPoints>>,
    faults: Faults,
}

/// The points of a tag, and before which of them a session began.
#[derive(Debug, Default)]
struct TagPoints {
    points: Points,
    sessions: Vec<(usize, Step)>,
    n_sessions: usize,
}

impl FilePoints {
    fn handle(&mut self, choice: &Choice, found: Found<'_>) {
        self.faults.take(&found);
        match found {
            Found::File { run, .. } => self.run = Some(run.clone()),
            Found::Event { writer, started, ingested, .. } => {
                self.writer = Some(writer);
                self.started = started;
                match ingested {
                    Ingested::Value { step, wall_time, tag, content: Content::Scalar(value), .. } => {
                        self.add(choice, tag, Point { step, wall_time, value });
                    }
                    Ingested::SessionStart(step) if self.sessions.len() < MAX_SESSIONS => {
                        self.sessions.push(step)
                    }
                    Ingested::SessionStart(_)
                    | Ingested::Value { .. }
                    | Ingested::Opened { .. }
                    | Ingested::Graph
                    | Ingested::Damage(_) => {}
                }
            }
            Found::Hypertune { writer, entry } => {
                self.writer = Some(writer);
                let point = Point { step: entry.step, wall_time: entry.wall_time, value: entry.value };
                self.add(choice, &entry.tag, point);
            }
            Found::Unreadable { .. } | Found::Rewritten { .. } | Found::TooManyFiles { .. } => {}
        }
    }

    #[inline]
    fn add(&mut self, choice: &Choice, tag: &str, point: Point) {
        let entry = self.tags.entry(tag, || choice.has_tag(tag).then(TagPoints::default));
        let Some(Some(tag)) = entry else { return };
        if let Some(new) = self.sessions.get(tag.n_sessions..).and_then(<[Step]>::last) {
            tag.sessions.push((tag.points.len(), *new));
            tag.n_sessions = self.sessions.len();
        }
        tag.points.push(point);
    }
}

/// Reads the chosen series of `files`.
pub fn gather(files: &Files, choice: &Choice) -> Gathered {
    let mut gathered = Gathered::default();
    gathered.faults.troubles.clone_from(&files.troubles);
    let handle = |points: &mut FilePoints, found: Found<'_>| points.handle(choice, found);
    read::read_files(&files.root, &files.listed, read::n_threads(), FilePoints::default, handle, |file| {
        let FilePoints { run, writer, started, tags, faults, .. } = file;
        gathered.faults.add(faults);
        let (Some(run), Some(writer)) = (run, writer) else { return };
        for (tag, points) in tags.into_entries() {
            match points {
                Some(TagPoints { points, sessions, .. }) => {
                    let history = gathered.series.entry((tag, run.clone())).or_default();
                    history.offer(writer, started, &sessions, &points);
                }
                None => drop(gathered.others.insert(tag)),
            }
        }
    });
    gathered
}
