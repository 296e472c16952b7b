//! What the name of a metric says: its words, with the abbreviations of the field written out.

use super::words::{Split, is_number, words};

/// Names of quantities that are written in several ways: each with the words that it stands for.
const WRITTEN_OUT: [(&str, &[&str]); 44] = [
    ("acc", &["accuracy"]),
    ("accuracies", &["accuracy"]),
    ("losses", &["loss"]),
    ("err", &["error"]),
    ("errs", &["error"]),
    ("errors", &["error"]),
    ("lr", &["learning_rate"]),
    ("lrs", &["learning_rate"]),
    ("learningrate", &["learning_rate"]),
    ("prec", &["precision"]),
    ("avg", &["mean"]),
    ("average", &["mean"]),
    ("averaged", &["mean"]),
    ("ppl", &["perplexity"]),
    ("rew", &["reward"]),
    ("rewards", &["reward"]),
    ("return", &["reward"]),
    ("returns", &["reward"]),
    ("ep", &["episode"]),
    ("episodes", &["episode"]),
    ("episodic", &["episode"]),
    ("len", &["length"]),
    ("lengths", &["length"]),
    ("grad", &["gradient"]),
    ("grads", &["gradient"]),
    ("gradients", &["gradient"]),
    ("corr", &["correlation"]),
    ("recon", &["reconstruction"]),
    ("scores", &["score"]),
    ("pred", &["prediction"]),
    ("preds", &["prediction"]),
    ("mse", &["mean", "squared", "error"]),
    ("rmse", &["root", "mean", "squared", "error"]),
    ("mae", &["mean", "absolute", "error"]),
    ("mape", &["mean", "absolute", "percentage", "error"]),
    ("bce", &["binary", "cross", "entropy"]),
    ("ce", &["cross", "entropy"]),
    ("xent", &["cross", "entropy"]),
    ("nll", &["negative", "log", "likelihood"]),
    ("auroc", &["roc", "auc"]),
    ("iou", &["iou"]),
    ("miou", &["mean", "iou"]),
    ("map", &["mean", "ap"]),
    ("wer", &["word", "error", "rate"]),
];

/// What frameworks and their users write around the name of a quantity.
const FRAME: [&str; 30] = [
    "epoch",
    "epochs",
    "batch",
    "batches",
    "step",
    "steps",
    "iteration",
    "iterations",
    "iter",
    "iters",
    "vs",
    "scalar",
    "scalars",
    "summary",
    "summaries",
    "metric",
    "metrics",
    "logs",
    "keras",
    "dataloader",
    "idx",
    "loader",
    "set",
    "sets",
    "data",
    "dataset",
    "ds",
    "dl",
    "split",
    "monitor",
];

/// Words of names that count or set something, and measure nothing that trials could be compared by.
const COUNTERS: [&str; 22] = [
    "global",
    "time",
    "timestep",
    "timesteps",
    "elapsed",
    "second",
    "seconds",
    "sec",
    "secs",
    "fps",
    "sample",
    "samples",
    "examples",
    "tokens",
    "total",
    "num",
    "n",
    "count",
    "progress",
    "momentum",
    "episode",
    "current",
];

/// Words that make another quantity of a name that they are added to.
const QUALIFIERS: [&str; 20] = [
    "scale",
    "weight",
    "weights",
    "coef",
    "coeff",
    "coefficient",
    "std",
    "stdev",
    "stddev",
    "var",
    "variance",
    "norm",
    "gradient",
    "learning_rate",
    "count",
    "time",
    "seconds",
    "min",
    "max",
    "ratio",
];

const LEARNING_RATE: &str = "learning_rate";

/// A word of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As it stands there, in lower case.
    pub(super) raw: String,
    /// Written out.
    pub(super) plain: String,
    /// It is one of the field's.
    pub(super) is_known: bool,
}

impl Word {
    /// Whether it makes another quantity of a name that it is added to.
    pub(super) fn is_qualifier(&self) -> bool {
        QUALIFIERS.contains(&self.plain.as_str())
    }
}

