//! Independent draws.

use super::draw::Draw;
use super::known::is_taken;
use super::{Observation, Suggest};
use crate::limits::MAX_REDRAWS;
use crate::study::{Assignment, StudySpec};

/// Draws every parameter uniformly on its scale. In a finite space no combination comes twice, and
/// the search ends when all have come.
#[derive(Debug)]
pub struct RandomSearch;

impl Suggest for RandomSearch {
    fn suggest(&mut self, spec: &StudySpec, observations: &[Observation]) -> Option<Assignment> {
        let mut draw = Draw::new(spec.seed, observations.len());
        let mut point = || spec.space.assign(|domain| domain.at(draw.unit()));
        let Some(size) = spec.space.size() else { return Some(point()) };
        let is_new = |point: &Assignment| !is_taken(observations, point);
        if let Some(point) = std::iter::repeat_with(&mut point).take(MAX_REDRAWS as usize).find(is_new) {
            return Some(point);
        }
        // Nearly everything was tried: the first that was not, in order.
        (0..size.min(observations.len() as u64 + 1)).filter_map(|n| spec.space.nth(n)).find(is_new)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::study::config::tests::spec;
    use crate::suggest::Evidence;

    fn run(spec: &StudySpec, n: u32) -> Vec<Observation> {
        let mut known = Vec::new();
        for _ in 0..n {
            let Some(params) = RandomSearch.suggest(spec, &known) else { break };
            assert!(spec.space.contains(&params), "{params}");
            known.push(Observation { params, evidence: Evidence::Pending });
        }
        known
    }

    #[test]
    fn the_same_seed_gives_the_same_points_and_another_seed_others() {
        let mut spec =
            spec("{maxTrials: 9, params: [{parameterName: a, type: DOUBLE, minValue: 0, maxValue: 1}]}");
        let points =
            |spec: &StudySpec| -> Vec<String> { run(spec, 9).iter().map(|t| t.params.to_string()).collect() };
        spec.seed = 1;
        let first = points(&spec);
        assert_eq!(first, points(&spec));
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 9);
        spec.seed = 2;
        assert_ne!(first, points(&spec));
    }

    #[test]
    fn a_finite_space_is_drawn_without_repetition_and_then_it_ends() {
        let spec = spec(
            "{maxTrials: 999, params: [\
             {parameterName: a, type: INTEGER, minValue: 1, maxValue: 20},\
             {parameterName: b, type: DISCRETE, discreteValues: [1, 2, 4]}]}",
        );
        let trials = run(&spec, 999);
        let points: BTreeSet<String> = trials.iter().map(|t| t.params.to_string()).collect();
        assert_eq!((trials.len(), points.len()), (60, 60));
    }
}
