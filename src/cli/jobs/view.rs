//! What a running job looks like: live on a terminal, a line an event elsewhere, or JSON.

use super::live::LiveView;
use super::text::{brief, rounded};
use crate::app::Failure;
use crate::cli::printer::Printer;
use crate::cli::text::{duration, printable};
use crate::report::{JobEvent, JobEventKind, jsonl};
use crate::study::{Assignment, FinalState, Goal, ParamValue, StudySpec, Trial, rank};
use crate::units::{Step, TrialId};

/// Shows events as they come.
pub(super) trait View {
    fn show(&mut self, event: &JobEvent);

    /// Ends the view.
    ///
    /// # Errors
    /// Something could not be shown that was data.
    fn finish(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// How far a job was before what is shown of it: it may go on after an interruption.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Before {
    /// How many of its trials were over.
    pub(super) n_ended: usize,
    /// The best of them.
    pub(super) best: Option<(f64, TrialId)>,
}

impl Before {
    /// Of a job with these trials.
    pub(super) fn of(spec: &StudySpec, trials: &[Trial]) -> Self {
        let best = rank(spec, trials).best.into_iter().next();
        let best = trials.iter().find(|trial| Some(trial.id) == best);
        Self {
            n_ended: trials.iter().filter(|trial| !trial.is_active()).count(),
            best: best.and_then(|trial| Some((trial.result(spec.goal, spec.reduce)?.value, trial.id))),
        }
    }
}

/// The view that suits the output.
pub(super) fn for_output(json: bool, printer: Printer, before: Before) -> Box<dyn View> {
    let lines = Lines { best: before.best, ..Lines::default() };
    if json {
        Box::new(JsonView { printer, shown: Ok(()) })
    } else if Printer::is_live() {
        Box::new(LiveView::new(lines, before.n_ended))
    } else {
        Box::new(LineView { printer, lines })
    }
}

struct JsonView {
    printer: Printer,
    shown: Result<(), Failure>,
}

impl View for JsonView {
    /// A line that cannot be written does not end the job: [`View::finish`] gives the error.
    fn show(&mut self, event: &JobEvent) {
        let shown = self.printer.document(&jsonl::encode(event));
        if self.shown.is_ok() {
            self.shown = shown;
        }
    }

    fn finish(self: Box<Self>) -> Result<(), Failure> {
        self.shown
    }
}

struct LineView {
    printer: Printer,
    lines: Lines,
}

impl View for LineView {
    fn show(&mut self, event: &JobEvent) {
        if let Some(line) = self.lines.of(&event.kind) {
            self.printer.talk(&line);
        }
    }
}

/// The best result so far, and the lines that need it.
#[derive(Default)]
pub(super) struct Lines {
    is_minimizing: bool,
    pub(super) best: Option<(f64, TrialId)>,
}

impl Lines {
    /// A line for an event that is worth one.
    pub(super) fn of(&mut self, event: &JobEventKind) -> Option<String> {
        match event {
            JobEventKind::JobStarted { job, job_dir, metric_tag, goal, max_trials, seed } => {
                self.is_minimizing = *goal == Goal::Minimize;
                let verb = if self.is_minimizing { "minimizing" } else { "maximizing" };
                Some(format!(
                    "job {job}: {verb} `{metric_tag}` in up to {max_trials} trials (seed {seed})\nfiles in {job_dir}"
                ))
            }
            JobEventKind::TrialStarted { trial, attempt: 1, hyperparameters } => {
                Some(format!("trial {trial} started: {}", assignment(hyperparameters)))
            }
            JobEventKind::TrialStarted { trial, attempt, .. } => {
                Some(format!("trial {trial}: attempt {attempt} started"))
            }
            JobEventKind::TrialRetried { trial, outcome, attempt } => {
                Some(format!("trial {trial} {outcome}; attempt {attempt} follows"))
            }
            JobEventKind::Point { .. } | JobEventKind::Source { .. } | JobEventKind::JobEnded { .. } => None,
            JobEventKind::Rewind { trial, from_step: Step(i64::MIN), .. } => {
                Some(format!("trial {trial}: what it reported does not count any more"))
            }
            JobEventKind::Rewind { trial, pass, from_step } => {
                let pass = if *pass > 1 { format!(" of pass {pass}") } else { String::new() };
                Some(format!("trial {trial} restarted: writes from step {from_step}{pass} on anew"))
            }
            JobEventKind::StopDecided { trial, reason } => {
                Some(format!("trial {trial} is given up: {reason}"))
            }
            JobEventKind::TrialEnded { trial, state, outcome, value, step, duration_s } => {
                let mut line = format!("trial {trial} {outcome}");
                if let (Some(value), Some(step)) = (value, step) {
                    let what = if *state == FinalState::Succeeded { ":" } else { "; its last value:" };
                    line += &format!("{what} {} at step {step}", brief(value.as_f64()));
                }
                if let Some(seconds) = duration_s {
                    line += &format!(" after {}", duration(*seconds));
                }
                if *state == FinalState::Succeeded
                    && let Some(value) = value
                    && self.take_best(value.as_f64(), *trial)
                {
                    line += " (the best so far)";
                }
                Some(line)
            }
            JobEventKind::Note { trial: Some(trial), text } => {
                Some(format!("trial {trial}: {}", printable(text)))
            }
            JobEventKind::Note { trial: None, text } => Some(text.clone()),
            JobEventKind::Cancelling => Some("stopping the trials; once more to kill them".to_owned()),
        }
    }

    fn take_best(&mut self, value: f64, trial: TrialId) -> bool {
        let is_better = match self.best {
            None => true,
            Some((best, _)) if self.is_minimizing => value < best,
            Some((best, _)) => value > best,
        };
        if is_better {
            self.best = Some((value, trial));
        }
        is_better
    }
}

/// The values of a trial in a line: those of ranges to four digits, all others as they are.
pub(super) fn assignment(hyperparameters: &Assignment) -> String {
    let short = |value: &ParamValue| match value {
        ParamValue::Number(number) if number.fract() != 0.0 => rounded(*number, 4),
        ParamValue::Number(_) => value.to_string(),
        ParamValue::Text(text) => printable(text),
    };
    let words = hyperparameters.iter().map(|(name, value)| format!("{name}={}", short(value)));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_shown_as_they_are() {
        let text = |text: &str| ParamValue::Text(text.into());
        let values = [
            ("lr", ParamValue::Number(0.012_345_678)),
            ("layers", ParamValue::Number(1_234_567.0)),
            ("a", text("1e3")),
            ("b", text("007")),
            ("c", text("nan")),
            ("d", text("1.0")),
        ];
        let values = values.into_iter().map(|(name, value)| (name.into(), value)).collect();
        assert_eq!(assignment(&Assignment(values)), "lr=0.01235 layers=1234567 a=1e3 b=007 c=nan d=1.0");
    }
}
