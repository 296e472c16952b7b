//! Every combination in turn.

use std::collections::BTreeSet;

use super::Suggest;
use crate::study::{Assignment, StudySpec, Trial};

/// Goes through a finite space in order, the last parameter fastest. It ends when every combination
/// has been a trial.
#[derive(Debug)]
pub struct GridSearch;

impl Suggest for GridSearch {
    fn suggest(&mut self, spec: &StudySpec, trials: &[Trial]) -> Option<Assignment> {
        let tried: BTreeSet<String> = trials.iter().map(|trial| trial.params.to_string()).collect();
        // Trials that were not suggested here may have taken some: as many more are looked at.
        let n = trials.len() as u64 + 1;
        (0..n).filter_map(|n| spec.space.nth(n)).find(|point| !tried.contains(&point.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::config::tests::spec;
    use crate::units::TrialId;

    #[test]
    fn every_combination_comes_once_and_then_it_ends() {
        let spec = spec(
            "{algorithm: GRID_SEARCH, maxTrials: 99, params: [\
             {parameterName: a, type: INTEGER, minValue: 1, maxValue: 2},\
             {parameterName: b, type: CATEGORICAL, categoricalValues: [x, y, z]}]}",
        );
        let mut trials = Vec::new();
        while let Some(point) = GridSearch.suggest(&spec, &trials) {
            trials.push(Trial::suggested(TrialId::after(trials.len() as u32), point));
        }
        let points: Vec<String> = trials.iter().map(|t| t.params.to_string()).collect();
        assert_eq!(points, ["a=1 b=x", "a=1 b=y", "a=1 b=z", "a=2 b=x", "a=2 b=y", "a=2 b=z"]);
    }
}
