//! Which run is meant, and which tags come close to one that is not there.

use globset::{GlobBuilder, GlobMatcher};

use crate::units::{RunName, Tag};

/// The directory below a trial's that is hptune's own. It holds the cloudml-hypertune metrics file, whose
/// entries are filed under it as their run; event files with the same tag are preferred.
pub const OWN_DIRECTORY: &str = ".hptune";

/// How many near misses are named.
const N_NEAR_MISSES: usize = 3;

/// How alike two cleaned tags must be to be named, from 0 (nothing in common) to 1 (equal).
const ALIKE: f64 = 0.75;

/// Which run directory an objective is read from, where several hold its tag.
#[derive(Debug, Clone, Default)]
pub struct RunSelector {
    glob: Option<GlobMatcher>,
    /// The pattern as it was given: a run's name may be one that reads as a pattern of others.
    name: String,
}

impl RunSelector {
    /// Only runs whose whole name, or one of whose directories, is `pattern` or matches it as a glob in
    /// which `*` stops at `/`.
    ///
    /// # Errors
    /// The glob's own message where `pattern` is none.
    pub fn glob(pattern: &str) -> Result<Self, globset::Error> {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build()?.compile_matcher();
        Ok(Self { glob: Some(glob), name: pattern.to_owned() })
    }

    /// Whether `run` may be read at all.
    #[must_use]
    pub fn allows(&self, run: &RunName) -> bool {
        self.glob.as_ref().is_none_or(|glob| {
            let mut names = std::iter::once(run.as_str()).chain(run.as_str().split('/'));
            names.any(|name| name == self.name || glob.is_match(name))
        })
    }

    /// The one of `runs` to read: a directory named for evaluation before others, then the
    /// shallowest, then the first by name; the metrics file last.
    #[must_use]
    pub fn choose<'a>(&self, runs: impl Iterator<Item = &'a RunName>) -> Option<&'a RunName> {
        runs.filter(|run| self.allows(run)).min_by_key(|run| {
            let depth = if run.as_str() == "." { 0 } else { 1 + run.as_str().matches('/').count() };
            (run.as_str().rsplit('/').next() == Some(OWN_DIRECTORY), !is_evaluation(run), depth, *run)
        })
    }
}

/// Whether a run's directory, or one above it, is named for evaluation: `eval*`, `valid*`, `test*`.
#[must_use]
pub fn is_evaluation(run: &RunName) -> bool {
    run.as_str().split('/').any(|part| {
        let part = part.to_ascii_lowercase();
        ["eval", "valid", "test"].iter().any(|prefix| part.starts_with(prefix))
    })
}

/// The tags of `seen` that a user may have meant by `wanted`, nearest first, at most three.
///
/// Writers change names: a counter is added (`accuracy_1`), a scope put before (`train/accuracy`)
/// or after (`metric/scalar_summary`), a prefix (`epoch_acc`), characters replaced.
pub fn near_misses<'a>(wanted: &str, seen: impl Iterator<Item = &'a Tag>) -> Vec<&'a Tag> {
    let target = cleaned(wanted);
    let mut scored: Vec<(f64, &Tag)> = seen
        .filter(|tag| tag.as_str() != wanted)
        .map(|tag| (likeness(&target, &cleaned(tag.as_str())), tag))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.into_iter().take(N_NEAR_MISSES).map(|(_, tag)| tag).collect()
}

/// How a tag that is there differs from the one that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NearMiss {
    /// Only upper and lower case differ.
    Case,
    /// A counter stands behind it, as graphs number what is made twice: `accuracy_1`.
    Counter,
    /// It has a scope or a prefix: `train/accuracy`, `epoch_acc`.
    Scope,
    /// The writer replaced characters: `Episode_/_Total__mean_`.
    Characters,
    /// It is spelled alike.
    Spelling,
}

impl NearMiss {
    /// How `seen` differs from `wanted`, both of them as they are written; they must differ.
    #[must_use]
    pub fn between(wanted: &str, seen: &str) -> Self {
        let stem = seen.trim_end_matches(|c: char| c.is_ascii_digit());
        let (clean_wanted, clean_seen) = (cleaned(wanted), cleaned(seen));
        if wanted.to_lowercase() == seen.to_lowercase() {
            Self::Case
        } else if stem.len() < seen.len() && stem.strip_suffix('_') == Some(wanted) {
            Self::Counter
        } else if clean_wanted == clean_seen {
            Self::Characters
        } else if contains_words(&clean_seen, &clean_wanted) || contains_words(&clean_wanted, &clean_seen) {
            Self::Scope
        } else {
            Self::Spelling
        }
    }

