//! Numbers and times as people read them.

use crate::units::Step;

/// A number to five significant digits.
pub(super) fn brief(value: f64) -> String {
    if !value.is_finite() {
        return crate::units::shortest(value);
    }
    let rounded: f64 = format!("{value:.4e}").parse().unwrap_or(value);
    crate::units::shortest(rounded)
}

/// A time in seconds, such as `0.44 s`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0 => format!("{seconds:.2} s"),
        1..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number of bytes, such as `512 B`, `1.5 KiB`, `90 MiB`.
pub(super) fn size(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if value < 10.0 && unit != "B" { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// A text of somebody else, with the control characters but line ends and tabs spelled out: it does
/// not move the cursor, change colours or ring the bell.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// How wide a whole curve is drawn, in blocks.
pub(super) const SPARK_WIDTH: usize = 20;

/// A curve of any length as one row of blocks.
#[derive(Debug, Clone)]
pub(super) struct Sparkline {
    /// The last value of each so many, with its step.
    points: Vec<(Step, f64)>,
    n_a_point: usize,
    /// How many the last one stands for.
    n_of_last: usize,
}

impl Default for Sparkline {
    fn default() -> Self {
        Self { points: Vec::new(), n_a_point: 1, n_of_last: 1 }
    }
}

impl Sparkline {
    /// Adds a value.
    pub(super) fn push(&mut self, step: Step, value: f64) {
        match self.points.last_mut() {
            Some(last) if self.n_of_last < self.n_a_point => {
                *last = (step, value);
                self.n_of_last += 1;
                return;
            }
            _ => self.points.push((step, value)),
        }
        self.n_of_last = 1;
        if self.points.len() > 2 * SPARK_WIDTH {
            // Each stands for twice as many: the later of a pair stays, and the last one is half of a pair.
            let mut i = 0;
            let n = self.points.len();
            self.points.retain(|_| {
                i += 1;
                i % 2 == 0 || i == n
            });
            self.n_a_point *= 2;
        }
    }

    /// Takes back what stands from a step on.
    pub(super) fn rewind(&mut self, from: Step) {
        self.points.retain(|(step, _)| *step < from);
        self.n_of_last = self.n_a_point;
    }

    /// The latest value.
    pub(super) fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, value)| *value)
    }

    /// The blocks, at most [`SPARK_WIDTH`]. What is not finite is a blank.
    pub(super) fn draw(&self) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let n = self.points.len();
        let width = n.min(SPARK_WIDTH);
        let shown = (1..=width).filter_map(|column| self.points.get((column * n).div_ceil(width) - 1));
        let shown: Vec<f64> = shown.map(|(_, value)| *value).collect();
        let finite = || shown.iter().copied().filter(|value| value.is_finite());
        let (low, high) =
            (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let block = |value: f64| {
            if !value.is_finite() {
                return ' ';
            }
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            BLOCKS.get((share * 7.0).round() as usize).copied().unwrap_or(' ')
        };
        shown.iter().map(|value| block(*value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        assert_eq!(brief(0.978_272_999), "0.97827");
        assert_eq!(brief(f64::NAN), "NaN");
        assert_eq!(brief(1234.5678), "1234.6");
        assert_eq!([size(512), size(1536), size(90 << 20)], ["512 B", "1.5 KiB", "90 MiB"]);
        assert_eq!(duration(0.444), "0.44 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
        assert_eq!(printable("\u{1b}[31mred\u{7}\n\tö"), "\\u{1b}[31mred\\u{7}\n\tö");
    }

    #[test]
    fn a_sparkline_shows_the_whole_curve() {
        let line = |values: &[f64]| {
            let mut line = Sparkline::default();
            (1..).zip(values).for_each(|(step, value)| line.push(Step(step), *value));
            line
        };
        assert_eq!(line(&[0.0, 0.5, f64::NAN, 1.0]).draw(), "▁▅ █");
        assert_eq!((line(&[3.0]).draw(), line(&[]).draw()), ("▅".into(), String::new()));
        for n in [1, 19, 20, 21, 40, 41, 42, 43, 80, 81, 1000] {
            let values: Vec<f64> = (1..=n).map(f64::from).collect();
            let mut line = line(&values);
            let drawn: Vec<char> = line.draw().chars().collect();
            assert_eq!((drawn.len(), line.last()), ((n as usize).min(SPARK_WIDTH), Some(f64::from(n))));
            assert!(drawn.is_sorted(), "{n}: {drawn:?}");
            line.rewind(Step(i64::from(n / 2)));
            assert!(line.last().is_none_or(|last| last < f64::from(n / 2)));
            line.push(Step(i64::from(n / 2)), 0.0);
            assert_eq!(line.last(), Some(0.0));
        }
    }
}
