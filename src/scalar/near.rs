//! Which tags that are there mean what one that is not there was to mean.
//!
//! Names are compared as sets of words, with the words of the run directory counted: a callback of Keras writes what its
//! user knows as `val_accuracy` under the tag `epoch_accuracy` in the run `validation`. A tag means the same where it, or
//! its run, has every word of the wanted name, its numbers, and its split; what frameworks add (`epoch_`, `batch_`) does
//! not count. Everything else that comes close is another quantity, and nothing to tune instead.

use std::collections::BTreeMap;

use super::meaning::{Meaning, Word};
use super::words::Split;
use crate::units::{RunName, Tag};

/// How many tags are named of either sort.
const N_NAMED: usize = 3;

/// How alike two words must be to be taken for one that was spelled wrong: one change in so many letters.
const LETTERS_A_CHANGE: usize = 5;

/// The shortest word that may be spelled wrong by a letter too many or too few.
const MIN_MISSPELLED: usize = 4;

/// What comes close to a wanted name.
#[derive(Debug, Clone, Default)]
pub struct Nearby<'a> {
    /// Tags that mean the same, the nearest first, at most three.
    pub same: Vec<Same<'a>>,
    /// Tags that share words with it and mean something else, at most three.
    pub others: Vec<Other<'a>>,
}

/// A tag that means what was wanted.
#[derive(Debug, Clone)]
pub struct Same<'a> {
    /// The tag.
    pub tag: &'a Tag,
    /// How its name differs.
    pub how: NearMiss,
    /// The runs in which it means that.
    pub runs: Vec<&'a RunName>,
    /// In its other runs it means something else, or it means that only together with the run's name.
    pub needs_run: bool,
}

/// A tag that shares words with what was wanted, and is something else.
#[derive(Debug, Clone)]
pub struct Other<'a> {
    /// The tag.
    pub tag: &'a Tag,
    /// The runs in which it is that.
    pub runs: Vec<&'a RunName>,
    /// What makes it something else, as a clause: `it is of test data`.
    pub why: String,
}

/// How a tag that is there differs from the one that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NearMiss {
    /// Only upper and lower case differ.
    Case,
    /// The writer replaced characters: `Episode_/_Total__mean_`.
    Characters,
    /// A counter stands behind it, as graphs number what is made twice: `accuracy_1`.
    Counter,
    /// The same words, some of them abbreviated or in another order: `acc` and `accuracy`.
    Words,
    /// It has a scope or a prefix: `train/accuracy`, `epoch_acc`.
    Scope,
    /// What is missing is in the name of its run.
    Run,
    /// It is spelled alike.
    Spelling,
}

impl NearMiss {
    /// What it means, for people.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Case => "upper and lower case differ",
            Self::Characters => "the writer replaced characters",
            Self::Counter => "the writer added a counter: the summary was made more than once",
            Self::Words => "it has other words for the same",
            Self::Scope => "the name stands with a scope or a prefix, or without one",
            Self::Run => "the run directory stands in the tag that was looked for",
            Self::Spelling => "it is spelled alike",
        }
    }
}

