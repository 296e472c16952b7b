//! `doctor`: why the metric is not found, and what to change.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::inspect::{Inspection, Run, inspect};
use super::job_dir::JobDir;
use super::run_choice;
use super::{Failure, open_root, quoted, unnamed_hint};
use tfevents::UnreadableReports;

use crate::edge::files;
use crate::objective::missing::{
    self, MAX_NAMED, Missing, NearTag, Places, listed, metric_tag, objective_run, yaml_text,
};
use crate::objective::{Candidate, Choice, Why, choose, of_best_split};
use crate::objective::{RunSelector, measures};
use crate::study::DEFAULT_METRIC_TAG;
use crate::units::{MetricValue, RunName, Step, Tag, TrialId, natural_order};
use tfevents::scalar::{Kind, is_placeholder};
use tfevents::series::TagSummary;

/// How many tags are listed at most.
const MAX_TAGS_SHOWN: usize = 30;

/// What there is to say about one tag below one path.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// Where it was looked for.
    pub path: String,
    /// What was looked for.
    pub tag: Tag,
    /// Whether it is there with a value that can be a result.
    pub found: bool,
    /// What is the matter, as a word.
    pub cause: Cause,
    /// What is the matter, in a sentence.
    pub message: String,
    /// What to change, ready to paste; empty where nothing is to be changed.
    pub fix: Vec<String>,
    /// Further things that are worth to know.
    pub notes: Vec<String>,
    /// Tags that may have been meant.
    pub near: Vec<NearTag>,
    /// Where the tag is, and what it holds there.
    pub places: Vec<PlaceOfTag>,
    /// The tags that are there, with what they hold and in which runs: the first of many.
    pub tags: Vec<TagThere>,
    /// How many there are.
    pub n_tags: usize,
}

/// What is the matter with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nothing: it is found.
    None,
    /// There is no event file.
    NoEventFiles,
    /// There are event files, and all are empty or hold nothing but their first record.
    NothingWritten,
    /// There are values, but no scalars.
    NoScalars,
    /// The tag is there and holds something else.
    WrongKind,
    /// All its values are NaN or infinite.
    OnlyNonFinite,
    /// It holds Lightning's placeholder and nothing else.
    Placeholder,
    /// It is only in runs that are not allowed.
    WrongRun,
    /// It is in several runs, and nobody can say which one counts.
    UnlikeRuns,
    /// Another tag of a certain run means the same.
    RunInTag,
    /// Another tag means the same.
    NearMiss,
    /// No tag comes close.
    Unknown,
    /// Files are there that cannot be read.
    Unreadable,
    /// Files are so damaged that no value is left.
    Damaged,
    /// All files with names of event files are of other kinds: archives, or no event files at all.
    Foreign,
    /// What the cloudml-hypertune package's file holds cannot be read as reports.
    UnreadableReports,
}

/// The tag in one run.
#[derive(Debug, Serialize)]
pub struct PlaceOfTag {
    /// The run.
    pub run: RunName,
    /// What it holds there.
    pub kind: &'static str,
    /// How many values.
    pub count: u64,
    /// How many of them are NaN or infinite.
    pub non_finite: u64,
    /// The last step.
    pub last_step: Step,
    /// The last value.
    pub last_value: Option<MetricValue>,
    /// Whether this is the run that a tuning job would read.
    pub is_read: bool,
}

/// A tag that is there.
#[derive(Debug, Serialize)]
pub struct TagThere {
    /// The tag.
    pub tag: Tag,
    /// What it holds.
    pub kind: &'static str,
    /// The runs that hold it.
    pub runs: Vec<RunName>,
}