    /// What it means, for people.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Case => "upper and lower case differ",
            Self::Counter => "the writer added a counter: the summary was made more than once",
            Self::Scope => "the name stands with a scope or a prefix, or without one",
            Self::Characters => "the writer replaced characters",
            Self::Spelling => "it is spelled alike",
        }
    }
}

/// Whether `short` is a run of whole words of `long`: `acc` in `epoch_acc`.
fn contains_words(long: &str, short: &str) -> bool {
    format!("_{long}_").contains(&format!("_{short}_"))
}

/// Letters and digits in lower case, everything else as one `_`, without a trailing counter.
fn cleaned(tag: &str) -> String {
    let mut out = String::with_capacity(tag.len());
    for c in tag.chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    let trimmed = out.trim_end_matches('_');
    let stem = trimmed.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() < trimmed.len() && stem.ends_with('_') {
        stem.trim_end_matches('_').to_owned()
    } else {
        trimmed.to_owned()
    }
}

fn likeness(wanted: &str, seen: &str) -> f64 {
    if wanted.is_empty() || seen.is_empty() {
        return 0.0;
    }
    if wanted == seen {
        return 1.0;
    }
    if contains_words(seen, wanted) || contains_words(wanted, seen) {
        return 0.9;
    }
    strsim::normalized_damerau_levenshtein(wanted, seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_names_are_suggested() {
        #[track_caller]
        fn check(wanted: &str, seen: &[&str], expected: &[&str]) {
            let seen: Vec<Tag> = seen.iter().map(|tag| Tag::from(*tag)).collect();
            let got: Vec<&str> = near_misses(wanted, seen.iter()).iter().map(|tag| tag.as_str()).collect();
            assert_eq!(got, expected);
        }
        check("accuracy", &["accuracy_1", "loss"], &["accuracy_1"]);
        check("acc", &["epoch_acc", "epoch_loss"], &["epoch_acc"]);
        check("Episode / Total (mean)", &["Episode_/_Total__mean_"], &["Episode_/_Total__mean_"]);
        check("metric", &["metric/scalar_summary"], &["metric/scalar_summary"]);
        check("Accuracy", &["accuracy"], &["accuracy"]);
        check("val_accuracy", &["val_acuracy"], &["val_acuracy"]);
        check("accuracy", &["loss", "lr", "accuracy"], &[]);
    }

    #[test]
    fn it_is_told_how_a_tag_differs() {
        #[track_caller]
        fn check(wanted: &str, seen: &str, expected: NearMiss) {
            assert_eq!(NearMiss::between(wanted, seen), expected);
        }
        check("accuracy", "accuracy_1", NearMiss::Counter);
        check("acc", "epoch_acc", NearMiss::Scope);
        check("train/acc", "acc", NearMiss::Scope);
        check("Episode / Total (mean)", "Episode_/_Total__mean_", NearMiss::Characters);
        check("Accuracy", "accuracy", NearMiss::Case);
        check("accuracy", "acuracy", NearMiss::Spelling);
    }

    #[test]
    fn evaluation_wins_unless_told_otherwise() {
        #[track_caller]
        fn check(pattern: Option<&str>, runs: &[&str], expected: Option<&str>) {
            let selector =
                pattern.map_or_else(RunSelector::default, |p| RunSelector::glob(p).expect("a glob"));
            let runs: Vec<RunName> = runs.iter().map(|run| RunName::from(*run)).collect();
            assert_eq!(selector.choose(runs.iter()).map(RunName::as_str), expected);
        }
        check(None, &[".", "eval"], Some("eval"));
        check(None, &["train", "validation"], Some("validation"));
        check(Some("train"), &["train", "validation"], Some("train"));
        check(Some("eval*"), &["a/eval_1", "a"], Some("a/eval_1"));
        check(Some("eval*"), &["train"], None);
        check(Some("lr=[0.1]"), &["lr=0", "lr=[0.1]"], Some("lr=0"));
        check(Some("lr=[0.1]"), &["lr=[0.1]"], Some("lr=[0.1]"));
        check(Some("lr=[[]0.1[]]"), &["lr=0", "lr=[0.1]"], Some("lr=[0.1]"));
        check(None, &["b", "a"], Some("a"));
        check(None, &["a/b", "."], Some("."));
        check(None, &["a/b", ".hptune"], Some("a/b"));
        check(None, &["1/.hptune", "1/a/b"], Some("1/a/b"));
        check(None, &[], None);
    }
}
