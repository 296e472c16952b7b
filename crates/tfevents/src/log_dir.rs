//! A directory of event files: its runs, and what they hold of a tag.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Handle, Root};
use crate::error::{Error, ErrorKind};
use crate::faults::Faults;
use crate::limits::READ_CHUNK_BYTES;
use crate::series::{
    Attempts, ByTag, Course, Dropped, FileHistory, History, Outline, Point, Stretches, Writer, Written,
};
use crate::tail::{Found, Ingested, Listed};
use crate::units::{RunName, Tag};

/// Event files below a directory, as they were when it was opened.
#[derive(Debug)]
pub struct LogDir {
    root: Root,
    /// The files of a run stand together, those begun earlier first.
    files: Vec<Listed>,
    errors: Vec<Error>,
}

/// A run: a directory that holds event files.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    root: &'a Root,
    files: &'a [Listed],
}

impl Run<'_> {
    /// Its name: where it lies below the directory that was opened, `.` for that itself.
    #[must_use]
    pub fn name(&self) -> RunName {
        self.files.first().map_or_else(RunName::root, |file| self.root.naming().run_of(&file.path))
    }

    /// Its event files, those begun earlier first; for [`crate::EventFile::open`].
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.files.iter().map(|file| self.root.real_path(&file.path))
    }

    /// Reads the series of the tags that `has_tag` takes, on all cores.
    #[must_use]
    pub fn read(&self, has_tag: impl Fn(&str) -> bool + Sync, keep: Keep) -> Contents {
        let (mut contents, mut of_run) = (Contents::default(), Vec::new());
        let handle = |points: &mut FilePoints, found: Found<'_>| points.handle(&has_tag, keep, &found);
        read_files(self.root, self.files, handle, |points| of_run.push(points));
        contents.add_run(&self.name(), of_run);
        contents
    }
}

/// Reads files on all cores, each into a `T` that `handle` fills; `done` gets them in the order of the files.
fn read_files<T: Default + Send>(root: &Root, files: &[Listed], handle: impl Handle<T>, done: impl FnMut(T)) {
    disk::read_files(root, files, disk::n_threads(), T::default, handle, done);
}

impl LogDir {
    /// Finds the event files at or below a path, which is a directory or one file. Links are followed; a file with several
    /// paths counts once.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the path is missing or may not be looked at. What cannot be looked at below it is in
    /// [`Self::errors`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let root = Root::open(&[path.as_ref().to_owned()]);
        root.map(Self::of).map_err(|(path, error)| Error::new(path, ErrorKind::Io(error)))
    }

    /// The event files of a root.
    #[must_use]
    pub fn of(root: Root) -> Self {
        let (mut files, failed) = root.list_with(disk::n_threads());
        disk::sort(&root, &mut files);
        let errors = failed.into_iter().map(|failed| Error::new(failed.path, ErrorKind::Io(failed.error)));
        Self { errors: errors.collect(), files, root }
    }

    /// Keeps the runs that `is_wanted` takes. The answer holds the others.
    pub fn retain_runs(&mut self, is_wanted: impl Fn(&RunName) -> bool) -> Self {
        let naming = self.root.naming();
        let files = std::mem::take(&mut self.files);
        let (wanted, others) = files.into_iter().partition(|file| is_wanted(&naming.run_of(&file.path)));
        self.files = wanted;
        Self { root: self.root.clone(), files: others, errors: Vec::new() }
    }

    /// Where the files are.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The event files, in the order in which they are read: those of a run together, those begun earlier first.
    #[must_use]
    pub fn files(&self) -> &[Listed] {
        &self.files
    }

    /// What could not be looked at.
    #[must_use]
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// The runs, by name.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let naming = self.root.naming();
        let of_run = move |a: &Listed, b: &Listed| naming.run_of(&a.path) == naming.run_of(&b.path);
        self.files.chunk_by(of_run).map(|files| Run { root: &self.root, files })
    }

    /// What the runs hold of a tag: of each run that has it one series, in the order of [`Self::runs`]. One run at a time is
    /// in memory. What is wrong with the files of a run comes before its series.
    pub fn scalars<'a>(&'a self, tag: &str) -> RunScalars<'a> {
        let runs: Vec<Run<'a>> = self.runs().collect();
        RunScalars { tag: Tag::from(tag), runs: runs.into_iter(), pending: VecDeque::new() }
    }

    /// Reads all files on all cores, each into a `T` that `handle` fills; `done` gets those of one run together, in the
    /// order of the files.
    pub fn read_runs<T: Default + Send>(
        &self,
        handle: impl Handle<T>,
        mut done: impl FnMut(&RunName, Vec<T>),
    ) {
        let mut runs = self.files.iter().map(|file| self.root.naming().run_of(&file.path)).peekable();
        let mut of_run = Vec::new();
        read_files(&self.root, &self.files, handle, |file| {
            of_run.push(file);
            let Some(run) = runs.next() else { return };
            if runs.peek() != Some(&run) {
                done(&run, std::mem::take(&mut of_run));
            }
        });
    }

    /// Reads the series of the tags that `has_tag` takes, on all cores.
    pub fn read(&self, has_tag: impl Fn(&str) -> bool + Sync, keep: Keep) -> Contents {
        let mut contents = Contents::default();
        contents.faults.errors.extend(self.errors.iter().map(Error::to_string));
        let handle = |points: &mut FilePoints, found: Found<'_>| points.handle(&has_tag, keep, &found);
        self.read_runs(handle, |run, files| contents.add_run(run, files));
        contents
    }
}

