//! `inspect`: what is in event files.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use tfevents::UnreadableReports;
use tfevents::disk::{self, Handle};

use super::{Failure, open_logs, unnamed_hint};
use crate::layout::run_of;
use crate::limits::{
    MAX_DAMAGES_LISTED, MAX_HPARAMS, MAX_REWINDS_LISTED, MAX_TAGS, MAX_WRITERS_LISTED, READ_CHUNK_BYTES,
};
use crate::units::{MetricValue, RunName, Step, Tag, WallTime};
use tfevents::record::{Damage, DamageKind};
use tfevents::scalar::{Content, HPARAMS_TAG, HparamValue, Kind, Metadata, RunHparams};
use tfevents::series::{
    Attempts, ByTag, FileHistory, GoOver, Rewind, Rise, Standing, TagSummary, Writer, WriterId,
};
use tfevents::tail::{Foreign, Found, Ingested, Rises};

/// What lies below one path.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The runs by name.
    pub runs: BTreeMap<RunName, Run>,
    /// What could not be read, in the system's words.
    pub warnings: Vec<String>,
    /// That files are of other kinds, and what there is to say of steps that were written more than once.
    pub notes: Vec<String>,
    /// How many files are of other kinds: the first of the notes.
    pub n_foreign: usize,
    /// That files are event files without being called so, where there is no other.
    pub unnamed: Option<String>,
}

/// One run directory.
#[derive(Debug, Default)]
pub struct Run {
    /// How many event files it holds.
    pub n_files: u64,
    /// How many of them are empty.
    pub n_empty_files: u64,
    /// How many bytes they hold.
    pub n_bytes: u64,
    /// The programs that wrote them, where they say; otherwise the version of the format.
    pub writers: Vec<String>,
    /// How many graphs it holds.
    pub n_graphs: u64,
    /// How many sessions were begun.
    pub n_sessions: usize,
    /// The hyperparameters that it was started with.
    pub hparams: RunHparams,
    /// The tags by name.
    pub tags: BTreeMap<Tag, TagSummary>,
    /// How many values are under tags beyond those that are told apart.
    pub n_left_out: u64,
    /// How many tensors of one element cannot be read ([`Kind::Unread`]).
    pub n_unread: u64,
    /// The first and the last clock of its values, of those that are numbers.
    pub wall_times: Option<(WallTime, WallTime)>,
    /// The first stretches that gave no event, with the path of their file.
    pub damages: Vec<(String, Damage)>,
    /// How many there are, of each kind.
    pub n_damages: BTreeMap<DamageKind, u64>,
    /// What of metrics files cannot be read.
    pub unreadable: UnreadableReports,
    /// Files that end inside a record, with the stretch: they may still be written.
    pub unfinished: Vec<(String, Damage)>,
    /// Who wrote its files, and the sessions that they began.
    origins: Vec<(Writer, Vec<Step>)>,
}

/// One event file.
#[derive(Debug, Default)]
struct FileSummary {
    run: Option<RunName>,
    path: String,
    origin: FileHistory,
    writer_name: String,
    n_graphs: u64,
    n_sessions: usize,
    n_unread: u64,
    hparams: RunHparams,
    tags: ByTag<TagSummary>,
    damages: Vec<Damage>,
    n_damages: BTreeMap<DamageKind, u64>,
    unreadable: UnreadableReports,
    foreign: Option<Foreign>,
    warning: Option<String>,
}

impl Inspection {
    /// Whether anything is damaged or could not be read, or nothing is there at all.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.runs.is_empty()
            || !self.warnings.is_empty()
            || self.runs.values().any(|run| run.count_damages() + run.n_unread + run.unreadable.n() > 0)
    }

    fn add(&mut self, file: FileSummary) {
        if let Some(warning) = &file.warning {
            self.warnings.push(format!("{}: {warning}", file.path));
        }
        if file.hparams.n_left_out() > 0 {
            self.warnings.push(hparams_left_out(&file.path, &file.hparams));
        }
        if let Some(what) = file.foreign {
            self.notes.push(what.in_words(&file.path));
            self.n_foreign += 1;
            return;
        }
        let Some(run) = file.run.clone() else { return };
        self.runs.entry(run).or_default().add(file);
    }
}

