//! What the name of a metric says: its words, with the abbreviations of the field written out.

use super::words::{Split, is_number, words};

/// Names of quantities that are written in several ways: each with the words that it stands for.
const WRITTEN_OUT: [(&str, &[&str]); 58] = [
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
    ("return", &["episode", "reward"]),
    ("returns", &["episode", "reward"]),
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
    ("predictions", &["prediction"]),
    ("mse", &["mean", "squared", "error"]),
    ("rmse", &["root", "mean", "squared", "error"]),
    ("mae", &["mean", "absolute", "error"]),
    ("mape", &["mean", "absolute", "percentage", "error"]),
    ("bbox", &["box"]),
    ("boxes", &["box"]),
    ("bce", &["binary", "cross", "entropy"]),
    ("ce", &["cross", "entropy"]),
    ("xent", &["cross", "entropy"]),
    ("crossentropy", &["cross", "entropy"]),
    ("nll", &["negative", "log", "likelihood"]),
    ("auroc", &["roc", "auc"]),
    ("rocauc", &["roc", "auc"]),
    ("aucroc", &["roc", "auc"]),
    ("aupr", &["pr", "auc"]),
    ("auprc", &["pr", "auc"]),
    ("aucpr", &["pr", "auc"]),
    ("prauc", &["pr", "auc"]),
    ("prc", &["pr", "auc"]),
    ("iou", &["iou"]),
    ("miou", &["mean", "iou"]),
    ("map", &["ap"]),
    ("wer", &["word", "error", "rate"]),
    ("cer", &["character", "error", "rate"]),
    ("stdev", &["stddev"]),
    ("std", &["stddev"]),
];

/// Words of which several that stand together are one.
const TOGETHER: [(&[&str], &str); 9] = [
    (&["learning", "rate"], "learningrate"),
    (&["mean", "average", "precision"], "map"),
    (&["average", "precision"], "ap"),
    (&["std", "dev"], "stddev"),
    (&["standard", "deviation"], "stddev"),
    (&["weight", "decay"], "weight_decay"),
    (&["batch", "size"], "batch_size"),
    (&["clip", "range"], "clip_range"),
    (&["exploration", "rate"], "exploration_rate"),
];

/// Further words of the field. They are near each other in spelling, and are not each other: PSNR is no SNR.
const QUANTITIES: [&str; 58] = [
    "loss",
    "gloss",
    "dloss",
    "recall",
    "f",
    "auc",
    "roc",
    "psnr",
    "snr",
    "sdr",
    "ssim",
    "lpips",
    "fid",
    "kid",
    "ndcg",
    "dcg",
    "mrr",
    "hits",
    "bleu",
    "rouge",
    "meteor",
    "cider",
    "spice",
    "chrf",
    "msle",
    "rmsle",
    "smape",
    "mase",
    "nmse",
    "nrmse",
    "nmae",
    "bacc",
    "macc",
    "macro",
    "micro",
    "mcc",
    "dice",
    "mdice",
    "fwiou",
    "giou",
    "jaccard",
    "pck",
    "pckh",
    "mota",
    "motp",
    "hota",
    "elbo",
    "kl",
    "specificity",
    "sensitivity",
    "success",
    "advantage",
    "actor",
    "critic",
    "factor",
    "policy",
    "content",
    "context",
];

/// What frameworks and their users write around the name of a quantity.
const FRAME: [&str; 22] = [
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
    LOADER_INDEX,
    "monitor",
];

/// What numbers the data loaders of Lightning: `val_acc/dataloader_idx_0`.
const LOADER_INDEX: &str = "idx";

/// What people write behind the name of a split: `val set`.
const DATA: [&str; 8] = ["set", "sets", "data", "dataset", "ds", "dl", "split", "loader"];

/// Words that say how a value was made up, and leave it the same quantity where they are added to its name.
const NEUTRAL: [&str; 13] = [
    "mean",
    "total",
    "overall",
    "final",
    "running",
    "smoothed",
    "score",
    "rate",
    "episode",
    "sparse",
    "categorical",
    "binary",
    "roc",
];

/// What detectors write at a precision or recall, for what it is taken: `bbox_mAP`, `mAP50(B)`.
const DETECTED: [&str; 10] = ["box", "b", "segm", "mask", "masks", "m", "pose", "keypoints", "p", "coco"];

