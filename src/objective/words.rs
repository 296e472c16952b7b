//! Names of runs and tags as words, and the words by which people say what data a value was measured on.
//!
//! One table serves run directories (`loss_val`, `Eval/epoch 3`) and tags (`val_loss`, `Loss/train`).

use crate::units::RunName;

/// The words of a name, in lower case and in their order: what stands between characters that are neither letters nor
/// digits, between letters and digits, and between the humps of `ValLoss` or `HTTPError`. Numbers are words of their
/// own, written as in the name.
#[must_use]
pub fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    for (i, c) in chars.iter().copied().enumerate() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        let begins = before.is_none_or(|before| {
            let is_followed_by_lower = chars.get(i + 1).is_some_and(|next| next.is_lowercase());
            before.is_numeric() != c.is_numeric()
                || (c.is_uppercase() && (before.is_lowercase() || is_followed_by_lower))
        });
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    words
}

/// Whether a word is a number.
#[must_use]
pub fn is_number(word: &str) -> bool {
    word.starts_with(char::is_numeric)
}

/// The data that values were measured on, in the order in which a tuning job prefers them.
///
/// A job selects trials by what it reads. Validation data are there for that, and development data are the same under
/// the name that speech and language processing gives them. Evaluation is what estimators and trainers call any
/// measurement beside the training. What is held out may be kept for a last look, and test data are: who selects by
/// them has no unbiased figure left, so they are read only where nothing better is there. What was measured on the
/// training data rewards overfitting and comes last, behind runs whose names say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// `val`, `valid`, `validation`, `cv`, …
    Validation,
    /// `dev`, `development`, …
    Development,
    /// `eval`, `evaluation`, …
    Evaluation,
    /// `holdout`, `held_out`, …
    HoldOut,
    /// `test`, `testing`, …
    Test,
    /// `train`, `training`, …
    Train,
}

/// Each split with the words for it.
const SPLIT_WORDS: [(Split, &[&str]); 6] = [
    (
        Split::Validation,
        &[
            "val",
            "vals",
            "vali",
            "valid",
            "validate",
            "validated",
            "validating",
            "validation",
            "validations",
            "vld",
            "vd",
            "cv",
            "crossval",
            "xval",
            "oof",
        ],
    ),
    (Split::Development, &["dev", "devel", "develop", "development"]),
    (
        Split::Evaluation,
        &["eval", "evals", "evaluate", "evaluated", "evaluating", "evaluation", "evaluations", "evaluator"],
    ),
    (Split::HoldOut, &["holdout", "heldout"]),
    (Split::Test, &["test", "tests", "testing", "tst"]),
    (Split::Train, &["train", "training", "trained", "trn", "tr"]),
];

/// Words of [`SPLIT_WORDS`] that have two parts.
const SPLIT_PAIRS: [(&str, &str, Split); 2] =
    [("hold", "out", Split::HoldOut), ("held", "out", Split::HoldOut)];

/// What people glue to a split: `valset`, `trainloss`.
const GLUED: [&str; 15] = [
    "set", "sets", "data", "dataset", "ds", "loader", "dl", "split", "loss", "losses", "acc", "accuracy",
    "err", "error", "metrics",
];

/// The shortest word that something may be glued to: `trloss` may be anything.
const MIN_GLUED: usize = 3;