/// How many of the places are named that a remark is of.
const N_PLACES: usize = 3;

impl Inspection {
    /// What there is to say of steps that were written more than once: each with where that is.
    fn remarks(&self) -> Vec<String> {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (run, found) in &self.runs {
            for (tag, summary) in found.tags.iter().filter(|(_, summary)| summary.n_scalars > 0) {
                for remark in summary.remarks() {
                    places.entry(remark).or_default().push(format!("`{tag}` in {run}"));
                }
            }
        }
        let in_words = |(remark, places): (String, Vec<String>)| {
            let n_more = places.len().saturating_sub(N_PLACES);
            let more = if n_more > 0 { format!(" and {n_more} more") } else { String::new() };
            let named: Vec<&str> = places.iter().take(N_PLACES).map(String::as_str).collect();
            format!("{}{more}: {remark}", named.join(", "))
        };
        places.into_iter().map(in_words).collect()
    }
}

/// That a file or a run has more hyperparameters than are remembered.
pub(super) fn hparams_left_out(of: &str, hparams: &RunHparams) -> String {
    format!("{of}: {} hyperparameters beyond the first {MAX_HPARAMS}, or too long", hparams.n_left_out())
}

impl Run {
    /// How many stretches gave no event.
    #[must_use]
    pub fn count_damages(&self) -> u64 {
        self.n_damages.values().sum()
    }

    fn add(&mut self, file: FileSummary) {
        self.n_files += 1;
        self.n_graphs += file.n_graphs;
        self.n_sessions += file.n_sessions;
        self.n_left_out += file.tags.n_left_out();
        self.n_unread += file.n_unread;
        self.hparams.join(file.hparams);
        self.unreadable.join(file.unreadable);
        let is_new = !file.writer_name.is_empty() && !self.writers.contains(&file.writer_name);
        if is_new && self.writers.len() < MAX_WRITERS_LISTED {
            self.writers.push(file.writer_name);
        }
        for damage in file.damages {
            let list = if damage.kind.may_be_unfinished() { &mut self.unfinished } else { &mut self.damages };
            if list.len() < MAX_DAMAGES_LISTED {
                list.push((file.path.clone(), damage));
            }
        }
        for (kind, n) in file.n_damages {
            *self.n_damages.entry(kind).or_default() += n;
        }
        let Some(writer) = file.origin.writer else { return };
        self.origins.push((writer, file.origin.sessions));
        for (tag, mut summary) in file.tags.into_entries() {
            summary.settle(writer);
            if let Some((first, last)) = summary.wall_times {
                let (begun, ended) = self.wall_times.get_or_insert((first, last));
                begun.0 = begun.0.min(first.0);
                ended.0 = ended.0.max(last.0);
            }
            let has_room = self.tags.len() < MAX_TAGS;
            match self.tags.get_mut(&tag) {
                Some(known) => known.join(summary),
                None if has_room => drop(self.tags.insert(tag, summary)),
                None => self.n_left_out += summary.n_values,
            }
        }
    }
}

impl Run {
    /// Ends the adding. The answer says which values of some tags stand: which is the last of them is still to be found.
    fn finish(&mut self) -> BTreeMap<Tag, Standing> {
        let origins = std::mem::take(&mut self.origins);
        let attempts = Attempts::of_sessions(origins.iter().map(|(writer, steps)| (*writer, &**steps)));
        let tags = self.tags.iter_mut();
        tags.filter_map(|(tag, summary)| Some((tag.clone(), summary.finish(&attempts)?))).collect()
    }