/// Looks for a tag below `path`, in the runs that match the glob `run`. At the directory of a job or of a trial both are
/// the job's where none is given, and each trial is looked at for itself: the first without the tag is shown, or the
/// last.
///
/// # Errors
/// `path` is missing or cannot be looked at, or `run` is no glob.
pub fn doctor(path: &Path, tag: Option<&str>, run: Option<&str>) -> Result<Diagnosis, Failure> {
    open_root("doctor", &[path.to_owned()])?;
    let job = JobDir::at(path);
    let known = job.as_ref().map(|job| job.objective.clone()).unwrap_or_default();
    let is_of_job =
        tag.is_none_or(|tag| known.metric_tag.as_ref().is_some_and(|known| known.as_str() == tag));
    let is_mean = known.is_mean && is_of_job && run.is_none();
    let run = run.or(known.run.as_deref().filter(|_| is_of_job));
    let selector = match run {
        Some(glob) => RunSelector::glob(glob).map_err(|e| Failure::usage(format!("--run: {e}")))?,
        None => RunSelector::default(),
    };
    let selector = if is_mean { selector.mean() } else { selector };
    let tag = tag.map(Tag::from).or(known.metric_tag).unwrap_or_else(|| Tag::from(DEFAULT_METRIC_TAG));
    let Some(JobDir { trials, .. }) = job else { return diagnose(path, &tag, &selector) };
    let mut shown: Option<(TrialId, Diagnosis)> = None;
    let mut n_found = 0;
    for (id, directory) in &trials {
        let diagnosis = diagnose(directory, &tag, &selector)?;
        n_found += usize::from(diagnosis.found);
        if shown.as_ref().is_none_or(|(_, shown)| shown.found) {
            shown = Some((*id, diagnosis));
        }
    }
    let Some((id, mut diagnosis)) = shown else { return diagnose(path, &tag, &selector) };
    if trials.len() > 1 {
        let note = format!("this is trial {id}; the tag is found in {n_found} of {} trials", trials.len());
        diagnosis.notes.push(note);
    }
    Ok(diagnosis)
}

/// Looks for `tag` below `path`, in the runs that `selector` allows.
///
/// # Errors
/// `path` is missing or cannot be looked at.
pub fn diagnose(path: &Path, tag: &Tag, selector: &RunSelector) -> Result<Diagnosis, Failure> {
    let inspection = inspect(path)?;
    let case = Case { path, tag, selector, inspection: &inspection, by_tag: by_tag(&inspection) };
    let mut diagnosis = case.diagnose();
    diagnosis.notes.extend(case.faults());
    Ok(diagnosis)
}

/// Everything that a diagnosis is made from.
struct Case<'a> {
    path: &'a Path,
    tag: &'a Tag,
    selector: &'a RunSelector,
    inspection: &'a Inspection,
    by_tag: BTreeMap<&'a Tag, Vec<(&'a RunName, &'a TagSummary)>>,
}

fn by_tag(inspection: &Inspection) -> BTreeMap<&Tag, Vec<(&RunName, &TagSummary)>> {
    let mut by_tag: BTreeMap<&Tag, Vec<(&RunName, &TagSummary)>> = BTreeMap::new();
    for (name, run) in &inspection.runs {
        for (tag, summary) in &run.tags {
            by_tag.entry(tag).or_default().push((name, summary));
        }
    }
    by_tag
}

