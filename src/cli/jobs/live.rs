//! A running job on a terminal: what is over scrolls up; below it stands a table with a row for each trial that is not, and a
//! line for the job.
//!
//! [`LiveTable`] lays it out for any size; a thread of [`LiveView`] paints it, so that a terminal that stands still does not
//! hold the job up.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::sparkline::{SPARK_WIDTH, Sparkline};
use super::text::brief;
use super::view::{Lines, View, assignment};
use crate::app::Failure;
use crate::cli::printer::{Printer, Style};
use crate::cli::text::{cut, duration, printable, width, wrap};
use crate::report::{JobEvent, JobEventKind};
use crate::study::{Assignment, Outcome};
use crate::units::{Step, TrialId};
use tfevents::series::Position;

/// How often the table is painted at most.
const PAINT_INTERVAL: Duration = Duration::from_millis(100);

/// How often the time that has passed is painted anew.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// How many rows of the terminal are left to what has scrolled up.
const ROWS_ABOVE: usize = 6;

/// In fewer columns nothing is said of a trial beside its numbers.
const MIN_TEXT_COLUMNS: usize = 8;

/// How wide the progress bar is at most, and what it is not drawn below.
const BAR_COLUMNS: std::ops::RangeInclusive<usize> = 8..=30;

/// The trials that are not over, and how far the job is.
#[derive(Default)]
struct LiveTable {
    /// None before the job has begun.
    max_trials: Option<u32>,
    n_ended: usize,
    best: Option<(f64, TrialId)>,
    trials: BTreeMap<TrialId, Row>,
}

/// A trial.
#[derive(Clone)]
struct Row {
    trial: TrialId,
    state: String,
    tone: Tone,
    step: Option<Step>,
    curve: Sparkline,
    /// What there is to say: its parameters, or why it ends.
    text: String,
}

/// What a state says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Plain,
    /// It is the best so far.
    Best,
    Failed,
}

/// What a terminal's width leaves to each column.
struct Columns {
    all: usize,
    state: usize,
    step: usize,
    curve: usize,
}

impl Columns {
    fn of(style: Style) -> Self {
        let all = style.columns().unwrap_or(usize::MAX);
        match all {
            100.. => Self { all, state: 13, step: 7, curve: SPARK_WIDTH },
            75.. => Self { all, state: 13, step: 7, curve: 12 },
            // `stopped early` is `stopped` there.
            55.. => Self { all, state: 10, step: 6, curve: 8 },
            _ => Self { all, state: 10, step: 6, curve: 0 },
        }
    }

    fn header(&self) -> String {
        self.line("TRIAL", "STATE", "STEP", "VALUE", "VALUES", "PARAMETERS")
    }

    fn line(&self, trial: &str, state: &str, step: &str, value: &str, curve: &str, text: &str) -> String {
        let Self { state: n_state, step: n_step, curve: n_curve, .. } = *self;
        let curve = if n_curve > 0 { format!("{curve:<n_curve$}  ") } else { String::new() };
        let line = format!("{trial:>5}  {state:<n_state$}  {step:>n_step$}  {value:<9}  {curve}");
        let room = self.all.saturating_sub(width(&line));
        let text = if room < MIN_TEXT_COLUMNS { String::new() } else { cut(text, room) };
        cut((line + &text).trim_end(), self.all)
    }
}

impl Row {
    fn draw(&self, columns: &Columns, style: Style) -> String {
        let state = if self.state.len() > columns.state {
            cut(self.state.split(' ').next().unwrap_or_default(), columns.state)
        } else {
            self.state.clone()
        };
        let step = self.step.map(|step| step.to_string()).unwrap_or_default();
        let value = self.curve.last().map(brief).unwrap_or_default();
        let curve = self.curve.draw(columns.curve);
        let line =
            columns.line(&self.trial.to_string(), &state, &step, &value, &curve, &printable(&self.text));
        let toned = match self.tone {
            Tone::Plain => return line,
            Tone::Best => style.good(&state),
            Tone::Failed => style.bad(&state),
        };
        line.replacen(&state, &toned, 1)
    }
}

impl LiveTable {
    /// The lines that stand below what has scrolled up, in a terminal of `n_rows`.
    fn draw(&self, style: Style, n_rows: usize, elapsed: Duration) -> Vec<String> {
        let columns = Columns::of(style);
        let mut lines = Vec::new();
        if !self.trials.is_empty() {
            lines.push(style.dim(&columns.header()));
        }
        // The header, the job's line, and that where the cursor stands.
        let n_room = n_rows.saturating_sub(ROWS_ABOVE + 3).max(2);
        let n_shown = if self.trials.len() > n_room { n_room - 1 } else { n_room };
        lines.extend(self.trials.values().take(n_shown).map(|row| row.draw(&columns, style)));
        let n_more = self.trials.len().saturating_sub(n_shown);
        if n_more > 0 {
            lines.push(cut(&format!("       and {n_more} more trials"), columns.all));
        }
        lines.extend(self.progress(&columns, elapsed));
        lines
    }

