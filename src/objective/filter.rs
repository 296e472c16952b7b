//! Which tags and runs of many are read.

use globset::{Glob, GlobMatcher};

use super::RunSelector;
use crate::units::{RunName, Tag};

/// The tags and runs that are read.
#[derive(Debug, Clone, Default)]
pub struct SeriesFilter {
    /// Tags, whole.
    names: Vec<Tag>,
    /// Tags that match one of these.
    globs: Vec<GlobMatcher>,
    runs: Vec<RunSelector>,
}

/// A pattern that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("{flag}: {error}")]
pub struct FilterError {
    /// The flag that it was given with.
    flag: &'static str,
    error: globset::Error,
}

impl SeriesFilter {
    /// Tags that are, or match, one of `tags`; runs that match one of `runs`, as [`RunSelector::glob`] has it. None means
    /// all. In tags `*` goes beyond `/`.
    ///
    /// # Errors
    /// A pattern is no glob.
    pub fn new(tags: &[String], runs: &[String]) -> Result<Self, FilterError> {
        Self { globs: globs("--tag", tags)?, ..Self::default() }.with_names(tags).with_runs(runs)
    }

    /// Tags that are one of `names` or match one of `globs`; runs as in [`Self::new`].
    ///
    /// # Errors
    /// A pattern is no glob.
    pub fn of_names_and_globs(
        names: &[String],
        tag_globs: &[String],
        runs: &[String],
    ) -> Result<Self, FilterError> {
        Self { globs: globs("--tag-glob", tag_globs)?, ..Self::default() }.with_names(names).with_runs(runs)
    }

    fn with_names(mut self, names: &[String]) -> Self {
        self.names = names.iter().map(|name| Tag::from(&**name)).collect();
        self
    }

    fn with_runs(mut self, runs: &[String]) -> Result<Self, FilterError> {
        let selectors = runs.iter().map(|run| RunSelector::glob(run));
        self.runs =
            selectors.collect::<Result<_, _>>().map_err(|error| FilterError { flag: "--run", error })?;
        Ok(self)
    }

    /// Whether a tag is read.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        !self.names_tags()
            || self.names.iter().any(|name| name.as_str() == tag)
            || self.globs.iter().any(|glob| glob.is_match(tag))
    }

    /// Whether a run is read.
    #[must_use]
    pub fn has_run(&self, run: &RunName) -> bool {
        self.runs.is_empty() || self.runs.iter().any(|selector| selector.allows(run))
    }

    /// Whether tags were named at all.
    #[must_use]
    pub fn names_tags(&self) -> bool {
        !self.names.is_empty() || !self.globs.is_empty()
    }

    /// The tags that were named.
    #[must_use]
    pub fn names(&self) -> &[Tag] {
        &self.names
    }

    /// The only pattern of runs, where there is one; otherwise all runs.
    #[must_use]
    pub fn only_run(&self) -> RunSelector {
        if let [only] = &*self.runs { only.clone() } else { RunSelector::default() }
    }

    /// The tags that were named and that none of `tags` is or matches.
    pub fn unmatched<'a>(&'a self, tags: &'a [&Tag]) -> impl Iterator<Item = &'a str> {
        let is_matched = move |name: &Tag| {
            let glob = self.globs.iter().find(|glob| glob.glob().glob() == name.as_str());
            tags.iter().any(|tag| *tag == name || glob.is_some_and(|glob| glob.is_match(tag.as_str())))
        };
        self.names.iter().filter(move |name| !is_matched(name)).map(Tag::as_str)
    }
}

fn globs(flag: &'static str, patterns: &[String]) -> Result<Vec<GlobMatcher>, FilterError> {
    let compiled = patterns.iter().map(|pattern| Glob::new(pattern).map(|glob| glob.compile_matcher()));
    compiled.collect::<Result<_, _>>().map_err(|error| FilterError { flag, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_matches_nothing_is_known() {
        let patterns = ["loss", "ac*", "lss", "z*"].map(str::to_owned);
        let filter = SeriesFilter::new(&patterns, &[]).expect("globs");
        let (loss, acc) = (Tag::from("loss"), Tag::from("acc"));
        assert_eq!(filter.unmatched(&[&loss, &acc]).collect::<Vec<_>>(), ["lss", "z*"]);
    }

    #[test]
    fn tags_are_meant_by_name_or_by_glob() {
        #[track_caller]
        fn check(patterns: &[&str], tag: &str, expected: bool) {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            assert_eq!(SeriesFilter::new(&patterns, &[]).expect("globs").has_tag(tag), expected, "{tag}");
        }
        check(&[], "loss", true);
        check(&["loss"], "loss", true);
        check(&["loss"], "loss_1", false);
        check(&["*loss"], "eval/loss", true);
        check(&["acc", "l*"], "loss", true);
        check(&["a[0]"], "a[0]", true);
    }
}
