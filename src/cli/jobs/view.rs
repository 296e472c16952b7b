//! What a running job looks like: live on a terminal, a line an event elsewhere, or JSON.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sparkline::{SPARK_WIDTH, Sparkline};
use super::text::brief;
use crate::app::Failure;
use crate::cli::printer::Printer;
use crate::cli::text::{duration, printable};
use crate::report::{JobEvent, JobEventKind, jsonl};
use crate::study::{Assignment, FinalState, Goal, Outcome};
use crate::units::{Step, TrialId};
use tfevents::series::Position;

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

/// The view that suits the output.
pub(super) fn for_output(json: bool, printer: Printer) -> Box<dyn View> {
    if json {
        Box::new(JsonView { printer, shown: Ok(()) })
    } else if Printer::is_live() {
        Box::new(LiveView::new())
    } else {
        Box::new(LineView { printer, lines: Lines::default() })
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
struct Lines {
    is_minimizing: bool,
    best: Option<(f64, TrialId)>,
}

impl Lines {
    /// A line for an event that is worth one.
    fn of(&mut self, event: &JobEventKind) -> Option<String> {
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

fn assignment(hyperparameters: &Assignment) -> String {
    let short = |value: &str| value.parse::<f64>().map_or_else(|_| value.to_owned(), brief);
    let words = hyperparameters
        .iter()
        .map(|(name, value)| format!("{name}={}", short(&value.to_string().escape_debug().to_string())));
    words.collect::<Vec<_>>().join(" ")
}

/// A table: trials that are over scroll up, below them a row for each that is not, and a line for the job.
struct LiveView {
    lines: Lines,
    screen: MultiProgress,
    job: ProgressBar,
    trials: BTreeMap<TrialId, LiveTrial>,
    is_headed: bool,
}

struct LiveTrial {
    bar: ProgressBar,
    state: &'static str,
    step: Option<Step>,
    curve: Sparkline,
    /// What there is to say: its parameters, or why it ends.
    text: String,
}

impl LiveTrial {
    fn row(&self, trial: TrialId) -> String {
        row(trial, self.state, self.step, &self.curve, &self.text)
    }

    fn show(&self, trial: TrialId) {
        self.bar.set_message(printable(&self.row(trial)));
    }
}

fn row(trial: TrialId, state: &str, step: Option<Step>, curve: &Sparkline, text: &str) -> String {
    let step = step.map(|step| step.to_string()).unwrap_or_default();
    let value = curve.last().map(brief).unwrap_or_default();
    let spark = curve.draw();
    format!("{trial:>5}  {state:<13}  {step:>7}  {value:<9}  {spark:<SPARK_WIDTH$}  {text}")
}

/// The beginning of a line that is longer than `columns`.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().count() <= columns {
        return line.to_owned();
    }
    line.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

fn header() -> String {
    format!("TRIAL  {:<13}  {:>7}  {:<9}  {:<SPARK_WIDTH$}  ", "STATE", "STEP", "VALUE", "VALUES")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━━─")
}

impl LiveView {
    fn new() -> Self {
        let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let job =
            screen.add(ProgressBar::new(0).with_style(style("{bar:30} {pos}/{len} trials, {elapsed} {msg}")));
        job.enable_steady_tick(std::time::Duration::from_secs(1));
        Self { lines: Lines::default(), screen, job, trials: BTreeMap::new(), is_headed: false }
    }

    /// Prints a row of the table, which takes one line: what is cut off comes with the result.
    fn print_row(&self, row: &str) {
        self.print(&cut(row, Printer::talk_columns().unwrap_or(usize::MAX)));
    }

    fn print(&self, line: &str) {
        // A terminal that went away ends nothing.
        let _ = self.screen.println(printable(line));
    }

    /// Changes a trial's row.
    fn change(&mut self, trial: TrialId, change: impl FnOnce(&mut LiveTrial)) {
        if let Some(live) = self.trials.get_mut(&trial) {
            change(live);
            live.show(trial);
        }
    }

    fn start(&mut self, trial: TrialId, hyperparameters: &Assignment) {
        if !std::mem::replace(&mut self.is_headed, true) {
            self.print(&header());
        }
        let text = assignment(hyperparameters);
        let screen = &self.screen;
        let live = self.trials.entry(trial).or_insert_with(|| {
            // Above the job's line.
            let bar = screen.insert_from_back(1, ProgressBar::no_length().with_style(style("{wide_msg}")));
            LiveTrial { bar, state: "", step: None, curve: Sparkline::default(), text: String::new() }
        });
        (live.state, live.text) = ("running", text);
        live.show(trial);
    }

    fn end(&mut self, trial: TrialId, outcome: &Outcome) {
        let outcome = outcome.to_string();
        // What comes behind a colon says how.
        let (state, how) = outcome.split_once(": ").unwrap_or((&outcome, ""));
        let row = match self.trials.remove(&trial) {
            Some(live) => {
                live.bar.finish_and_clear();
                self.screen.remove(&live.bar);
                let text = if how.is_empty() { &live.text } else { how };
                row(trial, state, live.step, &live.curve, &printable(text))
            }
            None => row(trial, state, None, &Sparkline::default(), &printable(how)),
        };
        self.print_row(&row);
        self.job.inc(1);
        if let Some((value, trial)) = self.lines.best {
            self.job.set_message(format!("· best so far {} (trial {trial})", brief(value)));
        }
    }
}

impl View for LiveView {
    fn show(&mut self, event: &JobEvent) {
        let line = self.lines.of(&event.kind);
        match &event.kind {
            // These have a row.
            JobEventKind::TrialStarted { trial, hyperparameters, .. } => {
                return self.start(*trial, hyperparameters);
            }
            JobEventKind::TrialEnded { trial, outcome, .. } => return self.end(*trial, outcome),
            JobEventKind::StopDecided { trial, reason } => {
                return self
                    .change(*trial, |live| (live.state, live.text) = ("stopping", reason.to_string()));
            }
            JobEventKind::JobStarted { max_trials, .. } => self.job.set_length(u64::from(*max_trials)),
            JobEventKind::Point { trial, pass, step, value, .. } => self.change(*trial, |live| {
                live.step = Some(*step);
                live.curve.push(Position { pass: *pass, step: *step }, value.as_f64());
            }),
            JobEventKind::TrialRetried { trial, outcome, .. } => {
                self.change(*trial, |live| (live.state, live.text) = ("waiting", outcome.to_string()));
            }
            JobEventKind::Source { trial, .. } => {
                self.change(*trial, |live| live.curve = Sparkline::default())
            }
            // Not `finish`, which would fill the bar.
            JobEventKind::JobEnded { .. } => self.job.abandon(),
            JobEventKind::Rewind { trial, pass, from_step } => {
                let from = Position { pass: *pass, step: *from_step };
                self.change(*trial, |live| live.curve.rewind(from));
            }
            JobEventKind::Note { .. } | JobEventKind::Cancelling => {}
        }
        if let Some(line) = line {
            self.print(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_below_its_header() {
        let mut values = Sparkline::default();
        [(1, 0.25), (2, 0.5)]
            .into_iter()
            .for_each(|(step, value)| values.push(Position::first_pass(Step(step)), value));
        let row = row(TrialId::after(11), "stopped early", Some(Step(40)), &values, "x=1");
        let place = |text: &str, what: &str| text.find(what).map(|at| text[..at].chars().count());
        assert_eq!(place(&row, "stopped"), place(&header(), "STATE"));
        assert_eq!(place(&row, "0.5"), place(&header(), "VALUE"));
        assert!(row.starts_with("   12  stopped early       40  0.5  "), "{row}");
        assert!(row.ends_with("  x=1"), "{row}");
        assert_eq!((cut("abcd", 4).as_str(), cut("abcd", 3).as_str()), ("abcd", "ab…"));
    }
}
