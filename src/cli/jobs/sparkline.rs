//! A curve in one row of text.

use tfevents::series::Position;

/// How wide a curve is drawn at most, in blocks.
pub(super) const SPARK_WIDTH: usize = 20;

/// A curve of any length as one row of blocks.
#[derive(Debug, Clone)]
pub(super) struct Sparkline {
    /// The last value of each so many, and where it stands.
    points: Vec<(Position, f64)>,
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
    pub(super) fn push(&mut self, at: Position, value: f64) {
        match self.points.last_mut() {
            Some(last) if self.n_of_last < self.n_a_point => {
                *last = (at, value);
                self.n_of_last += 1;
                return;
            }
            _ => self.points.push((at, value)),
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

    /// Takes back what stands from a position on.
    pub(super) fn rewind(&mut self, from: Position) {
        self.points.retain(|(at, _)| *at < from);
        self.n_of_last = self.n_a_point;
    }

    /// The latest value.
    pub(super) fn last(&self) -> Option<f64> {
        self.points.last().map(|(_, value)| *value)
    }

    /// The blocks, at most `width`. What is not finite is a blank.
    pub(super) fn draw(&self, width: usize) -> String {
        const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let n = self.points.len();
        let width = n.min(width);
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
    use crate::units::Step;

    fn at(step: i64) -> Position {
        Position::first_pass(Step(step))
    }

    #[test]
    fn a_sparkline_shows_the_whole_curve() {
        let line = |values: &[f64]| {
            let mut line = Sparkline::default();
            (1..).zip(values).for_each(|(step, value)| line.push(at(step), *value));
            line
        };
        assert_eq!(line(&[0.0, 0.5, f64::NAN, 1.0]).draw(SPARK_WIDTH), "▁▅ █");
        assert_eq!((line(&[3.0]).draw(8), line(&[]).draw(8)), ("▅".into(), String::new()));
        for n in [1, 19, 20, 21, 40, 41, 42, 43, 80, 81, 1000] {
            let values: Vec<f64> = (1..=n).map(f64::from).collect();
            let mut line = line(&values);
            let drawn: Vec<char> = line.draw(SPARK_WIDTH).chars().collect();
            assert_eq!((drawn.len(), line.last()), ((n as usize).min(SPARK_WIDTH), Some(f64::from(n))));
            assert!(drawn.is_sorted(), "{n}: {drawn:?}");
            line.rewind(at(i64::from(n / 2)));
            assert!(line.last().is_none_or(|last| last < f64::from(n / 2)));
            line.push(at(i64::from(n / 2)), 0.0);
            assert_eq!(line.last(), Some(0.0));
        }
    }
}