/// Words of names that count, and measure nothing that trials could be compared by, where a name has no others.
const COUNTERS: [&str; 46] = [
    "global",
    "timestep",
    "timesteps",
    "sample",
    "samples",
    "example",
    "examples",
    "token",
    "tokens",
    "frame",
    "frames",
    "total",
    "num",
    "number",
    "n",
    "count",
    "counter",
    "progress",
    "episode",
    "current",
    "update",
    "updates",
    "gen",
    "generation",
    "generations",
    "round",
    "rounds",
    "cycle",
    "trial",
    "this",
    "since",
    "restore",
    "per",
    "seen",
    "sampled",
    "processed",
    "lifetime",
    "env",
    "environment",
    "agent",
    "worker",
    "workers",
    "healthy",
    "in",
    "index",
    "size",
];

/// Those that may also stand behind the name of something that is measured.
const VAGUE: [&str; 7] = ["total", "current", "global", "this", "per", "in", "size"];

/// Words that make any name one of a number of things, a time, memory, a speed, or of what was set beforehand.
const NO_MEASURES: [&str; 46] = [
    LEARNING_RATE,
    "num",
    "weight_decay",
    "batch_size",
    "bsz",
    "clip_range",
    "exploration_rate",
    "dropout",
    "momentum",
    "time",
    "times",
    "timestamp",
    "walltime",
    "wall",
    "runtime",
    "elapsed",
    "duration",
    "eta",
    "millis",
    "ms",
    "sec",
    "secs",
    "second",
    "seconds",
    "minute",
    "minutes",
    "hour",
    "hours",
    "fps",
    "wps",
    "ups",
    "wpb",
    "throughput",
    "flos",
    "flops",
    "memory",
    "mem",
    "ram",
    "vram",
    "rss",
    "mb",
    "gb",
    "gib",
    "gpu",
    "cpu",
    "gnorm",
];

/// Words that make another quantity of a name wherever they are added to it, a scope included.
const QUALIFIERS: [&str; 36] = [
    "scale",
    "weight",
    "weights",
    "coef",
    "coeff",
    "coefficient",
    "stddev",
    "var",
    "variance",
    "norm",
    "gradient",
    "count",
    "min",
    "max",
    "ratio",
    "best",
    "ema",
    "baseline",
    "policy",
    "value",
    "actor",
    "critic",
    "generator",
    "discriminator",
    "gen",
    "disc",
    "aux",
    "auxiliary",
    "teacher",
    "student",
    "regularization",
    "target",
    "label",
    "labels",
    "prediction",
    "length",
];

const LEARNING_RATE: &str = "learning_rate";

/// Quantities with a number of their own, so that one behind their name is no counter of copies: `bleu_4`, `f_2`.
const NUMBERED: [&str; 8] = ["bleu", "rouge", "f", "hits", "ndcg", "dcg", "mrr", "top"];

/// Quantities that may be taken at a rank: `precision_5`. Graphs rarely make a summary more than twice.
const RANKED: [&str; 5] = ["precision", "recall", "accuracy", "error", "ap"];

/// The shortest word that may be a word for a split spelled wrong.
const MIN_MISSPELLED_SPLIT: usize = 5;

/// A word of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As it stands there, in lower case.
    pub(super) raw: String,
    /// Written out.
    pub(super) plain: String,
    /// It is one of the field's.
    pub(super) is_known: bool,
    /// Which part of the name it stands in; `/`, `.` and `:` part it.
    pub(super) part: usize,
    /// It stands before the last part that has such words.
    pub(super) is_scope: bool,
}

/// What a word does to a name that it is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// It stays the same quantity.
    Same,
    /// It is the same quantity if nothing else is there that might be.
    Scope,
    /// It is another quantity.
    Other,
}

/// A number in a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    /// Without leading zeros; `0.5` is 50, as in `mAP50` and `mAP_0.5`.
    pub(super) digits: String,
    /// The word before it, written out; empty where there is none.
    pub(super) after: String,
}

