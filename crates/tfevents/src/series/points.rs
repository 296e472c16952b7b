//! Points in the order in which they were written, packed.
//!
//! A point is one byte, its clock (8 bytes) and its value (4 or 8 bytes). The byte's two upper bits are
//! the value's type; the lower six say by how much the step rose since the point before, or that the
//! step follows whole (8 bytes):
//!
//! ```text
//! type: 2 bits │ rise: 6 bits │ [step: i64] │ wall_time: f64 │ value: f32, f64, i64 or u64
//! ```

use super::Point;
use super::block::Block;
use crate::units::{MetricValue, Step, WallTime};

/// The lower six bits of a point whose step follows whole.
const WHOLE_STEP: u8 = 63;

/// The longest point in bytes.
const MAX_POINT_BYTES: usize = 1 + 8 + 8 + 8;

/// Points in the order in which they were written. One takes 13 bytes where the value is a 32-bit float
/// and steps rise slowly, 25 at most.
#[derive(Debug, Clone, Default)]
pub struct Points {
    full: Vec<Block>,
    /// What the full blocks hold.
    n_full_bytes: usize,
    /// The block that is filled.
    open: Block,
    n: usize,
    last_step: i64,
}

impl Points {
    /// Adds a point.
    #[inline]
    pub fn push(&mut self, point: Point) {
        let rise = point.step.0.wrapping_sub(self.last_step);
        self.last_step = point.step.0;
        self.n += 1;
        if self.open.room().len() < MAX_POINT_BYTES {
            self.make_room();
        }
        let block = &mut self.open;
        let rise = u8::try_from(rise).ok().filter(|rise| *rise < WHOLE_STEP);
        // The most common of all points goes in one piece.
        if let (Some(rise), MetricValue::F32(value)) = (rise, point.value) {
            let ([a, b, c, d, e, f, g, h], [i, j, k, l]) =
                (point.wall_time.0.to_le_bytes(), value.to_le_bytes());
            return block.push([rise, a, b, c, d, e, f, g, h, i, j, k, l]);
        }
        let kind = match point.value {
            MetricValue::F32(_) => 0,
            MetricValue::F64(_) => 1,
            MetricValue::I64(_) => 2,
            MetricValue::U64(_) => 3,
        };
        block.push([kind << 6 | rise.unwrap_or(WHOLE_STEP)]);
        if rise.is_none() {
            block.push(point.step.0.to_le_bytes());
        }
        block.push(point.wall_time.0.to_le_bytes());
        match point.value {
            MetricValue::F32(v) => block.push(v.to_le_bytes()),
            MetricValue::F64(v) => block.push(v.to_le_bytes()),
            MetricValue::I64(v) => block.push(v.to_le_bytes()),
            MetricValue::U64(v) => block.push(v.to_le_bytes()),
        }
    }

    /// Makes room for one more point: short series take little, long ones are never moved.
    #[inline(never)]
    fn make_room(&mut self) {
        if !self.open.grow(MAX_POINT_BYTES) {
            self.n_full_bytes += self.open.filled().len();
            let next = Block::behind(self.n_full_bytes);
            self.full.push(std::mem::replace(&mut self.open, next));
        }
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The points in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = Point> {
        let mut step = 0;
        self.full.iter().chain([&self.open]).flat_map(|block| Unpack(block.filled())).map(
            move |(change, wall_time, value)| {
                step = match change {
                    StepChange::Rise(rise) => i64::wrapping_add(step, i64::from(rise)),
                    StepChange::Whole(step) => step,
                };
                Point { step: Step(step), wall_time, value }
            },
        )
    }
}

enum StepChange {
    Rise(u8),
    Whole(i64),
}

/// What is left of a block.
struct Unpack<'a>(&'a [u8]);

impl Unpack<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}

impl Iterator for Unpack<'_> {
    type Item = (StepChange, WallTime, MetricValue);

    fn next(&mut self) -> Option<Self::Item> {
        let [byte] = self.array()?;
        let change = match byte & 63 {
            WHOLE_STEP => StepChange::Whole(i64::from_le_bytes(self.array()?)),
            rise => StepChange::Rise(rise),
        };
        let wall_time = WallTime(f64::from_le_bytes(self.array()?));
        let value = match byte >> 6 {
            0 => MetricValue::F32(f32::from_le_bytes(self.array()?)),
            1 => MetricValue::F64(f64::from_le_bytes(self.array()?)),
            2 => MetricValue::I64(i64::from_le_bytes(self.array()?)),
            _ => MetricValue::U64(u64::from_le_bytes(self.array()?)),
        };
        Some((change, wall_time, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::{LONG_SERIES_BYTES, POINTS_BLOCK_BYTES, POINTS_LARGE_BLOCK_BYTES};

    fn any_value() -> impl Strategy<Value = MetricValue> {
        prop_oneof![
            any::<u32>().prop_map(|bits| MetricValue::F32(f32::from_bits(bits))),
            any::<u64>().prop_map(|bits| MetricValue::F64(f64::from_bits(bits))),
            any::<i64>().prop_map(MetricValue::I64),
            any::<u64>().prop_map(MetricValue::U64),
        ]
    }

    proptest! {
        #[test]
        fn points_come_back_as_they_were_added(
            points in prop::collection::vec((prop_oneof![0i64..200, any::<i64>()], any::<u64>(), any_value()), 0..300),
            repeats in 1usize..30,
        ) {
            let mut packed = Points::default();
            let mut plain = Vec::new();
            for _ in 0..repeats {
                for (step, wall_time, value) in &points {
                    let wall_time = WallTime(f64::from_bits(*wall_time));
                    let point = Point { step: Step(*step), wall_time, value: *value };
                    packed.push(point);
                    plain.push(point);
                }
            }
            prop_assert_eq!(packed.len(), plain.len());
            let bits = |p: &Point| (p.step, p.wall_time.0.to_bits(), p.value);
            prop_assert!(packed.iter().map(|p| bits(&p)).eq(plain.iter().map(bits)));
        }
    }

    fn series_of(n: i64) -> Points {
        let mut points = Points::default();
        for step in 0..n {
            points.push(Point { step: Step(step), wall_time: WallTime(1.0), value: MetricValue::F32(0.5) });
        }
        points
    }

    fn capacity(points: &Points) -> usize {
        points.full.iter().chain([&points.open]).map(Block::capacity).sum()
    }

    #[test]
    fn a_short_series_takes_little_and_a_long_one_13_bytes_a_point_and_a_block() {
        for n in [1, 10, 1_000, 100_000, 500_000, 1_000_000] {
            let points = series_of(n);
            let wanted = 13 * n as usize;
            let open = if wanted < LONG_SERIES_BYTES { POINTS_BLOCK_BYTES } else { POINTS_LARGE_BLOCK_BYTES };
            let most = (2 * wanted + 100).min(wanted + wanted / 1_000 + open);
            assert!(capacity(&points) <= most, "{n} points take {}", capacity(&points));
            assert!(points.iter().map(|point| point.step.0).eq(0..n));
            assert!(points.clone().iter().eq(points.iter()));
        }
    }
}
