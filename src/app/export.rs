//! `export`: every point of the chosen tags and runs, as a table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::iter::Zip;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::slice;
use std::sync::Arc;

use tfevents::disk::{self, Assembly, Handle, read_in_pieces};
use tfevents::{Contents, Faults, Keep, LogDir};

use super::hparams::{Sessions, TrialParams, related};
use super::inspect::hparams_left_out;
use super::{Failure, open_logs};
use crate::export::{
    ExportError, Format, HparamColumns, Hparams, LongPoints, Point, PointBatch, PointTable, Shape, WideOrder,
};
use crate::limits::{MAX_TAGS, MAX_WIDE_TAGS};
use crate::objective::SeriesFilter;
use crate::units::{RunName, Tag, WallTime};
use tfevents::scalar::{HPARAMS_TAG, Metadata, RunHparams};
use tfevents::series::{self, Attempts, ByTag, FileHistory, Rise, Stretches, Writer, WriterId};
use tfevents::tail::{Found, Ingested, Listed, Rises};

/// How many parameters are named whose values a trial and its trainer tell otherwise.
const MAX_CONFLICTS_NAMED: usize = 3;

/// What to export.
#[derive(Debug, Clone)]
pub struct Request {
    /// The tags and runs.
    pub filter: SeriesFilter,
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
    attempts: Arc<Attempts>,
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

/// Looks at files.
struct Looking;

impl Handle<FileLook> for Looking {
    const TAKES_RISES: bool = true;

    #[inline]
    fn handle(&self, look: &mut FileLook, found: Found<'_>) {
        look.handle(found);
    }

    fn handle_rises(
        &self,
        look: &mut FileLook,
        writer: WriterId,
        started: WallTime,
        rises: Rises<'_>,
    ) -> bool {
        look.take_rises(writer, started, rises)
    }
}

impl FileLook {
    fn take_rises(&mut self, writer: WriterId, started: WallTime, rises: Rises<'_>) -> bool {
        let n_sessions = self.origin.sessions.len();
        let accepts = |(tag, _, rise): (&str, Metadata<'_>, &Rise)| {
            self.tags.get(tag).is_some_and(|stretches| stretches.accepts(n_sessions, rise))
        };
        if !rises.iter().all(accepts) {
            return false;
        }
        for (tag, _, rise) in rises.iter() {
            self.origin.take_rise(writer, started, rise);
            if let Some(stretches) = self.tags.entry(tag, Stretches::default) {
                stretches.take_rise(rise);
            }
        }
        true
    }