impl Number {
    /// Whether it numbers a data loader.
    pub(super) fn is_of_loader(&self) -> bool {
        self.after == LOADER_INDEX
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
    /// A word for those is spelled wrong.
    pub(super) is_split_misspelled: bool,
    /// The words that say what it is; of a name that has none, those of frameworks.
    pub(super) core: Vec<Word>,
    /// What frameworks add.
    pub(super) frame: Vec<String>,
    /// Its numbers.
    pub(super) numbers: Vec<Number>,
}

impl<'n> Meaning<'n> {
    pub(super) fn of(name: &'n str) -> Self {
        let squashed = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let mut meaning = Self {
            name,
            squashed,
            split: None,
            is_split_misspelled: false,
            core: Vec::new(),
            frame: Vec::new(),
            numbers: Vec::new(),
        };
        for (at, part) in with_percents(name).split(['/', '.', ':']).enumerate() {
            let n_before = meaning.core.len();
            meaning.add_part(&joined(words(part)));
            let has_more = meaning.core.len() > n_before;
            let (before, new) = meaning.core.split_at_mut(n_before);
            new.iter_mut().for_each(|word| word.part = at);
            before.iter_mut().filter(|_| has_more).for_each(|word| word.is_scope = true);
        }
        if meaning.core.is_empty() {
            meaning.core = meaning.frame.iter().map(|word| known(word, word)).collect();
        }
        meaning
    }

    fn add_part(&mut self, words: &[String]) {
        let mut is_split = vec![false; words.len()];
        for (at, n, split) in Split::all(words) {
            is_split.iter_mut().skip(at).take(n).for_each(|is_split| *is_split = true);
            self.split = Some(split);
        }
        let mut is_behind_split = false;
        let mut after = String::new();
        for (at, (word, is_split)) in words.iter().zip(is_split).enumerate() {
            let is_before_number = words.get(at + 1).is_some_and(|next| is_number(next) || next == "k");
            if is_number(word) {
                let digits = word.trim_start_matches('0');
                let digits = if digits.is_empty() { "0" } else { digits }.to_owned();
                self.numbers.push(Number { digits, after: after.clone() });
                continue;
            }
            let is_misspelled_split = !is_split && misspelled_split(word).is_some();
            if is_split {
                if let Some(glued) = Split::glued_to(word).filter(|glued| !is_framing(glued)) {
                    self.core.extend(written_out(glued));
                }
            } else if let Some(split) = misspelled_split(word) {
                self.split = Some(split);
                self.is_split_misspelled = true;
            } else if FRAME.contains(&word.as_str()) || (is_behind_split && DATA.contains(&word.as_str())) {
                self.frame.push(word.clone());
            } else if !(is_before_number && matches!(word.as_str(), "top" | "at")) {
                self.core.extend(written_out(word));
            }
            is_behind_split = is_split || is_misspelled_split;
            after = written_out(word).pop().map(|word| word.plain).unwrap_or_default();
        }
    }

    /// The words by which something comes close to it: not `mean` and `max`, where it has others.
    pub(super) fn telling(&self) -> Vec<bool> {
        let tells = |word: &Word| {
            !NEUTRAL.contains(&word.plain.as_str()) && !QUALIFIERS.contains(&word.plain.as_str())
        };
        let has_any = self.core.iter().any(tells);
        self.core.iter().map(|word| !has_any || tells(word)).collect()
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
        // `ray/tune/timesteps_total`, but not `loss/total`.
        let is_behind_scope = || {
            let (scope, own): (Vec<&Word>, Vec<&Word>) = self.core.iter().partition(|word| word.is_scope);
            let is_clear = |word: &&Word| counts(word) && !VAGUE.contains(&word.plain.as_str());
            scope.iter().all(|word| !word.is_known)
                && own.iter().any(is_clear)
                && own.iter().all(|word| counts(word))
        };
        self.core.iter().any(|word| NO_MEASURES.contains(&word.plain.as_str()))
            || (is_named && self.core.iter().all(counts))
            || (is_named && (is_behind_scope() || self.is_iteration()))
    }

    /// Whether its last part says nothing but `training_iteration`, and the others name nothing that is measured.
    fn is_iteration(&self) -> bool {
        let last = words(self.name.rsplit('/').next().unwrap_or_default());
        let mut own = last.iter().filter(|word| Split::of_word(word).is_none()).peekable();
        own.peek().is_some()
            && own.all(|word| matches!(word.as_str(), "iteration" | "iterations" | "iter" | "iters"))
            && self.core.iter().all(|word| !word.is_known)
    }

