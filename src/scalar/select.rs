//! Which run is meant.

use globset::{GlobBuilder, GlobMatcher};

use crate::units::RunName;

/// The directory below a trial's that is hptune's own. It holds the cloudml-hypertune metrics file, whose
/// entries are filed under it as their run; event files with the same tag are preferred.
pub const OWN_DIRECTORY: &str = ".hptune";

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

    /// The pattern that was given, if one was.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        self.glob.is_some().then_some(&*self.name)
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

#[cfg(test)]
mod tests {
    use super::*;

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