    fn progress(&self, columns: &Columns, elapsed: Duration) -> Option<String> {
        let max_trials = self.max_trials? as usize;
        let mut text = format!("{}/{max_trials} trials  {}", self.n_ended, clock(elapsed));
        if let Some((value, trial)) = self.best {
            text += &format!("  best so far {} (trial {trial})", brief(value));
        }
        let room = columns.all.saturating_sub(width(&text) + 1).min(*BAR_COLUMNS.end());
        if !BAR_COLUMNS.contains(&room) {
            return Some(cut(&text, columns.all));
        }
        let n_full = (room * self.n_ended.min(max_trials)).checked_div(max_trials).unwrap_or(0);
        Some(format!("{}{} {text}", "━".repeat(n_full), "─".repeat(room - n_full)))
    }
}

/// A time that goes on: whole seconds.
fn clock(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        seconds @ 0..10 => format!("{seconds} s"),
        seconds => duration(seconds as f64),
    }
}

/// What has scrolled up, or is to.
enum Above {
    Row(Row),
    Text(String),
}

impl Above {
    fn draw(&self, style: Style) -> String {
        match self {
            Self::Row(row) => row.draw(&Columns::of(style), style),
            Self::Text(text) => wrap(&printable(text), style.columns().unwrap_or(usize::MAX)),
        }
    }
}

/// What the view and its painter share.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    has_changed: Condvar,
}

#[derive(Default)]
struct State {
    table: LiveTable,
    above: Vec<Above>,
    has_changed: bool,
    is_over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.has_changed = true;
        self.has_changed.notify_one();
    }

    /// Paints what changes until it is over.
    fn paint(&self) {
        let begun = Instant::now();
        let mut painted: Vec<usize> = Vec::new();
        loop {
            let still = |state: &mut State| !state.has_changed && !state.is_over;
            let state = self.has_changed.wait_timeout_while(self.lock(), TICK_INTERVAL, still);
            let mut state = state.unwrap_or_else(PoisonError::into_inner).0;
            state.has_changed = false;
            let is_over = state.is_over;
            if is_over {
                state.table.trials.clear();
            }
            let (style, n_rows) = Printer::live();
            let above: Vec<String> = state.above.drain(..).map(|above| above.draw(style)).collect();
            let table = state.table.draw(style, n_rows, begun.elapsed());
            drop(state);
            Printer::paint(&repaint(&painted, &above, &table, style.columns()));
            if is_over {
                return;
            }
            painted = table.iter().map(|line| width(line)).collect();
            let state =
                self.has_changed.wait_timeout_while(self.lock(), PAINT_INTERVAL, |state| !state.is_over);
            drop(state);
        }
    }
}

/// What puts lines in the place of those of a table that were painted with these widths, and leaves the cursor at the
/// beginning of the line below: what is typed there, `^C` for one, moves nothing.
fn repaint(painted: &[usize], above: &[String], table: &[String], columns: Option<usize>) -> String {
    // A terminal that has become narrower since then has broken the longer ones.
    let columns = columns.unwrap_or(usize::MAX);
    let n_up: usize = painted.iter().map(|width| width.div_ceil(columns).max(1)).sum();
    let mut out = String::from("\r");
    if n_up > 0 {
        out += &format!("\x1b[{n_up}A");
    }
    for line in above.iter().flat_map(|text| text.split('\n')).chain(table.iter().map(String::as_str)) {
        out += &format!("{line}\x1b[K\n");
    }
    out + "\x1b[J"
}

/// Shows a job while it runs.
pub(super) struct LiveView {
    lines: Lines,
    shared: Arc<Shared>,
    painter: Option<JoinHandle<()>>,
}

impl LiveView {
    /// Of a job of which so many trials are over.
    pub(super) fn new(lines: Lines, n_ended: usize) -> Self {
        let shared = Arc::new(Shared::default());
        shared.change(|state| (state.table.n_ended, state.table.best) = (n_ended, lines.best));
        let painting = shared.clone();
        Self { lines, shared, painter: Some(thread::spawn(move || painting.paint())) }
    }