    /// What `word` does to this name where it is added to it.
    pub(super) fn with(&self, word: &Word) -> Added {
        let plain = word.plain.as_str();
        // The reward of a step is not that of an episode.
        let is_of_step = plain == "episode" && self.frame.iter().any(|frame| frame.starts_with("step"));
        let is_detection =
            self.core.iter().any(|word| matches!(word.plain.as_str(), "ap" | "precision" | "recall"));
        if QUALIFIERS.contains(&plain) || is_of_step {
            Added::Other
        } else if NEUTRAL.contains(&plain) || FRAME.contains(&word.raw.as_str()) {
            Added::Same
        } else if (word.is_scope && !word.is_known) || (is_detection && DETECTED.contains(&plain)) {
            Added::Scope
        } else {
            Added::Other
        }
    }

    /// Whether `name`, which has `number` beyond this one's, may be a copy of it: graphs and Keras number what is made
    /// more than once, from 1 on.
    pub(super) fn may_be_counted(&self, name: &str, number: &Number) -> bool {
        let is_at_end = name.rsplit_once('_').is_some_and(|(_, end)| end == number.digits);
        let has = |words: &[&str]| self.core.iter().any(|word| words.contains(&word.plain.as_str()));
        is_at_end
            && number.digits != "0"
            && number.after != "top"
            && !has(&NUMBERED)
            && (!has(&RANKED) || matches!(number.digits.as_str(), "1" | "2"))
    }
}

fn is_framing(word: &str) -> bool {
    FRAME.contains(&word) || DATA.contains(&word)
}

/// The split whose word is spelled wrong here.
fn misspelled_split(word: &str) -> Option<Split> {
    let is_long = |word: &str| word.chars().count() >= MIN_MISSPELLED_SPLIT;
    if !is_long(word) || is_quantity(word) {
        return None;
    }
    let mut all = Split::all_words().filter(|(_, split)| is_long(split));
    all.find(|(_, split)| is_misspelled(word, split, Knowledge::One)).map(|(split, _)| split)
}

/// A name with its shares in percent: `mAP_0.5:0.95` as `mAP_50:95`.
fn with_percents(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("0.") {
        let (before, share) = rest.split_at(at);
        out.push_str(before);
        let is_within = out.ends_with(|c: char| c.is_numeric() || c == '.');
        let behind = share.get(2..).unwrap_or_default();
        let n_digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, behind) = behind.split_at(n_digits);
        if is_within || !(1..=2).contains(&n_digits) || behind.starts_with('.') {
            out.push_str("0.");
            out.push_str(digits);
        } else {
            out.push_str(digits);
            out.push_str(if n_digits == 1 { "0" } else { "" });
        }
        rest = behind;
    }
    out + rest
}