/// The series of a tag, run by run; see [`LogDir::scalars`].
#[derive(Debug)]
pub struct RunScalars<'a> {
    tag: Tag,
    runs: std::vec::IntoIter<Run<'a>>,
    pending: VecDeque<Result<ScalarSeries, Error>>,
}

impl Iterator for RunScalars<'_> {
    type Item = Result<ScalarSeries, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pending) = self.pending.pop_front() {
                return Some(pending);
            }
            let Run { root, files } = self.runs.next()?;
            let (mut of_run, run) = (Vec::new(), Run { root, files }.name());
            let mut buffer = vec![0; READ_CHUNK_BYTES];
            for (i, file) in files.iter().enumerate() {
                let mut points = FilePoints::default();
                disk::read_file(root, file, i, &mut buffer, &mut |found| {
                    self.pending.extend(error_of(&found).map(Err));
                    points.handle(&|tag| self.tag.is(tag), Keep::All, &found);
                });
                if points.faults.n_left_out > 0 {
                    let kind = ErrorKind::TooManyTags(points.faults.n_left_out);
                    self.pending.push_back(Err(Error::new(&*file.path, kind)));
                }
                of_run.push(points);
            }
            let mut contents = Contents::default();
            contents.add_run(&run, of_run);
            self.pending.extend(contents.series.into_values().map(Ok));
        }
    }
}

/// What is wrong, where something is; a file that ends within a record may still be written.
fn error_of(found: &Found<'_>) -> Option<Error> {
    match found {
        Found::Event { path, ingested: Ingested::Damage(damage), .. } if !damage.kind.may_be_unfinished() => {
            Some(Error::new(*path, ErrorKind::Damage(*damage)))
        }
        Found::Foreign { path, what } => Some(Error::new(*path, ErrorKind::Foreign(*what))),
        Found::Unreadable { path, error } => {
            Some(Error::new(*path, ErrorKind::Io(std::io::Error::other(error.clone()))))
        }
        Found::Event { .. }
        | Found::File { .. }
        | Found::Hypertune { .. }
        | Found::Rewritten { .. }
        | Found::MissedReports { .. }
        | Found::UnreadableReports { .. }
        | Found::TooManyFiles { .. } => None,
    }
}

/// The series that were read.
#[derive(Debug, Default)]
pub struct Contents {
    /// The series by tag and run.
    pub series: BTreeMap<(Tag, RunName), ScalarSeries>,
    /// Tags that hold numbers and were not chosen.
    pub others: BTreeSet<Tag>,
    /// What was wrong.
    pub faults: Faults,
}