    /// Goes over the values that a writer wrote of tags whose last is to be found.
    fn find_last(
        &mut self,
        writer: WriterId,
        hidden: &BTreeMap<Tag, Standing>,
        read: impl FnOnce(&mut dyn FnMut(&Found<'_>)),
    ) {
        let tags = hidden.iter();
        let mut tags: BTreeMap<&str, GoOver<'_>> =
            tags.map(|(tag, standing)| (tag.as_str(), standing.go_over(writer))).collect();
        read(&mut |found| {
            let (tag, step, clock, value) = match found {
                Found::Event { ingested: Ingested::Value { step, wall_time, tag, content, .. }, .. } => {
                    let value = if let Content::Scalar(value) = content { Some(*value) } else { None };
                    (*tag, *step, *wall_time, value)
                }
                Found::Hypertune { entry, .. } => {
                    (&*entry.tag, entry.step, entry.wall_time, Some(entry.value))
                }
                _ => return,
            };
            let (Some(go_over), Some(summary)) = (tags.get_mut(tag), self.tags.get_mut(tag)) else { return };
            // Among numbers, what is none is not counted.
            let counts = value.is_some() || summary.n_scalars == 0;
            if counts && go_over.next(step).is_some() {
                summary.take_standing(writer, step, clock, value);
            }
        });
    }
}

/// Sums up files.
struct Summing;

impl Handle<FileSummary> for Summing {
    const TAKES_RISES: bool = true;

    #[inline]
    fn handle(&self, summary: &mut FileSummary, found: Found<'_>) {
        summary.handle(found);
    }

    fn handle_rises(
        &self,
        summary: &mut FileSummary,
        writer: WriterId,
        started: WallTime,
        rises: Rises<'_>,
    ) -> bool {
        summary.take_rises(writer, started, rises)
    }
}

impl FileSummary {
    fn take_rises(&mut self, writer: WriterId, started: WallTime, rises: Rises<'_>) -> bool {
        let n_sessions = self.origin.sessions.len();
        let accepts = |(tag, _, rise): (&str, Metadata<'_>, &Rise)| {
            tag != HPARAMS_TAG && self.tags.get(tag).is_some_and(|summary| summary.accepts(n_sessions, rise))
        };
        if !rises.iter().all(accepts) {
            return false;
        }
        for (tag, metadata, rise) in rises.iter() {
            self.origin.take_rise(writer, started, rise);
            let Some(summary) = self.tags.entry(tag, || TagSummary::new(Step(0))) else { continue };
            summary.take_rise(rise);
            if summary.plugin.is_empty() {
                summary.plugin = metadata.plugin().to_owned();
            }
        }
        true
    }

    #[inline]
    fn handle(&mut self, found: Found<'_>) {
        match found {
            Found::File { run, path } => {
                self.run = Some(run.clone());
                self.path = path.to_owned();
            }
            Found::Event { writer, started, ingested, .. } => self.take(writer, started, ingested),
            Found::Hypertune { writer, entry, .. } => {
                self.origin.at_work(writer, entry.wall_time, entry.wall_time);
                let content = Content::Scalar(entry.value);
                self.add(&entry.tag, entry.step, entry.wall_time, &content, Metadata::default());
            }
            Found::Unreadable { error, .. } => self.warning = Some(error),
            Found::Foreign { what, .. } => self.foreign = Some(what),
            Found::UnreadableReports { path, unreadable, .. } => self.unreadable.add(path, &unreadable),
            Found::Rewritten { .. } | Found::MissedReports { .. } | Found::TooManyFiles { .. } => {}
        }
    }

    #[inline]
    fn take(&mut self, writer: WriterId, started: WallTime, ingested: Ingested<'_>) {
        match ingested {
            Ingested::Value { step, wall_time, tag, content, metadata } => {
                self.origin.at_work(writer, started, wall_time);
                self.add(tag, step, wall_time, &content, metadata);
            }
            Ingested::Opened { version, writer } => {
                self.writer_name = if writer.is_empty() { version } else { writer }.to_owned();
            }
            Ingested::Graph => self.n_graphs += 1,
            Ingested::SessionStart(step) => {
                self.n_sessions += 1;
                self.origin.begin_session(writer, started, step);
            }
            Ingested::Damage(damage) => {
                if !damage.kind.may_be_unfinished() {
                    *self.n_damages.entry(damage.kind).or_default() += 1;
                }
                if self.damages.len() < MAX_DAMAGES_LISTED {
                    self.damages.push(damage);
                }
            }
        }
    }

    #[inline]
    fn add(&mut self, tag: &str, step: Step, wall_time: WallTime, content: &Content, metadata: Metadata<'_>) {
        self.n_unread += u64::from(matches!(content, Content::Other(Kind::Unread)));
        let Some(summary) = self.tags.entry(tag, || TagSummary::new(step)) else { return };
        summary.add(&self.origin.sessions, step, wall_time, content);
        if !metadata.is_empty() {
            if summary.plugin.is_empty() {
                summary.plugin = metadata.plugin().to_owned();
            }
            if tag == HPARAMS_TAG {
                self.hparams.add(metadata.hparams().unwrap_or_default());
            }
        }
    }
}

/// Reads everything below `path` and sums it up.
///
/// # Errors
/// `path` is missing or cannot be looked at. What goes wrong below it is part of the answer.
pub fn inspect(path: &Path) -> Result<Inspection, Failure> {
    let logs = open_logs("inspect", &[path.to_owned()])?;
    let warnings = logs.errors().iter().map(ToString::to_string).collect();
    let mut inspection = Inspection { warnings, ..Inspection::default() };
    logs.read_runs(Summing, |_, files| files.into_iter().for_each(|file| inspection.add(file)));
    let runs = inspection.runs.iter_mut();
    let hidden: BTreeMap<RunName, BTreeMap<Tag, Standing>> =
        runs.map(|(name, run)| (name.clone(), run.finish())).filter(|(_, tags)| !tags.is_empty()).collect();
    let mut buffer = vec![0; if hidden.is_empty() { 0 } else { READ_CHUNK_BYTES }];
    for (i, file) in logs.files().iter().enumerate() {
        let name = run_of(&file.path);
        let Some(run) = inspection.runs.get_mut(&name) else { continue };
        run.n_bytes += file.bytes;
        run.n_empty_files += u64::from(file.bytes == 0);
        if let Some(tags) = hidden.get(&name) {
            let writer = WriterId(u32::try_from(i).unwrap_or(u32::MAX));
            run.find_last(writer, tags, |found| {
                disk::read_file(logs.root(), file, i, &mut buffer, &mut |said| found(&said));
            });
        }
    }
    let remarks = inspection.remarks();
    inspection.notes.extend(remarks);
    if inspection.runs.is_empty() && inspection.notes.is_empty() {
        inspection.unnamed = unnamed_hint("inspect", &[path.to_owned()]);
    }
    Ok(inspection)
}

/// An inspection as JSON.
#[derive(Debug, Serialize)]
pub struct InspectionJson<'a> {
    path: String,
    runs: Vec<RunJson<'a>>,
    #[serde(rename = "troubles")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct RunJson<'a> {
    run: &'a RunName,
    files: u64,
    empty_files: u64,
    bytes: u64,
    writers: &'a [String],
    sessions: usize,
    graphs: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    hparams: BTreeMap<&'a String, serde_json::Value>,
    first_wall_time: Option<f64>,
    last_wall_time: Option<f64>,
    tags: Vec<TagJson<'a>>,
    left_out: u64,
    unread: u64,
    damaged: u64,
    damaged_by_kind: BTreeMap<&'static str, u64>,
    damages: Vec<DamageJson<'a>>,
    unfinished: Vec<DamageJson<'a>>,
    unreadable_reports: u64,
}

#[derive(Debug, Serialize)]
struct TagJson<'a> {
    tag: &'a Tag,
    kind: &'static str,
    plugin: &'a str,
    count: u64,
    not_numbers: u64,
    first_step: Step,
    last_step: Step,
    last_value: Option<MetricValue>,
    min: Option<MetricValue>,
    max: Option<MetricValue>,
    non_finite: u64,
    attempts: usize,
    rewinds: Vec<RewindJson>,
    first_wall_time: Option<f64>,
    last_wall_time: Option<f64>,
}