    #[inline]
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
    fn add_run(&mut self, filter: &SeriesFilter, run: &RunName, files: Vec<FileLook>) {
        let outlines = files
            .iter()
            .filter_map(|file| Some((file.origin.writer?, &*file.origin.sessions, file.tags.iter())));
        let attempts = Arc::new(Attempts::of_run(outlines));
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
                let known = if filter.has_tag(tag.as_str()) { &mut self.tags } else { &mut self.others };
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
        let mut others = logs.retain_runs(|run| request.filter.has_run(run));
        let mut first = FirstLook::default();
        first.faults.errors.extend(logs.errors().iter().map(ToString::to_string));
        logs.read_runs(Looking, |run, files| first.add_run(&request.filter, run, files));
        let runs = |logs: &LogDir| -> BTreeSet<RunName> { logs.runs().map(|run| run.name()).collect() };
        let chosen = runs(&logs);
        // Their rows are not wanted, but one of them may have the session of a run that is.
        let unchosen = runs(&others);
        let related = related(&unchosen, &chosen);
        others.retain_runs(|run| related.contains(run));
        others.read_runs(Looking, |run, files| {
            for FileLook { hparams, tags, .. } in files {
                first.sessions.add(run, hparams, has_curve(&tags));
            }
        });
        let n_tags = first.tags.len();
        // What one file has beyond those that are told apart is among them where all are chosen.
        let has_more = first.n_left_out > 0 && !request.filter.names_tags();
        if request.is_wide && (n_tags > MAX_WIDE_TAGS || has_more) {
            let more = if has_more { "more than " } else { "" };
            return Err(Failure::usage(format!(
                "--wide: {more}{n_tags} tags, want at most {MAX_WIDE_TAGS}: each is a column"
            ))
            .with_hint("choose with --tag, or leave out --wide: then each value is a row"));
        }
        let mut hparams = first.sessions.of_runs(&chosen);
        let mut of_trials = TrialParams::below(logs.root().base());
        let mut conflicts = Vec::new();
        for run in chosen {
            conflicts.extend(of_trials.add_to(&run, hparams.entry(run.clone()).or_default()));
        }
        if let Some(n_more) = conflicts.len().checked_sub(1 + MAX_CONFLICTS_NAMED) {
            conflicts.truncate(MAX_CONFLICTS_NAMED);
            conflicts.push(format!("parameters differ so in {} more places", n_more + 1));
        }
        first.faults.notes.extend(conflicts);
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
    /// Errors of writing, and of integers that the format has no room for.
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
        let (filter, authors) = (&request.filter, &*first.writers);
        if request.is_latest {
            let mut writing = Writing::new(table, &hparams, exported);
            writing.latest(&logs, filter);
            writing.failed?;
            return Ok((writing.exported, writing.points.finish()?));
        }
        if request.is_wide {
            // There is a batch only where the first error ends the export.
            let all = AllPoints::new(Writing::new(table, &hparams, exported), filter, &logs, authors);
            let writing = all.read(&logs, |_| (), |()| ControlFlow::Break(()));
            writing.failed?;
            return Ok((writing.exported, writing.points.finish()?));
        }
        let (points, encoder, mut file) = table.into_long()?;
        let all = AllPoints::new(Writing::new(points, &hparams, exported), filter, &logs, authors);
        let encode = |batch: Option<PointBatch>| batch.map(|batch| encoder.encode(batch));
        let mut written = Ok(());
        let mut writing = all.read(&logs, encode, |encoded| {
            written = match encoded {
                Some(encoded) => encoded.and_then(|points| file.write(points)),
                None => return ControlFlow::Break(()),
            };
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        written?;
        writing.failed?;
        file.write(encoder.encode(writing.points.take())?)?;
        Ok((writing.exported, file.finish()?))
    }
}

/// Where points go, in the order in which they were written.
trait PointSink: Send {
    /// Points that are encoded together.
    type Batch: Send;

    fn begin_run(&mut self, run: &RunName, hparams: &Hparams) -> Result<(), ExportError>;

    /// Takes a point. The answer is a batch that is full.
    fn point(&mut self, point: &Point<'_>) -> Result<Option<Self::Batch>, ExportError>;
}

impl<W: Write + Send> PointSink for PointTable<W> {
    type Batch = ();

    fn begin_run(&mut self, run: &RunName, hparams: &Hparams) -> Result<(), ExportError> {
        Self::begin_run(self, run, hparams)
    }

    fn point(&mut self, point: &Point<'_>) -> Result<Option<()>, ExportError> {
        Self::point(self, point).map(|()| None)
    }
}

impl PointSink for LongPoints {
    type Batch = PointBatch;

    fn begin_run(&mut self, run: &RunName, hparams: &Hparams) -> Result<(), ExportError> {
        Self::begin_run(self, run, hparams)
    }

    #[inline]
    fn point(&mut self, point: &Point<'_>) -> Result<Option<PointBatch>, ExportError> {
        Self::point(self, point)
    }
}

struct Writing<'a, P> {
    points: P,
    hparams: &'a BTreeMap<RunName, Hparams>,
    exported: Exported,
    /// The first error ends the export.
    failed: Result<(), ExportError>,
}

impl<'a, P: PointSink> Writing<'a, P> {
    fn new(points: P, hparams: &'a BTreeMap<RunName, Hparams>, exported: Exported) -> Self {
        Self { points, hparams, exported, failed: Ok(()) }
    }

    /// What the latest attempt leaves standing, by rising step; one run in memory at a time.
    fn latest(&mut self, logs: &LogDir, filter: &SeriesFilter) {
        for run in logs.runs() {
            self.begin_run(&run.name());
            let Contents { series, faults, .. } = run.read(|tag| filter.has_tag(tag), Keep::All);
            self.exported.faults.add_new(faults);
            for ((tag, _), series) in series {
                self.exported.n_without_steps += u64::from(series.lacks_steps());
                for (point, attempt) in series.latest() {
                    self.point(tag.as_str(), point, attempt);
                }
            }
            if self.failed.is_err() {
                return;
            }
        }
    }

    fn begin_run(&mut self, run: &RunName) {
        let none = Hparams::new();
        let hparams = self.hparams.get(run).unwrap_or(&none);
        let begun = self.points.begin_run(run, hparams);
        self.keep(begun);
    }

    #[inline]
    fn point(&mut self, tag: &str, point: series::Point, attempt: u32) -> Option<P::Batch> {
        if self.failed.is_err() {
            return None;
        }
        let series::Point { step, wall_time, value } = point;
        self.exported.n_points += 1;
        match self.points.point(&Point { tag, step, wall_time, value, attempt }) {
            Ok(batch) => batch,
            Err(e) => {
                self.keep(Err(e));
                None
            }
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

/// Every point in the order in which it was written, as it is read.
struct AllPoints<'a, P> {
    writing: Writing<'a, P>,
    filter: &'a SeriesFilter,
    /// The files that are still to be read, with their authors.
    files: Zip<slice::Iter<'a, Listed>, slice::Iter<'a, Option<Author>>>,
    run: Option<RunName>,
    file: OpenFile<'a>,
}

/// The file that is read.
#[derive(Default)]
struct OpenFile<'a> {
    author: Option<&'a Author>,
    history: FileHistory,
    /// The attempt of a value under a tag without restarts of its own.
    attempt: u32,
    /// The attempts of the next values under the other tags.
    resumed: HashMap<&'a str, Box<dyn Iterator<Item = u32> + Send + 'a>>,
    chosen: ByTag<bool>,
}

impl<'a> OpenFile<'a> {
    fn new(author: Option<&'a Author>) -> Self {
        let resumed = author.into_iter().flat_map(|author| &author.resumed);
        let attempts = |of_values: &'a Vec<(usize, u32)>| {
            let each = of_values.iter().flat_map(|(n, attempt)| std::iter::repeat_n(*attempt, *n));
            Box::new(each) as Box<dyn Iterator<Item = u32> + Send + 'a>
        };
        let resumed = resumed.map(|(tag, of_values)| (tag.as_str(), attempts(of_values))).collect();
        let mut file = Self { author, resumed, ..Self::default() };
        file.note_sessions();
        file
    }

    /// Takes it that a session may have begun.
    fn note_sessions(&mut self) {
        let n_sessions = self.history.sessions.len();
        self.attempt = self.author.map_or(1, |author| author.attempts.of_session(&author.writer, n_sessions));
    }
}

impl<'a, P: PointSink> AllPoints<'a, P> {
    fn new(
        writing: Writing<'a, P>,
        filter: &'a SeriesFilter,
        logs: &'a LogDir,
        authors: &'a [Option<Author>],
    ) -> Self {
        let files = logs.files().iter().zip(authors);
        Self { writing, filter, files, run: None, file: OpenFile::default() }
    }

    /// Reads all files. What gathers is encoded on several threads.
    fn read<E>(
        self,
        logs: &LogDir,
        encode: impl Fn(Option<P::Batch>) -> E + Sync,
        write: impl FnMut(E) -> ControlFlow<()> + Send,
    ) -> Writing<'a, P> {
        let files = logs.files();
        read_in_pieces(logs.root(), files, 0..files.len(), disk::n_threads(), self, encode, write).writing
    }
}

impl<P: PointSink> Assembly for AllPoints<'_, P> {
    /// Points, or nothing where an error ends the export.
    type Batch = Option<P::Batch>;

