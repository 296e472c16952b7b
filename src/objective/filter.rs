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

impl FilterError {
    /// How the pattern is written where its brackets are meant as characters; `None` where it has none.
    #[must_use]
    pub fn with_plain_brackets(&self) -> Option<String> {
        self.error.glob().and_then(with_plain_brackets)
    }
}

/// A pattern that takes the brackets of another for characters: `loss[[]0[]]` for `loss[0]`. `None` where that has none,
/// or writes them so already.
fn with_plain_brackets(pattern: &str) -> Option<String> {
    let (mut plain, mut has_class) = (String::new(), false);
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        let escaped = ["[*]", "[?]", "[[]", "[]]", "[{]", "[}]"].into_iter().find(|e| rest.starts_with(e));
        let taken = match (escaped, next) {
            (Some(escaped), _) => {
                plain.push_str(escaped);
                escaped.len()
            }
            (None, '[' | ']') => {
                has_class |= next == '[';
                plain.extend(['[', next, ']']);
                1
            }
            (None, _) => {
                plain.push(next);
                next.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    has_class.then_some(plain)
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

impl SeriesFilter {
    /// What to do about patterns of tags that match none of `tags` and have brackets, which may be meant as characters; of
    /// runs, where none of those was found.
    #[must_use]
    pub fn hints_on_brackets<'a>(
        &self,
        chosen: &[&Tag],
        all: impl Iterator<Item = &'a Tag> + Clone,
        has_runs: bool,
    ) -> Vec<String> {
        let hint = |flag: &str, pattern: &str, found: &str| {
            let plain = with_plain_brackets(pattern)?;
            let quoted = plain.replace('\'', r"'\''");
            Some(format!(
                "`[` begins a class of characters, of which one matches; where brackets are meant: {flag} '{quoted}'{found}"
            ))
        };
        let of_tag = |pattern: &str| {
            let plain =
                with_plain_brackets(pattern).and_then(|plain| Glob::new(&plain).ok())?.compile_matcher();
            let tag = all.clone().find(|tag| plain.is_match(tag.as_str()));
            let found = tag.map(|tag| format!(", which finds `{tag}`")).unwrap_or_default();
            hint("--tag", pattern, &found)
        };
        let of_runs = self.runs.iter().filter(|_| !has_runs).filter_map(RunSelector::pattern);
        self.unmatched(chosen)
            .filter_map(of_tag)
            .chain(of_runs.filter_map(|pattern| hint("--run", pattern, "")))
            .collect()
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
    fn brackets_that_are_meant_as_characters_are_written_so() {
        #[track_caller]
        fn check(pattern: &str, expected: Option<&str>) {
            let plain = with_plain_brackets(pattern);
            assert_eq!(plain.as_deref(), expected);
            if let Some(plain) = plain {
                let matcher = Glob::new(&plain).expect("a glob").compile_matcher();
                assert!(matcher.is_match(pattern), "{plain}");
            }
        }
        check("loss[0]", Some("loss[[]0[]]"));
        check("*[0", Some("*[[]0"));
        check("é[a-z]]", Some("é[[]a-z[]][]]"));
        check("loss", None);
        check("loss]", None);
        assert_eq!(with_plain_brackets("loss[[]0[]]"), None);
        let pattern = ["*[0]".to_owned()];
        let filter = SeriesFilter::new(&pattern, &pattern).expect("globs");
        let (there, other) = (Tag::from("eval/loss[0]"), Tag::from("b"));
        let hints = filter.hints_on_brackets(&[], [&other, &there].into_iter(), false);
        assert!(hints[0].ends_with("--tag '*[[]0[]]', which finds `eval/loss[0]`"), "{hints:?}");
        assert!(hints[1].ends_with("--run '*[[]0[]]'") && hints.len() == 2, "{hints:?}");
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