    fn change(&self, trial: TrialId, change: impl FnOnce(&mut Row)) {
        self.shared.change(|state| {
            if let Some(row) = state.table.trials.get_mut(&trial) {
                change(row);
            }
        });
    }

    fn start(&self, trial: TrialId, hyperparameters: &Assignment) {
        self.shared.change(|state| {
            let row = state.table.trials.entry(trial).or_insert_with(|| Row::new(trial));
            (row.state, row.text) = ("running".into(), assignment(hyperparameters));
        });
    }

    fn end(&self, trial: TrialId, outcome: &Outcome) {
        let best = self.lines.best;
        self.shared.change(|state| {
            let words = outcome.to_string();
            // What comes behind a colon says how.
            let (word, how) = words.split_once(": ").unwrap_or((&words, ""));
            let mut row = state.table.trials.remove(&trial).unwrap_or_else(|| Row::new(trial));
            row.state = word.to_owned();
            row.tone = match best {
                _ if outcome.is_failure() => Tone::Failed,
                Some((_, id)) if id == trial => Tone::Best,
                Some(_) | None => Tone::Plain,
            };
            if !how.is_empty() {
                row.text = how.to_owned();
            }
            state.above.push(Above::Row(row));
            state.table.n_ended += 1;
            state.table.best = best;
        });
    }

    fn stop_painting(&mut self) {
        let Some(painter) = self.painter.take() else { return };
        self.shared.change(|state| state.is_over = true);
        // It has nothing to say but what it painted.
        let _ = painter.join();
    }
}

impl Row {
    fn new(trial: TrialId) -> Self {
        Self {
            trial,
            state: String::new(),
            tone: Tone::Plain,
            step: None,
            curve: Sparkline::default(),
            text: String::new(),
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
                    .change(*trial, |row| (row.state, row.text) = ("stopping".into(), reason.to_string()));
            }
            JobEventKind::JobStarted { max_trials, .. } => {
                self.shared.change(|state| state.table.max_trials = Some(*max_trials));
            }
            JobEventKind::Point { trial, pass, step, value, .. } => self.change(*trial, |row| {
                row.step = Some(*step);
                row.curve.push(Position { pass: *pass, step: *step }, value.as_f64());
            }),
            JobEventKind::TrialRetried { trial, outcome, .. } => {
                self.change(*trial, |row| (row.state, row.text) = ("waiting".into(), outcome.to_string()));
            }
            JobEventKind::Source { trial, .. } => {
                self.change(*trial, |row| row.curve = Sparkline::default());
            }
            JobEventKind::Rewind { trial, pass, from_step } => {
                let from = Position { pass: *pass, step: *from_step };
                self.change(*trial, |row| row.curve.rewind(from));
            }
            JobEventKind::JobEnded { .. } | JobEventKind::Note { .. } | JobEventKind::Cancelling => {}
        }
        if let Some(line) = line {
            self.shared.change(|state| state.above.push(Above::Text(line)));
        }
    }

    fn finish(mut self: Box<Self>) -> Result<(), Failure> {
        self.stop_painting();
        Ok(())
    }
}

