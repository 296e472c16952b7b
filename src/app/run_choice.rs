//! Which run directory an objective is read from, in words, with the line that decides it otherwise.

use crate::objective::Split;
use crate::objective::missing::{listed, objective_mean};
use crate::objective::{Why, pattern_of};
use crate::units::{RunName, Tag};

/// Why a run is read; `None` where there is nothing to choose from.
fn reason(why: Why) -> Option<String> {
    match why {
        Why::Only => None,
        Why::Split(Split::Test) => {
            Some("it is named for test data, and none for validation: trials are selected by them".to_owned())
        }
        Why::Split(split) => Some(format!("it is named for {} data", split.name())),
        Why::OthersTrain => Some("the others are named for training".to_owned()),
        Why::Shallowest => Some("the others lie deeper".to_owned()),
        Why::LastWritten => Some("it was begun when the others had ended".to_owned()),
        Why::FirstFold => Some("the first of several folds".to_owned()),
        Why::FirstNumber => Some("the first of several that are numbered".to_owned()),
    }
}

/// That `tag` is read from one of several runs, why, and how it is decided otherwise.
#[must_use]
pub fn note(tag: &Tag, run: &RunName, why: Option<(Why, &[RunName])>, left_out: &[RunName]) -> String {
    let why_text = why.and_then(|(why, _)| reason(why)).map(|text| format!(" ({text})")).unwrap_or_default();
    let others = listed(left_out.iter().map(RunName::as_str));
    let text = format!("`{tag}` is read from the run directory `{run}`, not from {others}{why_text}");
    match why {
        Some((Why::FirstFold | Why::FirstNumber, alike)) => {
            let pattern = pattern_of(&alike.iter().collect::<Vec<_>>());
            format!("{text}; for the mean of all at each step: {}", objective_mean(&pattern))
        }
        _ => format!("{text}; hptune.objective.run decides it"),
    }
}