/// What of `places`, tags that hold numbers with their runs, comes close to `wanted`.
pub fn nearby<'a>(wanted: &str, places: impl Iterator<Item = (&'a Tag, &'a RunName)>) -> Nearby<'a> {
    let wanted = Meaning::of(wanted);
    let mut runs: BTreeMap<&RunName, Meaning> = BTreeMap::new();
    let mut tags: BTreeMap<&Tag, (Meaning, Vec<&RunName>)> = BTreeMap::new();
    for (tag, run) in places.filter(|(tag, _)| tag.as_str() != wanted.name) {
        runs.entry(run).or_insert_with(|| Meaning::of(run.as_str()));
        tags.entry(tag).or_insert_with(|| (Meaning::of(tag.as_str()), Vec::new())).1.push(run);
    }
    let mut same: Vec<(Rank, Same<'a>)> = Vec::new();
    let mut others: BTreeMap<(usize, &Tag, String), Vec<&RunName>> = BTreeMap::new();
    for (tag, (meaning, of_tag)) in tags {
        let n_runs = of_tag.len();
        let mut found: Option<(Rank, Same<'a>)> = None;
        for run in of_tag {
            let Some(of_run) = runs.get(run) else { continue };
            match compare(&wanted, &meaning, of_run) {
                Compared::Same(rank, how, is_by_run) => match &mut found {
                    Some((best, same)) => {
                        same.runs.push(run);
                        same.needs_run |= is_by_run;
                        if rank < *best {
                            (*best, same.how) = (rank, how);
                        }
                    }
                    None => found = Some((rank, Same { tag, how, runs: vec![run], needs_run: is_by_run })),
                },
                Compared::Other(n_lacking, why) => {
                    others.entry((n_lacking, tag, why)).or_default().push(run);
                }
                Compared::Nothing => {}
            }
        }
        if let Some((_, same)) = &mut found {
            same.needs_run |= same.runs.len() < n_runs;
        }
        same.extend(found);
    }
    same.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.tag.cmp(y.tag)));
    Nearby {
        same: same.into_iter().take(N_NAMED).map(|(_, same)| same).collect(),
        others: others
            .into_iter()
            .take(N_NAMED)
            .map(|((_, tag, why), runs)| Other { tag, runs, why })
            .collect(),
    }
}

/// The tags of `seen` that a user may have meant by `wanted`, nearest first, at most three.
pub fn near_misses<'a>(wanted: &str, seen: impl Iterator<Item = &'a Tag>) -> Vec<&'a Tag> {
    let root = RunName::root();
    let seen: Vec<&Tag> = seen.collect();
    let names: BTreeMap<&str, &'a Tag> = seen.iter().map(|tag| (tag.as_str(), *tag)).collect();
    let near = nearby(wanted, seen.into_iter().map(|tag| (tag, &root)));
    near.same.iter().filter_map(|same| names.get(same.tag.as_str()).copied()).collect()
}

/// Whether a tag is named for something that trials can be compared by: not for a counter of steps, nor a learning rate.
#[must_use]
pub fn measures(tag: &str) -> bool {
    !Meaning::of(tag).is_counter()
}

/// How far a tag that means the same is from what was wanted, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    n_misspelled: usize,
    n_extra: usize,
    is_other_split: bool,
    /// How many words of frameworks it lacks, and has beyond the wanted name's.
    n_frame: (usize, usize),
    how: NearMiss,
    /// Validation data before test data, training data last.
    split: (bool, Option<Split>),
}

enum Compared {
    /// It means the same; whether that takes the name of the run.
    Same(Rank, NearMiss, bool),
    /// It is something else, and lacks so many words.
    Other(usize, String),
    /// Nothing of the wanted name is in it.
    Nothing,
}