/// What a name says.
#[derive(Debug, Clone)]
pub(super) struct Meaning<'n> {
    /// The name.
    pub(super) name: &'n str,
    /// Its letters and digits, in lower case.
    pub(super) squashed: String,
    /// The data that it was measured on.
    pub(super) split: Option<Split>,
    /// The words that say so.
    pub(super) splits: Vec<Word>,
    /// The words that say what it is; of a name that has none, those of frameworks.
    pub(super) core: Vec<Word>,
    /// What frameworks add.
    pub(super) frame: Vec<String>,
    /// Its numbers, without leading zeros, but for those that number a data loader.
    pub(super) numbers: Vec<String>,
}

impl<'n> Meaning<'n> {
    pub(super) fn of(name: &'n str) -> Self {
        let all = joined(words(name));
        let squashed = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let mut meaning = Self {
            name,
            squashed,
            split: Split::of_words(&all),
            splits: Vec::new(),
            core: Vec::new(),
            frame: Vec::new(),
            numbers: Vec::new(),
        };
        let mut is_split = vec![false; all.len()];
        for (at, n, _) in Split::all(&all) {
            is_split.iter_mut().skip(at).take(n).for_each(|is_split| *is_split = true);
        }
        let mut before = "";
        for (word, is_split) in all.iter().zip(is_split) {
            meaning.add(word, is_split, before);
            before = word;
        }
        if meaning.core.is_empty() {
            meaning.core = meaning.frame.iter().map(|word| known(word, word)).collect();
        }
        meaning
    }

    fn add(&mut self, word: &str, is_split: bool, before: &str) {
        if is_split {
            self.splits.push(known(word, word));
            if let Some(glued) = Split::glued_to(word).filter(|glued| !FRAME.contains(glued)) {
                self.core.extend(written_out(glued));
            }
        } else if is_number(word) {
            let digits = word.trim_start_matches('0');
            let number = if digits.is_empty() { "0" } else { digits };
            if before != "idx" {
                self.numbers.push(number.to_owned());
            }
        } else if FRAME.contains(&word) {
            self.frame.push(word.to_owned());
        } else {
            self.core.extend(written_out(word));
        }
    }

    /// Whether it counts or sets something, and measures nothing.
    pub(super) fn is_counter(&self) -> bool {
        let counts =
            |word: &Word| COUNTERS.contains(&word.plain.as_str()) || FRAME.contains(&word.raw.as_str());
        // Nothing but `metric` or `summary` may be anything.
        let is_named = self.core.iter().any(|word| {
            !matches!(
                word.raw.as_str(),
                "metric" | "metrics" | "scalar" | "scalars" | "summary" | "summaries"
            )
        });
        self.core.iter().any(|word| word.plain == LEARNING_RATE)
            || (is_named && !self.core.is_empty() && self.core.iter().all(counts))
    }
}

/// Words of which several stand for one: `learning rate`, and what the humps of `mAP` and `IoU` took apart.
fn joined(words: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut rest = &*words;
    while let Some((first, behind)) = rest.split_first() {
        let together = (2..=3).rev().find_map(|n| {
            let some = rest.get(..n)?;
            let text = some.concat();
            let is_hump = some.iter().any(|word| word.chars().count() == 1);
            let is_one =
                text == "learningrate" || (is_hump && WRITTEN_OUT.iter().any(|(short, _)| *short == text));
            is_one.then_some((n, text))
        });
        match together {
            Some((n, text)) => {
                out.push(text);
                rest = rest.get(n..).unwrap_or_default();
            }
            None => {
                out.push(first.clone());
                rest = behind;
            }
        }
    }
    out
}

fn known(raw: &str, plain: &str) -> Word {
    Word { raw: raw.to_owned(), plain: plain.to_owned(), is_known: true }
}

/// A word with its abbreviation written out, which may be several.
fn written_out(raw: &str) -> Vec<Word> {
    match WRITTEN_OUT.iter().find(|(short, _)| *short == raw) {
        Some((_, words)) => words.iter().map(|plain| known(raw, plain)).collect(),
        None => {
            let is_known = WRITTEN_OUT.iter().any(|(_, words)| words.contains(&raw));
            vec![Word { raw: raw.to_owned(), plain: raw.to_owned(), is_known }]
        }
    }
}
