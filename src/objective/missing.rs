//! Why no value of a tag was found among the tags that are there, and the lines to write instead: for `doctor` and for the
//! notes of a job alike.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::objective::candidates::preference;
use crate::objective::{Nearby, RunSelector, Same, Split, is_number, nearby, words};
use crate::units::{RunName, Tag};
use tfevents::scalar::Kind;

/// How many names a sentence lists at most.
pub const MAX_NAMED: usize = 8;

/// What each tag holds in each run.
pub type Places<'a> = BTreeMap<&'a Tag, Vec<(&'a RunName, Kind)>>;

/// Why no value of a tag was found.
#[derive(Debug)]
pub struct Missing {
    /// In a sentence.
    pub message: String,
    /// The lines of the configuration to change, ready to paste; empty where none would do.
    pub fix: Vec<String>,
    /// Further things that are worth to know.
    pub notes: Vec<String>,
    /// Tags that mean the same, the nearest first: `fix` is for that.
    pub near: Vec<NearTag>,
    /// No tag holds numbers.
    pub has_no_scalars: bool,
}

/// A tag that may have been meant.
#[derive(Debug, Serialize)]
pub struct NearTag {
    /// The tag.
    pub tag: Tag,
    /// How it differs.
    pub how: &'static str,
    /// The runs in which it may have been meant.
    pub runs: Vec<RunName>,
    /// The run that is to be named with it; none where any will do.
    pub run: Option<String>,
}

/// Why there is no value of `tag`, which is none of `places`.
#[must_use]
pub fn explain(tag: &Tag, selector: &RunSelector, places: &Places<'_>) -> Missing {
    let scalars = || {
        let all =
            places.iter().flat_map(|(tag, runs)| runs.iter().map(move |(run, kind)| (*tag, *run, *kind)));
        all.filter(|(_, _, kind)| *kind == Kind::Scalar).map(|(tag, run, _)| (tag, run))
    };
    let mut missing = Missing {
        message: format!("no value under the tag `{tag}`"),
        fix: Vec::new(),
        notes: Vec::new(),
        near: Vec::new(),
        has_no_scalars: scalars().next().is_none(),
    };
    if missing.has_no_scalars {
        missing.message.push_str(", and no tag holds numbers");
        missing.fix = writers_lines(tag);
        return missing;
    }
    let Nearby { same, others } = nearby(tag.as_str(), scalars());
    for near in &same {
        let of_tag: Vec<&RunName> =
            scalars().filter(|(tag, _)| *tag == near.tag).map(|(_, run)| run).collect();
        let Some(run) = run_to_name(near, &of_tag, selector) else { continue };
        let (tag, how) = (near.tag.clone(), near.how.explanation());
        missing.near.push(NearTag {
            tag,
            how,
            runs: near.runs.iter().map(|run| (*run).clone()).collect(),
            run,
        });
    }
    let other_kind = || {
        let others = places.iter().filter(|(_, runs)| runs.iter().all(|(_, kind)| *kind != Kind::Scalar));
        let others: Vec<(&Tag, Kind)> =
            others.filter_map(|(tag, runs)| Some((*tag, runs.first()?.1))).collect();
        let near = crate::objective::near_misses(tag.as_str(), others.iter().map(|(tag, _)| *tag));
        near.first().and_then(|near| others.iter().find(|(tag, _)| tag == near).copied())
    };
    if let Some(first) = missing.near.first() {
        let named: Vec<String> = missing.near.iter().map(named).collect();
        let _ = write!(missing.message, "; did you mean {}? {}", either(&named), first.how);
        missing.fix.push(metric_tag(first.tag.as_str()));
        missing.fix.extend(first.run.as_deref().map(objective_run));
    } else if let Some((near, kind)) = other_kind() {
        let _ = write!(missing.message, "; `{near}` comes close, but holds {}, not numbers", of_kind(kind));
    } else {
        let mut tags: Vec<&str> = scalars().map(|(tag, _)| tag.as_str()).collect();
        tags.dedup();
        let _ = write!(missing.message, ", and none comes close; there are {}", listed(tags.into_iter()));
    }
    if !others.is_empty() {
        let named: Vec<String> = (others.iter())
            .map(|other| {
                let runs = other.runs.iter().map(|run| run.as_str()).filter(|run| *run != ".");
                let runs: Vec<&str> = runs.collect();
                let place = match runs.len() {
                    0 => String::new(),
                    _ => format!(" in {}", listed(runs.into_iter())),
                };
                format!("`{}`{place} ({})", other.tag, other.why)
            })
            .collect();
        missing.notes.push(format!("other quantities, which are no remedy: {}", named.join(", ")));
    }
    missing
}

/// `tag` is there, but only in `runs`, which the configuration does not allow.
#[must_use]
pub fn wrong_run(tag: &Tag, runs: &[&RunName]) -> Missing {
    let named = listed(runs.iter().map(|run| run.as_str()));
    // The one that would be read where all were allowed, as far as names say.
    let best =
        runs.iter().min_by_key(|run| (preference(Split::of_run(run)), run.as_str().matches('/').count()));
    let fix = best.iter().map(|run| objective_run(run.as_str())).collect();
    Missing {
        fix,
        ..Missing::of(format!("`{tag}` is there, but only in runs that are not allowed: {named}"))
    }
}

/// `tag` is in several runs of which no name says which one counts.
#[must_use]
pub fn unlike_runs(tag: &Tag, runs: &[&RunName]) -> Missing {
    let fix = runs.iter().take(MAX_NAMED).map(|run| objective_run(run.as_str())).collect();
    let message = format!(
        "`{tag}` is in {} run directories, and no name says which one counts: {}; add one of these lines to the configuration",
        runs.len(),
        listed(runs.iter().map(|run| run.as_str()))
    );
    Missing { fix, ..Missing::of(message) }
}

/// `tag` is there, but holds no numbers.
#[must_use]
pub fn wrong_kind(tag: &Tag, kind: Kind) -> Missing {
    let wanted = if kind == Kind::Complex { "real ones" } else { "numbers" };
    let message = format!("`{tag}` is there, but holds {}, not {wanted}", of_kind(kind));
    let note = match kind {
        Kind::Tensor => Some("only a tensor with one element is a number: reduce it to one first"),
        Kind::Complex => Some("write its real part or its absolute value"),
        Kind::Unread => {
            Some("their type is not known here, or they hold no value of their type: write float32")
        }
        Kind::Scalar
        | Kind::Histogram
        | Kind::Image
        | Kind::Audio
        | Kind::Text
        | Kind::Hparams
        | Kind::Graph
        | Kind::Unknown => None,
    };
    let notes = note.into_iter().map(str::to_owned).collect();
    Missing { fix: writers_lines(tag), notes, ..Missing::of(message) }
}

impl Missing {
    /// One that a sentence says all of.
    #[must_use]
    pub fn of(message: String) -> Self {
        Self { message, fix: Vec::new(), notes: Vec::new(), near: Vec::new(), has_no_scalars: false }
    }

    /// All of it, for a note: a line each for the sentence, what is to be pasted, and what else is worth to know.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.fix.iter().map(|line| format!("\n    {line}"));
        let notes = self.notes.iter().map(|note| format!("\n    note: {note}"));
        std::iter::once(self.message.clone()).chain(lines).chain(notes).collect()
    }
}

