//! The filter of a list of jobs: `state:FAILED AND jobId:rnn* labels.owner=me`.
//!
//! Source: the reference of `projects.jobs.list`, and `gcloud`'s use of it: terms `field:prefix*` and `field=value`,
//! joined by `AND` or a blank, each perhaps with `NOT` before it.

use super::error::ApiError;
use super::limits::MAX_FILTER_BYTES;

/// What jobs are wanted: those that all terms hold for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: Field,
    is_negated: bool,
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    JobId,
    State,
    CreateTime,
    Label(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Equal(String),
    Prefix(String),
    Before(String),
    NotBefore(String),
}

/// What a filter looks at.
pub(super) trait Filtered {
    fn job_id(&self) -> &str;
    fn state(&self) -> &str;
    fn create_time(&self) -> String;
    fn label(&self, key: &str) -> Option<String>;
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What it is that cannot be read.
    pub(super) fn read(text: &str) -> Result<Self, ApiError> {
        let fail = |what: String| ApiError::of_field("filter", what);
        if text.len() > MAX_FILTER_BYTES {
            return Err(fail(format!("is longer than {MAX_FILTER_BYTES} bytes")));
        }
        let (mut terms, mut is_negated) = (Vec::new(), false);
        for word in words(text).map_err(|what| fail(what.to_owned()))? {
            match &*word {
                "AND" => {}
                "NOT" => is_negated = true,
                "OR" => return Err(fail("`OR` is not supported; want terms joined by AND".into())),
                term => {
                    terms.push(
                        Term::read(term.trim_start_matches('-'), is_negated || term.starts_with('-'))
                            .map_err(fail)?,
                    );
                    is_negated = false;
                }
            }
        }
        Ok(Self(terms))
    }

    /// Whether it has something to say of labels, which are in the configuration.
    pub(super) fn has_labels(&self) -> bool {
        self.0.iter().any(|term| matches!(term.field, Field::Label(_)))
    }

    pub(super) fn takes(&self, job: &dyn Filtered) -> bool {
        self.0.iter().all(|term| term.takes(job))
    }
}

/// The words of a filter: blanks and brackets part them, but not within quotes, which are left out.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() || c == '(' || c == ')' => words.push(std::mem::take(&mut word)),
            (_, c) => word.push(c),
        }
    }
    if quote.is_some() {
        return Err("has a quote without its end");
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    Ok(words)
}

impl Term {
    fn read(text: &str, is_negated: bool) -> Result<Self, String> {
        let at = text.find([':', '=', '<', '>', '!']).ok_or_else(|| {
            format!("`{text}` is no term; want FIELD:PREFIX* or FIELD=VALUE, such as state:FAILED")
        })?;
        let (name, rest) = text.split_at(at);
        let (operator, value) = rest.split_at(rest.find(|c| !":=<>!".contains(c)).unwrap_or(rest.len()));
        let field = match name {
            "jobId" | "job_id" => Field::JobId,
            "state" => Field::State,
            "createTime" | "create_time" => Field::CreateTime,
            name => match name.strip_prefix("labels.") {
                Some(key) if !key.is_empty() => Field::Label(key.to_owned()),
                _ => {
                    return Err(format!(
                        "there is no field `{name}`; want jobId, state, createTime or labels.KEY"
                    ));
                }
            },
        };
        let (wanted, is_negated) = match (operator, value.strip_suffix('*')) {
            (":" | "=", Some(prefix)) => (Wanted::Prefix(prefix.to_owned()), is_negated),
            (":" | "=", None) => (Wanted::Equal(value.to_owned()), is_negated),
            ("!=", _) => (Wanted::Equal(value.to_owned()), !is_negated),
            ("<", _) => (Wanted::Before(value.to_owned()), is_negated),
            (">=" | ">", _) => (Wanted::NotBefore(value.to_owned()), is_negated),
            _ => return Err(format!("`{operator}` is no operator; want one of : = != < >=")),
        };
        Ok(Self { field, is_negated, wanted })
    }

    fn takes(&self, job: &dyn Filtered) -> bool {
        let value = match &self.field {
            Field::JobId => Some(job.job_id().to_owned()),
            Field::State => Some(job.state().to_owned()),
            Field::CreateTime => Some(job.create_time()),
            Field::Label(key) => job.label(key),
        };
        let takes = value.is_some_and(|value| match &self.wanted {
            Wanted::Equal(wanted) => value == *wanted,
            Wanted::Prefix(prefix) => value.starts_with(prefix),
            Wanted::Before(limit) => value < *limit,
            Wanted::NotBefore(limit) => value >= *limit,
        });
        takes != self.is_negated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Job;

    impl Filtered for Job {
        fn job_id(&self) -> &str {
            "rnn_1"
        }

        fn state(&self) -> &str {
            "RUNNING"
        }

        fn create_time(&self) -> String {
            "2026-01-02T03:04:05Z".into()
        }

        fn label(&self, key: &str) -> Option<String> {
            (key == "owner").then(|| "me too".into())
        }
    }

    #[test]
    fn all_terms_must_hold() {
        #[track_caller]
        fn check(text: &str, expected: bool) {
            assert_eq!(Filter::read(text).expect("it reads").takes(&Job), expected, "{text}");
        }
        check("", true);
        check("jobId:rnn*", true);
        check("jobId=rnn*", true);
        check("jobId:rnn", false);
        check("jobId=rnn_1 AND state=RUNNING", true);
        check("jobId=rnn_1 state:FAILED", false);
        check("NOT state:FAILED", true);
        check("-state:FAILED", true);
        check("state!=RUNNING", false);
        check("labels.owner=\"me too\"", true);
        check("labels.owner:*", true);
        check("labels.other:*", false);
        check("(state:RUNNING)", true);
        check("createTime>=2026-01-01T00:00:00Z createTime<2027-01-01T00:00:00Z", true);
        check("createTime<2026", false);
    }

    #[test]
    fn what_is_no_filter_is_told() {
        #[track_caller]
        fn check(text: &str, part: &str) {
            let error = Filter::read(text).expect_err("it is none").to_string();
            assert!(error.contains(part), "{error}");
        }
        check("nonsense", "no term");
        check("size:3", "no field `size`");
        check("state:A OR state:B", "`OR`");
        check("state:\"A", "quote");
        check("state=:A", "no operator");
        check(&"a".repeat(5_000), "longer");
    }
}
