//! What a running job looks like: live on a terminal, a line an event elsewhere, or JSON.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::printer::Printer;
use super::text::{brief, duration, printable, sparkline};
use crate::app::Failure;
use crate::report::{Report, jsonl};
use crate::units::TrialId;

/// How many of a trial's last values the live view draws.
const SPARK_WIDTH: usize = 20;

/// Shows reports as they come.
pub(super) trait View {
    fn tell(&mut self, report: &Report);

    /// Ends the view.
    ///
    /// # Errors
    /// Something could not be shown that was data.
    fn finish(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// The view that suits the output.
pub(super) fn for_output(json: bool, printer: Printer) -> Box<dyn View> {
    if json {
        Box::new(JsonView { printer, shown: Ok(()) })
    } else if printer.is_live() {
        Box::new(LiveView::default())
    } else {
        Box::new(LineView { printer, lines: Lines::default() })
    }
}

struct JsonView {
    printer: Printer,
    shown: Result<(), Failure>,
}

impl View for JsonView {
    /// A line that cannot be written does not end the job; it is told when that is over.
    fn tell(&mut self, report: &Report) {
        let shown = self.printer.data(&jsonl::encode(report));
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
    fn tell(&mut self, report: &Report) {
        if let Some(line) = self.lines.of(report) {
            self.printer.talk(&line);
        }
    }
}

/// The best result so far, and the lines that need it.
#[derive(Default)]
struct Lines {
    is_minimizing: bool,
    best: Option<(f64, TrialId)>,
}

impl Lines {
    /// A line for a report that is worth one.
    fn of(&mut self, report: &Report) -> Option<String> {
        match report {
            Report::JobStarted { job, job_dir, metric_tag, goal, max_trials, seed } => {
                self.is_minimizing = *goal == "MINIMIZE";
                let verb = if self.is_minimizing { "minimizing" } else { "maximizing" };
                Some(format!(
                    "job {job}: {verb} `{metric_tag}` in up to {max_trials} trials (seed {seed})\nfiles in {job_dir}"
                ))
            }
            Report::TrialStarted { trial, attempt: 1, hyperparameters } => {
                Some(format!("trial {trial} started: {}", assignment(hyperparameters)))
            }
            Report::TrialStarted { trial, attempt, .. } => {
                Some(format!("trial {trial}: attempt {attempt} started"))
            }
            Report::TrialRetried { trial, outcome, attempt } => {
                Some(format!("trial {trial} {outcome}; attempt {attempt} follows"))
            }
            Report::Point { .. } | Report::Source { .. } | Report::JobEnded { .. } => None,
            Report::Rewind { trial, from_step } => {
                Some(format!("trial {trial} restarted: writes from step {from_step} on anew"))
            }
            Report::StopDecided { trial, reason } => Some(format!("trial {trial} is given up: {reason}")),
            Report::TrialEnded { trial, state, outcome, value, step, duration_s } => {
                let mut line = format!("trial {trial} {outcome}");
                if let (Some(value), Some(step)) = (value, step) {
                    let what = if *state == "SUCCEEDED" { ":" } else { "; its last value:" };
                    line += &format!("{what} {} at step {step}", brief(value.as_f64()));
                }
                if let Some(seconds) = duration_s {
                    line += &format!(" after {}", duration(*seconds));
                }
                if *state == "SUCCEEDED"
                    && let Some(value) = value
                    && self.take_best(value.as_f64(), *trial)
                {
                    line += " (the best so far)";
                }
                Some(line)
            }
            Report::Note { trial: Some(trial), text } => Some(format!("trial {trial}: {}", printable(text))),
            Report::Note { trial: None, text } => Some(text.clone()),
            Report::Cancelling => Some("stopping the trials; once more to kill them".to_owned()),
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

fn assignment(hyperparameters: &[(String, String)]) -> String {
    let short = |value: &str| value.parse::<f64>().map_or_else(|_| value.to_owned(), brief);
    let words = hyperparameters
        .iter()
        .map(|(name, value)| format!("{name}={}", short(&value.escape_debug().to_string())));
    words.collect::<Vec<_>>().join(" ")
}

/// One line for the job, one for each running trial, and what has happened above them.
struct LiveView {
    lines: Lines,
    screen: MultiProgress,
    job: ProgressBar,
    trials: BTreeMap<TrialId, LiveTrial>,
}

struct LiveTrial {
    bar: ProgressBar,
    values: Vec<f64>,
    params: String,
}

impl Default for LiveView {
    fn default() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let job =
            screen.add(ProgressBar::new(0).with_style(style("{bar:30} {pos}/{len} trials, {elapsed} {msg}")));
        job.enable_steady_tick(std::time::Duration::from_secs(1));
        Self { lines: Lines::default(), screen, job, trials: BTreeMap::new() }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}

impl View for LiveView {
    fn tell(&mut self, report: &Report) {
        let line = self.lines.of(report);
        match report {
            Report::JobStarted { max_trials, .. } => self.job.set_length(u64::from(*max_trials)),
            // Running trials have a line of their own.
            Report::TrialStarted { trial, hyperparameters, .. } => {
                let bar = self.screen.add(ProgressBar::no_length().with_style(style("  {wide_msg}")));
                let params = assignment(hyperparameters);
                bar.set_message(format!("trial {trial:>3}  {params}"));
                self.trials.insert(*trial, LiveTrial { bar, values: Vec::new(), params });
                return;
            }
            Report::Point { trial, step, value, .. } => {
                if let Some(live) = self.trials.get_mut(trial) {
                    live.values.push(value.as_f64());
                    let excess = live.values.len().saturating_sub(SPARK_WIDTH);
                    live.values.drain(..excess);
                    let spark = sparkline(&live.values, SPARK_WIDTH);
                    let value = brief(value.as_f64());
                    live.bar.set_message(format!(
                        "trial {trial:>3}  step {step:>5}  {value:<9} {spark:<SPARK_WIDTH$}  {}",
                        live.params
                    ));
                }
            }
            Report::TrialEnded { trial, .. } => {
                if let Some(live) = self.trials.remove(trial) {
                    live.bar.finish_and_clear();
                    self.screen.remove(&live.bar);
                }
                self.job.inc(1);
                if let Some((value, trial)) = self.lines.best {
                    self.job.set_message(format!("· best so far {} (trial {trial})", brief(value)));
                }
            }
            // Not `finish`, which would fill the bar.
            Report::JobEnded { .. } => self.job.abandon(),
            Report::Source { trial, .. } => {
                if let Some(live) = self.trials.get_mut(trial) {
                    live.values.clear();
                }
            }
            Report::Rewind { .. }
            | Report::StopDecided { .. }
            | Report::TrialRetried { .. }
            | Report::Note { .. }
            | Report::Cancelling => {}
        }
        if let Some(line) = line {
            // A terminal that went away ends nothing.
            let _ = self.screen.println(line);
        }
    }
}
