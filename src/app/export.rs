//! `export`: every point of the chosen tags and runs, as a table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::Path;

use super::Failure;
use super::choice::Choice;
use super::gathered::{Faults, Files, Gathered, gather};
use crate::edge::read;
use crate::export::{ExportError, Format, HparamColumns, Hparams, Point, PointTable, Shape};
use crate::limits::{MAX_SESSIONS, READ_CHUNK_BYTES};
use crate::scalar::{Content, HPARAMS_TAG};
use crate::series::{Attempts, ByTag, Stretch, WriterId};
use crate::tail::{Found, Ingested, run_of};
use crate::units::{MetricValue, RunName, Step, Tag, WallTime};

/// What to export.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tags and runs.
    pub choice: Choice,
    /// How the table is spelled.
    pub format: Format,
    /// A column a tag.
    pub is_wide: bool,
    /// Only what the latest attempt leaves standing, by rising step.
    pub is_latest: bool,
}

/// What is there to be exported, as a first look found it.
#[derive(Debug)]
pub struct Source {
    files: Files,
    request: Request,
    first: FirstLook,
}

/// What an export gave.
#[derive(Debug, Default)]
pub struct Exported {
    /// How many points were written.
    pub n_points: u64,
    /// What was wrong with the files.
    pub faults: Faults,
}

/// What must be known before the first row.
#[derive(Debug, Default)]
struct FirstLook {
    /// Tags that were chosen and hold numbers, in the order of their names.
    tags: BTreeSet<Tag>,
    /// Other tags that hold numbers.
    others: BTreeSet<Tag>,
    hparams: BTreeMap<RunName, Hparams>,
    faults: Faults,
}

/// The first look at one file.
#[derive(Debug, Default)]
struct FileLook {
    run: Option<RunName>,
    tags: ByTag<()>,
    hparams: Hparams,
    faults: Faults,
}

impl FileLook {
    fn handle(&mut self, found: Found<'_>) {
        self.faults.take(&found);
        match found {
            Found::File { run, .. } => self.run = Some(run.clone()),
            Found::Event { ingested: Ingested::Value { tag, content, metadata, .. }, .. } => {
                if let Content::Scalar(_) = content {
                    self.tags.entry(tag, || ());
                } else if tag == HPARAMS_TAG {
                    self.hparams.extend(metadata.hparams().unwrap_or_default());
                }
            }
            Found::Hypertune { entry, .. } => drop(self.tags.entry(&entry.tag, || ())),
            Found::Event { .. }
            | Found::Unreadable { .. }
            | Found::Rewritten { .. }
            | Found::TooManyFiles { .. } => {}
        }
    }
}

impl Source {
    /// Looks at what is at or below `path`.
    ///
    /// # Errors
    /// `path` is missing or cannot be looked at.
    pub fn open(path: &Path, request: Request) -> Result<Self, Failure> {
        let files = Files::find(path, &request.choice)?;
        let mut first = FirstLook::default();
        first.faults.troubles.clone_from(&files.troubles);
        let n_threads = read::n_threads();
        read::read_files(
            &files.root,
            &files.listed,
            n_threads,
            FileLook::default,
            FileLook::handle,
            |look| {
                let FileLook { run, tags, hparams, faults } = look;
                first.faults.add(faults);
                for (tag, ()) in tags.into_entries() {
                    let known = if request.choice.has_tag(tag.as_str()) {
                        &mut first.tags
                    } else {
                        &mut first.others
                    };
                    known.insert(tag);
                }
                if let Some(run) = run.filter(|_| !hparams.is_empty()) {
                    first.hparams.entry(run).or_default().extend(hparams);
                }
            },
        );
        Ok(Self { files, request, first })
    }

    /// Whether there is nothing to export.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.tags.is_empty()
    }

    /// The tags that hold numbers and were not chosen.
    pub fn other_tags(&self) -> impl Iterator<Item = &Tag> {
        self.first.others.iter()
    }

    /// Whether no event file was found at all.
    #[must_use]
    pub fn has_no_files(&self) -> bool {
        self.files.listed.is_empty()
    }

    /// Writes the table to `out`.
    ///
    /// # Errors
    /// Those of writing, and of integers that the format has no room for.
    pub fn write<W: Write + Send>(self, out: W) -> Result<(Exported, W), ExportError> {
        let Self { files, request, first } = self;
        let columns = HparamColumns::of(first.hparams.values());
        let tags = first.tags.iter().cloned().collect();
        let shape = if request.is_wide { Shape::Wide { tags } } else { Shape::Long };
        let table = PointTable::new(request.format, shape, columns, out)?;
        let exported = Exported { n_points: 0, faults: first.faults };
        let mut writing = Writing { table, hparams: &first.hparams, exported, failed: Ok(()) };
        if request.is_latest {
            writing.latest(&files, &request.choice);
        } else {
            writing.all(&files, &request.choice);
        }
        writing.failed?;
        Ok((writing.exported, writing.table.finish()?))
    }
}

struct Writing<'a, W: Write + Send> {
    table: PointTable<W>,
    hparams: &'a BTreeMap<RunName, Hparams>,
    exported: Exported,
    /// The first error ends the export.
    failed: Result<(), ExportError>,
}