fn compare(wanted: &Meaning, tag: &Meaning, run: &Meaning) -> Compared {
    let is_squashed = !wanted.squashed.is_empty() && wanted.squashed == tag.squashed;
    let split = tag.split.or(run.split);
    let in_tag: Vec<&Word> = tag.core.iter().chain(&tag.splits).collect();
    let mut hits = vec![Hit::Nothing; wanted.core.len()];
    find(&wanted.core, &in_tag, &mut hits);
    if hits.iter().all(|hit| *hit == Hit::Nothing) && !is_squashed {
        return Compared::Nothing;
    }
    let is_by_words = hits.contains(&Hit::Nothing);
    find(&wanted.core, &run.core.iter().chain(&run.splits).collect::<Vec<_>>(), &mut hits);
    let lacking: Vec<&str> = (wanted.core.iter().zip(&hits))
        .filter(|(_, hit)| **hit == Hit::Nothing)
        .map(|(word, _)| word.raw.as_str())
        .chain(
            wanted
                .numbers
                .iter()
                .filter(|n| !tag.numbers.contains(n) && !run.numbers.contains(n))
                .map(String::as_str),
        )
        .collect();
    let other = |why: String| Compared::Other(lacking.len() + 1, why);
    if tag.is_counter() {
        return other("it counts or sets, and measures nothing".to_owned());
    }
    if is_squashed {
        let how = if wanted.name.to_lowercase() == tag.name.to_lowercase() {
            NearMiss::Case
        } else {
            NearMiss::Characters
        };
        let split = (tag.split == Some(Split::Train), tag.split);
        let rank = Rank { n_misspelled: 0, n_extra: 0, is_other_split: false, n_frame: (0, 0), how, split };
        return Compared::Same(rank, how, false);
    }
    if let Some(of) = wanted.split
        && split.map(data) != Some(data(of))
    {
        let why = match split {
            Some(split) => format!("it is of {} data", data(split)),
            None => format!("nothing says that it is of {} data", data(of)),
        };
        return other(why);
    }
    if !lacking.is_empty() {
        return other(format!("`{}` is not in its name", lacking.join("`, `")));
    }
    let is_wanted = |word: &&Word| {
        let mut hit = [Hit::Nothing];
        find(std::slice::from_ref(*word), &wanted.core.iter().collect::<Vec<_>>(), &mut hit);
        hit != [Hit::Nothing]
    };
    let joined: String = wanted.core.iter().map(|word| word.plain.as_str()).collect();
    let extra: Vec<&Word> =
        tag.core.iter().filter(|word| !is_wanted(word) && !joined.contains(&word.plain)).collect();
    if let Some(word) = extra.iter().find(|word| word.is_qualifier()) {
        return other(format!("`{}` makes it another quantity", word.raw));
    }
    let more_numbers: Vec<&String> = tag.numbers.iter().filter(|n| !wanted.numbers.contains(n)).collect();
    if let (Some(number), false) = (more_numbers.first(), wanted.numbers.is_empty()) {
        return other(format!("`{number}` makes it another quantity"));
    }
    let n_misspelled = hits.iter().filter(|hit| **hit == Hit::Misspelled).count();
    let is_number_by_run = wanted.numbers.iter().any(|number| !tag.numbers.contains(number));
    let is_by_run = is_by_words || is_number_by_run || (wanted.split.is_some() && tag.split.is_none());
    let n_beyond =
        |one: &Meaning, other: &Meaning| one.frame.iter().filter(|word| !other.frame.contains(word)).count();
    let n_frame = (n_beyond(wanted, tag), n_beyond(tag, wanted));
    let how = if is_by_run {
        NearMiss::Run
    } else if n_misspelled > 0 {
        NearMiss::Spelling
    } else if is_counted(wanted.name, tag.name) {
        NearMiss::Counter
    } else if extra.is_empty() && n_frame == (0, 0) && more_numbers.is_empty() {
        NearMiss::Words
    } else {
        NearMiss::Scope
    };
    let rank = Rank {
        n_misspelled,
        n_extra: extra.len() + more_numbers.len(),
        is_other_split: wanted.split.is_some() && wanted.split != split,
        n_frame,
        how,
        split: (split == Some(Split::Train), split),
    };
    Compared::Same(rank, how, is_by_run)
}

/// Whether `seen` is `wanted` with a counter: `accuracy_1`.
fn is_counted(wanted: &str, seen: &str) -> bool {
    let stem = seen.trim_end_matches(|c: char| c.is_ascii_digit());
    stem.len() < seen.len() && stem.strip_suffix('_') == Some(wanted)
}

/// What the user calls the data; who looks for `eval_loss` is served by `val_loss`.
fn data(split: Split) -> &'static str {
    match split {
        Split::Validation | Split::Development | Split::Evaluation => "validation",
        Split::HoldOut => "held-out",
        Split::Test => "test",
        Split::Train => "training",
    }
}

/// How a wanted word was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    Nothing,
    Misspelled,
    Whole,
}

