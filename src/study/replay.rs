//! A study: its specification with its trials, as the records of its course make them.

use std::sync::Arc;

use super::{Decided, JobEnd, Record, StudySpec, Trial};
use crate::units::TrialId;

/// A study in its course. Whoever has the same records has the same study.
#[derive(Debug, Clone)]
pub struct Study {
    spec: StudySpec,
    /// Of other jobs for the search alone, then of the jobs that this one continues, then its own; each by number.
    trials: Vec<Trial>,
    /// How many are for the search alone.
    n_warm: usize,
    /// How many are of other jobs, those included.
    n_prior: usize,
    /// The number of this job's first trial.
    first: TrialId,
    /// The jobs that this one continues, the earliest first, each with its last trial.
    continued: Vec<(TrialId, Arc<str>)>,
    decided: Decided,
    end: Option<JobEnd>,
}

/// A job that is over, of which another one knows the trials.
#[derive(Debug, Clone)]
pub struct PriorJob {
    /// Its name.
    pub id: Arc<str>,
    /// Its trials, by number, all of them over.
    pub trials: Vec<Trial>,
}

impl Study {
    /// A study without a trial.
    #[must_use]
    pub fn new(spec: StudySpec) -> Self {
        Self {
            spec,
            trials: Vec::new(),
            n_warm: 0,
            n_prior: 0,
            first: TrialId::after(0),
            continued: Vec::new(),
            decided: Decided::Nothing,
            end: None,
        }
    }

    /// The same that knows trials of other jobs: the search both `warm` and those of `continued`, the jobs that this one
    /// continues, the earliest first; early stopping the latter alone. The numbers of its own trials begin with `first`,
    /// which lies behind those of `continued`. To be called before there is any trial.
    #[must_use]
    pub fn with_prior_trials(mut self, warm: Vec<Trial>, continued: Vec<PriorJob>, first: TrialId) -> Self {
        self.n_warm = warm.len();
        self.trials = warm;
        for PriorJob { id, trials } in continued {
            self.continued.extend(trials.last().map(|last| (last.id, id)));
            self.trials.extend(trials);
        }
        self.n_prior = self.trials.len();
        self.first = first;
        self
    }

    /// The same with the trials that its records have made so far, by number, and what those decided.
    #[must_use]
    pub fn with_trials(mut self, trials: Vec<Trial>, decided: Decided) -> Self {
        self.trials.extend(trials);
        self.decided = decided;
        self
    }

    /// Takes a record, all those before it having been taken. One of a trial that is not there changes nothing.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Suggested(id, params) => self.trials.push(Trial::suggested(*id, params.clone())),
            Record::Started(id, ..)
            | Record::Changed(id, ..)
            | Record::StopDecided(id, ..)
            | Record::Retried(id, ..)
            | Record::Ended(id, ..) => {
                if let Some(trial) = self.trial_mut(*id) {
                    trial.apply(record);
                }
            }
            Record::CancelDecided(_) => self.decided = Decided::Cancel,
            Record::FailDecided(_, why) => self.decided = Decided::Fail(why.clone()),
            Record::JobEnded(_, end) => self.end = Some(end.clone()),
        }
    }

    /// What is tuned.
    #[must_use]
    pub fn spec(&self) -> &StudySpec {
        &self.spec
    }

    /// The trials of this job, by number.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        self.trials.get(self.n_prior..).unwrap_or_default()
    }

    /// The trials that a stop rule may compare: those of this job and of the jobs that it continues, by number.
    #[must_use]
    pub fn comparable_trials(&self) -> &[Trial] {
        self.trials.get(self.n_warm..).unwrap_or_default()
    }

    /// A trial of this job.
    #[must_use]
    pub fn trial(&self, id: TrialId) -> Option<&Trial> {
        self.trials.get(self.place(id)?)
    }

    /// The job that a trial is of, where that is one that this job continues.
    #[must_use]
    pub fn prior_job_of(&self, id: TrialId) -> Option<&Arc<str>> {
        self.continued.iter().find(|(last, _)| id <= *last).map(|(_, job)| job)
    }

    /// The number of the trial that is suggested next.
    #[must_use]
    pub fn next_id(&self) -> TrialId {
        TrialId::after((self.first.get() - 1).saturating_add(self.trials().len() as u32))
    }

    /// The trials that the search learns from: those of other jobs first, then those of this job, each by number.
    #[must_use]
    pub fn known_trials(&self) -> &[Trial] {
        &self.trials
    }

    /// What was decided of the whole job.
    #[must_use]
    pub fn decided(&self) -> &Decided {
        &self.decided
    }

    /// How the job ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<&JobEnd> {
        self.end.as_ref()
    }

    /// The trials of this job, for who keeps in them what no record says: where their processes stand.
    pub(crate) fn trials_mut(&mut self) -> &mut [Trial] {
        self.trials.get_mut(self.n_prior..).unwrap_or_default()
    }

    /// One of them.
    pub(crate) fn trial_mut(&mut self, id: TrialId) -> Option<&mut Trial> {
        let place = self.place(id)?;
        self.trials.get_mut(place)
    }

    fn place(&self, id: TrialId) -> Option<usize> {
        Some(id.get().checked_sub(self.first.get())? as usize + self.n_prior)
    }
}