/// Words of which several stand for one: `learning rate`, and what the humps of `mAP` and `IoU` took apart.
fn joined(words: Vec<String>) -> Vec<String> {
    let mut out = Vec::with_capacity(words.len());
    let mut rest = &*words;
    while let Some((first, behind)) = rest.split_first() {
        let together = (2..=3).rev().find_map(|n| {
            let some = rest.get(..n)?;
            if let Some((_, one)) = TOGETHER.iter().find(|(several, _)| *several == some) {
                return Some((n, (*one).to_owned()));
            }
            let text = some.concat();
            let is_hump = some.iter().any(|word| word.chars().count() == 1);
            let is_one = is_hump && WRITTEN_OUT.iter().any(|(short, _)| *short == text);
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
    Word { raw: raw.to_owned(), plain: plain.to_owned(), is_known: true, part: 0, is_scope: false }
}

/// A word with its abbreviation written out, which may be several.
fn written_out(raw: &str) -> Vec<Word> {
    match WRITTEN_OUT.iter().find(|(short, _)| *short == raw) {
        Some((_, words)) => words.iter().map(|plain| known(raw, plain)).collect(),
        None => vec![Word { is_known: is_quantity(raw), ..known(raw, raw) }],
    }
}

/// Whether a word is one of the field's.
fn is_quantity(raw: &str) -> bool {
    QUANTITIES.contains(&raw)
        || WRITTEN_OUT.iter().any(|(short, words)| *short == raw || words.contains(&raw))
}

/// How many of two words are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// One: it may be what the other was to be.
    One,
    /// None: they may be two words of the user's own.
    None,
}

/// How alike two words must be to be taken for one that was spelled wrong: one change in so many letters.
const LETTERS_A_CHANGE: usize = 5;

/// The shortest word that may be spelled wrong.
const MIN_MISSPELLED: usize = 4;

/// Whether two words are one, spelled wrong on one side. The first letter is right then: one more or other there makes
/// another quantity in this field (`psnr`, `rmse`, `gloss`). In short words only a letter that is doubled, or not, and
/// two that changed places are taken for that.
pub(super) fn is_misspelled(a: &str, b: &str, knowledge: Knowledge) -> bool {
    let (short, long) = if a.chars().count() <= b.chars().count() { (a, b) } else { (b, a) };
    let (n_short, n_long) = (short.chars().count(), long.chars().count());
    if n_long < MIN_MISSPELLED || a == b || a.chars().next() != b.chars().next() {
        return false;
    }
    let distance = strsim::damerau_levenshtein(a, b);
    let is_changed_place = n_short == n_long && distance == 1 && strsim::levenshtein(a, b) == 2;
    if n_long <= LETTERS_A_CHANGE {
        return is_changed_place || (n_long == n_short + 1 && is_doubled(long, short));
    }
    match knowledge {
        Knowledge::One => distance <= n_long / LETTERS_A_CHANGE,
        Knowledge::None => is_changed_place || (distance == 1 && n_short < n_long),
    }
}

/// Whether `long` is `short` with one letter twice.
fn is_doubled(long: &str, short: &str) -> bool {
    let letters: Vec<char> = long.chars().collect();
    letters.windows(2).enumerate().any(|(at, pair)| {
        let without = letters.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, c)| *c);
        pair.first() == pair.last() && without.eq(short.chars())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_spelled_wrong_is_not_taken_for_another_quantity() {
        #[track_caller]
        fn check(a: &str, b: &str, knowledge: Knowledge, expected: bool) {
            assert_eq!(is_misspelled(a, b, knowledge), expected, "{a} {b}");
            assert_eq!(is_misspelled(b, a, knowledge), expected, "{b} {a}");
        }
        for (a, b) in [
            ("acuracy", "accuracy"),
            ("vaildation", "validation"),
            ("losss", "loss"),
            ("los", "loss"),
            ("trian", "train"),
        ] {
            check(a, b, Knowledge::One, true);
        }
        for (a, b) in [
            ("xsnr", "snr"),
            ("macro", "micro"),
            ("bacc", "acc"),
            ("eval", "val"),
            ("ac", "acc"),
            ("unweighted", "weighted"),
            ("msle", "mse"),
        ] {
            check(a, b, Knowledge::One, false);
        }
        check("embeding", "embedding", Knowledge::None, true);
        check("interior", "interiop", Knowledge::None, false);
    }

    #[test]
    fn shares_and_percents_are_one() {
        #[track_caller]
        fn check(name: &str, expected: &[&str]) {
            let meaning = Meaning::of(name);
            let numbers: Vec<&str> = meaning.numbers.iter().map(|number| number.digits.as_str()).collect();
            assert_eq!(numbers, expected, "{name}");
        }
        check("mAP_0.5", &["50"]);
        check("metrics/mAP_0.5:0.95", &["50", "95"]);
        check("mAP50-95", &["50", "95"]);
        check("v10.5", &["10", "5"]);
        check("v1.0.5", &["1", "0", "5"]);
        check("0.", &["0"]);
        check("acc_05", &["5"]);
    }

    #[test]
    fn what_counts_or_is_set_measures_nothing() {
        for name in [
            "epoch",
            "train/epoch",
            "global_step/sec",
            "train/global_step",
            "lr",
            "lr-Adam/pg1",
            "lr/pg0",
            "learning_rate_1",
            "time/fps",
            "time/total_timesteps",
            "time/iterations",
            "train/n_updates",
            "eval_samples_per_second",
            "train_runtime",
            "train/total_flos",
            "data_time",
            "memory",
            "gpu_mem",
            "num_env_steps_sampled_lifetime",
            "episodes_this_iter",
            "rollout/exploration_rate",
            "ray/tune/timesteps_total",
            "roi_head/num_bg_samples",
            "ray/tune/training_iteration",
        ] {
            assert!(Meaning::of(name).is_counter(), "{name}");
        }
        for name in [
            "loss",
            "train/loss",
            "total_loss",
            "loss/total",
            "loss/epoch",
            "rollout/ep_rew_mean",
            "rollout/ep_len_mean",
            "hp_metric",
            "metric",
            "training/hptuning/metric",
            "success_rate",
            "eval",
            "metric1",
        ] {
            assert!(!Meaning::of(name).is_counter(), "{name}");
        }
    }
}
