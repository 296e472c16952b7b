//! Which of several run directories that hold the objective's tag is read.
//!
//! In this order, until one is left:
//!
//! 1. What the trainer reports through the cloudml-hypertune package counts where no event file has the tag.
//! 2. Of directories of one training that was begun anew (`version_0` and `version_1`, dates: names that differ in
//!    numbers alone, of which one was written to its end before the next was begun) the last counts, with all below it.
//! 3. What the names say of the data, in the order of [`Split`]: validation, development, evaluation, held-out and test
//!    data, then names that say nothing, then training data. A word that all names have in common says nothing: below
//!    `training_run/` both `training_run/train` and `training_run/val` are found.
//! 4. The shallowest.
//! 5. Of names that differ in numbers alone (folds, ranks, seeds) the one with the lowest, which is one of several
//!    alike: the mean of all can be asked for.
//! 6. Names that differ in other words are different things. Where each was written to its end before the next was
//!    begun, as by a trainer that names its directories at random and was started again, the last counts. What is
//!    written side by side under unlike names, as by `add_scalars`, nobody can choose from but the user.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::layout::OWN_DIRECTORY;
use crate::objective::{Split, is_number, words};
use crate::units::{RunName, WallTime};

/// Words before a number that make it the number of a fold.
const FOLD_WORDS: [&str; 6] = ["fold", "folds", "kfold", "cv", "split", "splits"];

/// A run directory that holds the tag.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name.
    pub run: &'a RunName,
    /// The clock of the first event of the first of its files. One that is not above 0 says nothing.
    pub started: WallTime,
    /// The latest clock of any of its events; likewise.
    pub last: WallTime,
    /// How many values of the tag it holds.
    pub n_values: u64,
}

/// The run that is read, or why none is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<'a> {
    /// This one.
    Run {
        /// Its name.
        run: &'a RunName,
        /// Why.
        why: Why,
        /// It and those whose names differ from its in numbers alone, in the order in which people count.
        alike: Vec<&'a RunName>,
    },
    /// These hold different things, and no name says which one counts.
    Unlike(Vec<&'a RunName>),
}

/// Why a run is read and not another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There is no other.
    Only,
    /// It is named for these data.
    Split(Split),
    /// Others are named for training.
    OthersTrain,
    /// Others lie deeper.
    Shallowest,
    /// It was begun when the others had ended.
    LastWritten,
    /// It is the first of several folds.
    FirstFold,
    /// It is the first of several that are numbered.
    FirstNumber,
}

/// A candidate with its name in words.
#[derive(Debug, Clone)]
struct Named<'a> {
    candidate: Candidate<'a>,
    /// The words of each directory.
    parts: Vec<Vec<String>>,
}

impl<'a> Named<'a> {
    fn new(candidate: Candidate<'a>) -> Self {
        Self { candidate, parts: candidate.run.as_str().split('/').map(words).collect() }
    }

    fn words(&self) -> impl Iterator<Item = &String> {
        self.parts.iter().flatten()
    }

    /// The name with one mark for every number.
    fn without_numbers(&self) -> String {
        let part = |part: &Vec<String>| {
            let words = part.iter().map(|word| if is_number(word) { "#" } else { word });
            words.collect::<Vec<_>>().join(" ")
        };
        self.parts.iter().map(part).collect::<Vec<_>>().join("/")
    }

    /// As people count: 2 before 10.
    fn compare(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key()).then_with(|| self.candidate.run.cmp(other.candidate.run))
    }

    fn key(&self) -> Vec<(usize, &str)> {
        self.words().map(|word| in_order(word)).collect()
    }

    fn depth(&self) -> usize {
        if self.candidate.run.as_str() == "." { 0 } else { self.parts.len() }
    }

    /// Whether it had ended when another was begun, as far as their clocks tell.
    fn ended_before(&self, other: &Self) -> bool {
        let (last, started) = (self.candidate.last.0, other.candidate.started.0);
        last > 0.0 && started > 0.0 && last < started
    }

    /// Where its name differs from one that is alike but for numbers: the directory, and whether the number is that of a
    /// fold.
    fn differs_at(&self, other: &Self) -> Option<(usize, bool)> {
        let mut before: Option<&String> = None;
        for (at, (part, others)) in self.parts.iter().zip(&other.parts).enumerate() {
            for (word, other) in part.iter().zip(others) {
                if word != other {
                    return Some((at, before.is_some_and(|word| FOLD_WORDS.contains(&word.as_str()))));
                }
                before = Some(word);
            }
        }
        None
    }
}

