//! How the next trial's parameters are found: one algorithm a file behind one small trait.
//!
//! Layer 7. Pure and deterministic: the same specification, seed and trials give the same suggestion, on every
//! machine and in whatever order the trials' results came in. An algorithm keeps nothing between suggestions: a
//! job that is taken up again goes on as if it had never stopped.

mod bayes;
mod draw;
mod encode;
mod grid;
pub mod insight;
mod known;
mod random;
#[cfg(test)]
mod tests;
mod tpe;

use crate::study::{Algorithm, Assignment, StudySpec, Trial};

pub use bayes::BayesianOptimization;
pub use grid::GridSearch;
pub use random::RandomSearch;
pub use tpe::TreeParzen;

/// A search algorithm.
pub trait Suggest: Send {
    /// The parameters of the trial that follows `trials`; `None` where the space holds nothing that
    /// is worth trying again.
    fn suggest(&mut self, spec: &StudySpec, trials: &[Trial]) -> Option<Assignment>;
}

/// The algorithm that a specification asks for.
#[must_use]
pub fn for_spec(spec: &StudySpec) -> Box<dyn Suggest> {
    match spec.algorithm {
        Algorithm::Unspecified => Box::new(BayesianOptimization),
        Algorithm::Grid => Box::new(GridSearch),
        Algorithm::Random => Box::new(RandomSearch),
        Algorithm::Tpe => Box::new(TreeParzen),
    }
}