/// A tag in the file that is read.
struct TagInFile {
    stretch: Option<Stretch>,
    n_sessions: usize,
    attempt: u32,
}

impl<W: Write + Send> Writing<'_, W> {
    /// Every point in the order in which it was written, as it is read.
    fn all(&mut self, files: &Files, choice: &Choice) {
        let mut buffer = vec![0; READ_CHUNK_BYTES];
        let mut run = None;
        let mut attempts: HashMap<Tag, Attempts> = HashMap::new();
        for (i, file) in files.listed.iter().enumerate() {
            let of_file = run_of(&file.path);
            if run.as_ref() != Some(&of_file) {
                attempts.clear();
                self.begin_run(&of_file);
                run = Some(of_file);
            }
            let mut tags: ByTag<Option<TagInFile>> = ByTag::default();
            let mut sessions = Vec::new();
            let mut origin = (WriterId(0), WallTime::default());
            read::read_file(&files.root, file, i, &mut buffer, &mut |found| match found {
                Found::Event { writer, started, ingested, .. } => match ingested {
                    Ingested::SessionStart(step) if sessions.len() < MAX_SESSIONS => sessions.push(step),
                    Ingested::Value { step, wall_time, tag, content: Content::Scalar(value), .. } => {
                        origin = (writer, started);
                        let make = || {
                            let state = TagInFile { stretch: None, n_sessions: 0, attempt: 1 };
                            choice.has_tag(tag).then_some(state)
                        };
                        if let Some(Some(state)) = tags.entry(tag, make) {
                            state.take(&mut attempts, tag, origin, &sessions, step, wall_time);
                            self.point(tag, step, wall_time, value, state.attempt);
                        }
                    }
                    Ingested::SessionStart(_)
                    | Ingested::Value { .. }
                    | Ingested::Opened { .. }
                    | Ingested::Graph
                    | Ingested::Damage(_) => {}
                },
                Found::Hypertune { entry, .. } => {
                    if choice.has_tag(&entry.tag) {
                        self.point(&entry.tag, entry.step, entry.wall_time, entry.value, 1);
                    }
                }
                Found::File { .. }
                | Found::Unreadable { .. }
                | Found::Rewritten { .. }
                | Found::TooManyFiles { .. } => {}
            });
            for (tag, state) in tags.into_entries() {
                if let (Some(TagInFile { stretch: Some(stretch), .. }), Some(known)) =
                    (state, attempts.get_mut(&tag))
                {
                    known.extend(origin.0, &stretch);
                }
            }
            if self.failed.is_err() {
                return;
            }
        }
    }

    /// What the latest attempt leaves standing, by rising step; one run in memory at a time.
    fn latest(&mut self, files: &Files, choice: &Choice) {
        for of_run in files.listed.chunk_by(|a, b| run_of(&a.path) == run_of(&b.path)) {
            let Some(first) = of_run.first() else { continue };
            self.begin_run(&run_of(&first.path));
            let files = Files { root: files.root.clone(), listed: of_run.to_vec(), troubles: Vec::new() };
            let Gathered { series, .. } = gather(&files, choice);
            for ((tag, _), history) in series {
                for (point, attempt) in history.latest() {
                    self.point(tag.as_str(), point.step, point.wall_time, point.value, attempt);
                }
            }
            if self.failed.is_err() {
                return;
            }
        }
    }

    fn begin_run(&mut self, run: &RunName) {
        let none = Hparams::new();
        let begun = self.table.begin_run(run, self.hparams.get(run).unwrap_or(&none));
        self.keep(begun);
    }

    #[inline]
    fn point(&mut self, tag: &str, step: Step, wall_time: WallTime, value: MetricValue, attempt: u32) {
        if self.failed.is_ok() {
            let written = self.table.point(&Point { tag, step, wall_time, value, attempt });
            self.exported.n_points += 1;
            self.keep(written);
        }
    }

    /// Keeps the first error.
    fn keep(&mut self, result: Result<(), ExportError>) {
        match result {
            Ok(()) => {}
            // It came after the first look, in a file that is still written: like every later point it is
            // for the next export.
            Err(ExportError::UnknownTag { .. }) => {
                self.exported.n_points = self.exported.n_points.saturating_sub(1)
            }
            Err(e) if self.failed.is_ok() => self.failed = Err(e),
            Err(_) => {}
        }
    }
}

impl TagInFile {
    /// Takes a point: sets the attempt that it belongs to.
    #[inline]
    fn take(
        &mut self,
        attempts: &mut HashMap<Tag, Attempts>,
        tag: &str,
        (writer, started): (WriterId, WallTime),
        sessions: &[Step],
        step: Step,
        wall_time: WallTime,
    ) {
        if let Some(stretch) = &mut self.stretch
            && sessions.len() == self.n_sessions
        {
            return stretch.add(step, wall_time);
        }
        let known = attempts.entry(Tag::from(tag)).or_default();
        if let Some(ended) = &self.stretch {
            known.extend(writer, ended);
        }
        let session = sessions.get(self.n_sessions..).and_then(<[Step]>::last).copied();
        self.n_sessions = sessions.len();
        let stretch = self.stretch.insert(Stretch::new(session, step, wall_time));
        known.begin(writer, started, stretch);
        self.attempt = known.of(writer);
    }
}