    #[inline]
    fn take(&mut self, found: Found<'_>) -> Option<Self::Batch> {
        match &found {
            Found::File { run, path } => {
                let author = self.files.by_ref().find(|(file, _)| file.path == **path);
                self.file = OpenFile::new(author.and_then(|(_, author)| author.as_ref()));
                if self.run.as_ref() != Some(run) {
                    self.writing.begin_run(run);
                    self.run = Some((*run).clone());
                }
            }
            Found::Unreadable { path, error } => self.writing.exported.faults.add_unreadable(path, error),
            _ => {}
        }
        let Some((tag, point)) = self.file.history.take(&found) else {
            self.file.note_sessions();
            return self.writing.failed.is_err().then_some(None);
        };
        let resumed = &mut self.file.resumed;
        let own = if resumed.is_empty() { None } else { resumed.get_mut(tag).and_then(Iterator::next) };
        let attempt = own.unwrap_or(self.file.attempt);
        let is_chosen = self.file.chosen.entry(tag, || self.filter.has_tag(tag)).copied();
        if !is_chosen.unwrap_or_else(|| self.filter.has_tag(tag)) {
            return None;
        }
        let batch = self.writing.point(tag, point, attempt);
        if self.writing.failed.is_err() { Some(None) } else { batch.map(Some) }
    }
}
