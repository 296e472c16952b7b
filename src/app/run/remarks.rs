//! What is remarked of a job's trials taken together, each once a job.

use std::collections::BTreeSet;

use super::Job;
use crate::edge::follow::Late;
use crate::study::{Trial, UsualEnds, all_alike};
use crate::units::TrialId;

/// How many trials with the same values say that parameters are not used; at the end of a job two do.
const MANY_ALIKE: usize = 3;

/// What was remarked.
#[derive(Debug, Default)]
pub(super) struct Remarked {
    /// That the trainer seems not to use its parameters.
    is_unused_told: bool,
    /// That values come late.
    is_late_told: bool,
    /// Which trials ended far before the others.
    ended_before: BTreeSet<TrialId>,
}

impl Job<'_> {
    /// Looks at the trials after one of them has ended.
    pub(super) fn remark(&mut self) {
        let trials = self.controller.trials();
        let n_alike = if self.remarked.is_unused_told { None } else { all_alike(trials) };
        let is_all = trials.len() >= self.controller.spec().max_trials as usize;
        let ends = UsualEnds::of(trials);
        let missed = |trial: &Trial| {
            let usual = ends.missed_by(trial)?;
            Some((trial.id, trial.last_step()?, usual))
        };
        let missed: Vec<_> = trials.iter().filter_map(missed).collect();
        if let Some(n) = n_alike.filter(|n| is_all || *n >= MANY_ALIKE) {
            self.remarked.is_unused_told = true;
            let text = format!("warning: {}", unused(n, self.plan.config.spec.metric_tag.as_str()));
            self.tell_job(text);
        }
        for (trial, step, usual) in missed {
            if self.remarked.ended_before.insert(trial) {
                let text = format!(
                    "ended well at step {step}, far before the {usual} of the others: somebody may have told it to end; \
                     no trial is stopped by comparison with it"
                );
                self.note(trial, text);
            }
        }
    }

    /// Tells that values come late, and what mends that in the program that writes them.
    pub(super) fn tell_late(&mut self, trial: TrialId, late: &Late) {
        if std::mem::replace(&mut self.remarked.is_late_told, true) {
            return;
        }
        let pytorch =
            "SummaryWriter(…, flush_secs=5), or writer.flush() after each epoch (PyTorch, tensorboardX)";
        let tensorflow =
            "tf.summary.create_file_writer(…, flush_millis=5000), or writer.flush() (TensorFlow)";
        let remedy = match late.writers.iter().next() {
            Some(writer) if writer.starts_with("tensorflow") => tensorflow.to_owned(),
            Some(_) => pytorch.to_owned(),
            None => format!("{pytorch}; {tensorflow}"),
        };
        let text = format!(
            "note: trial {trial}: {} values of `{}` came at once, up to {} s after they were written: the trainer's \
             summary writer keeps them back, and early stopping decides that much later\n  hint: {remedy}",
            late.burst.n,
            self.plan.config.spec.metric_tag,
            late.burst.late.as_secs()
        );
        self.tell_job(text);
    }
}

/// That a trainer seems not to use its parameters.
pub(crate) fn unused(n: usize, tag: &str) -> String {
    format!(
        "all {n} trials gave the same values of `{tag}`, to the bit at every step, though their parameters differ: the \
         trainer seems not to use them; `hptune run --dry-run` shows what it is given"
    )
}
