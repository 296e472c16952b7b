//! What following one trial brings to light: the changes of its objective, and what else is there
//! in case the objective is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use jiff::Timestamp;

use super::{Found, Ingested, MISSED_REPORTS, Unreadable, packed_in_words};
use crate::limits::{MAX_DAMAGES_LISTED, MAX_TAGS_REMEMBERED, MAX_WRITERS_LISTED};
use crate::scalar::{Content, Kind, OWN_DIRECTORY, RunSelector, is_placeholder, near_misses};
use crate::series::{Change, Objective, Point};
use crate::tfrecord::Damage;
use crate::units::{RunName, Step, Tag};

/// Gathers what a [`super::Tail`] finds below one trial's directory.
#[derive(Debug)]
pub struct Gather {
    wanted: Tag,
    /// When to tell that no value has come; `None` once that is told or one came.
    tell_missing_at: Option<Timestamp>,
    objective: Objective,
    /// As those write it whose values count only where nobody else's are there.
    others: Objective,
    seen: Seen,
}

/// What was seen below a trial's directory.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How many event files there are, a metrics file included.
    pub n_files: usize,
    /// Each tag and what it holds.
    pub tags: BTreeMap<Tag, Kind>,
    /// The run that the objective was read from.
    pub chosen: Option<RunName>,
    /// Other runs that hold it.
    pub left_out: Vec<RunName>,
    /// The first stretches that gave no event, with the path of their file.
    pub damages: Vec<(String, Damage)>,
    /// How many there are in all.
    pub n_damages: usize,
    /// How many reports of metrics files cannot be read, by the path of the file.
    pub unreadable_reports: BTreeMap<String, u64>,
    /// What went wrong outside the files: each told once.
    pub troubles: Vec<String>,
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