/// Looks for the words of `wanted` that were not found yet among `there`, in one word or in several that stand together.
fn find(wanted: &[Word], there: &[&Word], hits: &mut [Hit]) {
    let plain = |words: &[&Word]| words.iter().map(|word| word.plain.as_str()).collect::<String>();
    let wanted_words: Vec<&Word> = wanted.iter().collect();
    for (at, word) in wanted.iter().enumerate() {
        let is_there = there.iter().any(|other| other.plain == word.plain)
            || (2..=3).any(|n| there.windows(n).any(|words| plain(words) == word.plain));
        // `logloss` where `log_loss` was looked for.
        let is_part = (2..=3).any(|n| {
            let mut windows = wanted_words.windows(n).enumerate();
            windows.any(|(first, words)| {
                (first..first + n).contains(&at) && there.iter().any(|other| other.plain == plain(words))
            })
        });
        let is_misspelled = || there.iter().any(|other| is_misspelled(word, other));
        if let Some(hit) = hits.get_mut(at).filter(|hit| **hit == Hit::Nothing) {
            if is_there || is_part {
                *hit = Hit::Whole;
            } else if is_misspelled() {
                *hit = Hit::Misspelled;
            }
        }
    }
}

/// Whether two words are one, spelled wrong on one side. Two that are known are two.
fn is_misspelled(word: &Word, other: &Word) -> bool {
    if word.is_known && other.is_known {
        return false;
    }
    let (a, b) = (word.raw.as_str(), other.raw.as_str());
    let (n_a, n_b) = (a.chars().count(), b.chars().count());
    let longest = n_a.max(n_b);
    let distance = strsim::damerau_levenshtein(a, b);
    distance <= longest / LETTERS_A_CHANGE || (distance == 1 && n_a != n_b && longest >= MIN_MISSPELLED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wanted: &str, places: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let places: Vec<(Tag, RunName)> =
            places.iter().map(|(tag, run)| (Tag::from(*tag), RunName::from(*run))).collect();
        let near = nearby(wanted, places.iter().map(|(tag, run)| (tag, run)));
        let same = near.same.iter().map(|same| match &*same.runs {
            [run, ..] if same.needs_run => format!("{} in {run}", same.tag),
            _ => same.tag.to_string(),
        });
        (same.collect(), near.others.iter().map(|other| other.tag.to_string()).collect())
    }

    #[track_caller]
    fn check(wanted: &str, places: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(shown(wanted, places).0, expected);
    }

    #[track_caller]
    fn check_tags(wanted: &str, tags: &[&str], expected: &[&str]) {
        check(wanted, &tags.iter().map(|tag| (*tag, ".")).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn changed_names_are_found() {
        check_tags("accuracy", &["accuracy_1", "loss"], &["accuracy_1"]);
        check_tags("acc", &["epoch_acc", "epoch_loss"], &["epoch_acc"]);
        check_tags("Episode / Total (mean)", &["Episode_/_Total__mean_"], &["Episode_/_Total__mean_"]);
        check_tags("metric", &["metric/scalar_summary"], &["metric/scalar_summary"]);
        check_tags("Accuracy", &["accuracy"], &["accuracy"]);
        check_tags("val_accuracy", &["val_acuracy"], &["val_acuracy"]);
        check_tags("accc", &["acc"], &["acc"]);
        check_tags("accuracy", &["loss", "lr", "accuracy"], &[]);
        check_tags("vaildation_loss", &["validation_loss"], &["validation_loss"]);
    }

    #[test]
    fn the_words_of_the_field_are_one_however_they_are_written() {
        check_tags("epoch_acc", &["epoch_accuracy", "epoch_loss"], &["epoch_accuracy"]);
        check_tags("val_accuracy", &["val_acc", "val_loss", "train_acc"], &["val_acc"]);
        check_tags("validation/accuracy", &["Accuracy/val", "Accuracy/train"], &["Accuracy/val"]);
        check_tags("valLoss", &["loss/validation"], &["loss/validation"]);
        check_tags("valloss", &["val_loss"], &["val_loss"]);
        check_tags("eval_loss", &["eval/loss", "train/loss"], &["eval/loss"]);
        check_tags("val_mse", &["val_mean_squared_error"], &["val_mean_squared_error"]);
        check_tags("val_mAP", &["val/map"], &["val/map"]);
        check_tags("mean_iou", &["mIoU"], &["mIoU"]);
        check_tags("mean_reward", &["rollout/ep_rew_mean", "rollout/ep_len_mean"], &["rollout/ep_rew_mean"]);
        check_tags("logloss", &["log_loss"], &["log_loss"]);
        check_tags("log_loss", &["LogLoss"], &["LogLoss"]);
    }

    #[test]
    fn the_words_of_the_run_count() {
        let keras = [
            ("epoch_loss", "train"),
            ("epoch_accuracy", "train"),
            ("epoch_learning_rate", "train"),
            ("epoch_loss", "validation"),
            ("epoch_accuracy", "validation"),
            ("evaluation_loss_vs_iterations", "validation"),
        ];
        check("val_accuracy", &keras, &["epoch_accuracy in validation"]);
        check("val_acc", &keras, &["epoch_accuracy in validation"]);
        check("train_acc", &keras, &["epoch_accuracy in train"]);
        check("acc", &keras, &["epoch_accuracy"]);
        check("val_loss", &keras, &["epoch_loss in validation", "evaluation_loss_vs_iterations"]);
        let estimator = [("accuracy", "."), ("accuracy", "eval")];
        check("eval/accuracy", &estimator, &["accuracy in eval"]);
        check(
            "losses/train",
            &[("losses", "losses/train"), ("losses", "losses/test")],
            &["losses in losses/train"],
        );
        check("train/accuracy", &[("accuracy", "train"), ("accuracy", "test")], &["accuracy in train"]);
        check("a/acc", &[("acc", "a"), ("acc", "b")], &["acc in a"]);
    }

    #[test]
    fn another_quantity_is_no_remedy() {
        #[track_caller]
        fn check(wanted: &str, places: &[(&str, &str)], others: &[&str]) {
            let (same, shown) = shown(wanted, places);
            assert_eq!((same.len(), shown), (0, others.iter().map(ToString::to_string).collect()));
        }
        check("Accuracy/val", &[("Accuracy/test", "."), ("Loss/test", ".")], &["Accuracy/test"]);
        check("val_accuracy", &[("accuracy", "train")], &["accuracy"]);
        check("val_accuracy", &[("accuracy", ".")], &["accuracy"]);
        check("top_5_accuracy", &[("top_1_accuracy", ".")], &["top_1_accuracy"]);
        check("accuracy_1", &[("accuracy", ".")], &["accuracy"]);
        check("mAP50", &[("mAP50-95", ".")], &["mAP50-95"]);
        check("policy_loss", &[("value_loss", ".")], &["value_loss"]);
        check("loss", &[("loss_scale", "."), ("lr", ".")], &["loss_scale"]);
        check("val_loss_epoch", &[("train_loss_step", "."), ("epoch", ".")], &["train_loss_step"]);
    }

    #[test]
    fn counters_and_learning_rates_are_never_a_remedy() {
        let places = [
            ("epoch", "."),
            ("step", "."),
            ("global_step", "."),
            ("iterations", "."),
            ("lr", "."),
            ("lr-Adam/pg1", "."),
            ("epoch_learning_rate", "."),
            ("train_loss_step", "."),
            ("val_acc", "."),
            ("val_acc_epoch/dataloader_idx_0", "."),
        ];
        for wanted in
            ["val_loss_epoch", "valid_loss_step", "learning_rate", "Epoch", "steps", "iteration", "rate"]
        {
            check(wanted, &places, &[]);
        }
        check("val_acc_epoch", &places, &["val_acc_epoch/dataloader_idx_0", "val_acc"]);
    }

    #[test]
    fn it_is_told_how_a_tag_differs() {
        #[track_caller]
        fn check(wanted: &str, seen: &str, expected: NearMiss) {
            let (tag, run) = (Tag::from(seen), RunName::from("x"));
            let near = nearby(wanted, std::iter::once((&tag, &run)));
            assert_eq!(near.same.first().map(|same| same.how), Some(expected), "{seen}");
        }
        check("accuracy", "accuracy_1", NearMiss::Counter);
        check("acc", "epoch_acc", NearMiss::Scope);
        check("acc", "accuracy", NearMiss::Words);
        check("x/acc", "acc", NearMiss::Run);
        check("Episode / Total (mean)", "Episode_/_Total__mean_", NearMiss::Characters);
        check("Accuracy", "accuracy", NearMiss::Case);
        check("accuracy", "acuracy", NearMiss::Spelling);
    }
}
