//! How the next trial's parameters are found: one algorithm a file behind one small trait.
//!
//! Layer 7. Pure and deterministic: the same specification, seed and finished trials give the same
//! suggestion.

mod grid;
mod random;

use crate::study::{Algorithm, Assignment, StudySpec, Trial};

pub use grid::GridSearch;
pub use random::RandomSearch;

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
        Algorithm::Grid => Box::new(GridSearch),
        Algorithm::Unspecified | Algorithm::Random => Box::new(RandomSearch),
    }
}