/// The points of one tag of one run, with the attempts of a trainer that was restarted told apart.
#[derive(Debug)]
pub struct ScalarSeries {
    run: RunName,
    tag: Tag,
    history: History,
    /// The same points with their values smoothed, where that was asked for.
    smoothed: History,
    dropped: Dropped,
    attempts: Arc<Attempts>,
}

impl ScalarSeries {
    fn offer(&mut self, writer: Writer, Outline { written, smoothed, dropped }: Outline) {
        self.history.offer(writer, written);
        if let Some(smoothed) = smoothed {
            self.smoothed.offer(writer, smoothed);
        }
        self.dropped.n += dropped.n;
        self.dropped.n_not_finite += dropped.n_not_finite;
        self.dropped.n_not_positive += dropped.n_not_positive;
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunName {
        &self.run
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> &Tag {
        &self.tag
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
            run: self.run.clone(),
            tag: self.tag.clone(),
            history: self.smoothed.clone(),
            smoothed: History::default(),
            dropped: self.dropped,
            attempts: self.attempts.clone(),
        }
    }

    /// Every point in the order in which it was written, with its attempt, counted from 1; see [`History::all`].
    pub fn all(&self) -> impl Iterator<Item = (Point, u32)> {
        self.history.all(&self.attempts)
    }

    /// The points that stand, by rising step, with their attempts; see [`History::latest`].
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
pub enum Keep {
    /// Every point.
    All,
    /// What a picture needs, and the smoothed curve where the weight is above 0.
    Course(f64),
}

/// What one file holds.
#[derive(Debug, Default)]
struct FilePoints {
    file: FileHistory,
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
    fn handle(&mut self, has_tag: &impl Fn(&str) -> bool, keep: Keep, found: &Found<'_>) {
        self.faults.take(found);
        let Some((tag, point)) = self.file.take(found) else { return };
        let make = || match (has_tag(tag), keep) {
            (true, Keep::All) => TagPoints::Chosen(Written::default()),
            (true, Keep::Course(weight)) => {
                TagPoints::Drawn(Box::new(Course::new(weight)), Stretches::default())
            }
            (false, _) => TagPoints::Other(Stretches::default()),
        };
        match self.tags.entry(tag, make) {
            Some(TagPoints::Chosen(written)) => written.add(&self.file.sessions, point),
            Some(TagPoints::Drawn(course, stretches)) => {
                stretches.add(&self.file.sessions, point.step, point.wall_time, Some(point.value));
                course.add(self.file.sessions.len(), point);
            }
            Some(TagPoints::Other(stretches)) => {
                stretches.add(&self.file.sessions, point.step, point.wall_time, Some(point.value));
            }
            None => self.faults.n_left_out += u64::from(has_tag(tag)),
        }
    }
}

impl Contents {
    fn add_run(&mut self, run: &RunName, files: Vec<FilePoints>) {
        let outlines = files.iter().filter_map(|file| {
            let tags = file.tags.iter().map(|(tag, points)| (tag, points.stretches()));
            Some((file.file.writer?, &*file.file.sessions, tags))
        });
        let attempts = Arc::new(Attempts::of_run(outlines));
        for FilePoints { file, tags, faults } in files {
            self.faults.add(faults);
            let Some(writer) = file.writer else { continue };
            let counts_steps = tags.iter().any(|(_, points)| points.stretches().is_beyond_step_0());
            for (tag, points) in tags.into_entries() {
                let mut outline = match points {
                    TagPoints::Chosen(written) => Outline { written, ..Outline::default() },
                    TagPoints::Drawn(course, _) => course.finish(&file.sessions),
                    TagPoints::Other(_) => {
                        self.others.insert(tag);
                        continue;
                    }
                };
                if counts_steps {
                    outline.set_counts_steps();
                }
                let series = self.series.entry((tag.clone(), run.clone())).or_insert_with(|| ScalarSeries {
                    run: run.clone(),
                    tag,
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
