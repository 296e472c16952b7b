//! Which run is meant.

use globset::{GlobBuilder, GlobMatcher};

use crate::units::RunName;

/// Which run directories an objective may be read from, and how several of them, or several values, become one.
#[derive(Debug, Clone, Default)]
pub struct RunSelector {
    glob: Option<GlobMatcher>,
    /// The pattern as it was given: a run's name may be one that reads as a pattern of others.
    name: String,
    is_mean: bool,
    takes_mean_of_step: bool,
}

impl RunSelector {
    /// Only runs whose whole name, or one of whose directories, is `pattern` or matches it as a glob in
    /// which `*` stops at `/`.
    ///
    /// # Errors
    /// The glob's own message where `pattern` is none.
    pub fn glob(pattern: &str) -> Result<Self, globset::Error> {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build()?.compile_matcher();
        Ok(Self { glob: Some(glob), name: pattern.to_owned(), ..Self::default() })
    }

    /// The same runs; at each step that all have, the mean of their values counts, as of writers side by side in one.
    #[must_use]
    pub fn mean(self) -> Self {
        Self { is_mean: true, ..self }
    }

    /// The same runs; of the values that a writer writes one after the other at one step the mean counts, not the last.
    #[must_use]
    pub fn mean_of_step(self) -> Self {
        Self { takes_mean_of_step: true, ..self }
    }

    /// Whether the mean of the values at one step counts.
    #[must_use]
    pub fn takes_mean_of_step(&self) -> bool {
        self.takes_mean_of_step
    }

    /// Whether `run` may be read at all.
    #[must_use]
    pub fn allows(&self, run: &RunName) -> bool {
        self.glob.as_ref().is_none_or(|glob| {
            let mut names = std::iter::once(run.as_str()).chain(run.as_str().split('/'));
            names.any(|name| name == self.name || glob.is_match(name))
        })
    }

    /// Whether the mean of several runs was asked for.
    #[must_use]
    pub fn is_mean(&self) -> bool {
        self.is_mean
    }

    /// The pattern that was given, if one was.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        self.glob.is_some().then_some(&*self.name)
    }

    /// The pattern that all runs match which are to be read as one series, where one was given: a name that is no
    /// pattern of others asks for one run.
    #[must_use]
    pub fn joins(&self) -> Option<&str> {
        self.pattern().filter(|pattern| !self.is_mean && is_pattern(pattern))
    }
}

/// Whether a glob matches more than one name: characters that stand in brackets alone are escaped.
fn is_pattern(glob: &str) -> bool {
    let mut rest = glob;
    while let Some(at) = rest.find(['*', '?', '[', ']', '{', '}']) {
        let from = &rest[at..];
        let escaped =
            ["[*]", "[?]", "[[]", "[]]", "[{]", "[}]"].iter().find_map(|class| from.strip_prefix(class));
        let Some(behind) = escaped else { return true };
        rest = behind;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_allowed_by_name_by_directory_and_by_glob() {
        #[track_caller]
        fn check(pattern: Option<&str>, run: &str, expected: bool) {
            let selector =
                pattern.map_or_else(RunSelector::default, |p| RunSelector::glob(p).expect("a glob"));
            assert_eq!(selector.allows(&RunName::from(run)), expected, "{run}");
        }
        check(None, "train", true);
        check(Some("train"), "train", true);
        check(Some("train"), "validation", false);
        check(Some("eval*"), "a/eval_1", true);
        check(Some("a*"), "b/c", false);
        check(Some("lr=[0.1]"), "lr=0", true);
        check(Some("lr=[0.1]"), "lr=[0.1]", true);
        check(Some("lr=[[]0.1[]]"), "lr=[0.1]", true);
        check(Some("lr=[[]0.1[]]"), "lr=0", false);
    }

    #[test]
    fn only_a_pattern_joins_runs() {
        #[track_caller]
        fn check(pattern: &str, expected: bool) {
            let selector = RunSelector::glob(pattern).expect("a glob");
            assert_eq!(selector.joins(), expected.then_some(pattern));
            assert_eq!(selector.mean().joins(), None);
        }
        check("PPO_*", true);
        check("{a,b}", true);
        check("train", false);
        check("lr=[[]0.1[]]", false);
        check("x[01]", true);
        assert_eq!(RunSelector::default().joins(), None);
    }
}