#[derive(Debug, Serialize)]
struct RewindJson {
    from_step: Step,
    reason: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct DamageJson<'a> {
    file: &'a str,
    kind: &'static str,
    offset: u64,
    bytes: u64,
}

impl<'a> InspectionJson<'a> {
    /// The inspection of `path` as JSON.
    #[must_use]
    pub fn new(path: &Path, inspection: &'a Inspection) -> Self {
        let runs = inspection.runs.iter().map(|(name, run)| RunJson {
            run: name,
            files: run.n_files,
            empty_files: run.n_empty_files,
            bytes: run.n_bytes,
            writers: &run.writers,
            sessions: run.n_sessions,
            graphs: run.n_graphs,
            hparams: run.hparams.by_name().iter().map(|(name, value)| (name, hparam_json(value))).collect(),
            first_wall_time: run.wall_times.and_then(|(first, _)| finite(first)),
            last_wall_time: run.wall_times.and_then(|(_, last)| finite(last)),
            tags: run.tags.iter().map(|(tag, summary)| tag_json(tag, summary)).collect(),
            left_out: run.n_left_out,
            unread: run.n_unread,
            damaged: run.count_damages(),
            damaged_by_kind: run.n_damages.iter().map(|(kind, n)| (kind.name(), *n)).collect(),
            damages: run.damages.iter().map(damage_json).collect(),
            unfinished: run.unfinished.iter().map(damage_json).collect(),
            unreadable_reports: run.unreadable.n(),
        });
        Self {
            path: path.display().to_string(),
            runs: runs.collect(),
            warnings: &inspection.warnings,
            notes: &inspection.notes,
            hint: inspection.unnamed.as_deref(),
        }
    }
}