impl Gather {
    /// Gathers the points of `wanted` from the run that `selector` chooses. That none has come is told
    /// at `tell_missing_at`.
    #[must_use]
    pub fn new(wanted: Tag, selector: RunSelector, tell_missing_at: Option<Timestamp>) -> Self {
        let others = Objective::new(selector.clone());
        Self { wanted, tell_missing_at, objective: Objective::new(selector), others, seen: Seen::default() }
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
                    self.remember(tag, &content);
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
                self.remember(&entry.tag, &Content::Scalar(entry.value));
                if entry.tag == self.wanted.as_str() {
                    self.count(entry.step, aside);
                    let point = Point { step: entry.step, wall_time: entry.wall_time, value: entry.value };
                    // Whoever reports does so for the trial.
                    let run = RunName::from(OWN_DIRECTORY);
                    self.objective_of(aside).offer(&run, writer, entry.wall_time, point);
                }
            }
            Found::Unreadable { path, error } => {
                self.seen.troubles.push(format!("{path}: cannot be read: {error}"))
            }
            Found::Rewritten { path } => {
                self.seen.troubles.push(format!("{path}: became shorter than what was read; read anew"));
            }
            Found::MissedReports { path } => {
                let trouble = format!("{path}: {MISSED_REPORTS}");
                if !self.seen.troubles.contains(&trouble) {
                    self.seen.troubles.push(trouble);
                }
            }
            Found::Packed { path, with } => self.seen.troubles.push(packed_in_words(path, with)),
            Found::UnreadableReports { path, unreadable, .. } => {
                let n = self.seen.unreadable_reports.entry(path.to_owned()).or_default();
                if *n == 0 {
                    let words = Unreadable::in_words(unreadable.n, &unreadable.example);
                    self.seen.troubles.push(format!("{path}: {words}"));
                }
                *n += unreadable.n;
            }
            Found::TooManyFiles { path } => {
                self.seen
                    .troubles
                    .push(format!("too many event files: {path} and later ones are not followed"));
            }
        }
    }

    fn objective_of(&mut self, aside: Option<&str>) -> &mut Objective {
        if aside.is_some() { &mut self.others } else { &mut self.objective }
    }

    /// The changes of the objective since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let of_others = self.others.take_changes();
        // Where those that count come first now, they begin with a source, which voids what the others had told.
        if self.objective.chosen().is_some() { self.objective.take_changes() } else { of_others }
    }

    fn chosen(&self) -> Option<&RunName> {
        self.objective.chosen().or(self.others.chosen())
    }

    /// Whether to tell now that no value has come; true once.
    pub fn take_missing(&mut self, now: Timestamp) -> bool {
        let is_due = self.tell_missing_at.is_some_and(|at| at <= now);
        if is_due || self.chosen().is_some() {
            self.tell_missing_at = None;
        }
        is_due && self.chosen().is_none()
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen {
            chosen: self.chosen().cloned(),
            is_of_others: self.objective.chosen().is_none() && self.others.chosen().is_some(),
            left_out: self.objective.left_out().cloned().collect(),
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

    fn remember(&mut self, tag: &str, content: &Content) {
        let kind = match content {
            Content::Scalar(_) => Kind::Scalar,
            Content::Other(kind) => *kind,
        };
        if self.seen.tags.len() < MAX_TAGS_REMEMBERED && !self.seen.tags.contains_key(tag) {
            self.seen.tags.insert(Tag::from(tag), kind);
        }
    }
}

impl Seen {
    /// Whether the writer counts no steps: all of several values are at step 0, and only the last of
    /// them can count.
    #[must_use]
    pub fn lacks_steps(&self) -> bool {
        self.n_values > 1 && self.n_beyond_step_0 == 0
    }

    /// That nothing but Lightning's placeholder stands under a tag, and what does elsewhere.
    fn explain_placeholder(&self, tag: &str, mend: &str) -> String {
        let others = self.tags.iter().filter(|(other, kind)| **kind == Kind::Scalar && other.as_str() != tag);
        let others: Vec<String> = others.take(8).map(|(other, _)| format!("`{other}`")).collect();
        let elsewhere = if others.is_empty() {
            String::new()
        } else {
            format!("; there are values under {}: {mend} where that is meant", others.join(", "))
        };
        format!(
            "warning: `{tag}` has one value only, -1 at step 0, the placeholder that Lightning writes with the \
             hyperparameters: it is no result{elsewhere}, or have the model log `{tag}`"
        )
    }

    /// Why no value of `wanted` was found, and what to do: a sentence, and one with a way out; `mend` says how a
    /// tag that comes close is asked for.
    #[must_use]
    pub fn explain_missing(&self, wanted: &Tag, mend: &str) -> String {
        let tag = wanted.as_str();
        if self.tags.is_empty() {
            if let (0, Some(path)) = (self.n_files, &self.unclear) {
                return format!(
                    "no event file was found below the trial's directory; {path} was written meanwhile, but \
                     whose it is cannot be told: `hptune: {{trial: {{directory: own}}}}` in the configuration \
                     runs each trial in its own directory"
                );
            }
            return if self.n_files == 0 {
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
        }
        match self.tags.get(wanted) {
            Some(Kind::Scalar) if self.n_values == 0 && self.n_placeholders > 0 => {
                return self.explain_placeholder(tag, mend);
            }
            Some(Kind::Scalar) => {
                return format!("`{tag}` is there, but in no run directory that hptune.objective.run allows");
            }
            Some(kind) => return format!("`{tag}` is there but holds a {kind}, not a scalar"),
            None => {}
        }
        let mut text = format!("no value under the tag `{tag}`");
        let scalars = || self.tags.iter().filter(|(_, kind)| **kind == Kind::Scalar).map(|(tag, _)| tag);
        let near = near_misses(tag, scalars());
        if near.is_empty() {
            let listed: Vec<String> = scalars().take(8).map(|tag| format!("`{tag}`")).collect();
            let more = scalars().count().saturating_sub(listed.len());
            let _ = write!(text, "; the tags that were written are {}", listed.join(", "));
            if more > 0 {
                let _ = write!(text, " and {more} more");
            }
        } else {
            let named: Vec<String> = near.iter().map(|tag| format!("`{tag}`")).collect();
            let _ = write!(text, "; did you mean {}? {mend}", named.join(" or "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Metadata;
    use crate::series::WriterId;
    use crate::units::{MetricValue, WallTime};

    fn seen(values: &[(&str, Content)]) -> Seen {
        let mut gather = Gather::new(Tag::from("accuracy"), RunSelector::default(), None);
        let run = RunName::root();
        for (tag, content) in values {
            let (writer, step, wall_time, content) = (WriterId(0), Step(1), WallTime(1.0), content.clone());
            let ingested = Ingested::Value { step, wall_time, tag, content, metadata: Metadata::default() };
            gather.handle(Found::Event {
                run: &run,
                path: "x.tfevents.1",
                writer,
                started: WallTime(0.0),
                ingested,
            });
        }
        gather.seen()
    }

    #[test]
    fn that_no_value_has_come_is_told_once_and_only_then() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let gather = || Gather::new(Tag::from("acc"), RunSelector::default(), Some(at(10)));
        let mut without = gather();
        let told: Vec<bool> = [9, 10, 11].map(|second| without.take_missing(at(second))).into();
        assert_eq!(told, [false, true, false]);
        let mut with = gather();
        let (writer, step, wall_time, started) = (WriterId(0), Step(1), WallTime(1.0), WallTime(0.0));
        let ingested = Ingested::Value {
            step,
            wall_time,
            tag: "acc",
            content: Content::Scalar(MetricValue::F32(0.5)),
            metadata: Metadata::default(),
        };
        with.handle(Found::Event { run: &RunName::root(), path: "x.tfevents.1", writer, started, ingested });
        assert!(!with.take_missing(at(11)));
    }

    #[test]
    fn a_missing_objective_is_explained_by_what_is_there() {
        #[track_caller]
        fn check(values: &[(&str, Content)], expected: &str) {
            let text = seen(values).explain_missing(&Tag::from("accuracy"), "set it");
            assert!(text.contains(expected), "{text}");
        }
        let scalar = || Content::Scalar(MetricValue::F32(0.5));
        check(&[], "no event file");
        check(&[("accuracy_1", scalar()), ("loss", scalar())], "did you mean `accuracy_1`?");
        check(&[("lr", scalar()), ("loss", scalar())], "`loss`, `lr`");
        check(&[("accuracy", Content::Other(Kind::Histogram))], "holds a histogram");
    }
}
