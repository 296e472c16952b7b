//! What following one trial brings to light: the changes of its objective, and what else is there
//! in case the objective is not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tfevents::tail::{Found, Ingested, MISSED_REPORTS, Unreadable};

use super::missing::{Missing, Places, explain, listed, unlike_runs, wrong_kind, wrong_run};
use crate::layout::OWN_DIRECTORY;
use crate::limits::{MAX_DAMAGES_LISTED, MAX_TAGS_REMEMBERED, MAX_WRITERS_LISTED};
use crate::objective::{Change, Objective, Why};
use crate::objective::{RunSelector, Split, measures, words};
use crate::units::{RunName, Step, Tag, WallTime};
use tfevents::record::Damage;
use tfevents::scalar::{Content, Kind, is_placeholder};
use tfevents::series::{Point, Rank, Shape, WriterId};

/// At how many steps another tag has values by when the wanted one is missed.
const STEPS_OF_OTHERS: u32 = 3;

/// Gathers what a [`tfevents::tail::Tail`] finds below one trial's directory.
#[derive(Debug)]
pub struct ObjectiveCollector {
    wanted: Tag,
    /// Of which data it is, as far as its name, or the name of the runs that are allowed, says.
    wanted_split: Option<Split>,
    /// When to tell that no value has come; `None` once that is told or one came.
    tell_missing_at: Option<Timestamp>,
    /// Another tag has values at several steps; `None` once that was told.
    others_go_on: Option<bool>,
    /// That the runs which hold it are unlike was told.
    are_unlike_told: bool,
    objective: Objective,
    /// As those write it whose values count only where nobody else's are there.
    others: Objective,
    seen: Seen,
}

/// Why to tell now that no value has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// Other tags have values at several steps by now.
    OthersGoOn,
    /// The time to wait for it is over.
    Time,
}

/// What one run holds under one tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What it holds.
    pub kind: Kind,
    /// How often its step changed, and once more for the first.
    n_steps: u32,
    last_step: Step,
}

/// What was seen below a trial's directory.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How many event files there are, a metrics file included.
    pub n_files: usize,
    /// Each tag and what each run holds under it.
    pub tags: BTreeMap<Tag, BTreeMap<RunName, Held>>,
    /// How many tags of runs these are.
    pub n_places: usize,
    /// The run that the objective was read from.
    pub chosen: Option<RunName>,
    /// Why, where it is one, with those that are alike but for numbers.
    pub why: Option<(Why, Vec<RunName>)>,
    /// Runs that hold it and are unlike, so that none of them is read.
    pub unlike: Vec<RunName>,
    /// What is unusual in how the steps of what was read were written.
    pub shape: Shape,
    /// How many writers side by side hold the same steps with other values, and whether the rank of one is known.
    pub beside: Option<(usize, bool)>,
    /// Other runs that hold it.
    pub left_out: Vec<RunName>,
    /// Runs in which earlier attempts of the trial left it, and which the present one does not go on with.
    pub history: Vec<RunName>,
    /// The first stretches that gave no event, with the path of their file.
    pub damages: Vec<(String, Damage)>,
    /// How many there are in all.
    pub n_damages: usize,
    /// How many reports of metrics files cannot be read, by the path of the file.
    pub unreadable_reports: BTreeMap<String, u64>,
    /// What went wrong outside the files: each told once.
    pub warnings: Vec<String>,
    /// An event file outside of the trial's directory that came while it ran, and of which it is not clear whose it is.
    pub unclear: Option<String>,
    /// How many values of the objective there are, in all runs.
    pub n_values: u64,
    /// How many more are placeholders, which are no results.
    pub n_placeholders: u64,
    /// The programs that wrote the files, as far as they say.
    pub writers: BTreeSet<String>,
    /// How many of them are at a step other than 0.
    pub n_beyond_step_0: u64,
    /// How many values of the objective those wrote whose values count only where nobody else's are there, by name.
    pub aside: BTreeMap<String, u64>,
    /// Such values are what there is.
    pub is_of_others: bool,
}

