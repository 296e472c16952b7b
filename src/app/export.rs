//! `export`: every point of the chosen tags and runs, as a table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;

use tfevents::{Contents, Faults, Keep, LogDir, disk};

use super::choice::Choice;
use super::hparams::{Sessions, TrialParams, related};
use super::inspect::hparams_left_out;
use super::{Failure, open_logs};
use crate::export::{ExportError, Format, HparamColumns, Hparams, Point, PointTable, Shape, WideOrder};
use crate::limits::{MAX_TAGS, MAX_WIDE_TAGS, READ_CHUNK_BYTES};
use crate::scalar::{HPARAMS_TAG, RunHparams};
use crate::series::{self, Attempts, ByTag, FileHistory, Stretches, Writer};
use crate::tail::{Found, Ingested, run_of};
use crate::units::{RunName, Tag};

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
    logs: LogDir,
    request: Request,
    first: FirstLook,
    /// What belongs to each run.
    hparams: BTreeMap<RunName, Hparams>,
}

/// What an export gave.
#[derive(Debug, Default)]
pub struct Exported {
    /// How many points were written.
    pub n_points: u64,
    /// What was wrong with the files.
    pub faults: Faults,
    /// How many series count no steps, where one point a step was asked for: all their points are there.
    pub n_without_steps: u64,
}

/// What must be known before the first row.
#[derive(Debug, Default)]
struct FirstLook {
    /// Tags that were chosen and hold numbers, in the order of their names.
    tags: BTreeSet<Tag>,
    /// Other tags that hold numbers.
    others: BTreeSet<Tag>,
    sessions: Sessions,
    /// Who wrote each file.
    writers: Vec<Option<Author>>,
    /// How many values are under tags beyond those that are told apart.
    n_left_out: u64,
    faults: Faults,
}

/// Who wrote a file.
#[derive(Debug)]
struct Author {
    writer: Writer,
    /// The attempts of its run.
    attempts: Rc<Attempts>,
    /// The tags in which the writer resumed without saying so: how many values follow each other in which attempt.
    resumed: HashMap<Tag, Vec<(usize, u32)>>,
}

/// The first look at one file.
#[derive(Debug, Default)]
struct FileLook {
    origin: FileHistory,
    tags: ByTag<Stretches>,
    hparams: RunHparams,
    faults: Faults,
}

impl FileLook {
    fn handle(&mut self, found: Found<'_>) {
        self.faults.take(&found);
        if let Some((tag, point)) = self.origin.take(&found) {
            if let Some(stretches) = self.tags.entry(tag, Stretches::default) {
                stretches.add(&self.origin.sessions, point.step, point.wall_time, Some(point.value));
            }
        } else if let Found::Event { ingested: Ingested::Value { tag: HPARAMS_TAG, metadata, .. }, .. } =
            found
        {
            self.hparams.add(metadata.hparams().unwrap_or_default());
        }
    }
}

/// Whether a tag has several values.
fn has_curve(tags: &ByTag<Stretches>) -> bool {
    tags.iter().any(|(_, stretches)| stretches.n_values() > 1)
}

impl FirstLook {
    /// Takes the files of one run.
    fn add_run(&mut self, choice: &Choice, run: &RunName, files: Vec<FileLook>) {
        let outlines = files
            .iter()
            .filter_map(|file| Some((file.origin.writer?, &*file.origin.sessions, file.tags.iter())));
        let attempts = Rc::new(Attempts::of_run(outlines));
        for FileLook { origin, tags, hparams, faults } in files {
            self.writers.push(origin.writer.map(|writer| {
                let resumed = tags.iter().filter(|(_, stretches)| stretches.has_restarts());
                let of_values = |(tag, stretches): (&Tag, &Stretches)| {
                    (tag.clone(), attempts.of_values(&writer, stretches).collect())
                };
                Author { writer, attempts: attempts.clone(), resumed: resumed.map(of_values).collect() }
            }));
            self.faults.add(faults);
            self.n_left_out += tags.n_left_out();
            self.sessions.add(run, hparams, has_curve(&tags));
            for (tag, _) in tags.into_entries() {
                let known = if choice.has_tag(tag.as_str()) { &mut self.tags } else { &mut self.others };
                // So many are told apart of one file; beyond that they are only to be named.
                if known.len() < MAX_TAGS {
                    known.insert(tag);
                }
            }
        }
    }
}

impl Source {
    /// Looks at what is at or below `paths`.
    ///
    /// # Errors
    /// One of `paths` is missing or cannot be looked at.
    pub fn open(paths: &[PathBuf], request: Request) -> Result<Self, Failure> {
        let mut logs = open_logs("export", paths)?;
        let mut others = logs.retain_runs(|run| request.choice.has_run(run));
        let mut first = FirstLook::default();
        first.faults.errors.extend(logs.errors().iter().map(ToString::to_string));
        logs.read_runs(FileLook::handle, |run, files| first.add_run(&request.choice, run, files));
        let runs = |logs: &LogDir| -> BTreeSet<RunName> { logs.runs().map(|run| run.name()).collect() };
        let chosen = runs(&logs);
        // Their rows are not wanted, but one of them may have the session of a run that is.
        let unchosen = runs(&others);
        let related = related(&unchosen, &chosen);
        others.retain_runs(|run| related.contains(run));
        others.read_runs(FileLook::handle, |run, files| {
            for FileLook { hparams, tags, .. } in files {
                first.sessions.add(run, hparams, has_curve(&tags));
            }
        });
        let n_tags = first.tags.len();
        // What one file has beyond those that are told apart is among them where all are chosen.
        let has_more = first.n_left_out > 0 && !request.choice.names_tags();
        if request.is_wide && (n_tags > MAX_WIDE_TAGS || has_more) {
            let more = if has_more { "more than " } else { "" };
            return Err(Failure::usage(format!(
                "--wide: {more}{n_tags} tags, want at most {MAX_WIDE_TAGS}: each is a column"
            ))
            .with_hint("choose with --tag, or leave out --wide: then each value is a row"));
        }
        let mut hparams = first.sessions.of_runs(&chosen);
        let mut of_trials = TrialParams::below(logs.root().base());
        for run in chosen {
            of_trials.add_to(&run, hparams.entry(run.clone()).or_default());
        }
        Ok(Self { logs, request, first, hparams })
    }

