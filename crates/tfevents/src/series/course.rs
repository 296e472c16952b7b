//! What a picture needs of the points of one tag of one writer: all of a short series, of a long one its course.
//!
//! Of each stretch of a long series the first, the last, the lowest and the highest value are kept, and the first that
//! is not finite: no spike and no gap is lost. Stretches grow as points come, so that what is kept never exceeds
//! [`MAX_COURSE_POINTS`].

use super::{Point, Written};
use crate::limits::MAX_COURSE_POINTS;
use crate::units::{MetricValue, Step};

/// How many points a stretch leaves at most.
const MAX_LEFT: usize = 5;

/// Points as they come, thinned out where they are many.
#[derive(Debug)]
pub struct Course {
    kept: Vec<Kept>,
    /// What has come of the open stretch.
    open: Vec<Kept>,
    /// How many points a stretch has.
    n_each: u64,
    n_points: u64,
    average: Average,
    dropped: Dropped,
}

/// What of a course was not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many points.
    pub n: u64,
    /// How many of them are NaN or infinite.
    pub n_not_finite: u64,
    /// How many of them are finite and not positive.
    pub n_not_positive: u64,
}

/// What is kept of a course.
#[derive(Debug, Default)]
pub struct Outline {
    /// The points.
    pub written: Written,
    /// The same with their values smoothed as all points give it, where that was asked for.
    pub smoothed: Option<Written>,
    /// What was not kept.
    pub dropped: Dropped,
}

impl Outline {
    /// See [`Written::set_counts_steps`].
    pub fn set_counts_steps(&mut self) {
        self.written.set_counts_steps();
        self.smoothed.iter_mut().for_each(Written::set_counts_steps);
    }
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    point: Point,
    smoothed: f64,
    /// How many sessions the writer had begun by then.
    n_sessions: usize,
    /// How many points came before.
    at: u64,
}

/// Which stretch of so many points one lies in. A session begins a stretch: where it resumed is to be known.
fn stretch_of(kept: &Kept, n_each: u64) -> (u64, usize) {
    (kept.at / n_each, kept.n_sessions)
}

/// The exponential moving average of TensorBoard, as values come.
#[derive(Debug)]
struct Average {
    weight: f64,
    last: f64,
    remaining: f64,
}

impl Average {
    fn add(&mut self, y: f64) -> f64 {
        if !y.is_finite() || self.weight == 0.0 {
            return y;
        }
        self.last = self.last * self.weight + (1.0 - self.weight) * y;
        self.remaining *= self.weight;
        self.last / (1.0 - self.remaining)
    }
}

impl Course {
    /// No points yet; smoothed by `weight`, from 0 (not at all) to below 1.
    #[must_use]
    pub fn new(weight: f64) -> Self {
        Self {
            kept: Vec::new(),
            open: Vec::new(),
            n_each: 1,
            n_points: 0,
            average: Average { weight, last: 0.0, remaining: 1.0 },
            dropped: Dropped::default(),
        }
    }

    /// Takes the next point, and how many sessions its writer has begun so far.
    pub fn add(&mut self, n_sessions: usize, point: Point) {
        let kept =
            Kept { point, smoothed: self.average.add(point.value.widen()), n_sessions, at: self.n_points };
        self.n_points += 1;
        if self.n_each == 1 {
            self.kept.push(kept);
        } else {
            let is_same = |last: &Kept| stretch_of(last, self.n_each) == stretch_of(&kept, self.n_each);
            if !self.open.last().is_none_or(is_same) {
                self.close();
            }
            self.open.push(kept);
            if self.open.len() > 2 * MAX_LEFT {
                let open = std::mem::take(&mut self.open);
                reduce(&open, &mut self.open, &mut self.dropped);
            }
        }
        if self.kept.len() >= MAX_COURSE_POINTS {
            self.thin();
        }
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        reduce(&open, &mut self.kept, &mut self.dropped);
    }

    /// Makes stretches longer until half of the room is free. What several of them left holds their extremes.
    fn thin(&mut self) {
        self.close();
        while self.kept.len() > MAX_COURSE_POINTS / 2 {
            self.n_each *= 2;
            let kept = std::mem::take(&mut self.kept);
            for stretch in kept.chunk_by(|a, b| stretch_of(a, self.n_each) == stretch_of(b, self.n_each)) {
                reduce(stretch, &mut self.kept, &mut self.dropped);
            }
        }
    }

    /// What is kept, given the steps of all sessions that the writer has begun.
    #[must_use]
    pub fn finish(mut self, sessions: &[Step]) -> Outline {
        self.close();
        let mut outline = Outline { dropped: self.dropped, ..Outline::default() };
        let mut smoothed = (self.average.weight > 0.0).then(Written::default);
        for Kept { point, smoothed: y, n_sessions, .. } in self.kept {
            let sessions = sessions.get(..n_sessions).unwrap_or(sessions);
            outline.written.add(sessions, point);
            if let Some(smoothed) = &mut smoothed {
                smoothed.add(sessions, Point { value: MetricValue::F64(y), ..point });
            }
        }
        outline.smoothed = smoothed;
        outline
    }
}