impl ObjectiveCollector {
    /// Gathers the points of `wanted` from the run that `selector` chooses. That none has come is told
    /// at `tell_missing_at`.
    #[must_use]
    pub fn new(wanted: Tag, selector: RunSelector, tell_missing_at: Option<Timestamp>) -> Self {
        let split = |name: &str| Split::of_words(&words(name));
        Self {
            wanted_split: split(wanted.as_str()).or_else(|| selector.pattern().and_then(split)),
            wanted,
            tell_missing_at,
            others_go_on: Some(false),
            are_unlike_told: false,
            objective: Objective::new(selector.clone()),
            others: Objective::new(selector),
            seen: Seen::default(),
        }
    }

    /// The same for a trial that was tried before: the present attempt began at `since`.
    #[must_use]
    pub fn of_attempt(self, since: WallTime) -> Self {
        Self { objective: self.objective.of_attempt(since), others: self.others.of_attempt(since), ..self }
    }

    /// Takes something that was found.
    pub fn handle(&mut self, found: Found<'_>) {
        self.take(found, None);
    }

    /// Takes something that was found in a file of one whose values of the objective count only where nobody else's are
    /// there.
    pub fn handle_aside(&mut self, found: Found<'_>, writer_s_name: &str) {
        self.take(found, Some(writer_s_name));
    }

    fn take(&mut self, found: Found<'_>, aside: Option<&str>) {
        match found {
            Found::File { .. } => self.seen.n_files += 1,
            Found::Event { run, path, writer, started, ingested } => match ingested {
                Ingested::Value { step, wall_time, tag, content, .. } => {
                    self.objective_of(aside).at_work(run, writer, wall_time);
                    if let Content::Scalar(value) = content
                        && tag == self.wanted.as_str()
                    {
                        if is_placeholder(tag, step, value) {
                            self.seen.n_placeholders += 1;
                        } else {
                            self.count(step, aside);
                            let point = Point { step, wall_time, value };
                            self.objective_of(aside).offer(run, writer, started, point);
                        }
                    }
                    self.remember(run, tag, step, &content);
                }
                Ingested::SessionStart(step) => {
                    self.objective_of(aside).session_start(run, writer, started, step);
                }
                Ingested::Damage(damage) => {
                    self.seen.n_damages += 1;
                    if self.seen.damages.len() < MAX_DAMAGES_LISTED {
                        self.seen.damages.push((path.to_owned(), damage));
                    }
                }
                Ingested::Opened { writer, .. } => {
                    if !writer.is_empty() && self.seen.writers.len() < MAX_WRITERS_LISTED {
                        self.seen.writers.insert(writer.to_owned());
                    }
                }
                Ingested::Graph => {}
            },
            Found::Hypertune { writer, entry, .. } => {
                let content = Content::Scalar(entry.value);
                self.remember(&RunName::from(OWN_DIRECTORY), entry.tag.as_str(), entry.step, &content);
                if entry.tag == self.wanted.as_str() {
                    self.count(entry.step, aside);
                    let point = Point { step: entry.step, wall_time: entry.wall_time, value: entry.value };
                    // Whoever reports does so for the trial.
                    let run = RunName::from(OWN_DIRECTORY);
                    self.objective_of(aside).at_work(&run, writer, entry.wall_time);
                    self.objective_of(aside).offer(&run, writer, entry.wall_time, point);
                }
            }
            Found::Unreadable { path, error } => {
                self.seen.warnings.push(format!("{path}: cannot be read: {error}"))
            }
            Found::Rewritten { path } => {
                self.seen.warnings.push(format!("{path}: became shorter than what was read; read anew"));
            }
            Found::MissedReports { path } => {
                let warning = format!("{path}: {MISSED_REPORTS}");
                if !self.seen.warnings.contains(&warning) {
                    self.seen.warnings.push(warning);
                }
            }
            Found::Foreign { path, what } => self.seen.warnings.push(what.in_words(path)),
            Found::UnreadableReports { path, unreadable, .. } => {
                let n = self.seen.unreadable_reports.entry(path.to_owned()).or_default();
                if *n == 0 {
                    let words = Unreadable::in_words(unreadable.n, &unreadable.example);
                    self.seen.warnings.push(format!("{path}: {words}"));
                }
                *n += unreadable.n;
            }
            Found::TooManyFiles { path } => {
                self.seen
                    .warnings
                    .push(format!("too many event files: {path} and later ones are not followed"));
            }
        }
    }

