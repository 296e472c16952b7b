//! Every combination in turn.

use std::collections::BTreeSet;

use super::{Observation, Suggest};
use crate::study::{Assignment, StudySpec};

/// Goes through a finite space in order, the last parameter fastest. It ends when every combination
/// has been a trial.
#[derive(Debug)]
pub struct GridSearch;

impl Suggest for GridSearch {
    fn suggest(&mut self, spec: &StudySpec, observations: &[Observation]) -> Option<Assignment> {
        let tried: BTreeSet<String> =
            observations.iter().map(|observation| observation.params.to_string()).collect();
        // Trials that were not suggested here may have taken some: as many more are looked at.
        let n = observations.len() as u64 + 1;
        (0..n).filter_map(|n| spec.space.nth(n)).find(|point| !tried.contains(&point.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::config::tests::spec;
    use crate::suggest::Evidence;

    #[test]
    fn every_combination_comes_once_and_then_it_ends() {
        let spec = spec(
            "{algorithm: GRID_SEARCH, maxTrials: 99, params: [\
             {parameterName: a, type: INTEGER, minValue: 1, maxValue: 2},\
             {parameterName: b, type: CATEGORICAL, categoricalValues: [x, y, z]}]}",
        );
        let mut known = Vec::new();
        while let Some(params) = GridSearch.suggest(&spec, &known) {
            known.push(Observation { params, evidence: Evidence::Pending });
        }
        let points: Vec<String> = known.iter().map(|t| t.params.to_string()).collect();
        assert_eq!(points, ["a=1 b=x", "a=1 b=y", "a=1 b=z", "a=2 b=x", "a=2 b=y", "a=2 b=z"]);
    }
}