    /// Whether there is nothing to export.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.tags.is_empty() && self.first.n_left_out == 0
    }

    /// The tags that are exported.
    pub fn tags(&self) -> impl Iterator<Item = &Tag> {
        self.first.tags.iter()
    }

    /// What was wrong with the files at the first look.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.first.faults
    }

    /// The tags that hold numbers and were not chosen.
    pub fn other_tags(&self) -> impl Iterator<Item = &Tag> {
        self.first.others.iter()
    }

    /// Whether no event file was found at all.
    #[must_use]
    pub fn has_no_files(&self) -> bool {
        self.logs.files().is_empty()
    }

    /// Writes the table to `out`.
    ///
    /// # Errors
    /// Those of writing, and of integers that the format has no room for.
    pub fn write<W: Write + Send>(self, out: W) -> Result<(Exported, W), ExportError> {
        let Self { logs, request, first, hparams } = self;
        let columns = HparamColumns::of(hparams.values());
        let tags = first.tags.iter().cloned().collect();
        let order = if request.is_latest { WideOrder::Steps } else { WideOrder::Attempts };
        let shape = if request.is_wide { Shape::Wide { tags, order } } else { Shape::Long };
        let table = PointTable::new(request.format, shape, columns, out)?;
        let mut faults = first.faults;
        let left_out = first.sessions.iter().filter(|(_, hparams)| hparams.n_left_out() > 0);
        faults.errors.extend(left_out.map(|(run, hparams)| hparams_left_out(run.as_str(), hparams)));
        if request.is_wide {
            // They have no column.
            faults.n_left_out = first.n_left_out;
        }
        let exported = Exported { faults, ..Exported::default() };
        let mut writing = Writing { table, hparams: &hparams, exported, failed: Ok(()) };
        if request.is_latest {
            writing.latest(&logs, &request.choice);
        } else {
            writing.all(&logs, &request.choice, &first.writers);
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

impl<W: Write + Send> Writing<'_, W> {
    /// Every point in the order in which it was written, as it is read.
    fn all(&mut self, logs: &LogDir, choice: &Choice, authors: &[Option<Author>]) {
        let mut buffer = vec![0; READ_CHUNK_BYTES];
        let mut run = None;
        for (i, file) in logs.files().iter().enumerate() {
            let of_file = run_of(&file.path);
            if run.as_ref() != Some(&of_file) {
                self.begin_run(&of_file);
                run = Some(of_file);
            }
            let author = authors.get(i).and_then(Option::as_ref);
            let attempt_of = |origin: &FileHistory| {
                author.map_or(1, |a| a.attempts.of_session(&a.writer, origin.sessions.len()))
            };
            let resumed = author.into_iter().flat_map(|author| &author.resumed);
            let mut resumed: HashMap<&str, _> = resumed
                .map(|(tag, of_values)| {
                    let each = of_values.iter().flat_map(|(n, attempt)| std::iter::repeat_n(*attempt, *n));
                    (tag.as_str(), each)
                })
                .collect();
            let mut origin = FileHistory::default();
            let mut attempt = attempt_of(&origin);
            let mut chosen: ByTag<bool> = ByTag::default();
            disk::read_file(logs.root(), file, i, &mut buffer, &mut |found| {
                if let Found::Unreadable { path, error } = &found {
                    self.exported.faults.add_unreadable(path, error);
                }
                let Some((tag, point)) = origin.take(&found) else {
                    attempt = attempt_of(&origin);
                    return;
                };
                let own =
                    if resumed.is_empty() { None } else { resumed.get_mut(tag).and_then(Iterator::next) };
                let attempt = own.unwrap_or(attempt);
                let is_chosen = chosen.entry(tag, || choice.has_tag(tag)).copied();
                if is_chosen.unwrap_or_else(|| choice.has_tag(tag)) {
                    self.point(tag, point, attempt);
                }
            });
            if self.failed.is_err() {
                return;
            }
        }
    }

    /// What the latest attempt leaves standing, by rising step; one run in memory at a time.
    fn latest(&mut self, logs: &LogDir, choice: &Choice) {
        for run in logs.runs() {
            self.begin_run(&run.name());
            let Contents { series, faults, .. } = run.read(|tag| choice.has_tag(tag), Keep::All);
            self.exported.faults.add_new(faults);
            for ((tag, _), series) in series {
                self.exported.n_without_steps += u64::from(series.lacks_steps());
                series.latest().for_each(|(point, attempt)| self.point(tag.as_str(), point, attempt));
            }
            if self.failed.is_err() {
                return;
            }
        }
    }

    fn begin_run(&mut self, run: &RunName) {
        let none = Hparams::new();
        let hparams = self.hparams.get(run).unwrap_or(&none);
        let begun = self.table.begin_run(run, hparams);
        self.keep(begun);
    }

    #[inline]
    fn point(&mut self, tag: &str, point: series::Point, attempt: u32) {
        if self.failed.is_ok() {
            let series::Point { step, wall_time, value } = point;
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