/// What `hptune.objective.run` is to be for a tag, or none where it needs none. No answer: no name of a run leaves only
/// those in which the tag means what was wanted.
fn run_to_name(near: &Same<'_>, of_tag: &[&RunName], selector: &RunSelector) -> Option<Option<String>> {
    if !near.needs_run && near.runs.iter().any(|run| selector.allows(run)) {
        return Some(None);
    }
    let mut runs = near.runs.clone();
    runs.sort_by_key(|run| (!selector.allows(run), run.as_str().matches('/').count()));
    let names = runs.iter().flat_map(|run| {
        // The numbers of one trial's directories, such as dates, are not those of the next one; a fold that was asked
        // for is.
        let has_numbers = !near.has_number_by_run && words(run.as_str()).iter().any(|word| is_number(word));
        let parts = run.as_str().split('/').rev().filter(move |_| has_numbers);
        let parts = parts.filter(|part| !words(part).iter().any(|word| is_number(word)));
        parts.chain(std::iter::once(run.as_str()))
    });
    let mut names = names.filter(|name| {
        let only = RunSelector::glob(&globset::escape(name));
        only.is_ok_and(|only| of_tag.iter().all(|run| near.runs.contains(run) || !only.allows(run)))
    });
    names.next().map(|name| Some(name.to_owned()))
}

fn named(near: &NearTag) -> String {
    match &near.run {
        Some(run) => format!("`{}` of the run `{run}`", near.tag),
        None => format!("`{}`", near.tag),
    }
}

/// `a`, `a or b`, `a, b or c`
fn either(names: &[String]) -> String {
    match names {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        all => all.concat(),
    }
}

/// How a number is written under a tag.
fn writers_lines(tag: &Tag) -> Vec<String> {
    let tag = tag.as_str();
    vec![
        format!("tf.summary.scalar({tag:?}, float(value), step=step)      # TensorFlow 2"),
        format!("writer.add_scalar({tag:?}, float(value), step)           # PyTorch, tensorboardX"),
    ]
}