/// A word with what sorts before it: the number of digits, without leading zeros, or for a word that is no number more
/// than any.
fn in_order(word: &str) -> (usize, &str) {
    let digits = word.trim_start_matches('0');
    (if is_number(word) { digits.len() } else { usize::MAX }, digits)
}

/// The order of what names say, best first.
pub(super) fn preference(split: Option<Split>) -> (u8, Option<Split>) {
    match split {
        Some(Split::Train) => (2, split),
        None => (1, split),
        Some(_) => (0, split),
    }
}

/// The better of two splits that names may tell, where one is: as for candidates, what says nothing comes before training.
#[must_use]
pub fn is_preferred(split: Option<Split>, to: Option<Split>) -> bool {
    preference(split) < preference(to)
}

/// The one of some runs to read; `None` where there is none. Where `are_joined`, a training that was begun anew makes
/// nothing void: the runs are to be put together.
#[must_use]
pub fn choose<'a>(
    candidates: impl IntoIterator<Item = Candidate<'a>>,
    are_joined: bool,
) -> Option<Choice<'a>> {
    let mut named: Vec<Named<'a>> = candidates.into_iter().map(Named::new).collect();
    if let [only] = &*named {
        let run = only.candidate.run;
        return Some(Choice::Run { run, why: Why::Only, alike: vec![run] });
    }
    let is_metrics_file =
        |named: &Named<'_>| named.candidate.run.as_str().rsplit('/').next() == Some(OWN_DIRECTORY);
    if !named.iter().all(is_metrics_file) {
        named.retain(|named| !is_metrics_file(named));
    }
    let n_before = named.len();
    if !are_joined {
        drop_superseded(&mut named);
    }
    let mut why = if named.len() < n_before { Why::LastWritten } else { Why::Only };
    why = keep_best_split(&mut named).unwrap_or(why);
    if let Some(least) = named.iter().map(Named::depth).min() {
        let n = named.len();
        named.retain(|named| named.depth() == least);
        why = if named.len() < n { Why::Shallowest } else { why };
    }
    named.sort_by(Named::compare);
    let alike: Vec<&RunName> = named.iter().map(|named| named.candidate.run).collect();
    let first = named.first()?;
    let pattern = first.without_numbers();
    if named.iter().all(|named| named.without_numbers() == pattern) {
        if let Some((_, is_fold)) = named.get(1).and_then(|second| first.differs_at(second)) {
            why = if is_fold { Why::FirstFold } else { Why::FirstNumber };
        }
        return Some(Choice::Run { run: first.candidate.run, why, alike });
    }
    named.sort_by(|a, b| a.candidate.started.0.total_cmp(&b.candidate.started.0));
    let follow = |pair: &[Named<'_>]| match pair {
        [a, b] => a.ended_before(b) && a.candidate.n_values > 1,
        _ => false,
    };
    match named.last() {
        Some(last) if named.windows(2).all(follow) => {
            let run = last.candidate.run;
            Some(Choice::Run { run, why: Why::LastWritten, alike: vec![run] })
        }
        _ => Some(Choice::Unlike(alike)),
    }
}

/// Those of some runs whose names tell of the data that are preferred, in the order in which people count.
#[must_use]
pub fn of_best_split<'a>(candidates: impl IntoIterator<Item = Candidate<'a>>) -> Vec<&'a RunName> {
    let mut named: Vec<Named<'a>> = candidates.into_iter().map(Named::new).collect();
    keep_best_split(&mut named);
    named.sort_by(Named::compare);
    named.into_iter().map(|named| named.candidate.run).collect()
}

/// Leaves out the directories of a training that was begun anew in another, with all that lies in them.
fn drop_superseded(named: &mut Vec<Named<'_>>) {
    let mut groups: BTreeMap<String, Vec<&Named<'_>>> = BTreeMap::new();
    for one in named.iter() {
        groups.entry(one.without_numbers()).or_default().push(one);
    }
    let mut superseded: BTreeSet<Vec<String>> = BTreeSet::new();
    for group in groups.into_values() {
        let begun = |named: &&&Named<'_>| named.candidate.started.0;
        let Some(latest) = group.iter().max_by(|a, b| begun(a).total_cmp(&begun(b))) else { continue };
        for one in group.iter().filter(|one| one.ended_before(latest)) {
            if let Some((at, false)) = one.differs_at(latest) {
                let names = one.candidate.run.as_str().split('/').take(at + 1);
                superseded.insert(names.map(str::to_owned).collect());
            }
        }
    }
    if superseded.is_empty() {
        return;
    }
    named.retain(|one| {
        let mut above = Vec::new();
        !one.candidate.run.as_str().split('/').any(|name| {
            above.push(name.to_owned());
            superseded.contains(&above)
        })
    });
}

