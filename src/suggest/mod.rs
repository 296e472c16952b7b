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

use crate::study::{Assignment, Outcome, Study, StudySpec, Trial};
use crate::units::TrialId;

pub use bayes::BayesianOptimization;
pub use grid::GridSearch;
pub use random::RandomSearch;
pub use tpe::TreeParzen;

/// A search algorithm.
pub trait Suggest: Send + std::fmt::Debug {
    /// The parameters of the trial that follows those of which these are the observations; `None` where the space holds
    /// nothing that is worth trying again. It may take seconds.
    fn suggest(&mut self, spec: &StudySpec, observations: &[Observation]) -> Option<Assignment>;
}

/// A request for the parameters of one trial: with the study's specification all that an algorithm needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The trial that the parameters are for.
    pub trial: TrialId,
    /// What was known when the request was made: one observation for each trial of the study and of the jobs that it
    /// learns from, those of other jobs first, then by trial number.
    pub observations: Vec<Observation>,
}

/// What a search algorithm knows of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The trial's parameters.
    pub params: Assignment,
    /// What the trial says of them.
    pub evidence: Evidence,
}

/// What a trial says of its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evidence {
    /// Nothing yet: it is not over.
    Pending,
    /// Nothing: it ended for a reason outside of its parameters, such as a cancelled job.
    Nothing,
    /// They failed.
    Failed,
    /// Its result, in the unit of the metric; NaN counts as [`Self::Failed`].
    Value(f64),
}

impl Request {
    /// The request for the next trial of a study as it stands.
    #[must_use]
    pub fn next(study: &Study) -> Self {
        let observations = Observation::of_all(study.spec(), study.known_trials());
        Self { trial: study.next_id(), observations }
    }
}

impl Observation {
    /// What a trial says now.
    #[must_use]
    pub fn of(spec: &StudySpec, trial: &Trial) -> Self {
        let evidence = match trial.outcome() {
            None => Evidence::Pending,
            Some(
                Outcome::Cancelled
                | Outcome::NotStarted(_)
                | Outcome::LeftAtWork(_)
                | Outcome::Preempted
                | Outcome::Lost,
            ) => Evidence::Nothing,
            Some(Outcome::Succeeded | Outcome::StoppedEarly | Outcome::StoppedByRequest) => {
                trial.result(spec.goal, spec.reduce).map_or(Evidence::Failed, |m| Evidence::Value(m.value))
            }
            Some(
                Outcome::Failed(_)
                | Outcome::ReplicaFailed(..)
                | Outcome::Infeasible
                | Outcome::Rejected(_)
                | Outcome::NoMetric,
            ) => Evidence::Failed,
        };
        Self { params: trial.params.clone(), evidence }
    }

    /// What these trials say now, in their order.
    #[must_use]
    pub fn of_all(spec: &StudySpec, trials: &[Trial]) -> Vec<Self> {
        trials.iter().map(|trial| Self::of(spec, trial)).collect()
    }
}

/// The name of an algorithm: a new one is a file of its own, and a variant, a name and a line of [`for_spec`] here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// The default of the service: [`BayesianOptimization`].
    #[default]
    Unspecified,
    /// Every combination in turn: [`GridSearch`].
    Grid,
    /// Independent draws: [`RandomSearch`].
    Random,
    /// By the densities of good and of other trials, for thousands of trials: [`TreeParzen`].
    Tpe,
}

impl Algorithm {
    /// What `algorithm` of the service's own specification may name.
    pub const OF_SERVICE: [(&'static str, Self); 3] = [
        ("ALGORITHM_UNSPECIFIED", Self::Unspecified),
        ("GRID_SEARCH", Self::Grid),
        ("RANDOM_SEARCH", Self::Random),
    ];

    /// What `hptune.algorithm` may name.
    pub const OURS: [(&'static str, Self); 2] = [("bayesian", Self::Unspecified), ("tpe", Self::Tpe)];

    /// The name in a configuration file: the service's, where it has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = Self::OF_SERVICE.iter().chain(&Self::OURS);
        all.find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }
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