    /// Takes it that a writer of a run, whose first event has the clock `started`, was alive at `clock`.
    pub fn is_alive(&mut self, run: &RunName, writer: WriterId, started: WallTime, clock: WallTime) {
        for objective in [&mut self.objective, &mut self.others] {
            objective.is_alive(run, writer, started, clock);
        }
    }

    /// Takes the place of a writer of a run among the processes of a training; see
    /// [`Objective::set_rank`](crate::objective::Objective::set_rank).
    pub fn set_rank(&mut self, run: &RunName, writer: WriterId, started: WallTime, rank: Rank) {
        for objective in [&mut self.objective, &mut self.others] {
            objective.set_rank(run, writer, started, rank);
        }
    }

    fn objective_of(&mut self, aside: Option<&str>) -> &mut Objective {
        if aside.is_some() { &mut self.others } else { &mut self.objective }
    }

    /// The changes of the objective since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let (changes, of_others) = (self.objective.take_changes(), self.others.take_changes());
        // Where those that count come first now, they begin with a source, which voids what the others had told.
        if self.objective.chosen().is_some() || !changes.is_empty() { changes } else { of_others }
    }

    fn settle(&mut self) {
        self.objective.settle();
        self.others.settle();
    }

    fn chosen(&self) -> Option<RunName> {
        self.objective.chosen().or_else(|| self.others.chosen())
    }

    /// Whether to tell now that no value has come, and why: once for either reason.
    pub fn take_missing(&mut self, now: Timestamp) -> Option<Overdue> {
        self.settle();
        if self.chosen().is_some() {
            (self.tell_missing_at, self.others_go_on) = (None, None);
        }
        if self.tell_missing_at.is_some_and(|at| at <= now) {
            self.tell_missing_at = None;
            return Some(Overdue::Time);
        }
        let n_unlike = self.objective.unlike().len() as u64;
        // A run of validation data may come yet; until then nobody has to wait for the end to be asked.
        if n_unlike > 0
            && self.seen.n_values >= n_unlike * u64::from(STEPS_OF_OTHERS)
            && !std::mem::replace(&mut self.are_unlike_told, true)
        {
            self.others_go_on = None;
            return Some(Overdue::OthersGoOn);
        }
        let is_so = self.others_go_on == Some(true);
        is_so.then(|| self.others_go_on = None).map(|()| Overdue::OthersGoOn)
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let (history, left_out) =
            self.objective.left_out().cloned().partition(|run| self.objective.is_history(run));
        Seen {
            chosen: self.chosen(),
            why: self.objective.why().map(|(why, alike)| (why, alike.to_vec())),
            unlike: self.objective.unlike().to_vec(),
            is_of_others: self.objective.chosen().is_none() && self.others.chosen().is_some(),
            left_out,
            history,
            shape: self.objective.shape(),
            beside: self.objective.beside(),
            ..self.seen.clone()
        }
    }

    fn count(&mut self, step: Step, aside: Option<&str>) {
        if let Some(name) = aside {
            *self.seen.aside.entry(name.to_owned()).or_default() += 1;
        }
        self.seen.n_values += 1;
        self.seen.n_beyond_step_0 += u64::from(step != Step(0));
    }

    fn remember(&mut self, run: &RunName, tag: &str, step: Step, content: &Content) {
        let kind = match content {
            Content::Scalar(_) => Kind::Scalar,
            Content::Other(kind) => *kind,
        };
        let held = self.seen.tags.get_mut(tag).and_then(|runs| runs.get_mut(run));
        let n_steps = match held {
            Some(held) if held.last_step == step => return,
            Some(held) => {
                held.last_step = step;
                held.n_steps = held.n_steps.saturating_add(1);
                held.n_steps
            }
            None if self.seen.n_places < MAX_TAGS_REMEMBERED => {
                self.seen.n_places += 1;
                let held = Held { kind, n_steps: 1, last_step: step };
                self.seen.tags.entry(Tag::from(tag)).or_default().insert(run.clone(), held);
                1
            }
            None => return,
        };
        if n_steps == STEPS_OF_OTHERS && self.others_go_on.is_some() && kind == Kind::Scalar {
            // A run that is allowed may hold the wanted tag yet.
            let is_other = self.wanted.as_str() != tag;
            let counts = is_other && measures(tag) && !comes_before(run, tag, self.wanted_split);
            self.others_go_on = Some(self.others_go_on == Some(true) || counts);
        }
    }
}