impl Case<'_> {
    fn diagnose(&self) -> Diagnosis {
        if let Some(places) = self.by_tag.get(self.tag) {
            return self.tag_is_there(places);
        }
        if self.inspection.runs.is_empty() {
            return self.no_files();
        }
        if self.by_tag.is_empty() {
            return self.nothing_written();
        }
        self.tag_is_not_there()
    }

    fn diagnosis(&self, cause: Cause, message: String) -> Diagnosis {
        let runs =
            |places: &[(&RunName, &TagSummary)]| places.iter().map(|(run, _)| (*run).clone()).collect();
        let mut tags: Vec<_> = self.by_tag.iter().collect();
        tags.sort_by(|(a, _), (b, _)| natural_order(a.as_str(), b.as_str()));
        let tags = tags.into_iter().take(MAX_TAGS_SHOWN).map(|(tag, places)| TagThere {
            tag: (*tag).clone(),
            kind: places.first().map_or(Kind::Unknown, |(_, summary)| summary.kind).name(),
            runs: runs(places),
        });
        Diagnosis {
            path: self.path.display().to_string(),
            tag: self.tag.clone(),
            found: cause == Cause::None,
            cause,
            message,
            fix: Vec::new(),
            notes: Vec::new(),
            near: Vec::new(),
            places: Vec::new(),
            tags: tags.collect(),
            n_tags: self.by_tag.len(),
        }
    }

    fn tag_is_there(&self, places: &[(&RunName, &TagSummary)]) -> Diagnosis {
        let tag = self.tag;
        let scalars = || places.iter().filter(|(_, summary)| summary.kind == Kind::Scalar);
        let choice = self.choice(scalars().copied());
        let (read, why, read_together) = match &choice {
            Some(Choice::Run { run, why, alike }) => {
                (Some(*run), Some((*why, alike)), self.read_together(alike))
            }
            Some(Choice::Unlike(_)) | None => (None, None, &[][..]),
        };
        let is_read = |run: &RunName| read == Some(run) || read_together.contains(&run);
        let shown = places.iter().map(|(run, summary)| PlaceOfTag {
            run: (*run).clone(),
            kind: summary.kind.name(),
            count: summary.count(),
            non_finite: summary.n_non_finite,
            last_step: summary.last().0,
            last_value: summary.last().1,
            is_read: is_read(run),
        });
        let shown: Vec<PlaceOfTag> = shown.collect();
        let mut diagnosis = if scalars().next().is_none() {
            let kind = places.first().map_or(Kind::Unknown, |(_, summary)| summary.kind);
            self.missing(Cause::WrongKind, missing::wrong_kind(tag, kind))
        } else if let Some(Choice::Unlike(runs)) = &choice {
            self.missing(Cause::UnlikeRuns, missing::unlike_runs(tag, runs))
        } else if let Some(run) = read {
            self.tag_is_read(run, scalars().find(|(name, _)| *name == run).map(|(_, summary)| *summary))
        } else {
            let runs: Vec<&RunName> = scalars().map(|(run, _)| *run).collect();
            self.missing(Cause::WrongRun, missing::wrong_run(tag, &runs))
        };
        let others: Vec<RunName> =
            shown.iter().filter(|p| !p.is_read && p.kind == "scalar").map(|p| p.run.clone()).collect();
        if let (Some(run), Some((why, alike)), false) = (read, why, others.is_empty()) {
            let alike: Vec<RunName> = alike.iter().map(|run| (*run).clone()).collect();
            diagnosis.notes.push(run_choice::note(tag, run, Some((why, &alike)), &others));
            if alike.len() < 2 {
                let other = others.first().map(|run| objective_run(run.as_str())).unwrap_or_default();
                diagnosis.notes.push(format!("to read another: {other}"));
            }
        }
        diagnosis.places = shown;
        diagnosis
    }

    /// Which of the places that hold numbers a job would read.
    fn choice<'p>(&self, scalars: impl Iterator<Item = (&'p RunName, &'p TagSummary)>) -> Option<Choice<'p>> {
        let candidates = scalars.filter(|(run, _)| self.selector.allows(run)).map(|(run, summary)| {
            let (started, last) = summary.clocks();
            Candidate { run, started, last, n_values: summary.n_scalars }
        });
        let are_together =
            self.selector.joins().is_some() || (self.selector.is_mean() && self.selector.pattern().is_some());
        if !are_together {
            return choose(candidates, self.selector.is_mean());
        }
        let alike = of_best_split(candidates);
        Some(Choice::Run { run: alike.first()?, why: Why::Only, alike })
    }

    /// Those of runs alike that are read together with the one that is read.
    fn read_together<'p>(&self, alike: &'p [&'p RunName]) -> &'p [&'p RunName] {
        if self.selector.joins().is_some() || self.selector.is_mean() { alike } else { &[] }
    }

    fn tag_is_read(&self, run: &RunName, summary: Option<&TagSummary>) -> Diagnosis {
        let tag = self.tag;
        let Some(summary) = summary else { return self.diagnosis(Cause::Unknown, String::new()) };
        if summary.n_non_finite == summary.n_scalars {
            let message = format!(
                "`{tag}` is there in run `{run}`, but all its {} values are NaN or infinite: a trial with such a result is infeasible",
                summary.n_scalars
            );
            let mut only = self.diagnosis(Cause::OnlyNonFinite, message);
            only.notes.push(
                "look for a learning rate that is too high, a logarithm of 0, or a mean over no samples"
                    .to_owned(),
            );
            return only;
        }
        let (last_step, last) = summary.last();
        let is_only = summary.min == summary.max && summary.first_step == last_step;
        if is_only && last.is_some_and(|value| is_placeholder(tag.as_str(), last_step, value)) {
            return self.placeholder(run);
        }
        let last = last.map(|value| value.to_string()).unwrap_or_default();
        let mut found = self.diagnosis(
            Cause::None,
            format!(
                "`{tag}` is found in run `{run}`: {} values, the last {last} at step {last_step}",
                summary.n_scalars
            ),
        );
        if summary.n_scalars > 1 && summary.first_step == Step(0) && last_step == Step(0) {
            found.notes.push(
                "all its values are at step 0, so that only the last one counts: give the writer a step"
                    .to_owned(),
            );
        }
        if let Some(kind) = summary.other {
            let n_others = summary.n_values - summary.n_scalars;
            let note = "further values under it are no numbers, and are passed over";
            found.notes.push(format!("{n_others} {note}: {}", missing::of_kind(kind)));
        }
        if summary.n_non_finite > 0 {
            found.notes.push(format!("{} of its values are NaN or infinite", summary.n_non_finite));
        }
        found.notes.extend(summary.remarks());
        let n_rewinds = summary.rewinds().len() - summary.n_begun_anew() as usize;
        if n_rewinds > 0 {
            found.notes.push(format!("the trainer was restarted: {} attempts", n_rewinds + 1));
        }
        found
    }

    /// The tag holds what Lightning writes with the hyperparameters, before any metric is known.
    fn placeholder(&self, run: &RunName) -> Diagnosis {
        let tag = self.tag;
        let mut placeholder = self.diagnosis(
            Cause::Placeholder,
            format!(
                "`{tag}` in run `{run}` is -1 at step 0 and nothing else: the placeholder that Lightning writes \
                 with the hyperparameters, and no result"
            ),
        );
        let is_curve = |places: &[(&RunName, &TagSummary)]| places.iter().any(|(_, s)| s.n_scalars > 1);
        let is_metric = |tag: &&str| measures(tag);
        let curves: Vec<&str> = self
            .by_tag
            .iter()
            .filter(|(_, places)| is_curve(places))
            .map(|(tag, _)| tag.as_str())
            .filter(is_metric)
            .collect();
        if !curves.is_empty() {
            placeholder.notes.push(format!("these have curves: {}", listed(curves.iter().copied())));
        }
        placeholder.fix = curves.iter().take(MAX_NAMED).map(|tag| metric_tag(tag)).collect();
        placeholder.fix.push(format!("self.log({:?}, value)      # in the LightningModule", tag.as_str()));
        placeholder
    }

    fn no_files(&self) -> Diagnosis {
        let shown = self.path.display();
        if !self.inspection.warnings.is_empty() {
            return self.unreadable();
        }
        if let [first, ..] = &*self.inspection.notes {
            let n_more = self.inspection.n_foreign.saturating_sub(1);
            let more = if n_more == 0 { String::new() } else { format!(", and {n_more} more") };
            return self.diagnosis(Cause::Foreign, format!("there are only other files: {first}{more}"));
        }
        let mut none = self.diagnosis(
            Cause::NoEventFiles,
            format!("there is no event file (a name with `tfevents`) at or below {shown}"),
        );
        let (unnamed, _) = files::event_files_by_content(self.path);
        if let Some(first) = unnamed.first() {
            none.notes.extend(unnamed_hint("doctor", &[self.path.to_owned()]));
            let first = quoted(&first.display().to_string());
            none.fix = vec![format!("hptune doctor {first} --tag {}", quoted(self.tag.as_str()))];
            return none;
        }
        let near: Vec<String> =
            files::event_files_near(self.path).iter().map(|p| p.display().to_string()).collect();
        if near.is_empty() {
            none.notes.push("the trainer must write its summaries at or below this directory, which a job gives it as --job-dir and HPTUNE_JOB_DIR".to_owned());
            none.fix = vec![
                "writer = tf.summary.create_file_writer(job_dir)                   # TensorFlow 2".to_owned(),
                "tf.keras.callbacks.TensorBoard(log_dir=job_dir)                   # Keras".to_owned(),
                "writer = torch.utils.tensorboard.SummaryWriter(log_dir=job_dir)   # PyTorch".to_owned(),
            ];
        } else {
            none.notes.push(format!("there are event files in {}", near.join(", ")));
            none.fix = near
                .iter()
                .take(1)
                .map(|p| format!("hptune doctor {} --tag {}", quoted(p), quoted(self.tag.as_str())))
                .collect();
        }
        none
    }

    /// Nothing was found, and something could not be looked at.
    fn unreadable(&self) -> Diagnosis {
        let shown = self.path.display();
        let mut unreadable = self.diagnosis(
            Cause::Unreadable,
            format!("no value was found below {shown}, and not all can be read"),
        );
        if self.inspection.warnings.iter().any(|warning| warning.contains("Permission denied")) {
            unreadable.fix = vec![format!(
                "chmod -R u+rX {}      # or run hptune as the trainer's user",
                quoted(&shown.to_string())
            )];
        }
        unreadable
    }

    fn nothing_written(&self) -> Diagnosis {
        if !self.inspection.warnings.is_empty() {
            return self.unreadable();
        }
        if self.inspection.runs.values().any(|run| run.count_damages() > 0) {
            let message = "the event files are damaged, and no value is left in what can be read".to_owned();
            let mut damaged = self.diagnosis(Cause::Damaged, message);
            damaged.fix =
                vec![format!("hptune verify {}      # where, and of which kind", self.quoted_path())];
            return damaged;
        }
        if self.unreadable_reports().n() > 0 {
            let message = "a metrics file of the cloudml-hypertune package is there, but nothing in it can be read as a \
                           report"
                .to_owned();
            let mut unreadable = self.diagnosis(Cause::UnreadableReports, message);
            unreadable.fix = vec![format!(
                "{{\"timestamp\": 1700000000.0, \"trial\": \"1\", {}: \"0.5\", \"global_step\": \"1\"}}      # one line a report",
                yaml_text(self.tag.as_str())
            )];
            return unreadable;
        }
        let n_files: u64 = self.inspection.runs.values().map(|run| run.n_files).sum();
        let n_empty: u64 = self.inspection.runs.values().map(|run| run.n_empty_files).sum();
        let n_graphs: u64 = self.inspection.runs.values().map(|run| run.n_graphs).sum();
        let files = if n_files == 1 { "is 1 event file" } else { "are event files" };
        let what = if n_empty == n_files {
            "still empty"
        } else if n_graphs > 0 {
            "with a graph but no values"
        } else {
            "without any value yet"
        };
        let mut nothing = self.diagnosis(
            Cause::NothingWritten,
            format!("there {files}, {what}: the writer has not flushed, or is given no summaries"),
        );
        nothing.fix = vec![
            "writer.flush()                                                    # after each epoch, any writer".to_owned(),
            "tf.summary.create_file_writer(job_dir, flush_millis=10_000)       # TensorFlow 2 (default 120 s)".to_owned(),
            "SummaryWriter(log_dir=job_dir, flush_secs=10)                     # PyTorch, tensorboardX (default 120 s)".to_owned(),
            "tf.estimator.RunConfig(save_summary_steps=100)                    # Estimator".to_owned(),
        ];
        nothing
    }

    fn tag_is_not_there(&self) -> Diagnosis {
        let places: Places<'_> = self
            .by_tag
            .iter()
            .map(|(tag, places)| (*tag, places.iter().map(|(run, summary)| (*run, summary.kind)).collect()))
            .collect();
        let missing = missing::explain(self.tag, self.selector, &places);
        let cause = match missing.near.first() {
            _ if missing.has_no_scalars => Cause::NoScalars,
            Some(near) if near.run.is_some() => Cause::RunInTag,
            Some(_) => Cause::NearMiss,
            None => Cause::Unknown,
        };
        self.missing(cause, missing)
    }

    fn missing(&self, cause: Cause, missing: Missing) -> Diagnosis {
        let Missing { message, fix, notes, near, .. } = missing;
        Diagnosis { fix, notes, near, ..self.diagnosis(cause, message) }
    }

    /// The path as a shell takes it.
    fn quoted_path(&self) -> String {
        quoted(&self.path.display().to_string())
    }

    fn unreadable_reports(&self) -> UnreadableReports {
        let mut all = UnreadableReports::default();
        self.inspection.runs.values().for_each(|run| all.join(run.unreadable.clone()));
        all
    }

    /// What else is wrong with the files.
    fn faults(&self) -> Vec<String> {
        let mut notes: Vec<String> =
            self.inspection.warnings.iter().map(|warning| format!("cannot be read: {warning}")).collect();
        if !self.inspection.runs.is_empty() {
            notes.extend(self.inspection.notes.iter().take(MAX_NAMED).cloned());
        }
        notes.extend(self.unreadable_reports().in_words());
        let n_damages: u64 = self.inspection.runs.values().map(Run::count_damages).sum();
        if n_damages > 0 {
            let places = if n_damages == 1 { "place" } else { "places" };
            notes.push(format!(
                "files are damaged in {n_damages} {places}, the rest is read: hptune verify {}",
                self.quoted_path()
            ));
        }
        notes
    }
}
