//! Which tags and runs of many are meant.

use globset::{Glob, GlobMatcher};

use super::Failure;
use crate::scalar::RunSelector;
use crate::units::{RunName, Tag};

/// The tags and runs that a verb works on.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    tags: Vec<(String, GlobMatcher)>,
    runs: Vec<RunSelector>,
}

impl Choice {
    /// Tags that are, or match, one of `tags`; runs that match one of `runs`, as
    /// [`RunSelector::glob`] has it. None means all. In tags `*` goes beyond `/`.
    ///
    /// # Errors
    /// A pattern is no glob.
    pub fn new(tags: &[String], runs: &[String]) -> Result<Self, Failure> {
        let bad = |flag: &str, e: globset::Error| Failure::usage(format!("{flag}: {e}"));
        let tags = tags.iter().map(|tag| {
            let glob = Glob::new(tag).map_err(|e| bad("--tag", e))?;
            Ok((tag.clone(), glob.compile_matcher()))
        });
        let runs = runs.iter().map(|run| RunSelector::glob(run).map_err(|e| bad("--run", e)));
        Ok(Self { tags: tags.collect::<Result<_, _>>()?, runs: runs.collect::<Result<_, _>>()? })
    }

    /// Whether a tag is meant.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.is_empty() || self.tags.iter().any(|(name, glob)| name == tag || glob.is_match(tag))
    }

    /// Whether a run is meant.
    #[must_use]
    pub fn has_run(&self, run: &RunName) -> bool {
        self.runs.is_empty() || self.runs.iter().any(|selector| selector.allows(run))
    }

    /// Whether tags were named at all.
    #[must_use]
    pub fn names_tags(&self) -> bool {
        !self.tags.is_empty()
    }

    /// The tags that were named and that none of `tags` is or matches.
    pub fn unmatched<'a>(&'a self, tags: &'a [&Tag]) -> impl Iterator<Item = &'a str> {
        let is_matched = |name: &str, glob: &GlobMatcher| {
            tags.iter().any(|tag| tag.as_str() == name || glob.is_match(tag.as_str()))
        };
        self.tags.iter().filter(move |(name, glob)| !is_matched(name, glob)).map(|(name, _)| name.as_str())
    }

    /// The first tag that was named.
    #[must_use]
    pub fn first_tag(&self) -> Option<&str> {
        self.tags.first().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_matches_nothing_is_known() {
        let patterns = ["loss", "ac*", "lss", "z*"].map(str::to_owned);
        let choice = Choice::new(&patterns, &[]).expect("globs");
        let (loss, acc) = (Tag::from("loss"), Tag::from("acc"));
        assert_eq!(choice.unmatched(&[&loss, &acc]).collect::<Vec<_>>(), ["lss", "z*"]);
    }

    #[test]
    fn tags_are_meant_by_name_or_by_glob() {
        #[track_caller]
        fn check(patterns: &[&str], tag: &str, expected: bool) {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            assert_eq!(Choice::new(&patterns, &[]).expect("globs").has_tag(tag), expected, "{tag}");
        }
        check(&[], "loss", true);
        check(&["loss"], "loss", true);
        check(&["loss"], "loss_1", false);
        check(&["*loss"], "eval/loss", true);
        check(&["acc", "l*"], "loss", true);
        check(&["a[0]"], "a[0]", true);
    }
}