/// Whether a tag is measured on training data and the wanted one on others, which come at the end of an epoch.
fn comes_before(run: &RunName, tag: &str, wanted: Option<Split>) -> bool {
    let split = |name: &str| Split::of_words(&words(name));
    wanted.is_some_and(|wanted| wanted != Split::Train)
        && split(tag).or_else(|| split(run.as_str())) == Some(Split::Train)
}

impl Seen {
    /// What is known where only the tags of runs are, and what they hold.
    pub fn of<'t>(n_files: usize, tags: impl Iterator<Item = (&'t RunName, &'t Tag, Kind)>) -> Self {
        let mut seen = Self { n_files, ..Self::default() };
        for (run, tag, kind) in tags {
            let held = Held { kind, n_steps: 1, last_step: Step(0) };
            seen.tags.entry(tag.clone()).or_default().insert(run.clone(), held);
        }
        seen
    }

    /// Whether the writer counts no steps: all of several values are at step 0, and only the last of
    /// them can count.
    #[must_use]
    pub fn lacks_steps(&self) -> bool {
        self.n_values > 1 && self.n_beyond_step_0 == 0
    }

    /// That nothing but Lightning's placeholder stands under a tag, and what does elsewhere.
    fn explain_placeholder(&self, tag: &str, fix: &str) -> String {
        let others = self.tags.keys().filter(|other| other.as_str() != tag && measures(other.as_str()));
        let others = others.filter(|other| self.kind_of(other) == Some(Kind::Scalar));
        let others: Vec<String> = others.take(8).map(|other| format!("`{other}`")).collect();
        let elsewhere = if others.is_empty() {
            String::new()
        } else {
            format!("; there are values under {}: {fix} where that is meant", others.join(", "))
        };
        format!(
            "warning: `{tag}` has one value only, -1 at step 0, the placeholder that Lightning writes with the \
             hyperparameters: it is no result{elsewhere}, or have the model log `{tag}`"
        )
    }

    /// What a tag holds: numbers, where any run has them.
    fn kind_of(&self, tag: &Tag) -> Option<Kind> {
        let kinds = || self.tags.get(tag).into_iter().flatten().map(|(_, held)| held.kind);
        kinds().find(|kind| *kind == Kind::Scalar).or_else(|| kinds().next())
    }

    /// Whether there are values of other tags, and none of `wanted` that could be a result.
    #[must_use]
    pub fn has_others_only(&self, wanted: &Tag) -> bool {
        // Under the wanted tag there may be values in runs that do not count.
        let is_other = |tag: &Tag| {
            (tag != wanted || self.n_placeholders == 0) && self.kind_of(tag) == Some(Kind::Scalar)
        };
        self.chosen.is_none() && self.tags.keys().any(is_other)
    }

    /// Why no value of `wanted` was found in the runs that `selector` allows, and what to do; `fix` says how a tag
    /// that may have been meant is asked for.
    #[must_use]
    pub fn explain_missing(&self, wanted: &Tag, selector: &RunSelector, fix: &str) -> Missing {
        if let Some(message) = self.explain_nothing() {
            return Missing::of(message);
        }
        match self.kind_of(wanted) {
            Some(Kind::Scalar) if self.n_values == 0 && self.n_placeholders > 0 => {
                Missing::of(self.explain_placeholder(wanted.as_str(), fix))
            }
            Some(Kind::Scalar) if !self.unlike.is_empty() => {
                unlike_runs(wanted, &self.unlike.iter().collect::<Vec<_>>())
            }
            Some(Kind::Scalar) if !self.history.is_empty() => Missing::of(format!(
                "the last attempt wrote no value under the tag `{wanted}`; what an earlier one wrote in {} does not count",
                listed(self.history.iter().map(RunName::as_str))
            )),
            Some(Kind::Scalar) => wrong_run(
                wanted,
                &self.tags.get(wanted).into_iter().flat_map(BTreeMap::keys).collect::<Vec<_>>(),
            ),
            Some(kind) => wrong_kind(wanted, kind),
            None => {
                let places: Places<'_> = (self.tags.iter())
                    .map(|(tag, runs)| (tag, runs.iter().map(|(run, held)| (run, held.kind)).collect()))
                    .collect();
                explain(wanted, selector, &places)
            }
        }
    }

    /// Why there is no value at all, where there is none.
    fn explain_nothing(&self) -> Option<String> {
        if self.tags.is_empty() {
            if let (0, Some(path)) = (self.n_files, &self.unclear) {
                return Some(format!(
                    "no event file was found below the trial's directory; {path} was written meanwhile, but \
                     whose it is cannot be told: `hptune: {{trial: {{directory: own}}}}` in the configuration \
                     runs each trial in its own directory"
                ));
            }
            let text = if self.n_files == 0 {
                "no event file was found below the trial's directory; \
                 have the trainer write its summaries below --job-dir"
                    .to_owned()
            } else if !self.unreadable_reports.is_empty() {
                "the file of the cloudml-hypertune package is there, but nothing in it can be read as a report".to_owned()
            } else {
                "there are event files but no values in them; \
                 have the writer flush more often, or check that it is given summaries"
                    .to_owned()
            };
            return Some(text);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::MetricValue;
    use tfevents::scalar::Metadata;
    use tfevents::series::WriterId;

    fn take(collector: &mut ObjectiveCollector, tag: &str, step: i64, content: Content) {
        let (writer, step, wall_time, run) = (WriterId(0), Step(step), WallTime(1.0), RunName::root());
        let ingested = Ingested::Value { step, wall_time, tag, content, metadata: Metadata::default() };
        let (path, started) = ("x.tfevents.1", WallTime(0.0));
        collector.handle(Found::Event { run: &run, path, writer, started, ingested });
    }

    fn seen(values: &[(&str, Content)]) -> Seen {
        let mut collector = ObjectiveCollector::new(Tag::from("accuracy"), RunSelector::default(), None);
        for (tag, content) in values {
            take(&mut collector, tag, 1, *content);
        }
        collector.seen()
    }

    #[test]
    fn that_no_value_has_come_is_told_once_and_only_then() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let collector = || ObjectiveCollector::new(Tag::from("acc"), RunSelector::default(), Some(at(10)));
        let mut without = collector();
        let told = [9, 10, 11].map(|second| without.take_missing(at(second)));
        assert_eq!(told, [None, Some(Overdue::Time), None]);
        let mut with = collector();
        let (writer, step, wall_time, started) = (WriterId(0), Step(1), WallTime(1.0), WallTime(0.0));
        let ingested = Ingested::Value {
            step,
            wall_time,
            tag: "acc",
            content: Content::Scalar(MetricValue::F32(0.5)),
            metadata: Metadata::default(),
        };
        with.handle(Found::Event { run: &RunName::root(), path: "x.tfevents.1", writer, started, ingested });
        assert_eq!(with.take_missing(at(11)), None);
    }

    #[test]
    fn that_no_value_has_come_is_told_at_once_when_another_tag_has_several() {
        #[track_caller]
        fn check(tag: &str, steps: &[i64], expected: Option<Overdue>) {
            let mut collector = ObjectiveCollector::new(Tag::from("acc"), RunSelector::default(), None);
            for step in steps {
                take(&mut collector, tag, *step, Content::Scalar(MetricValue::F32(0.5)));
            }
            assert_eq!(collector.take_missing(Timestamp::UNIX_EPOCH), expected);
            assert_eq!(collector.take_missing(Timestamp::UNIX_EPOCH), None, "it is told once");
        }
        check("loss", &[1, 2, 3], Some(Overdue::OthersGoOn));
        check("loss", &[1, 2], None);
        check("loss", &[7, 7, 7], None);
        check("epoch", &[1, 2, 3], None);
        check("acc", &[1, 2, 3], None);
    }

    #[test]
    fn what_is_measured_in_training_comes_before_what_is_not() {
        #[track_caller]
        fn check(wanted: &str, pattern: Option<&str>, tag: &str, is_told: bool) {
            let selector = pattern.map(|pattern| RunSelector::glob(pattern).expect("a glob"));
            let mut collector =
                ObjectiveCollector::new(Tag::from(wanted), selector.unwrap_or_default(), None);
            for step in 1..=3 {
                collector.remember(&"train".into(), tag, Step(step), &Content::Scalar(MetricValue::F32(0.5)));
            }
            assert_eq!(collector.take_missing(Timestamp::UNIX_EPOCH).is_some(), is_told, "{wanted}, {tag}");
        }
        check("val_acc", None, "epoch_loss", false);
        check("val_acc", None, "val_loss", true);
        check("acc", None, "epoch_loss", true);
        // The run that is allowed comes later.
        check("epoch_acc", Some("validation"), "epoch_acc", false);
        check("epoch_acc", Some("validation"), "epoch_loss", false);
    }

    #[test]
    fn unlike_runs_are_asked_about_before_the_trial_ends() {
        let mut collector = ObjectiveCollector::new(Tag::from("loss"), RunSelector::default(), None);
        let write = |collector: &mut ObjectiveCollector, run: &str, writer: u32, step: i64| {
            let (run, wall_time) = (RunName::from(run), WallTime(100.0 + step as f64));
            let (content, metadata) = (Content::Scalar(MetricValue::I64(step)), Metadata::default());
            let ingested = Ingested::Value { step: Step(step), wall_time, tag: "loss", content, metadata };
            let (writer, started) = (WriterId(writer), WallTime(100.0));
            collector.handle(Found::Event { run: &run, path: "x.tfevents.1", writer, started, ingested });
        };
        let mut told = Vec::new();
        for step in 1..=4 {
            write(&mut collector, "policy", 0, step);
            write(&mut collector, "value", 1, step);
            told.push(collector.take_missing(Timestamp::UNIX_EPOCH));
        }
        assert_eq!(told, [None, None, Some(Overdue::OthersGoOn), None]);
        let missing = collector.seen().explain_missing(&Tag::from("loss"), &RunSelector::default(), "");
        assert_eq!(missing.fix.len(), 2);
        // Validation data end the doubt.
        write(&mut collector, "val", 2, 4);
        collector.take_changes();
        assert_eq!(collector.seen().chosen, Some(RunName::from("val")));
    }

    #[test]
    fn a_missing_objective_is_explained_by_what_is_there() {
        #[track_caller]
        fn check(values: &[(&str, Content)], expected: &str) {
            let missing = seen(values).explain_missing(&Tag::from("accuracy"), &RunSelector::default(), "");
            let text = missing.text();
            assert!(text.contains(expected), "{text}");
        }
        let scalar = || Content::Scalar(MetricValue::F32(0.5));
        check(&[], "no event file");
        check(&[("accuracy_1", scalar()), ("loss", scalar())], "did you mean `accuracy_1`?");
        check(&[("lr", scalar()), ("loss", scalar())], "`loss`, `lr`");
        check(&[("accuracy", Content::Other(Kind::Histogram))], "holds histograms");
    }
}
