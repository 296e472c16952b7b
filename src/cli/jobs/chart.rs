//! A curve as blocks.

use super::text::brief;

const HEIGHT: usize = 7;
const MAX_WIDTH: usize = 60;

/// What stands beside the label: two blanks before it, a blank and the axis behind.
const MARGIN: usize = 4;

/// Values from left to right as the height of columns, with the scale at the left, in at most `n_columns`. There must be at
/// least one value; all are finite.
pub(super) fn columns(values: &[f64], n_columns: usize) -> String {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let labels = [brief(high), brief(low)];
    let label_width = labels.iter().map(String::len).max().unwrap_or(0);
    let room = n_columns.saturating_sub(label_width + MARGIN).clamp(1, MAX_WIDTH);
    let width = (room / values.len().max(1)).clamp(1, 4);
    let shown: Vec<f64> = if values.len() > room {
        (0..room).filter_map(|i| values.get((i + 1) * values.len() / room - 1).copied()).collect()
    } else {
        values.to_vec()
    };
    // The lowest value keeps one eighth, so that it can be seen.
    let eighths = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        1 + (share * (HEIGHT * 8 - 1) as f64).round() as usize
    };
    let mut lines = Vec::new();
    for row in (0..HEIGHT).rev() {
        let label = match row {
            0 if low < high => brief(low),
            r if r == HEIGHT - 1 && low < high => brief(high),
            r if r == HEIGHT / 2 && low >= high => brief(high),
            _ => String::new(),
        };
        let bars: String = shown
            .iter()
            .flat_map(|value| {
                let filled = eighths(*value).saturating_sub(row * 8).min(8);
                std::iter::repeat_n(EIGHTHS.get(filled).copied().unwrap_or(' '), width)
            })
            .collect();
        lines.push(format!("  {label:>label_width$} ┤{}", bars.trim_end()));
    }
    lines.push(format!("  {:label_width$} └{}", "", "─".repeat(shown.len() * width)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_grow_with_their_values() {
        let chart = columns(&[0.0, 0.5, 1.0], 80);
        let expected = "
  1 ┤        ████
    ┤        ████
    ┤        ████
    ┤    ▅▅▅▅████
    ┤    ████████
    ┤    ████████
  0 ┤▁▁▁▁████████
    └────────────";
        assert_eq!(chart, expected.trim_start_matches('\n'));
    }

    #[test]
    fn one_value_and_very_many_fit_too() {
        assert!(columns(&[0.5], 80).contains("0.5 ┤▅▅▅▅"));
        let many: Vec<f64> = (0..1000).map(f64::from).collect();
        for n_columns in [20, 40, 60, 120] {
            let most = n_columns.min(MAX_WIDTH + MARGIN + 3);
            assert!(
                columns(&many, n_columns).lines().all(|line| line.chars().count() <= most),
                "{n_columns}"
            );
        }
    }
}
