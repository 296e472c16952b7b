//! Millions of points to what a picture can show.
//!
//! Imports `scale` and does no IO. Nothing is sampled: in every column the first, the lowest, the
//! highest and the last value are kept, so that no spike is lost.

use super::scale::Axis;

/// A point `(x, y)`.
pub(super) type Point = (f64, f64);

/// The points that a picture of `n_columns` columns needs, as runs without a gap. A y that is not
/// finite is a gap; x rises and is finite. In one column at most one gap in the middle is kept, the
/// others are narrower than a dot. At most eight points a column.
pub(super) fn reduce(points: &[Point], x: &Axis, n_columns: usize) -> Vec<Vec<Point>> {
    let mut runs = Runs::default();
    let mut column = None;
    for &(at, y) in points {
        let this = (x.share(at) * n_columns as f64) as usize;
        if column != Some(this) {
            runs.end_column();
            column = Some(this);
        }
        runs.push((at, y));
    }
    runs.end_column();
    runs.end_run();
    runs.done
}

#[derive(Default)]
struct Runs {
    done: Vec<Vec<Point>>,
    open: Vec<Point>,
    bucket: Option<Bucket>,
    /// Whether the run was cut in this column already.
    is_cut: bool,
    /// Whether the latest point of this column is a gap that has not cut the run.
    is_gap_pending: bool,
}

impl Runs {
    fn push(&mut self, point: Point) {
        if point.1.is_finite() {
            self.is_gap_pending = false;
            match &mut self.bucket {
                Some(bucket) => bucket.add(point),
                None => self.bucket = Some(Bucket::new(point)),
            }
        } else if self.is_cut {
            self.is_gap_pending = true;
        } else {
            self.end_bucket();
            self.end_run();
            self.is_cut = true;
        }
    }

    fn end_column(&mut self) {
        self.end_bucket();
        if self.is_gap_pending {
            self.end_run();
        }
        self.is_cut = false;
        self.is_gap_pending = false;
    }

    fn end_bucket(&mut self) {
        if let Some(bucket) = self.bucket.take() {
            bucket.empty_into(&mut self.open);
        }
    }

    fn end_run(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open));
        }
    }
}

/// What is kept of neighbouring points, each with its place among them.
struct Bucket {
    n: usize,
    first: Point,
    low: (usize, Point),
    high: (usize, Point),
    last: Point,
}

impl Bucket {
    fn new(point: Point) -> Self {
        Self { n: 1, first: point, low: (0, point), high: (0, point), last: point }
    }

    fn add(&mut self, point: Point) {
        if point.1 < self.low.1.1 {
            self.low = (self.n, point);
        }
        if point.1 > self.high.1.1 {
            self.high = (self.n, point);
        }
        self.last = point;
        self.n += 1;
    }

    fn empty_into(self, out: &mut Vec<Point>) {
        let mut kept = [(0, self.first), self.low, self.high, (self.n - 1, self.last)];
        kept.sort_by_key(|(place, _)| *place);
        let mut before = None;
        for (place, point) in kept {
            if before != Some(place) {
                out.push(point);
            }
            before = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: f64 = f64::NAN;

    #[track_caller]
    fn check(ys: &[f64], n_columns: usize, expected: &[&[f64]]) {
        let points: Vec<Point> = ys.iter().enumerate().map(|(i, y)| (i as f64, *y)).collect();
        let x = Axis::linear([0.0, ys.len() as f64].into_iter());
        let runs: Vec<Vec<f64>> =
            reduce(&points, &x, n_columns).iter().map(|run| run.iter().map(|(_, y)| *y).collect()).collect();
        assert_eq!(runs, expected);
    }

    #[test]
    fn a_column_keeps_its_ends_and_its_extremes() {
        check(&[3.0, 9.0, 4.0, 1.0, 5.0, 6.0], 1, &[&[3.0, 9.0, 1.0, 6.0]]);
        check(&[2.0, 2.0, 2.0], 1, &[&[2.0, 2.0]]);
        check(&[1.0, 2.0, 3.0], 100, &[&[1.0, 2.0, 3.0]]);
        check(&[], 10, &[]);
    }

    #[test]
    fn curves_are_not_joined_across_gaps() {
        check(&[1.0, GAP, 2.0], 100, &[&[1.0], &[2.0]]);
        check(&[1.0, GAP, 2.0], 1, &[&[1.0], &[2.0]]);
        check(&[GAP, 1.0, 2.0, GAP], 1, &[&[1.0, 2.0]]);
        check(&[1.0, f64::INFINITY, 2.0, GAP, 3.0], 1, &[&[1.0], &[2.0, 3.0]]);
        check(&[GAP, 1.0, GAP, 2.0], 2, &[&[1.0], &[2.0]]);
        check(&[GAP; 4], 2, &[]);
    }

    #[test]
    fn a_million_points_become_a_few_and_keep_their_spike() {
        let mut points: Vec<Point> = (0..1_000_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[777_777].1 = 1e9;
        let x = Axis::linear(points.iter().map(|(x, _)| *x));
        let runs = reduce(&points, &x, 100);
        assert_eq!(runs.len(), 1);
        assert!(runs[0].len() <= 404, "{}", runs[0].len());
        assert!(runs[0].contains(&(777_777.0, 1e9)));
    }
}