/// Keeps at most [`MAX_LEFT`] points of a stretch, in their order.
fn reduce(stretch: &[Kept], kept: &mut Vec<Kept>, dropped: &mut Dropped) {
    let value = |i: &usize| stretch.get(*i).map_or(f64::NAN, |kept| kept.point.value.widen());
    let finite = || (0..stretch.len()).filter(|i| value(i).is_finite());
    let low = finite().min_by(|a, b| value(a).total_cmp(&value(b)));
    let high = finite().max_by(|a, b| value(a).total_cmp(&value(b)));
    let gap = (0..stretch.len()).find(|i| !value(i).is_finite());
    let is_left = |i: usize| i == 0 || i + 1 == stretch.len() || [low, high, gap].contains(&Some(i));
    for (i, point) in stretch.iter().enumerate() {
        if is_left(i) {
            kept.push(*point);
            continue;
        }
        let y = point.point.value.widen();
        dropped.n += 1;
        dropped.n_not_finite += u64::from(!y.is_finite());
        dropped.n_not_positive += u64::from(y.is_finite() && y <= 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::WallTime;

    fn point(step: i64, value: f64) -> Point {
        Point { step: Step(step), wall_time: WallTime(step as f64), value: MetricValue::F64(value) }
    }

    fn points(written: &Written) -> Vec<(i64, f64)> {
        written.points().map(|point| (point.step.0, point.value.as_f64())).collect()
    }

    #[test]
    fn a_short_series_is_kept_whole() {
        let mut course = Course::new(0.5);
        [1.0, 2.0, 4.0].iter().enumerate().for_each(|(i, y)| course.add(0, point(i as i64, *y)));
        let outline = course.finish(&[]);
        assert_eq!(points(&outline.written), [(0, 1.0), (1, 2.0), (2, 4.0)]);
        let smoothed = outline.smoothed.map(|smoothed| points(&smoothed));
        assert_eq!(smoothed, Some(vec![(0, 1.0), (1, 1.25 / 0.75), (2, 2.625 / 0.875)]));
        assert_eq!(outline.dropped, Dropped::default());
    }

    #[test]
    fn a_long_series_keeps_its_ends_its_spikes_and_its_gap_in_little_room() {
        let n = 1_000_000;
        let value = |i: i64| match i {
            777_777 => 1e9,
            123_456 => -1e9,
            500_001 => f64::NAN,
            i => (i % 7) as f64,
        };
        let mut course = Course::new(0.9);
        for i in 0..n {
            course.add(0, point(i, value(i)));
            assert!(course.kept.len() + course.open.len() <= MAX_COURSE_POINTS + 2 * MAX_LEFT);
        }
        let outline = course.finish(&[]);
        let kept = points(&outline.written);
        assert!((MAX_COURSE_POINTS / 8..=MAX_COURSE_POINTS).contains(&kept.len()), "{}", kept.len());
        assert_eq!((kept[0].0, kept[kept.len() - 1].0), (0, n - 1));
        assert!(kept.contains(&(777_777, 1e9)) && kept.contains(&(123_456, -1e9)));
        assert!(kept.iter().any(|(step, y)| *step == 500_001 && y.is_nan()));
        // Evenly: no part is coarser than another.
        let gaps = kept.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(gaps.max() < Some(4 * n / (MAX_COURSE_POINTS as i64 / 8)));
        assert_eq!(outline.dropped.n + kept.len() as u64, n as u64);
        // Smoothed over all points, not over those that are kept.
        for (step, y) in points(&outline.smoothed.expect("it was asked for")) {
            // What lies far behind has no weight any more.
            let before = (0..=step.min(1_000)).map(|k| (0.9_f64.powi(k as i32), value(step - k)));
            let (weights, sum) = before
                .filter(|(_, y)| y.is_finite())
                .fold((0.0, 0.0), |(weights, sum), (weight, y)| (weights + weight, sum + weight * y));
            let expected = if value(step).is_finite() { sum / weights } else { f64::NAN };
            let is_near = (y - expected).abs() <= 1e-6 * expected.abs().max(1.0);
            assert!(is_near || y.is_nan() && expected.is_nan(), "{step}: {y}, want {expected}");
        }
    }

    #[test]
    fn where_a_session_resumed_is_kept() {
        let mut course = Course::new(0.0);
        let n = 100_000;
        (0..n).for_each(|i| course.add(0, point(i, 0.5)));
        (5_001..n).for_each(|i| course.add(1, point(i, 0.25)));
        let outline = course.finish(&[Step(5_000)]);
        assert_eq!(
            outline.written.stretches().iter().map(|s| s.resumed.from.0).collect::<Vec<_>>(),
            [0, 5_001]
        );
        assert!(outline.smoothed.is_none());
    }
}
