//! What is remarked of a job's trials taken together, each once a job.

use std::collections::BTreeSet;

use super::Job;
use crate::edge::follow::Late;
use crate::objective::Seen;
use crate::study::{EarlyStopping, Trial, UsualEnds, all_alike};
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
    /// What is unusual in how steps were written.
    is_shape_told: bool,
    /// That several writers hold the same steps.
    is_beside_told: bool,
    /// That steps come in no order.
    is_order_told: bool,
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
            Some((trial.id, trial.curve.reached()?, usual))
        };
        let missed: Vec<_> = trials.iter().filter_map(missed).collect();
        let is_mixed = |trial: &&Trial| trial.outcome().is_some() && !trial.curve.is_in_order();
        let mixed = trials.iter().find(is_mixed).map(|trial| trial.id);
        if let Some(n) = n_alike.filter(|n| is_all || *n >= MANY_ALIKE) {
            self.remarked.is_unused_told = true;
            let text = format!("warning: {}", unused(n, self.plan.config.spec.metric_tag.as_str()));
            self.tell_job(text);
        }
        if let Some(trial) = mixed.filter(|_| self.controller.spec().early_stopping != EarlyStopping::None)
            && !std::mem::replace(&mut self.remarked.is_order_told, true)
        {
            let text = "its steps are written in no order, so that an early value and a late one at the same step are not \
                        alike: early stopping compares no such trial and gives none up";
            self.tell_job(format!("note: trial {trial}: {text}"));
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

    /// Tells what is unusual in how the steps of a trial were written.
    pub(super) fn tell_shape(&mut self, trial: TrialId, seen: &Seen) {
        let takes_mean = self.plan.config.run.takes_mean_of_step();
        let sentences = seen.shape.sentences(takes_mean);
        // Where no step is counted, that is told.
        if !sentences.is_empty()
            && !seen.lacks_steps()
            && !std::mem::replace(&mut self.remarked.is_shape_told, true)
        {
            let has_mean = seen.shape.most_at_a_step > 1 && !takes_mean;
            let hint = if has_mean { MEAN_OF_STEP } else { "" };
            self.tell_job(format!("note: trial {trial}: {}{hint}", sentences.join("; ")));
        }
        if let Some((n, has_rank)) = seen.beside
            && !std::mem::replace(&mut self.remarked.is_beside_told, true)
        {
            let text = beside(n, has_rank, self.plan.config.run.is_mean());
            self.tell_job(format!("note: trial {trial}: {text}"));
        }
    }

    /// Tells that values come late, and what fixes that in the program that writes them.
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

/// How the mean of several values at a step is asked for.
pub(crate) const MEAN_OF_STEP: &str =
    "\n  hint: `hptune: {objective: {sameStep: mean}}` takes the mean of those at one step";

/// That writers side by side hold the same steps, and whose values count.
pub(crate) fn beside(n: usize, has_rank: bool, is_mean: bool) -> String {
    let counts = match (is_mean, has_rank) {
        (true, _) => {
            return format!(
                "{n} writers side by side hold the same steps with other values: their mean counts"
            );
        }
        (false, true) => "those of the lowest rank count",
        (false, false) => "those of the first count",
    };
    format!(
        "{n} writers side by side hold the same steps with other values: {counts}\n  hint: \
         `hptune: {{objective: {{across: mean}}}}` takes their mean; or have only rank 0 write"
    )
}

/// That a trainer seems not to use its parameters.
pub(crate) fn unused(n: usize, tag: &str) -> String {
    format!(
        "all {n} trials gave the same values of `{tag}`, to the bit at every step, though their parameters differ: the \
         trainer seems not to use them; `hptune run --dry-run` shows what it is given"
    )
}