impl Split {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Development => "development",
            Self::Evaluation => "evaluation",
            Self::HoldOut => "hold-out",
            Self::Test => "test",
            Self::Train => "training",
        }
    }

    /// The split that one word names.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let exact =
            |word: &str| SPLIT_WORDS.iter().find(|(_, words)| words.contains(&word)).map(|(split, _)| *split);
        exact(word).or_else(|| {
            let stem = GLUED.iter().find_map(|glued| word.strip_suffix(glued))?;
            exact(stem).filter(|_| stem.len() >= MIN_GLUED)
        })
    }

    /// The split that the name of a run stands for.
    #[must_use]
    pub fn of_run(run: &RunName) -> Option<Self> {
        Self::of_words(&words(run.as_str()))
    }

    /// Each word for a split, with it.
    pub(super) fn all_words() -> impl Iterator<Item = (Self, &'static str)> {
        SPLIT_WORDS.into_iter().flat_map(|(split, words)| words.iter().map(move |word| (split, *word)))
    }

    /// What is glued to the split that one word names: `loss` in `valloss`.
    #[must_use]
    pub fn glued_to(word: &str) -> Option<&'static str> {
        let is_exact = SPLIT_WORDS.iter().any(|(_, words)| words.contains(&word));
        GLUED
            .into_iter()
            .find(|glued| !is_exact && word.ends_with(glued))
            .filter(|_| Self::of_word(word).is_some())
    }

    /// The splits that words name: the number of the first word, how many words it is, and the split.
    pub fn all(words: &[String]) -> impl DoubleEndedIterator<Item = (usize, usize, Self)> {
        (0..words.len()).filter_map(|at| {
            let word = words.get(at)?;
            let before = at.checked_sub(1).and_then(|before| words.get(before)).map(String::as_str);
            if word == "dev" && matches!(before, Some("std" | "standard")) {
                // A deviation.
                return None;
            }
            if let Some(split) = Self::of_word(word) {
                return Some((at, 1, split));
            }
            let next = words.get(at + 1)?;
            let pair = SPLIT_PAIRS.iter().find(|(first, second, _)| first == word && second == next);
            pair.map(|(_, _, split)| (at, 2, *split))
        })
    }

    /// The split that a name as a whole stands for: the last that it names, which is the innermost directory's.
    #[must_use]
    pub fn of_words(words: &[String]) -> Option<Self> {
        Self::all(words).next_back().map(|(_, _, split)| split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_words() {
        #[track_caller]
        fn check(name: &str, expected: &[&str]) {
            assert_eq!(words(name), expected);
        }
        check("a/loss_val-2.x y", &["a", "loss", "val", "2", "x", "y"]);
        check("ValLoss", &["val", "loss"]);
        check("HTTPError", &["http", "error"]);
        check("VALIDATION", &["validation"]);
        check("val2017b", &["val", "2017", "b"]);
        check("epochAccuracy1", &["epoch", "accuracy", "1"]);
        check("version_007", &["version", "007"]);
        check("Größe/ÜberTest", &["größe", "über", "test"]);
        check("..//__", &[]);
    }

    #[test]
    fn words_for_data_are_known_in_the_forms_that_people_use() {
        #[track_caller]
        fn check(name: &str, expected: Option<Split>) {
            assert_eq!(Split::of_words(&words(name)), expected, "{name}");
        }
        for name in [
            "val",
            "Val",
            "VALID",
            "validation_0",
            "loss_val",
            "loss/val",
            "a.val",
            "valset",
            "valLoss",
            "cv",
        ] {
            check(name, Some(Split::Validation));
        }
        for name in ["dev", "Dev2", "development", "devset"] {
            check(name, Some(Split::Development));
        }
        for name in ["eval", "evaluation", "train_eval", "Evaluator-1", "eval2"] {
            check(name, Some(Split::Evaluation));
        }
        for name in ["holdout", "hold-out", "HeldOut", "held_out/1"] {
            check(name, Some(Split::HoldOut));
        }
        for name in ["test", "Testing", "tests", "testset", "tst_loss"] {
            check(name, Some(Split::Test));
        }
        for name in ["train", "Training", "loss_train", "trainLoss", "trainset", "eval/train", "trn"] {
            check(name, Some(Split::Train));
        }
        for name in [
            ".",
            "value",
            "contest",
            "invalid",
            "latest",
            "attrain",
            "device",
            "std_dev",
            "policy",
            "trail",
            "learning_rate",
        ] {
            check(name, None);
        }
    }

    #[test]
    fn every_word_of_the_table_is_one_word() {
        for word in SPLIT_WORDS.iter().flat_map(|(_, words)| words.iter()) {
            assert_eq!(words(word), [*word]);
        }
    }
}