/// The line of a configuration that names a tag.
#[must_use]
pub fn metric_tag(tag: &str) -> String {
    format!("hyperparameterMetricTag: {}", yaml_text(tag))
}

/// The line of a configuration that names a run.
#[must_use]
pub fn objective_run(run: &str) -> String {
    format!("hptune: {{objective: {{run: {}}}}}", yaml_text(&globset::escape(run)))
}

/// The line of a configuration for the mean of the runs that match a glob.
#[must_use]
pub fn objective_mean(glob: &str) -> String {
    format!("hptune: {{objective: {{run: {}, across: mean}}}}", yaml_text(glob))
}

/// The first of some names, and how many more there are.
#[must_use]
pub fn listed<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let n_more = names.len().saturating_sub(MAX_NAMED);
    let mut shown: Vec<String> = names.take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
    if n_more > 0 {
        shown.push(format!("{n_more} more"));
    }
    shown.join(", ")
}

/// What a kind of content is called in a sentence.
#[must_use]
pub fn of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Scalar => "numbers",
        Kind::Histogram => "histograms",
        Kind::Image => "images",
        Kind::Audio => "sound",
        Kind::Text => "text",
        Kind::Hparams => "hyperparameters",
        Kind::Graph => "graphs",
        Kind::Tensor => "tensors of several elements or none",
        Kind::Complex => "complex numbers",
        Kind::Unread => "tensors of one element that cannot be read",
        Kind::Unknown => "nothing that is known",
    }
}

/// A text as YAML reads it back: in double quotes, as in JSON.
#[must_use]
pub fn yaml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_runs_that_are_not_allowed_the_one_that_would_be_read_is_offered() {
        #[track_caller]
        fn check(runs: &[&str], expected: &str) {
            let runs: Vec<RunName> = runs.iter().map(|run| RunName::from(*run)).collect();
            let missing = wrong_run(&Tag::from("acc"), &runs.iter().collect::<Vec<_>>());
            assert_eq!(missing.fix, [objective_run(expected)]);
        }
        check(&["logs/train", "logs/val"], "logs/val");
        check(&["train", "x"], "x");
        check(&["a/b", "c"], "c");
    }

    #[track_caller]
    fn check(wanted: &str, selector: &RunSelector, there: &[(&str, &str)], message: &str, fix: &[&str]) {
        let there: Vec<(Tag, RunName)> =
            there.iter().map(|(tag, run)| (Tag::from(*tag), RunName::from(*run))).collect();
        let mut places = Places::new();
        for (tag, run) in &there {
            places.entry(tag).or_default().push((run, Kind::Scalar));
        }
        let missing = explain(&Tag::from(wanted), selector, &places);
        assert!(missing.message.contains(message), "{}", missing.message);
        assert_eq!(missing.fix, fix);
        for line in fix {
            assert!(missing.text().contains(line));
        }
    }

    #[test]
    fn a_remedy_names_the_tag_and_the_run_where_it_takes_one() {
        let any = RunSelector::default();
        let keras = [("epoch_loss", "train"), ("epoch_loss", "validation")];
        let tag = "hyperparameterMetricTag: \"epoch_loss\"";
        let run = "hptune: {objective: {run: \"validation\"}}";
        check("val_loss", &any, &keras, "did you mean `epoch_loss` of the run `validation`?", &[tag, run]);
        check("loss", &any, &keras, "did you mean `epoch_loss`?", &[tag]);
        // What the configuration allows is not where it is.
        let other = RunSelector::glob("valid").expect("a glob");
        check("loss", &other, &[("epoch_loss", "validation")], "of the run `validation`", &[tag, run]);
        // The date of one trial is not that of the next.
        let dated = [("epoch_loss", "fit/20260101-1/train"), ("epoch_loss", "fit/20260101-1/validation")];
        check("val_loss", &any, &dated, "of the run `validation`", &[tag, run]);
        check("test_loss", &any, &keras, "none comes close; there are `epoch_loss`", &[]);
    }

    #[test]
    fn a_run_that_no_name_tells_from_others_is_no_remedy() {
        let any = RunSelector::default();
        let there = [("accuracy", "train"), ("accuracy", "val/train/held_out")];
        check("train/accuracy", &any, &there, "none comes close", &[]);
    }

    #[test]
    fn other_quantities_are_named_as_such() {
        let (tag, run) = (Tag::from("Accuracy/test"), RunName::root());
        let places = Places::from([(&tag, vec![(&run, Kind::Scalar)])]);
        let missing = explain(&Tag::from("Accuracy/val"), &RunSelector::default(), &places);
        assert_eq!(missing.fix, Vec::<String>::new());
        let note = "other quantities, which are no remedy: `Accuracy/test` (it is of test data)";
        assert_eq!(missing.notes, [note]);
    }
}