/// Keeps those whose names tell of the data that are preferred, and says why, where others are left out.
fn keep_best_split(named: &mut Vec<Named<'_>>) -> Option<Why> {
    let mut shared: BTreeSet<String> = named.first()?.words().cloned().collect();
    for one in named.iter().skip(1) {
        let own: BTreeSet<&String> = one.words().collect();
        shared.retain(|word| own.contains(word));
    }
    let split = |named: &Named<'_>| {
        let own: Vec<String> = named.words().filter(|word| !shared.contains(*word)).cloned().collect();
        Split::of_words(&own)
    };
    let splits: Vec<Option<Split>> = named.iter().map(split).collect();
    let best = splits.iter().copied().min_by_key(|split| preference(*split))?;
    let n_before = named.len();
    let mut of = splits.iter();
    named.retain(|_| of.next() == Some(&best));
    (named.len() < n_before).then(|| best.map_or(Why::OthersTrain, Why::Split))
}

/// A glob that some names match which differ in numbers alone: `fold_*` for `fold_0` and `fold_1`.
#[must_use]
pub fn pattern_of(alike: &[&RunName]) -> String {
    let Some((first, others)) = alike.split_first() else { return String::new() };
    // As its words, with what stands between them.
    let pieces = |name: &str| {
        let mut pieces: Vec<String> = Vec::new();
        for c in name.chars() {
            match pieces.last_mut() {
                Some(piece) if piece.starts_with(char::is_numeric) == c.is_numeric() => piece.push(c),
                _ => pieces.push(c.to_string()),
            }
        }
        pieces
    };
    let others: Vec<Vec<String>> = others.iter().map(|name| pieces(name.as_str())).collect();
    let mut pattern = String::new();
    for (at, piece) in pieces(first.as_str()).into_iter().enumerate() {
        let is_shared = others.iter().all(|other| other.get(at) == Some(&piece));
        pattern.push_str(&if is_shared { globset::escape(&piece) } else { "*".to_owned() });
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates that were written side by side.
    #[track_caller]
    fn check(runs: &[&str], expected: &str, why: Why) {
        let names: Vec<RunName> = runs.iter().map(|run| RunName::from(*run)).collect();
        let mut candidates: Vec<Candidate<'_>> = names
            .iter()
            .map(|run| Candidate { run, started: WallTime(100.0), last: WallTime(200.0), n_values: 5 })
            .collect();
        for _ in 0..2 {
            match choose(candidates.iter().copied(), false) {
                Some(Choice::Run { run, why: got, .. }) => {
                    assert_eq!((run.as_str(), got), (expected, why), "{runs:?}")
                }
                other => panic!("{runs:?}: {other:?}"),
            }
            candidates.reverse();
        }
    }

    /// Candidates each of which was written to its end before the next was begun.
    fn in_turn(names: &[RunName]) -> impl Iterator<Item = Candidate<'_>> {
        names.iter().enumerate().map(|(i, run)| {
            let started = WallTime(100.0 * (i + 1) as f64);
            Candidate { run, started, last: WallTime(started.0 + 50.0), n_values: 5 }
        })
    }

    fn names(runs: &[&str]) -> Vec<RunName> {
        runs.iter().map(|run| RunName::from(*run)).collect()
    }

    #[track_caller]
    fn check_in_turn(runs: &[&str], expected: &str, why: Why) {
        let names = names(runs);
        match choose(in_turn(&names), false) {
            Some(Choice::Run { run, why: got, .. }) => {
                assert_eq!((run.as_str(), got), (expected, why), "{runs:?}")
            }
            other => panic!("{runs:?}: {other:?}"),
        }
    }

    #[test]
    fn what_names_say_of_the_data_decides() {
        let validation = Why::Split(Split::Validation);
        for runs in [["train", "val"], ["Train", "Val"], ["a_train", "a_val"], ["loss_train", "loss_val"]] {
            check(&runs, runs[1], validation);
        }
        check(&["train", "val_0"], "val_0", validation);
        check(&["trainLoss", "validationLoss"], "validationLoss", validation);
        check(&["train", "val", "test"], "val", validation);
        check(&["test", "dev", "train"], "dev", Why::Split(Split::Development));
        check(&["test", "eval"], "eval", Why::Split(Split::Evaluation));
        check(&["hold_out", "test"], "hold_out", Why::Split(Split::HoldOut));
        check(&["test", "."], "test", Why::Split(Split::Test));
        check(&["train", "."], ".", Why::OthersTrain);
        check(&["train", "policy"], "policy", Why::OthersTrain);
        check(&["a/train", "b"], "b", Why::OthersTrain);
        check(&["eval/train", "eval/valid"], "eval/valid", validation);
    }

    #[test]
    fn what_all_names_have_in_common_says_nothing() {
        let validation = Why::Split(Split::Validation);
        check(&["training_run/train", "training_run/val"], "training_run/val", validation);
        check(&["val_exp/train", "val_exp/other"], "val_exp/other", Why::OthersTrain);
        check(&["test_bed/metrics/val", "test_bed/metrics/train"], "test_bed/metrics/val", validation);
    }

    #[test]
    fn of_names_alike_the_shallowest_and_then_the_lowest_number_counts() {
        check(&[".", "extra"], ".", Why::Shallowest);
        check(&["val", "val/per_class"], "val", Why::Shallowest);
        check(&["fold_2", "fold_10", "fold_1"], "fold_1", Why::FirstFold);
        check(&["fold_1/train", "fold_1/val", "fold_0/train", "fold_0/val"], "fold_0/val", Why::FirstFold);
        check(&["rank_10", "rank_9"], "rank_9", Why::FirstNumber);
        check(&["validation_0", "validation_1"], "validation_0", Why::FirstNumber);
        check(&[".hptune", "loss"], "loss", Why::Only);
    }

    #[test]
    fn unlike_curves_side_by_side_are_not_guessed_from() {
        let names = names(&["loss_policy", "loss_value", "loss_entropy"]);
        let side_by_side = |run| Candidate { run, started: WallTime(1.0), last: WallTime(2.0), n_values: 9 };
        let choice = choose(names.iter().map(side_by_side), false);
        let expected = Choice::Unlike(vec![&names[2], &names[0], &names[1]]);
        assert_eq!(choice, Some(expected));
        // One value each, one after the other, is what one step looks like.
        let once = in_turn(&names).map(|candidate| Candidate { n_values: 1, ..candidate });
        assert!(matches!(choose(once, false), Some(Choice::Unlike(_))));
        // Clocks that say nothing.
        let without = in_turn(&names).map(|c| Candidate { started: WallTime(0.0), last: WallTime(0.0), ..c });
        assert!(matches!(choose(without, false), Some(Choice::Unlike(_))));
    }

    #[test]
    fn of_directories_of_one_training_the_last_written_counts() {
        let last = Why::LastWritten;
        check_in_turn(&["PPO_1", "PPO_2", "PPO_10"], "PPO_10", last);
        check_in_turn(&["version_9", "version_10"], "version_10", last);
        check_in_turn(&["20261127-001500", "20261127-002000"], "20261127-002000", last);
        check_in_turn(&["keen_fox", "wild_goose"], "wild_goose", last);
        // The new one has not been validated yet.
        check_in_turn(&["version_0/val", "version_0/train", "version_1/train"], "version_1/train", last);
        // Folds come in turn and are no new beginning.
        check_in_turn(&["fold_0", "fold_1", "fold_2"], "fold_0", Why::FirstFold);
        // Test data at the end are no new beginning either.
        check_in_turn(&["val", "test"], "val", Why::Split(Split::Validation));
    }

    #[test]
    fn runs_alike_have_a_pattern() {
        #[track_caller]
        fn check(runs: &[&str], expected: &str) {
            let names = names(runs);
            assert_eq!(pattern_of(&names.iter().collect::<Vec<_>>()), expected);
        }
        check(&["fold_0", "fold_1", "fold_12"], "fold_*");
        check(&["a1/fold0/val", "a1/fold1/val"], "a1/fold*/val");
        check(&["x[1]2", "x[1]3"], "x[[]1[]]*");
    }
}