fn finite(time: WallTime) -> Option<f64> {
    Some(time.0).filter(|seconds| seconds.is_finite())
}

fn hparam_json(value: &HparamValue) -> serde_json::Value {
    match value {
        HparamValue::Bool(v) => (*v).into(),
        HparamValue::Number(v) => serde_json::to_value(MetricValue::F64(*v)).unwrap_or_default(),
        HparamValue::Text(v) => v.as_str().into(),
    }
}

fn tag_json<'a>(tag: &'a Tag, summary: &'a TagSummary) -> TagJson<'a> {
    let (last_step, last_value) = summary.last();
    let rewinds = summary.rewinds();
    let rewind = |r: &Rewind| RewindJson { from_step: r.from, reason: r.reason.name() };
    TagJson {
        tag,
        kind: summary.kind.name(),
        plugin: &summary.plugin,
        count: summary.count(),
        not_numbers: summary.n_values - summary.count(),
        first_step: summary.first_step,
        last_step,
        last_value,
        min: summary.min,
        max: summary.max,
        non_finite: summary.n_non_finite,
        attempts: rewinds.len() + 1,
        rewinds: rewinds.iter().take(MAX_REWINDS_LISTED).map(rewind).collect(),
        first_wall_time: summary.wall_times.and_then(|(first, _)| finite(first)),
        last_wall_time: summary.wall_times.and_then(|(_, last)| finite(last)),
    }
}

pub(super) fn damage_json((file, damage): &(String, Damage)) -> DamageJson<'_> {
    DamageJson { file, kind: damage.kind.name(), offset: damage.offset, bytes: damage.bytes }
}