impl Drop for LiveView {
    fn drop(&mut self) {
        self.stop_painting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::ParamValue;

    fn id(n: u32) -> TrialId {
        TrialId::after(n - 1)
    }

    /// A job of 40 trials, 7 of which are over and `n` of which run.
    fn table(n: u32) -> LiveTable {
        let mut table = LiveTable {
            max_trials: Some(40),
            n_ended: 7,
            best: Some((0.971_053, id(6))),
            trials: BTreeMap::new(),
        };
        for n in 8..8 + n {
            let mut row = Row::new(id(n));
            row.state = if n == 9 { "stopping" } else { "running" }.to_owned();
            row.step = Some(Step(10 * i64::from(n)));
            let values = [("learning_rate", 0.034_969_558_440_178_954), ("layers", 3.0)];
            let values = values.map(|(name, value)| (name.into(), ParamValue::Number(value)));
            row.text = if n == 9 {
                "value 0.10468 at step 86 should end at 0.23706 ± 0.25: a chance of 0.2 %".to_owned()
            } else {
                assignment(&Assignment(values.into()))
            };
            for step in 1..=n {
                let at = Position::first_pass(Step(i64::from(step)));
                row.curve.push(at, 1.0 - 1.0 / f64::from(step));
            }
            table.trials.insert(row.trial, row);
        }
        table
    }

    #[track_caller]
    fn check(n: u32, columns: usize, n_rows: usize, expected: &str) {
        let lines = table(n).draw(Style::plain_in(columns), n_rows, Duration::from_secs(200));
        assert_eq!(lines.join("\n"), expected.trim_start_matches('\n'));
        assert!(lines.iter().all(|line| width(line) <= columns));
        assert!(lines.len() + 1 < n_rows);
    }

    #[test]
    fn the_table_fits_any_width() {
        check(
            3,
            120,
            50,
            "
TRIAL  STATE             STEP  VALUE      VALUES                PARAMETERS
    8  running             80  0.875      ▁▅▆▇▇███              learning_rate=0.03497 layers=3
    9  stopping            90  0.88889    ▁▅▆▇▇████             value 0.10468 at step 86 should end at 0.23706 ± 0.25: …
   10  running            100  0.9        ▁▅▆▇▇▇████            learning_rate=0.03497 layers=3
━━━━━───────────────────────── 7/40 trials  3 min 20 s  best so far 0.97105 (trial 6)",
        );
        check(
            2,
            80,
            20,
            "
TRIAL  STATE             STEP  VALUE      VALUES        PARAMETERS
    8  running             80  0.875      ▁▅▆▇▇███      learning_rate=0.03497 …
    9  stopping            90  0.88889    ▁▅▆▇▇████     value 0.10468 at step …
━━━━───────────────────── 7/40 trials  3 min 20 s  best so far 0.97105 (trial 6)",
        );
        check(
            2,
            60,
            20,
            "
TRIAL  STATE         STEP  VALUE      VALUES    PARAMETERS
    8  running         80  0.875      ▁▅▆▇▇███  learning_ra…
    9  stopping        90  0.88889    ▁▄▆▆▇▇██  value 0.104…
7/40 trials  3 min 20 s  best so far 0.97105 (trial 6)",
        );
        check(
            1,
            40,
            20,
            "
TRIAL  STATE         STEP  VALUE
    8  running         80  0.875
7/40 trials  3 min 20 s  best so far …",
        );
    }

    #[test]
    fn many_trials_leave_room_for_the_line_of_the_job() {
        for (n_rows, n_shown) in [(20, 10), (50, 30), (10, 1), (3, 1)] {
            let lines = table(30).draw(Style::plain_in(80), n_rows, Duration::ZERO);
            let n_rows_of_trials =
                lines.iter().filter(|line| line.contains("running") || line.contains("stopping"));
            assert_eq!(n_rows_of_trials.count(), n_shown, "{n_rows}: {lines:#?}");
            assert_eq!(lines.iter().any(|line| line.contains("more trials")), n_shown < 30);
            assert!(lines.last().is_some_and(|line| line.contains("7/40 trials  0 s")));
        }
    }

    #[test]
    fn colours_say_what_failed_and_what_is_best() {
        let mut row = Row::new(id(3));
        (row.state, row.tone) = ("failed".into(), Tone::Failed);
        let style = Style::coloured_in(80);
        assert!(row.draw(&Columns::of(style), style).contains("\x1b[31mfailed\x1b[0m"));
        (row.state, row.tone) = ("succeeded".into(), Tone::Best);
        assert!(row.draw(&Columns::of(style), style).contains("\x1b[32msucceeded\x1b[0m"));
        row.tone = Tone::Plain;
        assert!(!row.draw(&Columns::of(style), style).contains('\x1b'));
    }

    #[test]
    fn what_is_painted_takes_the_place_of_what_was_whatever_is_typed_meanwhile() {
        let size = |n| std::num::NonZero::new(n).expect("it is not 0");
        let mut terminal = vt100::Parser::new(size(12), size(20), 0);
        let mut paint = |painted: &[&str], above: &[&str], table: &[&str], typed: &str| {
            let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
            let painted: Vec<usize> = painted.iter().map(|line| width(line)).collect();
            let out = repaint(&painted, &owned(above), &owned(table), Some(20));
            terminal.process(out.replace('\n', "\r\n").as_bytes());
            terminal.process(typed.as_bytes());
            terminal.screen().contents()
        };
        paint(&[], &["job a"], &["TRIAL", "1 running", "0/2"], "^C");
        let shown =
            paint(&["TRIAL", "1 running", "0/2"], &["note: b"], &["TRIAL", "1 stopping", "0/2"], "^C^C");
        assert_eq!(shown, "job a\nnote: b\nTRIAL\n1 stopping\n0/2\n^C^C");
        let shown = paint(&["TRIAL", "1 stopping", "0/2"], &["1 stopped"], &["1/2"], "");
        assert_eq!(shown.trim_end(), "job a\nnote: b\n1 stopped\n1/2");
    }
}
